"""Fire drill: plant changes in the stored quiet batches, and see which of them are found.

A run drills a new release by itself, briefly; again when the release has quiet batches of its own,
and whenever their number has doubled.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, partial
from typing import Literal

import numpy as np
from pydantic import TypeAdapter

from risk import engine
from risk.config import Config, MustFind
from risk.errors import RiskError
from risk.ledger.ledger import Ledger
from risk.monitoring import detector, monitored_release, planted
from risk.monitoring.alarm_budget import Rules, granted_to
from risk.monitoring.detector import Detector
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.planted import Kind, Planted
from risk.monitoring.profile import Profile
from risk.monitoring.reference import LABELLED, Reference, name_of_pair
from risk.progress import track
from risk.stats import evidence

log = logging.getLogger(__name__)
Obstacle = Literal["tolerance", "reference", "volume"]
MIN_BATCHES, MAX_DAYS = 10, 60.0
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
USUAL_ROWS = 200


@dataclass(frozen=True)
class Extent:
    """How much is drilled.

    `batches` are the newest ones taken, `starts` the moments at which each change begins, `drops`
    those played before the rest is extrapolated, `changes` the most that are planted.
    """

    batches: int = 200
    starts: int = 10
    drops: int = 300
    changes: int | None = None


FULL, BRIEF = Extent(), Extent(batches=40, starts=2, drops=20, changes=200)


@dataclass(frozen=True)
class Result:
    """After how many drops and days a planted change is found, in the median over the starts.

    None if it is not found within sixty days: then `obstacle` says why, and `rows_needed` how many
    rows it would take, None if no number suffices. `named` is the share of the starts in which the
    first alarm named the changed subject or a pair of it.
    """

    subject: str
    kind: Kind
    size: float
    drops: float | None
    days: float | None
    named: float
    obstacle: Obstacle | None = None
    rows_needed: int | None = None

    def is_found_within(self, days: float) -> bool:
        """Return whether the change would be found in time."""
        return self.days is not None and self.days <= days


@dataclass(frozen=True)
class Drill:
    """The results, and what they were found on; `n_left_out` changes were not planted."""

    results: tuple[Result, ...]
    version: int
    n_batches: int
    rows_per_drop: int
    days_per_drop: float
    is_optimistic: bool
    label_days: float | None = None
    n_left_out: int = 0


DRILL = TypeAdapter(Drill)


def missed(drill: Drill, wanted: MustFind) -> tuple[Result, ...]:
    """Return the changes that must be found in time and would not be."""
    must = (result for result in drill.results if _must_be_found(result, wanted))
    return tuple(result for result in must if not result.is_found_within(wanted.days))


def _must_be_found(change: Planted | Result, wanted: MustFind) -> bool:
    sizes = {"missing": wanted.missing, "shift": wanted.shift, "errors": wanted.errors}
    return change.size >= sizes.get(change.kind, math.inf)


def keep_current(config: Config, ledger: Ledger) -> None:
    """Drill the live release briefly and record the result, if there is something new to learn.

    A drill that cannot be done keeps no run from its end; the next run tries again.
    """
    version = ledger.decisions.live_version()
    if version is None or not _is_due(ledger, version):
        return
    try:
        with ledger.runs.stage("drill"):
            done = run(config, ledger, BRIEF)
            own = 0 if done.is_optimistic else done.n_batches
            ledger.drills.record(done.version, n_batches=own, drill=json.dumps(asdict(done)))
    except RiskError as error:
        log.error("no drill of release %d: %s", version, error)


def newest(ledger: Ledger, version: int | None) -> Drill | None:
    """Return the newest recorded drill of a release."""
    found = ledger.drills.newest(version) if version is not None else None
    return DRILL.validate_json(found.drill) if found else None


def _is_due(ledger: Ledger, version: int) -> bool:
    last = ledger.drills.newest(version)
    if last is None:
        return True
    needed = max(MIN_BATCHES, 2 * last.n_batches)
    if needed > BRIEF.batches:
        return False
    return bool(ledger.assessments.count_quiet(version, most=needed) == needed)


def run(config: Config, ledger: Ledger, extent: Extent = FULL) -> Drill:
    """Drill the live release on its own quiet batches; write nothing."""
    release = monitored_release.load(config)
    version, rules = release.champion.manifest.version, Rules.of(config)
    assert version is not None
    history = ledger.assessments.quiet(version, newest=extent.batches)
    quiet = [Profile.from_json(look.profile) for look in history]
    gap = _usual_gap([look.assessed_at for look in history], rules)
    few = len(quiet) < MIN_BATCHES
    if few:
        quiet = _drawn(release.reference, _usual_rows(ledger), extent.batches, config.random_seed)
    changes = planted.changes(release)
    chosen = _most_wanted(changes, config.alarms.must_find, extent.changes)
    drilled = engine.of(config).map(_Field(release, rules, quiet, gap, extent).drill, chosen)
    results = [*track(drilled, "fire drill", unit="change", total=len(chosen))]
    delay = ledger.labels.usual_delay()
    return Drill(
        results=tuple(results),
        version=version,
        n_batches=len(quiet),
        rows_per_drop=int(np.median([_n_rows(batch, release) for batch in quiet])),
        days_per_drop=gap.total_seconds() / 86_400,
        is_optimistic=few,
        label_days=delay.total_seconds() / 86_400 if delay else None,
        n_left_out=len(changes) - len(results),
    )


def _most_wanted(changes: Sequence[Planted], wanted: MustFind, most: int | None) -> list[int]:
    """Number so many changes, those that must be found first, and leave them in their order."""
    first = sorted(range(len(changes)), key=lambda i: not _must_be_found(changes[i], wanted))
    return sorted(first[:most])


@dataclass(frozen=True)
class _Field:
    """Where changes are planted, by their numbers: a worker makes them and the monitor itself."""

    release: MonitoredRelease
    rules: Rules
    quiet: Sequence[Profile]
    gap: timedelta
    extent: Extent

    @cached_property
    def changes(self) -> Sequence[Planted]:
        """The changes that can be planted."""
        return planted.changes(self.release)

    @cached_property
    def monitor(self) -> Detector:
        """The monitor that shall find them."""
        return Detector(self.release.reference, self.rules)

    def drill(self, number: int) -> Result:
        """Plant one change and return how it is found."""
        return drilled(self.changes[number], self.monitor, self.quiet, self.gap, self.extent)


def drilled(
    change: Planted,
    monitor: Detector,
    quiet: Sequence[Profile],
    gap: timedelta,
    extent: Extent,
) -> Result:
    """Let a change begin at several moments of the quiet history, and take the median."""
    concerned = [batch for batch in quiet if any(batch.counts.get(change.subject, ()))]
    if not concerned:
        return Result(change.subject, change.kind, change.size, None, None, 0.0, "volume")
    changed = cache(lambda number: change.apply(concerned[number]))
    starts = np.linspace(0, len(concerned), extent.starts, endpoint=False).astype(int)
    before = math.ceil(change.delay / gap)  # batches with the labels of rows before the change

    def from_start(start: int, number: int) -> Profile:
        place = (start + number) % len(concerned)
        return changed(place) if number >= before else concerned[place]

    found = [
        _first_alarm(monitor, partial(from_start, int(start)), before, gap, extent.drops)
        for start in starts
    ]
    drops = float(np.median([np.inf if drop is None else drop for drop, _ in found]))
    days = drops * gap.total_seconds() / 86_400
    pairs = {name_of_pair(p) for p in monitor.reference.pairs if change.subject in p}
    named = float(np.mean([bool(blamed & {change.subject, *pairs}) for _, blamed in found]))
    if days <= MAX_DAYS:
        return Result(change.subject, change.kind, change.size, drops, days, named)
    all_changed = [changed(number) for number in range(len(concerned))]
    obstacle, rows = _obstacle(change, monitor, all_changed, gap)
    return Result(change.subject, change.kind, change.size, None, None, named, obstacle, rows)


def _first_alarm(
    monitor: Detector, batch: Callable[[int], Profile], before: int, gap: timedelta, drops: int
) -> tuple[float | None, set[str]]:
    """Return after how many batches the first alarm comes, and what it names.

    The first batches, so many as `before`, do not show the change yet; no more than `drops` of them
    are played. Of so many batches that sixty days would take too long, the growth of the evidence
    tells the rest.
    """
    most = math.ceil(timedelta(days=MAX_DAYS) / gap)
    state, log_wealth = detector.start(), []
    for number in range(max(before - drops, 0), min(most, before + drops)):
        state, found = monitor.advance(state, batch(number), EPOCH + (number + 1) * gap)
        if number < before:
            continue
        if blamed := {each.subject for each in found if each.alarm}:
            return number + 1, blamed
        log_wealth.append(float(np.log(max(each.e_value for each in found))))
    if most <= before + drops:
        return None, set()
    half = len(log_wealth) // 2
    growth = (log_wealth[-1] - log_wealth[half]) / max(len(log_wealth) - 1 - half, 1)
    if growth <= 0:
        return None, set()
    more = before + len(log_wealth) - log_wealth[-1] / growth
    return (more, set()) if more <= most else (None, set())


def _obstacle(
    change: Planted, monitor: Detector, changed: Sequence[Profile], gap: timedelta
) -> tuple[Obstacle, int | None]:
    """Say what keeps a change from being found: what is tolerated, doubted, or too few rows."""
    monitored, rules = monitor.monitored[change.subject], monitor.rules
    chosen = monitored.directions
    rows = np.sum([batch.counts[change.subject] for batch in changed], axis=0)
    values = np.nan_to_num(chosen.values)
    known = (~np.isnan(chosen.values)) @ rows
    now = values @ rows / np.maximum(known, 1)
    spreads = np.maximum(monitored.bets.spreads, 1e-12)
    # in standard deviations: how far each direction moved, and how far it may
    moved, allowed = (now - chosen.means) / spreads, (chosen.null_means - chosen.means) / spreads
    best = int(np.argmax(moved - allowed))
    if moved[best] > allowed[best]:
        share = gap.total_seconds() / 86_400 / rules.days_per_alarm(monitored.family)
        mass = monitored.log_share + float(np.log(share * chosen.weights[best]))
        return "volume", evidence.rows_needed(
            float(moved[best]),
            tolerated=float(allowed[best]),
            log_mass=mass,
            ladder=monitor.ladder,
        )
    granted = granted_to(monitor.reference, change.subject, rules)
    return ("tolerance" if moved[best] <= granted else "reference"), None


def _usual_gap(moments: Sequence[datetime], rules: Rules) -> timedelta:
    gaps = np.diff([moment.timestamp() for moment in moments])
    if len(gaps) >= MIN_BATCHES:
        return timedelta(seconds=max(float(np.median(gaps)), 1.0))
    return timedelta(minutes=rules.alarms.usual_minutes_between_drops)


def _usual_rows(ledger: Ledger) -> int:
    taken = ledger.ingestions.history(newest=BRIEF.batches)
    sizes = [n for n in taken["rows_added"].tolist() if n]
    return int(np.median(sizes)) if sizes else USUAL_ROWS


def _n_rows(batch: Profile, release: MonitoredRelease) -> int:
    """Return the rows of a batch; late labels are counted in `n` too."""
    return sum(batch.counts.get(release.champion.manifest.features[0], ()))


def _drawn(reference: Reference, rows: int, batches: int, seed: int) -> list[Profile]:
    """Draw batches from the counts of the reference, where there are no batches yet."""
    rng, drawn = np.random.default_rng(seed), []
    labelled = sum(reference.profile.counts[LABELLED]) / max(reference.profile.n, 1)
    for _ in range(batches):
        counts = {}
        for subject, table in reference.profile.counts.items():
            total = sum(table)
            size = (
                round(rows * min(labelled, 1.0))
                if subject in (LABELLED, reference.target)
                else rows
            )
            shares = np.array(table, np.float64) / max(total, 1)
            counts[subject] = tuple(rng.multinomial(size, shares).tolist()) if total else table
        drawn.append(Profile(rows, counts, reference.profile.calendar))
    return drawn
