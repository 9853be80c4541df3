"""Pagination: lists of rows, newest first, as plain values."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from risk.errors import UnknownName
from risk.ledger.database import Database, Query, Record


@dataclass(frozen=True)
class Part:
    """Selection of a list: a page, counted from 1, of the rows with IDs below `before_id`."""

    page: int = 1
    page_size: int = 20
    before_id: int | None = None


@dataclass(frozen=True)
class Listing:
    """One page of rows as plain values, and the total number of rows."""

    columns: list[str]
    items: list[dict[str, Any]]
    total: int


JSON_COLUMNS = {"distances", "comparison", "facts", "resolution_facts", "undeclared", "drill"}
NEWEST, EVERY = Part(), Part(page_size=100_000)


def page(
    database: Database, query: Query, number: sa.Column[Any], part: Part, **only: Any
) -> Listing:
    """Return a page of the rows whose columns equal the values in `only`; None matches any."""
    for name, value in only.items():
        if value is not None:
            query = query.where(number.table.c[name] == value)
    if part.before_id is not None:
        query = query.where(number < part.before_id)
    count = query.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)
    skipped = (part.page - 1) * part.page_size
    newest = query.order_by(number.desc()).limit(part.page_size).offset(skipped)
    columns = [column.name for column in query.selected_columns]
    items = [_plain(row) for row in database.rows(newest)]
    return Listing(columns, items, int(database.scalar(count)))


def only_item(found: Listing, name: str) -> dict[str, Any]:
    """Return the only row of a listing; raise UnknownName if it is empty."""
    if not found.items:
        raise UnknownName(f"there is no {name}")
    return found.items[0]


def _plain(row: Record) -> dict[str, Any]:
    """Return a row as JSON values: JSON columns parsed, numbers finite."""
    values = dict(row._mapping)
    for name in values.keys() & JSON_COLUMNS:
        values[name] = values[name] and json.loads(values[name], parse_constant=float)
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: Any) -> Any:
    """Replace non-finite numbers: NaN by None, infinity (evidence) by the largest float."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value)
