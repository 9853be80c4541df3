"""Rows that wait for their label are counted by drop."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index them."""
    op.create_index("ix_unripe_rows_ingestion_id", "unripe_rows", ["ingestion_id"])


def downgrade() -> None:
    """Drop the index, where the foreign key does not need one."""
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        columns = ("unripe_rows", ["ingestion_id"])
        op.create_index("ingestion_id", *columns, if_not_exists=True)
    op.drop_index("ix_unripe_rows_ingestion_id", "unripe_rows")
