"""How sure a running mean is, however often one looks at it."""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Rows times variance, of scores in [0, 1], at which the bounds are tightest: 625 rows of a share of
# 20 %. The bounds hold at any variance; from 10 to 10,000 they are within a fifth of the tightest.
TIGHTEST = 100.0
HALVINGS = 40  # of an interval of length 1, so to 1e-12


def confidence_sequence(
    sums: ArrayLike,
    counts: ArrayLike,
    sums_of_squares: ArrayLike,
    *,
    within: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
) -> Floats:
    r"""Bounds of the running mean of bounded scores, valid at every batch at once.

    Parameters
    ----------
    sums, counts, sums_of_squares : array_like of shape (n_batches,)
        Of the scores of each batch, in the order of arrival: their sum, their number, whole and
        at least 1, and the sum of their squares.
    within : tuple of two floats, default (0, 1)
        What no score is below and none above, increasing.
    confidence : float, default 0.95
        Chance that all bounds hold together, in (0, 1).

    Returns
    -------
    ndarray of shape (n_batches, 2)
        Lower and upper bound of the mean of all rows up to each batch, not outside `within`.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in shape, a count is not whole or below 1, the sums are
        not those of scores in `within`, this does not increase, or `confidence` is not in (0, 1).

    Notes
    -----
    An interval for one sample misses sooner or later if it is looked at after every batch. This
    one does not: the chance that it *ever* misses is at most 1 - confidence, for any number of
    batches and any rule by which to stop.

    Let rows :math:`x_i \in [0, 1]` have mean :math:`\mu_i` given all earlier ones, and let
    :math:`\hat x_i` be any guess made before row i. With
    :math:`S = \sum_i (x_i - \mu_i)` and :math:`V = \sum_i (x_i - \hat x_i)^2`,

    .. math:: M(\lambda) = \exp(\lambda S + (\ln(1 - \lambda) + \lambda) V)

    is on average never more than 1, row after row, for all :math:`\lambda \in [0, 1)` ([1]_,
    theorem 4). Here the guess is the mean of all earlier batches, and of one row more in the
    middle of `within`: the same for all rows of a batch, so that V needs their sums only. The
    ends of batches are some of the rows, so no choice of theirs that does not look at the scores
    themselves does harm. Mixed over :math:`\lambda` with density proportional to
    :math:`(1 - \lambda)^{\rho - 1} e^{-\rho (1 - \lambda)}`, M becomes ([1]_, proposition 9)

    .. math:: \frac{\rho^\rho}{\Gamma(\rho) P(\rho, \rho)}
        \frac{\Gamma(V + \rho) P(V + \rho, S + V + \rho)}{(S + V + \rho)^{V + \rho}} e^{S + V},

    P the regularised incomplete gamma function. By Ville's inequality it ever reaches
    :math:`2 / (1 - \mathrm{confidence})` with half the chance that is allowed. Where it does, S
    is at its bound, which is found by halving; the other half is for :math:`1 - x_i`.

    The width falls as :math:`\sqrt{V \ln V} / n`. If the mean changes, the bounds hold for the
    mean of all :math:`\mu_i` so far; for the same reason they are not intersected. A first batch
    of most of the rows costs width, as it has only the middle for a guess.

    References
    ----------
    .. [1] Howard, Ramdas, McAuliffe and Sekhon, "Time-Uniform, Nonparametric, Nonasymptotic
       Confidence Sequences", Annals of Statistics 49 (2021) 1055-1080.

    Examples
    --------
    Churn in three batches of 200 rows:

    >>> churned = [44, 37, 41]
    >>> confidence_sequence(churned, [200, 200, 200], churned).round(3)
    array([[0.097, 0.343],
           [0.127, 0.278],
           [0.144, 0.263]])
    """
    low, high = within
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"the ends of `within` must be finite and increase, got {within!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence!r}")
    first, rows, second = _batches(sums, counts, sums_of_squares)
    unit = high - low
    # sum of (x - low) / unit and of its square, expanded; both from the sums as they came
    first, second = (
        (first - low * rows) / unit,
        (second - 2 * low * first + low**2 * rows) / unit**2,
    )
    _require_fitting(first, rows, second)
    n, variance = np.cumsum(rows), np.cumsum(_squared_errors(first, rows, second))
    # each side may miss with half of what is allowed, so that both together keep to it
    mean, reach = np.cumsum(first) / n, _reach(variance, n, (1 - confidence) / 2)
    ends = np.stack([mean - reach, mean + reach], axis=1).clip(0, 1)
    bounds: Floats = low + unit * ends
    return bounds


