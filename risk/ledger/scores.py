"""Scores of models on data sets, with their confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from risk.ledger.database import Database, Row
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import scores


@dataclass(frozen=True)
class Scores:
    """The scores; those of an assessment are recorded with it."""

    database: Database

    def record(self, rows: Sequence[Row], *, since: datetime | None = None) -> None:
        """Record the scores of one model on one data set, unless it has some `since` a time."""
        if rows and since is not None and self._has_some(rows[0], since):
            return
        common = {"run_id": self.database.run_id, "scored_at": self.database.now()}
        self.database.write(scores, rows, **common)

    def _has_some(self, like: Row, since: datetime) -> bool:
        table = scores.c
        same = [table[name] == like[name] for name in ("model_sha256", "dataset", "metric")]
        query = sa.select(table.id).where(*same, table.scored_at >= since)
        return self.database.first(query) is not None

    def positives(self, version: int, metric: str) -> dict[str, int]:
        """Return how many rows were positive at a release's newest score on each data set."""
        table = scores.c
        known = (table.version == version) & (table.metric == metric)
        query = sa.select(table.dataset, table.n_positive).where(
            known & table.n_positive.is_not(None)
        )
        return {row[0]: row[1] for row in self.database.rows(query.order_by(table.id))}

    def page(
        self,
        part: Part = NEWEST,
        *,
        metric: str | None = None,
        dataset: str | None = None,
        version: int | None = None,
    ) -> Listing:
        """Return a page of scores with their confidence intervals."""
        only = {"metric": metric, "dataset": dataset, "version": version}
        query = sa.select(scores)
        if metric is not None:
            query = query.order_by(scores.c.scored_at.desc())  # so that the index is used
        return page(self.database, query, scores.c.id, part, **only)
