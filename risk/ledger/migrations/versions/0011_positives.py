"""How many of the rows of a score are positive; of an estimate, and before, it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("scores", sa.Column("n_positive", sa.BigInteger))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("scores", "n_positive")
