"""How far each source was read: its greatest mark, and which of the newest rows were taken."""

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
}
READ: dict[str, Callable[[str], Any]] = {
    "whole number": int,
    "number": float,
    "decimal": Decimal,
    "text": str,
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
}


MAX_AGAIN = 500_000  # their digests are one value, which a server takes up to 16 MB of


@dataclass(frozen=True)
class Watermark:
    """The greatest mark that was read, and digests of the rows the next fetch meets again."""

    source: str
    value: Any
    taken: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if type(self.value) not in KINDS:
            kind = type(self.value).__name__
            raise SourceError(f"a mark is a number, a time or a text, not {kind}")
        if self.taken.total() > MAX_AGAIN:
            raise SourceError(
                f"more than {MAX_AGAIN} rows would be read again; choose a finer mark, or less "
                "overlap"
            )


@dataclass(frozen=True)
class Watermarks:
    """The watermarks, one for each source."""

    database: Database

    def of(self, source: str) -> Watermark | None:
        """Return how far a source was read; None before its first rows."""
        table = watermarks.c
        rows = self.database.rows(sa.select(table.value, table.kind).where(table.source == source))
        if not rows:
            return None
        kept = json.loads(rows[0].value)
        return Watermark(source, READ[rows[0].kind](kept["mark"]), Counter(kept["taken"]))


def move(connection: sa.Connection, mark: Watermark, ingestion_id: int) -> None:
    """Note how far a source was read, in the transaction that accepts what was read."""
    kept = {"mark": str(mark.value), "taken": sorted(mark.taken.elements())}
    row = {"source": mark.source, "value": json.dumps(kept), "kind": KINDS[type(mark.value)]}
    connection.execute(watermarks.delete().where(watermarks.c.source == mark.source))
    connection.execute(watermarks.insert().values(row | {"ingestion_id": ingestion_id}))