def _batches(
    sums: ArrayLike, counts: ArrayLike, sums_of_squares: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    first, rows, second = (np.asarray(each, np.float64) for each in (sums, counts, sums_of_squares))
    if rows.ndim != 1 or not rows.size or not first.shape == rows.shape == second.shape:
        raise ValueError(
            "need three vectors of equal length, at least 1, "
            f"got shapes {first.shape}, {rows.shape} and {second.shape}"
        )
    odd = rows[~((rows >= 1) & np.isfinite(rows) & (rows == np.floor(rows)))]
    if odd.size:
        raise ValueError(f"counts must be whole and at least 1, got {odd[0]:g}")
    return first, rows, second


def _require_fitting(first: Floats, rows: Floats, second: Floats) -> None:
    """Scores in [0, 1] are not below their squares, whose mean is not below that of the mean."""
    slack = 1e-9 * rows  # sums are rounded, and rescaling them takes differences of large ones
    fits = (first <= rows + slack) & (second <= first + slack)
    fits &= first**2 <= (second + slack) * rows
    if not fits.all():
        batch = int(np.argmin(fits))
        raise ValueError(f"the sums of batch {batch} are not those of scores in `within`")


def _squared_errors(first: Floats, rows: Floats, second: Floats) -> Floats:
    """Sum over each batch of the squared distance from the guess made before it."""
    # Sums before each batch: a guess that has seen the rows it is for would void theorem 4. The row
    # more at 0.5 gives the first batch a guess, and later ones hardly depend on it.
    earlier, n = np.cumsum(first) - first, np.cumsum(rows) - rows
    guess = (earlier + 0.5) / (n + 1)
    return np.maximum(second - 2 * guess * first + guess**2 * rows, 0)


def _reach(variance: Floats, n: Floats, tail: float) -> Floats:
    """How far the mean of n rows may be off: by S / n, where the mixture is 1 / tail."""
    # The mixture grows with S, so halving finds the one crossing, for all batches at once. `far` is
    # the end that is known to be beyond it, so rounding only widens; 1 is the whole range.
    near, far = np.zeros(n.shape), np.ones(n.shape)
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        beyond = _log_mixture(n * middle, variance, _rho(tail)) > -math.log(tail)
        near, far = np.where(beyond, near, middle), np.where(beyond, middle, far)
    return far


def _rho(tail: float) -> float:
    """Parameter of the mixture that is best at the variance `TIGHTEST`, nearly."""
    # The rule that Howard et al. give for a normal mixture, which is close to this one. Any rho is
    # valid that was chosen before the rows came; one fitted to their variance would not be.
    cost = -2 * math.log(tail)
    return TIGHTEST / (cost + math.log1p(cost))


def _log_mixture(s: Floats, v: Floats, rho: float) -> Floats:
    # Logarithms throughout: Gamma(V + rho) overflows from 172 on.
    constant = rho * math.log(rho) - math.lgamma(rho) - math.log(scipy.special.gammainc(rho, rho))
    shape, rate = v + rho, s + v + rho
    # P(a, x) is above 1/2 for x >= a, which S >= 0 makes sure of: no logarithm of 0
    log_p = np.log(scipy.special.gammainc(shape, rate))
    mixture: Floats = constant + scipy.special.gammaln(shape) + log_p - shape * np.log(rate) + s + v
    return mixture
