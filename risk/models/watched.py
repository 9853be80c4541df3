"""Predictions made elsewhere: a model whose probabilities are a column of the drops."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.config import Config
from risk.data.predictions import MIN_AGREEMENT
from risk.errors import DataError, WatchedOnly
from risk.lazily import pandas as pd
from risk.schema import is_positive
from risk.stats.threshold import lowest_cost

ESTIMATOR, MADE_BY = "predictions", "watch"
FILE_NAME = "predictions.json"
REFERENCE_ROWS = "the reference"  # in place of test data
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """The column that holds the probability of the positive label."""

    column: str

    def of(self, rows: pd.DataFrame) -> Floats:
        """Return the probability of each row; raise WatchedOnly if the rows do not hold it."""
        if self.column not in rows:
            raise WatchedOnly("rows cannot be predicted")
        return rows[self.column].to_numpy(dtype="float64")

    def to_json(self, **known: Any) -> str:
        """Return the file that stands for the model, with what else is known of it."""
        return json.dumps({"probability": self.column, **known}, sort_keys=True)

    @classmethod
    def from_json(cls, content: bytes) -> Predictions:
        """Parse what `to_json` returned."""
        return cls(json.loads(content)["probability"])


def threshold(config: Config, rows: pd.DataFrame) -> tuple[float, str]:
    """Return the threshold of a model elsewhere and where it is from.

    It is that of the settings, or the one that agrees best with its decisions, halfway between two
    probabilities; DataError if these follow no threshold.
    """
    if config.model.threshold is not None:
        return config.model.threshold, "fixed in the settings"
    proba = rows[config.columns.probability].to_numpy(dtype="float64")
    decided = is_positive(rows[config.columns.decision], config.columns).to_numpy(dtype=bool)
    best = lowest_cost(decided, proba, cost=(0, 1, 1, 0))
    agreement = float((decided == (proba >= best)).mean())
    if agreement < MIN_AGREEMENT:
        raise DataError(
            f"{config.columns.decision} follows no threshold of {config.columns.probability}: the "
            f"best agrees with {agreement:.1%} of the decisions; set model.threshold"
        )
    return best, f"agrees with {agreement:.1%} of the decisions"


def require_model(config: Config, what: str) -> None:
    """Raise WatchedOnly if no model is trained here; `what` is what cannot be done."""
    if config.watches_only:
        raise WatchedOnly(what)
