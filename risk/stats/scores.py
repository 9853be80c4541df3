"""How good a binary classifier is, each score with an interval that says how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, expit, logit, ndtri, stdtrit

BIGGER_IS_BETTER = {
    "f1": True,
    "precision": True,
    "recall": True,
    "accuracy": True,
    "roc_auc": True,
    "average_precision": True,
    "brier": False,
    "log_loss": False,
}
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score of `n` rows and its interval; None where it is not defined."""

    value: float | None
    lower: float | None
    upper: float | None
    n: int

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined (n = {self.n})"
        if self.lower is None or self.upper is None:
            return f"{self.value:.3f} (n = {self.n})"
        return f"{self.value:.3f} [{self.lower:.3f}, {self.upper:.3f}] (n = {self.n})"


def score_all(
    y_true: ArrayLike, y_pred_proba: ArrayLike, y_pred: ArrayLike, *, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Every score of this module, F1 first.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        The true labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        The predicted probabilities of label 1, in [0, 1].
    y_pred : array_like of shape (n_rows,)
        The predicted labels, 0 or 1.
    confidence : float, default 0.95
        Of the intervals, in (0, 1).

    Returns
    -------
    dict of str to Estimate
        Keys as in `BIGGER_IS_BETTER`.

    Raises
    ------
    ValueError
        If an array is empty or of another length, a label is not 0 or 1, or a probability is
        not in [0, 1].

    Examples
    --------
    >>> scores = score_all([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1], [1, 0, 1, 0])
    >>> {name: round(score.value, 3) for name, score in list(scores.items())[:5]}
    {'f1': 0.5, 'precision': 0.5, 'recall': 0.5, 'accuracy': 0.5, 'roc_auc': 0.75}
    """
    labels = (y_true, y_pred)
    probabilities = (y_true, y_pred_proba)
    return {
        "f1": f1(*labels, confidence=confidence),
        "precision": precision(*labels, confidence=confidence),
        "recall": recall(*labels, confidence=confidence),
        "accuracy": accuracy(*labels, confidence=confidence),
        "roc_auc": roc_auc(*probabilities, confidence=confidence),
        "average_precision": average_precision(*probabilities, confidence=confidence),
        "brier": brier(*probabilities, confidence=confidence),
        "log_loss": log_loss(*probabilities, confidence=confidence),
    }


def f1(y_true: ArrayLike, y_pred: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    r"""Harmonic mean of precision and recall.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n_rows,)
        True and predicted labels, 0 or 1.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined if no label is positive, neither true nor predicted. `n` is the
        number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, or a label is not 0 or 1.

    Notes
    -----
    Of the rows that are positive in truth or by prediction, a share
    :math:`J = TP / (TP + FP + FN)`, the Jaccard index, is so by both. This is a plain
    proportion, so it has a Wilson interval [1]_, and :math:`F_1 = 2J / (1 + J)` grows with it:
    the interval of J carries over, from 5 rows to 10 million, without a bootstrap.

    References
    ----------
    .. [1] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
       Journal of the American Statistical Association 22 (1927) 209-212.

    Examples
    --------
    >>> print(f1([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]))
    0.667 [0.261, 0.919] (n = 5)
    """
    tp, fp, fn, tn = _confusion(y_true, y_pred)
    jaccard = _wilson(tp, tp + fp + fn, confidence, n=tp + fp + fn + tn)
    if jaccard.value is None or jaccard.lower is None or jaccard.upper is None:
        return jaccard
    value, lower, upper = (2 * j / (1 + j) for j in (jaccard.value, jaccard.lower, jaccard.upper))
    return Estimate(value, lower, upper, jaccard.n)


def precision(y_true: ArrayLike, y_pred: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Share of the predicted positives that are positive, with its Wilson interval.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n_rows,)
        True and predicted labels, 0 or 1.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined if nothing is predicted positive. `n` is the number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, or a label is not 0 or 1.

    Examples
    --------
    >>> print(precision([1, 1, 0, 0], [1, 1, 1, 0]))
    0.667 [0.208, 0.939] (n = 4)
    """
    tp, fp, fn, tn = _confusion(y_true, y_pred)
    return _wilson(tp, tp + fp, confidence, n=tp + fp + fn + tn)


def recall(y_true: ArrayLike, y_pred: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Share of the positives that are predicted positive, with its Wilson interval.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n_rows,)
        True and predicted labels, 0 or 1.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined if no label is positive. `n` is the number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, or a label is not 0 or 1.

    Examples
    --------
    >>> print(recall([1, 1, 0, 0], [1, 0, 1, 0]))
    0.500 [0.095, 0.905] (n = 4)
    """
    tp, fp, fn, tn = _confusion(y_true, y_pred)
    return _wilson(tp, tp + fn, confidence, n=tp + fp + fn + tn)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Share of the rows that are predicted right, with its Wilson interval.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n_rows,)
        True and predicted labels, 0 or 1.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]. `n` is the number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, or a label is not 0 or 1.

    Examples
    --------
    >>> print(accuracy([1, 1, 0, 0], [1, 0, 0, 0]))
    0.750 [0.301, 0.954] (n = 4)
    """
    tp, fp, fn, tn = _confusion(y_true, y_pred)
    n = tp + fp + fn + tn
    return _wilson(tp + tn, n, confidence, n=n)


