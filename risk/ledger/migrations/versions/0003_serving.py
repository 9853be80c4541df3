"""Serving: what the gate compared, changes asked for over HTTP, messages to people and machines."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Identity, LongText, Name, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the new tables and columns."""
    with op.batch_alter_table("decisions") as table:
        table.add_column(sa.Column("comparison", LongText()))
    op.create_table(
        "requests_for_change",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("key_name", Name(64), nullable=False),
        sa.Column("method", Name(8), nullable=False),
        sa.Column("path", Name(700), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_requests_for_change"),
    )
    op.create_table(
        "messages",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("run_id", Identity),
        sa.Column("incident_id", Identity),
        sa.Column("decision_id", Identity),
        sa.Column("target", Name(255), nullable=False),
        sa.Column("event", Name(32), nullable=False),
        sa.Column("title", LongText(), nullable=False),
        sa.Column("body", LongText(), nullable=False),
        sa.Column("happened_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("sent_at", UtcDateTime()),
        sa.Column("last_error", LongText()),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_messages_run_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_messages_incident_id"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_messages_decision_id"),
        sa.UniqueConstraint("target", "event", "run_id", name="uq_messages_run"),
        sa.UniqueConstraint("target", "event", "incident_id", name="uq_messages_incident"),
        sa.UniqueConstraint("target", "event", "decision_id", name="uq_messages_decision"),
    )
    op.create_index("ix_messages_run_id", "messages", ["run_id"])
    op.create_index("ix_messages_sent_at", "messages", ["sent_at"])


def downgrade() -> None:
    """Remove them, and what they hold."""
    op.drop_table("messages")
    op.drop_table("requests_for_change")
    with op.batch_alter_table("decisions") as table:
        table.drop_column("comparison")
