"""Summary statistics of each column of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from risk.lazily import pandas as pd
from risk.ledger.database import Database, Row
from risk.ledger.tables import column_statistics


@dataclass(frozen=True)
class ColumnStatistics:
    """The summaries of the batches, one row per column."""

    database: Database

    def record(self, rows: Sequence[Row]) -> None:
        """Record the summary of this run's batch."""
        common = {"run_id": self.database.run_id, "computed_at": self.database.now()}
        self.database.write(column_statistics, rows, **common)

    def newest(self) -> pd.DataFrame:
        """Return the summary of each column of the newest batch."""
        run_id = sa.select(sa.func.max(column_statistics.c.run_id)).scalar_subquery()
        query = sa.select(column_statistics).where(column_statistics.c.run_id == run_id)
        return self.database.frame(query.order_by(column_statistics.c.id))
