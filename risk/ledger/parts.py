"""Parts: the ingestions that added rows (not only late labels), each with a file of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from risk.ledger import incidents
from risk.ledger.database import Database
from risk.ledger.findings import FAULTS_OF_COLUMNS
from risk.ledger.tables import assessments, findings, ingestions, superseded_rows

ADDED_ROWS = (ingestions.c.rows_added > 0) & (ingestions.c.kind == "rows")


@dataclass(frozen=True)
class Parts:
    """The parts by the IDs of their ingestions, and the rows still to be removed from them."""

    database: Database

    def ids(self, *, after: int = 0) -> list[int]:
        """Return the parts after an ingestion, oldest first."""
        query = sa.select(ingestions.c.id).where(ADDED_ROWS & (ingestions.c.id > after))
        return [row[0] for row in self.database.rows(query.order_by(ingestions.c.id))]

    def among(self, numbers: Sequence[int]) -> list[int]:
        """Return those of these ingestions that are parts, in the order given."""
        query = sa.select(ingestions.c.id).where(ADDED_ROWS)
        found = {row[0] for row in self.database.in_chunks(query, ingestions.c.id, numbers)}
        return [number for number in numbers if number in found]

    def before(self, number: int) -> int | None:
        """Return the last part before an ingestion, None if there is none."""
        query = sa.select(sa.func.max(ingestions.c.id))
        before: int | None = self.database.scalar(
            query.where(ADDED_ROWS & (ingestions.c.id < number))
        )
        return before

    def newest(self) -> int | None:
        """Return the newest part, None if there is none."""
        query = sa.select(sa.func.max(ingestions.c.id))
        newest: int | None = self.database.scalar(query.where(ADDED_ROWS))
        return newest

    def sizes(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return how many rows each of these ingestions added."""
        query = sa.select(ingestions.c.id, ingestions.c.rows_added)
        return {row[0]: row[1] for row in self.database.in_chunks(query, ingestions.c.id, numbers)}

    def digests(self, numbers: Sequence[int], *, settled: bool = True) -> dict[int, str]:
        """Return the SHA-256 of these parts, as far as they were recorded.

        A part from which a row is yet to be removed may be the one before or after, so a `settled`
        digest of it is not known.
        """
        table = ingestions.c
        query = sa.select(table.id, table.part_sha256).where(table.part_sha256.is_not(None))
        found = self.database.in_chunks(query, table.id, numbers)
        changing = self.superseded() if settled else {}
        return {row[0]: row[1] for row in found if row[0] not in changing}

    def doubtful(self, max_in_a_row: int) -> set[int]:
        """Return the ingestions in which a feature was broken, unless that has become normal.

        After `max_in_a_row` consecutive requests for attention it counts as normal.
        """
        query = (
            sa.select(ingestions.c.id, findings.c.feature)
            .join_from(ingestions, assessments, ingestions.c.assessment_id == assessments.c.id)
            .join(findings, findings.c.run_id == assessments.c.run_id)
            .where(FAULTS_OF_COLUMNS)
        )
        normal = incidents.normal(self.database, max_in_a_row)
        rows = self.database.rows(query.distinct())
        return {number for number, feature in rows if (feature, number) not in normal}

    def superseded(self) -> dict[int, list[int]]:
        """Return the superseded rows that are still in their parts, by ingestion."""
        table, rows = superseded_rows.c, defaultdict[int, list[int]](list)
        query = sa.select(table.row_ingestion_id, table.row_hash)
        for number, row_hash in self.database.rows(query.where(table.removed_at.is_(None))):
            rows[number].append(row_hash)
        return rows

    def removed(self) -> dict[int, int]:
        """Return how many superseded rows are no longer in the part of each ingestion."""
        table = superseded_rows.c
        number = table.row_ingestion_id
        gone = table.removed_at.is_not(None) & (table.ingestion_id != number)  # else: erased
        query = sa.select(number, sa.func.count()).where(gone).group_by(number)
        return {row[0]: row[1] for row in self.database.rows(query)}

    def note_removal(self, number: int, row_hashes: Sequence[int], *, part_sha256: str) -> None:
        """Record that superseded rows are no longer in the part of an ingestion."""
        removed = superseded_rows.update().where(superseded_rows.c.row_hash.in_(row_hashes))
        known = ingestions.c.part_sha256.is_not(None) & (ingestions.c.id == number)
        with self.database.begin() as connection:
            connection.execute(removed.values(removed_at=self.database.now()))
            connection.execute(ingestions.update().where(known).values(part_sha256=part_sha256))
