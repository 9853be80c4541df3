"""Champion against challenger on the same rows, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from risk.config import Gate, Metric
from risk.decisions.codes import Action, Grounds, VerdictCode
from risk.ledger.decisions import Judgement
from risk.monitoring.loss_ratios import ratios
from risk.stats.evidence import paired_evidence
from risk.stats.paired import difference
from risk.stats.scores import (
    BIGGER_IS_BETTER,
    Costs,
    Estimate,
    is_point_worse,
    mcnemar_exact,
    score_all,
)

Array = NDArray[Any]
# The case that the gate was simulated for: four points, of models that disagree on 15 % of the rows
# (docs/evidence.md).
GAIN_WORTH_PROVING = 0.04
USUAL_DISAGREEMENT = 0.15
ENOUGH_TO_KNOW_IT = 20
NUMBER_OF_BETS = 4  # `evidence.STAKES`; the mean of so many costs ln 4 nats
# The first look that proves comes before the expected one: simulated, the median is 570 rows where
# the formula has 822 (docs/evidence.md).
PEEKING_SAVES = 0.7
# Bets need losses within a range. It ends at a probability of 2 %, as in `loss_ratios`: were it
# wider, the differences of usual rows would be next to nothing.
MAX_LOG_LOSS = float(-np.log(0.02))
# Scores whose difference has an interval. Log loss is not one: `ratios` cuts probabilities off at
# 2 %, which the score itself does not.
RATIOS = ("f1", "precision", "recall", "accuracy", "brier", "cost")


@dataclass(frozen=True)
class Prediction:
    """What one model says of some rows."""

    y_pred_proba: Array
    y_pred: Array


@dataclass(frozen=True)
class PairedPredictions:
    """Both models on the same rows, predicted before any training on them; where these are from.

    `promise` is the champion's score on older rows, about which a ratio is made a sum over rows;
    `sources` counts the rows by where they are from.
    """

    y_true: Array
    champion: Prediction
    challenger: Prediction
    promise: float = 0.5
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Criteria:
    """By which score models are compared, what errors cost, and how sure intervals are."""

    metric: Metric
    cost: Costs
    confidence: float = 0.95


@dataclass(frozen=True)
class Standing:
    """How the champion stands: is drift open, is it known to do worse, is this the first trial.

    `refresh` is the version of the release that a scheduled refresh is compared with: there, not
    being inferior is enough.
    """

    drift: bool = False
    harm: bool = False
    first_look: bool = True
    refresh: int | None = None

    @property
    def margin_counts(self) -> bool:
        """Whether a challenger may be worse by the margin."""
        return self.harm or self.refresh is not None


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion, on what evidence, and why.

    `against` is the release a refresh was compared with, if it is not simply the live one.
    `e_value` is the evidence against a challenger that is worse by the `margin`.
    `wins` and `losses` count the rows on which it did better and worse. `rows_needed` is about how
    many would prove `gain_possible`: a gain of four points, or all that the models differ by if
    that is less; None if they never do. `confidence` is that of the intervals of both scores and
    of their difference.
    """

    deploy: bool
    proven: bool
    verdict: VerdictCode
    champion: Estimate | None = None
    challenger: Estimate | None = None
    p_value: float | None = None
    e_value: float | None = None
    action: Action = Action.KEEP
    metric: str | None = None
    n: int = 0
    difference: Estimate | None = None
    confidence: float = 0.95
    wins: int | None = None
    losses: int | None = None
    rows_needed: int | None = None
    gain_possible: float | None = None
    sources: Mapping[str, int] = field(default_factory=dict)
    evidence_needed: float | None = None
    margin: float = 0.0
    because_drifted: bool = False
    against: int | None = None

    def comparison(self) -> str | None:
        """Write the scores and the evidence as JSON; None where there was nothing to compare."""
        return None if self.challenger is None else json.dumps(self.facts())

    @classmethod
    def approved(cls, comparison: str) -> Self:
        """Return a recorded comparison as the verdict of a person who approved its challenger."""
        content = json.loads(comparison)
        for name in ("champion", "challenger", "difference"):
            content[name] = content.get(name) and Estimate(**content[name])
        return cls(deploy=True, action=Action.DEPLOY, **content)

    def facts(self) -> dict[str, Any]:
        """Return what was compared and found, without what follows from it."""
        content = asdict(self)
        for name in ("deploy", "action"):
            del content[name]
        return content


