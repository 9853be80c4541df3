"""Detectors: monitor new rows against a release's reference, within the alarm budget."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from risk.monitoring.alarm_budget import (
    FAMILY_SHARES,
    LADDERS,
    MonitoredSubject,
    Rules,
    dated_by,
    monitor,
    shares_of,
    unit_of,
)
from risk.monitoring.profile import Profile
from risk.monitoring.reference import Reference
from risk.stats import directions, evidence
from risk.stats.directions import Tolerance

Floats = NDArray[np.float64]
DOMAIN_SHARE = 0.1  # of the family's budget; it looks for what columns and pairs cannot show
DOMAIN = "(domain classifier)"
# No batch gets more than a fiftieth of an alarm: after a pause as long as the time between two
# alarms a whole one would be due, and any batch that is barely unusual would raise it.
MIN_FEEDINGS = 50
BACKLOG = timedelta(minutes=1)  # drops this close waited together: arrival is not when rows came
# The largest e-value reported is 1e300, so that a sum over subjects is finite too: floats end
# at 1.8e308, and JSON knows no infinity.
MAX_WEALTH = 300 * np.log(10)
# A warning ends without an alarm once its evidence has shrunk to a tenth. A change that is real
# survives that nine times in ten: evidence shrinks so far before it grows by what is missing.
WITHDRAWN = 0.1
EXACT, BY_SIMULATION, INDEPENDENT_ROWS = "exact", "by simulation", "independent rows only"


@dataclass(frozen=True)
class Evidence:
    """The evidence against one subject being unchanged since the release.

    `e_value` is the detector's wealth: by chance it reaches 1 no more often than the budget allows.
    `effect` is the shift of the latest batch from what is expected at its time, in reference
    standard deviations. `guarantee` says on what the budget of false alarms rests. `warning` is
    whether this batch gives an early warning, `warned_since` when a warning that stands was given.
    """

    family: str
    subject: str
    direction: str
    e_value: float
    effect: float
    tolerance: float
    before: float
    now: float
    n: int
    rows_needed: int
    alarm: bool = False
    guarantee: str = INDEPENDENT_ROWS
    warning: bool = False
    warned_since: datetime | None = None


class Wealth(NamedTuple):
    """The logarithms of one subject's wealth: a row of bets for each named direction."""

    names: tuple[str, ...]
    logs: Floats


class Warned(NamedTuple):
    """When a warning that stands was given, and the e-value of the alarm when it was last given."""

    since: datetime
    e_value: float


@dataclass(frozen=True)
class State:
    """The wealth of every bet, and when each family was last updated.

    Warnings have a wealth of their own, fed by their own budget; it is taken away by each warning.
    `warned` are the subjects of the warnings that stand.
    """

    wealth: Mapping[str, Wealth]
    fed_at: Mapping[str, datetime]
    warning_wealth: Mapping[str, Wealth] = field(default_factory=dict)
    warned: Mapping[str, Warned] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the state as JSON, without loss."""
        content = {
            "wealth": _as_lists(self.wealth),
            "fed_at": {family: moment.isoformat() for family, moment in self.fed_at.items()},
            "warning_wealth": _as_lists(self.warning_wealth),
            "warned": {s: [own.since.isoformat(), own.e_value] for s, own in self.warned.items()},
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` returned, also before there were warnings."""
        content = json.loads(text)
        return cls(
            wealth=_from_lists(content["wealth"]),
            fed_at={f: datetime.fromisoformat(at) for f, at in content["fed_at"].items()},
            warning_wealth=_from_lists(content.get("warning_wealth", {})),
            warned={
                subject: Warned(datetime.fromisoformat(since), e_value)
                for subject, (since, e_value) in content.get("warned", {}).items()
            },
        )

    def without(self, subjects: Sequence[str]) -> Self:
        """Reset the evidence about some subjects."""
        own = {"wealth": self.wealth, "warning_wealth": self.warning_wealth, "warned": self.warned}
        kept: dict[str, Any] = {
            name: {subject: of for subject, of in each.items() if subject not in subjects}
            for name, each in own.items()
        }
        return replace(self, **kept)


def _as_lists(wealth: Mapping[str, Wealth]) -> dict[str, Any]:
    return {
        subject: dict(zip(own.names, evidence.as_lists(own.logs), strict=True))
        for subject, own in wealth.items()
    }


def _from_lists(content: Mapping[str, Any]) -> dict[str, Wealth]:
    return {
        subject: Wealth(tuple(own), evidence.from_lists(list(own.values())))
        for subject, own in content.items()
    }


