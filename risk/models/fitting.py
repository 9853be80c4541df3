"""Model fitting: pipeline, decision threshold and out-of-fold predictions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from risk.config import Config, Training
from risk.errors import ConfigError, DataError
from risk.models import model
from risk.stats.scores import Estimate, score_all
from risk.stats.threshold import highest_f1, lowest_cost

Array = NDArray[Any]
FOLDS = 5
MAX_LENGTH = 500
UNFIT = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True)
class Threshold:
    """The probability from which a row is predicted positive, and how it was chosen."""

    value: float
    reason: str


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, its threshold, and cross-validated predictions and scores."""

    pipeline: Any
    threshold: Threshold
    out_of_fold: Array
    scores: dict[str, Estimate]


def fit(pipeline: Any, rows: pd.DataFrame, config: Config) -> Fitted:
    """Fit to all `rows`; compute scores and choose the threshold by cross-validation."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    columns = config.columns
    y_true = rows[columns.target].to_numpy(dtype="int8")
    smallest = _require_enough(y_true, config.training)
    features = model.as_features(rows, columns.numeric, columns.categorical)
    folds = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=config.random_seed)
    try:
        both = cross_val_predict(pipeline, features, y_true, cv=folds, method="predict_proba")
        pipeline.fit(features, y_true)
        out_of_fold = np.clip(both[:, 1].astype("float64"), 0, 1)
    except UNFIT as error:
        if not config.training.parameters:
            raise
        raise _unfit(config.training, str(error)) from None
    if not np.isfinite(out_of_fold).all():
        raise _unfit(config.training, "some predicted probabilities are not finite")
    threshold = choose_threshold(y_true, out_of_fold, config.training)
    scores = score_all(
        y_true,
        out_of_fold,
        out_of_fold >= threshold.value,
        cost=config.training.cost.as_tuple(),
        confidence=config.scoring.confidence,
    )
    return Fitted(pipeline, threshold, out_of_fold, scores)


def _unfit(training: Training, error: str) -> ConfigError:
    """Blame the parameters: rows are validated before, so nothing else is left."""
    told = re.sub(r"parameter of \w+ must", f"parameter of {training.estimator} must", error)
    given = ", ".join(f"{name}={value!r}" for name, value in training.parameters.items())
    shown = shorten(told, MAX_LENGTH, placeholder=" ...")
    return ConfigError(f"training.parameters: {training.estimator} rejects {given}: {shown}")


def choose_threshold(y_true: Array, y_pred_proba: Array, training: Training) -> Threshold:
    """Return the best threshold by F1 or cost out of fold, the fixed one if rows are too few."""
    fixed = training.fixed_threshold
    if training.choose_threshold_by == "fixed":
        return Threshold(fixed, "fixed in the settings")
    smallest, needed = min_class_size(y_true), training.minimum_held_out_per_class
    if smallest < needed:
        return Threshold(fixed, f"fixed: {smallest} rows of a class, choosing one needs {needed}")
    if training.choose_threshold_by == "cost":
        cost = training.cost.as_tuple()
        return Threshold(lowest_cost(y_true, y_pred_proba, cost=cost), "lowest cost")
    return Threshold(highest_f1(y_true, y_pred_proba), "highest F1")


def _require_enough(y_true: Array, training: Training) -> int:
    if len(y_true) < training.minimum_rows:
        raise DataError(
            f"{len(y_true)} labelled rows are too few to train on, "
            f"training.minimum_rows is {training.minimum_rows}; nothing was written"
        )
    if (smallest := min_class_size(y_true)) < 2:
        raise DataError(
            f"of {len(y_true)} labelled rows, {int(y_true.sum())} are positive; at least 2 of each "
            "class are needed to train; nothing was written"
        )
    return smallest


def min_class_size(y_true: Array) -> int:
    """Return the number of rows of the rarer class."""
    return int(min(np.sum(y_true == 0), np.sum(y_true == 1)))
