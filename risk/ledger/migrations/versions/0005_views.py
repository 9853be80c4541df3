"""Views: trends, runs and incidents under names that analysts and Grafana can rely on."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WHOLE = {"postgresql": "BIGINT", "sqlite": "INTEGER"}
SECONDS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM r.ended_at - r.started_at) AS DOUBLE PRECISION)",
    "sqlite": "ROUND((julianday(r.ended_at) - julianday(r.started_at)) * 86400, 3)",
}
MARIADB_WHOLE = "SIGNED"
MARIADB_SECONDS = "TIMESTAMPDIFF(MICROSECOND, r.started_at, r.ended_at) / 1e6"

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
    """Make the views."""
    dialect = op.get_bind().dialect.name
    whole, seconds = WHOLE.get(dialect, MARIADB_WHOLE), SECONDS.get(dialect, MARIADB_SECONDS)
    sums = {
        "rows_accepted": _sum("CASE WHEN i.kind = 'rows' THEN i.rows_added ELSE 0 END", whole),
        "rows_duplicate": _sum("i.rows_duplicate", whole),
        "rows_quarantined": _sum("i.rows_quarantined", whole),
    }
    for name, query in VIEWS.items():
        op.execute(f"DROP VIEW IF EXISTS {name}")  # where a server was cut off between two of them
        op.execute(f"CREATE VIEW {name} AS {query.format(seconds=seconds, **sums)}")


def downgrade() -> None:
    """Remove them; the tables they look at stay."""
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS {name}")


def _sum(counted: str, whole: str) -> str:
    """Add up over the drops of a run, as a whole number: servers sum to a decimal one."""
    of_run = f"SELECT SUM({counted}) FROM ingestions i WHERE i.run_id = r.id"
    return f"COALESCE(CAST(({of_run}) AS {whole}), 0)"
