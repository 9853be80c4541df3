"""Model fitting: pipeline, decision threshold and out-of-fold predictions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk import engine
from risk.config import Config, Training
from risk.errors import ConfigError, DataError
from risk.lazily import pandas as pd
from risk.models import calibration, model
from risk.models.estimators import errors_of_fitting
from risk.progress import track
from risk.stats.scores import Estimate, score_all
from risk.stats.threshold import highest_f1, lowest_cost

Array = NDArray[Any]
FOLDS = 5
RESAMPLES = 100  # 50 are nearly as good, 25 are not (ADR 62)
MAX_LENGTH = 500
ROWS_EACH, DECIMALS = 20, 9  # a model gives few probabilities if so many rows have each of them
MAX_OPTIMISM = 0.1  # of the squared error
UNFIT = (
    ValueError, TypeError, ArithmeticError, LookupError, AttributeError, NotImplementedError
)  # fmt: skip


@dataclass(frozen=True)
class Threshold:
    """The probability from which a row is predicted positive, and how it was chosen.

    `chosen` is False where it comes from the settings.
    """

    value: float
    reason: str
    chosen: bool = False


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, its threshold, and cross-validated predictions and scores.

    `out_of_fold` holds probabilities, `y_pred` the labels that thresholds chosen in the other folds
    make of them, and `scores` those of these labels: the promise. `as_deployed` are out-of-fold
    probabilities corrected, if they are, by the numbers of the deployed model: new rows are
    compared with these.
    """

    pipeline: Any
    threshold: Threshold
    out_of_fold: Array
    as_deployed: Array
    y_pred: Array
    scores: dict[str, Estimate]
    is_calibrated: bool = False