@dataclass(frozen=True)
class Ruling:
    """What is decided, why, on what verdict if the gate was asked, and what is live afterwards.

    `release` is the row of a new one, `answered` are the incidents that are over with it; `case_id`
    is the case whose approval this carries out.
    """

    action: Action
    grounds: Grounds
    verdict: Verdict | None = None
    version: int | None = None
    release: Mapping[str, Any] | None = None
    answered: Sequence[int] = ()
    case_id: int | None = None

    @property
    def judgement(self) -> Judgement:
        """Return what the ledger records beside the reason."""
        comparison = self.verdict.comparison() if self.verdict else None
        return Judgement(comparison, self.release, self.answered, self.case_id)


def compare(
    predicted: PairedPredictions, gate: Gate, *, by: Criteria, standing: Standing
) -> Verdict:
    """Decide by the paired predictions of a trial.

    The evidence is an e-value: it may be looked at after every run, and a challenger that is
    worse reaches 1 / alpha in at most alpha of all cases. Against a champion that is known to do
    worse, not being inferior is enough. Without evidence the champion stays, unless `when_unsure`
    says that a drifted one yields, at the first trial, to a challenger whose score is not worse.
    """
    metric = by.metric
    before, now = (_score(predicted, model, by) for model in _models(predicted))
    gains = _differences(predicted, by)  # (rows,), positive where the challenger does better
    # Keeping a champion that is known to do worse has its price, so less must be proven against it:
    # with a margin of .01 even a model that never differs from it passes, after some 600 rows.
    margin = gate.margin if standing.margin_counts else 0.0
    e_better = paired_evidence(gains, np.ones(len(gains)), margin=margin)
    e_worse = paired_evidence(-gains, np.ones(len(gains)))  # worse at all, margin or not
    # Told to readers who know the test. It is valid for one look and decides nothing: looked at
    # every ten labels up to 5000, it would let in every third of equal models.
    p_value = mcnemar_exact(*_right_and_wrong(predicted))
    found = Verdict(
        deploy=False,
        proven=False,
        verdict=VerdictCode.NOT_ENOUGH_EVIDENCE,
        champion=before,
        challenger=now,
        p_value=p_value,
        e_value=e_better,
        metric=metric,
        n=len(gains),
        difference=_difference_of_scores(predicted, by),
        confidence=by.confidence,
        wins=int(np.sum(gains > 0)),
        losses=int(np.sum(gains < 0)),
        sources=predicted.sources,
        evidence_needed=1 / gate.alpha,
        margin=margin,
        against=standing.refresh,
    )
    # Rows of one class cannot say which model tells the classes apart, however many there are.
    if len(np.unique(predicted.y_true)) < 2:
        return replace(found, verdict=VerdictCode.ONE_CLASS, action=Action.ASK)
    # Reasons against come first: within the margin a challenger can be worse and not inferior, both
    # beyond chance. 1 / alpha is Ville's bound, for all looks together.
    if e_worse >= 1 / gate.alpha:
        return replace(found, verdict=VerdictCode.WORSE_BEYOND_CHANCE)
    # By the metric itself: the evidence is about a linear form of it, which may rank otherwise.
    if is_point_worse(before.value, now.value, metric):
        return replace(found, verdict=VerdictCode.WORSE)
    if e_better >= 1 / gate.alpha and not (standing.margin_counts and _lost_more(found)):
        return _beyond_chance(found, gains, gate, standing)
    return _without_evidence(found, gains, gate, standing)


def _beyond_chance(found: Verdict, gains: Array, gate: Gate, standing: Standing) -> Verdict:
    """Say what is proven of a challenger that is not inferior by the margin there was."""
    passed = replace(found, deploy=True, proven=True, action=Action.DEPLOY)
    if not standing.margin_counts:
        return replace(passed, verdict=VerdictCode.BETTER)
    # A refresh that is better even without the margin is the mark for those to come.
    e_value = paired_evidence(gains, np.ones(len(gains)))
    if not standing.harm and e_value >= 1 / gate.alpha:
        return replace(passed, verdict=VerdictCode.BETTER, e_value=e_value, margin=0.0)
    return replace(passed, verdict=VerdictCode.NOT_INFERIOR)


def _without_evidence(found: Verdict, gains: Array, gate: Gate, standing: Standing) -> Verdict:
    needed, possible = rows_needed(gains, gate.alpha)
    unsure = replace(found, rows_needed=needed, gain_possible=possible)
    # At the first look only: scores of equal models cross again and again as rows come, so a rule
    # that needs no evidence would let any challenger in if it were asked often enough.
    drifted = standing.drift and standing.first_look and not _lost_more(unsure)
    if gate.when_unsure == "deploy_if_drifted" and drifted:
        return replace(unsure, deploy=True, action=Action.DEPLOY, because_drifted=True)
    asks = gate.when_unsure == "ask" and standing.refresh is None  # nothing is wrong
    return replace(unsure, action=Action.ASK) if asks else unsure


