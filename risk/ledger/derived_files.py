"""Derived files: the last ingestion each of them includes."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from risk.ledger.database import Database
from risk.ledger.tables import derived_files


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

    def record(self, name: str, *, ingestion_id: int, size_bytes: int) -> None:
        """Record the last ingestion a file includes, and its size then."""
        row = {"name": name, "ingestion_id": ingestion_id, "size_bytes": size_bytes}
        with self.database.begin() as connection:
            connection.execute(derived_files.delete().where(derived_files.c.name == name))
            connection.execute(derived_files.insert().values(row))
