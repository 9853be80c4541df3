"""Reports: those written, those due, and the events since a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from risk.ledger.database import Database, Row
from risk.ledger.queries import EVERY, NEWEST, Listing, Part, page
from risk.ledger.tables import decisions, incidents, reports, runs

MAX_DUE = 3


@dataclass(frozen=True)
class Happenings:
    """Events since a moment, newest first, and the number of failed or interrupted runs."""

    opened: list[dict[str, Any]]
    closed: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    runs_failed: int


@dataclass(frozen=True)
class Reports:
    """The reports on runs, and their content."""

    database: Database

    def record(self, row: Row) -> None:
        """Record a report on a run, replacing an earlier one of the same kind."""
        same = (reports.c.run_id == row["run_id"]) & (reports.c.kind == row["kind"])
        with self.database.begin() as connection:
            connection.execute(reports.delete().where(same))
            made = {"made_at": self.database.now(), **row}
            connection.execute(reports.insert().values(made))

    def page(
        self, part: Part = NEWEST, *, run_id: int | None = None, kind: str | None = None
    ) -> Listing:
        """Return a page of reports, with their paths."""
        query = sa.select(reports)
        return page(self.database, query, reports.c.id, part, run_id=run_id, kind=kind)

    def happenings(self, since: datetime | None) -> Happenings:
        """Return the events since a moment, or all."""
        opened, closed, decided = (
            page(self.database, sa.select(when.table).where(_after(when, since)), number, EVERY)
            for when, number in (
                (incidents.c.opened_at, incidents.c.id),
                (incidents.c.resolved_at, incidents.c.id),
                (decisions.c.decided_at, decisions.c.id),
            )
        )
        failed = sa.select(sa.func.count()).where(
            runs.c.status.in_(("failed", "aborted")), _after(runs.c.started_at, since)
        )
        runs_failed = int(self.database.scalar(failed))
        return Happenings(opened.items, closed.items, decided.items, runs_failed)

    def last_run(self) -> int:
        """Return the newest run with a report, 0 before the first."""
        return int(self.database.scalar(sa.select(sa.func.max(reports.c.run_id))) or 0)

    def due(self) -> list[int]:
        """Return the newest runs with a decision since the last report, oldest first."""
        run_id = decisions.c.run_id
        query = sa.select(run_id).where(run_id > self.last_run()).distinct()
        newest = query.order_by(run_id.desc()).limit(MAX_DUE)
        return [row[0] for row in self.database.rows(newest)][::-1]


def _after(when: sa.Column[Any], moment: datetime | None) -> sa.ColumnElement[bool]:
    return when.is_not(None) if moment is None else when > moment
