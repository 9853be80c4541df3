"""Anytime-valid evidence against a tolerated null, from counts in fixed cells.

One primitive serves every detector: a score per cell whose mean is at most `null_mean` as long as
nothing happened, bets on a higher mean, and a wealth that is fed at the pace of the false-alarm
budget. The wealth reaches 1 by chance no more often than the budget allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
MAX_LOSS = 0.9  # of its wealth by one row; a bet that lost all could never recover (ADR 6)
# The best stake is (won - lost) / (won + lost): these suit challengers that win 51 to 88 % of the
# rows in dispute, and a lost row leaves a quarter at least. The small ones are for non-inferiority:
# with a margin of .01 and a dispute about a fifth of the rows a stake of .1 never grows.
STAKES = np.array([0.025, 0.05, 0.1, 0.2, 0.4, 0.75])
STAKE_WEIGHTS = np.array([0.02, 0.02, 0.24, 0.24, 0.24, 0.24])
MIN_BATCHES = 8  # whose 90 % bound is 2.5 times the estimate; of three it is 9.5 times
UNKNOWN_CORRELATION = 0.002  # n / (1 + (n - 1) rho) < 1 / rho: no batch counts for over 500 rows


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Ways in which the rows of one column can move, each a score per cell.

    Attributes
    ----------
    names : tuple of str, length n_directions
        What a higher mean of the score means: "higher", "missing more often", a level's name.
    values : ndarray of shape (n_directions, n_cells)
        The score of a row in each cell; NaN where its rows do not count for the direction.
    means, spreads : ndarray of shape (n_directions,)
        Mean and standard deviation of the score over the reference rows that count.
    null_means : ndarray of shape (n_directions,)
        The largest mean that is tolerated, not below `means`.
    weights : ndarray of shape (n_directions,)
        How the column's share of the budget is spent; they add up to 1.
    """

    names: tuple[str, ...]
    values: Floats
    means: Floats
    spreads: Floats
    null_means: Floats
    weights: Floats

    def only(self, name: str) -> Directions:
        """Keep one direction, with all of the weight.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        Directions
            That one.

        Examples
        --------
        >>> both = Directions(("up", "down"), np.array([[0.0, 1], [0, -1]]), *[np.ones(2)] * 4)
        >>> both.only("down").values.tolist()
        [[0.0, -1.0]]
        """
        i = slice(start := self.names.index(name), start + 1)
        return Directions(
            names=(name,),
            values=self.values[i],
            means=self.means[i],
            spreads=self.spreads[i],
            null_means=self.null_means[i],
            weights=np.ones(1),
        )


@dataclass(frozen=True, slots=True)
class Ladder:
    """The effects that are bet on, smallest first, and what each bet may spend.

    Attributes
    ----------
    effects : tuple of float
        Above the null, in standard deviations.
    weights : tuple of float
        Shares of a direction's budget; they add up to 1. A bet starts -ln(weight) nats behind.
    spread_of_null : bool
        Whether the stakes suit the spread that the null allows, as they have to where the
        reference shows none, or the spread of the reference.
    """

    effects: tuple[float, ...]
    weights: tuple[float, ...]
    spread_of_null: bool


# Steps of two: the nearest bet keeps nine tenths of the growth that the right one would have. The
# smallest is half the default tolerance; large effects need no head start (ADR 20).
LADDER = Ladder((0.025, 0.05, 0.1, 0.2, 0.4, 1.0), (0.1, 0.15, 0.25, 0.3, 0.15, 0.05), True)
# of releases made before that; their stored wealth is of these bets
FIRST_LADDER = Ladder((0.1, 0.2, 0.4, 1.0), (0.4, 0.4, 0.15, 0.05), False)


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """The bets on the directions of one column.

    Attributes
    ----------
    gains : ndarray of shape (n_directions, n_bets, n_cells)
        What a row in each cell adds to the logarithm of each bet's wealth; 0 where it does not
        count, never below log(1 - 0.9).
    counted : ndarray of bool, shape (n_directions, n_cells)
        Whether the rows of a cell count for a direction, also if they gain 0.
    spreads : ndarray of shape (n_directions,)
        The standard deviations that effects are multiples of.
    log_weights : ndarray of shape (n_directions, n_bets)
        Logarithm of each bet's share of the column's budget.
    """

    gains: Floats
    counted: NDArray[np.bool_]
    spreads: Floats
    log_weights: Floats


