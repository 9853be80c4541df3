"""Findings: the result of each check on each subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from risk.lazily import pandas as pd
from risk.ledger.database import Database, Record, Row
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import findings, incidents

DETECTOR = "e_detector"
NEXT_TO_NO_EVIDENCE = 0.01  # of 1, which raises an alarm
ALARM, WARNING = "alarm", "warning"  # the tiers
BESIDE_A_FAULT = "beside_a_fault"  # a fact: suspected only because another column is broken
FAULTS_OF_COLUMNS = (
    (findings.c.check_name == "data_quality")
    & (findings.c.tier == ALARM)  # which has an index
    & findings.c.method.in_((DETECTOR, "constant"))
    & sa.func.coalesce(findings.c.facts, "").not_like(f'%"{BESIDE_A_FAULT}"%')
)
MATRIX_COLUMNS = (
    "run_id",
    "found_at",
    "feature",
    "check_name",
    "drift_score",
    "threshold",
    "drift_detected",
)


@dataclass(frozen=True)
class Findings:
    """The findings; those of an assessment are recorded with it."""

    database: Database

    def record(self, rows: Sequence[Row]) -> None:
        """Record findings not based on rows, such as the absence of new drops."""
        common = {"run_id": self.database.run_id, "found_at": self.database.now()}
        self.database.write(findings, rows, **common)

    def history(self, *, run_id: int | None = None) -> pd.DataFrame:
        """Return the findings of one run, or all, oldest first."""
        query = sa.select(findings)
        query = query if run_id is None else query.where(findings.c.run_id == run_id)
        return self.database.frame(query.order_by(findings.c.id))

    def page(self, part: Part = NEWEST, **only: Any) -> Listing:
        """Return a page of findings, of those with these values; `distances` are by name."""
        return page(self.database, sa.select(findings), findings.c.id, part, **only)

    def newest_warnings(self, subjects: Collection[str]) -> list[Record]:
        """Return the newest early warning about each of these subjects, the newest first.

        Subjects of open incidents are left out: what they warn of is known.
        """
        about, table = incidents.c, findings.c
        known = sa.select(about.subject).where(about.resolved_at.is_(None))
        newest = sa.select(sa.func.max(table.id)).where(
            table.tier == WARNING, table.feature.in_(subjects), table.feature.not_in(known)
        )
        query = sa.select(findings).where(table.id.in_(newest.group_by(table.feature)))
        return self.database.rows(query.order_by(table.id.desc()))

    def last_quiet(self, finding_id: int, feature: str | None) -> datetime | None:
        """Return when there last was next to no evidence of a subject before a finding."""
        table = findings.c
        earlier = (table.id < finding_id) & (table.feature == feature)
        query = sa.select(table.found_at).where(earlier, table.e_value < NEXT_TO_NO_EVIDENCE)
        found = self.database.first(query.order_by(table.id.desc()))
        return found[0] if found else None

    def with_fact(self, name: str, *, feature: str) -> pd.DataFrame:
        """Return run_id and facts of the findings of a subject with this fact, oldest first."""
        table = findings.c
        query = sa.select(table.run_id, table.facts).where(table.feature == feature)
        query = query.where(table.run_id.is_not(None), table.facts.like(f'%"{name}"%'))
        return self.database.frame(query.order_by(table.id))

    def drift_matrix(self, newest_runs: int = 30) -> pd.DataFrame:
        """Return the drift score of each subject in each of the newest runs, oldest first."""
        table, by_detector = findings.c, findings.c.method == DETECTOR
        numbers = sa.select(table.run_id).where(by_detector, table.run_id.is_not(None)).distinct()
        newest = numbers.order_by(table.run_id.desc()).limit(newest_runs).subquery()
        oldest = sa.select(sa.func.min(newest.c.run_id)).scalar_subquery()
        query = sa.select(*(table[name] for name in MATRIX_COLUMNS))
        since = query.where(by_detector, table.run_id >= oldest)
        return self.database.frame(since.order_by(table.run_id, table.id))
