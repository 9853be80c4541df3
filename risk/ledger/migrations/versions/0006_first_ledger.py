"""The first ledger: every table, and the views on them.

It has the id that the last of six migrations had before the first release, so that a ledger
those six made is of this revision as well.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Excerpt, Identity, LongText, Name, Number, UtcDateTime

revision = "0006"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = {"postgresql": "BIGINT", "sqlite": "INTEGER"}
SECONDS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM r.ended_at - r.started_at) AS DOUBLE PRECISION)",
    "sqlite": "ROUND((julianday(r.ended_at) - julianday(r.started_at)) * 86400, 3)",
}
MARIADB_WHOLE = "SIGNED"
MARIADB_SECONDS = "TIMESTAMPDIFF(MICROSECOND, r.started_at, r.ended_at) / 1e6"

TABLES = (
    "runs",
    "stage_timings",
    "decisions",
    "releases",
    "scores",
    "assessments",
    "detectors",
    "findings",
    "incidents",
    "predictions",
    "column_statistics",
    "ingestions",
    "quarantined_rows",
    "row_hashes",
    "unripe_rows",
    "later_labels",
    "dataset_rows",
    "derived_files",
    "watermarks",
    "reports",
    "messages",
    "requests_for_change",
    "leases",
)
VIEWS = {
    "v_score_trend": """
        SELECT s.id AS score_id, s.run_id, s.scored_at, s.version, s.dataset, s.metric,
               s.value, s.lower, s.upper, s.n
        FROM scores s
    """,
    "v_drift_trend": """
        SELECT f.id AS finding_id, f.run_id, f.found_at, f.feature, f.check_name, f.drift_score,
               f.threshold, f.e_value, f.drift_detected, f.n, f.detail
        FROM findings f
        WHERE f.method = 'e_detector'
    """,
    "v_column_trend": """
        SELECT c.id AS statistic_id, c.run_id, c.computed_at, c.column_name, c.row_count,
               c.missing_count, c.missing_percent, c.mean, c.median, c.standard_deviation,
               c.distinct_count, c.top_value, c.top_count
        FROM column_statistics c
    """,
    "v_run_summary": """
        SELECT r.id AS run_id, r.started_at, r.ended_at,
               CASE WHEN r.status IN ('ok', 'failed') THEN {seconds} END AS duration_seconds,
               r.status,
               (SELECT COUNT(*) FROM ingestions i WHERE i.run_id = r.id) AS drops,
               {rows_accepted} AS rows_accepted,
               {rows_duplicate} AS rows_duplicate,
               {rows_quarantined} AS rows_quarantined,
               (SELECT COUNT(*) FROM findings f WHERE f.run_id = r.id AND f.drift_detected)
                   AS alarms,
               d.action, d.version, d.reason, r.outcome
        FROM runs r
        LEFT JOIN decisions d
            ON d.id = (SELECT MAX(newest.id) FROM decisions newest WHERE newest.run_id = r.id)
    """,
    "v_incidents": """
        SELECT i.id AS incident_id, i.run_id, i.version, i.kind, i.subject, i.severity,
               CASE WHEN i.resolved_at IS NOT NULL THEN 'resolved'
                    WHEN i.acknowledged_at IS NOT NULL THEN 'acknowledged'
                    ELSE 'open' END AS state,
               i.opened_at, i.last_seen_at, i.acknowledged_at, i.resolved_at, i.times_seen,
               g.path AS since_drop, i.detail, i.resolution
        FROM incidents i
        LEFT JOIN ingestions g ON g.id = i.since_ingestion_id
    """,
}


def upgrade() -> None:
    """Create every table, then the views."""
    _create_runs()
    _create_evidence()
    _create_data()
    _create_notes()
    _create_views(op.get_bind().dialect.name)


def downgrade() -> None:
    """Drop all views and tables."""
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS {name}")
    for name in reversed(TABLES):
        op.drop_table(name)


def _id() -> sa.Column[Any]:
    return sa.Column("id", Identity, primary_key=True, autoincrement=True)


def _run() -> sa.Column[Any]:
    return sa.Column("run_id", Identity, sa.ForeignKey("runs.id"), index=True)


def _ingestion() -> sa.Column[Any]:
    to = sa.ForeignKey("ingestions.id")
    return sa.Column("ingestion_id", Identity, to, nullable=False, index=True)


def _create_runs() -> None:
    """Create the tables of runs, decisions, releases and scores."""
    op.create_table(
        "runs",
        _id(),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("outcome", LongText),
    )
    op.create_table(
        "stage_timings",
        _id(),
        _run(),
        sa.Column("stage", Name(32), nullable=False, index=True),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("duration_seconds", Number, nullable=False),
        sa.Column("outcome", LongText, nullable=False),
    )
    op.create_table(
        "decisions",
        _id(),
        _run(),
        sa.Column("decided_at", UtcDateTime, nullable=False),
        sa.Column("action", Name(16), nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("reason", LongText, nullable=False),
        sa.Column("comparison", LongText),
        sa.Column("completed_at", UtcDateTime),
    )
    op.create_table(
        "releases",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        _run(),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("model_sha256", Name(64), nullable=False),
        sa.Column("rows_trained", sa.BigInteger, nullable=False),
        sa.Column("proven", sa.Boolean, nullable=False),
        sa.Column("manifest", LongText, nullable=False),
    )
    op.create_table(
        "scores",
        _id(),
        _run(),
        sa.Column("scored_at", UtcDateTime, nullable=False),
        sa.Column("model_sha256", Name(64), nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("dataset", Name(700), nullable=False),
        sa.Column("metric", Name(32), nullable=False),
        sa.Column("value", Number),
        sa.Column("lower", Number),
        sa.Column("upper", Number),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Index("ix_scores_metric_scored_at", "metric", "scored_at"),
    )


def _create_evidence() -> None:
    """Create the tables of findings and incidents."""
    op.create_table(
        "assessments",
        _id(),
        _run(),
        sa.Column("assessed_at", UtcDateTime, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, index=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("profile", LongText, nullable=False),
        sa.Column("attribution", LongText),
        sa.Column("summary", LongText, nullable=False),
        sa.Column("cause", LongText, nullable=False),
    )
    op.create_table(
        "detectors",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("assessment_id", Identity, sa.ForeignKey("assessments.id"), nullable=False),
        sa.Column("state", LongText, nullable=False),
    )
    op.create_table(
        "findings",
        _id(),
        _run(),
        sa.Column("found_at", UtcDateTime, nullable=False),
        sa.Column("check_name", Name(32), nullable=False),
        sa.Column("feature", Name(700)),
        sa.Column("method", Name(32), nullable=False),
        sa.Column("drift_score", Number),
        sa.Column("threshold", Number),
        sa.Column("p_value", Number),
        sa.Column("e_value", Number),
        sa.Column("drift_detected", sa.Boolean, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("rows_needed", sa.BigInteger),
        sa.Column("distances", LongText),
        sa.Column("detail", LongText, nullable=False),
    )
    op.create_table(
        "incidents",
        _id(),
        _run(),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", Name(32), nullable=False),
        sa.Column("subject", Name(700), nullable=False),
        sa.Column("severity", Name(16), nullable=False),
        sa.Column("detail", LongText, nullable=False),
        sa.Column("since_ingestion_id", Identity),
        sa.Column("last_ingestion_id", Identity),
        sa.Column("times_seen", sa.Integer, nullable=False, server_default="1"),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("last_seen_at", UtcDateTime, nullable=False),
        sa.Column("acknowledged_at", UtcDateTime),
        sa.Column("resolved_at", UtcDateTime, index=True),
        sa.Column("resolution", LongText),
    )
    op.create_table(
        "predictions",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("y_pred_proba", Number, nullable=False),
        sa.Column("expected_proba", Number),
    )
    op.create_table(
        "column_statistics",
        _id(),
        _run(),
        sa.Column("computed_at", UtcDateTime, nullable=False),
        sa.Column("column_name", Excerpt(255), nullable=False, index=True),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("missing_count", sa.BigInteger, nullable=False),
        sa.Column("missing_percent", Number),
        sa.Column("mean", Number),
        sa.Column("median", Number),
        sa.Column("standard_deviation", Number),
        sa.Column("distinct_count", sa.BigInteger),
        sa.Column("top_value", Excerpt(255)),
        sa.Column("top_count", sa.BigInteger),
    )


def _create_data() -> None:
    """Create the tables of drops, their rows and labels, and quarantined rows."""
    op.create_table(
        "ingestions",
        _id(),
        _run(),
        sa.Column("assessment_id", Identity, sa.ForeignKey("assessments.id"), index=True),
        sa.Column("decision_id", Identity, sa.ForeignKey("decisions.id"), index=True),
        sa.Column("kind", Name(16), nullable=False, server_default="rows"),
        sa.Column("ingested_at", UtcDateTime, nullable=False),
        sa.Column("path", Name(700), nullable=False, index=True),
        sa.Column("sha256", Name(64), nullable=False, index=True),
        sa.Column("taken_sha256", Name(64), unique=True),
        sa.Column("duplicate_of", Identity, sa.ForeignKey("ingestions.id")),
        sa.Column("requeued_as", Identity, sa.ForeignKey("ingestions.id")),
        sa.Column("status", Name(16), nullable=False),
        sa.Column("reason", LongText),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("rows_added", sa.BigInteger, nullable=False),
        sa.Column("rows_duplicate", sa.BigInteger, nullable=False),
        sa.Column("rows_quarantined", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("ctime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "quarantined_rows",
        _id(),
        _ingestion(),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("column_name", Excerpt(255), nullable=False),
        sa.Column("rule", Excerpt(255), nullable=False),
        sa.Column("value", Excerpt(255), nullable=False),
    )
    op.create_table(
        "row_hashes",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ingestion_id", Identity, sa.ForeignKey("ingestions.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unripe_rows",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key_hash", sa.BigInteger, nullable=False, index=True),
        sa.Column("ingestion_id", Identity, sa.ForeignKey("ingestions.id"), nullable=False),
    )
    op.create_table(
        "later_labels",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key_hash", sa.BigInteger, nullable=False, index=True),
        sa.Column("y_true", sa.Integer, nullable=False),
        sa.Column("row_ingestion_id", Identity, nullable=False, index=True),
        _ingestion(),
    )
    op.create_table(
        "dataset_rows",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        _ingestion(),
        sa.Column("identifier", Name(700), nullable=False, index=True),
        sa.Column("event_time", LongText),
        sa.Column("y_true", sa.Integer),
        sa.Column("labelled_by", Identity, sa.ForeignKey("ingestions.id"), index=True),
        sa.Column("row", LongText, nullable=False),
    )
    op.create_table(
        "derived_files",
        sa.Column("name", Name(255), primary_key=True),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "watermarks",
        sa.Column("source", Name(64), primary_key=True),
        _ingestion(),
        sa.Column("value", LongText, nullable=False),
        sa.Column("kind", Name(16), nullable=False),
    )


def _create_notes() -> None:
    """Create the tables of reports, messages, requests for change and leases."""
    op.create_table(
        "reports",
        _id(),
        _run(),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("kind", Name(8), nullable=False),
        sa.Column("path", Name(700), nullable=False),
        sa.Column("sha256", Name(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("run_id", "kind", name="uq_reports_run"),
    )
    op.create_table(
        "messages",
        _id(),
        _run(),
        sa.Column("incident_id", Identity, sa.ForeignKey("incidents.id")),
        sa.Column("decision_id", Identity, sa.ForeignKey("decisions.id")),
        sa.Column("target", Name(255), nullable=False),
        sa.Column("event", Name(32), nullable=False),
        sa.Column("title", LongText, nullable=False),
        sa.Column("body", LongText, nullable=False),
        sa.Column("happened_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("sent_at", UtcDateTime, index=True),
        sa.Column("last_error", LongText),
        sa.UniqueConstraint("target", "event", "run_id", name="uq_messages_run"),
        sa.UniqueConstraint("target", "event", "incident_id", name="uq_messages_incident"),
        sa.UniqueConstraint("target", "event", "decision_id", name="uq_messages_decision"),
    )
    op.create_table(
        "requests_for_change",
        _id(),
        sa.Column("requested_at", UtcDateTime, nullable=False),
        sa.Column("key_name", Name(64), nullable=False),
        sa.Column("method", Name(8), nullable=False),
        sa.Column("path", Name(700), nullable=False),
        sa.Column("status", sa.Integer),
    )
    op.create_table(
        "leases",
        sa.Column("name", Name(64), primary_key=True),
        sa.Column("holder", Name(255), nullable=False),
        sa.Column("token", Name(64), nullable=False),
        sa.Column("acquired_at", UtcDateTime, nullable=False),
        sa.Column("renewed_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )


def _create_views(dialect: str) -> None:
    """Create the views, with names that analysts and Grafana can rely on."""
    whole, seconds = WHOLE.get(dialect, MARIADB_WHOLE), SECONDS.get(dialect, MARIADB_SECONDS)
    sums = {
        "rows_accepted": _sum("CASE WHEN i.kind = 'rows' THEN i.rows_added ELSE 0 END", whole),
        "rows_duplicate": _sum("i.rows_duplicate", whole),
        "rows_quarantined": _sum("i.rows_quarantined", whole),
    }
    for name, query in VIEWS.items():
        op.execute(f"DROP VIEW IF EXISTS {name}")  # left by an interrupted migration
        op.execute(f"CREATE VIEW {name} AS {query.format(seconds=seconds, **sums)}")


def _sum(counted: str, whole: str) -> str:
    """Return SQL for a sum over a run's drops as an integer; servers return a decimal."""
    of_run = f"SELECT SUM({counted}) FROM ingestions i WHERE i.run_id = r.id"
    return f"COALESCE(CAST(({of_run}) AS {whole}), 0)"