def place(directions: Directions, ladder: Ladder = LADDER) -> Bets:
    r"""Bet on each direction of a column.

    Parameters
    ----------
    directions : Directions
        Of one column.
    ladder : Ladder
        The effects to bet on.

    Returns
    -------
    Bets
        As long as no mean exceeds that of the null, none of them grows in expectation.

    Notes
    -----
    A bet on an effect of D standard deviations stakes
    :math:`\lambda = \min(D / (\sigma (1 + D^2)), 0.9 / (m_0 - \min s))` and gains
    :math:`\log(1 + \lambda (s - m_0))` [1]_. As long as the mean of s is at most :math:`m_0`,
    no stake makes the wealth grow in expectation.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
       JRSS B 86 (2024) 1-27.

    Examples
    --------
    >>> rare = Directions(("more often",), np.array([[0.0, 1.0]]), np.array([0.1]),
    ...                   np.array([0.3]), np.array([0.1]), np.array([1.0]))
    >>> place(rare).gains[0].round(2).tolist()
    [[-0.01, 0.07], [-0.02, 0.14], [-0.03, 0.26], [-0.07, 0.46], [-0.12, 0.71], [-0.18, 0.92]]
    """
    effects, weights = np.array(ladder.effects), np.array(ladder.weights)
    spreads = spreads_of_null(directions) if ladder.spread_of_null else directions.spreads
    above = directions.values - directions.null_means[:, None]  # (directions, cells)
    reach = -np.nanmin(above, axis=1, keepdims=True)  # (directions, 1): the most a row can lose
    # With x = s - m_0 of mean D sigma, E[log(1 + stake x)] is largest, to second order, at
    # E[x] / E[x^2] = D sigma / (sigma^2 + D^2 sigma^2). The floors only keep from dividing by 0.
    stakes = effects / (1 + effects**2) / np.maximum(spreads, 1e-12)[:, None]
    stakes = np.minimum(stakes, MAX_LOSS / np.maximum(reach, 1e-12))  # (directions, bets)
    gained: Floats = np.log1p(stakes[:, :, None] * above[:, None, :])  # (directions, bets, cells)
    return Bets(
        gains=np.nan_to_num(gained, nan=0.0),  # log 1: rows that do not count change nothing
        counted=~np.isnan(directions.values),
        spreads=spreads,
        log_weights=np.log(np.outer(directions.weights, weights)),
    )


def spreads_of_null(directions: Directions) -> Floats:
    r"""Return the spread that each score may have under the null.

    Parameters
    ----------
    directions : Directions
        Of one column.

    Returns
    -------
    ndarray of shape (n_directions,)
        Not below the spreads of the reference.

    Notes
    -----
    Let so many rows of the highest score join the reference that its mean is the null's: a share
    :math:`p = (m_0 - m) / (\max s - m)`. The variance is then
    :math:`(1 - p) \sigma^2 + p (1 - p) (\max s - m)^2`, which for an event is
    :math:`m_0 (1 - m_0)`. Of an event that no reference row had, the spread in the reference is
    0: staked against that, every ordinary row would cost nearly all, and a share of a fifth would
    never be found.

    Examples
    --------
    >>> never = Directions(("missing more often",), np.array([[0.0, 1.0]]), np.zeros(1),
    ...                    np.zeros(1), np.array([0.1]), np.ones(1))
    >>> spreads_of_null(never).round(2).tolist()
    [0.3]
    """
    room = np.nanmax(directions.values, axis=1) - directions.means
    slack = directions.null_means - directions.means
    joined = np.clip(np.divide(slack, room, out=np.zeros_like(room), where=room > 0), 0, 1)
    variance = (1 - joined) * (directions.spreads**2 + joined * room**2)
    spreads: Floats = np.maximum(directions.spreads, np.sqrt(variance))
    return spreads