def fit(pipeline: Any, rows: pd.DataFrame, config: Config) -> Fitted:
    """Fit to all `rows`; calibrate, choose the threshold and compute scores by cross-validation."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import Pipeline

    columns = config.columns
    y_true = rows[columns.target].to_numpy(dtype="int8")
    smallest = _require_enough(y_true, config.training)
    features = model.as_features(rows, columns.numeric, columns.categorical)
    folds = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=config.random_seed)
    parts = list(folds.split(features, y_true))
    out_of_fold = np.empty(len(y_true))
    predicted = predict_parts(pipeline, features, y_true, parts, config)
    done = track(predicted, "cross-validation", unit="fold", total=len(parts))
    for (_, left), y_pred_proba in zip(parts, done, strict=True):
        out_of_fold[left] = y_pred_proba
    with _settings_blamed(config.training), engine.one_thread():
        pipeline.fit(features, y_true)
    if not np.isfinite(out_of_fold).all():
        raise _unfit(config.training, "some predicted probabilities are not finite")
    out_of_fold, left_out = np.clip(out_of_fold, 0, 1), [left for _, left in parts]
    correction = None
    if isinstance(pipeline, Pipeline) and smallest >= config.training.minimum_held_out_per_class:
        correction = calibration.needed(y_true, out_of_fold, left_out)
    proba = out_of_fold
    if correction:
        pipeline, out_of_fold = correction.of(pipeline), correction.out_of_fold
        proba = correction.as_deployed
    as_deployed = _as_deployed(
        y_true, proba, partial(model.positive_probability, pipeline, features)
    )
    threshold = choose_threshold(y_true, out_of_fold, config.training)
    y_pred = labelled_by_others(y_true, out_of_fold, left_out, config.training)
    scores = promised_scores(y_true, out_of_fold, threshold.value, y_pred, config)
    return Fitted(
        pipeline, threshold, out_of_fold, as_deployed, y_pred, scores, correction is not None
    )


def _as_deployed(y_true: Array, out_of_fold: Array, deployed: Callable[[], Array]) -> Array:
    """Return out-of-fold probabilities or, of a model that gives few, those of the `deployed` one.

    The models of the folds give rows that are alike a probability that differs a little. If new
    rows were compared with these, all of them would lie beside the rows they are like. But a model
    that predicts the rows it was trained on better than others, as a deep tree does, does not give
    them what it gives to new ones.
    """
    n_different = len(np.unique(out_of_fold.round(DECIMALS)))
    if ROWS_EACH * n_different > len(out_of_fold):
        return out_of_fold
    y_pred_proba = deployed()
    error, of_others = (np.mean((proba - y_true) ** 2) for proba in (y_pred_proba, out_of_fold))
    return y_pred_proba if error >= (1 - MAX_OPTIMISM) * of_others else out_of_fold


def predict_parts(
    pipeline: Any,
    features: pd.DataFrame,
    y_true: Array,
    parts: Sequence[tuple[Array, Array]],
    config: Config,
) -> Iterator[Array]:
    """Yield for each part what a model fitted to some rows predicts of others, given by place."""
    with _settings_blamed(config.training):
        yield from engine.of(config).map(partial(_predict_part, pipeline, features, y_true), parts)


def _predict_part(
    pipeline: Any, features: pd.DataFrame, y_true: Array, part: tuple[Array, Array]
) -> Array:
    from sklearn.base import clone

    learnt, others = part
    fitted = clone(pipeline).fit(features.iloc[learnt], y_true[learnt])
    return model.positive_probability(fitted, features.iloc[others])


@contextmanager
def _settings_blamed(training: Training) -> Iterator[None]:
    """Blame the settings for an estimator that cannot be fitted, if there are any of its own."""
    unfit: tuple[type[Exception], ...] = (*UNFIT, *errors_of_fitting(training.estimator))
    try:
        yield
    except unfit as error:
        if not training.parameters and not training.is_own:
            raise
        raise _unfit(training, str(error).partition("Stack trace")[0]) from None


def promised_scores(
    y_true: Array, out_of_fold: Array, threshold: float, y_pred: Array, config: Config
) -> dict[str, Estimate]:
    """Score `y_pred`, the labels by thresholds that had not seen the rows they are applied to.

    The model's own threshold was chosen on these very rows, which makes it look better than it is,
    yet the promise is about it. So the intervals are widened by the difference.
    """
    cost, confidence = config.training.cost.as_tuple(), config.scoring.confidence
    promised, chosen = (
        score_all(y_true, out_of_fold, labels, cost=cost, confidence=confidence)
        for labels in (y_pred, out_of_fold >= threshold)
    )
    within = {name: (0.0, 1.0) for name in promised} | {"cost": (min(cost), max(cost))}
    return {name: _widened(promised[name], chosen[name], within[name]) for name in promised}


def _widened(score: Estimate, other: Estimate, within: tuple[float, float]) -> Estimate:
    """Move both ends of an interval out by the difference of its score from another."""
    value, lower, upper = score.value, score.lower, score.upper
    if value is None or lower is None or upper is None or other.value in (None, value):
        return score  # also a score of probabilities, which no threshold changes
    reach = abs(value - float(other.value or 0.0))
    lower, upper = max(within[0], lower - reach), min(within[1], upper + reach)
    return replace(score, lower=lower, upper=upper)


def labelled_by_others(
    y_true: Array, out_of_fold: Array, folds: Sequence[Array], training: Training
) -> Array:
    """Label the rows of each fold by the threshold that is best in the other folds."""
    everywhere = choose_threshold(y_true, out_of_fold, training)
    if not everywhere.chosen:
        return out_of_fold >= everywhere.value
    y_pred = np.empty(len(y_true), dtype=bool)
    for left in folds:
        others = np.setdiff1d(np.arange(len(y_true)), left)
        threshold = _best(y_true[others], out_of_fold[others], training)
        y_pred[left] = out_of_fold[left] >= threshold.value
    return y_pred


def _unfit(training: Training, error: str) -> ConfigError:
    """Blame the settings: rows are validated before, so nothing else is left."""
    told = re.sub(r"parameter of \w+ must", f"parameter of {training.estimator} must", error)
    given = ", ".join(f"{name}={value!r}" for name, value in training.parameters.items())
    shown = shorten(told, MAX_LENGTH, placeholder=" ...")
    if not given:
        return ConfigError(f"training.estimator: {training.estimator} cannot be fitted: {shown}")
    return ConfigError(f"training.parameters: {training.estimator} rejects {given}: {shown}")


def choose_threshold(y_true: Array, y_pred_proba: Array, training: Training) -> Threshold:
    """Return the best threshold by F1 or cost out of fold, the fixed one if rows are too few.

    It is averaged over resamples of the rows: the best one of a single sample is largely luck.
    """
    fixed = training.fixed_threshold
    if training.choose_threshold_by == "fixed":
        return Threshold(fixed, "fixed in the settings")
    smallest, needed = min_class_size(y_true), training.minimum_held_out_per_class
    if smallest < needed:
        return Threshold(fixed, f"fixed: {smallest} rows of a class, choosing one needs {needed}")
    return _best(y_true, y_pred_proba, training)


def _best(y_true: Array, y_pred_proba: Array, training: Training) -> Threshold:
    if training.choose_threshold_by == "cost":
        cost = training.cost.as_tuple()
        cheapest = lowest_cost(y_true, y_pred_proba, cost=cost, n_resamples=RESAMPLES)
        return Threshold(cheapest, "lowest cost", chosen=True)
    best = highest_f1(y_true, y_pred_proba, n_resamples=RESAMPLES)
    return Threshold(best, "highest F1", chosen=True)


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


def is_enough(rows: pd.DataFrame, config: Config) -> bool:
    """Whether there are enough rows to fit a model and choose its threshold."""
    smallest_class = min_class_size(rows[config.columns.target].to_numpy(dtype="int8"))
    enough = len(rows) >= config.training.minimum_rows
    return enough and smallest_class >= config.training.minimum_held_out_per_class


def min_class_size(y_true: Array) -> int:
    """Return the number of rows of the rarer class."""
    return int(min(np.sum(y_true == 0), np.sum(y_true == 1)))
