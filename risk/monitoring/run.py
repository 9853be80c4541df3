"""Monitoring of a run: assess new rows once, record the findings, update the incidents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from risk.config import Config
from risk.data import part_files
from risk.data.statistics import as_rows, summarise
from risk.ledger.assessments import Case
from risk.ledger.ledger import Ledger
from risk.models import releases, training_data
from risk.monitoring import assessment, data_quality, detector, incidents, monitored_release
from risk.monitoring.assessment import Assessment, Batch
from risk.monitoring.detector import State
from risk.monitoring.findings import Finding
from risk.monitoring.incidents import Span
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import Profile

MAX_PARTS_BEFORE = 20


@dataclass(frozen=True)
class Writer:
    """The functions that write the texts of the ledger, for findings and for assessments."""

    finding: Callable[[Mapping[str, Any]], str]
    summary: Callable[[Mapping[str, Any]], str]
    cause: Callable[[Mapping[str, Any]], str]


SILENT = Writer(lambda _: "", lambda _: "", lambda _: "")


def assess(config: Config, ledger: Ledger, *, describe: Writer = SILENT) -> Assessment | None:
    """Assess new rows against the live release, and record the findings."""
    new = ledger.ingestions.unassessed()
    if not new:
        return None
    with ledger.runs.stage("monitoring"):
        live = monitored_release.load(config)
        version = live.champion.manifest.version or 0
        batch = _batch(config, ledger, live, new)
        found = assessment.assess(live, _state(ledger, version), batch, config)
        features = live.champion.manifest.features
        limit = data_quality.History.before(config, ledger, new[0].id).limit
        constants = data_quality.check_constants(live.reference, batch.rows, features, limit)
        found = found.with_findings([*constants, *data_quality.check_drops(config, ledger, new)])
        found = found.described(describe.finding)
        case = _case(config, ledger, live, found, new)
        summary, cause = describe.summary(found.facts), describe.cause(found.facts)
        ledger.assessments.record(replace(case, summary=summary, cause=cause))
    return found


def record_statistics(config: Config, ledger: Ledger, batch: Sequence[int]) -> None:
    """Record the column statistics of these ingestions."""
    rows = part_files.read(config, ledger, sorted({*batch} & {*ledger.ingestions.parts()}))
    ledger.column_statistics.record(as_rows(summarise(rows, config.columns)))


def rehearse(config: Config, ledger: Ledger, rows: pd.DataFrame) -> Assessment:
    """Return what the detectors would find in rows not accepted yet; write nothing."""
    live = monitored_release.load(config)
    version = live.champion.manifest.version or 0
    batch = replace(_batch(config, ledger, live, []), rows=rows)
    return assessment.assess(live, _state(ledger, version), batch, config)


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


def _state(ledger: Ledger, version: int) -> State:
    stored = ledger.assessments.detector_state(version)
    return State.from_json(stored) if stored else detector.start()


def _batch(config: Config, ledger: Ledger, live: MonitoredRelease, new: Sequence[Any]) -> Batch:
    """Read the new rows and labels, and the batches just before."""
    added: dict[str, list[int]] = {"rows": [], "labels": []}
    for ingestion in new:
        if ingestion.rows_added:
            added[ingestion.kind].append(ingestion.id)
    manifest = live.champion.manifest
    seen = ledger.assessments.history(manifest.version, newest=assessment.MAX_POOLED)
    return Batch(
        rows=training_data.accepted(config, ledger, added["rows"]),
        before=_before(config, ledger, manifest.trained_through, added["rows"]),
        ripened=ledger.labels.with_predictions(added["labels"]),
        arrived_at=ledger.now(),
        earlier=[Profile.from_json(look.profile) for look in seen],
    )


def _before(config: Config, ledger: Ledger, seen: int, new: Sequence[int]) -> pd.DataFrame:
    """Read some rows that arrived since the release, but before the new ones."""
    if not config.checks.domain_classifier:
        return training_data.accepted(config, ledger, [])
    parts = [number for number in ledger.ingestions.parts() if number > seen and number not in new]
    return training_data.accepted(config, ledger, parts[-MAX_PARTS_BEFORE:])


def _span(ledger: Ledger, new: Sequence[Any]) -> Span:
    """Return the ingestions that brought a batch's rows, or the rows of its labels."""
    parts, known = ledger.ingestions.parts(), {ingestion.id for ingestion in new}
    own = [number for number in parts if number in known]
    own = own or ledger.labels.labelled_parts(sorted(known))
    own = own or [new[0].id]
    return Span(own[0], max(own[-1], new[-1].id), max((p for p in parts if p < own[0]), default=0))


def _case(
    config: Config, ledger: Ledger, live: MonitoredRelease, found: Assessment, new: Sequence[Any]
) -> Case:
    """Return everything that must be committed at once."""
    version = live.champion.manifest.version or 0
    changes = incidents.update(
        ledger.incidents.unresolved(),
        found.alarms,
        now=ledger.now(),
        days_until_resolved=config.alarms.days_until_resolved,
        batch=_span(ledger, new),
    )
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
        predictions=as_rows(found.predictions),
        opened=changes.opened,
        seen_again=changes.seen_again,
        resolved=changes.resolved,
    )
