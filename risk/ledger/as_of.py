"""The ledger as of the end of an earlier run: every query returns what it returned then."""

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

CHANGED_LATER = {
    "acknowledged_at",
    "resolved_at",
    "resolution",
    "resolution_code",
    "resolution_facts",
}


def as_of(ledger: Ledger, run_id: int) -> Ledger:
    """Return a read-only view of the ledger as of the end of a run.

    Incidents lose a later acknowledgement or resolution, but keep their latest `times_seen`.
    """
    found = ledger.runs.page(run_id=run_id).items
    if not found:
        raise UnknownName(f"there is no run {run_id}")
    moment: datetime = found[0]["ended_at"] or found[0]["started_at"]
    rewrite = partial(_rewritten, _past(run_id, moment))
    return Ledger(Database(ledger.engine, lambda: moment, rewrite=rewrite, read_only=True))


def _past(run_id: int, moment: datetime) -> dict[sa.Table, sa.Subquery]:
    """Return a subquery of each dated table's rows at the end of a run."""
    dated = [table for table in metadata.sorted_tables if "run_id" in table.c]
    past = {table: _until(table, run_id, moment) for table in dated}
    ingested = sa.select(past[ingestions].c.id)
    known = sa.select(later_labels).where(later_labels.c.ingestion_id.in_(ingested))
    past[later_labels] = known.subquery(later_labels.name)
    past[runs] = sa.select(runs).where(runs.c.id <= run_id).subquery(runs.name)
    return past


def _rewritten(past: Mapping[sa.Table, sa.Subquery], query: Query) -> Query:
    """Replace each table in a query by its subquery in `past`, if there is one."""

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, sa.Table):
            return past.get(element)
        if isinstance(element, sa.Column) and element.table in past:
            return past[element.table].c[element.name]
        return None

    return cast(Query, replacement_traverse(query, {}, replace))


def _until(table: sa.Table, run_id: int, moment: datetime) -> sa.Subquery:
    """Select the rows written by a run or earlier ones, and by hand until `moment`."""
    when = next(column for column in table.c if column.name.endswith("_at"))
    by_hand = table.c.run_id.is_(None) & (when <= moment)
    columns = [_as_known(column, moment) for column in table.c]
    return sa.select(*columns).where((table.c.run_id <= run_id) | by_hand).subquery(table.name)


def _as_known(column: sa.Column[Any], moment: datetime) -> sa.ColumnElement[Any]:
    """Blank what was done about an incident after `moment`."""
    if column.table is not incidents or column.name not in CHANGED_LATER:
        return column
    is_acknowledgement = column.name == "acknowledged_at"
    end = incidents.c.acknowledged_at if is_acknowledgement else incidents.c.resolved_at
    return sa.case((end <= moment, column)).label(column.name)
