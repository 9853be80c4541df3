"""Alarm budget: the directions each subject is monitored in, and its share of the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.config import Alarms, Config, CostMatrix, Metric
from risk.monitoring import loss_ratios
from risk.monitoring.profile import ALL, GROUPS, LABELLED_ONLY
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION, Reference, name_of_pair
from risk.stats import directions, evidence
from risk.stats.directions import REFERENCE_ALPHA, Tolerance
from risk.stats.evidence import Bets, Directions, Ladder
from risk.stats.seasons import Curve

Floats = NDArray[np.float64]
# They add up to 1, so that all families together keep the budget. Most is for drift and for harm
# that labels prove; an estimate without labels is a suspicion, and intake has few checks (ADR 6).
FAMILY_SHARES = {"data": 0.4, "model": 0.4, "estimate": 0.1, "intake": 0.1}
# Of the data family. By equal shares the 45 pairs of ten columns would take four fifths of it, and
# labels and predictions, in which all features meet, less than a fiftieth each.
PAIRS_SHARE = 0.3
PROMINENT_SHARE = 0.1
# By the method that a reference was made with: the wealth that its release has stored is of these.
LADDERS = {1: evidence.FIRST_LADDER, 2: evidence.LADDER, 3: evidence.LADDER}


@dataclass(frozen=True)
class Season:
    """How the directions of a subject follow the calendar of its rows.

    `dated_by` are the rows meant, all or the labelled ones; `constant` are the directions of the
    whole reference.
    """

    curve: Curve
    constant: Directions
    z: float
    is_summed: bool
    dated_by: str
    ladder: Ladder

    def directions(self, when: Floats | None) -> Directions:
        """Return the directions for rows of that time, by default for those of the reference."""
        return self.curve.follow(self.constant, when, z=self.z, summed=self.is_summed)


@dataclass(frozen=True)
class MonitoredSubject:
    """One subject: its directions, the bets on them, and its share of the budget."""

    family: str
    directions: Directions
    bets: Bets
    correlation: Floats
    tolerance: float
    log_share: float
    season: Season | None = None

    def at(self, when: Floats | None) -> Self:
        """Return the monitor of rows whose calendar has this mean."""
        if self.season is None or not self.season.curve.terms or when is None:
            return self
        moved = self.season.directions(when)
        return replace(self, directions=moved, bets=evidence.place(moved, self.season.ladder))


@dataclass(frozen=True)
class Rules:
    """The settings that concern monitoring."""

    alarms: Alarms
    metric: Metric
    cost: CostMatrix

    @classmethod
    def of(cls, config: Config) -> Self:
        """Select these settings from all settings."""
        return cls(config.alarms, config.checks.metric, config.training.cost)

    def days_per_alarm(self, family: str) -> float:
        """Return the days between two false alarms of one family of checks."""
        # a tenth of one alarm in 90 days is one in 900
        return self.alarms.days_per_false_alarm / FAMILY_SHARES[family]

    def days_per_warning(self, family: str) -> float:
        """Return the days between two warnings about nothing of one family of checks."""
        return self.alarms.days_per_warning / FAMILY_SHARES[family]


def family_of(subject: str) -> str:
    """Return the family of checks whose share of the budget a subject uses."""
    return {LABELLED: "model", EXPECTED_LOSS: "estimate"}.get(subject, "data")


def monitor(reference: Reference, subject: str, rules: Rules, share: float) -> MonitoredSubject:
    """Return the monitor of one subject with its share of its family's budget."""
    season = season_of(reference, subject, rules)
    chosen = season.directions(None) if season else directions_of(reference, subject, rules)
    known = reference.correlations.get(subject, {})
    alike = [known.get(name, evidence.UNKNOWN_CORRELATION) for name in chosen.names]
    return MonitoredSubject(
        family=family_of(subject),
        directions=chosen,
        bets=evidence.place(chosen, LADDERS[reference.method]),
        correlation=np.array(alike),
        tolerance=granted_to(reference, subject, rules),
        log_share=float(np.log(share)),
        season=season,
    )


def season_of(reference: Reference, subject: str, rules: Rules) -> Season | None:
    """Return how a subject follows the calendar, None where the reference knows no calendar."""
    if (curve := reference.curves.get(subject)) is None:
        return None
    return Season(
        curve=curve,
        constant=directions_of(reference, subject, rules),
        z=float(-scipy.special.ndtri(_tolerance(reference, subject, rules).alpha)),
        is_summed=family_of(subject) != "data",
        dated_by=dated_by(reference, subject),
        ladder=LADDERS[reference.method],
    )


