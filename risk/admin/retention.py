"""Retention: deletes details of old runs, reports, quarantined rows and unused releases.

Accepted rows, drops, decisions, alarms, incidents, scores and messages are never deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk import store
from risk.admin import sharing
from risk.config import Config
from risk.ledger.database import Database
from risk.ledger.file_digests import before
from risk.ledger.findings import WARNING
from risk.ledger.ledger import Ledger
from risk.ledger.tables import (
    column_statistics,
    decisions,
    detectors,
    file_digests,
    findings,
    ingestions,
    metadata,
    quarantined_rows,
    reports,
    runs,
    stage_timings,
)
from risk.models import releases, shared_releases
from risk.monitoring import follow_up

Deletions = Mapping[sa.Table, sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Pruned:
    """Which rows, reports, releases and quarantined drops were deleted, or would be."""

    rows: Mapping[str, int] = field(default_factory=dict)
    quarantine: Sequence[int] = ()
    reports: Sequence[int] = ()
    releases: Sequence[int] = ()
    dry_run: bool = False

    @property
    def anything(self) -> bool:
        """Whether there was anything to delete."""
        return bool(self.rows or self.quarantine or self.reports or self.releases)

    def __str__(self) -> str:
        parts = [f"{count} {name}" for name, count in self.rows.items()]
        parts += [f"quarantine of drop {number}" for number in self.quarantine]
        parts += [f"report of run {number}" for number in self.reports]
        parts += [f"release {version}" for version in self.releases]
        return f"{'would prune' if self.dry_run else 'pruned'}: {', '.join(parts) or 'nothing'}"


@dataclass(frozen=True)
class Expired:
    """Rows of the ledger that retention allows to delete."""

    database: Database

    def before(self, keep_runs: int | None) -> int:
        """Return the oldest run to keep in full, counting runs with a decision; 0 keeps all."""
        decided = sa.select(decisions.c.run_id).where(decisions.c.run_id.is_not(None)).distinct()
        return self._oldest(decided, decisions.c.run_id, keep_runs)

    def refused_before(self, keep: int | None) -> int:
        """Return the oldest drop whose quarantine is kept; 0 keeps all."""
        in_part = (ingestions.c.rows_quarantined > 0) | (ingestions.c.status == "refused")
        refused = sa.select(ingestions.c.id).where(in_part)
        newest = int(self.database.scalar(sa.select(sa.func.max(ingestions.c.id))) or 0)
        return newest + 1 if keep == 0 else self._oldest(refused, ingestions.c.id, keep)

    def details_of_runs(self, before: int) -> Deletions:
        """Select details of earlier runs that no decision depends on, and unreferenced runs.

        Alarms are kept, because training excludes their rows, and warnings, to be counted.
        """
        details = {
            stage_timings: stage_timings.c.run_id < before,
            column_statistics: column_statistics.c.run_id < before,
            reports: reports.c.run_id < before,
            findings: (findings.c.run_id < before)
            & sa.not_(findings.c.drift_detected)
            & (findings.c.tier != WARNING),
        }
        kept = [
            sa.exists().where(table.c.run_id == runs.c.id, sa.not_(details.get(table, sa.false())))
            for table in metadata.sorted_tables
            if "run_id" in table.c
        ]
        return details | {runs: (runs.c.id < before) & sa.not_(sa.or_(*kept))}

    def count(self, deletions: Deletions) -> dict[str, int]:
        """Count the rows to delete, by table."""
        count = sa.select(sa.func.count())
        counts = {
            table.name: self.database.scalar(count.select_from(table).where(which))
            for table, which in deletions.items()
        }
        return {name: int(count) for name, count in counts.items() if count}

    def delete(self, deletions: Deletions) -> None:
        """Delete the rows, in one transaction."""
        with self.database.begin() as connection:
            for table, which in deletions.items():
                connection.execute(table.delete().where(which))

    def _oldest(self, query: sa.Select[Any], column: sa.Column[Any], keep: int | None) -> int:
        if keep is None:
            return 0
        newest = query.order_by(column.desc()).offset(keep - 1).limit(1)
        return int(self.database.scalar(newest) or 0)


def prune(config: Config, ledger: Ledger, *, dry_run: bool = False) -> Pruned:
    """Delete what `keeping` allows; after a crash the next call completes it."""
    if config.keeping.everything:
        return Pruned(dry_run=dry_run)
    expired = Expired(ledger.database)
    live = ledger.decisions.live_version()
    unused = _unused(config, live, follow_up.versions_followed(ledger, ledger.now()))
    oldest_refused = expired.refused_before(config.keeping.keep_quarantine)
    refused = _numbered_before(config.quarantine_folder, oldest_refused)
    oldest_run = expired.before(config.keeping.keep_runs)
    reported = _numbered_before(config.report_folder, oldest_run)
    deletions = {
        **expired.details_of_runs(oldest_run),
        quarantined_rows: quarantined_rows.c.ingestion_id < oldest_refused,
        detectors: detectors.c.version.in_(unused),
        file_digests: before(config.name_of(config.quarantine_folder), oldest_refused)
        | before(config.name_of(config.report_folder), oldest_run),
    }
    pruned = Pruned(expired.count(deletions), refused, reported, unused, dry_run)
    if not dry_run and pruned.anything:
        expired.delete(deletions)
        for number in refused:
            _discard(store.quarantine_path(config, number))
        for number in reported:
            _discard(store.report_path(config, number, "pdf").parent)
        for version in unused:
            if config.shared_store:
                shared_releases.discard(config, ledger, version)
            releases.discard(config.deployment_folder, version)
        if config.shared_store:
            sharing.sweep(config, ledger)
    return pruned


def _unused(config: Config, decided: int | None, followed: Collection[int]) -> list[int]:
    """List the releases to delete: not the first, the newest, the live one, its rollback target.

    Nor one whose alarms are followed up: later rows are compared with its reference.
    """
    keep, root = config.keeping.keep_releases, config.deployment_folder
    existing = releases.versions(root)
    if keep is None:
        return []
    kept = {*existing[:1], *existing[-keep:], *followed}
    for live in filter(None, (decided, releases.live_version(root))):
        kept |= {live, *[version for version in existing if version < live][-1:]}
    return [version for version in existing if version not in kept]


def _numbered_before(folder: Path, number: int) -> list[int]:
    numbers = (int(path.name) for path in folder.glob("*") if path.name.isdecimal())
    return sorted(earlier for earlier in numbers if earlier < number)


def _discard(folder: Path) -> None:
    with store.storage_faults(folder):
        shutil.rmtree(folder)
