"""Releases: the models published, their training rows and manifests."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from risk.errors import UnknownName
from risk.lazily import pandas as pd
from risk.ledger.database import Database
from risk.ledger.queries import NEWEST, Listing, Part, page
from risk.ledger.tables import releases

MANIFEST_FIELDS = ("made_by", "estimator", "threshold")


@dataclass(frozen=True)
class Releases:
    """The releases; `Decisions.record` adds one, in the transaction of the decision."""

    database: Database

    def last_version(self) -> int:
        """Return the number of the newest release, 0 before the first."""
        return int(self.database.scalar(sa.select(sa.func.max(releases.c.version))) or 0)

    def version_of(self, model_sha256: str) -> int | None:
        """Return the newest release with this model, None if there is none."""
        query = sa.select(releases.c.version).where(releases.c.model_sha256 == model_sha256)
        newest = query.order_by(releases.c.version.desc()).limit(1)
        version: int | None = self.database.scalar(newest)
        return version

    def history(self) -> pd.DataFrame:
        """Return version, created_at, rows_trained and proven of all releases, oldest first."""
        table = releases.c
        query = sa.select(table.version, table.created_at, table.rows_trained, table.proven)
        return self.database.frame(query.order_by(table.version))

    def page(self, part: Part = NEWEST, *, live: int | None = None) -> Listing:
        """Return a page of releases, flagging the `live` one."""
        found = page(self.database, sa.select(releases), releases.c.version, part)
        for release in found.items:
            manifest = json.loads(release.pop("manifest"))
            release |= {name: manifest.get(name) for name in MANIFEST_FIELDS}
            release["live"] = release["version"] == live
        columns = [*found.columns[:-1], *MANIFEST_FIELDS, "live"]
        return Listing(columns, found.items, found.total)

    def manifest(self, version: int) -> str:
        """Return the manifest of a release, as JSON."""
        query = sa.select(releases.c.manifest).where(releases.c.version == version)
        manifest: str | None = self.database.scalar(query)
        if manifest is None:
            raise UnknownName(f"there is no release {version}")
        return manifest

    def replace_manifest(self, version: int, manifest: str) -> None:
        """Record the manifest of a release from which a person was erased."""
        this = releases.update().where(releases.c.version == version)
        self.database.execute(this.values(manifest=manifest))
