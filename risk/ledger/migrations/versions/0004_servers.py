"""Servers: a lease for runs on several machines, the data set in SQL, how far sources were read."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, Name, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the new tables."""
    op.create_table(
        "leases",
        sa.Column("name", Name(64), nullable=False),
        sa.Column("holder", Name(255), nullable=False),
        sa.Column("token", Name(64), nullable=False),
        sa.Column("acquired_at", UtcDateTime(), nullable=False),
        sa.Column("renewed_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "dataset_rows",
        sa.Column("row_hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.Column("identifier", Name(700), nullable=False),
        sa.Column("event_time", LongText()),
        sa.Column("y_true", sa.Integer()),
        sa.Column("labelled_by", Identity),
        sa.Column("row", LongText(), nullable=False),
        sa.PrimaryKeyConstraint("row_hash", name="pk_dataset_rows"),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_dataset_rows_ingestion_id"
        ),
        sa.ForeignKeyConstraint(
            ["labelled_by"], ["ingestions.id"], name="fk_dataset_rows_labelled_by"
        ),
    )
    for column in ("ingestion_id", "identifier", "labelled_by"):
        op.create_index(f"ix_dataset_rows_{column}", "dataset_rows", [column])
    op.create_table(
        "watermarks",
        sa.Column("source", Name(64), nullable=False),
        sa.Column("ingestion_id", Identity, nullable=False),
        sa.Column("value", LongText(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_watermarks"),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["ingestions.id"], name="fk_watermarks_ingestion_id"
        ),
    )
    op.create_index("ix_watermarks_ingestion_id", "watermarks", ["ingestion_id"])


def downgrade() -> None:
    """Remove them, and what they hold."""
    op.drop_table("watermarks")
    op.drop_table("dataset_rows")
    op.drop_table("leases")
