"""Drills: what the monitor of a release would find, as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from risk.ledger.database import Database, Record
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import drills


@dataclass(frozen=True)
class Drills:
    """The recorded fire drills."""

    database: Database

    def record(self, version: int, *, n_batches: int, drill: str) -> None:
        """Record a drill of a release; `n_batches` of its quiet batches took part."""
        row = {"version": version, "n_batches": n_batches, "drill": drill}
        common = {"run_id": self.database.run_id, "drilled_at": self.database.now()}
        self.database.write(drills, [row], **common)

    def newest(self, version: int) -> Record | None:
        """Return the newest drill of a release."""
        query = sa.select(drills).where(drills.c.version == version)
        found = self.database.rows(query.order_by(drills.c.id.desc()).limit(1))
        return found[0] if found else None

    def page(self, part: Part = NEWEST) -> Listing:
        """Return a page of drills."""
        return page(self.database, sa.select(drills), drills.c.id, part)
