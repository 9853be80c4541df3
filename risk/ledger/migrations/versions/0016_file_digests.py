"""Digests of quarantine, reports, charts and scores, and of what each drop added to final_data.csv.

Quarantine from before has none and is not verified.
"""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Name

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add table and columns; the next run writes the compiled files again, with their digests."""
    op.create_table(
        "file_digests",
        sa.Column("name", Name(700), nullable=False),
        sa.Column("sha256", Name(64), nullable=False),
        sa.Column("replaced_sha256", Name(64)),
        sa.PrimaryKeyConstraint("name", name="pk_file_digests"),
    )
    known = "SELECT path, max(sha256) FROM reports GROUP BY path"
    op.execute(f"INSERT INTO file_digests (name, sha256) {known}")
    op.execute("DELETE FROM derived_files")
    op.add_column("ingestions", sa.Column("compiled_bytes", sa.BigInteger))
    op.add_column("ingestions", sa.Column("compiled_sha256", Name(64)))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("ingestions", "compiled_sha256")
    op.drop_column("ingestions", "compiled_bytes")
    op.drop_table("file_digests")
