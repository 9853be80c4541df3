"""Why a score changed: the part of other rows, of the base rate, of the relation, and of chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from risk.stats.scores import Estimate
from risk.stats.weighted_scores import Scoring

COVARIATES, BASE_RATE, RELATION, CHANCE = "covariates", "base_rate", "relation", "chance"
PARTS = (COVARIATES, BASE_RATE, RELATION)
SMALLEST = 1e-6  # of a probability whose log-odds are taken: 13.8
REPLICATES = 200  # the standard deviation of so many is known to 5 %
NEWTON_STEPS, CLOSE = 50, 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceCells:
    """A promised score, and the labelled rows behind it, counted in cells of their prediction.

    `positives` and `negatives` are the rows of each cell, `y_pred_proba` their mean prediction, in
    ascending order: all of shape (n_cells,). `optimism` is what the score of these rows gained by
    the choice of the threshold on them.
    """

    promise: float
    positives: Floats
    negatives: Floats
    y_pred_proba: Floats
    optimism: float = 0.0


@dataclass(frozen=True)
class ScoredRows:
    """New labelled rows: `y_true`, `y_pred_proba` and the `expected` chance, all (n_rows,).

    `expected` is the probability of label 1 by the relation of the reference, given all features;
    `replicates` of it, (n_replicates, n_rows), show how well it is known.
    """

    y_true: Floats
    y_pred_proba: Floats
    expected: Floats
    replicates: Floats

    @classmethod
    def sorted(
        cls,
        y_true: ArrayLike,
        y_pred_proba: ArrayLike,
        expected: ArrayLike,
        replicates: ArrayLike = (),
    ) -> ScoredRows:
        """Put rows in the order of their prediction."""
        proba = np.asarray(y_pred_proba, np.float64)
        order = np.argsort(proba, kind="stable")
        chances = np.clip(np.asarray(expected, np.float64), SMALLEST, 1 - SMALLEST)
        others = np.clip(np.asarray(replicates, np.float64), SMALLEST, 1 - SMALLEST)
        others = others.reshape(len(others) if others.ndim > 1 else 0, len(proba))
        truth = np.asarray(y_true, np.float64)
        return cls(truth[order], proba[order], chances[order], others[:, order])


@dataclass(frozen=True)
class ScoreChange:
    """A change of a score and its parts, which add up to it.

    `before` is the promise, `after` the realised score, `change` their difference with its
    interval; `parts` are those of `covariates`, `base_rate`, `relation` and `chance`, in units of
    the score. `base_rates` are the share of positives in the reference, the one expected of the new
    rows, and theirs.
    """

    before: float
    after: float
    change: Estimate
    parts: dict[str, Estimate]
    base_rates: tuple[float, float, float]

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the interval of the change leaves out 0."""
        return not _holds_zero(self.change)


