"""Backtest: the alarms another alarm policy would have raised over the stored history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from risk import engine
from risk.cli import Result
from risk.config import Alarms, Config
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.monitoring import assessment, detector, findings, reference_file
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import Detector
from risk.monitoring.findings import Finding
from risk.monitoring.profile import Profile
from risk.monitoring.reference import Reference
from risk.progress import track


@dataclass(frozen=True)
class Alarm:
    """An alarm that would have been raised."""

    at: datetime
    version: int
    finding: Finding

    def __str__(self) -> str:
        """Return its finding as text."""
        kind = self.finding.check_name.replace("_", " ")
        return f"{self.at:%Y-%m-%d %H:%M}  release {self.version}  {kind}: {self.finding.detail}"


@dataclass(frozen=True)
class Replay(Result):
    """The alarms of a policy over the stored history."""

    alarms: tuple[Alarm, ...]
    policy: Alarms
    n_batches: int
    days: float
    n_warnings: int = 0

    def __str__(self) -> str:
        causes = {
            (alarm.version, alarm.finding.check_name, alarm.finding.feature): alarm
            for alarm in self.alarms[::-1]
        }
        first = sorted(causes.values(), key=lambda alarm: alarm.at)
        head = (
            f'with a budget of "{self.policy.false_alarm_budget}" and a tolerance of '
            f"{self.policy.tolerance:g} sd: {_counted(len(self.alarms), 'alarm')} of "
            f"{_counted(len(first), 'cause')} and {_counted(self.n_warnings, 'early warning')} in "
            f"{_counted(self.n_batches, 'batch', 'batches')} over {self.days:.1f} days"
        )
        return "\n".join([head, *map(str, first)])


def _counted(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def policy_with(alarms: Alarms, changes: Mapping[str, Any]) -> Alarms:
    """Return an alarm policy with some changes; ValidationError if one is invalid.

    The budget of warnings gives way to a larger one of false alarms, as its default does.
    """
    checked = Alarms(**changes)
    return alarms.model_copy(update={name: getattr(checked, name) for name in changes})


def replay(
    config: Config,
    ledger: Ledger,
    policy: Alarms,
    *,
    describe: Callable[[Mapping[str, Any]], str] = lambda _: "",
) -> Replay:
    """Run the detectors of each release over its stored batches; write nothing."""
    rules = replace(Rules.of(config), alarms=policy)
    existing = releases.versions(config.deployment_folder)
    seen = [batch for batch in ledger.assessments.history() if batch.version in existing]
    versions = sorted({look.version for look in seen})
    pasts = [
        _Past(
            version,
            _reference(config, version),
            [(look.profile, look.assessed_at) for look in seen if look.version == version],
        )
        for version in versions
    ]
    played = engine.of(config).map(partial(_play, rules), pasts)
    results = [*track(played, "backtest", unit="release", total=len(pasts))]
    alarms = [
        replace(alarm, finding=replace(alarm.finding, detail=describe(alarm.finding.as_row())))
        for found, _ in results
        for alarm in found
    ]
    n_warnings = sum(warnings for _, warnings in results)
    days = (seen[-1].assessed_at - seen[0].assessed_at).total_seconds() / 86_400 if seen else 0.0
    return Replay(tuple(alarms), policy, len(seen), days, n_warnings)


@dataclass(frozen=True)
class _Past:
    """What a release has seen: the profile of each batch, and when."""

    version: int
    reference: Reference
    looks: Sequence[tuple[str, datetime]]


def _play(rules: Rules, past: _Past) -> tuple[list[Alarm], int]:
    """Run the detectors of one release over its batches; return alarms, and count warnings."""
    monitor, state, earlier = Detector(past.reference, rules), detector.start(), []
    alarms, n_warnings = [], 0
    for profile, assessed_at in past.looks:
        batch = Profile.from_json(profile)
        earlier.append(batch)
        state, evidence = monitor.advance(state, batch, assessed_at)
        n_warnings += sum(e.warning for e in evidence)
        recent = assessment.pool(earlier[-assessment.MAX_POOLED :])
        found = [findings.of_evidence(e, past.reference, recent) for e in evidence if e.alarm]
        alarms += [Alarm(assessed_at, past.version, finding) for finding in found]
    return alarms, n_warnings


def _reference(config: Config, version: int) -> Reference:
    folder = releases.release_path(config.deployment_folder, version)
    manifest = model.load_manifest(folder, signing.key(config))
    return reference_file.read(folder, manifest)
