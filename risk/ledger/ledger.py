"""Everything that happened: asked about runs, drops, decisions and releases here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import pandas as pd
import sqlalchemy as sa

from risk.config import Config
from risk.ledger import database
from risk.ledger.assessments import Casebook
from risk.ledger.database import Record, Row, insert
from risk.ledger.dataset_rows import Warehouse
from risk.ledger.ingestions import Arrivals
from risk.ledger.outbox import Outbox
from risk.ledger.reports import Archive
from risk.ledger.tables import (
    column_statistics,
    decisions,
    derived_files,
    ingestions,
    quarantined_rows,
    releases,
    runs,
    scores,
    stage_timings,
)
from risk.ledger.watermarks import Watermarks


@dataclass(frozen=True)
class Judgement:
    """What the gate compared, as JSON, and the release that comes of it."""

    comparison: str | None = None
    release: Row | None = None


NOT_JUDGED = Judgement()


def utc_now() -> datetime:
    """Tell the time of the machine, with its zone."""
    return datetime.now(UTC)


class Ledger(Arrivals, Warehouse, Watermarks, Casebook, Archive, Outbox):
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
