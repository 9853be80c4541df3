"""What releases predict of whole tables, kept from one report to the next.

Importing scikit-learn to predict the same rows again would be a fifth of a report.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from risk.config import Config
from risk.data import known_files
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.model import Manifest, Model
from risk.schema import fingerprints

FILE = "report_predictions.npz"
Floats = NDArray[np.float64]


class Predictions:
    """The predictions that a report asks for; those of the report before are read from a file."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config, self._ledger, self._path = config, ledger, config.model_folder / FILE
        self._kept, self._asked_for = self._read(), dict[str, Floats]()
        self._model: Model | None = None

    def of(self, manifest: Manifest, rows: pd.DataFrame) -> Floats:
        """Return the probability of the positive label for each row, as the release predicts it."""
        if manifest.is_watched:  # what another system predicted is read from the rows
            return self._load(manifest).predict_proba(rows)
        of_rows = fingerprints(rows[manifest.features]).tobytes()
        sha256 = manifest.files[manifest.model_name]
        name = hashlib.sha256(sha256.encode() + of_rows).hexdigest()
        found = self._kept.get(name)
        if found is None:
            found = self._load(manifest).predict_proba(rows)
        self._asked_for[name] = found
        return found

    def keep(self) -> None:
        """Write what was asked for in place of what was kept, unless all of it was."""
        if self._asked_for.keys() <= self._kept.keys():
            return
        content, tables = io.BytesIO(), cast(dict[str, Any], self._asked_for)
        np.savez(content, **tables)
        known_files.write(self._config, self._ledger, self._path, content.getvalue())

    def _load(self, manifest: Manifest) -> Model:
        if self._model is None or self._model.manifest != manifest:
            root = self._config.deployment_folder
            self._model = releases.load(
                self._config, releases.existing(root, manifest.version or 0)
            )
        return self._model

    def _read(self) -> dict[str, Floats]:
        """Return what was kept; nothing if the file is not the one that was written."""
        content = known_files.read(self._config, self._ledger, self._path)
        return dict(np.load(io.BytesIO(content))) if content else {}
