"""Hashes of rows refer to their ingestion without a foreign key: it costs more than it finds."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

KEY = "fk_row_hashes_ingestion_id"


def upgrade() -> None:
    """Drop the key and, in MariaDB, the index that serves it alone."""
    if op.get_bind().dialect.name == "sqlite":
        _copy_to_table_with()
        return
    inspector = sa.inspect(op.get_bind())
    for key in inspector.get_foreign_keys("row_hashes"):
        op.drop_constraint(str(key["name"]), "row_hashes", type_="foreignkey")
    for index in inspector.get_indexes("row_hashes"):
        op.drop_index(str(index["name"]), "row_hashes")


def downgrade() -> None:
    """Add the key, with the index that MariaDB makes for it."""
    if op.get_bind().dialect.name == "sqlite":
        _copy_to_table_with(sa.ForeignKey("ingestions.id"))
        return
    op.create_foreign_key(KEY, "row_hashes", "ingestions", ["ingestion_id"], ["id"])


def _copy_to_table_with(*constraints: sa.ForeignKey) -> None:
    op.create_table(
        "new_row_hashes",
        sa.Column("row_hash", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ingestion_id", Identity, *constraints, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO new_row_hashes SELECT * FROM row_hashes")
    op.drop_table("row_hashes")
    op.rename_table("new_row_hashes", "row_hashes")
