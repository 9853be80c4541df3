"""The mean of rows that came in batches, with an interval that allows for batches of their own."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from risk.stats.scores import Estimate


def mean_of_batches(
    means: ArrayLike, sizes: ArrayLike, standard_errors: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    r"""Mean of all rows of several batches.

    Parameters
    ----------
    means : array_like of shape (n_batches,)
        Mean of the rows of each batch, in any unit.
    sizes : array_like of shape (n_batches,)
        Rows per batch, at least 1.
    standard_errors : array_like of shape (n_batches,)
        What each mean would vary by if rows varied as expected; not negative.
    confidence : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    Estimate
        `n` is the number of rows; without an interval for a single batch.

    Raises
    ------
    ValueError
        If there is no batch, or the lengths differ.

    Notes
    -----
    The mean is a ratio of sums over batches, and batches are the sampling units [1]_: with
    :math:`u_b = n_b (m_b - \bar m) / \bar n` its standard error is that of the mean of the u. A few
    batches that agree by chance would look certain, so it is never less than
    :math:`\sqrt{\sum n_b^2 s_b^2} / \sum n_b`. The interval is Student's.

    References
    ----------
    .. [1] Cochran, "Sampling Techniques", 3rd edition, Wiley 1977, section 6.4.

    Examples
    --------
    >>> found = mean_of_batches([0.4, 0.5, 0.6], [100, 100, 100], [0.1, 0.1, 0.1])
    >>> round(found.value, 3), round(found.lower, 3), found.n
    (0.5, 0.252, 300)
    """
    m, n, s = (np.asarray(each, np.float64) for each in (means, sizes, standard_errors))
    if not len(m) or not len(m) == len(n) == len(s):
        raise ValueError(f"one size and one standard error per batch, got {len(m)} batches")
    value = float(m @ n / n.sum())
    if len(m) < 2:
        return Estimate(value, None, None, int(n.sum()))
    moved = n * (m - value) / n.mean()
    between = float(moved.std(ddof=1) / np.sqrt(len(m)))
    within = float(np.sqrt(np.sum((n * s) ** 2)) / n.sum())
    half = float(-scipy.special.stdtrit(len(m) - 1, (1 - confidence) / 2)) * max(between, within)
    return Estimate(value, value - half, value + half, int(n.sum()))