def start(bets: Bets) -> Floats:
    """Return the logarithm of the wealth before any row was seen: nothing.

    Parameters
    ----------
    bets : Bets
        On one column.

    Returns
    -------
    ndarray of shape (n_directions, n_bets)
        Minus infinity everywhere.

    Examples
    --------
    >>> up = Directions(("up",), np.array([[0.0, 1.0]]), *[np.full(1, 0.5)] * 4)
    >>> start(place(up, FIRST_LADDER)).tolist()
    [[-inf, -inf, -inf, -inf]]
    """
    return np.full_like(bets.log_weights, -np.inf)


def advance(
    log_wealth: Floats, bets: Bets, counts: ArrayLike, *, log_mass: float, correlation: Floats
) -> Floats:
    r"""Feed the budget of the time that passed, then let a batch decide every bet.

    Parameters
    ----------
    log_wealth : ndarray of shape (n_directions, n_bets)
        Before the batch.
    bets : Bets
        From `place`.
    counts : array_like of shape (n_cells,)
        The rows of the batch.
    log_mass : float
        Logarithm of the false alarms the column may raise, in expectation, in the time since the
        last batch.
    correlation : ndarray of shape (n_directions,)
        Intraclass correlation of the scores within a batch, in [0, 1].

    Returns
    -------
    ndarray of shape (n_directions, n_bets)
        Logarithm of the wealth after the batch.

    Notes
    -----
    This is a Shiryaev-Roberts e-detector [1]_ whose starting mass is calendar time:
    :math:`M \leftarrow (M + \Delta t / T) L`. The sum of all M minus the elapsed time over T is a
    supermartingale, so within a time s it reaches 1 by chance with probability at most s / T.

    Whoever takes wealth of 1 or more away each time it is reached, and counts, bounds the number
    too: the sum of all M plus the count N minus the elapsed time over T is still a supermartingale,
    as N grows by 1 where at least 1 is lost. All M are positive, so :math:`E[N] \le s / T` after a
    time s, at any time to stop. A lower threshold without taking away bounds no number: wealth
    that has crossed it may stay above.

    The evidence of n rows that are alike within their batch is divided by the design effect
    1 + (n - 1) correlation, which keeps the promise for independent rows too.

    References
    ----------
    .. [1] Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change
       detection", New England Journal of Statistics in Data Science 2 (2024) 229-260.

    Examples
    --------
    >>> rare = Directions(("more often",), np.array([[0.0, 1.0]]), np.array([0.1]),
    ...                   np.array([0.3]), np.array([0.1]), np.array([1.0]))
    >>> bets, day = place(rare), np.log(1 / 365)
    >>> quiet = advance(start(bets), bets, [90, 10], log_mass=day, correlation=np.zeros(1))
    >>> moved = advance(quiet, bets, [60, 40], log_mass=day, correlation=np.zeros(1))
    >>> log_total(quiet) < 0 < log_total(moved)
    True
    """
    grown = growth(bets, np.asarray(counts)[None], correlation)[0]
    return feed(log_wealth, bets, grown, log_mass=log_mass)


def feed(log_wealth: Floats, bets: Bets, grown: Floats, *, log_mass: float) -> Floats:
    """Feed the budget of the time that passed, then add what a batch did to every bet.

    Parameters
    ----------
    log_wealth : ndarray of shape (n_directions, n_bets)
        Before the batch.
    bets : Bets
        From `place`.
    grown : ndarray of shape (n_directions, n_bets)
        Of the batch, from `growth`; several budgets may be fed with the same.
    log_mass : float
        As in `advance`.

    Returns
    -------
    ndarray of shape (n_directions, n_bets)
        Logarithm of the wealth after the batch.

    Examples
    --------
    >>> up = Directions(("up",), np.array([[0.0, 1.0]]), *[np.full(1, 0.5)] * 3, np.ones(1))
    >>> bets = place(up)
    >>> unmoved = growth(bets, [[0, 0]], np.zeros(1))[0]
    >>> round(log_total(feed(start(bets), bets, unmoved, log_mass=-2.0)), 9)
    -2.0
    """
    # First the mass, then the rows: fed afterwards it could not bet on this batch. In logarithms,
    # as wealth may fall below 1e-15000.
    wealth: Floats = np.logaddexp(log_wealth, log_mass + bets.log_weights) + grown
    return wealth


