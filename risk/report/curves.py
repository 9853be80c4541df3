"""Data of the curves: ROC, precision and recall, calibration, and cost by threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.models.evaluation import count_outcomes
from risk.report.context import Labelled
from risk.stats.scores import Costs, accuracy, f1, mean_cost, precision, recall
from risk.stats.threshold import count_by_level

MAX_POINTS = 300
MAX_BINS, MIN_PER_BIN = 10, 5
Floats = NDArray[np.float64]


def outcomes(found: Labelled) -> NDArray[np.int64]:
    """Count rows by true label (down: 0, 1) and predicted label (across: 0, 1)."""
    return count_outcomes(found.y_true, found.y_pred)


def roc_points(found: Labelled) -> pd.DataFrame:
    """Return fpr and tpr at every threshold."""
    _, tp, fp = count_by_level(found.y_true, found.y_pred_proba)
    return _thinned(pd.DataFrame({"fpr": fp / fp[-1], "tpr": tp / tp[-1]}))


def precision_recall_points(found: Labelled) -> pd.DataFrame:
    """Return recall and precision at every threshold."""
    _, tp, fp = count_by_level(found.y_true, found.y_pred_proba)
    precisions = np.append(1.0, tp[1:] / (tp + fp)[1:])  # of no row called positive, none is wrong
    return _thinned(pd.DataFrame({"recall": tp / tp[-1], "precision": precisions}))


def calibration_bins(found: Labelled, *, confidence: float) -> pd.DataFrame:
    """Compare predicted risk and observed share in groups of about equally many rows.

    Returns predicted (the mean), observed (the share of positives) with lower and upper, and n;
    rows of equal risk stay together.
    """
    n_bins = max(1, min(MAX_BINS, len(found) // MIN_PER_BIN))
    proba = found.y_pred_proba
    cuts = np.unique(np.quantile(proba, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
    group = np.searchsorted(cuts, proba, side="left")
    rows = []
    for number in np.unique(group):
        own = group == number
        share = accuracy(np.ones(own.sum()), found.y_true[own], confidence=confidence)
        rows.append([proba[own].mean(), share.value, share.lower, share.upper, share.n])
    return pd.DataFrame(rows, columns=["predicted", "observed", "lower", "upper", "n"])


def costs(found: Labelled, cost: Costs) -> pd.DataFrame:
    """Return the mean cost of a row at thresholds from 0 to 1."""
    thresholds = np.linspace(0, 1, 101)
    of_outcome = np.array(cost)  # true positive, false positive, false negative, true negative
    if_flagged = np.where(found.y_true == 1, of_outcome[0], of_outcome[1])
    if_not = np.where(found.y_true == 1, of_outcome[2], of_outcome[3])
    mean = [
        float(np.where(found.y_pred_proba >= threshold, if_flagged, if_not).mean())
        for threshold in thresholds
    ]
    return pd.DataFrame({"threshold": thresholds, "cost": mean})


def at(found: Labelled, threshold: float, cost: Costs) -> dict[str, float | None]:
    """Return the share of rows a threshold flags, and its scores."""
    flagged = (found.y_pred_proba >= threshold).astype("int8")
    return {
        "flagged": float(flagged.mean()),
        "precision": precision(found.y_true, flagged).value,
        "recall": recall(found.y_true, flagged).value,
        "F1": f1(found.y_true, flagged).value,
        "cost per row": mean_cost(found.y_true, flagged, cost=cost).value,
    }


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """Keep both ends and evenly spaced points between, as many as a plot can show."""
    if len(points) <= MAX_POINTS:
        return points
    kept = np.unique(np.linspace(0, len(points) - 1, MAX_POINTS).round().astype("int64"))
    return points.iloc[kept].reset_index(drop=True)