def roc_auc(y_true: ArrayLike, y_pred_proba: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    r"""Chance that a positive row scores higher than a negative one, ties counting half.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined if only one class is there. `n` is the number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a label is not 0 or 1, or a probability is
        not in [0, 1].

    Notes
    -----
    The variance is DeLong's [1]_, computed from mid-ranks [2]_ in O(n log n), and no smaller
    than :math:`A (1 - A) / n` with the shrunk :math:`A = (\mathrm{AUC} \cdot n + 1/2) / (n + 1)`,
    because with few rows or a perfect ranking DeLong's is 0. The interval is symmetric on the
    logit scale, so it stays within [0, 1].

    References
    ----------
    .. [1] DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837-845.
    .. [2] Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393.

    Examples
    --------
    >>> print(roc_auc([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.4, 0.2, 0.1]))
    0.889 [0.353, 0.979] (n = 6)
    """
    truth, proba = _truth_and_probability(y_true, y_pred_proba)
    positive, negative = proba[truth == 1], proba[truth == 0]
    n_pos, n_neg, n = len(positive), len(negative), len(truth)
    if not (n_pos and n_neg):
        return Estimate(None, None, None, n)
    ranks = _mid_ranks(np.concatenate([positive, negative]))
    share_below = (ranks[:n_pos] - _mid_ranks(positive)) / n_neg
    share_above = 1 - (ranks[n_pos:] - _mid_ranks(negative)) / n_pos
    auc = float(share_below.mean())
    shrunk = (auc * n + 0.5) / (n + 1)
    variance = _variance(share_below) / n_pos + _variance(share_above) / n_neg
    variance = max(variance, shrunk * (1 - shrunk) / n)
    return _on_logit_scale(auc, shrunk, variance, confidence, n=n)


def average_precision(
    y_true: ArrayLike, y_pred_proba: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    r"""Mean of the precision over the positives, each at its own rank.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1]; undefined if only one class is there. `n` is the number of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a label is not 0 or 1, or a probability is
        not in [0, 1].

    Notes
    -----
    The value is :math:`\sum_k (R_k - R_{k-1}) P_k` over the distinct probabilities, without
    interpolation. The interval is the logit one of Boyd, Eng and Page [1]_: with :math:`n_+`
    positives and the shrunk value A, :math:`\mathrm{logit} A \pm z / \sqrt{n_+ A (1 - A)}`.

    References
    ----------
    .. [1] Boyd, Eng and Page, "Area under the Precision-Recall Curve: Point Estimates and
       Confidence Intervals", ECML PKDD 2013.

    Examples
    --------
    >>> print(average_precision([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1]))
    0.833 [0.105, 0.983] (n = 4)
    """
    truth, proba = _truth_and_probability(y_true, y_pred_proba)
    n, n_pos = len(truth), int(truth.sum())
    if n_pos in (0, n):
        return Estimate(None, None, None, n)
    order = np.argsort(-proba, kind="stable")
    last_of_ties = np.append(np.diff(proba[order]) != 0, True)
    hits = np.cumsum(truth[order])[last_of_ties]
    rows = np.arange(1, n + 1)[last_of_ties]
    value = float(np.sum(np.diff(hits, prepend=0) / n_pos * (hits / rows)))
    shrunk = (value * n_pos + 0.5) / (n_pos + 1)
    return _on_logit_scale(value, shrunk, shrunk * (1 - shrunk) / n_pos, confidence, n=n)


def brier(y_true: ArrayLike, y_pred_proba: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean squared error of the probabilities; 0 is perfect.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        In [0, 1], with a Student t interval, which one row does not give. `n` is the number of
        rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a label is not 0 or 1, or a probability is
        not in [0, 1].

    References
    ----------
    .. [1] G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly
       Weather Review 78 (1950) 1-3.

    Examples
    --------
    >>> print(brier([1, 0, 1, 0], [0.8, 0.2, 0.6, 0.4]))
    0.100 [0.000, 0.210] (n = 4)
    """
    truth, proba = _truth_and_probability(y_true, y_pred_proba)
    return _mean((proba - truth) ** 2, confidence, ceiling=1.0)


def log_loss(y_true: ArrayLike, y_pred_proba: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean negative log-likelihood of the labels, in nats; 0 is perfect.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1]; kept 2.2e-16 away from 0 and 1, so that
        one certain error costs 36 nats and not an infinite amount.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        Not negative, with a Student t interval, which one row does not give. `n` is the number
        of rows.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a label is not 0 or 1, or a probability is
        not in [0, 1].

    Examples
    --------
    >>> print(log_loss([1, 0, 1, 0], [0.8, 0.2, 0.6, 0.4]))
    0.367 [0.103, 0.631] (n = 4)
    """
    truth, proba = _truth_and_probability(y_true, y_pred_proba)
    tiny = np.finfo(np.float64).eps
    likelihood = np.clip(np.where(truth == 1, proba, 1 - proba), tiny, 1 - tiny)
    return _mean(-np.log(likelihood), confidence, ceiling=math.inf)


def mcnemar_exact(wins: int, losses: int) -> float:
    """One-sided p-value that of two classifiers the first is not better.

    Parameters
    ----------
    wins, losses : int
        Rows only the first, and rows only the second classifier predicts right; not negative.

    Returns
    -------
    float
        In (0, 1]: the chance of at least as many wins if both are equally good.

    Raises
    ------
    ValueError
        If a count is negative.

    References
    ----------
    .. [1] Q. McNemar, "Note on the Sampling Error of the Difference between Correlated
       Proportions or Percentages", Psychometrika 12 (1947) 153-157.

    Examples
    --------
    >>> mcnemar_exact(5, 0)
    0.03125
    """
    if min(wins, losses) < 0:
        raise ValueError(f"wins and losses must not be negative, got {wins} and {losses}")
    return float(bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0


def is_worse(before: Estimate, now: Estimate, *, bigger_is_better: bool) -> bool:
    r"""Whether a score fell by more than the interval of its change.

    Parameters
    ----------
    before, now : Estimate
        Scores of one kind on two independent sets of rows.
    bigger_is_better : bool
        The direction of that score.

    Returns
    -------
    bool
        True only for a change to the worse; False as well where a score is undefined.

    Notes
    -----
    The interval of a difference of two independent estimates follows from their own intervals
    ("square and add", [1]_): with b before and a now, for a score that should be large, the
    change is for the worse if :math:`b - a > \sqrt{(b - l_b)^2 + (u_a - a)^2}`.

    References
    ----------
    .. [1] R. G. Newcombe, "Interval Estimation for the Difference between Independent
       Proportions", Statistics in Medicine 17 (1998) 873-890.

    Examples
    --------
    >>> is_worse(
    ...     Estimate(0.8, 0.77, 0.83, 700), Estimate(0.6, 0.5, 0.7, 90), bigger_is_better=True
    ... )
    True
    """
    bounds = (before.value, before.lower, before.upper, now.value, now.lower, now.upper)
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return False
    b, b_lower, b_upper, a, a_lower, a_upper = known
    if bigger_is_better:
        return b - a > math.hypot(b - b_lower, a_upper - a)
    return a - b > math.hypot(b_upper - b, a - a_lower)


def _confusion(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[int, int, int, int]:
    """Count true positives, false positives, false negatives and true negatives."""
    truth, predicted = _labels("y_true", y_true), _labels("y_pred", y_pred)
    _require_equal_length(truth, predicted)
    tp = int(np.sum(truth * predicted))
    fp, fn = int(predicted.sum()) - tp, int(truth.sum()) - tp
    return tp, fp, fn, len(truth) - tp - fp - fn


def _truth_and_probability(y_true: ArrayLike, y_pred_proba: ArrayLike) -> tuple[Floats, Floats]:
    truth, proba = _labels("y_true", y_true), np.asarray(y_pred_proba, dtype=np.float64)
    _require_equal_length(truth, proba)
    if not np.all((proba >= 0) & (proba <= 1)):
        odd = proba[~((proba >= 0) & (proba <= 1))][0]
        raise ValueError(f"y_pred_proba must lie in [0, 1], got {odd}")
    return truth, proba


def _labels(name: str, values: ArrayLike) -> Floats:
    labels = np.asarray(values, dtype=np.float64)
    if labels.ndim != 1 or not labels.size:
        raise ValueError(f"{name} needs at least one label in one dimension, got {labels.shape}")
    if not np.all((labels == 0) | (labels == 1)):
        odd = labels[~((labels == 0) | (labels == 1))][0]
        raise ValueError(f"{name} must hold only 0 and 1, got {odd}")
    return labels


def _require_equal_length(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ValueError(f"arrays must be of equal length, got {first.shape} and {second.shape}")


def _wilson(successes: int, trials: int, confidence: float, *, n: int) -> Estimate:
    if not trials:
        return Estimate(None, None, None, n)
    z, share = _quantile(confidence), successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    half /= 1 + z**2 / trials
    return Estimate(
        share, min(max(0.0, centre - half), share), max(min(1.0, centre + half), share), n
    )


def _mean(losses: Floats, confidence: float, *, ceiling: float) -> Estimate:
    n, value = len(losses), float(losses.mean())
    if n == 1:
        return Estimate(value, None, None, n)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(losses.std(ddof=1)) / math.sqrt(n)
    return Estimate(value, max(0.0, value - half), min(ceiling, value + half), n)


def _on_logit_scale(
    value: float, shrunk: float, variance: float, confidence: float, *, n: int
) -> Estimate:
    """Put an interval around the shrunk value, and the value itself within it."""
    half = _quantile(confidence) * math.sqrt(variance) / (shrunk * (1 - shrunk))
    lower, upper = float(expit(logit(shrunk) - half)), float(expit(logit(shrunk) + half))
    return Estimate(value, min(lower, value), max(upper, value), n)


def _mid_ranks(values: Floats) -> Floats:
    """Rank from 1; equal values share the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _quantile(confidence: float) -> float:
    return float(ndtri((1 + confidence) / 2))
