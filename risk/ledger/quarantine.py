"""Quarantine: the refused cells of each drop, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from risk.ledger.database import Database, Row, insert_many
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import ingestions, quarantined_rows
from risk.schema import Problem


@dataclass(frozen=True)
class Quarantine:
    """The refused cells; line 0 means a whole drop."""

    database: Database

    def page(self, part: Part = NEWEST, *, ingestion_id: int | None = None) -> Listing:
        """Return a page of refused cells, and why; line 0 means a whole drop."""
        drop = (ingestions.c.path, ingestions.c.ingested_at, ingestions.c.status)
        query = sa.select(quarantined_rows, *drop, ingestions.c.requeued_as)
        query = query.join_from(quarantined_rows, ingestions)
        number = quarantined_rows.c.id
        return page(self.database, query, number, part, ingestion_id=ingestion_id)

    def ingestions(self) -> list[int]:
        """Return the ingestions that refused something."""
        number = quarantined_rows.c.ingestion_id
        return [row[0] for row in self.database.rows(sa.select(number).distinct())]

    def reasons(self, ingestion_id: int) -> list[Sequence[str]]:
        """Return the reasons of an ingestion as in the file of them: the name of the drop first."""
        table = quarantined_rows.c
        columns = (ingestions.c.path, table.line, table.column_name, table.rule, table.value)
        query = sa.select(*columns).join_from(quarantined_rows, ingestions)
        found = query.where(table.ingestion_id == ingestion_id).order_by(table.id)
        return [[str(value) for value in row] for row in self.database.rows(found)]

    def by_rule(self, ingestion_ids: Sequence[int]) -> list[tuple[str, str, int]]:
        """Return (column, rule, number of cells) of the problems in drops, commonest first."""
        table, tally = quarantined_rows.c, Counter[tuple[str, str]]()
        query = sa.select(table.column_name, table.rule, sa.func.count().label("cells"))
        grouped = query.group_by(table.column_name, table.rule)
        for row in self.database.in_chunks(grouped, table.ingestion_id, ingestion_ids):
            tally[row.column_name, row.rule] += row.cells
        return [(*broken, n) for broken, n in sorted(tally.items(), key=lambda x: (-x[1], x[0]))]

    def earliest(self, rule: str, *, below: str) -> list[tuple[int, str, str]]:
        """Return the least value below another that broke a rule, by ingestion not requeued yet.

        Each is given with the ID of the ingestion and the name of its drop.
        """
        table, drop = quarantined_rows.c, ingestions.c
        least = sa.func.min(table.value)
        query = sa.select(drop.id, drop.path, least).join_from(quarantined_rows, ingestions)
        query = query.where(table.rule == rule, table.value < below, drop.requeued_as.is_(None))
        found = self.database.rows(query.group_by(drop.id, drop.path).order_by(drop.id))
        return [(row[0], row[1], row[2]) for row in found]

    def commonest_problem(self, ingestion_id: int) -> str:
        """Return column and rule of the commonest problem of a drop, as text."""
        table = quarantined_rows.c
        query = sa.select(table.column_name, table.rule).where(table.ingestion_id == ingestion_id)
        grouped = query.group_by(table.column_name, table.rule)
        worst = self.database.first(grouped.order_by(sa.func.count().desc(), table.column_name))
        return f"{worst.column_name} {worst.rule}".strip() if worst else "no reason"


def add(connection: sa.Connection, ingestion_id: int, problems: Iterable[Problem]) -> None:
    """Record the refused cells of a drop, in the transaction that accepts the rest."""
    insert_many(connection, quarantined_rows, _rows(problems), ingestion_id=ingestion_id)


def _rows(problems: Iterable[Problem]) -> Iterator[Row]:
    for problem in problems:
        row = problem._asdict()
        yield {"column_name": row.pop("column"), **row}
