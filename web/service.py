"""State shared by the requests of a worker: settings, ledger and live model."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

from flask import current_app

from risk.config import Config
from risk.data import drops, part_files
from risk.errors import LedgerError, ModelError, UnknownName
from risk.lazily import pandas as pd
from risk.ledger import database
from risk.ledger.database import Database, utc_now
from risk.ledger.engines import Away
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.model import Model
from risk.models.watched import require_model
from risk.monitoring import reference_file
from risk.monitoring.reference import Reference

NAME = "risk"


@dataclass(frozen=True)
class Live:
    """A loaded release: the model, and its training data as counts in cells."""

    identity: tuple[Path, int]
    model: Model
    reference: Reference

    @property
    def version(self) -> int | None:
        """The version of the release."""
        return self.model.manifest.version


class Service:
    """Lazily opened, cached resources: the ledger's connections and the live release."""

    def __init__(self, config: Config, clock: Callable[[], datetime] = utc_now) -> None:
        self.config, self.clock = config, clock
        self.away = Away()
        self._connecting = Lock()
        self._ledger: Ledger | None = None
        self._deployment_folder = config.deployment_folder
        self._loading = Lock()
        self._live: Live | None = None

    def ledger(self) -> Ledger:
        """Return the ledger, connected on first use; requests do not wait for each other."""
        if self._ledger is None:
            engine = database.connect(self.config, upgrade=False, away=self.away)
            with self._connecting:
                if self._ledger is None:
                    self._ledger = Ledger(Database(engine, self.clock))
                    weakref.finalize(self, engine.dispose)  # who drops an application closes it
                else:
                    engine.dispose()
        return self._ledger

    def close(self) -> None:
        """Close the ledger's connections; the next request opens new ones."""
        with self._connecting:
            if self._ledger is not None:
                self._ledger.engine.dispose()

    def champion(self) -> Model:
        """Return the live model."""
        return self.live().model

    def live(self) -> Live:
        """Return the live release; call it once per request, as the release may be replaced.

        One request loads a new release; meanwhile the others use the previous one.
        """
        cached = self._live
        if cached and cached.identity == _identity(releases.live_folder(self._deployment_folder)):
            return cached
        if not self._loading.acquire(blocking=cached is None) and cached:
            return cached
        try:
            self._live = self._loaded()
        finally:
            self._loading.release()
        return self._live

    def _loaded(self) -> Live:
        """Load the live release; retry once if a deployment replaced it meanwhile."""
        folder = releases.live_folder(self._deployment_folder)
        try:
            return self._load(folder)
        except ModelError:
            if (now := releases.live_folder(self._deployment_folder)) == folder:
                raise
        return self._load(now)

    def _load(self, folder: Path) -> Live:
        identity, cached = _identity(folder), self._live
        if cached and cached.identity == identity:
            return cached
        champion = releases.load(self.config, folder)
        return Live(identity, champion, reference_file.read(folder, champion.manifest))

    def dataset(self, name: str | None, *, default: Path) -> Path:
        """Return the path of a data set by name; the name itself is never used as a path."""
        if name is None:
            if default == self.config.test_data:
                require_model(self.config, "there are no test data; name a data set")
            return default
        known = self.known_datasets()
        if name not in known:
            raise UnknownName(f"unknown data set {name[:80]!r}; available: {sorted(known)}")
        return known[name]

    def rows(self, path: Path) -> pd.DataFrame:
        """Return the rows of a data set; the compiled one from its parts, which never change."""
        if path == self.compiled:
            return part_files.read(self.config, self.ledger(), self.ledger().parts.ids())
        if not os.path.isfile(path):
            raise UnknownName(f"the file of data set {self.config.name_of(path)} does not exist")
        return drops.read_whole(self.config, path)

    @property
    def compiled(self) -> Path:
        """The data set of all accepted rows."""
        return self.config.ingested_folder / self.config.compiled_data_filename

    def known_datasets(self) -> dict[str, Path]:
        """Return the data sets' paths by name: test data, compiled data set, accepted drops."""
        config = self.config
        try:
            taken = {name: config.root / name for name in self.ledger().ingestions.taken_paths()}
        except LedgerError:
            taken = {}
        own = [self.compiled, *([] if config.watches_only else [config.test_data])]
        return taken | {config.name_of(path): path for path in own}


def _identity(folder: Path) -> tuple[Path, int]:
    """Return path and mtime, to distinguish releases of the same version after a reset."""
    try:
        return folder, folder.stat().st_mtime_ns
    except OSError:
        return folder, 0


def collect_garbage_as_usual() -> None:
    """Search for garbage as often as Python does by itself, but not in what is loaded.

    Stages end before it matters; a server would keep the rows of refused requests.
    """
    gc.freeze()
    gc.set_threshold(700)


def service() -> Service:
    """Return the shared state of this application."""
    shared: Service = current_app.extensions[NAME]
    return shared
