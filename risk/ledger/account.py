"""What the account of alarms rests on: rows after each alarm, outcomes of the first release."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from risk.lazily import pandas as pd
from risk.ledger.database import Database, Record
from risk.ledger.findings import WARNING
from risk.ledger.tables import (
    decisions,
    findings,
    first_release_outcomes,
    follow_ups,
    incidents,
    ingestions,
    scores,
)

COUNTS = (
    "n",
    "true_positives",
    "false_positives",
    "false_negatives",
    "first_true_positives",
    "first_false_positives",
    "first_false_negatives",
)


# reasons to look at a challenger once more, or to deploy the one that a person was asked about
SEEN_BEFORE = ("few_new_rows", "refresh_again", "approved")


@dataclass(frozen=True)
class Decided:
    """How many models challenged the live one, were released for it, and were rolled back."""

    challengers: int
    releases: int
    rolled_back: int


@dataclass(frozen=True)
class Account:
    """The follow-ups of incidents, and what the first release would have said."""

    database: Database

    def followed(self, *, most: int, since: datetime) -> list[Record]:
        """Return the incidents opened since then that have fewer follow-ups than `most`."""
        own = follow_ups.c.incident_id == incidents.c.id
        seen = sa.select(sa.func.count()).select_from(follow_ups).where(own).scalar_subquery()
        query = sa.select(incidents).where(incidents.c.opened_at >= since, seen < most)
        return self.database.rows(query.order_by(incidents.c.id))

    def looks(self) -> pd.DataFrame:
        """Return all follow-ups, oldest first."""
        return self.database.frame(sa.select(follow_ups).order_by(follow_ups.c.id))

    def began(self) -> datetime | None:
        """Return when the first release went live, None before."""
        table = decisions.c
        return self._moment(sa.select(sa.func.min(table.decided_at)), table.version.is_not(None))

    def first_compared(self) -> tuple[int, datetime] | None:
        """Return the release the others are compared with, and since when."""
        table = first_release_outcomes.c
        newest = sa.select(table.first_version).order_by(table.id.desc())
        found = self.database.first(newest)
        if found is None:
            return None
        moment = self._moment(
            sa.select(sa.func.min(table.compared_at)), table.first_version == found[0]
        )
        return (int(found[0]), moment) if moment else None

    def is_scored_before(self, moment: datetime, dataset: str) -> bool:
        """Return whether a data set was scored before a moment."""
        earlier = (scores.c.dataset == dataset) & (scores.c.scored_at < moment)
        return self.database.first(sa.select(scores.c.id).where(earlier)) is not None

    def outcomes_by_drop(self, first_version: int) -> pd.DataFrame:
        """Return the outcomes of the labelled rows of each drop, those of both releases."""
        table = first_release_outcomes.c
        sums = [sa.func.sum(table[name]).label(name) for name in COUNTS]
        query = sa.select(table.ingestion_id, *sums).where(table.first_version == first_version)
        grouped = query.group_by(table.ingestion_id).order_by(table.ingestion_id)
        return self.database.frame(grouped).astype({name: "int64" for name in COUNTS})

    def arrival_after(self, moment: datetime) -> datetime | None:
        """Return when the first drop with rows came after a moment."""
        table = ingestions.c
        came = (table.status == "taken") & (table.kind == "rows") & (table.ingested_at > moment)
        return self._moment(sa.select(sa.func.min(table.ingested_at)), came)

    def decided(self) -> Decided:
        """Count the models that challenged the live one, the releases that followed, rollbacks.

        A challenger that is looked at again is counted once; the first model challenged none.
        """
        table = decisions.c
        # of the others, forced ones too, something was compared, or a release made live
        query = sa.select(table.action, table.reason_code, table.version, table.comparison)
        relevant = table.comparison.is_not(None) | table.version.is_not(None)
        rows = self.database.rows(query.where(relevant).order_by(table.id))
        compared = [row for row in rows if row.comparison and not _is_first(row.comparison)]
        return Decided(
            challengers=sum(row.reason_code not in SEEN_BEFORE for row in compared),
            releases=max(sum(row.action == "deploy" for row in rows) - 1, 0),
            rolled_back=sum(
                row.action == "rollback" and row.reason_code != "restored" for row in rows
            ),
        )

    def warnings(self) -> pd.DataFrame:
        """Return found_at and feature of the early warnings."""
        early = findings.c.tier == WARNING
        query = sa.select(findings.c.found_at, findings.c.feature).where(early)
        return self.database.frame(query.order_by(findings.c.id))

    def _moment(self, query: sa.Select[Any], which: sa.ColumnElement[bool]) -> datetime | None:
        moment: datetime | None = self.database.scalar(query.where(which))
        return moment


def _is_first(comparison: str) -> bool:
    return bool(json.loads(comparison).get("verdict") == "first")
