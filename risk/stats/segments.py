"""Where a classifier is wrong more often than elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def worse_than_elsewhere(wrong: ArrayLike, members: ArrayLike) -> Floats:
    r"""Evidence for each segment that predictions in it are wrong more often than outside of it.

    Parameters
    ----------
    wrong : array_like of shape (n_rows,)
        Whether the prediction of each row is wrong.
    members : array_like of shape (n_segments, n_rows)
        Whether each row is in each segment; segments may overlap.

    Returns
    -------
    ndarray of shape (n_segments,)
        In [0, 1]: p-values adjusted for the number of segments. If all segments at or below
        `alpha` are called weak, the chance that any of them is called so wrongly is at most
        `alpha`, however the segments overlap.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is neither true nor false.

    Notes
    -----
    Of N rows K are wrong; if being wrong has nothing to do with a segment of n rows, the number
    wrong in it is hypergeometric, and its upper tail is the p-value of Fisher's exact test [1]_.
    The p-values are adjusted by Holm's step-down method [2]_: with the i-th smallest of m,

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)}).

    References
    ----------
    .. [1] R. A. Fisher, "The Logic of Inductive Inference", Journal of the Royal Statistical
       Society 98 (1935) 39-82.
    .. [2] S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
       Journal of Statistics 6 (1979) 65-70.

    Examples
    --------
    >>> wrong = [1, 1, 1, 0, 0, 0]
    >>> worse_than_elsewhere(wrong, [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
    array([0.1, 1. ])
    """
    is_wrong, is_in = _truths("wrong", wrong), _truths("members", members)
    if is_wrong.ndim != 1 or is_in.ndim != 2 or is_in.shape[1] != len(is_wrong):
        raise ValueError(
            "members must have a row per segment and a column per element of wrong, "
            f"got shapes {is_in.shape} and {is_wrong.shape}"
        )
    sizes, errors = is_in.sum(axis=1), is_in[:, is_wrong].sum(axis=1)
    return _holm(_hypergeometric_tails(len(is_wrong), int(is_wrong.sum()), sizes, errors))


def _hypergeometric_tails(
    n_rows: int, n_wrong: int, sizes: NDArray[np.int64], errors: NDArray[np.int64]
) -> Floats:
    """Return the chance of as many errors or more in a segment of each size.

    The same as `scipy.stats.hypergeom.sf(errors - 1, n_rows, n_wrong, sizes)`, from factorials that
    are shared: importing `scipy.stats` takes longer than all segments of a report.
    """
    log_factorial = scipy.special.gammaln(np.arange(1.0, n_rows + 2))

    def log_choose(n: int, k: NDArray[np.int64] | int) -> Any:
        return log_factorial[n] - log_factorial[k] - log_factorial[n - k]

    n_right, chances = n_rows - n_wrong, np.ones(len(sizes))
    for segment, (size, least) in enumerate(zip(sizes, errors, strict=True)):
        if least > max(size - n_right, 0):  # else there are always as many
            wrong = np.arange(least, min(size, n_wrong) + 1)
            ways = log_choose(n_wrong, wrong) + log_choose(n_right, size - wrong)
            chances[segment] = min(np.exp(ways - log_choose(n_rows, size)).sum(), 1)
    return chances


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted


def _truths(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.dtype != "bool" and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must be true or false everywhere")
    return array.astype("bool")
