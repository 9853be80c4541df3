"""What came: drops, the rows and labels each brought, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from risk.data.drops import FROM_SQL
from risk.data.late_labels import LaterLabel
from risk.ledger import dataset_rows, watermarks
from risk.ledger.bulk import Values, insert_rows
from risk.ledger.database import Connected, Record, Row, insert_many
from risk.ledger.dataset_rows import StoredRow
from risk.ledger.tables import ingestions, later_labels, quarantined_rows, row_hashes, unripe_rows
from risk.ledger.watermarks import Watermark
from risk.schema import Problem


@dataclass(frozen=True)
class Taken:
    """What a drop brought.

    Accepted rows by their hashes, (row hash, key hash) of those whose label is still to come,
    labels that came later, problems; the accepted rows themselves if they are to be in SQL, and
    how far a source is read by this drop.
    """

    hashes: Sequence[int] = ()
    unripe: Sequence[tuple[int, int]] = ()
    labels: Sequence[LaterLabel] = ()
    problems: Sequence[Problem] = ()
    rows: Iterable[StoredRow] = ()
    mark: Watermark | None = None


NOTHING = Taken()


class Arrivals(Connected):
    """The part of the ledger that makes a drop count, once for ever."""

    def last_ingestion_id(self) -> int:
        """Return the newest ingestion's number, 0 before the first."""
        return int(self._scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)

    def taken_paths(self) -> list[str]:
        """Return the names of the files whose rows were taken."""
        is_file = ingestions.c.path.not_like(f"{FROM_SQL}%")
        taken = (ingestions.c.status == "taken") & is_file
        query = sa.select(ingestions.c.path).where(taken).distinct()
        return [row[0] for row in self._rows(query.order_by(ingestions.c.path))]

    def known_signatures(self, paths: Sequence[str]) -> set[tuple[Any, ...]]:
        """Return (path, size_bytes, mtime_ns, ctime_ns, inode) of what was seen under `paths`."""
        table = ingestions.c
        query = sa.select(table.path, table.size_bytes, table.mtime_ns, table.ctime_ns, table.inode)
        found = self._in_chunks(query, table.path, paths)
        return {(row[0], row[1], row[2], row[3], row[4]) for row in found}

    def seen(self, sha256: str) -> list[Record]:
        """Return id, path and status of the ingestions of the same bytes, oldest first."""
        table = ingestions.c
        query = sa.select(table.id, table.path, table.status).where(table.sha256 == sha256)
        return self._rows(query.order_by(table.id))

    def known_hashes(self, hashes: Sequence[int]) -> list[int]:
        """Return those of `hashes` whose rows were accepted before."""
        column = row_hashes.c.row_hash
        return [row[0] for row in self._in_chunks(sa.select(column), column, hashes)]

    def waiting(self, key_hashes: Sequence[int]) -> list[Record]:
        """Return key_hash, row_hash, ingestion_id of rows that wait for a label, oldest first."""
        table = unripe_rows.c
        query = sa.select(table.key_hash, table.row_hash, table.ingestion_id)
        found = self._in_chunks(query, table.key_hash, key_hashes)
        return sorted(found, key=lambda row: (row.ingestion_id, row.row_hash))

    def known_labels(self, key_hashes: Sequence[int]) -> list[Record]:
        """Return key_hash and y_true of labels that came later for rows of these names."""
        query = sa.select(later_labels.c.key_hash, later_labels.c.y_true)
        return list(self._in_chunks(query, later_labels.c.key_hash, key_hashes))

    def record_ingestion(
        self,
        row: Row,
        *,
        taken: Taken = NOTHING,
        requeued: int | None = None,
    ) -> None:
        """Commit a drop: from here on its rows are accepted, its refusals known, once for ever.

        `requeued` is the earlier ingestion whose quarantine this one empties.
        """
        number = row["id"]
        is_first = row["status"] == "taken" and not requeued
        once = {"taken_sha256": row["sha256"] if is_first else None}
        common = {"run_id": self.run_id, "ingested_at": self.now()}
        with self._begin() as connection:
            connection.execute(ingestions.insert().values({**common, **row, **once}))
            _accept(connection, number, taken)
            _ripen(connection, number, taken.labels)
            insert_many(connection, quarantined_rows, _quarantine(number, taken.problems))
            if taken.mark:
                watermarks.move(connection, taken.mark, number)
            if requeued:
                emptied = ingestions.update().where(ingestions.c.id == requeued)
                connection.execute(emptied.values(requeued_as=number))

    def was_requeued(self, ingestion_id: int) -> bool:
        """Tell whether what an ingestion quarantined was read again."""
        query = sa.select(ingestions.c.requeued_as).where(ingestions.c.id == ingestion_id)
        return self._scalar(query) is not None

    def refresh_signature(self, path: str, sha256: str, signature: Row) -> None:
        """Note that a known file was touched, so that it need not be read again."""
        same = (ingestions.c.path == path) & (ingestions.c.sha256 == sha256)
        with self._begin() as connection:
            connection.execute(ingestions.update().where(same).values(signature))


def _accept(connection: sa.Connection, number: int, taken: Taken) -> None:
    """Note the rows as accepted, and put them into SQL if they are to be there."""

    def insert(table: sa.Table, names: Sequence[str], rows: Iterable[Values]) -> None:
        insert_rows(connection, table, (*names, "ingestion_id"), ((*row, number) for row in rows))

    insert(row_hashes, ["row_hash"], ((row_hash,) for row_hash in taken.hashes))
    insert(unripe_rows, ["row_hash", "key_hash"], taken.unripe)
    dataset_rows.store_rows(connection, number, taken.rows)


def _ripen(connection: sa.Connection, number: int, labels: Sequence[LaterLabel]) -> None:
    """Put labels to rows that waited for them, in SQL as well if they are there."""
    if not labels:
        return
    names = (*LaterLabel._fields, "ingestion_id")
    insert_rows(connection, later_labels, names, ((*label, number) for label in labels))
    brought = later_labels.c.ingestion_id == number
    ripened = sa.select(later_labels.c.row_hash).where(brought)
    connection.execute(unripe_rows.delete().where(unripe_rows.c.row_hash.in_(ripened)))
    dataset_rows.label_rows(connection, brought)


def _quarantine(ingestion_id: int, problems: Iterable[Problem]) -> Iterator[Row]:
    for problem in problems:
        row = problem._asdict()
        yield {"ingestion_id": ingestion_id, "column_name": row.pop("column"), **row}
