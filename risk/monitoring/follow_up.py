"""What came after each alarm: how far later rows are from the reference that raised it.

A follow-up compares the rows of one later batch with what was expected of them by the release that
raised the alarm, in the direction it named, also if another release is live by then: one that
was trained on the change does not undo it. Rows that raised the alarm take no part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.config import Columns, Config
from risk.errors import RiskError
from risk.lazily import pandas as pd
from risk.ledger.database import Record
from risk.ledger.ledger import Ledger
from risk.monitoring import alarm_budget, monitored_release
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.assessment import Assessment, Batch
from risk.monitoring.broken_feed import LABELS
from risk.monitoring.findings import CONSTANT
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import Profile
from risk.monitoring.reference import LABELLED, Reference
from risk.stats.evidence import UNKNOWN_CORRELATION

MAX_LOOKS = 20
DAYS_FOLLOWED = 180  # labels may come late
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """The rows of one batch after an alarm.

    `shift` is their mean less the one expected at their time, `tolerated` what of it is tolerated
    or doubt about the reference, `standard_error` that of the mean if the rows vary as those of
    the reference; all in standard deviations of the reference. If a column had one value in all
    rows, the unit is the share of the rows that had another one before.
    """

    n: int
    shift: float
    tolerated: float
    standard_error: float


@dataclass(frozen=True)
class _Direction:
    """The score of each cell, and what is expected and tolerated of its mean."""

    values: Floats
    expected: float
    tolerated: float
    unit: float
    spread: float
    correlation: float


def of_batch(
    config: Config,
    ledger: Ledger,
    live: MonitoredRelease,
    batch: Batch,
    found: Assessment,
) -> list[dict[str, Any]]:
    """Follow up the alarms before this batch; return the rows for the ledger."""
    followed = _followed(ledger, batch.arrived_at)
    profiles: dict[int, tuple[Reference, Profile] | None] = {
        live.champion.manifest.version or 0: (live.reference, found.profile)
    }
    rows = []
    for incident in followed:
        version = incident.version
        if version not in profiles:
            profiles[version] = _as_seen_by(config, ledger, version, batch)
        if known := profiles[version]:
            look = of_incident(*known, incident, config)
            rows += [{"incident_id": incident.id, **asdict(look)}] if look else []
    return rows


def versions_followed(ledger: Ledger, now: datetime) -> set[int]:
    """Return the releases whose alarms are still followed up."""
    return {incident.version for incident in _followed(ledger, now)}


def of_incident(
    reference: Reference, profile: Profile, incident: Any, config: Config
) -> Look | None:
    """Compare the rows of a profile with a reference in the direction of an incident.

    None if the profile has no such rows, or the incident names no direction of a subject.
    """
    subject = reference.target if incident.subject == LABELS else incident.subject
    counts = np.array(profile.counts.get(subject, ()), np.float64)
    if not counts.sum() or subject not in reference.profile.counts:
        return None
    if incident.method == CONSTANT:
        direction = _of_constant(reference, subject, incident, config)
    else:
        direction = _watched(reference, subject, incident, profile, config)
    if direction is None:
        return None
    n = int(counts[~np.isnan(direction.values)].sum())
    if not n:
        return None
    mean = float(np.nan_to_num(direction.values) @ counts / n)
    design = 1 + (n - 1) * direction.correlation
    return Look(
        n=n,
        shift=(mean - direction.expected) / direction.unit,
        tolerated=direction.tolerated / direction.unit,
        standard_error=float(direction.spread * np.sqrt(design / n) / direction.unit),
    )


def name_of_direction(incident: Any) -> str:
    """Return the name under which the detector knows the direction of an incident."""
    facts = _facts(incident)
    if incident.subject == LABELLED and "metric" in facts:
        return str(facts["metric"])
    level = facts.get("level")
    return f"{level} {incident.direction}" if level is not None else str(incident.direction)


def _followed(ledger: Ledger, now: datetime) -> list[Record]:
    since = now - timedelta(days=DAYS_FOLLOWED)
    return ledger.account.followed(most=MAX_LOOKS, since=since)


def _watched(
    reference: Reference, subject: str, incident: Any, profile: Profile, config: Config
) -> _Direction | None:
    """Return the direction in which the detector watches a subject, at the time of the rows."""
    when = profile.when(alarm_budget.dated_by(reference, subject))
    monitored = alarm_budget.monitor(reference, subject, Rules.of(config), 1.0).at(when)
    chosen, name = monitored.directions, name_of_direction(incident)
    if name not in chosen.names:
        return None
    i = chosen.names.index(name)
    unit = alarm_budget.unit_of(chosen, i)
    return _Direction(
        values=chosen.values[i],
        expected=float(chosen.means[i]),
        tolerated=float(chosen.null_means[i] - chosen.means[i]),
        unit=unit,
        spread=max(float(chosen.spreads[i]), float(monitored.bets.spreads[i])),
        correlation=float(monitored.correlation[i]),
    )


def _of_constant(
    reference: Reference, subject: str, incident: Any, config: Config
) -> _Direction | None:
    """Return the share of rows in the cell of the value that all rows had."""
    cell = _cell(reference, subject, _facts(incident).get("value"), config.columns)
    if cell is None:
        return None
    counts = reference.profile.counts[subject]
    share = (counts[cell] + 1) / (sum(counts) + 1)
    spread = float(np.sqrt(share * (1 - share)))
    return _Direction(
        values=np.eye(len(counts))[cell],
        expected=share,
        tolerated=config.alarms.tolerance * spread,
        unit=max(1 - share, 1e-12),
        spread=spread,
        correlation=UNKNOWN_CORRELATION,
    )


def _cell(reference: Reference, subject: str, value: Any, columns: Columns) -> int | None:
    if subject == reference.target:
        labels = [str(columns.negative_label), str(columns.positive_label)]
        spelt = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        return labels.index(spelt) if spelt in labels else None
    column = reference.subjects[subject]
    if column is None:
        return None
    kind = "object" if column.edges is None else "float64"
    return int(column.codes(pd.Series([value], dtype=kind))[0])


def _as_seen_by(
    config: Config, ledger: Ledger, version: int, batch: Batch
) -> tuple[Reference, Profile] | None:
    """Count the rows and labels of a batch as an earlier release would; None if it is no more."""
    try:
        earlier = monitored_release.load(config, version)
    except RiskError:
        return None
    reference = earlier.reference
    late = ledger.labels.with_predictions(batch.ingestion_ids)
    own = late[late["version"] == version]
    profile = reference.count_outcomes(own["y_pred_proba"], own["y_true"])
    if len(batch.rows):
        frame = earlier.frame(batch.rows, earlier.predictions(batch.rows))
        profile = reference.count(frame).plus(profile)
    return reference, profile


def _facts(incident: Any) -> Mapping[str, Any]:
    known: Mapping[str, Any] = json.loads(incident.facts) if incident.facts else {}
    return known
