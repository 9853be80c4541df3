"""Incidents: opened once per cause, not repeated while open, resolved when over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from risk.ledger.findings import BESIDE_A_FAULT
from risk.monitoring.findings import CONSTANT, OF_DATA, WARNED_SINCE, Finding

OF_LABELS = {"model_drift", "calibration_drift", "label_drift"}
SEVERITIES = ("negligible", "small", "moderate", "large")


@dataclass(frozen=True)
class Span:
    """The first and last ingestion of a batch, and the previous ingestion with rows."""

    first: int
    last: int
    before: int


@dataclass(frozen=True)
class Spans:
    """Which rows a batch is about: those that came, and those that labels came for."""

    rows: Span
    labels: Span

    def of(self, alarm: Finding) -> Span:
        """Return the rows that an alarm is about."""
        return self.labels if alarm.check_name in OF_LABELS else self.rows


@dataclass(frozen=True)
class Limits:
    """After how many quiet days an incident is over, and how many batches of a fault are asked."""

    days_until_resolved: float
    ask_first_batches: int


@dataclass(frozen=True)
class Changes:
    """The changes to incidents made by one assessment."""

    opened: tuple[dict[str, Any], ...]
    seen_again: tuple[dict[str, Any], ...]
    resolved: tuple[int, ...]


def update(
    open_incidents: Sequence[Any],
    alarms: Sequence[Finding],
    *,
    now: datetime,
    limits: Limits,
    spans: Spans,
) -> Changes:
    """Open one incident per cause, update those still seen, and resolve those long quiet.

    A cause is a kind of finding on one subject; if the feed is broken, it is the cause of all other
    findings on the same rows. A column that was so for more than `ask_first_batches` in a row is
    the new normal: it explains nothing away, least of all that the model does worse.
    """
    known = {(incident.kind, incident.subject): incident for incident in open_incidents}

    def times_seen(alarm: Finding) -> int:
        before = known.get((alarm.check_name, alarm.feature or ""))
        return 1 + before.times_seen * _in_a_row(before, spans.of(alarm)) if before else 1

    broken = [
        alarm
        for alarm in alarms
        if alarm.is_broken_feed
        and not alarm.facts.get(BESIDE_A_FAULT)
        and not is_normal(alarm.feature or "", times_seen(alarm), limits.ask_first_batches)
    ]
    relevant = [a for a in alarms if a.check_name == "data_quality"] if broken else alarms
    causes = _strongest(relevant)
    opened = [
        {
            "kind": kind,
            "subject": subject,
            "severity": alarm.severity,
            **evidence_of(alarm),
            "since_ingestion_id": spans.of(alarm).first,
            "last_ingestion_id": spans.of(alarm).last,
        }
        for (kind, subject), alarm in causes.items()
        if (kind, subject) not in known
    ]
    again = [
        {
            "id": known[cause].id,
            "severity": _worse(known[cause].severity, alarm.severity),
            **evidence_of(_as_first_warned(alarm, known[cause])),
            "times_seen": times_seen(alarm),
            "last_ingestion_id": spans.of(alarm).last,
        }
        for cause, alarm in causes.items()
        if cause in known
    ]
    limit = now - timedelta(days=limits.days_until_resolved)
    over = [
        incident.id
        for cause, incident in known.items()
        if cause not in causes and incident.last_seen_at <= limit
    ]
    return Changes(tuple(opened), tuple(again), tuple(over))


def is_normal(subject: str, times_seen: int, ask_first_batches: int) -> bool:
    """Whether a fault was seen for so long that it must be the new normal.

    Only the values of a column can become normal, not what is odd about a drop or its labels.
    """
    return times_seen > ask_first_batches and not subject.startswith("(")


def of_kind(open_incidents: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    """Select incidents by the names in `policy.retrain_on`: all data drift is one kind."""
    kinds = {kind for name in wanted for kind in (OF_DATA if name == "data_drift" else {name})}
    return [incident for incident in open_incidents if incident.kind in kinds]


def worst_first(open_incidents: Sequence[Any]) -> list[Any]:
    """Sort by rank, the oldest first of those that are equal."""
    return sorted(open_incidents, key=lambda incident: rank(incident.severity, incident.kind))


def rank(severity: str, kind: str) -> tuple[int, int]:
    """Return the place of an incident among others: the smaller, the worse.

    Of equally severe ones a broken column comes first, since it may have caused the rest, and two
    columns taken together come last, since they say less than one.
    """
    return -SEVERITIES.index(severity), {"data_quality": 0, "joint_drift": 2}.get(kind, 1)


def is_worse(severity: str, before: str | None) -> bool:
    """Whether a severity is above that of before."""
    return before is not None and SEVERITIES.index(severity) > SEVERITIES.index(before)


def evidence_of(alarm: Finding) -> dict[str, Any]:
    """Return the finding of an alarm under the column names of an incident."""
    row = alarm.as_row()
    names = ("detail", "direction", "value_before", "value_after", "facts", "method", "n")
    return {name: row[name] for name in (*names, "e_value")} | {"effect": alarm.drift_score}


def _as_first_warned(alarm: Finding, incident: Any) -> Finding:
    """Date the warning before an incident opened; while it is open, warnings say nothing new."""
    facts = {name: fact for name, fact in alarm.facts.items() if name != WARNED_SINCE}
    first = json.loads(incident.facts or "{}").get(WARNED_SINCE)
    return replace(alarm, facts=facts | ({WARNED_SINCE: first} if first else {}))


def _strongest(alarms: Sequence[Finding]) -> dict[tuple[str, str], Finding]:
    """Return the alarm that says most of each kind and subject, the strongest first."""
    causes: dict[tuple[str, str], Finding] = {}
    for alarm in sorted(alarms, key=_place_among_alarms):
        causes.setdefault((alarm.check_name, alarm.feature or ""), alarm)
    return causes


def _place_among_alarms(alarm: Finding) -> tuple[int, bool]:
    """Sort by severity; "is 92.5 in all rows" says more than how a detector saw the same."""
    return -SEVERITIES.index(alarm.severity), alarm.method != CONSTANT


def _in_a_row(incident: Any, batch: Span) -> bool:
    """Return whether the incident was seen in the previous batch of rows."""
    return bool((incident.last_ingestion_id or 0) >= batch.before > 0)


def _worse(first: str, second: str) -> str:
    return max(first, second, key=SEVERITIES.index)
