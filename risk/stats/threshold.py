"""From which probability on a row is best called positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[Any]
Gain = Callable[[Counts, Counts, Counts, Counts], Counts]
SEED = 20261201
MAX_TRIED = 2000  # of the thresholds, evenly by rank, with each resample


def highest_f1(y_true: ArrayLike, y_pred_proba: ArrayLike, *, n_resamples: int = 0) -> float:
    """Threshold with the highest F1.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1, at least one of them 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].
    n_resamples : int, default 0
        Over how many reweightings of the rows the threshold is averaged; 0 for the best of the
        rows as they are.

    Returns
    -------
    float
        Halfway between two neighbouring probabilities; of equally good ones the nearest to 0.5.
        In [0, 1], or the next number above 1 where no row is best called positive and one has a
        probability of exactly 1.

    Raises
    ------
    ValueError
        If the arrays differ in length or no label is 1.

    Notes
    -----
    Every distinct split of the rows is tried, in O(n log n).

    F1 is nearly the same for many thresholds, so the best of one sample is largely luck. Averaged,
    it is better on other rows and varies less. Each resample weights the rows by independent
    exponential numbers, as the Bayesian bootstrap does [2]_. What is averaged, as by bagging [3]_,
    is how many of the rows are called positive: it does not depend on the scale of the
    probabilities. The result is the threshold that calls about as many positive. It is the same
    for the same rows in any order. Each resample tries at most 2,000 thresholds.

    References
    ----------
    .. [1] Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1
       Measure", ECML PKDD 2014.
    .. [2] D. Rubin, "The Bayesian Bootstrap", The Annals of Statistics 9(1), 1981.
    .. [3] L. Breiman, "Bagging Predictors", Machine Learning 24, 1996.

    Examples
    --------
    >>> highest_f1([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1])
    0.3

    By luck one positive is the last of five; averaged, fewer rows are called positive:

    >>> y_true, y_pred_proba = [1, 0, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    >>> highest_f1(y_true, y_pred_proba)
    0.45
    >>> highest_f1(y_true, y_pred_proba, n_resamples=100)
    0.55
    """
    if not np.any(np.asarray(y_true) == 1):
        raise ValueError("F1 needs at least one positive label, got none")

    def f1(tp: Counts, fp: Counts, fn: Counts, _: Counts) -> Counts:
        found: Counts = 2 * tp / (2 * tp + fp + fn)
        return found

    return _best(y_true, y_pred_proba, f1, n_resamples)


def lowest_cost(
    y_true: ArrayLike,
    y_pred_proba: ArrayLike,
    *,
    cost: tuple[float, float, float, float],
    n_resamples: int = 0,
) -> float:
    """Threshold with the lowest total cost.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].
    cost : tuple of four floats
        What a true positive, a false positive, a false negative and a true negative cost.
    n_resamples : int, default 0
        Over how many reweightings of the rows the threshold is averaged; 0 for the best of the
        rows as they are.

    Returns
    -------
    float
        Halfway between two neighbouring probabilities; of equally good ones the nearest to 0.5.
        In [0, 1], or the next number above 1 where no row is best called positive and one has a
        probability of exactly 1.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    References
    ----------
    .. [1] C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001.

    Examples
    --------
    A missed positive costs five times a false alarm, so more rows are called positive:

    >>> y_true, y_pred_proba = [1, 0, 1, 0, 0], [0.9, 0.6, 0.4, 0.2, 0.1]
    >>> lowest_cost(y_true, y_pred_proba, cost=(0, 1, 5, 0))
    0.3
    >>> lowest_cost(y_true, y_pred_proba, cost=(0, 5, 1, 0))
    0.75
    """
    # Searched, not computed from the costs as in [1]_: that needs calibrated probabilities.
    c_tp, c_fp, c_fn, c_tn = cost

    def saved(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Counts:
        return -(c_tp * tp + c_fp * fp + c_fn * fn + c_tn * tn)

    return _best(y_true, y_pred_proba, saved, n_resamples)


def count_by_level(y_true: ArrayLike, y_pred_proba: ArrayLike) -> tuple[Counts, Counts, Counts]:
    """Positives and negatives among the rows of the highest probabilities.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1.

    Returns
    -------
    levels : ndarray of shape (n_levels,)
        The distinct probabilities, the highest first.
    tp, fp : ndarray of shape (n_levels + 1,)
        The true and false positives if the rows of the 0, 1, 2, ... first levels are called
        positive; the last are the numbers of positives and negatives.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    Examples
    --------
    >>> levels, tp, fp = count_by_level([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.4])
    >>> levels.tolist(), tp.tolist(), fp.tolist()
    ([0.7, 0.4, 0.2], [0, 1, 2, 2], [0, 0, 1, 2])
    """
    truth, proba = np.asarray(y_true), np.asarray(y_pred_proba)
    if truth.shape != proba.shape:
        raise ValueError(f"arrays must be of equal length, got {truth.shape} and {proba.shape}")
    order = np.argsort(-proba, kind="stable")
    levels = proba[order]
    last_of_ties = np.append(np.diff(levels) != 0, True)  # no threshold parts equal ones
    tp = np.append(0, np.cumsum(truth[order])[last_of_ties])
    fp = np.append(0, np.cumsum(1 - truth[order])[last_of_ties])
    return levels[last_of_ties], tp, fp


def _best(y_true: ArrayLike, y_pred_proba: ArrayLike, gain: Gain, n_resamples: int) -> float:
    """Try a threshold between any two neighbouring probabilities, and beyond both ends."""
    levels, tp, fp = count_by_level(y_true, y_pred_proba)
    # Any threshold between two levels gives the same counts; halfway is farthest from both.
    bounds = np.concatenate([[1.0], levels, [0.0]])
    candidates = (bounds[:-1] + bounds[1:]) / 2
    # Halfway from 1 to 1 is not above it, and between two neighbouring floats may be the lower one.
    candidates[:-1] = np.maximum(candidates[:-1], np.nextafter(bounds[1:-1], 2))
    if not n_resamples:
        return float(candidates[_place_of_best(gain, tp, fp, candidates)])
    n_called = tp + fp
    tried = np.linspace(0, len(tp) - 1, min(len(tp), MAX_TRIED)).round().astype(int)
    positive, negative = np.diff(tp[tried]), np.diff(fp[tried])
    rng, called = np.random.default_rng(SEED), []
    for _ in range(n_resamples):
        # k exponential weights add up to a gamma variable of shape k
        drawn = [np.append(0, np.cumsum(rng.standard_gamma(n))) for n in (positive, negative)]
        place = _place_of_best(gain, drawn[0], drawn[1], candidates[tried])
        called.append(n_called[tried[place]])
    return float(candidates[np.argmin(np.abs(n_called - np.mean(called)))])


def _place_of_best(gain: Gain, tp: Counts, fp: Counts, candidates: Counts) -> int:
    """Return the place of the largest gain; of equally large ones, of that nearest to 0.5."""
    gains = gain(tp, fp, tp[-1] - tp, fp[-1] - fp)
    # equal counts give gains that differ by rounding, which must not decide between them
    best = np.flatnonzero(gains >= gains.max() - 1e-12 * abs(gains.max()))
    return int(best[np.argmin(np.abs(candidates[best] - 0.5))])
