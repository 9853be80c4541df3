"""How far a batch has moved from its reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc


@dataclass(frozen=True, slots=True)
class Divergence:
    """A distance between two samples, what is left of it without noise, and its p-value."""

    statistic: float
    excess: float
    p_value: float


def stability_index(
    reference: ArrayLike, current: ArrayLike, *, pseudo_count: float = 0.5
) -> Divergence:
    r"""Population stability index of two samples counted in the same cells.

    Parameters
    ----------
    reference, current : array_like of shape (n_cells,)
        Rows per cell, in the same order. The cells must be fixed before `current` is seen.
    pseudo_count : float, default 0.5
        Rows added to every cell, so that an empty one costs a finite amount; positive.

    Returns
    -------
    Divergence
        `statistic` in nats, 0 if and only if the smoothed shares agree; `excess`, the part of
        it that chance does not explain, not negative; `p_value` in [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ, there are fewer than two cells, a count is negative, a sample is
        empty or `pseudo_count` is not positive.

    Notes
    -----
    With smoothed shares p of the reference and q of the current sample,

    .. math:: \mathrm{PSI} = \sum_b (q_b - p_b) \ln (q_b / p_b).

    Two samples of n and m rows of one distribution over K cells that are not empty give
    :math:`\mathrm{PSI} / (1/n + 1/m)` about a chi-squared distribution with K - 1 degrees of
    freedom [1]_, so a mean of :math:`(K - 1)(1/n + 1/m)`: `excess` is the index less that
    mean. Without this the customary limit 0.2 is passed by chance in 43 % of batches of 50
    rows in 10 cells.

    References
    ----------
    .. [1] Yurdakul and Naranjo, "Statistical Properties of the Population Stability Index",
       Journal of Risk Model Validation 14 (2020) 89-100.

    Examples
    --------
    The same change of shares, seen in 2000 rows and in 20:

    >>> many = stability_index([1000, 600, 400], [860, 620, 520])
    >>> few = stability_index([10, 6, 4], [9, 6, 5])
    >>> round(many.statistic, 3), round(many.excess, 3), many.p_value < 0.001
    (0.027, 0.025, True)
    >>> few.excess, few.p_value > 0.5
    (0.0, True)
    """
    before, now = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    _require_comparable(before, now, pseudo_count)
    n, m = before.sum(), now.sum()
    used = (before + now) > 0
    p, q = _shares(before[used], pseudo_count), _shares(now[used], pseudo_count)
    noise = float(1 / n + 1 / m)
    freedom = max(int(used.sum()) - 1, 1)
    psi = float(np.sum((q - p) * np.log(q / p)))
    return Divergence(psi, max(0.0, psi - freedom * noise), float(chdtrc(freedom, psi / noise)))


def _require_comparable(
    before: NDArray[np.float64], now: NDArray[np.float64], pseudo_count: float
) -> None:
    if before.ndim != 1 or before.shape != now.shape or before.size < 2:
        raise ValueError(
            "need two count vectors of equal length, at least 2, "
            f"got shapes {before.shape} and {now.shape}"
        )
    if min(before.min(), now.min()) < 0:
        raise ValueError("counts must not be negative")
    if not (before.sum() and now.sum()):
        raise ValueError("each sample needs at least one row")
    if pseudo_count <= 0:
        raise ValueError(f"pseudo_count must be positive, got {pseudo_count!r}")


def _shares(counts: NDArray[np.float64], pseudo_count: float) -> NDArray[np.float64]:
    padded = counts + pseudo_count
    shares: NDArray[np.float64] = padded / padded.sum()
    return shares
