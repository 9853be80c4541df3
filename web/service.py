"""What the requests of one worker share: the settings, the ledger, the live model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pandas as pd
from flask import current_app

from risk import store
from risk.config import Config
from risk.data import drops
from risk.errors import LedgerError, ModelError, UnknownName
from risk.ledger import database
from risk.ledger.database import Database
from risk.ledger.engines import Away
from risk.ledger.ledger import Ledger
from risk.models import model, releases
from risk.models.model import Model
from risk.monitoring.reference import Reference

NAME = "risk"


@dataclass(frozen=True)
class Live:
    """A release as it was read once: the model, and what it was trained on in cells."""

    identity: tuple[Path, int]
    model: Model
    reference: Reference

    @property
    def version(self) -> int | None:
        """The number of the release."""
        return self.model.manifest.version


class Service:
    """Opened late and kept: the ledger's connections, and the live release."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.away = Away()
        self._connecting = Lock()
        self._ledger: Ledger | None = None
        self._deployment_folder = config.deployment_folder
        self._loading = Lock()
        self._live: Live | None = None

    def ledger(self) -> Ledger:
        """Return the ledger, connected at the first question; nobody waits for another."""
        if self._ledger is None:
            engine = database.connect(self.config, upgrade=False, away=self.away)
            with self._connecting:
                if self._ledger is None:
                    self._ledger = Ledger(Database(engine))
                else:
                    engine.dispose()
        return self._ledger

    def close(self) -> None:
        """Close the ledger's connections; the next question opens new ones."""
        with self._connecting:
            if self._ledger is not None:
                self._ledger.engine.dispose()

    def champion(self) -> Model:
        """Return the live model."""
        return self.live().model

    def live(self) -> Live:
        """Resolve the live release, once for a request; its files never change.

        One request loads a new release; meanwhile the others are answered by the one before.
        """
        kept = self._live
        if kept and kept.identity == _identity(releases.live_folder(self._deployment_folder)):
            return kept
        if not self._loading.acquire(blocking=kept is None) and kept:
            return kept
        try:
            self._live = self._loaded()
        finally:
            self._loading.release()
        return self._live

    def _loaded(self) -> Live:
        """Load the live release; once again if a deployment replaced it meanwhile."""
        folder = releases.live_folder(self._deployment_folder)
        try:
            return self._load(folder)
        except ModelError:
            if (now := releases.live_folder(self._deployment_folder)) == folder:
                raise
        return self._load(now)

    def _load(self, folder: Path) -> Live:
        identity, kept = _identity(folder), self._live
        if kept and kept.identity == identity:
            return kept
        champion = releases.load(self.config, folder)
        content = model.read_checked(folder, model.REFERENCE, champion.manifest)
        return Live(identity, champion, Reference.from_json(content))

    def dataset(self, name: str | None, *, default: Path) -> Path:
        """Look up the data set a request names; its words never become a path."""
        if name is None:
            return default
        known = self.known_datasets()
        if name not in known:
            raise UnknownName(f"no data set is called {name[:80]!r}; known: {sorted(known)}")
        return known[name]

    def rows(self, path: Path) -> pd.DataFrame:
        """Read a data set; the compiled one from its parts, which no run rewrites."""
        if path == self.compiled:
            return store.read_parts(self.config, self.ledger().ingestions.parts())
        if not os.path.isfile(path):
            raise UnknownName(f"{self.config.name_of(path)} is known, but its file is not there")
        return drops.read_whole(self.config, path)

    @property
    def compiled(self) -> Path:
        """The data set of all accepted rows."""
        return self.config.ingested_folder / self.config.compiled_data_filename

    def known_datasets(self) -> dict[str, Path]:
        """Return the data sets by name: test data, the compiled dataset, the drops taken."""
        config = self.config
        try:
            taken = {name: config.root / name for name in self.ledger().ingestions.taken_paths()}
        except LedgerError:
            taken = {}
        own = (config.test_data, self.compiled)
        return taken | {config.name_of(path): path for path in own}


def _identity(folder: Path) -> tuple[Path, int]:
    """Tell a release from one of the same number that an installation made anew."""
    try:
        return folder, folder.stat().st_mtime_ns
    except OSError:
        return folder, 0


def service() -> Service:
    """Return what the requests of this application share."""
    shared: Service = current_app.extensions[NAME]
    return shared
