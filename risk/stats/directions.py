"""Directions in which a column can move: the scores of its cells, and the tolerance of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.stats.evidence import Directions

Floats = NDArray[np.float64]
# Chance that a reference misjudges a mean by more than it is granted for that. It is paid once for
# each reference, not with each check: where it did not happen, the false-alarm budget holds.
REFERENCE_ALPHA = 0.01
LOCATION_WEIGHT = 0.5  # most drift is a shift, so two of the fourteen directions get half (ADR 6)
TOGETHER, AGAINST = "rise together", "move against each other"
OF_A_NUMBER = 14  # the directions of `numeric`: 8 of its ranks, 4 of its ends, 2 of missing values
OUTERMOST_RANK = 0.01  # the larger the largest score, the smaller the bets that can be afforded


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a score's mean may move before it counts.

    Attributes
    ----------
    effect : float
        In reference standard deviations of the score.
    alpha : float
        Chance, per direction, that the reference misjudges its own mean by more than it is
        granted; in (0, 0.5).
    """

    effect: float
    alpha: float

    @classmethod
    def shared(cls, effect: float, n_directions: int) -> Tolerance:
        """Share one per cent of doubt about the reference among all directions.

        Parameters
        ----------
        effect : float
            In reference standard deviations.
        n_directions : int
            Of all columns together.

        Returns
        -------
        Tolerance
            With `alpha` 0.01 / `n_directions`.

        Examples
        --------
        >>> Tolerance.shared(0.05, 100).alpha
        0.0001
        """
        return cls(effect, REFERENCE_ALPHA / n_directions)


