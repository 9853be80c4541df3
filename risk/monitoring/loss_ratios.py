"""What a model may lose: the scores watched on labelled rows, as ratios that batches add up to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from risk.config import CostMatrix, Metric
from risk.stats import directions
from risk.stats.evidence import Directions
from risk.stats.scores import Costs

Floats = NDArray[np.float64]
METRIC_WEIGHT = 0.8
RELATIVE_SLACK = 0.05
SLACK = {"accuracy": 0.01, "f1": 0.02, "precision": 0.02, "recall": 0.02}
FEWER = "fewer positives than predicted"
MORE = "more positives than predicted"
CALIBRATION = (FEWER, MORE)
CALIBRATION_SLACK = 0.02
SMALLEST_PROBABILITY = 0.02


def watched_scores(
    counts: Floats, y_pred_proba: Floats, *, threshold: float, metric: Metric, cost: CostMatrix
) -> Directions:
    """Bet that the live model's scores have fallen below those of the reference.

    `counts` holds the reference rows per cell, `y_pred_proba` the mean prediction of each cell;
    the cells of both labels, 0 and 1, take turns. The configured metric has most of the budget;
    the rest goes to the Brier score and to calibration. What cannot be added up row by row (areas
    under curves), and a ratio that is undefined on the reference, is watched by the Brier score.
    """
    y_true = np.tile([0.0, 1.0], len(y_pred_proba))
    proba = np.repeat(y_pred_proba, 2)
    y_pred = (proba >= threshold).astype("float64")
    one = np.ones_like(proba)
    known = ratios(y_true, y_pred, proba, cost.as_tuple())
    chosen = metric if metric in known and known[metric][1] @ counts > 0 else "brier"
    others = ["brier"] if chosen != "brier" else []
    gained = [*(known[name][0] for name in (chosen, *others)), y_true - proba, proba - y_true]
    possible = [*(known[name][1] for name in (chosen, *others)), one, one]
    names = (chosen, *others, *CALIBRATION)
    slack = [_slack(name, g, counts) for name, g in zip(names, gained, strict=True)]
    made = directions.fall(counts, np.array(gained), np.array(possible), names, np.array(slack))
    rest = (1 - METRIC_WEIGHT) / (len(names) - 1)
    return replace(made, weights=np.array([METRIC_WEIGHT] + [rest] * (len(names) - 1)))


def rising_loss(counts: Floats, loss: Floats) -> Directions:
    """Bet that a loss has risen by more than a twentieth; `loss` is its mean in each cell."""
    slack = np.array([RELATIVE_SLACK * counts @ loss / max(counts.sum(), 1)])
    return directions.fall(counts, -loss[None], np.ones((1, len(loss))), ("higher",), slack)


def ratios(
    y_true: Floats, y_pred: Floats, proba: Floats, cost: Costs
) -> dict[str, tuple[Floats, Floats]]:
    """Return what each row gains, and what was possible, for every score that rows add up to."""
    tp, fp = y_true * y_pred, (1 - y_true) * y_pred
    fn, tn = y_true * (1 - y_pred), (1 - y_true) * (1 - y_pred)
    one = np.ones_like(proba)
    likely = np.clip(proba, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    spent = np.column_stack([tp, fp, fn, tn]) @ np.array(cost)
    return {
        "accuracy": (tp + tn, one),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "brier": (-((proba - y_true) ** 2), one),
        "log_loss": (y_true * np.log(likely) + (1 - y_true) * np.log(1 - likely), one),
        "cost": (-spent, one),
    }


def _slack(name: str, gained: Floats, counts: Floats) -> float:
    if name in CALIBRATION:
        return CALIBRATION_SLACK
    return SLACK.get(name, RELATIVE_SLACK * abs(float(gained @ counts / counts.sum())))
