"""Settling: what a release's reference learns from its own batches, in the order of time.

How alike the rows of a batch are, how each subject follows the calendar, and how far it wanders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.models.dating import INGESTION, MOMENT
from risk.monitoring.alarm_budget import (
    MonitoredSubject,
    Rules,
    Season,
    dated_by,
    directions_of,
    family_of,
    granted_to,
    monitor,
    shares_of,
)
from risk.monitoring.detector import BACKLOG
from risk.monitoring.profile import Profile
from risk.monitoring.reference import Reference
from risk.stats import evidence, seasons
from risk.stats.evidence import Directions
from risk.stats.seasons import Batches, Curve, Fit

Floats = NDArray[np.float64]
EVENT_TIME, ARRIVAL = "event time", "arrival"
# In reference standard deviations: a step is the default tolerance, the largest is also that of the
# settings. A column that wanders even farther is reported, not tolerated.
TOLERANCE_STEP = 0.05
MAX_TOLERANCE = 1.0
# What the past may reach. It is a tenth of an alarm, as the cells were chosen on the same rows:
# they fit these batches better than those to come.
QUIET_WEALTH = 0.1
MAX_BATCHES = 4032  # four weeks of one every ten minutes, eleven years of daily ones
MIN_ROWS = 10  # of a batch, on average: rows alone say nothing about how alike those of one are
MAX_FOLDS = 4
# Standard deviations between the rows before a change and those after it. What moved farther has
# other ranks, in which the same season is another curve.
MAX_MOVED = 0.25


@dataclass(frozen=True)
class History:
    """Batches in the order of time; `days` from the first to the last, and what dates them.

    Without a `calendar` they are in the order in which they arrived, whenever that was.
    """

    batches: Sequence[Profile] = ()
    days: float = 0.0
    calendar: str = ""


def cut(
    reference: Reference, rows: pd.DataFrame, rules: Rules, *, dated: bool, own: bool
) -> History:
    """Cut rows into batches as they come: by their event time if they are `dated`, else by drop.

    A file is no batch: four weeks in three files have no weekday.
    """
    if dated and (found := _cut_by_event_time(reference, rows, rules, own)):
        return found
    latest = np.sort(rows[INGESTION].unique())[-MAX_BATCHES:]
    wanted = rows[rows[INGESTION].isin(latest)]
    number = np.searchsorted(latest, wanted[INGESTION])
    batches = reference.count_batches(wanted, number, len(latest), own=own)
    arrivals = np.unique(wanted[MOMENT]) if MOMENT in rows and not dated else np.array([], "M8[s]")
    # drops of a backlog arrived at once: whenever their rows were made, it was not then
    apart = 1 + (np.diff(arrivals) >= np.timedelta64(BACKLOG)).sum()
    if not len(arrivals) or apart < evidence.MIN_BATCHES:
        return History(batches)
    return History(batches, _days(arrivals, rules), ARRIVAL)


def _cut_by_event_time(
    reference: Reference, rows: pd.DataFrame, rules: Rules, own: bool
) -> History | None:
    """Cut rows into intervals of the usual time between drops, or longer if they have few rows.

    None if there are too few intervals.
    """
    wanted = rows[rows[MOMENT].notna()]
    seconds = wanted[MOMENT].to_numpy("M8[s]").astype("int64")
    step = max(round(60 * rules.alarms.usual_minutes_between_drops), 1)
    intervals = seconds // step
    while len(np.unique(intervals)) > max(len(wanted) / MIN_ROWS, evidence.MIN_BATCHES - 1):
        step *= 2
        intervals = seconds // step
    latest = np.unique(intervals)[-MAX_BATCHES:]
    if len(latest) < evidence.MIN_BATCHES:
        return None
    newest = intervals >= latest[0]
    number = np.searchsorted(latest, intervals[newest])
    batches = reference.count_batches(wanted[newest], number, len(latest), own=own)
    return History(batches, _days((step * latest).astype("M8[s]"), rules), EVENT_TIME)


def _days(moments: NDArray[np.datetime64], rules: Rules) -> float:
    """Return the days from the first to the last batch, both included."""
    usual = rules.alarms.usual_minutes_between_drops / 1440
    return float((moments[-1] - moments[0]) / np.timedelta64(1, "D")) + usual


def settle(
    reference: Reference, own: History, rules: Rules, *, before: History = History()
) -> Reference:
    """Estimate from its own batches how far the subjects of a reference vary, and when.

    If the reference begins with a change, the batches `before` estimate habits of the feed, which
    outlast it: how alike rows are, and the shape of a season. Subjects whose history would raise an
    alarm are unstable by nature: their tolerance is increased.
    """
    subjects = shares_of(reference)
    habits = {s: found for s in subjects if (found := _habits(reference, s, rules, own, before))}
    settled = replace(
        reference,
        correlations={subject: found.correlations for subject, found in habits.items()},
        curves={subject: found.curve for subject, found in habits.items() if found.curve},
        calendar=own.calendar or before.calendar,
        days=max(own.days, before.days),
    )
    # Data only: labelled scores have a tolerance in their own unit, and a model whose score
    # wandered in the past is not thereby allowed to get worse.
    return _widen(settled, [s for s in habits if family_of(s) == "data"], rules, own)


@dataclass(frozen=True)
class _Habits:
    """What the batches of one subject show."""

    correlations: Mapping[str, float]
    curve: Curve | None = None


def _habits(
    reference: Reference, subject: str, rules: Rules, own: History, before: History
) -> _Habits | None:
    """Estimate how alike the rows of a batch are, and the curve if the batches are dated."""
    # The longer history knows habits better (ADR 7).
    typical = max(own, before, key=lambda history: len(_fed(history, subject)))
    fed = _fed(typical, subject)
    if len(fed) < 2:  # one batch has nothing to be unlike
        return None
    made = directions_of(reference, subject, rules)
    tables = [batch.counts[subject] for batch in fed]
    if not typical.calendar or len(fed) < evidence.MIN_BATCHES:
        alike = evidence.intraclass_correlation(tables, made.values)
        return _Habits(dict(zip(made.names, alike.tolist(), strict=True)))
    which = dated_by(reference, subject)
    batches = _batches(typical, subject, made, which)
    fitted = seasons.fit(batches, seasons.choose(batches))
    long_run = seasons.long_run_variance(fitted, batches.rows)
    # residuals are scaled by all rows of a batch, of which some do not count for a direction
    counted = ~np.isnan(made.values) @ np.sum(tables, axis=0) / batches.rows.sum()
    between = long_run.variance * made.spreads**2 * counted
    alike = evidence.intraclass_correlation(tables, made.values, long_run=between)
    correlations = dict(zip(made.names, alike.tolist(), strict=True))
    centre = _centre(own, which, fitted)
    if typical is before and _moved(fitted, centre, made) > MAX_MOVED:
        found = _habits(reference, subject, rules, own, History())
        if found and found.curve:
            return _Habits(correlations, found.curve)
        fitted = seasons.fit(batches)
    rows = sum(sum(batch.counts[subject]) for batch in _fed(own, subject))
    curve = Curve(
        terms=fitted.terms,
        centre=tuple(centre.tolist()),
        covariance=tuple(map(tuple, fitted.covariance.tolist())),
        slopes=dict(zip(made.names, map(tuple, fitted.slopes.tolist()), strict=True)),
        designs=dict(zip(made.names, long_run.variance.tolist(), strict=True)),
        memories=dict(zip(made.names, long_run.memory.tolist(), strict=True)),
        rows=float(rows or batches.rows.sum()),
    )
    return _Habits(correlations, curve)


def _fed(history: History, subject: str) -> list[Profile]:
    return [batch for batch in history.batches if any(batch.counts.get(subject, ()))]


def _centre(own: History, which: str, fitted: Fit) -> Floats:
    """Return when the rows of the reference are from: there the curve is at its mean."""
    sums = [batch.calendar[which] for batch in own.batches if which in batch.calendar]
    total = np.sum(sums, axis=0) if sums else np.zeros(1)
    centre: Floats = total / total[0] if total[0] else fitted.centre
    return centre


def _moved(fitted: Fit, centre: Floats, made: Directions) -> float:
    """Return how far the reference is from what rows before it would have been at its time."""
    expected = (
        fitted.levels + fitted.slopes @ (centre - fitted.centre)[seasons.columns(fitted.terms)]
    )
    varies = made.spreads > 0  # what the reference never had is no distance
    return float(np.abs(expected[varies]).max(initial=0.0))


def _batches(history: History, subject: str, made: Directions, which: str) -> Batches:
    """Return the mean scores of each batch, in standard deviations from the reference."""
    fed = _fed(history, subject)
    tables = np.array([batch.counts[subject] for batch in fed], float)
    sizes = tables @ ~np.isnan(made.values).T
    sums = tables @ np.nan_to_num(made.values).T
    means = np.divide(sums, sizes, out=np.tile(made.means, (len(fed), 1)), where=sizes > 0)
    return Batches(
        means=(means - made.means) / np.maximum(made.spreads, 1e-12),
        rows=tables.sum(axis=1),
        when=np.array([batch.when(which) for batch in fed]),
        days=history.days,
    )


def _widen(settled: Reference, subjects: Sequence[str], rules: Rules, own: History) -> Reference:
    """Increase tolerances until the wealth of all subjects together would have stayed low.

    The alarm is on their sum, and a season that is common to ten columns raises it ten times as
    soon as that of one.
    """
    usual = rules.alarms.usual_minutes_between_drops / 1440 / rules.days_per_alarm("data")
    # by chance the wealth is as much as it was fed with, on average
    fed = usual * np.arange(1, len(own.batches) + 1)
    limits = np.log(np.clip(fed, QUIET_WEALTH, 0.5))
    past = {
        subject: _wealth(settled, subject, rules, own, usual)
        for subject in subjects
        if len(_fed(own, subject)) >= evidence.MIN_BATCHES
    }
    while past:
        over = np.logaddexp.reduce([*past.values()], axis=0) - limits
        worst = int(np.argmax(over))
        if over[worst] <= 0:
            break
        leading = max(past, key=lambda subject: past[subject][worst])
        # rounded, as it is shown and stored: three steps are 0.15, not 0.15000000000000002
        granted = round(granted_to(settled, leading, rules) + TOLERANCE_STEP, 10)
        if granted > MAX_TOLERANCE:
            del past[leading]  # it is reported, not tolerated; the others need not make up for it
            continue
        settled = replace(settled, tolerances={**settled.tolerances, leading: granted})
        past[leading] = _wealth(settled, leading, rules, own, usual)
    return settled


def _wealth(reference: Reference, subject: str, rules: Rules, own: History, usual: float) -> Floats:
    """Replay a subject: the logarithm of its wealth after each batch of the reference."""
    monitored = monitor(reference, subject, rules, shares_of(reference)[subject] * usual)
    which = dated_by(reference, subject)
    parts = _cross_fitted(monitored, subject, own) or [(monitored, _fed(own, subject))]
    wealth = evidence.wealth_over_time(
        np.concatenate([_growth(judge, fed, subject, which) for judge, fed in parts]),
        monitored.bets.log_weights,
        log_mass=monitored.log_share,
    )
    # between the batches in which it has rows it stays as it was
    is_fed = [any(batch.counts.get(subject, ())) for batch in own.batches]
    held: Floats = np.append(-np.inf, wealth)[np.cumsum(is_fed)]
    return held


def _cross_fitted(
    monitored: MonitoredSubject, subject: str, own: History
) -> list[tuple[MonitoredSubject, list[Profile]]]:
    """Return the batches of a few cycles each, with the monitor that the others would have made.

    In the batches that it was fitted to, a curve leaves too little to alarm about.
    """
    season = monitored.season
    cycle = 7 if own.days >= 14 else 1
    n_parts = min(int(own.days // cycle), MAX_FOLDS)
    if season is None or not own.calendar or n_parts < 2:
        return []
    fed = _fed(own, subject)
    batches = _batches(own, subject, season.constant, season.dated_by)
    level = seasons.fit(batches).levels
    found = []
    for there in np.array_split(np.arange(len(fed)), n_parts):
        others = batches.select(~np.isin(np.arange(len(fed)), there))
        fitted = seasons.fit(others, season.curve.terms)
        curve = replace(
            season.curve,
            centre=tuple(fitted.centre.tolist()),
            covariance=tuple(map(tuple, fitted.covariance.tolist())),
            slopes=dict(zip(season.constant.names, fitted.slopes.tolist(), strict=True)),
            rows=float(others.rows.sum()),
        )
        away = (fitted.levels - level) * season.constant.spreads
        constant = replace(
            season.constant,
            means=season.constant.means + away,
            null_means=season.constant.null_means + away,
        )
        judged = replace(season, curve=curve, constant=constant)
        found.append((_with_season(monitored, judged), [fed[i] for i in there]))
    return found


def _with_season(monitored: MonitoredSubject, season: Season) -> MonitoredSubject:
    directions = season.directions(None)
    bets = evidence.place(directions, season.ladder)
    return replace(monitored, season=season, directions=directions, bets=bets)


def _growth(
    monitored: MonitoredSubject, fed: Sequence[Profile], subject: str, which: str
) -> Floats:
    """Return what each batch adds to the logarithms of a subject's wealth."""
    tables = np.array([batch.counts[subject] for batch in fed], float)
    if monitored.season is None or not monitored.season.curve.terms:
        return evidence.growth(monitored.bets, tables, monitored.correlation)
    each = [
        evidence.growth(monitored.at(batch.when(which)).bets, [table], monitored.correlation)
        for batch, table in zip(fed, tables, strict=True)
    ]
    return np.concatenate(each)