def growth(bets: Bets, batches: ArrayLike, correlation: Floats) -> Floats:
    """Return what each batch adds to the logarithm of each bet's wealth.

    Parameters
    ----------
    bets : Bets
        From `place`.
    batches : array_like of shape (n_batches, n_cells)
        Rows per batch and cell.
    correlation : ndarray of shape (n_directions,)
        As in `advance`.

    Returns
    -------
    ndarray of shape (n_batches, n_directions, n_bets)
        It does not depend on the batches before.

    Examples
    --------
    >>> rare = Directions(("more often",), np.array([[0.0, 1.0]]), np.array([0.1]),
    ...                   np.array([0.3]), np.array([0.1]), np.array([1.0]))
    >>> growth(place(rare), [[90, 10], [60, 40]], np.zeros(1))[:, 0, 3].round(1).tolist()
    [-1.4, 14.2]
    """
    tables = np.asarray(batches, np.float64)
    # Rows that gain exactly 0 count too, as true negatives do for F1: they were drawn in the same
    # batch, and `intraclass_correlation` counts them.
    rows = tables @ bets.counted.T  # (batches, directions)
    # n correlated rows are worth n / design independent ones. Deflated evidence stays valid: by
    # Jensen, E[L^(1 / design)] <= E[L]^(1 / design) <= 1 for design >= 1.
    design = 1 + np.maximum(rows - 1, 0) * correlation
    grown: Floats = (bets.gains @ tables.T).transpose(2, 0, 1) / design[:, :, None]
    return grown


def wealth_over_time(grown: Floats, log_weights: Floats, *, log_mass: float) -> Floats:
    """Replay a column's past: the logarithm of its total wealth after each batch.

    Parameters
    ----------
    grown : ndarray of shape (n_batches, n_directions, n_bets)
        From `growth`, oldest batch first.
    log_weights : ndarray of shape (n_directions, n_bets)
        Of the bets.
    log_mass : float
        As in `advance`, the same for every batch.

    Returns
    -------
    ndarray of shape (n_batches,)
        As if `advance` had been called for one batch after the other.

    Examples
    --------
    >>> rare = Directions(("more often",), np.array([[0.0, 1.0]]), np.array([0.1]),
    ...                   np.array([0.3]), np.array([0.1]), np.array([1.0]))
    >>> bets = place(rare)
    >>> grown = growth(bets, [[90, 10]] * 20, np.zeros(1))
    >>> wealth_over_time(grown, bets.log_weights, log_mass=np.log(1 / 365)).max().round(1).item()
    -4.7
    """
    # W_t = (W_{t-1} + m) L_t, so with G_t = L_1 ... L_t it is G_t times the sum of m / G_{s-1}
    summed = np.cumsum(grown.reshape(len(grown), -1), axis=0)  # (batches, bets)
    before = np.vstack([np.zeros((1, summed.shape[1])), summed[:-1]])
    wealth = summed + np.logaddexp.accumulate(-before, axis=0) + log_mass + log_weights.ravel()
    most = wealth.max(axis=1)
    total: Floats = most + np.log(np.exp(wealth - most[:, None]).sum(axis=1))
    return total


def log_total(log_wealth: Floats) -> float:
    """Add up wealth; 0 or more is an alarm.

    Parameters
    ----------
    log_wealth : ndarray of any shape
        Logarithms.

    Returns
    -------
    float
        Logarithm of the sum; minus infinity if there is nothing.

    Examples
    --------
    >>> round(log_total(np.log([0.25, 0.5, 0.25])), 9)
    0.0
    """
    return float(np.logaddexp.reduce(log_wealth, axis=None))  # 30 times as fast as logsumexp


