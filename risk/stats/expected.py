"""What each score of a classifier is expected to be while the labels are not known yet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from risk.stats.scores import Estimate

Cost = tuple[float, float, float, float]
Floats = NDArray[np.float64]
TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class _Guess:
    """A score under each version of the chances, NaN where it is not defined.

    `trials` is the number of coin tosses with a known result that would tell as much.
    """

    values: Floats
    trials: float
    low: float = 0.0
    high: float = 1.0


def expected_scores(
    y_pred_proba: ArrayLike,
    y_pred: ArrayLike,
    calibrated: ArrayLike,
    *,
    cost: Cost = (0.0, 1.0, 5.0, 0.0),
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    r"""Scores to expect of rows whose labels are not known, from the chance of each label.

    Parameters
    ----------
    y_pred_proba : array_like of shape (n_rows,)
        The model's probabilities of label 1, in [0, 1].
    y_pred : array_like of shape (n_rows,)
        The model's labels, 0 or 1.
    calibrated : array_like of shape (n_rows,) or (1 + n_replicates, n_rows)
        The chance of each row to be positive, in [0, 1]. Of a table the first row is the best
        guess; the others are guesses of the same kind from resampled reference rows.
    cost : tuple of four floats, default (0, 1, 5, 0)
        What a true positive, a false positive, a false negative and a true negative cost.
    confidence : float, default 0.95
        Of the intervals, in (0, 1).

    Returns
    -------
    dict of str to Estimate
        f1, precision, recall, accuracy, roc_auc, brier, log_loss and cost (the mean over the
        rows). Undefined are precision if nothing is predicted positive, recall if nothing can
        be positive, F1 if both hold, and ROC AUC if there cannot be a row of each class. `n` is
        the number of rows.

    Raises
    ------
    ValueError
        If there is no row, the shapes do not fit, a label is not 0 or 1, a probability is not
        in [0, 1], or `confidence` is not in (0, 1).

    Notes
    -----
    With c the chance of a row to be positive and :math:`\hat y` its predicted label,
    :math:`E[TP] = \sum c \hat y`, and so on [1]_. A score that is a mean over the rows has this
    expectation exactly. Of the others this is the ratio of the expectations, which nears the
    expectation of the ratio as 1/n: :math:`F_1 = 2 E[TP] / (2 E[TP] + E[FP] + E[FN])`, and for
    ROC AUC, over all pairs of different rows in O(n log n),

    .. math:: A = \frac{\sum_{i \neq j} c_i (1 - c_j) [p_i > p_j]}
                       {\sum_{i \neq j} c_i (1 - c_j)}, \quad \text{ties by half.}

    Two errors make the interval, added as squares. The first is that of the score were the
    labels known, so no estimate is surer than a measurement: Wilson's interval [2]_ at the
    expected score, for accuracy, precision and recall exactly the one `risk.stats.scores` uses.
    The others have their range for [0, 1] and, for the number of trials, that of coin tosses
    which would have the variance of the score: the delta method for F1, DeLong's variance [3]_
    with c as weights for ROC AUC. The second is that of the chances themselves: the root mean
    square by which the replicates miss the best guess, times Student's t. Without replicates
    the chances are taken to be true.

    References
    ----------
    .. [1] NannyML, "Confidence-Based Performance Estimation"; Białek et al., "Estimating Model
       Performance Under Covariate Shift Without Labels", arXiv 2401.08348 (2024).
    .. [2] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
       Journal of the American Statistical Association 22 (1927) 209-212.
    .. [3] DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated
       Receiver Operating Characteristic Curves", Biometrics 44 (1988) 837-845.

    Examples
    --------
    >>> found = expected_scores([0.9, 0.6, 0.2], [1, 1, 0], [0.8, 0.5, 0.1])
    >>> {name: round(score.value, 3) for name, score in list(found.items())[:5]}
    {'f1': 0.765, 'precision': 0.65, 'recall': 0.929, 'accuracy': 0.733, 'roc_auc': 0.902}
    >>> print(found["accuracy"])
    0.733 [0.246, 0.959] (n = 3)

    A calibration that is in doubt makes the same guess less sure:

    >>> calibrated = [[0.8, 0.5, 0.1], [0.9, 0.6, 0.0], [0.6, 0.4, 0.3]]
    >>> print(expected_scores([0.9, 0.6, 0.2], [1, 1, 0], calibrated)["accuracy"])
    0.733 [0.000, 1.000] (n = 3)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence!r}")
    proba, predicted, chances = _checked(y_pred_proba, y_pred, calibrated)
    c_tp, c_fp, c_fn, c_tn = cost
    likely = np.clip(proba, TINY, 1 - TINY)
    guesses = {
        **_of_labels(chances, predicted),
        "accuracy": _mean(chances, predicted, 1 - predicted, worst=1.0),
        "roc_auc": _roc_auc(chances, proba),
        "brier": _mean(chances, (1 - proba) ** 2, proba**2, worst=1.0),
        "log_loss": _mean(chances, -np.log(likely), -np.log1p(-likely), worst=-math.log(TINY)),
        "cost": _mean(
            chances,
            np.where(predicted == 1, c_tp, c_fn),
            np.where(predicted == 1, c_fp, c_tn),
            worst=max(cost),
            best=min(cost),
        ),
    }
    tail, n = (1 - confidence) / 2, len(proba)
    return {name: _estimate(guess, tail, n=n) for name, guess in guesses.items()}


