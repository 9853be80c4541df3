"""Fields for the reason an incident was resolved, the error of a run, and undeclared columns.

Rows from before have none of them, and keep their text.
"""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import LongText, Name

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = {
    "incidents": (("resolution_code", Name(32)), ("resolution_facts", LongText())),
    "runs": (("error", Name(64)),),
    "ingestions": (("undeclared", LongText()),),
}
VIEW = """
    CREATE VIEW v_incidents AS
    SELECT i.id AS incident_id, i.run_id, i.version, i.kind, i.subject, i.severity,
           CASE WHEN i.resolved_at IS NOT NULL THEN 'resolved'
                WHEN i.acknowledged_at IS NOT NULL THEN 'acknowledged'
                ELSE 'open' END AS state,
           i.opened_at, i.last_seen_at, i.acknowledged_at, i.resolved_at, i.times_seen,
           g.path AS since_drop, i.detail, i.resolution, i.direction, i.value_before,
           i.value_after{fields}
    FROM incidents i
    LEFT JOIN ingestions g ON g.id = i.since_ingestion_id
"""


def upgrade() -> None:
    """Add the columns, and one of them at the end of a view."""
    op.execute("DROP VIEW IF EXISTS v_incidents")
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    op.execute(VIEW.format(fields=", i.resolution_code"))


def downgrade() -> None:
    """Drop the columns; the texts stay."""
    op.execute("DROP VIEW IF EXISTS v_incidents")
    for table, columns in COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
    op.execute(VIEW.format(fields=""))
