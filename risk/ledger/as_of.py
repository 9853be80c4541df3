"""The ledger as it was at the end of an earlier run: every question is answered as it was then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from risk.errors import UnknownName
from risk.ledger.database import Database, Query
from risk.ledger.ledger import Ledger
from risk.ledger.tables import incidents, ingestions, later_labels, metadata, runs

CHANGED_LATER = {"acknowledged_at", "resolved_at", "resolution"}


def as_of(ledger: Ledger, run_id: int) -> Ledger:
    """Return a ledger that knows what was known at the end of one run, and that is only read.

    Of incidents it forgets that they were closed later, not how often they were seen since.
    """
    found = ledger.runs.page(run_id=run_id).items
    if not found:
        raise UnknownName(f"there is no run {run_id}")
    moment: datetime = found[0]["ended_at"] or found[0]["started_at"]
    rewrite = partial(_rewritten, _past(run_id, moment))
    return Ledger(Database(ledger.engine, lambda: moment, rewrite=rewrite, read_only=True))


def _past(run_id: int, moment: datetime) -> dict[sa.Table, sa.Subquery]:
    """Select the rows each table had at the end of a run; tables that are not here have no date."""
    dated = [table for table in metadata.sorted_tables if "run_id" in table.c]
    past = {table: _until(table, run_id, moment) for table in dated}
    came = sa.select(past[ingestions].c.id)
    known = sa.select(later_labels).where(later_labels.c.ingestion_id.in_(came))
    past[later_labels] = known.subquery(later_labels.name)
    past[runs] = sa.select(runs).where(runs.c.id <= run_id).subquery(runs.name)
    return past


def _rewritten(past: Mapping[sa.Table, sa.Subquery], query: Query) -> Query:
    """Let a query read the past wherever it reads a table that has one."""

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, sa.Table):
            return past.get(element)
        if isinstance(element, sa.Column) and element.table in past:
            return past[element.table].c[element.name]
        return None

    return cast(Query, replacement_traverse(query, {}, replace))


def _until(table: sa.Table, run_id: int, moment: datetime) -> sa.Subquery:
    """Select what a run or an earlier one wrote, and what was done by hand until then."""
    when = next(column for column in table.c if column.name.endswith("_at"))
    by_hand = table.c.run_id.is_(None) & (when <= moment)
    columns = [_as_known(column, moment) for column in table.c]
    return sa.select(*columns).where((table.c.run_id <= run_id) | by_hand).subquery(table.name)


def _as_known(column: sa.Column[Any], moment: datetime) -> sa.ColumnElement[Any]:
    """Leave out of an incident what was done about it later."""
    if column.table is not incidents or column.name not in CHANGED_LATER:
        return column
    is_seen = column.name == "acknowledged_at"
    end = incidents.c.acknowledged_at if is_seen else incidents.c.resolved_at
    return sa.case((end <= moment, column)).label(column.name)
