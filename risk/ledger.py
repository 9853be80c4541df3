"""Everything that happened: each SQL statement of the project is in this file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd
import sqlalchemy as sa

from risk import database
from risk.casebook import Casebook
from risk.chronicle import Chronicle
from risk.config import Config
from risk.database import Record, Row, insert, insert_many
from risk.labels import LaterLabel
from risk.outbox import Outbox
from risk.schema import Problem
from risk.tables import (
    column_statistics,
    decisions,
    derived_files,
    ingestions,
    quarantined_rows,
    releases,
    row_hashes,
    runs,
    scores,
    stage_timings,
    unripe_rows,
)


@dataclass(frozen=True)
class Taken:
    """What a drop brought.

    Accepted rows by their hashes, (row hash, key hash) of those whose label is still to come,
    labels that came later, and problems.
    """

    hashes: Sequence[int] = ()
    unripe: Sequence[tuple[int, int]] = ()
    labels: Sequence[LaterLabel] = ()
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Judgement:
    """What the gate compared, as JSON, and the release that comes of it."""

    comparison: str | None = None
    release: Row | None = None


NOTHING, NOT_JUDGED = Taken(), Judgement()


def utc_now() -> datetime:
    """Tell the time of the machine, with its zone."""
    return datetime.now(UTC)


class Ledger(Casebook, Chronicle, Outbox):
    """One open database; every method is one transaction, so a crash leaves no half of it."""

    @classmethod
    @contextmanager
    def open(
        cls, config: Config, *, clock: Callable[[], datetime] = utc_now, upgrade: bool = True
    ) -> Iterator[Self]:
        """Connect, bring an older SQLite ledger to this version, and close at the end.

        Without `upgrade`, for those who only ask, nothing is created or changed.
        """
        with database.connected(config, upgrade=upgrade) as engine:
            yield cls(engine, clock)

    def start_run(self) -> int:
        """Begin a run; one that never ended was cut off by a crash and is called aborted."""
        with self._begin() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.status == "running")
                .values(status="aborted", ended_at=self.now(), outcome="cut off before its end")
            )
            self.run_id = insert(connection, runs, started_at=self.now(), status="running")
            return self.run_id

    def end_run(self, status: str, outcome: str) -> None:
        """Close the current run with its one-line outcome."""
        with self._begin() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.id == self.run_id)
                .values(status=status, ended_at=self.now(), outcome=outcome)
            )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside and record how it ended; a failed stage is not a timing."""
        started_at, begin = self.now(), time.monotonic()
        outcome = "failed"
        try:
            yield
            outcome = "ok"
        finally:
            seconds = time.monotonic() - begin
            row = {"run_id": self.run_id, "stage": name, "started_at": started_at}
            self._write(stage_timings, [row | {"duration_seconds": seconds, "outcome": outcome}])

    def timings(self) -> pd.DataFrame:
        """Return stage and duration_seconds of every stage that succeeded, oldest first."""
        table = stage_timings.c
        query = sa.select(table.stage, table.started_at, table.duration_seconds)
        return self._frame(query.where(table.outcome == "ok").order_by(table.id))

    def taken_paths(self) -> list[str]:
        """Return the names of the drops whose rows were taken."""
        query = sa.select(ingestions.c.path).where(ingestions.c.status == "taken").distinct()
        return [row[0] for row in self._rows(query.order_by(ingestions.c.path))]

    def last_ingestion_id(self) -> int:
        """Return the newest ingestion's number, 0 before the first."""
        return int(self._scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)

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
        ingestion_id = row["id"]
        is_first = row["status"] == "taken" and not requeued
        once = {"taken_sha256": row["sha256"] if is_first else None}
        common = {"run_id": self.run_id, "ingested_at": self.now()}
        own = {"ingestion_id": ingestion_id}
        with self._begin() as connection:
            connection.execute(ingestions.insert().values({**common, **row, **once}))
            insert_many(connection, row_hashes, ({"row_hash": h, **own} for h in taken.hashes))
            insert_many(
                connection,
                unripe_rows,
                (
                    dict(zip(("row_hash", "key_hash"), pair, strict=True)) | own
                    for pair in taken.unripe
                ),
            )
            self.ripen(connection, ingestion_id, taken.labels)
            insert_many(connection, quarantined_rows, _quarantine(ingestion_id, taken.problems))
            if requeued:
                emptied = ingestions.update().where(ingestions.c.id == requeued)
                connection.execute(emptied.values(requeued_as=ingestion_id))

    def was_requeued(self, ingestion_id: int) -> bool:
        """Tell whether what an ingestion quarantined was read again."""
        query = sa.select(ingestions.c.requeued_as).where(ingestions.c.id == ingestion_id)
        return self._scalar(query) is not None

    def refresh_signature(self, path: str, sha256: str, signature: Row) -> None:
        """Note that a known file was touched, so that it need not be read again."""
        same = (ingestions.c.path == path) & (ingestions.c.sha256 == sha256)
        with self._begin() as connection:
            connection.execute(ingestions.update().where(same).values(signature))

    def ingestions_after(self, ingestion_id: int) -> list[Record]:
        """Return the ingestions that came later, oldest first."""
        query = sa.select(ingestions).where(ingestions.c.id > ingestion_id)
        return self._rows(query.order_by(ingestions.c.id))

    def parts(self) -> list[int]:
        """Return the ingestions that added rows, oldest first; labels that came later are none."""
        query = sa.select(ingestions.c.id).where(_added("rows"))
        return [row[0] for row in self._rows(query.order_by(ingestions.c.id))]

    def pending(self) -> list[int]:
        """Return the ingestions that added rows or labels no decision has looked at yet."""
        undecided = ingestions.c.decision_id.is_(None) & (ingestions.c.rows_added > 0)
        query = sa.select(ingestions.c.id).where(undecided)
        return [row[0] for row in self._rows(query.order_by(ingestions.c.id))]

    def unassessed(self) -> list[Record]:
        """Return the ingestions nobody has looked at yet, of whatever kind, oldest first."""
        new = ingestions.c.decision_id.is_(None) & ingestions.c.assessment_id.is_(None)
        return self._rows(sa.select(ingestions).where(new).order_by(ingestions.c.id))

    def rows_after(self, ingestion_id: int) -> int:
        """Count the rows that were accepted after an ingestion."""
        query = sa.select(sa.func.sum(ingestions.c.rows_added))
        later = _added("rows") & (ingestions.c.id > ingestion_id)
        return int(self._scalar(query.where(later)) or 0)

    def drops(self, *, newest: int) -> pd.DataFrame:
        """Return the newest ingestions, oldest first."""
        query = sa.select(ingestions).order_by(ingestions.c.id.desc()).limit(newest)
        return self._frame(query)[::-1].reset_index(drop=True)

    def commonest_problem(self, ingestion_id: int) -> str:
        """Name column and rule of the problem most rows of a drop were refused for."""
        table = quarantined_rows.c
        query = sa.select(table.column_name, table.rule).where(table.ingestion_id == ingestion_id)
        grouped = query.group_by(table.column_name, table.rule)
        rows = self._rows(grouped.order_by(sa.func.count().desc(), table.column_name).limit(1))
        return f"{rows[0].column_name} {rows[0].rule}".strip() if rows else "no reason"

    def last_decision(self, *actions: str) -> Record | None:
        """Return the newest decision of these kinds."""
        query = sa.select(decisions).where(decisions.c.action.in_(actions))
        rows = self._rows(query.order_by(decisions.c.id.desc()).limit(1))
        return rows[0] if rows else None

    def derived_file(self, name: str) -> tuple[int, int]:
        """Return the last ingestion that file holds, and its size in bytes; zeros if unknown."""
        table = derived_files.c
        query = sa.select(table.ingestion_id, table.size_bytes).where(table.name == name)
        rows = self._rows(query)
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def record_derived_file(self, name: str, *, ingestion_id: int, size_bytes: int) -> None:
        """Note up to which ingestion the file is true, and how long it is then."""
        row = {"name": name, "ingestion_id": ingestion_id, "size_bytes": size_bytes}
        with self._begin() as connection:
            connection.execute(derived_files.delete().where(derived_files.c.name == name))
            connection.execute(derived_files.insert().values(row))

    def record_scores(self, rows: Sequence[Row]) -> None:
        """Keep the scores of one model on one data set."""
        self._write(scores, [{"run_id": self.run_id, "scored_at": self.now(), **r} for r in rows])

    def record_column_statistics(self, rows: Sequence[Row]) -> None:
        """Keep the summary of this run's batch."""
        common = {"run_id": self.run_id, "computed_at": self.now()}
        self._write(column_statistics, [{**common, **row} for row in rows])

    def last_version(self) -> int:
        """Return the number of the newest release, 0 before the first."""
        return int(self._scalar(sa.select(sa.func.max(releases.c.version))) or 0)

    def version_of(self, model_sha256: str) -> int | None:
        """Return the newest release that holds this very model."""
        query = sa.select(releases.c.version).where(releases.c.model_sha256 == model_sha256)
        version: int | None = self._scalar(query.order_by(releases.c.version.desc()).limit(1))
        return version

    def releases(self) -> pd.DataFrame:
        """Return version, created_at, rows_trained, proven of every release, oldest first."""
        table = releases.c
        query = sa.select(table.version, table.created_at, table.rows_trained, table.proven)
        return self._frame(query.order_by(table.version))

    def decide(
        self,
        action: str,
        reason: str,
        *,
        version: int | None = None,
        through: int | None = None,
        judgement: Judgement = NOT_JUDGED,
    ) -> int:
        """Commit a decision, what the gate found, and what was looked at.

        `version` is the release to switch to: such a decision stays open until `complete`, so
        that the next run can carry out what a crash cut off. `through` is the last ingestion
        it looked at.
        """
        common = {"run_id": self.run_id}
        with self._begin() as connection:
            if judgement.release is not None:
                new = {**common, "created_at": self.now(), "version": version, **judgement.release}
                connection.execute(releases.insert().values(new))
            if version is not None:
                self.resolve_all(connection, f"{action}: release {version} went live")
            decision_id = insert(
                connection,
                decisions,
                **common,
                decided_at=self.now(),
                action=action,
                version=version,
                reason=reason,
                comparison=judgement.comparison,
                completed_at=self.now() if version is None else None,
            )
            if through is not None:
                looked_at = (ingestions.c.id <= through) & ingestions.c.decision_id.is_(None)
                assessed = ingestions.update().where(looked_at).values(decision_id=decision_id)
                connection.execute(assessed)
            return decision_id

    def open_decision(self) -> Record | None:
        """Return the newest decision if a crash cut it off before it was carried out."""
        rows = self._rows(sa.select(decisions).order_by(decisions.c.id.desc()).limit(1))
        return rows[0] if rows and rows[0].completed_at is None else None

    def champion_version(self) -> int | None:
        """Return the release the newest decision of that kind made the live one."""
        query = sa.select(decisions.c.version).where(decisions.c.version.is_not(None))
        version: int | None = self._scalar(query.order_by(decisions.c.id.desc()).limit(1))
        return version

    def complete(self, decision_id: int) -> None:
        """Note that a decision was carried out."""
        with self._begin() as connection:
            connection.execute(
                decisions.update()
                .where(decisions.c.id == decision_id)
                .values(completed_at=self.now())
            )


def _added(kind: str) -> sa.ColumnElement[bool]:
    return (ingestions.c.rows_added > 0) & (ingestions.c.kind == kind)


def _quarantine(ingestion_id: int, problems: Iterable[Problem]) -> Iterator[Row]:
    for problem in problems:
        row = problem._asdict()
        yield {"ingestion_id": ingestion_id, "column_name": row.pop("column"), **row}
