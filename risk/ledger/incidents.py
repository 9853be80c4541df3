"""Incidents: problems open until a release resolves them, a person does, or they pass."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from risk.errors import UnknownName
from risk.lazily import pandas as pd
from risk.ledger.database import Database, Record, Row, insert_many
from risk.ledger.queries import NEWEST, Listing, Part, only_item, page
from risk.ledger.tables import cases, incidents


class ResolutionCode(StrEnum):
    """Why an incident was resolved."""

    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    PASSED = "passed"
    BY_PERSON = "by_person"
    RESTORED = "restored"


BY_RELEASE = {"deploy": ResolutionCode.DEPLOYED, "rollback": ResolutionCode.ROLLED_BACK}


@dataclass(frozen=True)
class Incidents:
    """The incidents, open and resolved."""

    database: Database

    def open(self, row: Row) -> None:
        """Open an incident that is not based on rows."""
        with self.database.begin() as connection:
            open_all(connection, [row], run_id=self.database.run_id, at=self.database.now())

    def unresolved(self) -> list[Record]:
        """Return the incidents that are not resolved, oldest first, with their newest cases."""
        newest = sa.select(sa.func.max(cases.c.id)).group_by(cases.c.incident_id)
        own = (cases.c.incident_id == incidents.c.id) & cases.c.id.in_(newest)
        columns = (
            cases.c.state.label("case_state"),
            cases.c.severity.label("case_severity"),
            cases.c.snoozed_until.label("case_snoozed_until"),
        )
        query = sa.select(incidents, *columns).outerjoin_from(incidents, cases, own)
        query = query.where(incidents.c.resolved_at.is_(None))
        return self.database.rows(query.order_by(incidents.c.id))

    def history(self) -> pd.DataFrame:
        """Return all incidents, oldest first."""
        return self.database.frame(sa.select(incidents).order_by(incidents.c.id))

    def page(
        self, part: Part = NEWEST, *, is_open: bool | None = None, subject: str | None = None
    ) -> Listing:
        """Return a page of incidents: open ones, resolved ones, or both; of one subject or all."""
        query, resolved_at = sa.select(incidents), incidents.c.resolved_at
        if is_open is not None:
            query = query.where(resolved_at.is_(None) if is_open else resolved_at.is_not(None))
        return page(self.database, query, incidents.c.id, part, subject=subject)

    def read(self, incident_id: int) -> dict[str, Any]:
        """Return one incident."""
        found = page(self.database, sa.select(incidents), incidents.c.id, NEWEST, id=incident_id)
        return only_item(found, f"incident {incident_id}")

    def acknowledge(self, incident_id: int) -> None:
        """Record that a person has acknowledged an incident."""
        self._change(incident_id, acknowledged_at=self.database.now())

    def resolve(self, incident_id: int, why: str = "", *, key: str | None = None) -> None:
        """Record that a person has resolved an incident, in their words; `key` names their key."""
        values = _resolution(ResolutionCode.BY_PERSON, key=key) | {"resolution": why or None}
        self._change(incident_id, resolved_at=self.database.now(), **values)

    def resolve_restored(self, incident_id: int, version: int) -> None:
        """Record that the files of a damaged release were restored."""
        values = _resolution(ResolutionCode.RESTORED, version=version)
        self._change(incident_id, resolved_at=self.database.now(), **values)

    def _change(self, incident_id: int, **values: Any) -> None:
        is_open = (incidents.c.id == incident_id) & incidents.c.resolved_at.is_(None)
        with self.database.begin() as connection:
            if not connection.execute(incidents.update().where(is_open).values(values)).rowcount:
                raise UnknownName(f"there is no open incident {incident_id}")


def normal(database: Database, max_in_a_row: int) -> set[tuple[str, int]]:
    """Return (feature, ingestion) where a feature's fault is the new normal.

    A person approved it, or it was there for more than `max_in_a_row` batches and no person has
    snoozed or declined it.
    """
    table = incidents.c
    lasting = table.times_seen > max_in_a_row
    # of what is no column, in brackets, nothing can be learnt however often it is seen
    lasting &= table.subject.not_like("(%")
    in_hand = cases.c.state.in_(("snoozed", "declined")) | cases.c.snoozed_until.is_not(None)
    lasting &= table.id.not_in(_with_case(in_hand))
    is_normal = lasting | table.id.in_(_with_case(cases.c.state == "approved"))
    is_normal &= (table.kind == "data_quality") & table.since_ingestion_id.is_not(None)
    ranges = sa.select(table.subject, table.since_ingestion_id, table.last_ingestion_id)
    return {
        (feature, number)
        for feature, first, last in database.rows(ranges.where(is_normal))
        for number in range(first, last + 1)
    }


def open_all(
    connection: sa.Connection, rows: Iterable[Row], *, run_id: int | None, at: datetime
) -> None:
    """Open incidents, in the transaction that records their cause."""
    insert_many(connection, incidents, rows, run_id=run_id, opened_at=at, last_seen_at=at)


def see_again(connection: sa.Connection, rows: Iterable[Row], *, at: datetime) -> None:
    """Update continuing incidents, in the transaction that observed them again."""
    for row in rows:
        again = incidents.update().where(incidents.c.id == row["id"])
        connection.execute(again.values({**row, "last_seen_at": at}))


def resolve_passed(connection: sa.Connection, numbers: Sequence[int], *, at: datetime) -> None:
    """Resolve incidents no longer observed, in the transaction that found no sign of them."""
    _close(connection, incidents.c.id.in_(numbers), _resolution(ResolutionCode.PASSED), at)


def resolve_answered(
    connection: sa.Connection,
    numbers: Sequence[int],
    action: str,
    *,
    at: datetime,
    **release: int,
) -> None:
    """Resolve the incidents a release answers, in the transaction that decides for it.

    `release` is its version and the ID of the decision.
    """
    values = _resolution(BY_RELEASE[action], **release)
    is_open = incidents.c.resolved_at.is_(None)
    _close(connection, incidents.c.id.in_(numbers) & is_open, values, at)


def resolve_by_person(
    connection: sa.Connection,
    which: sa.Select[Any],
    why: str,
    *,
    key: str,
    at: datetime,
) -> None:
    """Resolve the incidents that a query selects, in the transaction of a person's answer."""
    values = _resolution(ResolutionCode.BY_PERSON, key=key) | {"resolution": why or None}
    _close(connection, incidents.c.id.in_(which) & incidents.c.resolved_at.is_(None), values, at)


def _with_case(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the incidents with such a case."""
    return sa.select(cases.c.incident_id).where(cases.c.incident_id.is_not(None) & condition)


def _resolution(code: ResolutionCode, **facts: Any) -> dict[str, Any]:
    """Return why an incident is resolved."""
    fields = json.dumps({name: value for name, value in facts.items() if value is not None})
    return {"resolution_code": str(code), "resolution_facts": fields}


def _close(
    connection: sa.Connection, which: sa.ColumnElement[bool], values: Row, at: datetime
) -> None:
    connection.execute(incidents.update().where(which).values(resolved_at=at, **values))
