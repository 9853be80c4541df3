"""Model fitting: pipeline, decision threshold and out-of-fold predictions."""

from __future__ import annotations

from dataclasses import dataclass
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
    from sklearn.utils._param_validation import InvalidParameterError

    columns = config.columns
    y_true = rows[columns.target].to_numpy(dtype="int8")
    fewest = _require_enough(y_true, config.training)
    features = model.as_features(rows, columns.numeric, columns.categorical)
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=config.random_seed)
    try:
        pipeline.fit(features, y_true)  # first, as it blames the estimator for a wrong parameter
        both = cross_val_predict(pipeline, features, y_true, cv=folds, method="predict_proba")
    except InvalidParameterError as error:
        raise ConfigError(f"training.parameters: {error}") from None
    out_of_fold = np.clip(both[:, 1].astype("float64"), 0, 1)
    threshold = choose_threshold(y_true, out_of_fold, config.training)
    scores = score_all(
        y_true,
        out_of_fold,
        out_of_fold >= threshold.value,
        cost=config.training.cost.as_tuple(),
        confidence=config.scoring.confidence,
    )
    return Fitted(pipeline, threshold, out_of_fold, scores)


def choose_threshold(y_true: Array, y_pred_proba: Array, training: Training) -> Threshold:
    """Return the best threshold by F1 or cost out of fold, the fixed one if rows are too few."""
    fixed = training.fixed_threshold
    if training.choose_threshold_by == "fixed":
        return Threshold(fixed, "fixed in the settings")
    fewest, needed = fewest_of_a_class(y_true), training.minimum_held_out_per_class
    if fewest < needed:
        return Threshold(fixed, f"fixed: {fewest} rows of a class, {needed} needed to choose one")
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
    if (fewest := fewest_of_a_class(y_true)) < 2:
        raise DataError(
            f"of {len(y_true)} labelled rows, {int(y_true.sum())} are positive; at least 2 of each "
            "class are needed to train; nothing was written"
        )
    return fewest


def fewest_of_a_class(y_true: Array) -> int:
    """Return the number of rows of the rarer class."""
    return int(min(np.sum(y_true == 0), np.sum(y_true == 1)))
