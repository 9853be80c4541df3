"""Derived files: the last ingestion each of them includes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from risk.ledger.database import Database
from risk.ledger.tables import derived_files, ingestions


class Added(NamedTuple):
    """The text of one ingestion in a file: its length and digest."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class DerivedFiles:
    """The files derived from the accepted rows, by name."""

    database: Database

    def state(self, name: str) -> tuple[int, int]:
        """Return the last ingestion in a file, and its size in bytes; zeros if unknown."""
        table = derived_files.c
        query = sa.select(table.ingestion_id, table.size_bytes).where(table.name == name)
        rows = self.database.rows(query)
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def record(
        self, name: str, *, ingestion_id: int, size_bytes: int, added: Added | None = None
    ) -> None:
        """Record the last ingestion a file includes, its size then, and what its rows are in it."""
        row = {"name": name, "ingestion_id": ingestion_id, "size_bytes": size_bytes}
        with self.database.begin() as connection:
            connection.execute(derived_files.delete().where(derived_files.c.name == name))
            connection.execute(derived_files.insert().values(row))
            if added:
                this = ingestions.update().where(ingestions.c.id == ingestion_id)
                compiled = {"compiled_bytes": added.size_bytes, "compiled_sha256": added.sha256}
                connection.execute(this.values(compiled))
