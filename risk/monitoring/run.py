"""Monitoring of a run: assess new rows once, record the findings, update the incidents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from risk import engine, store
from risk.config import Config
from risk.data.portions import max_rows
from risk.data.statistics import as_rows, each_row, summarise_accepted
from risk.lazily import pandas as pd
from risk.ledger.assessments import Case
from risk.ledger.ledger import Ledger
from risk.models import releases, training_data
from risk.models.dating import INGESTION, with_moments
from risk.models.model import Manifest
from risk.monitoring import (
    assessment,
    data_quality,
    detector,
    first_release,
    follow_up,
    incidents,
    late_labels,
    monitored_release,
    outcomes,
    score_changes,
)
from risk.monitoring.assessment import Assessment, Batch
from risk.monitoring.detector import State
from risk.monitoring.findings import Finding
from risk.monitoring.incidents import Changes, Limits, Span, Spans
from risk.monitoring.late_labels import LateLabels
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import Profile
from risk.monitoring.reference import OF_THE_MODEL

MAX_PARTS_BEFORE = 20


@dataclass(frozen=True)
class Writer:
    """The functions that write the texts of the ledger, for findings and for assessments."""

    finding: Callable[[Mapping[str, Any]], str]
    summary: Callable[[Mapping[str, Any]], str]
    cause: Callable[[Mapping[str, Any]], str]


SILENT = Writer(lambda _: "", lambda _: "", lambda _: "")


@dataclass(frozen=True)
class Arrived:
    """Ingestions that are assessed together, and those that are assessed after them."""

    new: Sequence[Any]
    later: Sequence[Any] = ()

    @property
    def parts(self) -> list[int]:
        """The new ones that brought rows; any of them may bring labels."""
        return _parts_of(self.new)

    @property
    def later_ids(self) -> set[int]:
        """The later ones, of which nothing is known yet."""
        return {ingestion.id for ingestion in self.later}

    @property
    def unseen_parts(self) -> list[int]:
        """All that brought rows which are not assessed yet."""
        return _parts_of([*self.new, *self.later])


def assess(
    config: Config, ledger: Ledger, *, describe: Writer = SILENT, at_once: int | None = None
) -> Assessment | None:
    """Assess new rows against the live release, and record the findings.

    Very many are assessed some after others, as many `at_once` as a portion of a drop may have, and
    each time as if the later ones had yet to come: what is found is what a run after each of these
    times finds, and memory is bounded.
    """
    found = None
    most = at_once or max_rows(config.columns)
    if groups := _groups(ledger.ingestions.unassessed(), most):
        with ledger.runs.stage("monitoring"):
            live = monitored_release.load(config)
            for arrived in groups:
                latest = _assess_together(config, ledger, live, arrived, describe)
                found = latest.after(found) if found else latest
    return found


def _assess_together(
    config: Config, ledger: Ledger, live: MonitoredRelease, arrived: Arrived, describe: Writer
) -> Assessment:
    """Assess new ingestions and record it; what is recorded is not kept in memory."""
    store.release_memory()
    with engine.one_thread():  # several, of few rows, wait for each other at every tree
        found, case = _look(config, ledger, live, arrived, describe)
    ledger.assessments.record(case)
    return found


def _groups(ingestions: Sequence[Any], at_once: int) -> list[Arrived]:
    """Divide ingestions, in order, into groups of so many rows or of a single one."""
    starts, n_rows = [0], 0
    for place, ingestion in enumerate(ingestions):
        n_rows += ingestion.rows_added
        if n_rows > at_once and place > starts[-1]:
            starts.append(place)
            n_rows = ingestion.rows_added
    ends = [*starts[1:], len(ingestions)]
    return [
        Arrived(ingestions[start:end], ingestions[end:])
        for start, end in zip(starts, ends, strict=True)
        if start < end
    ]


def _look(
    config: Config,
    ledger: Ledger,
    live: MonitoredRelease,
    arrived: Arrived,
    describe: Writer,
) -> tuple[Assessment, Case]:
    """Assess the rows and labels of new ingestions; return everything there is to record."""
    new = arrived.new
    numbers = [ingestion.id for ingestion in new]
    late = late_labels.gather(config, ledger, live, numbers, new_parts=arrived.unseen_parts)
    batch = _batch(config, ledger, live, arrived, late)
    found = assessment.assess(live, _state(ledger, live.champion.manifest), batch, config)
    found = found.with_findings(data_quality.check_drops(config, ledger, new))
    found = score_changes.added(found, _score_change(config, ledger, live, batch, arrived))
    found = found.described(describe.finding)
    case = _case(live, found, new, _changes(config, ledger, found, batch, new))
    return found, replace(
        case,
        scores=[*case.scores, *late.earlier_scores],
        follow_ups=follow_up.of_batch(config, ledger, live, batch, found),
        against_first=first_release.compare(config, ledger, live, batch, found),
        summary=describe.summary(found.facts),
        cause=describe.cause(found.facts),
    )


def record_statistics(config: Config, ledger: Ledger, batch: Sequence[int]) -> None:
    """Record the column statistics of these ingestions, if there are any."""
    if batch:
        parts = ledger.parts.among(batch)
        ledger.column_statistics.record(as_rows(summarise_accepted(config, ledger, parts)))


def rehearse(config: Config, ledger: Ledger, rows: pd.DataFrame) -> Assessment:
    """Return what the detectors would find in rows not accepted yet; write nothing."""
    live = monitored_release.load(config)
    late = late_labels.gather(config, ledger, live, [])
    rows = with_moments(rows, config.columns.event_time, ledger.now())
    batch = replace(_batch(config, ledger, live, Arrived([]), late), rows=rows)
    return assessment.assess(live, _state(ledger, live.champion.manifest), batch, config)


def note_arrival(config: Config, ledger: Ledger, *, describe: Writer = SILENT) -> list[Finding]:
    """Open an incident, once, if drops have been absent for longer than chance explains."""
    known = {incident.subject for incident in ledger.incidents.unresolved()}
    late = [f for f in data_quality.check_arrival(config, ledger) if f.drift_detected]
    fresh = [
        replace(finding, detail=describe.finding(finding.as_row()))
        for finding in late
        if finding.feature not in known
    ]
    ledger.findings.record([finding.as_row() for finding in fresh])
    for finding in fresh:
        ledger.incidents.open(
            {
                "version": releases.live_version(config.deployment_folder),
                "kind": finding.check_name,
                "subject": finding.feature,
                "severity": finding.severity,
                **incidents.evidence_of(finding),
            }
        )
    return fresh


def _state(ledger: Ledger, live: Manifest) -> State:
    """Return the evidence so far; where a release kept the reference of another, its evidence."""
    stored = ledger.assessments.detector_state(live.version or 0)
    if stored is None and live.reference_of is not None:
        stored = ledger.assessments.detector_state(live.reference_of)
        return State.from_json(stored).without(OF_THE_MODEL) if stored else detector.start()
    return State.from_json(stored) if stored else detector.start()


def _parts_of(new: Sequence[Any]) -> list[int]:
    return [i.id for i in new if i.rows_added and i.kind == "rows"]


def _batch(
    config: Config, ledger: Ledger, live: MonitoredRelease, arrived: Arrived, late: LateLabels
) -> Batch:
    """Read the new rows and labels, and the batches just before."""
    new = arrived.new
    first_new = new[0].id if new else ledger.ingestions.last_id() + 1
    manifest = live.champion.manifest
    seen = ledger.assessments.history(manifest.version, newest=assessment.MAX_POOLED)
    return Batch(
        rows=training_data.accepted(config, ledger, arrived.parts, without=arrived.later_ids),
        before=_before(config, ledger, manifest.trained_through, arrived.unseen_parts),
        ripened=late.ripened,
        labels=late.labels,
        arrived_at=ledger.now(),
        earlier=[Profile.from_json(look.profile) for look in seen],
        limit=data_quality.History.before(config, ledger, first_new).limit,
        ingestion_ids=[ingestion.id for ingestion in new],
    )


def _score_change(
    config: Config, ledger: Ledger, live: MonitoredRelease, batch: Batch, arrived: Arrived
) -> dict[str, Any] | None:
    """Say why the score changed; without new labels, what was known of the live release."""
    if len(outcomes.labels_of(batch.rows, batch.labels, config.columns.target)):
        rows = score_changes.newest_labelled(config, ledger, live, without=arrived.later_ids)
        return score_changes.explain(live, rows, config, now=ledger.now())
    known: dict[str, Any] | None = ledger.assessments.score_change(live.champion.manifest.version)
    return known


def _before(config: Config, ledger: Ledger, seen: int, new: Sequence[int]) -> pd.DataFrame:
    """Read some rows that arrived since the release, but before the new ones."""
    if not config.checks.domain_classifier:
        return training_data.accepted(config, ledger, [])
    parts = [number for number in ledger.parts.ids(after=seen) if number not in new]
    return training_data.accepted(config, ledger, parts[-MAX_PARTS_BEFORE:])


def _changes(
    config: Config, ledger: Ledger, found: Assessment, batch: Batch, new: Sequence[Any]
) -> Changes:
    """Say what becomes of the incidents; what labels say is dated by the rows they belong to."""
    numbers = [ingestion.id for ingestion in new]
    came = ledger.parts.among(numbers)
    is_labelled = batch.rows[config.columns.target].notna()
    labelled = {*batch.rows.loc[is_labelled, INGESTION], *ledger.labels.labelled_parts(numbers)}
    dated_by_labels = sorted(int(number) for number in labelled)

    def span(own: Sequence[int]) -> Span:
        own = own or came or dated_by_labels or numbers[:1]
        last = max(own[-1], numbers[-1])
        return Span(own[0], last, ledger.parts.before(own[0]) or 0)

    return incidents.update(
        ledger.incidents.unresolved(),
        found.alarms,
        now=ledger.now(),
        limits=Limits(config.alarms.days_until_resolved, config.policy.ask_first_batches),
        spans=Spans(span(came), span(dated_by_labels)),
    )


def _case(live: MonitoredRelease, found: Assessment, new: Sequence[Any], changes: Changes) -> Case:
    """Bring together everything that has to be committed at once."""
    version = live.champion.manifest.version or 0
    scored = {"model_sha256": live.champion.sha256, "version": version}
    return Case(
        version=version,
        n=len(found.predictions),
        profile=found.profile.to_json(),
        state=found.state.to_json(),
        attribution=assessment.attribution_json(found.attribution),
        facts=json.dumps(found.facts),
        ingestion_ids=[ingestion.id for ingestion in new],
        findings=[finding.as_row() for finding in found.findings],
        scores=[scored | row for row in found.score_rows()],
        predictions=each_row(found.predictions),
        opened=changes.opened,
        seen_again=changes.seen_again,
        resolved=changes.resolved,
    )
