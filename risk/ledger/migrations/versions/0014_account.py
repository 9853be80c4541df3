"""What came after each alarm, and what the first release would have said on the labelled rows."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, Number, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COUNTS = ("true_positives", "false_positives", "false_negatives")


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "follow_ups",
        sa.Column("id", Identity, primary_key=True, autoincrement=True),
        _referring("run_id", "runs.id", nullable=True),
        _referring("incident_id", "incidents.id"),
        sa.Column("followed_at", UtcDateTime, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        *(sa.Column(name, Number, nullable=False) for name in ("shift", "tolerated")),
        sa.Column("standard_error", Number, nullable=False),
    )
    op.create_table(
        "first_release_outcomes",
        sa.Column("id", Identity, primary_key=True, autoincrement=True),
        _referring("run_id", "runs.id", nullable=True),
        _referring("ingestion_id", "ingestions.id"),
        sa.Column("compared_at", UtcDateTime, nullable=False),
        sa.Column("first_version", sa.Integer, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
        *(sa.Column(f"first_{name}", sa.BigInteger, nullable=False) for name in COUNTS),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("first_release_outcomes")
    op.drop_table("follow_ups")


def _referring(name: str, to: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, Identity, sa.ForeignKey(to), nullable=nullable, index=True)