def numeric(counts: Floats, tolerance: Tolerance) -> Directions:
    r"""Score the cells of a numeric column by their ranks.

    Parameters
    ----------
    counts : ndarray of shape (n_cells,)
        Reference rows: cells in the order of their values, the outermost two beyond the
        reference's range, then one cell of missing values.
    tolerance : Tolerance
        For each direction.

    Returns
    -------
    Directions
        "higher" and "lower" (normal scores of the mid-ranks), "more spread", "less spread",
        "right-skewed", "left-skewed", "heavier tails", "lighter tails" (Legendre polynomials of
        order 2 to 4 of the mid-ranks), "in the lowest half per cent" and "in the highest", "below
        every reference value" and "above", "missing more often" and "less often".

    Raises
    ------
    ValueError
        If there are fewer than 4 cells.

    Notes
    -----
    Ranks make the scores bounded and robust: one value of a million counts as one highest value.
    Missing values count for the last two directions only.

    Examples
    --------
    >>> directions = numeric(np.array([0, 5.0, 90, 5, 0, 0]), Tolerance(0.05, 1e-4))
    >>> directions.names[:2], directions.values[0, :5].round(2).tolist()
    (('higher', 'lower'), [-2.33, -1.89, 0.0, 1.89, 2.33])
    """
    if len(counts) < 4:
        raise ValueError(f"a numeric column has at least 4 cells, got {len(counts)}")
    # Normal scores find +.25 sd after 15 batches of 50 rows, the first Legendre polynomial after 16
    # (ADR 6). Unclipped, the outermost score would grow with the reference.
    ranks = np.clip(_mid_ranks(counts[:-1]), OUTERMOST_RANK, 1 - OUTERMOST_RANK)
    x = 2 * ranks - 1
    # Orders 2 to 4, orthogonal on the ranks, so that spread, skew and tails are distinguished. They
    # need not have spread 1, as stakes and tolerance are in units of it.
    shapes = [(3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2, (35 * x**4 - 30 * x**2 + 3) / 8]
    # A bet is on a higher mean only, so each score comes with both signs.
    smooth = [_pad(signed) for s in (scipy.special.ndtri(ranks), *shapes) for signed in (s, -s)]
    places = np.eye(len(counts))  # places[i]: the event of being in cell i
    low, high = places[0] + places[1], places[-2] + places[-3]
    events = [_pad(e[:-1]) for e in (low, high, places[0], places[-2])]
    names = (
        *("higher", "lower", "more spread", "less spread", "right-skewed", "left-skewed"),
        *("heavier tails", "lighter tails"),
        *("in the lowest half per cent", "in the highest half per cent"),
        *("below every reference value", "above every reference value"),
        *("missing more often", "missing less often"),
    )
    values = np.array([*smooth, *events, places[-1], -places[-1]])
    return _favour(_assemble(names, values, counts, tolerance), ("higher", "lower"))


def categorical(
    counts: Floats,
    levels: tuple[str, ...],
    seen: tuple[int, int],
    tolerance: Tolerance,
    *,
    rows: int | None = None,
) -> Directions:
    r"""Score the cells of a categorical column: each level may come more or less often.

    Parameters
    ----------
    counts : ndarray of shape (n_levels + 3,)
        Reference rows: a cell for each level, then rare, unseen and missing ones.
    levels : tuple of str
        Names of the levels.
    seen : tuple of two int
        How many levels the reference has once, and how many twice.
    tolerance : Tolerance
        For each direction.
    rows : int, optional
        In which the levels were seen, if these are more than are counted: of many levels, the
        rows that chose the commonest ones would overstate them, and are not counted.

    Returns
    -------
    Directions
        "LEVEL more often" and "LEVEL less often", likewise for "other levels" and "missing", and
        "unseen levels".

    Notes
    -----
    New levels turn up without any drift. Their share is bounded by the Good-Turing estimate
    :math:`(N_1 + z \sqrt{N_1 + 2 N_2 + 1} + z^2) / m` [1]_, which is also granted to the rare
    levels, both ways: the reference overstates their share by as much. Without it a column of
    names would alarm for ever.

    References
    ----------
    .. [1] Good, "The population frequencies of species and the estimation of population
       parameters", Biometrika 40 (1953) 237-264; McAllester and Schapire, COLT 2000.

    Examples
    --------
    >>> directions = categorical(np.array([60.0, 40, 0, 0, 0]), ("a", "b"), (0, 0),
    ...                          Tolerance(0.05, 1e-4))
    >>> directions.names[:3], directions.names[-1]
    (('a more often', 'a less often', 'b more often'), 'unseen levels')
    """
    places = np.eye(len(counts))
    subjects = [*levels, "other levels", "missing"]
    used = [*places[: len(levels) + 1], places[-1]]
    names = [f"{s} {how} often" for s in subjects for how in ("more", "less")]
    # (2 n_levels + 5, n_cells); unseen levels cannot come less often than never
    values = np.array([signed for place in used for signed in (place, -place)] + [places[-2]])
    z, (once, twice) = float(-scipy.special.ndtri(tolerance.alpha)), seen
    unseen = (once + z * np.sqrt(once + 2 * twice + 1) + z**2) / max(rows or counts.sum(), 1)
    granted = np.zeros(len(values))  # only to levels without a cell of their own
    granted[-1] = unseen
    granted[2 * len(levels) : 2 * len(levels) + 2] = unseen if counts[len(levels)] else 0.0
    return _assemble((*names, "unseen levels"), values, counts, tolerance, granted=granted)


def share(counts: Floats, name: str, tolerance: Tolerance) -> Directions:
    """Score the cells of an event that happens or does not.

    Parameters
    ----------
    counts : ndarray of shape (2,)
        Reference rows without and with the event.
    name : str
        Of the event.
    tolerance : Tolerance
        For both directions.

    Returns
    -------
    Directions
        "NAME more often" and "NAME less often".

    Examples
    --------
    >>> share(np.array([80.0, 20]), "churn", Tolerance(0.05, 1e-3)).names
    ('churn more often', 'churn less often')
    """
    names = (f"{name} more often", f"{name} less often")
    values = np.array([[0.0, 1.0], [0.0, -1.0]])
    return _assemble(names, values, counts, tolerance)


def pair(counts: Floats, groups: int, tolerance: Tolerance) -> Directions:
    """Score the joint cells of two numeric columns by the product of their ranks.

    Parameters
    ----------
    counts : ndarray of shape (groups**2 + 1,)
        Reference rows by group of the first and, faster, of the second column, then those where
        either is missing.
    groups : int
        About equally large groups of each column's ranks; at least 2.
    tolerance : Tolerance
        For both directions.

    Returns
    -------
    Directions
        "rise together" and "move against each other".

    Examples
    --------
    >>> pair(np.array([25.0, 25, 25, 25, 0]), 2, Tolerance(0.05, 1e-3)).values[0, :4].tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    table = counts[:-1].reshape(groups, groups)  # (first, second)
    # Standardised over the margins, so that the mean product is the correlation of the ranks,
    # however unequal the groups are.
    first, second = (_standard(_mid_ranks(table.sum(axis=axis)), table, axis) for axis in (1, 0))
    product = _pad(np.outer(first, second).ravel())  # (groups**2 + 1,), the last for missing ones
    values = np.array([product, -product])
    names = (TOGETHER, AGAINST)
    return _assemble(names, values, counts, tolerance)


def fall(
    counts: Floats, gained: Floats, possible: Floats, names: tuple[str, ...], slack: Floats
) -> Directions:
    r"""Bet that a score has fallen, a score being what was gained of what was possible.

    Parameters
    ----------
    counts : ndarray of shape (n_cells,)
        Reference rows per cell; at least one.
    gained, possible : ndarray of shape (n_scores, n_cells)
        What a row in each cell adds to both sides of the ratio. Of F1 that is 2 TP and
        2 TP + FP + FN, of accuracy a right prediction and 1, of a loss minus the loss and 1.
    names : tuple of str, length n_scores
        Of the scores.
    slack : ndarray of shape (n_scores,)
        The fall that is tolerated, in units of the score; not negative.

    Returns
    -------
    Directions
        A score per ratio, with equal weights; its null mean is 0.

    Raises
    ------
    ValueError
        If nothing was possible in the reference, so that a score is undefined.

    Notes
    -----
    A ratio of means is at least f if and only if :math:`E[f \cdot possible - gained] \le 0`, so
    the null "the score is at least f" is about the mean of one bounded score [1]_. Here f is the
    reference's score less its own uncertainty, at confidence 99 % by the delta method, less the
    slack: their sum, not the larger of both [2]_.

    References
    ----------
    .. [1] Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
       JRSS B 86 (2024) 1-27.
    .. [2] Podkopaev and Ramdas, "Tracking the risk of a deployed model and detecting harmful
       distribution shifts", ICLR 2022.

    Examples
    --------
    >>> accuracy = fall(np.array([200.0, 800]), np.array([[0.0, 1.0]]), np.ones((1, 2)),
    ...                 ("accuracy",), np.array([0.01]))
    >>> accuracy.values.round(3).tolist()
    [[0.761, -0.239]]
    """
    rows = counts.sum()
    whole = possible @ counts / rows  # (n_scores,): means, not sums, in all of this
    if not (whole > 0).all():
        raise ValueError("a score is undefined on the reference: nothing was possible")
    score = gained @ counts / rows / whole
    # Delta method: a ratio errs like the mean of gained - score * possible, over that of possible.
    _, spreads = _moments(gained - score[:, None] * possible, counts)
    # A reference without a single error has spread 0, and does not know that there are none: as in
    # `_assemble`, rows that it misses may all be of the worst kind.
    normal = -scipy.special.ndtri(REFERENCE_ALPHA) * spreads / np.sqrt(rows)
    worst = (score[:, None] * possible - gained).max(axis=1)
    doubt = np.maximum(normal, -np.log(REFERENCE_ALPHA) / rows * worst) / whole
    # Positive where a row falls short of what is tolerated. Doubt and slack are in it already, so
    # the null mean is 0.
    values = (score - doubt - slack)[:, None] * possible - gained
    weights = np.full(len(names), 1 / len(names))
    means, spreads = _moments(values, counts)
    return Directions(names, values, means, spreads, np.zeros(len(names)), weights)


def _assemble(
    names: tuple[str, ...],
    values: Floats,
    counts: Floats,
    tolerance: Tolerance,
    *,
    granted: Floats | float = 0.0,
) -> Directions:
    """Estimate means and spreads, grant the tolerance, give half of all to the first two.

    `granted` is the least slack of each direction.
    """
    means, spreads = _moments(values, counts)
    rows = np.where(np.isnan(values), 0.0, 1.0) @ counts
    normal = -scipy.special.ndtri(tolerance.alpha) * spreads / np.sqrt(np.maximum(rows, 1))
    # The normal bound knows only what was seen, and a constant column has spread 0. The reference
    # misses rows of a share p with chance (1 - p)^rows, which is below alpha from
    # p = -ln(alpha) / rows on; at worst they all have the highest score.
    never_seen = -np.log(tolerance.alpha) / np.maximum(rows, 1)
    doubt = normal + never_seen * (np.nanmax(values, axis=1) - means)
    # The normal bound is too narrow for rare events, and for events the exact one is known (ADR 6).
    for j in np.flatnonzero([_is_event(score) for score in values]):
        doubt[j] = _doubt_about_share(values[j], means[j], rows[j], tolerance.alpha)
    # The largest of them, not the sum as in `fall`: rows that did not move stay within the doubt
    # alone, and a sum would make detectors of small references blind.
    slack = np.maximum(np.maximum(tolerance.effect * spreads, doubt), granted)
    equal = np.full(len(names), 1 / len(names))
    return _possible(Directions(names, values, means, spreads, means + slack, equal))


def _favour(made: Directions, names: tuple[str, ...]) -> Directions:
    """Assign half of the weight to some directions."""
    leading = np.isin(made.names, names)
    if leading.all() or not leading.any():  # nothing to share
        return made
    weights = np.where(
        leading, LOCATION_WEIGHT / leading.sum(), (1 - LOCATION_WEIGHT) / (~leading).sum()
    )
    return replace(made, weights=weights)


def _possible(made: Directions) -> Directions:
    """Leave out directions in which no row can move: no bet on them is ever won."""
    can = np.nanmax(made.values, axis=1) > made.null_means
    can |= not can.any()  # but not all of them: a subject without directions has no weights
    weights = made.weights[can]
    return Directions(
        names=tuple(compress(made.names, can)),
        values=made.values[can],
        means=made.means[can],
        spreads=made.spreads[can],
        null_means=made.null_means[can],
        weights=weights / weights.sum(),
    )


def _moments(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    known = ~np.isnan(values)
    score = np.nan_to_num(values)
    rows = np.maximum(known @ counts, 1)
    means = score @ counts / rows
    # rounding may leave a variance of -1e-17, which has no root
    spreads = np.sqrt(np.maximum(score**2 @ counts / rows - means**2, 0))
    return means, spreads


def _is_event(score: Floats) -> bool:
    known = score[~np.isnan(score)]
    return bool(np.isin(known, (0, 1)).all() or np.isin(known, (0, -1)).all())


def _doubt_about_share(score: Floats, mean: float, rows: float, alpha: float) -> float:
    """Exact (Clopper-Pearson) distance from an event's share to its bound on the bet's side."""
    happened = abs(mean) * rows
    if np.nanmin(score) < 0:
        low = 0.0
        if happened > 0:
            low = scipy.special.betaincinv(max(happened, 1e-12), rows - happened + 1, alpha)
        return float(abs(mean) - low)
    if happened >= rows:
        return 1 - mean
    return float(scipy.special.betaincinv(happened + 1, rows - happened, 1 - alpha)) - mean


def _mid_ranks(counts: Floats) -> Floats:
    """Return the middle of each cell's ranks, in (0, 1)."""
    # half a row more at both ends: empty cells lie within (0, 1) too, and no rows at 1/2
    ranks: Floats = (np.cumsum(counts) - counts / 2 + 0.5) / (counts.sum() + 1)
    return ranks


def _standard(ranks: Floats, table: Floats, axis: int) -> Floats:
    share = table.sum(axis=axis) / max(table.sum(), 1)
    mean = share @ ranks
    spread = np.sqrt(max(share @ (ranks - mean) ** 2, 1e-12))
    standard: Floats = (ranks - mean) / spread
    return standard


def _pad(score: Floats) -> Floats:
    return np.append(score, np.nan)
