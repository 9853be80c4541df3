"""The newest values in the ledger, cheap enough to be scraped every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

import sqlalchemy as sa

from risk.config import Metric
from risk.ledger.database import Database, Record
from risk.ledger.findings import WARNING
from risk.ledger.tables import (
    assessments,
    column_statistics,
    decisions,
    findings,
    incidents,
    ingestions,
    messages,
    releases,
    runs,
    scores,
    stage_timings,
)

METRICS = len(get_args(Metric))


@dataclass(frozen=True)
class Gauges:
    """The current values, each from a fast query."""

    database: Database

    def last_run(self) -> datetime | None:
        """Return when the newest run started."""
        query = sa.select(runs.c.started_at).order_by(runs.c.id.desc())
        began: datetime | None = self.database.scalar(query.limit(1))
        return began

    def last_success(self) -> datetime | None:
        """Return when the newest successful run ended."""
        query = sa.select(runs.c.ended_at).where(runs.c.status == "ok").order_by(runs.c.id.desc())
        ended: datetime | None = self.database.scalar(query.limit(1))
        return ended

    def stage_duration(self, stage: str) -> float | None:
        """Return the duration of a stage's latest success in seconds."""
        table = stage_timings.c
        query = sa.select(table.duration_seconds)
        succeeded = query.where(table.stage == stage, table.outcome == "ok")
        seconds: float | None = self.database.scalar(succeeded.order_by(table.id.desc()).limit(1))
        return seconds

    def rows_by_outcome(self) -> dict[str, int]:
        """Count all rows ever ingested by outcome; late labels do not count as rows."""
        table = ingestions.c
        sums = {
            "accepted": sa.func.sum(sa.case((table.kind == "rows", table.rows_added), else_=0)),
            "duplicate": sa.func.sum(table.rows_duplicate),
            "quarantined": sa.func.sum(table.rows_quarantined),
        }
        found = self.database.rows(sa.select(*sums.values()))[0]
        return {outcome: int(rows or 0) for outcome, rows in zip(sums, found, strict=True)}

    def alarms_by_check(self) -> dict[str, int]:
        """Count all findings that were alarms, by check."""
        table = findings.c
        query = sa.select(table.check_name, sa.func.count()).where(table.drift_detected)
        found = self.database.rows(query.group_by(table.check_name))
        return {check: int(number) for check, number in found}

    def warnings_by_check(self) -> dict[str, int]:
        """Count all findings that were early warnings, by check."""
        table = findings.c
        query = sa.select(table.check_name, sa.func.count()).where(table.tier == WARNING)
        found = self.database.rows(query.group_by(table.check_name))
        return {check: int(number) for check, number in found}

    def drift(self, subjects: Sequence[str]) -> list[Record]:
        """Return the findings of the newest assessment on these subjects."""
        newest = sa.select(assessments.c.run_id).order_by(assessments.c.id.desc()).limit(1)
        table = findings.c
        query = sa.select(
            table.feature, table.method, table.drift_score, table.e_value, table.drift_detected
        )
        of_newest = query.where(table.run_id == newest.scalar_subquery())
        return list(self.database.in_chunks(of_newest, table.feature, subjects))

    def missing(self, features: Sequence[str]) -> list[Record]:
        """Return column_name, row_count and missing_count of these features in the newest batch."""
        table = column_statistics.c
        newest = sa.select(table.run_id).order_by(table.id.desc()).limit(1)
        query = sa.select(table.column_name, table.row_count, table.missing_count)
        of_newest = query.where(table.run_id == newest.scalar_subquery())
        return list(self.database.in_chunks(of_newest, table.column_name, features))

    def scores(self, dataset: str) -> list[Record]:
        """Return metric, value, lower and upper of the live model's newest scores on a data set."""
        switched = sa.select(decisions.c.version).where(decisions.c.version.is_not(None))
        live = switched.order_by(decisions.c.id.desc()).limit(1).scalar_subquery()
        model = sa.select(releases.c.model_sha256).where(releases.c.version == live)
        table = scores.c
        query = sa.select(table.metric, table.value, table.lower, table.upper)
        of_live = query.where(table.model_sha256 == model.scalar_subquery())
        newest = of_live.where(table.dataset == dataset).order_by(table.id.desc()).limit(METRICS)
        return list({row.metric: row for row in reversed(self.database.rows(newest))}.values())

    def open_incidents(self) -> list[Record]:
        """Return kind, severity and number of the incidents that are not resolved."""
        table = incidents.c
        query = sa.select(table.kind, table.severity, sa.func.count().label("number"))
        still_open = query.where(table.resolved_at.is_(None))
        return self.database.rows(still_open.group_by(table.kind, table.severity))

    def messages_unsent(self) -> int:
        """Count the messages of the last 7 days that are pending or were given up."""
        is_recent = messages.c.happened_at > self.database.now() - timedelta(days=7)
        waiting = sa.select(sa.func.count()).where(messages.c.sent_at.is_(None), is_recent)
        return int(self.database.scalar(waiting) or 0)
