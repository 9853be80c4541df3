"""Outbox of messages: what is new for each target, what is unsent, and the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from risk.ledger.cases import CaseState
from risk.ledger.database import Database, Record, Row
from risk.ledger.findings import WARNING
from risk.ledger.tables import cases, decisions, findings, incidents, ingestions, messages, runs

INTRODUCTION = "introduction"
A_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)
WARNINGS = "warnings"
OPENED, RESOLVED, FAILED = "incident_opened", "incident_resolved", "run_failed"
REMINDED = "case_reminder"
DECIDED = {
    "deploy": "deployed",
    "rollback": "rolled_back",
    "ask": "person_asked",
    "keep": "challenger_refused",
}


@dataclass(frozen=True)
class News:
    """An event not yet sent to a target, with the row of the ledger it is about.

    `about` is the column of `messages` that refers to that row; `warnings` are the findings that a
    digest is about.
    """

    event: str
    happened_at: datetime
    about: str
    fact: Record
    warnings: Sequence[Record] = ()


@dataclass(frozen=True)
class Outbox:
    """The messages to each target.

    A message is about one incident, decision or run. A target's first one, its introduction,
    refers to the last of each: earlier events are not sent to it.
    """

    database: Database

    def introduced(self) -> set[str]:
        """Return the targets that have received an introduction."""
        query = sa.select(messages.c.target).where(messages.c.event == INTRODUCTION)
        return {row[0] for row in self.database.rows(query)}

    def introduce(self, target: str, *, title: str, body: str) -> None:
        """Add the introduction of a target, which receives the events from now on."""
        last = {
            column: sa.select(sa.func.max(table.c.id)).scalar_subquery()
            for column, table in (
                ("run_id", runs),
                ("incident_id", incidents),
                ("decision_id", decisions),
            )
        }
        row = {"event": INTRODUCTION, "target": target, "title": title, "body": body}
        new = messages.insert().values(**row, **last, happened_at=self.database.now())
        self.database.execute(new)

    def news(self, target: str) -> list[News]:
        """Return the events not sent to this target yet, in the order of a run.

        Repetitions are left out: runs that fail the same way, repeated requests for approval,
        and challengers refused again.
        """
        table = messages.c
        at_introduction = sa.case((table.event == INTRODUCTION, table.incident_id))
        # a digest is about warnings up to its run, which may be interrupted thereafter
        of_runs = sa.case((table.event != WARNINGS, table.run_id))
        columns = (at_introduction, table.decision_id, of_runs)
        query = sa.select(*map(sa.func.max, columns)).where(table.target == target)
        incident_id, decision_id, run_id = (last or 0 for last in self.database.rows(query)[0])
        opened, resolved = self._new_incidents(target, incident_id)
        decided, failed = self._new_decisions(decision_id), self._new_failures(run_id)
        reminders = self._reminders(target, [*opened, *decided])
        return [*opened, *decided, *resolved, *reminders, *failed]

    def digest(self, target: str) -> list[News]:
        """Return the early warnings not sent to this target yet, once a day and as one event.

        What an incident has been opened for since is left out.
        """
        table, found = messages.c, findings.c
        sent_at = sa.case((table.event == WARNINGS, table.happened_at))
        mine = sa.select(sa.func.max(table.run_id), sa.func.max(sent_at))
        mine = mine.where(table.target == target, table.event.in_((INTRODUCTION, WARNINGS)))
        (last, newest), now = self.database.rows(mine)[0], self.database.now()
        if newest is not None and now - newest < A_DAY:
            return []
        known = sa.select(incidents.c.subject).where(incidents.c.resolved_at.is_(None))
        query = sa.select(findings).where(found.tier == WARNING, found.run_id > (last or 0))
        query = query.where(found.found_at > now - A_WEEK)  # older ones are no news
        warnings = self.database.rows(query.where(found.feature.not_in(known)).order_by(found.id))
        if not warnings:
            return []
        newest_run = sa.select(runs).where(runs.c.id == warnings[-1].run_id)
        return [News(WARNINGS, now, "run_id", self.database.rows(newest_run)[0], warnings)]

    def record(self, rows: Sequence[Row]) -> None:
        """Add messages to be sent."""
        self.database.write(messages, rows)

    def unsent(self, target: str, *, max_attempts: int) -> list[Record]:
        """Return the unsent messages to a target, by number of attempts, then oldest first."""
        table = messages.c
        query = sa.select(messages).where(table.target == target, table.sent_at.is_(None))
        query = query.where(table.attempts < max_attempts)
        return self.database.rows(query.order_by(table.attempts, table.id))

    def note_sent(self, message_ids: Sequence[int]) -> None:
        """Record that messages were delivered; they are not sent again."""
        self._note_attempt(message_ids, sent_at=self.database.now(), last_error=None)

    def note_failure(self, message_ids: Sequence[int], error: str) -> None:
        """Record that delivery of messages failed, and why."""
        self._note_attempt(message_ids, last_error=error)

    def _note_attempt(self, message_ids: Sequence[int], **values: Any) -> None:
        tried = messages.update().where(messages.c.id.in_(message_ids))
        self.database.execute(tried.values(attempts=messages.c.attempts + 1, **values))

    def _new_incidents(self, target: str, last: int) -> tuple[list[News], list[News]]:
        """Return incidents opened and resolved; those open at the introduction count as opened."""

        def sent(event: str) -> sa.ColumnElement[bool]:
            query = sa.select(messages.c.incident_id)
            query = query.where(messages.c.target == target, messages.c.event == event)
            return incidents.c.id.in_(query)

        is_new, is_open = incidents.c.id > last, incidents.c.resolved_at.is_(None)
        first_seen = incidents.c.since_ingestion_id == ingestions.c.id
        query = sa.select(incidents, ingestions.c.path.label("since_path"))
        query = query.join_from(incidents, ingestions, first_seen, isouter=True)
        query = query.order_by(incidents.c.id)
        opened = self.database.rows(query.where(sa.not_(sent(OPENED)), is_new | is_open))
        closed = sa.not_(is_open) & sa.not_(sent(RESOLVED))
        resolved = self.database.rows(query.where(closed, is_new | sent(OPENED)))
        return (
            [News(OPENED, fact.opened_at, "incident_id", fact) for fact in opened],
            [News(RESOLVED, fact.resolved_at, "incident_id", fact) for fact in resolved],
        )

    def _new_decisions(self, last: int) -> list[News]:
        """Return decisions carried out, challengers refused and approvals requested."""
        previous, is_previous = _previous(decisions)
        tried, was_tried = (t.c.comparison.is_not(None) for t in (decisions, previous))
        switched = decisions.c.action.in_(("deploy", "rollback"))
        differs = (previous.c.action != decisions.c.action) | (tried != was_tried)
        query = sa.select(decisions).outerjoin_from(decisions, previous, is_previous)
        query = query.where(decisions.c.id > last, decisions.c.completed_at.is_not(None))
        query = query.where(tried | decisions.c.action.in_(("deploy", "rollback", "ask")))
        query = query.where(switched | previous.c.id.is_(None) | differs)
        return [
            News(DECIDED[fact.action], fact.decided_at, "decision_id", fact)
            for fact in self.database.rows(query.order_by(decisions.c.id))
        ]

    def _reminders(self, target: str, reported: Sequence[News]) -> list[News]:
        """Return the open cases to be reminded of, and new ones not reported with what they ask."""
        now, table = self.database.now(), messages
        said = {(news.about, news.fact.id) for news in reported}
        about = [table.c[name] == cases.c[name] for name in ("decision_id", "incident_id")]
        newest = sa.select(sa.func.max(table.c.happened_at)).where(
            table.c.target == target, sa.or_(table.c.case_id == cases.c.id, *about)
        )
        query = sa.select(cases, newest.correlate(cases).scalar_subquery().label("last_message"))
        query = query.where(cases.c.state == str(CaseState.OPEN)).order_by(cases.c.id)
        return [
            News(REMINDED, now, "case_id", fact)
            for fact in self.database.rows(query)
            if is_reminder_due(fact, now) or self._is_unreported(fact, said)
        ]

    def _is_unreported(self, case: Record, said: set[tuple[str, int]]) -> bool:
        """Whether this run opened a case, and its question repeats an earlier one."""
        is_new = case.run_id is not None and case.run_id == self.database.run_id
        own = {("decision_id", case.decision_id), ("incident_id", case.incident_id)}
        return is_new and case.last_message is None and not own & said

    def _new_failures(self, last: int) -> list[News]:
        """Return runs that failed or were interrupted, unless the previous one did the same way."""
        previous, is_previous = _previous(runs)
        differs = (previous.c.status != runs.c.status) | (previous.c.outcome != runs.c.outcome)
        query = sa.select(runs).outerjoin_from(runs, previous, is_previous)
        query = query.where(runs.c.id > last, runs.c.status.in_(("failed", "aborted")))
        query = query.where(previous.c.id.is_(None) | differs)
        return [
            News(FAILED, fact.ended_at, "run_id", fact)
            for fact in self.database.rows(query.order_by(runs.c.id))
        ]


def is_reminder_due(case: Any, now: datetime) -> bool:
    """Whether it is time to remind of a case: daily, after a week weekly, after a snooze at once.

    Its opening was announced by the decision that asked.
    """
    last = max(case.asked_at, case.last_message or case.asked_at)
    came_back = case.asked_at > case.opened_at
    if came_back and (case.last_message is None or case.last_message < case.asked_at):
        return True
    pause = A_DAY if now - case.asked_at < A_WEEK else A_WEEK
    return bool(now - last >= pause)


def _previous(table: sa.Table) -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
    """Return an alias of a table and a join condition for the previous row."""
    previous, earlier = table.alias(), table.alias()
    last = sa.select(sa.func.max(earlier.c.id)).where(earlier.c.id < table.c.id)
    return previous, previous.c.id == last.correlate(table).scalar_subquery()
