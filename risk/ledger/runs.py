"""Runs, and the timings of their stages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk.errors import RiskError
from risk.lazily import pandas as pd
from risk.ledger.database import Database, Record, insert
from risk.ledger.decisions import Decisions
from risk.ledger.findings import Findings
from risk.ledger.ingestions import Ingestions
from risk.ledger.queries import NEWEST, Listing, Part, only_item, page
from risk.ledger.tables import decisions, runs, stage_timings

MAX_OF_A_RUN = 100


@dataclass(frozen=True)
class Runs:
    """The runs, including the current one."""

    database: Database

    def start(self) -> int:
        """Start a run and return its ID; mark as aborted a run that a crash left unfinished."""
        database = self.database
        with database.begin() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.status == "running")
                .values(
                    status="aborted", ended_at=database.now(), outcome="Interrupted before its end."
                )
            )
            number = insert(connection, runs, started_at=database.now(), status="running")
            database.run_id = number
            return number

    def resume(self, run_id: int) -> None:
        """Go on with a run that was begun in another process."""
        self.database.run_id = run_id

    def fail(self, error: Exception, *, root: Path | None = None) -> None:
        """Record that the current run failed, with the type and the text of the error.

        Paths are recorded relative to `root`, as anybody may read the ledger's texts.
        """
        outcome = str(error) if isinstance(error, RiskError) else repr(error)
        outcome = outcome.replace(f"{root}/", "") if root else outcome
        self.end("failed", outcome, error=type(error).__name__)

    def end(self, status: str, outcome: str, *, error: str | None = None) -> None:
        """Record the status and outcome of the current run."""
        ended = {"status": status, "ended_at": self.database.now(), "outcome": outcome}
        ended["error"] = error
        current = runs.c.id == self.database.run_id
        self.database.execute(runs.update().where(current).values(ended))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the duration and outcome of the code in the context as a stage."""
        started_at, begin = self.database.now(), time.monotonic()
        outcome = "failed"
        try:
            yield
            outcome = "ok"
        finally:
            seconds = time.monotonic() - begin
            row = {"run_id": self.database.run_id, "stage": name, "started_at": started_at}
            ended = {"duration_seconds": seconds, "outcome": outcome}
            self.database.write(stage_timings, [row | ended])

    def timings(self) -> pd.DataFrame:
        """Return stage and duration_seconds of every stage that succeeded, oldest first."""
        table = stage_timings.c
        query = sa.select(table.stage, table.started_at, table.duration_seconds)
        return self.database.frame(query.where(table.outcome == "ok").order_by(table.id))

    def stages_of(self, run_ids: Sequence[int]) -> pd.DataFrame:
        """Return run_id, stage, duration_seconds and outcome of these runs, oldest first."""
        table = stage_timings.c
        query = sa.select(table.run_id, table.stage, table.duration_seconds, table.outcome)
        return self.database.frame_in_chunks(query.order_by(table.id), table.run_id, run_ids)

    def newest(self) -> int | None:
        """Return the ID of the newest run, None before the first."""
        run_id: int | None = self.database.scalar(sa.select(sa.func.max(runs.c.id)))
        return run_id

    def page(
        self, part: Part = NEWEST, *, run_id: int | None = None, status: str | None = None
    ) -> Listing:
        """Return a page of runs, with the duration and decision of each."""
        database = self.database
        found = page(database, sa.select(runs), runs.c.id, part, id=run_id, status=status)
        numbers = [run["id"] for run in found.items]
        query = sa.select(decisions).order_by(decisions.c.id)
        in_order = database.in_chunks(query, decisions.c.run_id, numbers)
        decided = {row.run_id: row for row in in_order}
        items = [_with_decision(run, decided.get(run["id"])) for run in found.items]
        columns = [*found.columns, "duration_seconds", "action", "version", "reason"]
        return Listing(columns, items, found.total)

    def read(self, run_id: int) -> dict[str, Any]:
        """Return a run with up to 100 each of its stages, drops, drift findings and decisions."""
        database, some, only = self.database, Part(page_size=MAX_OF_A_RUN), {"run_id": run_id}
        stages = page(database, sa.select(stage_timings), stage_timings.c.id, some, **only)
        return only_item(self.page(run_id=run_id), f"run {run_id}") | {
            "stages": stages.items[::-1],
            "drops": Ingestions(database).page(some, run_id=run_id).items,
            "findings": Findings(database).page(some, run_id=run_id, drift_detected=True).items,
            "decisions": Decisions(database).page(some, run_id=run_id).items,
        }


def _with_decision(run: dict[str, Any], decision: Record | None) -> dict[str, Any]:
    """Return a run with its duration, unknown if it was interrupted, and its decision."""
    ended = run["status"] in ("ok", "failed")
    seconds = (run["ended_at"] - run["started_at"]).total_seconds() if ended else None
    decided = {name: getattr(decision, name, None) for name in ("action", "version", "reason")}
    return run | {"duration_seconds": seconds} | decided
