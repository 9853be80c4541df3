"""Ingestions: each drop received, and the outcome for its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from risk.ledger import dataset_rows, labels, quarantine, watermarks
from risk.ledger.database import Database, Query, Record, Row, Values, insert_rows
from risk.ledger.dataset_rows import StoredRow
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import (
    assessments,
    findings,
    incidents,
    ingestions,
    row_hashes,
    unripe_rows,
)
from risk.ledger.watermarks import Watermark
from risk.schema import FROM_SQL, LaterLabel, Problem

NOT_LISTED = {"part_sha256", "taken_sha256", "mtime_ns", "ctime_ns", "inode"}


@dataclass(frozen=True)
class Taken:
    """The content of a drop.

    Hashes of the accepted rows; (row hash, key hash) of those without a label yet; late labels;
    problems; the accepted rows themselves if they are to be stored in SQL; and the watermark of
    the source after this drop.
    """

    hashes: Sequence[int] = ()
    unripe: Sequence[tuple[int, int]] = ()
    labels: Sequence[LaterLabel] = ()
    problems: Sequence[Problem] = ()
    rows: Iterable[StoredRow] = ()
    mark: Watermark | None = None


NOTHING = Taken()


@dataclass(frozen=True)
class Ingestions:
    """The drops received; each counts exactly once."""

    database: Database

    def record(self, row: Row, *, taken: Taken = NOTHING, requeued: int | None = None) -> None:
        """Record a drop in one transaction, which accepts its rows exactly once.

        `requeued` is the earlier ingestion whose quarantined rows were read again.
        """
        number = row["id"]
        is_first = row["status"] == "taken" and not requeued
        once = {"taken_sha256": row["sha256"] if is_first else None}
        common = {"run_id": self.database.run_id, "ingested_at": self.database.now()}
        with self.database.begin() as connection:
            connection.execute(ingestions.insert().values({**common, **row, **once}))
            _accept(connection, number, taken)
            labels.add(connection, number, taken.labels)
            quarantine.add(connection, number, taken.problems)
            if taken.mark:
                watermarks.move(connection, taken.mark, number)
            if requeued:
                emptied = ingestions.update().where(ingestions.c.id == requeued)
                connection.execute(emptied.values(requeued_as=number))

    def last_id(self) -> int:
        """Return the ID of the newest ingestion, 0 before the first."""
        return int(self.database.scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)

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

    def known_hashes(self, hashes: Sequence[int]) -> list[int]:
        """Return those of `hashes` whose rows were accepted before."""
        column = row_hashes.c.row_hash
        return [row[0] for row in self.database.in_chunks(sa.select(column), column, hashes)]

    def was_requeued(self, ingestion_id: int) -> bool:
        """Return whether the quarantined rows of an ingestion were read again."""
        query = sa.select(ingestions.c.requeued_as).where(ingestions.c.id == ingestion_id)
        return self.database.scalar(query) is not None

    def after(self, ingestion_id: int) -> list[Record]:
        """Return the ingestions after one, oldest first."""
        query = sa.select(ingestions).where(ingestions.c.id > ingestion_id)
        return self.database.rows(query.order_by(ingestions.c.id))

    def part_digests(self, ingestion_ids: Sequence[int]) -> dict[int, str]:
        """Return the SHA-256 of the parts of these ingestions, as far as they were recorded."""
        table = ingestions.c
        query = sa.select(table.id, table.part_sha256).where(table.part_sha256.is_not(None))
        return {row[0]: row[1] for row in self.database.in_chunks(query, table.id, ingestion_ids)}

    def parts(self) -> list[int]:
        """Return the ingestions that added rows (not only late labels), oldest first."""
        return self._ids(sa.select(ingestions.c.id).where(_added_rows()))

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
        later = _added_rows() & (ingestions.c.id > ingestion_id)
        return int(self.database.scalar(query.where(later)) or 0)

    def doubtful(self, max_in_a_row: int) -> set[int]:
        """Return the ingestions in which a feature was broken, unless that has become normal.

        After `max_in_a_row` consecutive requests for attention it counts as normal.
        """
        found = (findings.c.check_name == "data_quality") & findings.c.drift_detected
        broken = found & findings.c.method.in_(("e_detector", "constant"))
        query = (
            sa.select(ingestions.c.id, findings.c.feature)
            .join_from(ingestions, assessments, ingestions.c.assessment_id == assessments.c.id)
            .join(findings, findings.c.run_id == assessments.c.run_id)
            .where(broken)
        )
        normal = self._normal(max_in_a_row)
        rows = self.database.rows(query.distinct())
        return {number for number, feature in rows if (feature, number) not in normal}

    def history(self, *, newest: int) -> pd.DataFrame:
        """Return the newest ingestions, oldest first."""
        query = sa.select(ingestions).order_by(ingestions.c.id.desc()).limit(newest)
        return self.database.frame(query)[::-1].reset_index(drop=True)

    def page(
        self, part: Part = NEWEST, *, run_id: int | None = None, status: str | None = None
    ) -> Listing:
        """Return a page of drops, with the outcome for their rows."""
        query = sa.select(*(column for column in ingestions.c if column.name not in NOT_LISTED))
        return page(self.database, query, ingestions.c.id, part, run_id=run_id, status=status)

    def _ids(self, query: Query) -> list[int]:
        return [row[0] for row in self.database.rows(query.order_by(ingestions.c.id))]

    def _normal(self, max_in_a_row: int) -> set[tuple[str, int]]:
        """Return (feature, ingestion) where a feature was broken for so long that it is normal."""
        table = incidents.c
        lasting = (table.kind == "data_quality") & (table.times_seen > max_in_a_row)
        ranges = sa.select(table.subject, table.since_ingestion_id, table.last_ingestion_id)
        return {
            (feature, number)
            for feature, first, last in self.database.rows(
                ranges.where(lasting & table.since_ingestion_id.is_not(None))
            )
            for number in range(first, last + 1)
        }


def mark_assessed(connection: sa.Connection, numbers: Sequence[int], *, assessment_id: int) -> None:
    """Record the assessment of these ingestions, in its transaction."""
    looked_at = ingestions.update().where(ingestions.c.id.in_(numbers))
    connection.execute(looked_at.values(assessment_id=assessment_id))


def mark_decided(connection: sa.Connection, *, through: int, decision_id: int) -> None:
    """Record the decision that considered the ingestions up to one, in its transaction."""
    looked_at = (ingestions.c.id <= through) & ingestions.c.decision_id.is_(None)
    connection.execute(ingestions.update().where(looked_at).values(decision_id=decision_id))


def _accept(connection: sa.Connection, number: int, taken: Taken) -> None:
    """Record the accepted rows, and store them in SQL if `taken` contains them."""

    def insert(table: sa.Table, names: Sequence[str], rows: Iterable[Values]) -> None:
        insert_rows(connection, table, (*names, "ingestion_id"), ((*row, number) for row in rows))

    insert(row_hashes, ["row_hash"], ((row_hash,) for row_hash in taken.hashes))
    insert(unripe_rows, ["row_hash", "key_hash"], taken.unripe)
    dataset_rows.store_rows(connection, number, taken.rows)


def _added_rows() -> sa.ColumnElement[bool]:
    return (ingestions.c.rows_added > 0) & (ingestions.c.kind == "rows")
