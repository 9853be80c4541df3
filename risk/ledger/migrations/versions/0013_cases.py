"""Decision cases and their answers, and the messages about them."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, Name, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _refers_to(column: str, table: str, *, nullable: bool = True) -> sa.Column[int]:
    key = sa.ForeignKey(f"{table}.id")
    return sa.Column(column, Identity, key, index=True, nullable=nullable)


def upgrade() -> None:
    """Create the tables, and let a message be about a case."""
    op.create_table(
        "cases",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        _refers_to("run_id", "runs"),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime()),
        sa.Column("snoozed_until", UtcDateTime()),
        sa.Column("closed_at", UtcDateTime(), index=True),
        sa.Column("closed_because", Name(32)),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("kind", Name(32), nullable=False),
        sa.Column("subject", Name(700), nullable=False, index=True),
        sa.Column("severity", Name(16)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("challenger", Name(128), index=True),
        _refers_to("incident_id", "incidents"),
        _refers_to("decision_id", "decisions", nullable=False),
        sa.Column("facts", LongText(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "case_answers",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        _refers_to("case_id", "cases", nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=False),
        sa.Column("answered_by", Name(64), nullable=False),
        sa.Column("via", Name(16), nullable=False),
        sa.Column("answer", Name(16), nullable=False),
        sa.Column("because", Name(16)),
        sa.Column("note", LongText()),
        sa.Column("until", UtcDateTime()),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("messages") as batch:
        batch.add_column(sa.Column("case_id", Identity))
        batch.create_foreign_key("fk_messages_case_id", "cases", ["case_id"], ["id"])
        batch.create_index("ix_messages_case_id", ["case_id"])


def downgrade() -> None:
    """Drop the tables, and the messages about cases."""
    op.execute("DELETE FROM messages WHERE case_id IS NOT NULL")
    with op.batch_alter_table("messages") as batch:
        batch.drop_constraint("fk_messages_case_id", type_="foreignkey")
        batch.drop_index("ix_messages_case_id")
        batch.drop_column("case_id")
    op.drop_table("case_answers")
    op.drop_table("cases")
