"""Cases: questions put to a person, from the first time they are asked to what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from risk.errors import NotPending, UnknownName
from risk.ledger import incidents
from risk.ledger.database import Database, Record, Row, insert, insert_many
from risk.ledger.queries import NEWEST, Listing, Part, only_item, page
from risk.ledger.tables import case_answers, cases, decisions
from risk.ledger.tables import incidents as incidents_table

DEPLOYMENT = "deployment"  # the kind of a case about a challenger; others are about an incident


class CaseState(StrEnum):
    """Where a case is."""

    OPEN = "open"
    SNOOZED = "snoozed"
    APPROVED = "approved"
    DECLINED = "declined"
    CLOSED = "closed"


class CaseClosure(StrEnum):
    """Why a case is closed; one about an incident may have the code of its resolution instead."""

    CARRIED_OUT = "carried_out"
    DECLINED = "declined"
    BECAME_NORMAL = "became_normal"
    REFUSED = "refused"
    SUPERSEDED = "superseded"


MAY_BECOME = {
    CaseState.APPROVED: (CaseState.OPEN, CaseState.SNOOZED, CaseState.DECLINED),
    CaseState.DECLINED: (CaseState.OPEN, CaseState.SNOOZED),
    CaseState.SNOOZED: (CaseState.OPEN, CaseState.SNOOZED),
}


@dataclass(frozen=True)
class Answer:
    """What a person answers, why, and who it is; `until` is when a snoozed case comes back."""

    state: CaseState
    by: str
    via: str
    because: str | None = None
    note: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Change:
    """New values of a case that is still in the state it was in before."""

    case_id: int
    before: str
    values: Row


@dataclass(frozen=True)
class Cases:
    """The cases, waiting and closed, and their answers."""

    database: Database

    def apply(self, opened: Sequence[Row], changed: Sequence[Change]) -> None:
        """Open cases and change others, in one transaction.

        A case that a person answered in the meantime keeps that answer.
        """
        now = self.database.now()
        common = {"run_id": self.database.run_id, "opened_at": now, "asked_at": now}
        with self.database.begin() as connection:
            insert_many(connection, cases, opened, **common, state=str(CaseState.OPEN))
            for change in changed:
                as_it_was = (cases.c.id == change.case_id) & (cases.c.state == change.before)
                connection.execute(cases.update().where(as_it_was).values(change.values))

    def answer(self, numbers: Sequence[int], answer: Answer, *, resolves: Collection[int]) -> None:
        """Record an answer to all of these cases or to none; the next run carries it out.

        Approving those of `resolves` resolves their incidents, with nothing left to do.
        """
        with self.database.begin() as connection:
            for number in numbers:
                self._answer(connection, number, answer, resolves=number in resolves)

    def _answer(
        self, connection: sa.Connection, case_id: int, answer: Answer, *, resolves: bool
    ) -> None:
        now, state = self.database.now(), answer.state
        values: dict[str, Any] = {"state": str(state), "answered_at": now}
        values |= {"closed_at": None, "closed_because": None}
        if state is CaseState.SNOOZED:
            values["snoozed_until"] = answer.until
        if state is CaseState.DECLINED or resolves:
            done = CaseClosure.CARRIED_OUT if resolves else CaseClosure.DECLINED
            values |= {"closed_at": now, "closed_because": str(done)}
        is_asked = cases.c.state.in_([str(before) for before in MAY_BECOME[state]])
        is_there = cases.c.incident_id.is_(None) | cases.c.incident_id.in_(_unresolved())
        change = cases.update().where(cases.c.id == case_id, is_asked, is_there)
        if not connection.execute(change.values(values)).rowcount:
            self._refuse(case_id)
        insert(
            connection,
            case_answers,
            case_id=case_id,
            answered_at=now,
            answered_by=answer.by,
            via=answer.via,
            answer=str(state),
            because=answer.because,
            note=answer.note or None,
            until=answer.until,
        )
        if resolves:
            number = sa.select(cases.c.incident_id).where(cases.c.id == case_id)
            incidents.resolve_by_person(connection, number, answer.note, key=answer.by, at=now)

    def waiting(self) -> list[Record]:
        """Return the cases that are not closed, oldest first, with what their incidents are now."""
        table = incidents_table.c
        query = sa.select(
            cases,
            table.severity.label("severity_now"),
            table.times_seen,
            table.resolved_at,
            table.resolution_code,
        ).outerjoin_from(cases, incidents_table, cases.c.incident_id == table.id)
        return self.database.rows(query.where(cases.c.closed_at.is_(None)).order_by(cases.c.id))

    def of_challenger(self, challenger: str) -> Record | None:
        """Return the newest case about a challenger."""
        query = sa.select(cases).where(cases.c.challenger == challenger)
        return self.database.first(query.order_by(cases.c.id.desc()))

    def about(self, *, incident_id: int | None = None, decision_id: int | None = None) -> list[int]:
        """Return the cases that wait for an answer about an incident, or asked by a decision."""
        query = sa.select(cases.c.id).where(cases.c.state == str(CaseState.OPEN))
        if incident_id is not None:
            query = query.where(cases.c.incident_id == incident_id)
        if decision_id is not None:
            query = query.where(cases.c.decision_id == decision_id)
        return [row[0] for row in self.database.rows(query.order_by(cases.c.id))]

    def answered_by(self, case_id: int) -> str | None:
        """Return who gave the newest answer to a case, None if it has none."""
        query = sa.select(case_answers.c.answered_by).where(case_answers.c.case_id == case_id)
        name: str | None = self.database.scalar(query.order_by(case_answers.c.id.desc()).limit(1))
        return name

    def read(self, case_id: int) -> dict[str, Any]:
        """Return one case with everything that is known about it."""
        return only_item(self.page(number=case_id), f"case {case_id}")

    def page(
        self,
        part: Part = NEWEST,
        *,
        state: str | None = None,
        waiting: bool | None = None,
        number: int | None = None,
    ) -> Listing:
        """Return a page of cases, each with its incident, the gate's comparison and its answers.

        Those that are `waiting` are not closed.
        """
        query = sa.select(cases, decisions.c.comparison)
        query = query.join(decisions, cases.c.decision_id == decisions.c.id)
        if waiting is not None:
            closed = cases.c.closed_at
            query = query.where(closed.is_(None) if waiting else closed.is_not(None))
        found = page(self.database, query, cases.c.id, part, state=state, id=number)
        numbers = [case["id"] for case in found.items]
        subjects = {case["subject"] for case in found.items}
        answers, seasonal = self._answers(numbers), self._seasonal(subjects)
        about = self._incidents([case["incident_id"] for case in found.items])
        items = [
            case
            | {
                "incident": about.get(case["incident_id"]),
                "answers": answers[case["id"]],
                "seasonal_answers": seasonal.get(case["subject"], 0),
            }
            for case in found.items
        ]
        return Listing(found.columns, items, found.total)

    def _answers(self, numbers: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the answers to some cases, oldest first."""
        found = defaultdict[int, list[dict[str, Any]]](list)
        query = sa.select(case_answers).order_by(case_answers.c.id)
        for row in self.database.in_chunks(query, case_answers.c.case_id, numbers):
            values = dict(row._mapping)
            found[values.pop("case_id")].append(values)
        return found

    def _seasonal(self, subjects: Collection[str]) -> dict[str, int]:
        """Return how often cases about each subject were answered as seasonal."""
        query = sa.select(cases.c.subject, sa.func.count())
        query = query.join(case_answers, case_answers.c.case_id == cases.c.id)
        query = query.where(case_answers.c.because == "seasonal").group_by(cases.c.subject)
        found = self.database.in_chunks(query, cases.c.subject, list(subjects))
        return {row[0]: row[1] for row in found}

    def _incidents(self, numbers: Sequence[int | None]) -> dict[int, dict[str, Any]]:
        wanted = {number for number in numbers if number is not None}
        query = sa.select(incidents_table).where(incidents_table.c.id.in_(wanted))
        listing = page(self.database, query, incidents_table.c.id, Part(page_size=len(wanted) or 1))
        return {incident["id"]: incident for incident in listing.items}

    def _refuse(self, case_id: int) -> None:
        """Raise the error that says why a case cannot be answered like this."""
        case = self.database.first(sa.select(cases).where(cases.c.id == case_id))
        if case is None:
            raise UnknownName(f"there is no case {case_id}")
        how = f"was {case.state} by {self.answered_by(case_id)}"
        if case.state == CaseState.CLOSED:
            how = f"is closed: {str(case.closed_because).replace('_', ' ')}"
        elif case.state in (CaseState.OPEN, CaseState.SNOOZED):
            how = f"is about incident {case.incident_id}, which was resolved"
        raise NotPending(f"case {case_id} {how}; --cases lists the open ones")


def _unresolved() -> sa.Select[Any]:
    table = incidents_table.c
    return sa.select(table.id).where(table.resolved_at.is_(None))


def carry_out(connection: sa.Connection, case_id: int, *, at: datetime) -> None:
    """Close an approved case, in the transaction that decides what was approved."""
    done = {"closed_at": at, "closed_because": str(CaseClosure.CARRIED_OUT)}
    connection.execute(cases.update().where(cases.c.id == case_id).values(done))
