"""Fire drill: plant changes in the stored quiet batches, and see which of them are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from risk.config import Config, MustFind
from risk.ledger.ledger import Ledger
from risk.monitoring import detector, monitored_release, planted
from risk.monitoring.alarm_budget import Rules, granted_to
from risk.monitoring.detector import Detector
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.planted import Kind, Planted
from risk.monitoring.profile import Profile
from risk.monitoring.reference import LABELLED, Reference, name_of_pair
from risk.stats import evidence

Obstacle = Literal["tolerance", "reference", "volume"]
MAX_BATCHES, MIN_BATCHES = 200, 10
MAX_DAYS, MAX_DROPS, N_STARTS = 60.0, 300, 10
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
USUAL_ROWS = 200


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
    """The results, and what they were found on."""

    results: tuple[Result, ...]
    version: int
    n_batches: int
    rows_per_drop: int
    days_per_drop: float
    is_optimistic: bool
    label_days: float | None = None


def missed(drill: Drill, wanted: MustFind) -> tuple[Result, ...]:
    """Return the changes that must be found in time and would not be."""
    size_of = {"missing": wanted.missing, "shift": wanted.shift, "errors": wanted.errors}
    must = [r for r in drill.results if r.kind in size_of and r.size >= size_of[r.kind]]
    return tuple(result for result in must if not result.is_found_within(wanted.days))


def run(config: Config, ledger: Ledger) -> Drill:
    """Drill the live release on its own quiet batches; write nothing."""
    release = monitored_release.load(config)
    version, rules = release.champion.manifest.version, Rules.of(config)
    assert version is not None
    history = ledger.assessments.history(version, newest=MAX_BATCHES)
    loud = ledger.findings.runs_with_alarms()
    quiet = [Profile.from_json(look.profile) for look in history if look.run_id not in loud]
    gap = _usual_gap([look.assessed_at for look in history], rules)
    few = len(quiet) < MIN_BATCHES
    if few:
        quiet = _drawn(release.reference, _usual_rows(ledger), config.random_seed)
    monitor = Detector(release.reference, rules)
    results = [_drilled(each, monitor, quiet, gap) for each in planted.changes(release)]
    delay = ledger.labels.usual_delay()
    return Drill(
        results=tuple(results),
        version=version,
        n_batches=len(quiet),
        rows_per_drop=int(np.median([_n_rows(batch, release) for batch in quiet])),
        days_per_drop=gap.total_seconds() / 86_400,
        is_optimistic=few,
        label_days=delay.total_seconds() / 86_400 if delay else None,
    )


def _drilled(
    change: Planted, monitor: Detector, quiet: Sequence[Profile], gap: timedelta
) -> Result:
    """Let the change begin at several moments of the history, and take the median."""
    concerned = [batch for batch in quiet if any(batch.counts.get(change.subject, ()))]
    changed = [change.apply(batch) for batch in concerned]
    if not changed:
        return Result(change.subject, change.kind, change.size, None, None, 0.0, "volume")
    starts = np.linspace(0, len(changed), N_STARTS, endpoint=False).astype(int)
    found = [_first_alarm(monitor, changed, int(start), gap) for start in starts]
    drops = float(np.median([np.inf if drop is None else drop for drop, _ in found]))
    days = drops * gap.total_seconds() / 86_400
    pairs = {name_of_pair(p) for p in monitor.reference.pairs if change.subject in p}
    named = float(np.mean([bool(blamed & {change.subject, *pairs}) for _, blamed in found]))
    if days <= MAX_DAYS:
        return Result(change.subject, change.kind, change.size, drops, days, named)
    obstacle, rows = _obstacle(change, monitor, changed, gap)
    return Result(change.subject, change.kind, change.size, None, None, named, obstacle, rows)


def _first_alarm(
    monitor: Detector, changed: Sequence[Profile], start: int, gap: timedelta
) -> tuple[float | None, set[str]]:
    """Return after how many batches the first alarm comes, and what it names.

    Of so many batches that sixty days would take too long, the growth of the evidence tells the
    rest.
    """
    most = int(np.ceil(MAX_DAYS * 86_400 / gap.total_seconds()))
    state, log_wealth = detector.start(), []
    for number in range(1, min(most, MAX_DROPS) + 1):
        batch = changed[(start + number - 1) % len(changed)]
        state, found = monitor.advance(state, batch, EPOCH + number * gap)
        if blamed := {each.subject for each in found if each.alarm}:
            return number, blamed
        log_wealth.append(float(np.log(max(each.e_value for each in found))))
    half = len(log_wealth) // 2
    growth = (log_wealth[-1] - log_wealth[half]) / max(len(log_wealth) - 1 - half, 1)
    if most <= MAX_DROPS or growth <= 0:
        return None, set()
    more = len(log_wealth) - log_wealth[-1] / growth
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
    taken = ledger.ingestions.history(newest=MAX_BATCHES)
    sizes = [n for n in taken["rows_added"].tolist() if n]
    return int(np.median(sizes)) if sizes else USUAL_ROWS


def _n_rows(batch: Profile, release: MonitoredRelease) -> int:
    """Return the rows of a batch; late labels are counted in `n` too."""
    return sum(batch.counts.get(release.champion.manifest.features[0], ()))


def _drawn(reference: Reference, rows: int, seed: int) -> list[Profile]:
    """Draw batches from the counts of the reference, where there are no batches yet."""
    rng, drawn = np.random.default_rng(seed), []
    labelled = sum(reference.profile.counts[LABELLED]) / max(reference.profile.n, 1)
    for _ in range(MAX_BATCHES):
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
