"""From which probability on a row is best called positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[Any]
Gain = Callable[[Counts, Counts, Counts, Counts], Counts]


def highest_f1(y_true: ArrayLike, y_pred_proba: ArrayLike) -> float:
    """Threshold with the highest F1.

    Parameters
    ----------
    y_true : array_like of shape (n_rows,)
        True labels, 0 or 1, at least one of them 1.
    y_pred_proba : array_like of shape (n_rows,)
        Predicted probabilities of label 1, in [0, 1].

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

    References
    ----------
    .. [1] Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1
       Measure", ECML PKDD 2014.

    Examples
    --------
    >>> highest_f1([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1])
    0.3
    """
    if not np.any(np.asarray(y_true) == 1):
        raise ValueError("F1 needs at least one positive label, got none")
    return _best(y_true, y_pred_proba, lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn))


def lowest_cost(
    y_true: ArrayLike, y_pred_proba: ArrayLike, *, cost: tuple[float, float, float, float]
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
    return _best(
        y_true,
        y_pred_proba,
        lambda tp, fp, fn, tn: -(c_tp * tp + c_fp * fp + c_fn * fn + c_tn * tn),
    )


def _best(y_true: ArrayLike, y_pred_proba: ArrayLike, gain: Gain) -> float:
    """Try a threshold between any two neighbouring probabilities, and beyond both ends."""
    truth, proba = np.asarray(y_true), np.asarray(y_pred_proba)
    if truth.shape != proba.shape:
        raise ValueError(f"arrays must be of equal length, got {truth.shape} and {proba.shape}")
    order = np.argsort(-proba, kind="stable")
    levels = proba[order]
    last_of_ties = np.append(np.diff(levels) != 0, True)  # no threshold parts equal ones
    # after 0, 1, 2, ... levels from the top were called positive: (n_levels + 1,)
    tp = np.append(0, np.cumsum(truth[order])[last_of_ties])
    fp = np.append(0, np.cumsum(1 - truth[order])[last_of_ties])
    gains = gain(tp, fp, tp[-1] - tp, fp[-1] - fp)
    # Any threshold between two levels gives the same counts; halfway is farthest from both.
    bounds = np.concatenate([[1.0], levels[last_of_ties], [0.0]])
    candidates = (bounds[:-1] + bounds[1:]) / 2
    # Halfway from 1 to 1 is not above it, and between two neighbouring floats may be the lower one.
    candidates[:-1] = np.maximum(candidates[:-1], np.nextafter(bounds[1:-1], 2))
    # equal counts give gains that differ by rounding, which must not decide between them
    best = candidates[np.isclose(gains, gains.max(), rtol=1e-12, atol=0)]
    return float(best[np.argmin(np.abs(best - 0.5))])
