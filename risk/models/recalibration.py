"""Recalibration: the gain from adjusting the champion's probabilities, or only its threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from risk.config import Config
from risk.lazily import pandas as pd
from risk.models import platt
from risk.models.fitting import choose_threshold
from risk.stats.scores import BIGGER_IS_BETTER, score_all

Adjustment = Literal["recalibrate", "move_threshold"]
Floats = NDArray[np.float64]
MIN_ROWS, MIN_OF_A_CLASS = 60, 10  # in each half: two parameters and a threshold to learn


def adjustable(pipeline: Any, how: str) -> Any:
    """Wrap a fitted pipeline so that only its calibration, or only its threshold, is fitted."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    frozen = FrozenEstimator(pipeline)
    return CalibratedClassifierCV(frozen, method="sigmoid") if how == "recalibrate" else frozen


@dataclass(frozen=True)
class Offer:
    """The gain of an action that only adjusts the champion, on the latest labelled rows."""

    action: Adjustment
    gain: float
    unit: str


def offers(labelled: pd.DataFrame, threshold: float, config: Config) -> list[Offer]:
    """Evaluate each adjustment out of time: fit it on the older labelled rows, score the newer.

    `labelled` holds y_true and y_pred_proba in order of arrival.
    """
    # In order of arrival, not at random: an adjustment is worth its gain on future rows, and
    # on the rows it was fitted to it always gains.
    half = len(labelled) // 2
    older, newer = labelled.iloc[:half], labelled.iloc[half:]
    for part in (older, newer):
        smallest = min(part["y_true"].sum(), len(part) - part["y_true"].sum())
        if len(part) < MIN_ROWS or smallest < MIN_OF_A_CLASS:
            return []
    y_old, p_old = (older[name].to_numpy(dtype="float64") for name in ("y_true", "y_pred_proba"))
    y_new, p_new = (newer[name].to_numpy(dtype="float64") for name in ("y_true", "y_pred_proba"))
    slope, intercept = platt.fit(y_old, p_old)
    cost, metric = config.training.cost.as_tuple(), config.checks.metric
    in_money = config.training.choose_threshold_by == "cost"
    criterion, unit = ("cost", "of cost per row") if in_money else (metric, metric)

    def value(proba: Floats, at: float) -> float:
        scores: Mapping[str, Any] = score_all(y_new, proba, proba >= at, cost=cost)
        score = scores[criterion].value or 0.0
        return score if BIGGER_IS_BETTER[criterion] else -score  # so that gains are positive

    def best(proba: Floats) -> float:
        return choose_threshold(y_old, proba, config.training).value

    as_is = value(p_new, threshold)
    # Other probabilities need another threshold; the old one would undo part of the gain.
    recalibrated = value(
        platt.apply(p_new, slope, intercept), best(platt.apply(p_old, slope, intercept))
    )
    return [
        Offer("recalibrate", recalibrated - as_is, unit),
        Offer("move_threshold", value(p_new, best(p_old)) - as_is, unit),
    ]
