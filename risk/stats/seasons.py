"""Seasons: how the mean of a score follows the calendar, and how long its batches have a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.stats.evidence import Directions

Floats = NDArray[np.float64]
Moments = NDArray[np.datetime64]
DAY, WEEK, WEEKEND, WEEKDAY = "day", "week", "weekend", "weekday"
# the columns of `calendar` that belong to each term
COLUMNS = {DAY: range(1, 7), WEEK: range(7, 9), WEEKEND: range(9, 10), WEEKDAY: range(10, 16)}
CYCLES = {DAY: 1, WEEK: 7, WEEKEND: 7, WEEKDAY: 7}  # days
MIN_CYCLES = 2  # what was seen once may be anything
# A weekend is a step, which sines fit badly; a week that swings slowly is no step.
OVER_THE_WEEK = ((), (WEEK,), (WEEKEND,), (WEEK, WEEKEND), (WEEKDAY,), (WEEK, WEEKDAY))
# What a term has to explain for each of its columns, in long-run variances: chi-squared with one
# degree of freedom is larger once in 200 times.
MIN_GAIN = 8.0
MIN_FREEDOM = 7  # as of eight batches, `evidence.MIN_BATCHES`; the bound is 2.5 times the estimate
OVERLAPPING = 1.5  # degrees of freedom of overlapping blocks, for each of separate ones
SHOWN, BOUND = 0.01, 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """The batches of a reference, in the order of time.

    Attributes
    ----------
    means : ndarray of shape (n_batches, n_directions)
        Mean scores, in standard deviations of the score.
    rows : ndarray of shape (n_batches,)
        Rows of each, at least one.
    when : ndarray of shape (n_batches, 16)
        Mean of `calendar` over the rows of each.
    days : float
        From the first to the last, both included.
    """

    means: Floats
    rows: Floats
    when: Floats
    days: float

    def select(self, chosen: NDArray[np.bool_]) -> Batches:
        """Select batches.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_batches,)
            Which.

        Returns
        -------
        Batches
            Those.

        Examples
        --------
        >>> two = Batches(np.ones((2, 1)), np.array([10.0, 20]), np.ones((2, 16)), 2.0)
        >>> two.select(np.array([False, True])).rows.tolist()
        [20.0]
        """
        return replace(
            self, means=self.means[chosen], rows=self.rows[chosen], when=self.when[chosen]
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """The means of a subject's directions as curves over the calendar.

    Attributes
    ----------
    terms : tuple of str
        Those that the reference shows; there may be none.
    centre : tuple of float, length 16
        Mean of `calendar` over the reference, where each curve is at the mean of the reference.
    covariance : tuple of tuple of float, p by p
        Of the slopes, if the long-run variance of a row were 1.
    slopes : mapping of str to tuple of float, length p
        By direction, in standard deviations of its score.
    designs : mapping of str to float
        By direction, the long-run variance of a row, in its variance.
    rows : float
        Of the reference.
    memories : mapping of str to float
        By direction, how many consecutive batches say as much as one independent one; empty if the
        reference was made before this was recorded.
    """

    terms: tuple[str, ...]
    centre: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    slopes: Mapping[str, tuple[float, ...]]
    designs: Mapping[str, float]
    rows: float
    memories: Mapping[str, float] = field(default_factory=dict)

    def at(self, names: Sequence[str], when: Floats) -> tuple[Floats, Floats]:
        """Return where the curves are, and their standard errors.

        Parameters
        ----------
        names : sequence of str
            Directions; those without a curve are where the reference is.
        when : ndarray of shape (16,)
            Mean of `calendar` over the rows.

        Returns
        -------
        moved, doubt : ndarray of shape (n_directions,)
            Both in standard deviations of the score, the first from the mean of the reference.

        Examples
        --------
        >>> sunday, zero = calendar(np.array(["2026-03-01T12"], "M8[s]"))[0], (0.0,) * 16
        >>> curve = Curve(("weekend",), zero, ((0.04,),), {"higher": (0.3,)}, {"higher": 1.0}, 100)
        >>> [found.round(3).tolist() for found in curve.at(["higher"], sunday)]
        [[0.3], [0.224]]
        """
        apart = (when - np.array(self.centre))[columns(self.terms)]  # (p,)
        unknown = (0.0,) * len(apart)
        slopes = np.array([self.slopes.get(name, unknown) for name in names])
        designs = np.array([self.designs.get(name, 1.0) for name in names])
        away = float(apart @ np.array(self.covariance).reshape(2 * apart.shape) @ apart)
        return slopes @ apart, np.sqrt(designs * (1 / self.rows + away))

    def shape(self, name: str) -> tuple[Floats, Floats]:
        """Return a curve by weekday and by hour of the day, whose sum it is.

        Parameters
        ----------
        name : str
            Of a direction of the subject.

        Returns
        -------
        week : ndarray of shape (7,)
            From Monday on, in standard deviations from the mean of the week.
        day : ndarray of shape (24,)
            From midnight UTC on, from the mean of the day.

        Examples
        --------
        >>> curve = Curve(("weekend",), (0.0,) * 16, ((0.0,),), {"higher": (0.7,)}, {}, 100)
        >>> [part.round(1).tolist()[-3:] for part in curve.shape("higher")]
        [[-0.2, 0.5, 0.5], [0.0, 0.0, 0.0]]
        """
        hours = calendar(np.arange("2024-01-01", "2024-01-08", dtype="datetime64[h]"))  # a Monday
        used = columns(self.terms)
        slopes = np.zeros(hours.shape[1])
        slopes[used] = self.slopes.get(name, (0.0,) * len(used))
        of_day = list(COLUMNS[DAY])
        day = (hours[:24, of_day] @ slopes[of_day]).reshape(24)
        slopes[of_day] = 0
        week: Floats = (hours @ slopes).reshape(7, 24).mean(axis=1)
        return week - week.mean(), day - day.mean()

    def follow(
        self, directions: Directions, when: Floats | None = None, *, z: float, summed: bool
    ) -> Directions:
        r"""Let the null of some directions follow the calendar.

        Parameters
        ----------
        directions : Directions
            Of the whole reference.
        when : ndarray of shape (16,), optional
            Mean of `calendar` over the rows that are compared; by default that of the reference.
        z : float
            Quantile of the normal distribution, for the doubt.
        summed : bool
            Whether tolerance and doubt are added, as `directions.fall` does, or the larger one
            counts.

        Returns
        -------
        Directions
            Means and null means at that time.

        Notes
        -----
        The null of a direction with standard deviation s is
        :math:`m + s (B(t) - \bar B) \beta + \max(m_0 - m, z\, se(t))`, m and m_0 being mean and
        null mean over the whole reference, and
        :math:`se(t)^2 = s^2 L (1 / N + (B(t) - \bar B)' C (B(t) - \bar B))` with the long-run
        variance L of a row.

        Examples
        --------
        >>> up = Directions(("up",), np.array([[0.0, 1]]), *[np.full(1, 0.5)] * 4)
        >>> curve = Curve((), (0.0,) * 16, (), {}, {"up": 4.0}, 100)
        >>> curve.follow(up, z=2.0, summed=False).null_means.tolist()
        [0.7]
        """
        moved, doubt = self.at(directions.names, np.array(self.centre) if when is None else when)
        granted = directions.null_means - directions.means
        doubted = z * doubt * directions.spreads
        plain = z * directions.spreads / np.sqrt(self.rows)  # is in what was granted already
        slack = granted + np.maximum(doubted - plain, 0) if summed else np.maximum(granted, doubted)
        # a curve may overshoot: no share is below 0, and no null may be below every score
        low, high = (end(directions.values, axis=1) for end in (np.nanmin, np.nanmax))
        means = np.clip(directions.means + moved * directions.spreads, low, high)
        return replace(directions, means=means, null_means=means + slack)


def calendar(moments: Moments) -> Floats:
    """Describe moments by where they are in the day and in the week.

    Parameters
    ----------
    moments : ndarray of datetime64, shape (n,)
        In UTC.

    Returns
    -------
    ndarray of shape (n, 16)
        1; sines, then cosines of the time of day at one, two and three cycles a day; sine and
        cosine of the time of the week; 1 on Saturdays and Sundays; 1 on each weekday but Sunday.

    Examples
    --------
    >>> calendar(np.array(["2026-03-02T06:00"], "M8[s]"))[0].round(2).tolist()
    [1.0, 1.0, 0.0, -1.0, 0.0, -1.0, -0.0, 0.22, 0.97, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    dates = moments.astype("datetime64[D]")
    of_day = (moments - dates) / np.timedelta64(1, "D")
    weekday = (dates.astype("int64") + 3) % 7  # 1970-01-01, day 0, was a Thursday; Monday is 0
    day = 2 * np.pi * np.outer(of_day, [1, 2, 3])
    week = 2 * np.pi * (weekday + of_day) / 7
    steps = weekday[:, None] == np.arange(6)
    waves = [np.sin(day), np.cos(day), np.sin(week), np.cos(week)]
    return np.column_stack([np.ones(len(dates)), *waves, weekday >= 5, steps]).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A weighted regression of batch means on the calendar.

    Attributes
    ----------
    terms : tuple of str
        In it.
    centre : ndarray of shape (16,)
        Mean of `calendar`.
    levels : ndarray of shape (n_directions,)
        Mean scores at the centre.
    slopes : ndarray of shape (n_directions, p)
        Of the columns of the terms.
    covariance : ndarray of shape (p, p)
        Of the slopes, if the variance of a row were 1.
    residuals : ndarray of shape (n_batches, n_directions)
        Times the root of the rows, so that their variance is that of a row.
    projection : ndarray of shape (n_batches, 1 + p)
        Orthonormal columns that span what the regression can explain of these.
    """

    terms: tuple[str, ...]
    centre: Floats
    levels: Floats
    slopes: Floats
    covariance: Floats
    residuals: Floats
    projection: Floats


def fit(batches: Batches, terms: tuple[str, ...] = ()) -> Fit:
    """Fit the means of batches to some terms of the calendar.

    Parameters
    ----------
    batches : Batches
        At least one.
    terms : tuple of str
        Keys of `COLUMNS`.

    Returns
    -------
    Fit
        By least squares, weighted by rows.

    Notes
    -----
    Each slope counts as if one further row had shown it to be 0. That changes nothing that the
    reference knows; of what it does not know (a weekend without rows, columns that always go
    together) the slope becomes 0, with a standard error of a standard deviation of the score.

    Examples
    --------
    >>> days = calendar(np.arange("2026-03-02", "2026-03-30", dtype="M8[D]"))
    >>> means = 0.5 * days[:, 9:10]  # on Saturdays and Sundays
    >>> found = fit(Batches(means, np.full(28, 300.0), days, 28.0), ("weekend",))
    >>> found.slopes.round(2).tolist(), found.levels.round(3).tolist()
    ([[0.5]], [0.143])
    """
    used, root = columns(terms), np.sqrt(batches.rows)[:, None]
    centre = np.average(batches.when, axis=0, weights=batches.rows)
    levels = np.average(batches.means, axis=0, weights=batches.rows)
    x = root * (batches.when - centre)[:, used]
    y = root * (batches.means - levels)
    with_prior = np.vstack([x, np.eye(len(used))])
    q, r = np.linalg.qr(with_prior)
    q = q[: len(x)]  # the rows of the prior are 0 on the other side of the equation
    inverse = np.linalg.inv(r)
    return Fit(
        terms=terms,
        centre=centre,
        levels=levels,
        slopes=(inverse @ (q.T @ y)).T,
        covariance=inverse @ inverse.T,
        residuals=y - q @ (q.T @ y),
        projection=np.hstack([root / np.sqrt(batches.rows.sum()), q]),
    )


class LongRun(NamedTuple):
    """How batches vary in the long run.

    Attributes
    ----------
    variance : ndarray of shape (n_directions,)
        A bound on the variance of a row, in the units of the means, squared.
    memory : ndarray of shape (n_directions,)
        How many consecutive batches say as much as one independent one: that bound, divided by the
        one of single batches.
    """

    variance: Floats
    memory: Floats


def long_run_variance(fitted: Fit, rows: Floats) -> LongRun:
    r"""Bound from above the variance that a row has in the long run, also if batches have a memory.

    Parameters
    ----------
    fitted : Fit
        Of the batches.
    rows : ndarray of shape (n_batches,)
        Of each batch.

    Returns
    -------
    LongRun
        The bound, and by how many times it is due to a memory.

    Notes
    -----
    The variance of a block of k consecutive batches, times its rows, grows with k until blocks are
    longer than the memory: the method of overlapping batch means [1]_, [2]_. Of the lengths 1, 2,
    4, ... the one counts whose lower 99 % bound is largest, so that without a memory it is mostly
    1; the result is its upper 90 % bound. Both are from the chi-squared distribution, with 1.5
    degrees of freedom for each separate block, less what the regression has explained. Of length 1
    it is the bound in `evidence.intraclass_correlation`.

    References
    ----------
    .. [1] Meketon and Schmeiser, "Overlapping batch means: something for nothing?", Proceedings of
       the Winter Simulation Conference 1984, 227-230.
    .. [2] Flegal and Jones, "Batch means and spectral variance estimators in Markov chain Monte
       Carlo", Annals of Statistics 38 (2010) 1034-1070.

    Examples
    --------
    >>> rng, rows = np.random.default_rng(1), np.full(1000, 100.0)
    >>> noise = rng.normal(0, 0.1, (1000, 1))  # 1 / sqrt(100): as of independent rows
    >>> slow = np.repeat(rng.normal(0, 0.1, (100, 1)), 10, axis=0)  # alike ten at a time
    >>> both = Batches(np.hstack([noise, noise + slow]), rows, np.ones((1000, 16)), 7.0)
    >>> [found.round(1).tolist() for found in long_run_variance(fit(both), rows)]
    [[1.0, 10.5], [1.0, 4.8]]
    """
    n_batches, root = len(rows), np.sqrt(rows)[:, None]
    reached, sums, explained = (
        np.vstack([np.zeros((1, each.shape[1])), np.cumsum(each, axis=0)])
        for each in (rows[:, None], root * fitted.residuals, root * fitted.projection)
    )
    shown = np.full(fitted.residuals.shape[1], -np.inf)
    bound = single = np.zeros_like(shown)
    length = 1
    while length <= n_batches:
        # of every block of that length: its rows, its sum, and its part in what was explained
        n = reached[length:] - reached[:-length]
        squares = (sums[length:] - sums[:-length]) ** 2 / n
        left = 1 - float(((explained[length:] - explained[:-length]) ** 2 / n).sum(axis=1).mean())
        freedom = n_batches / length * left * (OVERLAPPING if length > 1 else 1)
        if freedom < MIN_FREEDOM and length > 1:
            break
        total = squares.mean(axis=0) / max(left, 1e-12) * freedom
        lower, upper = (total / scipy.special.chdtri(max(freedom, 1.0), p) for p in (SHOWN, BOUND))
        bound = np.where(lower > shown, upper, bound)
        single = upper if length == 1 else single
        shown = np.maximum(lower, shown)
        length *= 2
    memory = np.divide(bound, single, out=np.ones_like(bound), where=single > 0)
    return LongRun(bound, memory)


def choose(batches: Batches) -> tuple[str, ...]:
    """Choose the terms that the batches show.

    Parameters
    ----------
    batches : Batches
        Of one subject.

    Returns
    -------
    tuple of str
        Those that any of its directions shows.

    Notes
    -----
    A term needs two of its cycles, and has to explain eight long-run variances per column. The
    variance is that of the residuals of all terms, so a slow wandering is not taken for a season.
    What is not chosen remains in the residuals, and increases the long-run variance.

    Examples
    --------
    >>> days = calendar(np.arange("2026-03-02", "2026-03-30", dtype="M8[D]"))
    >>> noise = np.random.default_rng(1).normal(0, 300**-0.5, (28, 1))
    >>> [choose(Batches(noise + means, np.full(28, 300.0), days, 28.0))
    ...  for means in (0.0, 0.5 * days[:, 9:10])]
    [(), ('weekend',)]
    """
    models = [
        model
        for model in (day + week for week in OVER_THE_WEEK for day in ((), (DAY,)))
        if all(batches.days >= MIN_CYCLES * CYCLES[term] for term in model)
        and len(batches.rows) - 1 - len(columns(model)) >= MIN_FREEDOM
    ] or [()]
    noise = np.maximum(long_run_variance(fit(batches, models[-1]), batches.rows).variance, 1e-300)
    whole = fit(batches)
    x = np.sqrt(batches.rows)[:, None] * (batches.when - whole.centre)
    products, shared = x.T @ x, x.T @ whole.residuals  # (16, 16), (16, directions)
    gains = [_explained(products, shared, columns(model)) / noise for model in models]
    costs = MIN_GAIN * np.array([len(columns(model)) for model in models])
    best = np.argmax(np.array(gains) - costs[:, None], axis=0)
    chosen = {term for model in best for term in models[model]}
    if WEEKDAY in chosen:
        chosen.discard(WEEKEND)  # the sum of two of its columns
    return tuple(term for term in COLUMNS if term in chosen)


def columns(terms: Sequence[str]) -> NDArray[np.int64]:
    """Return which columns of `calendar` belong to some terms.

    Parameters
    ----------
    terms : sequence of str
        Keys of `COLUMNS`.

    Returns
    -------
    ndarray of int
        In the order of the terms.

    Examples
    --------
    >>> columns(("week", "weekend")).tolist()
    [7, 8, 9]
    """
    return np.array([column for term in terms for column in COLUMNS[term]], np.int64)


def _explained(products: Floats, shared: Floats, used: NDArray[np.int64]) -> Floats:
    """Return the sum of squares that some columns explain, with the prior of `fit`."""
    of_model = products[np.ix_(used, used)] + np.eye(len(used))
    explained: Floats = (shared[used] * np.linalg.solve(of_model, shared[used])).sum(axis=0)
    return explained
