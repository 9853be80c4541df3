"""Retention: which details of old runs, reports, refusals and unused releases are deleted.

Never lost are the accepted rows, drops, decisions, alarms, incidents and messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from risk import store
from risk.config import Config
from risk.ledger.database import Database
from risk.ledger.ledger import Ledger
from risk.ledger.tables import (
    column_statistics,
    decisions,
    detectors,
    findings,
    ingestions,
    metadata,
    quarantined_rows,
    reports,
    runs,
    scores,
    stage_timings,
)
from risk.ledger.tables import releases as made
from risk.models import releases

Doomed = Mapping[sa.Table, sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Pruned:
    """How many rows of each table, and which refusals and releases, are gone or would be."""

    rows: Mapping[str, int] = field(default_factory=dict)
    quarantine: Sequence[int] = ()
    reports: Sequence[int] = ()
    releases: Sequence[int] = ()
    dry_run: bool = False

    @property
    def anything(self) -> bool:
        """Whether there was anything to lose."""
        return bool(self.rows or self.quarantine or self.reports or self.releases)

    def __str__(self) -> str:
        parts = [f"{count} {name}" for name, count in self.rows.items()]
        parts += [f"what drop {number} was refused for" for number in self.quarantine]
        parts += [f"the report on run {number}" for number in self.reports]
        parts += [f"release {version}" for version in self.releases]
        return f"{'would prune' if self.dry_run else 'pruned'}: {', '.join(parts) or 'nothing'}"


@dataclass(frozen=True)
class Past:
    """What the ledger may forget."""

    database: Database

    def before(self, keep_runs: int | None) -> int:
        """Return the oldest run to keep whole: so many decided something from it on; 0 for all."""
        decided = sa.select(decisions.c.run_id).where(decisions.c.run_id.is_not(None)).distinct()
        return self._oldest(decided, decisions.c.run_id, keep_runs)

    def refused_before(self, keep: int | None) -> int:
        """Return the oldest drop whose refusals are to be kept; 0 for all of them."""
        in_part = (ingestions.c.rows_quarantined > 0) | (ingestions.c.status == "refused")
        refused = sa.select(ingestions.c.id).where(in_part)
        newest = int(self.database.scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)
        return newest + 1 if keep == 0 else self._oldest(refused, ingestions.c.id, keep)

    def details_of_runs(self, before: int, *, live: int | None) -> Doomed:
        """Find what earlier runs recorded that nothing is decided by, and runs nothing refers to.

        Alarms stay, as training leaves out the rows they belong to; so do the live model's scores.
        """
        champion = sa.select(made.c.model_sha256).where(made.c.version == live)
        lost = {
            stage_timings: stage_timings.c.run_id < before,
            column_statistics: column_statistics.c.run_id < before,
            reports: reports.c.run_id < before,
            findings: (findings.c.run_id < before) & sa.not_(findings.c.drift_detected),
            scores: (scores.c.run_id < before) & scores.c.model_sha256.not_in(champion),
        }
        kept = [
            sa.exists().where(table.c.run_id == runs.c.id, sa.not_(lost.get(table, sa.false())))
            for table in metadata.sorted_tables
            if "run_id" in table.c
        ]
        return lost | {runs: (runs.c.id < before) & sa.not_(sa.or_(*kept))}

    def count(self, doomed: Doomed) -> dict[str, int]:
        """Count what would be lost, by table."""
        count = sa.select(sa.func.count())
        counts = {
            table.name: self.database.scalar(count.select_from(table).where(which))
            for table, which in doomed.items()
        }
        return {name: int(count) for name, count in counts.items() if count}

    def forget(self, doomed: Doomed) -> None:
        """Delete it, in one transaction."""
        with self.database.begin() as connection:
            for table, which in doomed.items():
                connection.execute(table.delete().where(which))

    def _oldest(self, query: sa.Select[Any], column: sa.Column[Any], keep: int | None) -> int:
        if keep is None:
            return 0
        newest = query.order_by(column.desc()).offset(keep - 1).limit(1)
        return int(self.database.scalar(newest) or 0)


def prune(config: Config, ledger: Ledger, *, dry_run: bool = False) -> Pruned:
    """Forget what `keeping` allows to; what a crash cut off, the next time finds again."""
    if config.keeping.everything:
        return Pruned(dry_run=dry_run)
    past = Past(ledger.database)
    live = ledger.decisions.live_version()
    unwanted = _unwanted(config, live)
    oldest_refused = past.refused_before(config.keeping.keep_quarantine)
    refused = store.quarantined_before(config, oldest_refused)
    oldest_run = past.before(config.keeping.keep_runs)
    reported = store.reported_before(config, oldest_run)
    doomed = {
        **past.details_of_runs(oldest_run, live=live),
        quarantined_rows: quarantined_rows.c.ingestion_id < oldest_refused,
        detectors: detectors.c.version.in_(unwanted),
    }
    pruned = Pruned(past.count(doomed), refused, reported, unwanted, dry_run)
    if not dry_run and pruned.anything:
        past.forget(doomed)
        for number in refused:
            store.discard_quarantined(config, number)
        for number in reported:
            store.discard_reports(config, number)
        for version in unwanted:
            releases.discard(config.deployment_folder, version)
    return pruned


def _unwanted(config: Config, decided: int | None) -> list[int]:
    """List the releases that may go: not the newest, the live one, and the one it falls back to."""
    keep, root = config.keeping.keep_releases, config.deployment_folder
    existing = releases.versions(root)
    if keep is None:
        return []
    wanted = {*existing[-keep:]}
    for live in filter(None, (decided, releases.live_version(root))):
        wanted |= {live, *[version for version in existing if version < live][-1:]}
    return [version for version in existing if version not in wanted]
