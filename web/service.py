"""What the requests of one worker share: the settings, the ledger, the live model."""

from __future__ import annotations

import functools
from pathlib import Path
from threading import Lock

import pandas as pd
from flask import current_app

from risk import database, drops, model, releases, store
from risk.config import Config
from risk.errors import LedgerError, UnknownName
from risk.ledger import Ledger, utc_now
from risk.model import Model

NAME = "risk"


class Service:
    """Opened late and kept: the ledger's connections, and each release once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = Lock()
        self._ledger: Ledger | None = None
        self._load = functools.lru_cache(maxsize=2)(self._load_release)

    def ledger(self) -> Ledger:
        """Return the ledger, connected at the first question."""
        with self._lock:
            if self._ledger is None:
                engine = database.connect(self.config, upgrade=False)
                self._ledger = Ledger(engine, utc_now)
            return self._ledger

    def champion(self) -> Model:
        """Resolve the live release once for a request; its files never change."""
        folder = releases.live_folder(self.config.deployment_folder)
        with self._lock:
            return self._load(folder)

    def _load_release(self, folder: Path) -> Model:
        return model.load(folder, store.signing_key(self.config))

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
        if path != self.compiled:
            return drops.read_whole(self.config, path)
        return store.read_parts(self.config, self.ledger().parts())

    @property
    def compiled(self) -> Path:
        """The data set of all accepted rows."""
        return self.config.ingested_folder / self.config.compiled_data_filename

    def known_datasets(self) -> dict[str, Path]:
        """Return the data sets by name: test data, the compiled dataset, the drops taken."""
        config = self.config
        try:
            taken = {name: config.root / name for name in self.ledger().taken_paths()}
        except LedgerError:
            taken = {}
        own = (config.test_data, self.compiled)
        return taken | {config.name_of(path): path for path in own}


def service() -> Service:
    """Return what the requests of this application share."""
    shared: Service = current_app.extensions[NAME]
    return shared
