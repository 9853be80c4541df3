"""The part of the ledger that knows the reports: which were made, which is due, and what is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from risk.ledger.database import Row
from risk.ledger.queries import EVERY, NEWEST, Chronicle, Listing, Part
from risk.ledger.tables import decisions, incidents, reports, runs

MOST_DUE = 3


@dataclass(frozen=True)
class Happenings:
    """What happened since a moment: the newest first, and how many runs failed or were cut off."""

    opened: list[dict[str, Any]]
    closed: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    runs_failed: int


class Archive(Chronicle):
    """What is asked of the ledger, the reports on its runs among it."""

    def record_report(self, row: Row) -> None:
        """Note a report on a run, in the place of an earlier one of the same kind."""
        same = (reports.c.run_id == row["run_id"]) & (reports.c.kind == row["kind"])
        with self._begin() as connection:
            connection.execute(reports.delete().where(same))
            connection.execute(reports.insert().values({"made_at": self.now(), **row}))

    def list_reports(
        self, part: Part = NEWEST, *, run_id: int | None = None, kind: str | None = None
    ) -> Listing:
        """Return the reports that were made, and where they are kept."""
        return self._page(sa.select(reports), reports.c.id, part, run_id=run_id, kind=kind)

    def happenings(self, since: datetime | None) -> Happenings:
        """Return what happened since a moment, or ever."""
        opened, closed, decided = (
            self._page(sa.select(when.table).where(_after(when, since)), when.table.c.id, EVERY)
            for when in (incidents.c.opened_at, incidents.c.resolved_at, decisions.c.decided_at)
        )
        failed = sa.select(sa.func.count()).where(
            runs.c.status.in_(("failed", "aborted")), _after(runs.c.started_at, since)
        )
        return Happenings(opened.items, closed.items, decided.items, int(self._scalar(failed)))

    def newest_run(self) -> int | None:
        """Return the newest run, None before the first."""
        run_id: int | None = self._scalar(sa.select(sa.func.max(runs.c.id)))
        return run_id

    def last_reported_run(self) -> int:
        """Return the newest run there is a report on, 0 before the first."""
        return int(self._scalar(sa.select(sa.func.max(reports.c.run_id))) or 0)

    def unreported_runs(self) -> list[int]:
        """Return the newest runs that decided something since the last report, oldest first."""
        run_id = decisions.c.run_id
        query = sa.select(run_id).where(run_id > self.last_reported_run()).distinct()
        return [row[0] for row in self._rows(query.order_by(run_id.desc()).limit(MOST_DUE))][::-1]


def _after(when: sa.Column[Any], moment: datetime | None) -> sa.ColumnElement[bool]:
    return when.is_not(None) if moment is None else when > moment