def first(score: Estimate, metric: Metric, *, confidence: float = 0.95) -> Verdict:
    """Let the first model in: there is no champion to compare it with."""
    return Verdict(
        deploy=True,
        proven=False,
        verdict=VerdictCode.FIRST,
        challenger=score,
        action=Action.DEPLOY,
        metric=metric,
        n=score.n,
        confidence=confidence,
    )


def rows_needed(gains: Array, alpha: float) -> tuple[int | None, float]:
    """Return about how many rows it takes, looking often, to prove what gain, at most four points.

    No model gains more than the two differ by: where they differ on 1.4 % of the rows, no number of
    rows proves four points.
    """
    # What limits the stake is the mean of D^2: |D| is the same for 0-1 losses, more for others.
    known = len(gains) >= ENOUGH_TO_KNOW_IT
    disagreement = float(np.mean(np.abs(gains))) if known else USUAL_DISAGREEMENT
    possible = min(GAIN_WORTH_PROVING, disagreement)
    if not possible:
        return None, 0.0
    # The best stake, gain / spread, grows by gain^2 / (2 spread) nats a row up to ln(4 / alpha).
    best = 2 * disagreement * np.log(NUMBER_OF_BETS / alpha) / possible**2
    return int(round(PEEKING_SAVES * best, -1)), possible


def _lost_more(found: Verdict) -> bool:
    """Whether equal scores hide that the challenger lost more rows than it won."""
    scores = [score and score.value for score in (found.champion, found.challenger)]
    return scores[0] == scores[1] and (found.losses or 0) > (found.wins or 0)


def _difference_of_scores(predicted: PairedPredictions, by: Criteria) -> Estimate | None:
    """Return how much higher the challenger's score is; None if rows do not add up to it."""
    if by.metric not in RATIOS:
        return None
    y_true, sign = predicted.y_true.astype("float64"), 1 if BIGGER_IS_BETTER[by.metric] else -1
    before, now = (
        ratios(y_true, model.y_pred.astype("float64"), model.y_pred_proba, by.cost)[by.metric]
        for model in _models(predicted)
    )
    # `ratios` counts losses as negative gains; the difference has the sign of the score
    earlier, later = (sign * before[0], before[1]), (sign * now[0], now[1])
    return difference(earlier, later, confidence=by.confidence)


def _differences(predicted: PairedPredictions, by: Criteria) -> Array:
    """Return for each row the champion's loss less the challenger's, scaled into [-1, 1]."""
    y_true = predicted.y_true.astype("float64")
    before, now = (
        _losses(model, y_true, predicted.promise, by.metric, by.cost)
        for model in _models(predicted)
    )
    return np.asarray(np.clip(before - now, -1, 1))  # within it but for rounding


def _losses(model: Prediction, y_true: Array, promise: float, metric: Metric, cost: Costs) -> Array:
    """Return a loss per row, of range 1, whose mean falls as the metric gets better.

    Scores that are no sums over rows are judged by one that is: F1, precision and recall by
    their linear form about the promise, areas under curves by the Brier score.
    """
    y_pred, proba = model.y_pred.astype("float64"), model.y_pred_proba
    if metric == "log_loss":
        right = np.where(y_true == 1, proba, 1 - proba)
        # 1e-300 only keeps from log(0), the range ends long before
        loss = -np.log(np.maximum(right, 1e-300)) / MAX_LOG_LOSS
        return np.asarray(np.minimum(loss, 1.0))
    gains = ratios(y_true, y_pred, proba, cost)
    gained, possible = gains.get(metric, gains["brier"])
    # A ratio is at least f where the mean of gained - f * possible is not below 0: were f the
    # champion's score on these rows, the sign would be exact. It is from older ones, as a bet is
    # placed before the rows it is about. A row of F1 loses f - 1 (TP), f / 2 (FP, FN) or 0 (TN): of
    # one label, two models differ by 1 - f / 2 at most.
    if metric in ("f1", "precision", "recall"):
        return np.asarray((promise * possible - gained) / 2)
    # costs are in any unit, and may all be equal: then no row says anything
    span = max(float(np.ptp(cost)), 1e-12) if metric == "cost" else 1.0
    return np.asarray(-gained / span)


def _models(predicted: PairedPredictions) -> tuple[Prediction, Prediction]:
    return predicted.champion, predicted.challenger


def _score(predicted: PairedPredictions, said: Prediction, by: Criteria) -> Estimate:
    scores = score_all(
        predicted.y_true, said.y_pred_proba, said.y_pred, cost=by.cost, confidence=by.confidence
    )
    return scores[by.metric]


def _right_and_wrong(predicted: PairedPredictions) -> tuple[int, int]:
    right_before, right_now = (model.y_pred == predicted.y_true for model in _models(predicted))
    return int(np.sum(right_now & ~right_before)), int(np.sum(right_before & ~right_now))
