"""Assessments: each evaluates new rows once, with everything that was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from risk.ledger import incidents, ingestions
from risk.ledger.database import Database, Record, Row, insert, insert_many
from risk.ledger.tables import (
    assessments,
    detectors,
    findings,
    first_release_outcomes,
    follow_ups,
    predictions,
    scores,
)


@dataclass(frozen=True)
class Case:
    """Everything one assessment adds to the ledger, in one transaction."""

    version: int
    n: int
    profile: str
    state: str
    attribution: str | None
    ingestion_ids: Sequence[int]
    summary: str = ""
    cause: str = ""
    facts: str | None = None
    findings: Sequence[Row] = ()
    scores: Sequence[Row] = ()
    predictions: Iterable[Row] = ()
    opened: Sequence[Row] = ()
    seen_again: Sequence[Row] = ()
    resolved: Sequence[int] = field(default=())
    follow_ups: Sequence[Row] = ()
    against_first: Sequence[Row] = ()


@dataclass(frozen=True)
class Assessments:
    """The assessments, and the state of the detectors after the newest one."""

    database: Database

    def record(self, case: Case) -> None:
        """Record an assessment in one transaction; its rows are never assessed again."""
        run_id, now = self.database.run_id, self.database.now()
        with self.database.begin() as connection:
            number = insert(
                connection,
                assessments,
                run_id=run_id,
                assessed_at=now,
                version=case.version,
                profile=case.profile,
                attribution=case.attribution,
                n=case.n,
                summary=case.summary,
                cause=case.cause,
                facts=case.facts,
            )
            _store_state(connection, case, number)
            insert_many(connection, findings, case.findings, run_id=run_id, found_at=now)
            insert_many(connection, scores, case.scores, run_id=run_id, scored_at=now)
            insert_many(connection, predictions, case.predictions, version=case.version)
            opened = ({"version": case.version, **incident} for incident in case.opened)
            incidents.open_all(connection, opened, run_id=run_id, at=now)
            incidents.see_again(connection, case.seen_again, at=now)
            incidents.resolve_passed(connection, case.resolved, at=now)
            insert_many(connection, follow_ups, case.follow_ups, run_id=run_id, followed_at=now)
            against = case.against_first
            insert_many(connection, first_release_outcomes, against, run_id=run_id, compared_at=now)
            ingestions.mark_assessed(connection, case.ingestion_ids, assessment_id=number)

    def detector_state(self, version: int) -> str | None:
        """Return the state of a release's detectors, None before its first rows."""
        query = sa.select(detectors.c.state).where(detectors.c.version == version)
        state: str | None = self.database.scalar(query)
        return state

    def history(self, version: int | None = None, *, newest: int | None = None) -> list[Record]:
        """Return the assessments of one release, or of all, oldest first."""
        query = sa.select(assessments)
        if version is not None:
            query = query.where(assessments.c.version == version)
        rows = self.database.rows(query.order_by(assessments.c.id.desc()).limit(newest))
        return rows[::-1]

    def quiet(self, version: int, *, newest: int) -> list[Record]:
        """Return the newest assessments of a release that raised no alarm, oldest first."""
        query = sa.select(assessments).where(_is_quiet(version))
        rows = self.database.rows(query.order_by(assessments.c.id.desc()).limit(newest))
        return rows[::-1]

    def count_quiet(self, version: int, *, most: int) -> int:
        """Count the assessments of a release that raised no alarm, up to so many."""
        newest = sa.select(assessments.c.id).where(_is_quiet(version))
        newest = newest.order_by(assessments.c.id.desc()).limit(most)
        return int(self.database.scalar(sa.select(sa.func.count()).select_from(newest.subquery())))

    def score_change(self, version: int | None) -> Any:
        """Return how the score of a release differs from its promise, as far as it is known.

        It is that of the newest assessment, None if that is of another release.
        """
        seen = self.history(newest=1)
        is_of_release = seen and seen[-1].version == version and seen[-1].facts
        return json.loads(seen[-1].facts).get("score_change") if is_of_release else None


def _is_quiet(version: int) -> sa.ColumnElement[bool]:
    same_run = findings.c.run_id == assessments.c.run_id
    # diagnostics.py assesses by hand without a run, and records its findings at that moment
    by_hand = findings.c.run_id.is_(None) & (findings.c.found_at == assessments.c.assessed_at)
    alarmed = sa.exists().where(same_run | by_hand, findings.c.drift_detected)
    return (assessments.c.version == version) & sa.not_(alarmed)


def _store_state(connection: sa.Connection, case: Case, number: int) -> None:
    """Replace the stored state of a release's detectors."""
    row = {"version": case.version, "assessment_id": number, "state": case.state}
    connection.execute(detectors.delete().where(detectors.c.version == case.version))
    connection.execute(detectors.insert().values(row))
