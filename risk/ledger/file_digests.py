"""Digests of files that neither a manifest nor the record of a part covers, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from risk.ledger.database import Database, Record
from risk.ledger.tables import file_digests


@dataclass(frozen=True)
class FileDigests:
    """SHA-256 of files in quarantine, of reports, charts and scores."""

    database: Database

    def expected(self, names: Sequence[str] | None = None) -> dict[str, tuple[str, ...]]:
        """Return the digests each file may have: its own and, after a crash, the one before."""
        table = file_digests.c
        query = sa.select(table.name, table.sha256, table.replaced_sha256)
        rows: Iterable[Record] = (
            self.database.rows(query)
            if names is None
            else self.database.in_chunks(query, table.name, names)
        )
        return {row[0]: tuple(filter(None, row[1:])) for row in rows}

    def record(self, name: str, sha256: str, *, replaced: str | None = None) -> None:
        """Record the digest of a file about to be written, and that of the file it replaces."""
        with self.database.begin() as connection:
            remove(connection, [name])
            row = {"name": name, "sha256": sha256, "replaced_sha256": replaced}
            connection.execute(file_digests.insert().values(row))

    def remove(self, names: Sequence[str]) -> None:
        """Remove the digests of files."""
        with self.database.begin() as connection:
            remove(connection, names)


def add(connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Record the digests of new files, in the transaction in which they get their names."""
    remove(connection, [*digests])
    for name, sha256 in digests.items():
        connection.execute(file_digests.insert().values(name=name, sha256=sha256))


def remove(connection: sa.Connection, names: Iterable[str]) -> None:
    """Remove the digests of files."""
    connection.execute(file_digests.delete().where(file_digests.c.name.in_(list(names))))


def before(folder: str, number: int) -> sa.ColumnElement[bool]:
    """Select the files in the folders of smaller numbers within a folder."""
    name = file_digests.c.name
    return name.startswith(f"{folder}/", autoescape=True) & (name < f"{folder}/{number:08d}/")
