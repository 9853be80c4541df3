"""Loss ratios: the scores monitored on labelled rows, as ratios that batches add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from risk.config import CostMatrix, Metric
from risk.stats import directions
from risk.stats.evidence import Directions
from risk.stats.scores import BIGGER_IS_BETTER, Costs

Floats = NDArray[np.float64]
# Of the model family's budget. The rest sees what a metric like F1 is blind to, probabilities that
# go wrong on one side of the threshold: a fifteenth each is a head start of ln 15 = 2.7 nats less.
METRIC_WEIGHT = 0.8
RELATIVE_SLACK = 0.05  # of a loss, whose size depends on how hard the rows are, or on a currency
# In units of the score. F1, precision and recall are of fewer rows, so an error moves them more.
SLACK = {"accuracy": 0.01, "f1": 0.02, "precision": 0.02, "recall": 0.02}
FEWER = "fewer positives than predicted"
MORE = "more positives than predicted"
CALIBRATION = (FEWER, MORE)
CALIBRATION_SLACK = 0.02  # of the mean of label - prediction
# Bets need bounded scores, and stakes shrink with the range: log loss ends at -ln 0.02 = 3.9.
MIN_PROBABILITY = 0.02


@dataclass(frozen=True)
class Labelled:
    """The reference rows with labels, by cell of their prediction.

    `counts` holds their number, the cells of both labels, 0 and 1, taking turns, and `y_pred_proba`
    the mean prediction of each cell. `optimism` is what some scores gain by the choice of the
    threshold on these very rows.
    """

    counts: Floats
    y_pred_proba: Floats
    threshold: float
    optimism: Mapping[str, float] = field(default_factory=dict)


def watched_scores(reference: Labelled, *, metric: Metric, cost: CostMatrix) -> Directions:
    """Bet that the live model's scores have fallen below those of the reference.

    The configured metric has most of the budget; the rest goes to the Brier score and to
    calibration. What cannot be added up row by row (areas under curves), and a ratio that is
    undefined on the reference, is watched by the Brier score.
    """
    counts, y_pred_proba = reference.counts, reference.y_pred_proba
    y_true = np.tile([0.0, 1.0], len(y_pred_proba))  # (2 n_cells,): 0, 1, 0, 1, ...
    proba = np.repeat(y_pred_proba, 2)
    # exact, as no cell lies on both sides of the threshold
    y_pred = (proba >= reference.threshold).astype("float64")
    one = np.ones_like(proba)
    known = ratios(y_true, y_pred, proba, cost.as_tuple())
    chosen = metric if metric in known and known[metric][1] @ counts > 0 else "brier"
    others = ["brier"] if chosen != "brier" else []
    # Calibration is two scores because `fall` looks one way: y - p falls when positives are fewer.
    gained = [*(known[name][0] for name in (chosen, *others)), y_true - proba, proba - y_true]
    possible = [*(known[name][1] for name in (chosen, *others)), one, one]
    names = (chosen, *others, *CALIBRATION)
    slack = [
        _slack(name, g, counts) + reference.optimism.get(name, 0.0)
        for name, g in zip(names, gained, strict=True)
    ]
    made = directions.fall(counts, np.array(gained), np.array(possible), names, np.array(slack))
    rest = (1 - METRIC_WEIGHT) / (len(names) - 1)
    return replace(made, weights=np.array([METRIC_WEIGHT] + [rest] * (len(names) - 1)))


def lowest_tolerated(reference: Labelled, *, metric: Metric, cost: CostMatrix) -> float | None:
    """Return the score that must be fallen short of for an alarm, None of a score not watched.

    It is the score of the reference less its uncertainty and the fall that is tolerated.
    """
    made = watched_scores(reference, metric=metric, cost=cost)
    if made.names[0] != metric:
        return None
    proba = np.repeat(reference.y_pred_proba, 2)
    y_true, y_pred = np.tile([0.0, 1.0], len(proba) // 2), proba >= reference.threshold
    gained, possible = ratios(y_true, y_pred.astype("float64"), proba, cost.as_tuple())[metric]
    cell = int(possible.argmax())
    lowest = float((made.values[0][cell] + gained[cell]) / possible[cell])
    return lowest if BIGGER_IS_BETTER[metric] else -lowest


def optimism(
    y_true: Floats, y_pred_proba: Floats, chosen: Floats, y_pred: Floats, cost: Costs
) -> dict[str, float]:
    """Return what each score gains from labels of a threshold that was `chosen` on the same rows.

    `y_pred` are labels by thresholds chosen on other rows.
    """
    own, others = (ratios(y_true, labels, y_pred_proba, cost) for labels in (chosen, y_pred))
    gains = {
        name: _ratio(own[name]) - _ratio(others[name])
        for name in own
        if own[name][1].any() and others[name][1].any()
    }
    return {name: float(gain) for name, gain in gains.items() if gain > 0}


def _ratio(score: tuple[Floats, Floats]) -> float:
    gained, possible = score
    return float(gained.sum() / possible.sum())


def rising_loss(counts: Floats, loss: Floats) -> Directions:
    """Bet that a loss has increased by more than a twentieth; `loss` is its mean in each cell."""
    slack = np.array([RELATIVE_SLACK * counts @ loss / max(counts.sum(), 1)])
    return directions.fall(counts, -loss[None], np.ones((1, len(loss))), ("higher",), slack)


def ratios(
    y_true: Floats, y_pred: Floats, proba: Floats, cost: Costs
) -> dict[str, tuple[Floats, Floats]]:
    """Return what each row gains and could gain, for every score that rows add up to."""
    # Each score is sum(gained) / sum(possible), so counts of cells are all it takes, and bigger is
    # better in all of them: what is lost is gained with a minus sign.
    tp, fp = y_true * y_pred, (1 - y_true) * y_pred
    fn, tn = y_true * (1 - y_pred), (1 - y_true) * (1 - y_pred)
    one = np.ones_like(proba)
    likely = np.clip(proba, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
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
