"""Identity of rows: times as moments, labels before their rows, corrections of cut-off rows.

Rows accepted before keep the hashes they have; ingestion adds the new ones beside them.
"""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = {
    "ingestions": (("hash_version", sa.Integer()), ("unfinished_row_hash", sa.BigInteger())),
    "unripe_rows": (("event_time_us", sa.BigInteger()),),
    "later_labels": (("event_time_us", sa.BigInteger()),),
}


def upgrade() -> None:
    """Add the columns and both tables."""
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    op.create_table(
        "early_labels",
        sa.Column("id", Identity, primary_key=True, autoincrement=True),
        sa.Column("key_hash", sa.BigInteger, nullable=False, index=True),
        sa.Column("event_time_us", sa.BigInteger),
        sa.Column("y_true", sa.Integer, nullable=False),
        _ingestion("ingestion_id", index=True),
    )
    op.create_table(
        "superseded_rows",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        _ingestion("row_ingestion_id"),
        _ingestion("ingestion_id"),
        sa.Column("removed_at", UtcDateTime),
    )


def downgrade() -> None:
    """Forget the moments, the labels without a row, and which rows were superseded."""
    op.drop_table("superseded_rows")
    op.drop_table("early_labels")
    for table, columns in COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)


def _ingestion(name: str, *, index: bool = False) -> sa.Column[int]:
    return sa.Column(name, Identity, sa.ForeignKey("ingestions.id"), nullable=False, index=index)