class Detector:
    """The monitors of all subjects of a reference, within the false-alarm budget."""

    def __init__(self, reference: Reference, rules: Rules) -> None:
        self.rules, self.reference = rules, reference
        self.ladder = LADDERS[reference.method]
        self.monitored = {
            subject: monitor(reference, subject, rules, share)
            for subject, share in shares_of(reference).items()
        }

    def monitor_domain(self, reference_counts: Sequence[int]) -> None:
        """Monitor the score of a domain classifier, counted on reference rows it has not seen.

        The classifier is trained on earlier batches, so its score is a bet placed in advance.
        """
        counts = np.array(reference_counts, np.float64)
        # "higher" alone: only rows that look less like the reference indicate drift. The doubt is
        # that of all directions `numeric` makes, which is cautious.
        alarms, n = self.rules.alarms, directions.OF_A_NUMBER
        chosen = directions.numeric(counts, Tolerance.shared(alarms.tolerance, n)).only("higher")
        # Taken off the rest of its family, so that its alarms cost nothing on top of the budget,
        # and only where there is a classifier. That is known before the batch is seen.
        left = float(np.log1p(-DOMAIN_SHARE))
        self.monitored = {
            name: replace(m, log_share=m.log_share + left) if m.family == "data" else m
            for name, m in self.monitored.items()
        }
        self.monitored[DOMAIN] = MonitoredSubject(
            family="data",
            directions=chosen,
            bets=evidence.place(chosen, self.ladder),
            # each run has another classifier, so no past batches show how correlated its scores are
            correlation=np.array([evidence.UNKNOWN_CORRELATION]),
            tolerance=alarms.tolerance,
            log_share=float(np.log(DOMAIN_SHARE)),
        )

    def advance(self, state: State, batch: Profile, now: datetime) -> tuple[State, list[Evidence]]:
        """Update with a batch; return the evidence on its subjects, strongest first.

        Subjects that raise an alarm are reset; if only all subjects together raise an alarm, all
        are. The wealth of the warnings is reset likewise by each warning, and by each alarm, which
        gives none. So both numbers keep to their budgets (`evidence.advance`).
        """
        wealth, early, warned = dict(state.wealth), dict(state.warning_wealth), dict(state.warned)
        fed_at, found = dict(state.fed_at), []
        for family in FAMILY_SHARES:
            masses = self._log_masses(family, state, now)
            weighed = [
                self._weigh(subject, wealth, early, batch, masses)
                for subject, counts in batch.counts.items()
                if subject in self.monitored and self.monitored[subject].family == family
                if any(counts)
            ]
            if not weighed:
                continue  # the clock of a family stands still until it is fed, as labels come late
            fed_at[family] = now
            # An alarm is about the sum of a family's wealth: all are weighed before any is reset.
            values = {e.subject: e.e_value for e in weighed}
            alarms = _blame(values)
            ended = self._to_forget(family, values, alarms)
            for subject in ended:
                wealth.pop(subject, None)
                early.pop(subject, None)
            values = {s: _e_value(early[s].logs) for s in values if s in early}
            warnings = _blame(values)
            for subject in self._to_forget(family, values, warnings):
                early.pop(subject, None)
            for e in weighed:
                if e.subject in alarms or e.subject in warnings:
                    e = replace(e, alarm=e.subject in alarms, warning=e.subject in warnings)
                found.append(_date(e, warned, now))
            for subject in ended:
                warned.pop(subject, None)
        found.sort(key=lambda e: (not e.alarm, -e.e_value))
        return State(wealth, fed_at, early, warned), found

    def _log_masses(self, family: str, state: State, now: datetime) -> tuple[float, float]:
        """Return the logarithms of the false alarms and of the warnings the family may give.

        They are those of the elapsed time. For a first batch or a backlog, where the clock cannot
        tell, it is the usual time.
        """
        since = now - state.fed_at.get(family, now)
        if since < BACKLOG:  # also a clock that was set back: no mass is below 0
            since = timedelta(minutes=self.rules.alarms.usual_minutes_between_drops)
        days = since.total_seconds() / 86_400
        # days over days per alarm: the alarms that are due by chance, a pure number
        alarms = min(days / self.rules.days_per_alarm(family), 1 / MIN_FEEDINGS)
        warnings = min(days / self.rules.days_per_warning(family), 1 / MIN_FEEDINGS)
        return float(np.log(alarms)), float(np.log(warnings))

    def _weigh(
        self,
        subject: str,
        wealth: dict[str, Wealth],
        early: dict[str, Wealth],
        batch: Profile,
        log_masses: tuple[float, float],
    ) -> Evidence:
        when = batch.when(dated_by(self.reference, subject))
        monitored = self.monitored[subject].at(when)
        chosen, bets = monitored.directions, monitored.bets
        rows = np.asarray(batch.counts[subject], np.float64)
        mass, early_mass = (each + monitored.log_share for each in log_masses)
        grown = evidence.growth(bets, rows[None], monitored.correlation)[0]
        for accounts, fed in ((wealth, mass), (early, early_mass)):
            owned = accounts.get(subject, Wealth((), np.empty(0)))
            # Other names are other bets, after a change of the metric or the tolerance. Wealth must
            # not pass from one bet to another: that one would have been chosen after the rows.
            logs = owned.logs if owned.names == chosen.names else evidence.start(bets)
            accounts[subject] = Wealth(chosen.names, evidence.feed(logs, bets, grown, log_mass=fed))
        logs = wealth[subject].logs
        # The direction is chosen by all evidence so far; effect and mean are those of this batch.
        leading = int(np.argmax(np.logaddexp.reduce(logs, axis=1)))
        counted, values = bets.counted[leading], chosen.values[leading]
        n = int(rows[counted].sum())
        now = float(np.where(counted, values, 0) @ rows / max(n, 1))
        before = float(chosen.means[leading])
        unit = unit_of(chosen, leading)
        return Evidence(
            family=monitored.family,
            subject=subject,
            direction=chosen.names[leading],
            e_value=_e_value(logs),
            effect=(now - before) / unit,
            tolerance=monitored.tolerance,
            before=before,
            now=now,
            n=n,
            rows_needed=self._rows_needed(monitored, leading, mass),
            guarantee=self._guarantee(monitored, leading),
        )

    def _guarantee(self, monitored: MonitoredSubject, leading: int) -> str:
        """Say for what the budget is guaranteed; curves and design effects are estimates."""
        if not self.reference.calendar:
            return INDEPENDENT_ROWS
        follows = monitored.season is not None and monitored.season.curve.terms
        widened = monitored.tolerance > self.rules.alarms.tolerance
        return BY_SIMULATION if follows or widened or monitored.correlation[leading] else EXACT

    def _rows_needed(self, monitored: MonitoredSubject, leading: int, log_mass: float) -> int:
        chosen, spread = monitored.directions, float(monitored.bets.spreads[leading])
        slack = float(chosen.null_means[leading] - chosen.means[leading])
        return evidence.rows_needed(
            self.rules.alarms.effect_of_interest,
            tolerated=slack / spread if spread else np.inf,
            log_mass=log_mass + float(np.log(chosen.weights[leading])),
            ladder=self.ladder,
        )

    def _to_forget(
        self, family: str, values: Mapping[str, float], blamed: set[str]
    ) -> Collection[str]:
        # An alarm of all together has spent the wealth of all: were only the one that is blamed to
        # start again, the others would raise the same alarm with the next batch.
        if blamed and sum(values[subject] for subject in blamed) < 1:
            return [s for s, monitored in self.monitored.items() if monitored.family == family]
        return blamed


