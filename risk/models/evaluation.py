"""Evaluation of one model on one data set: scores, confusion counts and predictions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk import store
from risk.cli import Result
from risk.config import Config
from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.models.model import Model
from risk.stats.scores import Estimate, score_all


@dataclass(frozen=True)
class Scorecard(Result):
    """The scores of a model on a data set, F1 first."""

    model: str
    dataset: str
    estimates: dict[str, Estimate]
    n_positive: int | None = None

    def __str__(self) -> str:
        lines = [f"{name:<18}{estimate}" for name, estimate in self.estimates.items()]
        return "\n".join([f"{self.model} on {self.dataset}", *lines])

    def to_csv(self) -> str:
        """Return the content of latest_score.csv."""
        header = ["metric", "value", "lower", "upper", "n"]
        rows = [[name, *asdict(estimate).values()] for name, estimate in self.estimates.items()]
        return "".join(map(store.csv_line, [header, *rows]))

    def as_rows(self) -> list[dict[str, Any]]:
        """Return one row per score under the ledger's column names."""
        return [
            {"dataset": self.dataset, "metric": name, **asdict(estimate)}
            | {"n_positive": self.n_positive}
            for name, estimate in self.estimates.items()
        ]


def count_outcomes(y_true: NDArray[Any], y_pred: NDArray[Any]) -> NDArray[np.int64]:
    """Return the confusion matrix: true labels 0, 1 in rows, predicted labels 0, 1 in columns."""
    cells = 2 * y_true.astype("int64") + y_pred.astype("int64")
    return np.bincount(cells, minlength=4).reshape(2, 2)


def ripe(rows: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows whose label is known; unlabelled rows are not negatives."""
    return rows[rows[target].notna()]


def score(model: Model, rows: pd.DataFrame, *, config: Config) -> dict[str, Estimate]:
    """Return the scores of `model` on the labelled rows; raise DataError if there are none."""
    labelled = ripe(rows, model.manifest.target)
    if labelled.empty:
        raise DataError(f"none of {len(rows)} rows has a label, so nothing can be scored")
    y_true = labelled[model.manifest.target].to_numpy(dtype="int8")
    y_pred_proba = model.predict_proba(labelled)
    return score_all(
        y_true,
        y_pred_proba,
        model.predict(y_pred_proba),
        cost=config.training.cost.as_tuple(),
        confidence=config.scoring.confidence,
    )


def predict(champion: Model, rows: pd.DataFrame, identifier: str) -> pd.DataFrame:
    """Return identifier, y_pred_proba, y_pred and the predicted label, as in data, of each row."""
    y_pred_proba = champion.predict_proba(rows)
    y_pred = champion.predict(y_pred_proba)
    written = champion.manifest.negative_label, champion.manifest.positive_label
    return pd.DataFrame(
        {
            identifier: rows[identifier],
            "y_pred_proba": y_pred_proba,
            "y_pred": y_pred,
            "label": pd.Series([written[label] for label in y_pred.tolist()], index=rows.index),
        }
    )
