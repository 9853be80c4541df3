"""A drop of very many rows is several ingestions: which one the others continue."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index."""
    op.add_column("ingestions", sa.Column("continues", Identity))
    op.create_index("ix_ingestions_continues", "ingestions", ["continues"])


def downgrade() -> None:
    """Drop them; a drop of several ingestions looks like several drops then."""
    op.drop_index("ix_ingestions_continues", "ingestions")
    op.drop_column("ingestions", "continues")
