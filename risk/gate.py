"""Champion against challenger on the same rows, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.config import Gate, Metric
from risk.stats.scores import BIGGER_IS_BETTER, Estimate, mcnemar_exact, score_all

Array = NDArray[Any]


@dataclass(frozen=True)
class Prediction:
    """What one model says of some rows."""

    y_pred_proba: Array
    y_pred: Array


@dataclass(frozen=True)
class Trial:
    """Both models on the same rows, which neither was trained on."""

    y_true: Array
    champion: Prediction
    challenger: Prediction


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion, on what evidence, and why."""

    deploy: bool
    proven: bool
    reason: str
    champion: Estimate | None = None
    challenger: Estimate | None = None
    p_value: float | None = None


def compare(trial: Trial, gate: Gate, *, metric: Metric, drift: bool) -> Verdict:
    """Decide by the paired predictions of a trial.

    Evidence is an exact McNemar test. Without it the champion stays, unless `when_unsure` says
    that a drifted one yields to a challenger whose score on these rows is not worse.
    """
    y_true, champion, challenger = trial.y_true, trial.champion, trial.challenger
    right_before, right_now = champion.y_pred == y_true, challenger.y_pred == y_true
    wins, losses = int(np.sum(right_now & ~right_before)), int(np.sum(right_before & ~right_now))
    p_value = mcnemar_exact(wins, losses)
    before = score_all(y_true, champion.y_pred_proba, champion.y_pred)[metric]
    now = score_all(y_true, challenger.y_pred_proba, challenger.y_pred)[metric]
    comparison = (
        f"{metric} {_short(now)} against the champion's {_short(before)} on {len(y_true)} rows, "
        f"{wins} won and {losses} lost"
    )

    def verdict(reason: str, *, deploy: bool, proven: bool = False) -> Verdict:
        return Verdict(deploy, proven, reason, before, now, p_value)

    if _point_is_worse(before, now, metric):
        return verdict(f"the challenger is worse: {comparison}", deploy=False)
    if p_value <= gate.alpha:
        better = f"the challenger is better beyond chance (p = {p_value:.2g}): {comparison}"
        return verdict(better, deploy=True, proven=True)
    unsure = f"not enough evidence that the challenger is better (p = {p_value:.2g}): {comparison}"
    if drift and gate.when_unsure == "deploy_if_drifted":
        drifted = "the champion drifted and the challenger is not worse, so it goes live unproven"
        return verdict(f"{unsure}; {drifted}", deploy=True)
    kept = "a person is asked" if gate.when_unsure == "ask" else "the champion stays"
    return verdict(f"{unsure}; {kept}", deploy=False)


def first(score: Estimate, metric: Metric) -> Verdict:
    """Let the first model in: there is no champion to compare it with."""
    reason = f"the first model, so unproven: {metric} {score} on the test data"
    return Verdict(True, False, reason, challenger=score)


def _point_is_worse(before: Estimate, now: Estimate, metric: Metric) -> bool:
    if before.value is None or now.value is None:
        return now.value is None and before.value is not None
    return now.value < before.value if BIGGER_IS_BETTER[metric] else now.value > before.value


def _short(score: Estimate) -> str:
    return "undefined" if score.value is None else f"{score.value:.3f}"
