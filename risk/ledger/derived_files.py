"""Derived files: the last ingestion each of them includes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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
        self,
        name: str,
        *,
        ingestion_id: int,
        size_bytes: int,
        added: Mapping[int, Added] = MappingProxyType({}),
    ) -> None:
        """Record the last ingestion a file includes, its size then, and what was added by each."""
        row = {"name": name, "ingestion_id": ingestion_id, "size_bytes": size_bytes}
        with self.database.begin() as connection:
            connection.execute(derived_files.delete().where(derived_files.c.name == name))
            connection.execute(derived_files.insert().values(row))
            for number, (n_bytes, sha256) in added.items():
                this = ingestions.update().where(ingestions.c.id == number)
                connection.execute(this.values(compiled_bytes=n_bytes, compiled_sha256=sha256))
