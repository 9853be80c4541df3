"""Drills: what the monitor of each release would find."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "drills",
        sa.Column("id", Identity, primary_key=True, autoincrement=True),
        sa.Column("run_id", Identity, sa.ForeignKey("runs.id"), index=True),
        sa.Column("drilled_at", UtcDateTime, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, index=True),
        sa.Column("n_batches", sa.Integer, nullable=False),
        sa.Column("drill", LongText, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("drills")