def start() -> State:
    """Return the state of a detector before its first batch."""
    return State({}, {})


def _e_value(logs: Floats) -> float:
    return float(np.exp(min(evidence.log_total(logs), MAX_WEALTH)))


def _blame(values: Mapping[str, float]) -> set[str]:
    """Return the subjects that raised an alarm: those at 1 alone, else the first of all."""
    # The budget is for the sum, which is 1 whenever a part is. So who reaches 1 alone is named with
    # the confidence of the alarm itself; the first of a sum is only the likeliest.
    alone = {subject for subject, value in values.items() if value >= 1}
    if alone or sum(values.values()) < 1:
        return alone
    return {max(values, key=lambda subject: values[subject])}


def _date(found: Evidence, warned: dict[str, Warned], now: datetime) -> Evidence:
    """Say since when a subject is warned about; an alarm ends its warning, and so does quiet."""
    known = warned.pop(found.subject, None)
    since = known.since if known else now if found.warning else None
    if since is None:
        return found
    if found.alarm:
        return replace(found, warned_since=since)
    if known and not found.warning:
        if found.e_value < WITHDRAWN * known.e_value:
            return found
        warned[found.subject] = known
    else:
        warned[found.subject] = Warned(since, found.e_value)
    return replace(found, warned_since=since)