def _checked(
    y_pred_proba: ArrayLike, y_pred: ArrayLike, calibrated: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    proba, predicted = np.asarray(y_pred_proba, np.float64), np.asarray(y_pred, np.float64)
    chances = np.atleast_2d(np.asarray(calibrated, np.float64))
    shapes = (proba.shape, predicted.shape, chances.shape[1:])
    if len(set(shapes)) > 1 or proba.ndim != 1 or not chances.size:
        raise ValueError(f"arrays must hold the same rows, at least one, got shapes {shapes}")
    for name, values in (("y_pred_proba", proba), ("calibrated", chances)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} must lie in [0, 1]")
    if not ((predicted == 0) | (predicted == 1)).all():
        raise ValueError("y_pred must hold only 0 and 1")
    return proba, predicted, chances


def _of_labels(chances: Floats, predicted: Floats) -> dict[str, _Guess]:
    # one version after another, here and below: the chances are the largest table there is
    tp, fp, fn = np.array(
        [(c @ predicted, (1 - c) @ predicted, c @ (1 - predicted)) for c in chances]
    ).T
    errors = fp + fn
    # F1 = 2J / (1 + J), where J, the Jaccard index, is a share of tp + fp + fn rows
    trials = (2 * tp + errors)[0] ** 2 / max(2 * (tp + errors)[0], TINY)
    return {
        "f1": _Guess(_ratio(2 * tp, 2 * tp + errors), float(trials)),
        "precision": _Guess(_ratio(tp, tp + fp), float((tp + fp)[0])),
        "recall": _Guess(_ratio(tp, tp + fn), float((tp + fn)[0])),
    }


def _mean(
    chances: Floats, if_positive: Floats, if_negative: Floats, *, worst: float, best: float = 0.0
) -> _Guess:
    n, chance = len(if_positive), chances[0]
    totals = np.array([c @ if_positive + (1 - c) @ if_negative for c in chances])
    values = np.clip(totals / n, best, worst)
    value = values[0]
    squares = chance @ (if_positive - value) ** 2 + (1 - chance) @ (if_negative - value) ** 2
    known = (worst - value) * (value - best) * n**2 / max(squares, TINY)
    return _Guess(values, max(float(known), n), best, worst)


def _roc_auc(chances: Floats, proba: Floats) -> _Guess:
    order = np.argsort(proba)
    _, starts = np.unique(proba[order], return_index=True)
    values = np.array([_area(chance[order], starts) for chance in chances])
    return _Guess(values, _pairs_known(chances[0][order], starts, values[0]))


def _by_level(chance: Floats, starts: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Return the positive rows to expect at each score, the negative ones, and those below."""
    positive = np.add.reduceat(chance, starts)  # (n_levels,)
    negative = np.add.reduceat(1 - chance, starts)
    return positive, negative, np.cumsum(negative) - negative / 2


def _area(chance: Floats, starts: NDArray[np.intp]) -> float:
    """Return the area under the curve of rows sorted by score, NaN where it is not defined."""
    positive, negative, below = _by_level(chance, starts)
    # a row is no pair with itself, though among the ties it counts as half of one
    itself = (chance * (1 - chance)).sum()
    n_pairs = positive.sum() * negative.sum() - itself
    if not n_pairs > 0:
        return math.nan
    return float(np.clip(((positive * below).sum() - itself / 2) / n_pairs, 0, 1))


def _pairs_known(chance: Floats, starts: NDArray[np.intp], value: float) -> float:
    """Return the number of `trials` that the pairs of rows sorted by score are worth."""
    if math.isnan(value):
        return 0.0
    positive, negative, below = _by_level(chance, starts)
    pos, neg = positive.sum(), negative.sum()
    above = pos - np.cumsum(positive) + positive / 2
    of_positives = positive / pos @ (below / neg - value) ** 2
    of_negatives = negative / neg @ (above / pos - value) ** 2
    variance = of_positives * neg + of_negatives * pos  # times pos * neg, which may underflow
    known = value * (1 - value) * pos * neg / variance if variance > 0 else 0.0
    return float(max(known, min(pos, neg)))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _estimate(guess: _Guess, tail: float, *, n: int) -> Estimate:
    value, low, width = float(guess.values[0]), guess.low, guess.high - guess.low
    if math.isnan(value):
        return Estimate(None, None, None, n)
    z = -float(scipy.special.ndtri(tail))
    below, above = _wilson((value - low) / (width or 1), guess.trials, z)
    replicates = guess.values[1:][~np.isnan(guess.values[1:])]
    error = 0.0
    if replicates.size:
        t = -float(scipy.special.stdtrit(replicates.size, tail))
        error = t * math.sqrt(np.mean((replicates - value) ** 2))
    lower = max(low, value - math.hypot(width * below, error))
    upper = min(guess.high, value + math.hypot(width * above, error))
    return Estimate(value, lower, upper, n)


def _wilson(share: float, trials: float, z: float) -> tuple[float, float]:
    """Reach of the interval below and above the share."""
    pull = z**2 * (0.5 - share) / (trials + z**2)
    half = z * math.sqrt(share * (1 - share) * trials + z**2 / 4) / (trials + z**2)
    return max(0.0, half - pull), max(0.0, half + pull)
