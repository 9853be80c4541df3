"""The digest of the part of each ingestion; parts from before have none and are not verified."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Name

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("ingestions", sa.Column("part_sha256", Name(64)))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("ingestions", "part_sha256")
