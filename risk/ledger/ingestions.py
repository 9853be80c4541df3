"""Ingestions: each drop received, and the outcome for its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from risk.errors import BusyError
from risk.lazily import pandas as pd
from risk.ledger import dataset_rows, file_digests, labels, quarantine, watermarks
from risk.ledger.database import (
    Database,
    Numbers,
    Query,
    Record,
    Row,
    insert_numbers,
    insert_rows,
)
from risk.ledger.dataset_rows import StoredRow
from risk.ledger.parts import ADDED_ROWS
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import dataset_rows as dataset_rows_table
from risk.ledger.tables import (
    ingestions,
    row_hashes,
    superseded_rows,
    unripe_rows,
)
from risk.ledger.watermarks import Watermark
from risk.schema import FROM_SQL, EarlyLabel, Key, LaterLabel, Problem, UnripeRow

HASH_VERSION = 2  # equal times are equal moments; before, equal texts
NOT_LISTED = {
    "part_sha256", "taken_sha256", "mtime_ns", "ctime_ns", "inode", "hash_version",
    "unfinished_row_hash", "compiled_bytes", "compiled_sha256", "continues",
}  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """The content of a drop.

    Hashes of the accepted rows; those without a label yet; late labels; labels that wait for
    their rows, and the IDs of those that wait no longer; problems, and the digests of the files in
    quarantine; the accepted rows themselves if they are to be stored in SQL; rows, with their
    ingestions, that this drop supersedes; and the watermark of the source after this drop.
    """

    hashes: Sequence[int] = ()
    unripe: Iterable[UnripeRow] = ()
    labels: Sequence[LaterLabel] = ()
    early: Sequence[EarlyLabel] = ()
    used: Sequence[int] = ()
    problems: Sequence[Problem] = ()
    refused_files: Mapping[str, str] = field(default_factory=dict)
    rows: Iterable[StoredRow] = ()
    superseded: Sequence[tuple[int, int]] = ()
    mark: Watermark | None = None


NOTHING = Taken()


@dataclass(frozen=True)
class Ingestions:
    """The drops received; each counts exactly once."""

    database: Database

    def record(
        self,
        row: Row,
        *,
        taken: Taken = NOTHING,
        following: Sequence[tuple[Row, Taken]] = (),
        requeued: int | None = None,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        """Record a drop in one transaction, which accepts its rows exactly once.

        `following` are the other ingestions of a drop of very many rows; `requeued` is the earlier
        one whose quarantined rows were read again; `publish` is called once the numbers are taken,
        so that no other run has them.
        """
        number = row["id"]
        is_first = row["status"] == "taken" and not requeued
        once = {"taken_sha256": row["sha256"] if is_first else None}
        common = {"run_id": self.database.run_id, "ingested_at": self.database.now()}
        common |= {"hash_version": HASH_VERSION}
        with self.database.begin() as connection:
            try:
                for each in ({**row, **once}, *(later for later, _ in following)):
                    connection.execute(ingestions.insert().values({**common, **each}))
            except IntegrityError:
                raise BusyError(
                    f"another run recorded ingestion {number}, or this drop, at the same time; "
                    "run again"
                ) from None
            publish()
            for each, added in ((row, taken), *following):
                _accept(connection, each["id"], added)
                labels.add(connection, each["id"], added.labels)
            labels.release(connection, taken.used, of=requeued)
            labels.hold(connection, number, taken.early)
            quarantine.add(connection, number, taken.problems)
            file_digests.add(connection, taken.refused_files)
            _supersede(connection, number, taken.superseded)
            if taken.mark:
                watermarks.move(connection, taken.mark, number)
            if requeued:
                emptied = ingestions.update().where(ingestions.c.id == requeued)
                connection.execute(emptied.values(requeued_as=number))

    def came_at(self, number: int) -> datetime:
        """Return when an ingestion took place."""
        query = sa.select(ingestions.c.ingested_at).where(ingestions.c.id == number)
        moment: datetime = self.database.scalar(query)
        return moment

    def arrivals(self, numbers: Sequence[int]) -> dict[int, datetime]:
        """Return when each of these ingestions took place."""
        query = sa.select(ingestions.c.id, ingestions.c.ingested_at)
        return {row[0]: row[1] for row in self.database.in_chunks(query, ingestions.c.id, numbers)}

    def last_id(self) -> int:
        """Return the ID of the newest ingestion, 0 before the first."""
        return int(self.database.scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)

    @contextmanager
    def unchanging(self) -> Iterator[int]:
        """Yield the ID of the newest ingestion; until the end no other can be recorded."""
        with self.database.begin() as connection:
            connection.execute(ingestions.update().where(ingestions.c.id < 0).values(reason=None))
            yield int(connection.scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)

    def path_of(self, ingestion_id: int) -> str:
        """Return the name of the drop of an ingestion."""
        query = sa.select(ingestions.c.path).where(ingestions.c.id == ingestion_id)
        return str(self.database.scalar(query))

    def taken_paths(self) -> list[str]:
        """Return the names of the files whose rows were taken."""
        is_file = ingestions.c.path.not_like(f"{FROM_SQL}%")
        taken = (ingestions.c.status == "taken") & is_file
        query = sa.select(ingestions.c.path).where(taken).distinct()
        return [row[0] for row in self.database.rows(query.order_by(ingestions.c.path))]

    def known_signatures(self, paths: Sequence[str]) -> set[tuple[Any, ...]]:
        """Return (path, size_bytes, mtime_ns, ctime_ns, inode) of the ingestions of `paths`."""
        table = ingestions.c
        query = sa.select(table.path, table.size_bytes, table.mtime_ns, table.ctime_ns, table.inode)
        found = self.database.in_chunks(query, table.path, paths)
        return {(row[0], row[1], row[2], row[3], row[4]) for row in found}

    def refresh_signature(self, path: str, sha256: str, signature: Row) -> None:
        """Update the signature of a known file, so that it need not be read again."""
        same = (ingestions.c.path == path) & (ingestions.c.sha256 == sha256)
        self.database.execute(ingestions.update().where(same).values(signature))

    def with_content(self, sha256: str) -> list[Record]:
        """Return id, path and status of the ingestions with this content, oldest first."""
        table = ingestions.c
        query = sa.select(table.id, table.path, table.status).where(table.sha256 == sha256)
        return self.database.rows(query.order_by(table.id))

    def known_hashes(self, hashes: Numbers) -> list[int]:
        """Return those of `hashes` whose rows were accepted before."""
        return list(self.database.among(row_hashes.c.row_hash, hashes))

    def unfinished(self, *, smaller_than: int) -> list[Record]:
        """Return the ingestions of smaller files whose last row may be unfinished, newest first."""
        table, newest = ingestions.c, 1000
        query = sa.select(table.id, table.size_bytes, table.sha256, table.unfinished_row_hash)
        superseded = sa.select(superseded_rows.c.row_hash)
        row = table.unfinished_row_hash
        is_open = row.is_not(None) & row.not_in(superseded)
        found = query.where(is_open & (table.size_bytes < smaller_than))
        return self.database.rows(found.order_by(table.id.desc()).limit(newest))

    def hashed_before(self) -> list[int]:
        """Return the ingestions of rows whose hashes and keys are those of an earlier version."""
        return self._ids(
            sa.select(ingestions.c.id).where(ADDED_ROWS & ingestions.c.hash_version.is_(None))
        )

    def rehash(self, number: int, hashes: Iterable[int], keys: Mapping[int, Key]) -> None:
        """Add hashes of the rows of an ingestion, and replace the keys of those with late labels.

        `keys` are by the hash a row was accepted under.
        """
        wanted = set(hashes)
        new = wanted.difference(self.known_hashes(list(wanted)))
        with self.database.begin() as connection:
            columns = ("row_hash", "ingestion_id")
            insert_rows(connection, row_hashes, columns, ((row_hash, number) for row_hash in new))
            labels.replace_keys(connection, number, keys)
            this = ingestions.update().where(ingestions.c.id == number)
            connection.execute(this.values(hash_version=HASH_VERSION))

    def was_requeued(self, ingestion_id: int) -> bool:
        """Return whether the quarantined rows of an ingestion were read again."""
        query = sa.select(ingestions.c.requeued_as).where(ingestions.c.id == ingestion_id)
        return self.database.scalar(query) is not None

    def with_quarantine(self, *, after: int = 0, limit: int | None = None) -> list[int]:
        """Return the ingestions with refused rows not requeued yet, oldest first."""
        table = ingestions.c
        is_refused = (table.rows_quarantined > 0) | (table.status == "refused")
        waiting = is_refused & table.requeued_as.is_(None) & (table.id > after)
        return self._ids(sa.select(table.id).where(waiting).limit(limit))

    def after(self, ingestion_id: int) -> list[Record]:
        """Return the ingestions after one, oldest first."""
        query = sa.select(ingestions).where(ingestions.c.id > ingestion_id)
        return self.database.rows(query.order_by(ingestions.c.id))

    def pending(self) -> list[int]:
        """Return the ingestions that added rows or labels not yet considered by a decision."""
        undecided = ingestions.c.decision_id.is_(None) & (ingestions.c.rows_added > 0)
        return self._ids(sa.select(ingestions.c.id).where(undecided))

    def unassessed(self) -> list[Record]:
        """Return the ingestions of any kind neither assessed nor decided on yet, oldest first."""
        new = ingestions.c.decision_id.is_(None) & ingestions.c.assessment_id.is_(None)
        return self.database.rows(sa.select(ingestions).where(new).order_by(ingestions.c.id))

    def rows_after(self, ingestion_id: int) -> int:
        """Count the rows accepted after an ingestion."""
        query = sa.select(sa.func.sum(ingestions.c.rows_added))
        later = ADDED_ROWS & (ingestions.c.id > ingestion_id)
        return int(self.database.scalar(query.where(later)) or 0)

    def whole(self, numbers: Sequence[int]) -> list[Record]:
        """Return the drops that begin with one of these ingestions, oldest first."""
        return sorted(self.database.in_chunks(_drops(), ingestions.c.id, numbers))

    def history(self, *, newest: int) -> pd.DataFrame:
        """Return the newest drops as a data frame, oldest first."""
        query = _drops().order_by(ingestions.c.id.desc()).limit(newest)
        return self.database.frame(query)[::-1].reset_index(drop=True)

    def latest(self, n: int) -> list[Record]:
        """Return the newest drops, oldest first."""
        return self.database.rows(_drops().order_by(ingestions.c.id.desc()).limit(n))[::-1]

    def latest_used(self, n: int, *, after: int, before: int | None = None) -> list[Record]:
        """Return id and kind of the newest ingestions that added rows or labels, newest first."""
        query = sa.select(ingestions.c.id, ingestions.c.kind).order_by(ingestions.c.id.desc())
        is_used = (ingestions.c.rows_added > 0) & (ingestions.c.id > after)
        if before is not None:
            is_used &= ingestions.c.id < before
        return self.database.rows(query.where(is_used).limit(n))

    def page(
        self, part: Part = NEWEST, *, run_id: int | None = None, status: str | None = None
    ) -> Listing:
        """Return a page of drops, with the outcome for their rows."""
        query = _drops(*(column for column in ingestions.c if column.name not in NOT_LISTED))
        return page(self.database, query, ingestions.c.id, part, run_id=run_id, status=status)

    def _ids(self, query: Query) -> list[int]:
        return [row[0] for row in self.database.rows(query.order_by(ingestions.c.id))]


def _drops(*columns: sa.Column[Any]) -> Query:
    """Select drops: of one with several ingestions the first, with the rows of all of them."""
    others = ingestions.alias()

    def of_all(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        if column.name not in ("rows_read", "rows_added"):
            return column
        rest = sa.select(sa.func.sum(others.c[column.name]))
        rest = rest.where(others.c.continues == ingestions.c.id)
        n_more = sa.func.coalesce(rest.scalar_subquery(), 0)
        return (column + sa.cast(n_more, sa.BigInteger)).label(column.name)

    selected = sa.select(*map(of_all, columns or ingestions.c))
    return selected.where(ingestions.c.continues.is_(None))


def mark_assessed(connection: sa.Connection, numbers: Sequence[int], *, assessment_id: int) -> None:
    """Record the assessment of these ingestions, in its transaction."""
    looked_at = ingestions.update().where(ingestions.c.id.in_(numbers))
    connection.execute(looked_at.values(assessment_id=assessment_id))


def mark_decided(connection: sa.Connection, *, through: int, decision_id: int) -> None:
    """Record the decision that considered the ingestions up to one, in its transaction."""
    looked_at = (ingestions.c.id <= through) & ingestions.c.decision_id.is_(None)
    connection.execute(ingestions.update().where(looked_at).values(decision_id=decision_id))


def _supersede(
    connection: sa.Connection, number: int, superseded: Sequence[tuple[int, int]]
) -> None:
    """Record a correction: these rows no longer count; their hashes stay known."""
    for row_hash, of in superseded:
        row = {"row_hash": row_hash, "row_ingestion_id": of, "ingestion_id": number}
        connection.execute(superseded_rows.insert().values(row))
        for table in (unripe_rows, dataset_rows_table):
            connection.execute(table.delete().where(table.c.row_hash == row_hash))


def _accept(connection: sa.Connection, number: int, taken: Taken) -> None:
    """Record the accepted rows, and store them in SQL if `taken` contains them."""
    # in order, an index of random numbers grows about three times as fast
    ordered = np.sort(np.asarray(taken.hashes, "int64"))
    insert_numbers(connection, row_hashes.c.row_hash, ordered, ingestion_id=number)
    waiting = ((*row, number) for row in taken.unripe)
    insert_rows(connection, unripe_rows, (*UnripeRow._fields, "ingestion_id"), waiting)
    dataset_rows.store_rows(connection, number, taken.rows)
