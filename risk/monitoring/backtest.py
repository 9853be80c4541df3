"""Backtest: the alarms another alarm policy would have raised over the stored history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from risk import store
from risk.cli import Result
from risk.config import Alarms, Config
from risk.errors import ModelError
from risk.ledger.ledger import Ledger
from risk.models import model, releases
from risk.monitoring import assessment, detector, findings
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
            f"{self.policy.tolerance:g} sd: {len(self.alarms)} alarms of {len(first)} causes and "
            f"{self.n_warnings} early warnings in {self.n_batches} batches over "
            f"{self.days:.1f} days"
        )
        return "\n".join([head, *map(str, first)])


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
    alarms: list[Alarm] = []
    n_warnings = 0
    for version in sorted({look.version for look in seen}):
        reference = _reference(config, version)
        monitor, state, earlier = Detector(reference, rules), detector.start(), []
        looks = [look for look in seen if look.version == version]
        for look in track(looks, f"backtest of release {version}", unit="batch"):
            batch = Profile.from_json(look.profile)
            earlier.append(batch)
            state, evidence = monitor.advance(state, batch, look.assessed_at)
            n_warnings += sum(e.warning for e in evidence)
            recent = assessment.pool(earlier[-assessment.MAX_POOLED :])
            found = [findings.of_evidence(e, reference, recent) for e in evidence if e.alarm]
            alarms += [
                Alarm(look.assessed_at, version, replace(f, detail=describe(f.as_row())))
                for f in found
            ]
    days = (seen[-1].assessed_at - seen[0].assessed_at).total_seconds() / 86_400 if seen else 0.0
    return Replay(tuple(alarms), policy, len(seen), days, n_warnings)


def _reference(config: Config, version: int) -> Reference:
    folder = releases.release_path(config.deployment_folder, version)
    manifest = model.load_manifest(folder, store.signing_key(config))
    if model.REFERENCE not in manifest.files:
        raise ModelError(f"release {version} has no reference to replay against")
    return Reference.from_json(model.read_checked(folder, model.REFERENCE, manifest))
