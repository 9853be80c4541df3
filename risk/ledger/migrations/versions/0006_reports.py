"""Reports: which were made, on which run, where they are kept."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, Name, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reports",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("kind", Name(8), nullable=False),
        sa.Column("path", Name(700), nullable=False),
        sa.Column("sha256", Name(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_reports_run_id"),
        sa.UniqueConstraint("run_id", "kind", name="uq_reports_run"),
    )
    op.create_index("ix_reports_run_id", "reports", ["run_id"])


def downgrade() -> None:
    """Remove it; the files stay."""
    op.drop_table("reports")