def split_change(
    reference: ReferenceCells,
    rows: ScoredRows,
    scoring: Scoring,
    *,
    confidence: float = 0.95,
    random_seed: int = 0,
) -> ScoreChange | None:
    r"""Split the difference of a realised score from its promise by what it is due to.

    Parameters
    ----------
    reference : ReferenceCells
        The promise, and the rows behind it.
    rows : ScoredRows
        The new labelled rows.
    scoring : Scoring
        The score.
    confidence : float, default 0.95
        Of the intervals, in (0, 1).
    random_seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    ScoreChange or None
        The values of `parts` add up to `after` - `before`; each lies in its interval. None if one
        class is missing in the reference or in the rows, or a score is not defined.

    Raises
    ------
    ValueError
        If there is no row, or `confidence` is not in (0, 1).

    Notes
    -----
    Let :math:`c(x)` be the chance of a positive by the relation of the reference, and
    :math:`c_t(x)` the same with its odds multiplied by :math:`e^t`. The labels give v: the mean of
    :math:`c_v` over the new rows is their base rate. A change of the prior takes the features
    along where `p(x | y)` stays ("label shift"), and leaves them where all rows are more or less at
    risk; how far it took them is m, the shift between 0 and v whose prior makes the new features
    most likely [1]_. The score then goes, step by step,

    1. from the promise to that of the reference weighted to the prior of m: *base rate*;
    2. to the one expected of the new features under :math:`c_m`: *covariates*;
    3. to the one expected of them under :math:`c_v`: *base rate*, which moved without the features;
    4. to the one realised: *relation*.

    So a pure label shift (m = v), and odds that change alike for all rows (m = 0), are base rate; a
    pure covariate shift (v = 0) is covariates; and what is left once the base rate is right is
    relation. Covariates that move against a label shift hide it from m: no data tell that from
    odds that changed by themselves.

    The standard errors are those of a bootstrap of the rows and of the cells. The chances are
    moved with the cells, as the promise and they come from the same rows, and by what the
    replicates differ from `expected` beyond that. A part whose interval holds 0 is not told apart
    from chance, so its value is given to *chance*, for as many parts as the noise of both scores
    can hold.

    References
    ----------
    .. [1] Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
       Probabilities: A Simple Procedure", Neural Computation 14 (2002) 21-41.
    .. [2] Cai, Namkoong and Yadlowsky, "Diagnosing Model Performance Under Distribution Shift",
       arXiv 2303.02011 (2023), which splits a mean loss into covariates and relation.

    Examples
    --------
    Half as many positives at the same features:

    >>> import numpy as np
    >>> proba = np.linspace(0.005, 0.995, 400)
    >>> reference = ReferenceCells(0.75, 1e5 * proba, 1e5 * (1 - proba), proba)
    >>> y_true = (np.arange(400) * 7 % 400 / 400 < proba / 2).astype(float)
    >>> rows = ScoredRows.sorted(y_true, proba, proba)
    >>> found = split_change(reference, rows, Scoring("f1", 0.5))
    >>> {name: round(part.value, 2) for name, part in found.parts.items()}
    {'covariates': 0.0, 'base_rate': -0.19, 'relation': -0.1, 'chance': -0.0}
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence!r}")
    if not len(rows.y_true):
        raise ValueError("no row to score")
    n_positive = (rows.y_true.sum(), reference.positives.sum())
    n_negative = ((1 - rows.y_true).sum(), reference.negatives.sum())
    if not (min(n_positive) > 0 and min(n_negative) > 0):
        return None
    best = _steps(reference, _exact(reference, rows), rows, scoring)
    spread = _steps(reference, _resampled(reference, rows, random_seed), rows, scoring)
    if not np.isfinite(best).all():
        return None
    defined = spread[:, np.isfinite(spread).all(axis=0)]
    if defined.shape[1] < REPLICATES / 2:
        return None
    reach = -float(scipy.special.ndtri((1 - confidence) / 2)) * defined.std(axis=1, ddof=1)
    estimates = [
        Estimate(float(value), float(value - half), float(value + half), len(rows.y_true))
        for value, half in zip(best[:, 0], reach, strict=True)
    ]
    change, parts = estimates[-1], dict(zip(PARTS, estimates, strict=False))
    base_rate = float(n_positive[1] / (n_positive[1] + n_negative[1]))
    return ScoreChange(
        reference.promise,
        reference.promise + float(best[-1, 0]),
        change,
        _with_chance(parts, change),
        (base_rate, float(rows.expected.mean()), float(rows.y_true.mean())),
    )


@dataclass(frozen=True)
class _Sample:
    """Samples of everything that has an error, one a row.

    `positives` and `negatives` are (n_samples, n_cells), `weight` and `chance` (n_samples, n_rows).
    """

    positives: Floats
    negatives: Floats
    weight: Floats
    chance: Floats

    @property
    def prior(self) -> Floats:
        """The share of positives in the reference, (n_samples, 1)."""
        total = self.positives.sum(axis=1, keepdims=True)
        return np.asarray(total / (total + self.negatives.sum(axis=1, keepdims=True)))


def _exact(reference: ReferenceCells, rows: ScoredRows) -> _Sample:
    return _Sample(
        reference.positives[None],
        reference.negatives[None],
        np.ones((1, len(rows.y_true))),
        rows.expected[None],
    )


def _resampled(reference: ReferenceCells, rows: ScoredRows, random_seed: int) -> _Sample:
    """Draw rows and cells again, and move the chances as their cells moved."""
    rng = np.random.default_rng(random_seed)
    n_cells = len(reference.positives)
    positives = rng.poisson(reference.positives, (REPLICATES, n_cells)).astype(np.float64)
    negatives = rng.poisson(reference.negatives, (REPLICATES, n_cells)).astype(np.float64)
    # one Newton step of a logistic regression of the labels on the log-odds of the prediction
    total = reference.positives + reference.negatives
    share = reference.positives / np.maximum(total, 1)
    design = _design(reference.y_pred_proba)
    hessian = (design.T * (total * share * (1 - share))) @ design + SMALLEST * np.eye(2)
    gradient = (positives - (positives + negatives) * share) @ design
    moved = np.linalg.solve(hessian, gradient.T).T @ _design(rows.y_pred_proba).T
    return _Sample(
        positives,
        negatives,
        rng.exponential(size=(REPLICATES, len(rows.y_true))),
        scipy.special.expit(scipy.special.logit(rows.expected) + moved + _own_errors(rows)),
    )


def _own_errors(rows: ScoredRows) -> Floats:
    """Return what the replicates miss, in log-odds, beyond a curve of the prediction."""
    if not len(rows.replicates):
        return np.zeros((1, len(rows.y_true)))
    logit = scipy.special.logit
    missed = (logit(rows.replicates) - logit(rows.expected)).T  # (n_rows, n_replicates)
    design = _design(rows.y_pred_proba)
    own = missed - design @ np.linalg.lstsq(design, missed, rcond=None)[0]
    return np.asarray(own.T[np.arange(REPLICATES) % own.shape[1]])


def _design(y_pred_proba: Floats) -> Floats:
    evidence = scipy.special.logit(np.clip(y_pred_proba, SMALLEST, 1 - SMALLEST))
    return np.column_stack([np.ones_like(evidence), evidence])


def _steps(
    reference: ReferenceCells, sample: _Sample, rows: ScoredRows, scoring: Scoring
) -> Floats:
    """Return the parts of covariates, base rate and relation, and their sum: (4, n_samples)."""
    by_labels = _shift_of_labels(sample, rows.y_true)
    common = _common(by_labels, _shift_of_features(sample))
    kept = scoring(sample.positives, sample.negatives, reference.y_pred_proba)
    prior = scipy.special.expit(scipy.special.logit(sample.prior) + common)
    reweighted = scoring(
        sample.positives * (prior / sample.prior),
        sample.negatives * ((1 - prior) / (1 - sample.prior)),
        reference.y_pred_proba,
    )

    def expected(shift: Floats) -> Floats:
        chance = scipy.special.expit(scipy.special.logit(sample.chance) + shift)
        return scoring(sample.weight * chance, sample.weight * (1 - chance), rows.y_pred_proba)

    # the noise of the promise is that of the rows it was made on, of which these are the cells
    realised = scoring(
        sample.weight * rows.y_true, sample.weight * (1 - rows.y_true), rows.y_pred_proba
    )
    whole = scoring(reference.positives, reference.negatives, reference.y_pred_proba)
    promised = reference.promise + kept - whole
    along, alone = reweighted - kept, expected(by_labels) - expected(common)
    covariates = expected(common) - reference.optimism - promised - along
    relation = realised - expected(by_labels) + reference.optimism
    parts = np.stack([covariates, along + alone, relation])
    return np.vstack([parts, parts.sum(axis=0)])


def _common(first: Floats, second: Floats) -> Floats:
    """Return the smaller of two shifts that point one way, else 0.

    Between 0 and the first it is the nearest to the second, at which a concave likelihood is best.
    """
    smaller = np.minimum(np.abs(first), np.abs(second)) * np.sign(first)
    return np.where(first * second > 0, smaller, 0.0)


def _shift_of_labels(sample: _Sample, y_true: Floats) -> Floats:
    """Return by how much the log-odds must move for the mean chance to be the base rate."""
    evidence, weight = scipy.special.logit(sample.chance), sample.weight
    wanted = (weight @ y_true)[:, None]
    low, high = np.full_like(wanted, -30.0), np.full_like(wanted, 30.0)
    shift = np.zeros_like(wanted)
    for _ in range(NEWTON_STEPS):  # of Newton, or halving where that would leave the bracket
        chance = scipy.special.expit(evidence + shift)
        excess = (weight * chance).sum(axis=1, keepdims=True) - wanted
        low, high = np.where(excess < 0, shift, low), np.where(excess > 0, shift, high)
        slope = (weight * chance * (1 - chance)).sum(axis=1, keepdims=True)
        ahead = shift - excess / np.maximum(slope, np.finfo(np.float64).tiny)
        before, shift = shift, np.where((ahead >= low) & (ahead <= high), ahead, (low + high) / 2)
        if np.abs(shift - before).max() < CLOSE:
            break
    return shift


def _shift_of_features(sample: _Sample) -> Floats:
    """Return the shift of the prior under which the features are most likely, in log-odds."""
    prior, weight = sample.prior, sample.weight
    lift = (sample.chance - prior) / (prior * (1 - prior))  # of the likelihood, by share added
    low, high = SMALLEST - prior, 1 - SMALLEST - prior
    share = np.zeros_like(prior)
    for _ in range(NEWTON_STEPS):  # the logarithm of the likelihood is concave
        likelihood = 1 + share * lift
        slope = (weight * lift / likelihood).sum(axis=1, keepdims=True)
        low, high = np.where(slope > 0, share, low), np.where(slope < 0, share, high)
        curvature = (weight * (lift / likelihood) ** 2).sum(axis=1, keepdims=True)
        ahead = share + slope / np.maximum(curvature, np.finfo(np.float64).tiny)
        before, share = share, np.where((ahead >= low) & (ahead <= high), ahead, (low + high) / 2)
        if np.abs(share - before).max() < CLOSE:
            break
    return np.asarray(scipy.special.logit(prior + share) - scipy.special.logit(prior))


def _with_chance(parts: dict[str, Estimate], change: Estimate) -> dict[str, Estimate]:
    """Give to chance the parts not told apart from it, as many as its interval can hold."""
    noise = _reach(change)
    doubtful = [name for name in PARTS if _holds_zero(parts[name])]
    choices = [
        which
        for size in range(len(doubtful), -1, -1)
        for which in sorted(combinations(doubtful, size), key=lambda w: abs(_sum(parts, w)))
    ]
    given = next(which for which in choices if abs(_sum(parts, which)) <= noise)
    kept = {
        name: replace(parts[name], value=0.0) if name in given else parts[name] for name in PARTS
    }
    return kept | {CHANCE: Estimate(_sum(parts, given), -noise, noise, change.n)}


def _sum(parts: dict[str, Estimate], which: tuple[str, ...]) -> float:
    return float(sum(parts[name].value or 0.0 for name in which))


def _reach(estimate: Estimate) -> float:
    return float((estimate.upper or 0.0) - (estimate.lower or 0.0)) / 2


def _holds_zero(estimate: Estimate) -> bool:
    return (estimate.lower or 0.0) <= 0 <= (estimate.upper or 0.0)
