"""Evidence: assessments and their detectors, incidents, predictions, labels that come later."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, Name, Number, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW_TABLES = (
    "incidents", "predictions", "detectors", "later_labels", "unripe_rows", "assessments",
)  # fmt: skip


def upgrade() -> None:
    """Add the new tables and columns."""
    _create_assessments()
    _create_labels()
    _create_incidents()
    with op.batch_alter_table("ingestions") as table:
        table.add_column(sa.Column("assessment_id", Identity))
        table.add_column(sa.Column("kind", Name(16), nullable=False, server_default="rows"))
        table.create_foreign_key(
            "fk_ingestions_assessment_id", "assessments", ["assessment_id"], ["id"]
        )
        table.create_index("ix_ingestions_assessment_id", ["assessment_id"])
    with op.batch_alter_table("findings") as table:
        table.alter_column("feature", type_=Name(700), existing_type=Name(255))
        table.add_column(sa.Column("e_value", Number()))
        table.add_column(sa.Column("rows_needed", sa.BigInteger()))
        table.add_column(sa.Column("distances", LongText()))


def downgrade() -> None:
    """Remove them, and what they hold."""
    with op.batch_alter_table("findings") as table:
        for name in ("distances", "rows_needed", "e_value"):
            table.drop_column(name)
        table.alter_column("feature", type_=Name(255), existing_type=Name(700))
    with op.batch_alter_table("ingestions") as table:
        table.drop_constraint("fk_ingestions_assessment_id", type_="foreignkey")
        table.drop_index("ix_ingestions_assessment_id")
        for name in ("kind", "assessment_id"):
            table.drop_column(name)
    for name in NEW_TABLES:
        op.drop_table(name)


def _create_assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity),
        sa.Column("assessed_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("profile", LongText(), nullable=False),
        sa.Column("attribution", LongText()),
        sa.Column("summary", LongText(), nullable=False),
        sa.Column("cause", LongText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_assessments"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_assessments_run_id"),
    )
    op.create_index("ix_assessments_run_id", "assessments", ["run_id"])
    op.create_index("ix_assessments_version", "assessments", ["version"])
    op.create_table(
        "detectors",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("assessment_id", Identity, nullable=False),
        sa.Column("state", LongText(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_detectors"),
        sa.ForeignKeyConstraint(
            ["assessment_id"], ["assessments.id"], name="fk_detectors_assessment_id"
        ),
    )


def _create_labels() -> None:
    op.create_table(
        "unripe_rows",
        sa.Column("row_hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.BigInteger(), nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.PrimaryKeyConstraint("row_hash", name="pk_unripe_rows"),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_unripe_rows_ingestion_id"
        ),
    )
    op.create_index("ix_unripe_rows_key_hash", "unripe_rows", ["key_hash"])
    op.create_table(
        "later_labels",
        sa.Column("row_hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.BigInteger(), nullable=False),
        sa.Column("y_true", sa.Integer(), nullable=False),
        sa.Column("row_ingestion_id", Identity, nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.PrimaryKeyConstraint("row_hash", name="pk_later_labels"),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_later_labels_ingestion_id"
        ),
    )
    for column in ("key_hash", "row_ingestion_id", "ingestion_id"):
        op.create_index(f"ix_later_labels_{column}", "later_labels", [column])
    op.create_table(
        "predictions",
        sa.Column("row_hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("y_pred_proba", Number(), nullable=False),
        sa.Column("expected_proba", Number()),
        sa.PrimaryKeyConstraint("row_hash", "version", name="pk_predictions"),
    )


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", Name(32), nullable=False),
        sa.Column("subject", Name(700), nullable=False),
        sa.Column("severity", Name(16), nullable=False),
        sa.Column("detail", LongText(), nullable=False),
        sa.Column("since_ingestion_id", Identity),
        sa.Column("last_ingestion_id", Identity),
        sa.Column("times_seen", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime()),
        sa.Column("resolved_at", UtcDateTime()),
        sa.Column("resolution", LongText()),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_incidents_run_id"),
    )
    op.create_index("ix_incidents_run_id", "incidents", ["run_id"])
    op.create_index("ix_incidents_resolved_at", "incidents", ["resolved_at"])
