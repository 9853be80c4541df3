"""What to do about open incidents: nothing, recalibrate, move the threshold, retrain, or ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from risk.config import Config, Policy
from risk.models.fitting import choose_threshold
from risk.monitoring import incidents
from risk.stats.scores import BIGGER_IS_BETTER, score_all

Action = Literal["nothing", "recalibrate", "move_threshold", "retrain", "judge", "ask"]
Floats = NDArray[np.float64]
FEWEST_ROWS, FEWEST_OF_A_CLASS = 60, 10
SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Offer:
    """What an action that only adjusts the champion would have brought on the latest ripe rows."""

    action: Action
    gain: float
    unit: str

    def __str__(self) -> str:
        return f"{self.action.replace('_', ' ')} would have gained {self.gain:+.3f} {self.unit}"


@dataclass(frozen=True)
class Choice:
    """What to do, why, and since which ingestion the cause exists."""

    action: Action
    reason: str
    since: int | None = None


def choose(
    open_incidents: Sequence[Any],
    offers: Sequence[Offer],
    policy: Policy,
    *,
    growth: float,
    through: int,
) -> Choice:
    """Choose an action from what is open and what each is expected to bring.

    Nothing is learnt from a feed that seems broken: a person is asked first, until the same was
    seen so often that it must be the new normal. Drift of data or model, as `retrain_on` has it,
    leads to a challenger: training is cheap, it is the deployment that needs evidence. Until the
    labelled rows have grown by a share that is worth another one, the challenger there is goes
    on collecting that evidence. A model whose probabilities alone are off is adjusted, where that
    is expected to pay. What a new model cannot cure is for a person.
    """
    if not open_incidents:
        return Choice("nothing", "no incident is open")
    why = incidents.in_words(open_incidents)
    broken = [i for i in open_incidents if i.kind == "data_quality"]
    current = [i for i in broken if (i.last_ingestion_id or 0) >= through]
    lasting = [i for i in current if i.times_seen > policy.ask_first_batches and _of_a_feature(i)]
    if len(lasting) < len(current):
        return Choice("ask", f"{why}; nothing is learnt from data that may be broken")
    if causes := [*incidents.of_kind(open_incidents, policy.retrain_on), *lasting]:
        since = min((i.since_ingestion_id for i in causes if i.since_ingestion_id), default=None)
        if growth < policy.cool_down_growth:
            grown = f"only {growth:.1%} more labelled rows than at the last training"
            return Choice("judge", f"{why}; {grown}", since)
        return Choice("retrain", why, since)
    if incidents.of_kind(open_incidents, ["calibration_drift"]):
        best = max(offers, key=lambda offer: offer.gain, default=None)
        if best and best.gain > 0:
            return Choice(best.action, f"{why}; {best}")
        return Choice("ask", f"{why}; no adjustment is expected to pay")
    if len(broken) == len(open_incidents):
        return Choice("nothing", f"the latest rows are sound again; still open: {why}")
    return Choice("ask", why)


def _of_a_feature(incident: Any) -> bool:
    """Whether it is about the values of a column, which a model could learn, not about a drop."""
    return not incident.subject.startswith("(")


def offers(labelled: pd.DataFrame, threshold: float, config: Config) -> list[Offer]:
    """Try each adjustment out of time: learn it on the older ripe rows, measure on the newer.

    `labelled` holds y_true and y_pred_proba in order of arrival.
    """
    half = len(labelled) // 2
    older, newer = labelled.iloc[:half], labelled.iloc[half:]
    for part in (older, newer):
        fewest = min(part["y_true"].sum(), len(part) - part["y_true"].sum())
        if len(part) < FEWEST_ROWS or fewest < FEWEST_OF_A_CLASS:
            return []
    y_old, p_old = (older[name].to_numpy(dtype="float64") for name in ("y_true", "y_pred_proba"))
    y_new, p_new = (newer[name].to_numpy(dtype="float64") for name in ("y_true", "y_pred_proba"))
    slope, intercept = _platt(y_old, p_old)
    cost, metric = config.training.cost.as_tuple(), config.checks.metric
    in_money = config.training.choose_threshold_by == "cost"
    wanted, unit = ("cost", "of cost a row") if in_money else (metric, metric)

    def value(proba: Floats, at: float) -> float:
        scores: Mapping[str, Any] = score_all(y_new, proba, proba >= at, cost=cost)
        score = scores[wanted].value or 0.0
        return score if BIGGER_IS_BETTER[wanted] else -score

    def best(proba: Floats) -> float:
        return choose_threshold(y_old, proba, config.training).value

    as_is = value(p_new, threshold)
    recalibrated = value(_apply(p_new, slope, intercept), best(_apply(p_old, slope, intercept)))
    return [
        Offer("recalibrate", recalibrated - as_is, unit),
        Offer("move_threshold", value(p_new, best(p_old)) - as_is, unit),
    ]


def _platt(y_true: Floats, y_pred_proba: Floats) -> tuple[float, float]:
    """Fit slope and intercept of a logistic curve over the log-odds, by damped Newton steps."""
    x = np.column_stack([_log_odds(y_pred_proba), np.ones(len(y_true))])
    sign = 1 - 2 * y_true

    def loss(beta: Floats) -> float:
        return float(np.logaddexp(0, sign * (x @ beta)).sum())

    beta = np.zeros(2)
    for _ in range(50):
        p = expit(x @ beta)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (y_true - p))
        while loss(beta + step) > loss(beta) and np.abs(step).max() > 1e-9:
            step = step / 2
        beta = beta + step
    return float(beta[0]), float(beta[1])


def _apply(y_pred_proba: Floats, slope: float, intercept: float) -> Floats:
    calibrated: Floats = expit(slope * _log_odds(y_pred_proba) + intercept)
    return calibrated


def _log_odds(y_pred_proba: Floats) -> Floats:
    odds: Floats = logit(np.clip(y_pred_proba, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return odds
