"""The tier of a finding: an alarm, an early warning, or neither."""

import sqlalchemy as sa
from alembic import op

from risk.ledger.column_types import Name

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

VIEW = """
    CREATE VIEW v_drift_trend AS
    SELECT f.id AS finding_id, f.run_id, f.found_at, f.feature, f.check_name, f.drift_score,
           f.threshold, f.e_value, f.drift_detected, f.n, f.detail, f.direction, f.value_before,
           f.value_after{tier}
    FROM findings f
    WHERE f.method = 'e_detector'
"""


def upgrade() -> None:
    """Add the column, which is known of earlier findings too: there were no warnings."""
    op.execute("DROP VIEW IF EXISTS v_drift_trend")
    op.add_column("findings", sa.Column("tier", Name(16), nullable=False, server_default="none"))
    findings = sa.table("findings", sa.column("tier"), sa.column("drift_detected", sa.Boolean))
    op.execute(findings.update().values(tier="alarm").where(findings.c.drift_detected))
    op.create_index("ix_findings_tier", "findings", ["tier"])
    op.execute(VIEW.format(tier=", f.tier"))


def downgrade() -> None:
    """Drop the column."""
    op.execute("DROP VIEW IF EXISTS v_drift_trend")
    op.drop_index("ix_findings_tier", "findings")
    op.drop_column("findings", "tier")
    op.execute(VIEW.format(tier=""))
