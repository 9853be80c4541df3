"""Watermarks: how far each source was read, and which of its newest rows were taken."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from risk.errors import SourceError
from risk.ledger.database import Database
from risk.ledger.tables import watermarks

KINDS = {
    int: "whole number",
    float: "number",
    Decimal: "decimal",
    str: "text",
    datetime: "time",
    date: "date",
    type(None): "none",
}
READ: dict[str, Callable[[str], Any]] = {
    "whole number": int,
    "number": float,
    "decimal": Decimal,
    "text": str,
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "none": lambda _: None,
}


MAX_AGAIN = 500_000  # their digests are stored as one value, which may be limited to 16 MB


@dataclass(frozen=True)
class Watermark:
    """The greatest mark read, and digests of the taken rows that the next fetch reads again.

    `ahead` are digests of rows that were quarantined because their mark is in the future; the
    mark is None if there were no others yet.
    """

    source: str
    value: Any
    taken: Counter[int] = field(default_factory=Counter)
    ahead: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if type(self.value) not in KINDS:
            kind = type(self.value).__name__
            raise SourceError(f"high_water_mark must be a number, a time or a text, not {kind}")
        if self.taken.total() + self.ahead.total() > MAX_AGAIN:
            raise SourceError(
                f"more than {MAX_AGAIN} rows would be read again; choose a finer mark or a smaller "
                "overlap"
            )


@dataclass(frozen=True)
class Watermarks:
    """The watermarks, one per source."""

    database: Database

    def of(self, source: str) -> Watermark | None:
        """Return the watermark of a source, None before its first rows."""
        table = watermarks.c
        rows = self.database.rows(sa.select(table.value, table.kind).where(table.source == source))
        if not rows:
            return None
        state = json.loads(rows[0].value)
        value, ahead = READ[rows[0].kind](state["mark"]), Counter(state.get("ahead", ()))
        return Watermark(source, value, Counter(state["taken"]), ahead)


def move(connection: sa.Connection, mark: Watermark, ingestion_id: int) -> None:
    """Store the watermark of a source, in the transaction that accepts the rows read."""
    state = {"mark": str(mark.value), "taken": sorted(mark.taken.elements())}
    if mark.ahead:
        state["ahead"] = sorted(mark.ahead.elements())
    row = {"source": mark.source, "value": json.dumps(state), "kind": KINDS[type(mark.value)]}
    connection.execute(watermarks.delete().where(watermarks.c.source == mark.source))
    connection.execute(watermarks.insert().values(row | {"ingestion_id": ingestion_id}))
