"""The ledger as it stood at the end of an earlier run: every question answers what it did then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from risk.errors import UnknownName
from risk.ledger.database import Record
from risk.ledger.ledger import Ledger
from risk.ledger.tables import incidents, ingestions, later_labels, metadata, runs

CHANGED_LATER = {"acknowledged_at", "resolved_at", "resolution"}


class Hindsight(Ledger):
    """A ledger that reads what was known at the end of one run, and writes nothing.

    Of incidents it forgets that they were closed later, not how often they were seen since.
    """

    def __init__(self, ledger: Ledger, run_id: int) -> None:
        found = ledger.list_runs(run_id=run_id).items
        if not found:
            raise UnknownName(f"there is no run {run_id}")
        self.run = found[0]
        moment: datetime = self.run["ended_at"] or self.run["started_at"]
        super().__init__(ledger.engine, lambda: moment)
        dated = [table for table in metadata.sorted_tables if "run_id" in table.c]
        self._past = {table: _until(table, run_id, moment) for table in dated}
        came = sa.select(self._past[ingestions].c.id)
        known = sa.select(later_labels).where(later_labels.c.ingestion_id.in_(came))
        self._past[later_labels] = known.subquery(later_labels.name)
        self._past[runs] = sa.select(runs).where(runs.c.id <= run_id).subquery(runs.name)

    def _begin(self) -> NoReturn:
        raise TypeError("the past is only read")

    def _rows(self, query: sa.Select[Any]) -> list[Record]:
        return super()._rows(self._then(query))

    def _in_chunks(
        self, query: sa.Select[Any], column: sa.Column[Any], values: Sequence[Any]
    ) -> Iterator[Record]:
        return super()._in_chunks(self._then(query), self._then(column), values)

    def _then(self, element: Any) -> Any:
        """Let a query read the past wherever it reads a table that has one."""
        return replacement_traverse(element, {}, self._replace)

    def _replace(self, element: Any, **_: Any) -> Any:
        if isinstance(element, sa.Table):
            return self._past.get(element)
        if isinstance(element, sa.Column) and element.table in self._past:
            return self._past[element.table].c[element.name]
        return None


def _until(table: sa.Table, run_id: int, moment: datetime) -> sa.Subquery:
    """Select what a run or an earlier one wrote, and what was done by hand until then."""
    when = next(column for column in table.c if column.name.endswith("_at"))
    by_hand = table.c.run_id.is_(None) & (when <= moment)
    known = sa.select(*map(_as_known(moment), table.c) if table is incidents else table.c)
    return known.where((table.c.run_id <= run_id) | by_hand).subquery(table.name)


def _as_known(moment: datetime) -> Any:
    """Give what leaves out of an incident what was done about it later."""
    table = incidents.c
    ends = {"acknowledged_at": table.acknowledged_at}

    def known(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        if column.name not in CHANGED_LATER:
            return column
        end = ends.get(column.name, table.resolved_at)
        return sa.case((end <= moment, column)).label(column.name)

    return known