def dated_by(reference: Reference, subject: str) -> str:
    """Say whether a subject is about all rows or the labelled ones."""
    return LABELLED_ONLY if subject in (LABELLED, reference.target) else ALL


def alarm_line(reference: Reference, rules: Rules) -> float | None:
    """Return the score below which an alarm is possible, None without labels in the reference."""
    if not any(reference.profile.counts.get(LABELLED, ())):
        return None
    labelled = _labelled(reference)
    return loss_ratios.lowest_tolerated(labelled, metric=rules.metric, cost=rules.cost)


def _labelled(reference: Reference) -> loss_ratios.Labelled:
    return loss_ratios.Labelled(
        np.array(reference.profile.counts[LABELLED], np.float64),
        np.append(reference.means[PREDICTION], 0.0),  # no prediction is missing
        reference.threshold,
        reference.optimism,
    )


def directions_of(reference: Reference, subject: str, rules: Rules) -> Directions:
    """Return the directions in which a subject can change."""
    counts = np.array(reference.profile.counts[subject], np.float64)
    column = reference.subjects[subject]
    tolerance = _tolerance(reference, subject, rules)
    if subject == LABELLED:
        labelled = _labelled(reference)
        return loss_ratios.watched_scores(labelled, metric=rules.metric, cost=rules.cost)
    if subject == EXPECTED_LOSS:
        return loss_ratios.rising_loss(counts, np.append(reference.means[subject], 0.0))
    if subject == reference.target:
        return directions.share(counts, "positive", tolerance)
    if column is None:
        return directions.pair(counts, GROUPS, tolerance)
    if column.edges is not None:
        return directions.numeric(counts, tolerance)
    seen = reference.seen_once_twice[subject]
    rows = reference.profile.n
    return directions.categorical(counts, column.levels, seen, tolerance, rows=rows)


def _tolerance(reference: Reference, subject: str, rules: Rules) -> Tolerance:
    """Return what a subject is granted; those that are no columns have doubts of their own."""
    granted = granted_to(reference, subject, rules)
    if family_of(subject) != "data":
        return Tolerance(granted, REFERENCE_ALPHA)
    n = 2 if subject == reference.target else _number_of_directions(reference)
    return Tolerance.shared(granted, n)


def _number_of_directions(reference: Reference) -> int:
    """Count the directions of all columns and pairs, which share the error of the reference."""
    columns = [
        # of categories one too many, as there are no fewer unseen levels than none
        directions.OF_A_NUMBER if column.edges is not None else 2 * column.size
        for column in reference.columns
    ]
    return sum(columns) + 2 * len(reference.pairs)


def unit_of(chosen: Directions, i: int) -> float:
    """Return what the shifts of a direction are multiples of: its spread, which is never tiny.

    A tenth of the range is the spread of an event with a share of 1 %: of one that was never seen
    any share would be an infinite effect. A score without a range has no spread at all.
    """
    span = float(np.nanmax(chosen.values[i]) - np.nanmin(chosen.values[i]))
    return max(float(chosen.spreads[i]), 0.1 * span) or 1.0


def granted_to(reference: Reference, subject: str, rules: Rules) -> float:
    """Return the tolerance in the settings, or what the subject's history requires."""
    return max(reference.tolerances.get(subject, 0.0), rules.alarms.tolerance)


def shares_of(reference: Reference) -> dict[str, float]:
    """Divide a family's budget: three tenths for pairs, one each for labels and predictions."""
    pairs = {name_of_pair(pair) for pair in reference.pairs}
    both = [name for name in (reference.target, PREDICTION) if name in reference.subjects]
    prominent = dict.fromkeys(both, PROMINENT_SHARE)
    single = [
        subject
        for subject in reference.subjects
        if family_of(subject) == "data" and subject not in {*pairs, *prominent}
    ]
    left = 1 - len(both) * PROMINENT_SHARE - (PAIRS_SHARE if pairs else 0.0)
    own = {subject: left / len(single) for subject in single} | prominent
    # 1.0 remains for labelled scores and expected loss, each alone in its family
    return (
        dict.fromkeys(reference.subjects, 1.0) | own | {p: PAIRS_SHARE / len(pairs) for p in pairs}
    )