def intraclass_correlation(
    batches: ArrayLike, values: Floats, *, long_run: Floats | None = None
) -> Floats:
    r"""Bound from above how alike the rows of one batch are, from the reference's own batches.

    Parameters
    ----------
    batches : array_like of shape (n_batches, n_cells)
        Rows per reference batch and cell.
    values : ndarray of shape (n_directions, n_cells)
        Scores of the cells; NaN where they do not count.
    long_run : ndarray of shape (n_directions,), optional
        A bound on the variance of a row in the long run, if known (`seasons.long_run_variance`);
        it takes the place of the variance between the batches.

    Returns
    -------
    ndarray of shape (n_directions,)
        In [0, 1]. Fewer than 8 batches cannot bound it: then it is the plain estimate, and at
        least 0.002, so that a batch never counts for more than 500 rows.

    Notes
    -----
    One-way analysis of variance: the mean square between batches over the variance within is about
    :math:`1 + n_0 \rho / (1 - \rho)`, n_0 being the effective batch size. The mean square is
    replaced by its upper 90 % bound from the chi-squared distribution [1]_.

    References
    ----------
    .. [1] Kish, "Survey Sampling", Wiley 1965, section 5.4; Searle, "Linear Models", chapter 9.

    Examples
    --------
    >>> score = np.array([[0.0, 1.0]])
    >>> float(intraclass_correlation([[50, 50]] * 3, score)[0])
    0.002
    >>> alike = [[90, 10], [10, 90]] * 10
    >>> bool(intraclass_correlation(alike, score)[0] > 0.5)
    True
    """
    counts = np.asarray(batches, np.float64)
    known = ~np.isnan(values)
    score = np.nan_to_num(values)
    sizes = counts @ known.T
    rho = np.full(len(values), UNKNOWN_CORRELATION)
    for j in range(len(values)):
        used = sizes[:, j] > 0
        n_batches = int(used.sum())
        if n_batches < 2:
            continue
        n = sizes[used, j]
        means = counts[used] @ score[j] / n
        mean = np.average(means, weights=n)
        within = counts[used] @ score[j] ** 2 - n * means**2
        variance = within.sum() / max(n.sum() - n_batches, 1)
        # n_0: the size of equal batches; of unequal ones less than their mean
        effective = (n.sum() - (n**2).sum() / n.sum()) / (n_batches - 1)
        few = n_batches < MIN_BATCHES
        # A sum of squares over the lower decile of chi-squared is the upper 90 % bound of its mean.
        # The plain estimate is too small for about every second reference.
        freedom = n_batches - 1 if few else scipy.special.chdtri(n_batches - 1, 0.9)
        between = np.sum(n * (means - mean) ** 2) / freedom
        if long_run is not None:
            between = long_run[j]
        if effective <= 1 or variance <= 0:  # single or equal rows: no variance to compare with
            rho[j] = 1.0 if between > 0 else 0.0
            continue
        least = UNKNOWN_CORRELATION if few else 0.0
        excess = max(between / variance - 1, 0.0)
        # excess = n_0 rho / (1 - rho), solved for rho
        rho[j] = max(excess / (excess + effective), least)
    return rho


