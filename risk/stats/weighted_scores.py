"""Scores of rows that count in part: weighted rows, and rows that are positive by a chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scoring:
    """How predictions are scored.

    `metric` is one of `risk.stats.scores.BIGGER_IS_BETTER`; `threshold` the probability from which
    a row is called positive; `cost` what a true positive, a false positive, a false negative and a
    true negative cost.
    """

    metric: str
    threshold: float
    cost: tuple[float, float, float, float] = (0.0, 1.0, 1.0, 0.0)

    def __call__(self, positives: Floats, negatives: Floats, y_pred_proba: Floats) -> Floats:
        """Score rows that are positive to one part and negative to the other.

        Parameters
        ----------
        positives, negatives : ndarray of shape (..., n_rows)
            How much of each row is positive and negative, at least 0.
        y_pred_proba : ndarray of shape (n_rows,)
            The predicted probabilities of label 1, in [0, 1], in ascending order.

        Returns
        -------
        ndarray of shape (...)
            NaN where the score is not defined.

        Raises
        ------
        KeyError
            If there is no such metric.

        Examples
        --------
        >>> import numpy as np
        >>> y_true, proba = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.6, 0.9])
        >>> float(Scoring("roc_auc", 0.5)(y_true, 1 - y_true, proba))
        0.75
        """
        if self.metric in ("roc_auc", "average_precision"):
            return _of_ranks(self.metric, positives, negatives, y_pred_proba)
        predicted = (y_pred_proba >= self.threshold).astype(np.float64)
        tp, fp = positives @ predicted, negatives @ predicted
        fn, tn = positives @ (1 - predicted), negatives @ (1 - predicted)
        n = tp + fp + fn + tn
        if self.metric in ("brier", "log_loss"):
            likely = np.clip(y_pred_proba, TINY, 1 - TINY)
            is_brier = self.metric == "brier"
            if_positive = (1 - y_pred_proba) ** 2 if is_brier else -np.log(likely)
            if_negative = y_pred_proba**2 if is_brier else -np.log1p(-likely)
            return _ratio(positives @ if_positive + negatives @ if_negative, n)
        c_tp, c_fp, c_fn, c_tn = self.cost
        return {
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "accuracy": _ratio(tp + tn, n),
            "cost": _ratio(c_tp * tp + c_fp * fp + c_fn * fn + c_tn * tn, n),
        }[self.metric]


def _of_ranks(metric: str, positives: Floats, negatives: Floats, y_pred_proba: Floats) -> Floats:
    """Score an order, ties counting half in ROC AUC and as one step in average precision."""
    starts = np.flatnonzero(np.diff(y_pred_proba, prepend=-1.0))
    positive = np.add.reduceat(positives, starts, axis=-1)
    negative = np.add.reduceat(negatives, starts, axis=-1)
    all_positive = positive.sum(axis=-1)
    if metric == "roc_auc":
        below = np.cumsum(negative, axis=-1) - negative / 2
        return _ratio((positive * below).sum(axis=-1), all_positive * negative.sum(axis=-1))
    hits = np.cumsum(positive[..., ::-1], axis=-1)
    flagged = hits + np.cumsum(negative[..., ::-1], axis=-1)
    precision = _ratio(hits, flagged)
    return _ratio((positive[..., ::-1] * np.nan_to_num(precision)).sum(axis=-1), all_positive)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(
        part, whole, out=np.full_like(np.asarray(part, np.float64), np.nan), where=whole > 0
    )
