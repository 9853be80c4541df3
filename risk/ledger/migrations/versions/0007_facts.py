"""Facts beside the sentences: what was found, decided and why, as fields.

Rows made before have none of them, and keep their text.
"""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import LongText, Name, Number

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FOUND = (
    ("direction", Name(64)),
    ("value_before", Number()),
    ("value_after", Number()),
    ("facts", LongText()),
)
COLUMNS = {
    "findings": FOUND,
    "incidents": (
        *FOUND,
        ("method", Name(32)),
        ("effect", Number()),
        ("n", sa.BigInteger()),
        ("e_value", Number()),
    ),
    "decisions": (("reason_code", Name(32)), ("facts", LongText())),
    "assessments": (("facts", LongText()),),
}
VIEWS = {
    "v_drift_trend": """
        SELECT f.id AS finding_id, f.run_id, f.found_at, f.feature, f.check_name, f.drift_score,
               f.threshold, f.e_value, f.drift_detected, f.n, f.detail{fields}
        FROM findings f
        WHERE f.method = 'e_detector'
    """,
    "v_incidents": """
        SELECT i.id AS incident_id, i.run_id, i.version, i.kind, i.subject, i.severity,
               CASE WHEN i.resolved_at IS NOT NULL THEN 'resolved'
                    WHEN i.acknowledged_at IS NOT NULL THEN 'acknowledged'
                    ELSE 'open' END AS state,
               i.opened_at, i.last_seen_at, i.acknowledged_at, i.resolved_at, i.times_seen,
               g.path AS since_drop, i.detail, i.resolution{fields}
        FROM incidents i
        LEFT JOIN ingestions g ON g.id = i.since_ingestion_id
    """,
}


def upgrade() -> None:
    """Add the columns, and show three of them at the end of two views."""
    _drop_views()
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    _create_views(fields=("direction", "value_before", "value_after"))


def downgrade() -> None:
    """Leave the texts alone, as they were."""
    _drop_views()
    for table, columns in COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
    _create_views(fields=())


def _drop_views() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW IF EXISTS {name}")


def _create_views(fields: tuple[str, ...]) -> None:
    for name, query in VIEWS.items():
        of = "f" if name == "v_drift_trend" else "i"
        added = "".join(f", {of}.{field}" for field in fields)
        op.execute(f"CREATE VIEW {name} AS {query.format(fields=added)}")