def rows_needed(
    effect: float, *, tolerated: float, log_mass: float, ladder: Ladder = LADDER
) -> int:
    r"""Return how many rows it takes to detect a shift of a given size.

    Parameters
    ----------
    effect : float
        The shift, in standard deviations of the score; positive.
    tolerated : float
        The part of the shift that the null allows, tolerance and doubt about the reference, in
        standard deviations; may be infinite.
    log_mass : float
        Logarithm of the budget that the direction is fed with a batch.
    ladder : Ladder
        The bets on it.

    Returns
    -------
    int
        About the median number of independent rows; -1 if a shift of that size is within what is
        tolerated.

    Notes
    -----
    A bet near the best one gains :math:`(d - t)^2 / 2` nats per row, d being the effect and t
    what is tolerated, so that the wealth grows from its mass to 1 in
    :math:`2 \ln(1 / \mathrm{mass}) / (d - t)^2` rows. The mass is that of the nearest bet.

    Examples
    --------
    >>> rows_needed(0.25, tolerated=0.05, log_mass=-14.8)
    801
    >>> rows_needed(0.25, tolerated=0.34, log_mass=-14.8)
    -1
    """
    if not effect > 0:
        raise ValueError(f"need a positive effect, got {effect}")
    left = effect - tolerated
    if left <= 0:
        return -1
    nearest = int(np.argmin(np.abs(np.log(np.array(ladder.effects) / left))))
    log_odds = -log_mass - np.log(ladder.weights[nearest])
    return int(np.ceil(2 * log_odds / left**2 - 1e-9))  # less, so that rounding makes no 801 of 800


def paired_evidence(differences: ArrayLike, counts: ArrayLike, *, margin: float = 0.0) -> float:
    r"""Return the e-value against "the challenger is worse than the champion by the margin".

    Parameters
    ----------
    differences : array_like of shape (n_kinds,)
        Loss of the champion minus loss of the challenger on a row, in [-1, 1].
    counts : array_like of shape (n_kinds,)
        Rows with that difference, not negative.
    margin : float, default 0
        Under the null the mean difference is at most minus the margin; in [0, 0.25].

    Returns
    -------
    float
        Positive; under the null at most 1 / alpha with probability 1 - alpha, at all times at
        once, however often it is looked at.

    Raises
    ------
    ValueError
        If the shapes differ, or a difference, a count or the margin is out of range.

    Notes
    -----
    :math:`E = \sum_k w_k \prod_i (1 + \lambda_k (D_i + \delta))`, a mixture of bets [1]_. For
    wins and losses only their numbers matter.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
       JRSS B 86 (2024) 1-27.

    Examples
    --------
    Five wins in five rows prove nothing; eight do.

    >>> paired_evidence([1, 0, -1], [5, 0, 0]) < 20 < paired_evidence([1, 0, -1], [8, 0, 0])
    True
    """
    d, n = np.asarray(differences, np.float64), np.asarray(counts, np.float64)
    if d.shape != n.shape or d.ndim != 1:
        raise ValueError(f"need two vectors of equal length, got shapes {d.shape} and {n.shape}")
    if not ((np.abs(d) <= 1).all() and (n >= 0).all() and 0 <= margin <= 0.25):
        raise ValueError("differences lie in [-1, 1], counts are not negative, margin in [0, 0.25]")
    # (stakes, kinds) @ (kinds,). A mean of e-values is one whatever depends on what, at the price
    # of 1.4 or 3.9 nats; choosing the stake that did best would be none.
    log_e = np.log1p(STAKES[:, None] * (d + margin)) @ n + np.log(STAKE_WEIGHTS)
    log_value = np.minimum(scipy.special.logsumexp(log_e), 700.0)  # exp overflows beyond 709
    return float(np.exp(log_value))


def as_lists(log_wealth: Floats) -> list[list[float | None]]:
    """Write wealth so that JSON can hold it; None stands for nothing.

    Parameters
    ----------
    log_wealth : ndarray of shape (n_directions, n_bets)
        Logarithms.

    Returns
    -------
    list of lists of float or None
        Exact: `from_lists` gives the same bits back.

    Examples
    --------
    >>> as_lists(np.array([[-np.inf, -2.5]]))
    [[None, -2.5]]
    """
    return [[v if np.isfinite(v) else None for v in row] for row in log_wealth.tolist()]


def from_lists(rows: list[list[Any]]) -> Floats:
    """Return the wealth written by `as_lists`.

    Parameters
    ----------
    rows : list of lists of float or None
        Of equal length.

    Returns
    -------
    ndarray of shape (n_directions, n_bets)
        Logarithms.

    Examples
    --------
    >>> from_lists([[None, -2.5]]).tolist()
    [[-inf, -2.5]]
    """
    return np.array([[-np.inf if v is None else v for v in row] for row in rows], np.float64)
