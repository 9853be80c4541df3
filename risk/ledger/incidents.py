"""Incidents: what stays wrong until a release answers it, a person closes it, or it passes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from risk.errors import UnknownName
from risk.ledger.database import Database, Record, Row, insert_many
from risk.ledger.queries import NEWEST, Listing, Part, only_item, page
from risk.ledger.tables import incidents


@dataclass(frozen=True)
class Incidents:
    """The incidents, those that are open and those that were."""

    database: Database

    def open(self, row: Row) -> None:
        """Open an incident that rests on no rows."""
        with self.database.begin() as connection:
            open_all(connection, [row], run_id=self.database.run_id, at=self.database.now())

    def unresolved(self) -> list[Record]:
        """Return the incidents that are not resolved, oldest first."""
        query = sa.select(incidents).where(incidents.c.resolved_at.is_(None))
        return self.database.rows(query.order_by(incidents.c.id))

    def history(self) -> pd.DataFrame:
        """Return every incident there ever was, oldest first."""
        return self.database.frame(sa.select(incidents).order_by(incidents.c.id))

    def page(self, part: Part = NEWEST, *, is_open: bool | None = None) -> Listing:
        """Return incidents: those that are open, those that are not, or both."""
        query, resolved_at = sa.select(incidents), incidents.c.resolved_at
        if is_open is not None:
            query = query.where(resolved_at.is_(None) if is_open else resolved_at.is_not(None))
        return page(self.database, query, incidents.c.id, part)

    def read(self, incident_id: int) -> dict[str, Any]:
        """Return one incident."""
        found = page(self.database, sa.select(incidents), incidents.c.id, NEWEST, id=incident_id)
        return only_item(found, f"incident {incident_id}")

    def acknowledge(self, incident_id: int) -> None:
        """Note that a person knows of an incident."""
        self._change(incident_id, acknowledged_at=self.database.now())

    def resolve(self, incident_id: int, why: str) -> None:
        """Let a person close an incident."""
        self._change(incident_id, resolved_at=self.database.now(), resolution=why)

    def _change(self, incident_id: int, **values: Any) -> None:
        is_open = (incidents.c.id == incident_id) & incidents.c.resolved_at.is_(None)
        with self.database.begin() as connection:
            if not connection.execute(incidents.update().where(is_open).values(values)).rowcount:
                raise UnknownName(f"there is no open incident {incident_id}")


def open_all(
    connection: sa.Connection, rows: Iterable[Row], *, run_id: int | None, at: datetime
) -> None:
    """Open incidents, in the transaction that finds the reason."""
    insert_many(connection, incidents, rows, run_id=run_id, opened_at=at, last_seen_at=at)


def see_again(connection: sa.Connection, rows: Iterable[Row], *, at: datetime) -> None:
    """Note what is new about incidents that go on, in the transaction that saw them."""
    for row in rows:
        again = incidents.update().where(incidents.c.id == row["id"])
        connection.execute(again.values({**row, "last_seen_at": at}))


def resolve_passed(connection: sa.Connection, numbers: Sequence[int], *, at: datetime) -> None:
    """Close what is over, in the transaction that saw nothing of it."""
    _close(connection, incidents.c.id.in_(numbers), "nothing more was seen of it", at)


def resolve_all(connection: sa.Connection, why: str, *, at: datetime) -> None:
    """Close what a new release answers, in the transaction that decides it."""
    _close(connection, incidents.c.resolved_at.is_(None), why, at)


def _close(
    connection: sa.Connection, which: sa.ColumnElement[bool], why: str, at: datetime
) -> None:
    closed = incidents.update().where(which)
    connection.execute(closed.values(resolved_at=at, resolution=why))
