"""Releases: which models were made, from how many rows, with which manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from risk.errors import UnknownName
from risk.ledger.database import Database
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import releases

OF_THE_MANIFEST = ("made_by", "estimator", "threshold")


@dataclass(frozen=True)
class Releases:
    """The releases; `Decisions.record` adds one, in the transaction that decides it."""

    database: Database

    def last_version(self) -> int:
        """Return the number of the newest release, 0 before the first."""
        return int(self.database.scalar(sa.select(sa.func.max(releases.c.version))) or 0)

    def version_of(self, model_sha256: str) -> int | None:
        """Return the newest release that holds this very model."""
        query = sa.select(releases.c.version).where(releases.c.model_sha256 == model_sha256)
        newest = query.order_by(releases.c.version.desc()).limit(1)
        version: int | None = self.database.scalar(newest)
        return version

    def history(self) -> pd.DataFrame:
        """Return version, created_at, rows_trained, proven of every release, oldest first."""
        table = releases.c
        query = sa.select(table.version, table.created_at, table.rows_trained, table.proven)
        return self.database.frame(query.order_by(table.version))

    def page(self, part: Part = NEWEST, *, live: int | None = None) -> Listing:
        """Return releases, and which of them is the `live` one."""
        found = page(self.database, sa.select(releases), releases.c.version, part)
        for release in found.items:
            manifest = json.loads(release.pop("manifest"))
            release |= {name: manifest.get(name) for name in OF_THE_MANIFEST}
            release["live"] = release["version"] == live
        columns = [*found.columns[:-1], *OF_THE_MANIFEST, "live"]
        return Listing(columns, found.items, found.total)

    def manifest(self, version: int) -> str:
        """Return the manifest of a release, as JSON."""
        query = sa.select(releases.c.manifest).where(releases.c.version == version)
        manifest: str | None = self.database.scalar(query)
        if manifest is None:
            raise UnknownName(f"there is no release {version}")
        return manifest
