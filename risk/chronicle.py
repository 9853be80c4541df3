"""What is asked of the ledger: lists by the page, newest first, and trends over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from risk.database import Connected
from risk.tables import runs


@dataclass(frozen=True)
class Listing:
    """One page of rows as plain values, and how many rows there are in all."""

    columns: list[str]
    items: list[dict[str, Any]]
    total: int


class Chronicle(Connected):
    """The part of the ledger that answers questions."""

    def list_runs(self, *, page: int, page_size: int, before_id: int | None) -> Listing:
        """Return runs, the newest first."""
        query = sa.select(runs)
        return self._page(query, runs.c.id, page=page, page_size=page_size, before_id=before_id)

    def _page(
        self,
        query: sa.Select[Any],
        number: sa.Column[Any],
        *,
        page: int,
        page_size: int,
        before_id: int | None,
    ) -> Listing:
        if before_id is not None:
            query = query.where(number < before_id)
        total = self._scalar(sa.select(sa.func.count()).select_from(query.subquery()))
        newest = query.order_by(number.desc()).limit(page_size).offset((page - 1) * page_size)
        columns = [column.name for column in query.selected_columns]
        items: list[Mapping[str, Any]] = [dict(row._mapping) for row in self._rows(newest)]
        return Listing(columns, [dict(item) for item in items], int(total or 0))
