"""Erasure of one person's rows, labels, predictions and refused cells, with the counts of drops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from risk.ledger.database import Database
from risk.ledger.tables import (
    dataset_rows,
    early_labels,
    ingestions,
    later_labels,
    predictions,
    quarantined_rows,
    row_hashes,
    superseded_rows,
    unripe_rows,
)

IS_ERASED = superseded_rows.c.ingestion_id == superseded_rows.c.row_ingestion_id


@dataclass(frozen=True)
class Person:
    """What the ledger knows of one person.

    `shown` is the identifier as refused cells in the `column` of identifiers show it, `key_hash`
    its hash. `rows` are the hashes of accepted rows by ingestion, `hashes` all their hashes, also
    those of other versions; `lines` are those of refused records by ingestion.
    """

    column: str
    shown: str
    key_hash: int
    rows: Mapping[int, Sequence[int]] = field(default_factory=dict)
    hashes: Sequence[int] = ()
    lines: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Erasure:
    """Deletes a person; a row in a part counts as superseded by its own drop until it is gone."""

    database: Database

    def erase(self, person: Person) -> dict[str, int]:
        """Delete everything in one transaction; return how many rows of which tables."""
        deleted = Counter[str]()
        with self.database.begin() as connection:
            _correct_counts(connection, person)
            for number, hashes in person.rows.items():
                n = _supersede(connection, number, hashes)
                _uncount(connection, number, ingestions.c.rows_added, n)
            for table, which in _theirs(person):
                deleted[table.name] += connection.execute(table.delete().where(which)).rowcount
        return {name: n for name, n in deleted.items() if n}

    def finish(self) -> None:
        """Forget the hashes of erased rows that are no longer in their parts."""
        is_done = IS_ERASED & superseded_rows.c.removed_at.is_not(None)
        self.database.execute(superseded_rows.delete().where(is_done))

    def overwrite(self) -> bool:
        """Leave nothing of deleted rows in a SQLite file; return whether that was possible.

        A server reuses their space by itself. Another process that reads keeps the log in use.
        """
        if self.database.engine.dialect.name != "sqlite":
            return True
        with self.database.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("VACUUM")
            (busy, *_) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


def _supersede(connection: sa.Connection, number: int, hashes: Sequence[int]) -> int:
    """Let the next update of the derived files remove rows from their part; count the new ones."""
    table = superseded_rows.c
    known = {*connection.scalars(sa.select(table.row_hash).where(table.row_hash.in_(hashes)))}
    own = {"row_ingestion_id": number, "ingestion_id": number}
    if new := [own | {"row_hash": row_hash} for row_hash in hashes if row_hash not in known]:
        connection.execute(superseded_rows.insert(), new)
    return len(new)


def _theirs(person: Person) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Yield what to delete from which table."""
    for table in (row_hashes, unripe_rows, later_labels, predictions, dataset_rows):
        yield table, table.c.row_hash.in_(person.hashes)
    for table in (unripe_rows, later_labels, early_labels):
        yield table, table.c.key_hash == person.key_hash
    cells = quarantined_rows.c
    for number, lines in person.lines.items():
        yield quarantined_rows, (cells.ingestion_id == number) & cells.line.in_(lines)
    yield quarantined_rows, (cells.column_name == person.column) & (cells.value == person.shown)


def _correct_counts(connection: sa.Connection, person: Person) -> None:
    """Reduce the counts of drops by the refused records and the labels of the person."""
    cells = quarantined_rows.c
    for number, lines in person.lines.items():
        present = (cells.ingestion_id == number) & cells.line.in_(lines)
        different = sa.select(sa.func.count(cells.line.distinct())).where(present)
        n_refused = connection.scalar(different) or 0
        _uncount(connection, number, ingestions.c.rows_quarantined, n_refused)
    labels, last = later_labels.c, ingestions.c.unfinished_row_hash
    which = labels.row_hash.in_(person.hashes) | (labels.key_hash == person.key_hash)
    of_labels = sa.select(ingestions.c.id).where(ingestions.c.kind == "labels")
    query = sa.select(labels.ingestion_id, sa.func.count()).where(which)
    counted = query.where(labels.ingestion_id.in_(of_labels)).group_by(labels.ingestion_id)
    for number, n in list(connection.execute(counted)):
        _uncount(connection, number, ingestions.c.rows_added, n)
    unfinished = ingestions.update().where(last.in_(person.hashes))
    connection.execute(unfinished.values(unfinished_row_hash=None))


def _uncount(connection: sa.Connection, number: int, column: sa.Column[int], n: int) -> None:
    fewer = {column: column - n, ingestions.c.rows_read: ingestions.c.rows_read - n}
    connection.execute(ingestions.update().where(ingestions.c.id == number).values(fewer))
