"""The difference of two scores on the same rows, with its interval."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.stats.scores import Estimate

Floats = NDArray[np.float64]
Ratio = tuple[Floats, Floats]


def difference(before: Ratio, now: Ratio, *, confidence: float = 0.95) -> Estimate | None:
    r"""Difference of two ratios over the same rows, the second minus the first.

    Parameters
    ----------
    before, now : pair of ndarray of shape (n_rows,)
        What each row gained, and what it could have: the score is the sum of the first over the
        sum of the second.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate or None
        None where a score is undefined; without an interval where no two rows differ in what
        they contribute, as when both models say the same.

    Notes
    -----
    With :math:`R = \sum g_i / \sum p_i`, row i moves a score by
    :math:`u_i = (g_i - R p_i) / \bar p` [1]_. The standard error of the difference is that of the
    mean of :math:`u_i^{now} - u_i^{before}`, which takes into account that easy rows are easy for
    both; the interval is Student's.

    References
    ----------
    .. [1] Cochran, "Sampling Techniques", 3rd edition, Wiley 1977, section 6.4.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(4)
    >>> difference((np.array([0, 0, 1, 1]), one), (np.array([1, 0, 1, 1]), one)).value
    0.25
    """
    if not (before[1].sum() and now[1].sum()):  # precision, if nothing is called positive
        return None
    n = len(before[0])
    value = _ratio(now) - _ratio(before)
    # row by row before the spread is taken: what both models find hard cancels
    moved = _influence(now) - _influence(before)
    # Rows that all agree have spread 0; an interval of no width would claim to be certain.
    if n < 2 or np.ptp(moved) < 1e-12:
        return Estimate(value, None, None, n)
    t = -scipy.special.stdtrit(n - 1, (1 - confidence) / 2)
    half = float(t * moved.std(ddof=1) / np.sqrt(n))
    return Estimate(value, value - half, value + half, n)


def _ratio(score: Ratio) -> float:
    return float(score[0].sum() / score[1].sum())


def _influence(score: Ratio) -> Floats:
    # Derivative of a ratio of means by the weight of a row; where all is possible, gained - mean.
    gained, possible = score
    influence: Floats = (gained - _ratio(score) * possible) / possible.mean()
    return influence
