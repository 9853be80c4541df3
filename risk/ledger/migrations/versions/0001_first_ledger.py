"""The first ledger: runs, ingestions, releases, scores, findings and decisions."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, Name, Number, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "derived_files",
        sa.Column("name", Name(255), nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_derived_files"),
    )
    op.create_table(
        "runs",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("outcome", LongText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_table(
        "column_statistics",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("computed_at", UtcDateTime(), nullable=False),
        sa.Column("column_name", Name(255), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("missing_count", sa.BigInteger(), nullable=False),
        sa.Column("missing_percent", Number(), nullable=True),
        sa.Column("mean", Number(), nullable=True),
        sa.Column("median", Number(), nullable=True),
        sa.Column("standard_deviation", Number(), nullable=True),
        sa.Column("distinct_count", sa.BigInteger(), nullable=True),
        sa.Column("top_value", Name(255), nullable=True),
        sa.Column("top_count", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_column_statistics_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_column_statistics"),
    )
    op.create_index(
        "ix_column_statistics_column_name", "column_statistics", ["column_name"], unique=False
    )
    op.create_index("ix_column_statistics_run_id", "column_statistics", ["run_id"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("action", Name(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("reason", LongText(), nullable=False),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_decisions_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_run_id", "decisions", ["run_id"], unique=False)
    op.create_table(
        "findings",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("check_name", Name(32), nullable=False),
        sa.Column("feature", Name(255), nullable=True),
        sa.Column("method", Name(32), nullable=False),
        sa.Column("drift_score", Number(), nullable=True),
        sa.Column("threshold", Number(), nullable=True),
        sa.Column("p_value", Number(), nullable=True),
        sa.Column("drift_detected", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("detail", LongText(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_findings_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
    )
    op.create_index("ix_findings_run_id", "findings", ["run_id"], unique=False)
    op.create_table(
        "releases",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("model_sha256", Name(64), nullable=False),
        sa.Column("rows_trained", sa.BigInteger(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("manifest", LongText(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_releases_run_id"),
        sa.PrimaryKeyConstraint("version", name="pk_releases"),
    )
    op.create_index("ix_releases_run_id", "releases", ["run_id"], unique=False)
    op.create_table(
        "scores",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("scored_at", UtcDateTime(), nullable=False),
        sa.Column("model_sha256", Name(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("dataset", Name(700), nullable=False),
        sa.Column("metric", Name(32), nullable=False),
        sa.Column("value", Number(), nullable=True),
        sa.Column("lower", Number(), nullable=True),
        sa.Column("upper", Number(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_scores_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_scores"),
    )
    op.create_index("ix_scores_metric_scored_at", "scores", ["metric", "scored_at"], unique=False)
    op.create_index("ix_scores_run_id", "scores", ["run_id"], unique=False)
    op.create_table(
        "stage_timings",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("stage", Name(32), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("duration_seconds", Number(), nullable=False),
        sa.Column("outcome", LongText(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_stage_timings_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stage_timings"),
    )
    op.create_index("ix_stage_timings_run_id", "stage_timings", ["run_id"], unique=False)
    op.create_index("ix_stage_timings_stage", "stage_timings", ["stage"], unique=False)
    op.create_table(
        "ingestions",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity, nullable=True),
        sa.Column("decision_id", Identity, nullable=True),
        sa.Column("ingested_at", UtcDateTime(), nullable=False),
        sa.Column("path", Name(700), nullable=False),
        sa.Column("sha256", Name(64), nullable=False),
        sa.Column("taken_sha256", Name(64), nullable=True),
        sa.Column("duplicate_of", Identity, nullable=True),
        sa.Column("requeued_as", Identity, nullable=True),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("reason", LongText(), nullable=True),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_added", sa.BigInteger(), nullable=False),
        sa.Column("rows_duplicate", sa.BigInteger(), nullable=False),
        sa.Column("rows_quarantined", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name="fk_ingestions_decision_id"
        ),
        sa.ForeignKeyConstraint(
            ["duplicate_of"], ["ingestions.id"], name="fk_ingestions_duplicate_of"
        ),
        sa.ForeignKeyConstraint(
            ["requeued_as"], ["ingestions.id"], name="fk_ingestions_requeued_as"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_ingestions_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_ingestions"),
        sa.UniqueConstraint("taken_sha256", name="uq_ingestions_taken_sha256"),
    )
    op.create_index("ix_ingestions_decision_id", "ingestions", ["decision_id"], unique=False)
    op.create_index("ix_ingestions_path", "ingestions", ["path"], unique=False)
    op.create_index("ix_ingestions_run_id", "ingestions", ["run_id"], unique=False)
    op.create_index("ix_ingestions_sha256", "ingestions", ["sha256"], unique=False)
    op.create_table(
        "quarantined_rows",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("column_name", Name(255), nullable=False),
        sa.Column("rule", Name(255), nullable=False),
        sa.Column("value", Name(255), nullable=False),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_quarantined_rows_ingestion_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_quarantined_rows"),
    )
    op.create_index(
        "ix_quarantined_rows_ingestion_id", "quarantined_rows", ["ingestion_id"], unique=False
    )
    op.create_table(
        "row_hashes",
        sa.Column("row_hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_row_hashes_ingestion_id"
        ),
        sa.PrimaryKeyConstraint("row_hash", name="pk_row_hashes"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove every table."""
    op.drop_table("row_hashes")
    op.drop_table("quarantined_rows")
    op.drop_table("ingestions")
    op.drop_table("stage_timings")
    op.drop_table("scores")
    op.drop_table("releases")
    op.drop_table("findings")
    op.drop_table("decisions")
    op.drop_table("column_statistics")
    op.drop_table("runs")
    op.drop_table("derived_files")
