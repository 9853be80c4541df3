"""Assessment of a batch: rows and late labels in, one record of all findings out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from risk import engine
from risk.config import Config
from risk.lazily import pandas as pd
from risk.models import attribution
from risk.models.attribution import Attribution, Predicted
from risk.models.dating import MOMENT
from risk.monitoring import (
    broken_feed,
    detector,
    findings,
    multivariate,
    outcomes,
    seasonality,
)
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import Detector, State
from risk.monitoring.findings import Finding
from risk.monitoring.monitored_release import MonitoredRelease, expected_brier
from risk.monitoring.outcomes import INFORMS
from risk.monitoring.profile import Profile, cells_moved, count, numeric_column
from risk.schema import ROW_HASH
from risk.stats.directions import AGAINST, TOGETHER
from risk.stats.scores import Estimate

ENOUGH_TO_DESCRIBE = 200
MAX_POOLED = 40
MAX_DESCRIBED = 100  # findings with distances, which are bootstrapped; the strongest come first
MAX_EXPLAINED, MAX_PARTS = 2, 3


@dataclass(frozen=True)
class Batch:
    """The rows and labels that arrived since the last assessment, and when.

    `before` are rows that arrived before these, for the domain classifier; `ripened` are labels
    with the live release's predictions, `version` being the release that predicted when the row
    arrived; `labels` are all labels that arrived late; `earlier` are the profiles of earlier
    batches, newest last; `limit` is the p-value below which a check of the feed raises an alarm;
    `ingestion_ids` brought the rows and the labels.
    """

    rows: pd.DataFrame
    before: pd.DataFrame
    ripened: pd.DataFrame
    arrived_at: datetime
    earlier: Sequence[Profile]
    labels: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"y_true": []}))
    limit: float = 0.0
    ingestion_ids: Sequence[int] = ()


@dataclass(frozen=True)
class Assessment:
    """Everything one assessment found."""

    findings: tuple[Finding, ...]
    state: State
    profile: Profile
    predictions: pd.DataFrame
    attribution: Attribution | None
    scores: dict[str, dict[str, Estimate]]
    cause: Mapping[str, Any] = field(default_factory=dict)
    n_positive: int | None = None
    seasons: Mapping[str, Any] = field(default_factory=dict)
    score_change: Mapping[str, Any] | None = None

    @property
    def alarms(self) -> list[Finding]:
        """The findings of the detectors that raise an alarm."""
        return [finding for finding in self.findings if finding.drift_detected]

    def with_findings(self, more: Sequence[Finding]) -> Assessment:
        """Return the assessment with findings of other checks added."""
        return replace(self, findings=(*self.findings, *more))

    def after(self, earlier: Assessment) -> Assessment:
        """Add the alarms of an earlier assessment that this one does not raise again."""
        own = {(alarm.check_name, alarm.feature) for alarm in self.alarms}
        others = [a for a in earlier.alarms if (a.check_name, a.feature) not in own]
        return self.with_findings(others)

    def described(self, describe: Callable[[Mapping[str, Any]], str]) -> Assessment:
        """Return the assessment with the text of each finding."""
        worded = (replace(found, detail=describe(found.as_row())) for found in self.findings)
        return replace(self, findings=tuple(worded))

    @property
    def facts(self) -> dict[str, Any]:
        """Return the strongest evidence, what changed risk and score, and the seasons."""
        known = [finding for finding in self.findings if finding.e_value is not None]
        most = max(known, key=lambda finding: finding.e_value or 0.0, default=None)
        moved = _largest(self.attribution) if self.attribution else None
        found = {"strongest": most.evidence() if most else None, "risk": moved, **self.cause}
        return found | {"seasons": self.seasons, "score_change": self.score_change}

    def score_rows(self) -> list[dict[str, Any]]:
        """Return one row per score under the ledger's column names."""
        counted = {outcomes.REALISED: self.n_positive}
        return [
            {"dataset": dataset, "metric": metric, **asdict(estimate)}
            | {"n_positive": counted.get(dataset)}
            for dataset, estimates in self.scores.items()
            for metric, estimate in estimates.items()
        ]


def assess(monitored: MonitoredRelease, state: State, batch: Batch, config: Config) -> Assessment:
    """Update the detectors, estimate scores without labels, and explain what changed."""
    rows, manifest = batch.rows, monitored.champion.manifest
    ripened = batch.ripened[batch.ripened["version"] == manifest.version]
    informing = batch.ripened[batch.ripened[INFORMS]] if INFORMS in batch.ripened else ripened
    profile = monitored.reference.count_outcomes(
        informing["y_pred_proba"], informing["y_true"], informing.get(MOMENT)
    )
    predictions = _no_predictions()
    if len(rows):
        predictions, counted = monitored.look(rows, engine.of(config))
        profile = counted.plus(profile)
    monitor = Detector(monitored.reference, Rules.of(config))
    domain = _domain(monitored, batch, monitor, config)
    state, evidence = monitor.advance(state, profile.plus(domain), batch.arrived_at)
    recent = pool([*batch.earlier, profile])
    labelled = outcomes.labelled(rows, predictions, ripened, manifest.target)
    scores = outcomes.scores(monitored, rows, predictions, labelled, config)
    seen = outcomes.labelled(rows, predictions, informing, manifest.target)
    found = [
        findings.of_evidence(
            told,
            monitored.reference,
            recent,
            described=i < MAX_DESCRIBED or told.alarm or told.warning,
        )
        for i, told in enumerate(_worth_telling(evidence))
    ]
    found = [outcomes.with_scores(each, monitored, seen, config) for each in found]
    found = [
        *_of_the_feed(found, batch, monitored, config),
        *outcomes.estimate_and_truth(labelled, manifest.threshold, config),
    ]
    alarmed = any(each.drift_detected for each in found)
    explained = len(rows) and not manifest.is_watched  # what features do needs the model
    changes = explain(monitored, rows, predictions, config, thorough=alarmed) if explained else []
    return Assessment(
        findings=tuple(found),
        state=state,
        profile=profile,
        predictions=predictions,
        attribution=changes[0] if changes else None,
        scores=scores,
        n_positive=int(labelled["y_true"].sum()) if len(labelled) else None,
        cause=_cause(monitored, changes, recent) if changes else {},
        seasons=seasonality.in_short(monitored.reference),
    )


def _domain(
    monitored: MonitoredRelease, batch: Batch, monitor: Detector, config: Config
) -> Profile:
    """Test whether a classifier trained on earlier rows tells these from the reference."""
    half = len(monitored.sample) // 2
    seen, unseen = monitored.sample.iloc[:half], monitored.sample.iloc[half:]
    seed = config.random_seed
    score = (
        multivariate.domain_score(seen, batch.before, config.columns, random_seed=seed)
        if config.checks.domain_classifier and len(batch.rows)
        else None
    )
    if score is None:
        return Profile(0, {})
    reference, now = pd.Series(score(unseen)), pd.Series(score(batch.rows))
    cells = numeric_column(detector.DOMAIN, reference)
    monitor.monitor_domain(count(cells.codes(reference), cells.size))
    return Profile(0, {detector.DOMAIN: count(cells.codes(now), cells.size)})


def explain(
    monitored: MonitoredRelease,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    config: Config,
    *,
    thorough: bool,
) -> list[Attribution]:
    """Attribute the change of the mean predicted risk since training to the features.

    The second is that of the mean expected loss, where that can be estimated.
    """
    numbers = [predictions["y_pred_proba"].to_numpy()]
    if monitored.calibration:
        numbers.append(expected_brier(predictions["expected_proba"].to_numpy(), numbers[0]))
    sample, features = monitored.sample, monitored.champion.manifest.features
    return attribution.attribute_each(
        monitored.risk_and_loss,
        Predicted(sample[features], monitored.risk_and_loss(sample)),
        Predicted(rows[features], np.column_stack(numbers)),
        rng=np.random.default_rng(config.random_seed),
        thorough=thorough,
    )


def _cause(
    monitored: MonitoredRelease, changes: Sequence[Attribution], recent: Profile
) -> dict[str, Any]:
    """Return how the features changed that contributed most, and what changed the loss."""
    risk, *loss = changes
    columns = {column.name: column for column in monitored.reference.columns}
    moved = {
        name: [
            cell._asdict()
            for cell in cells_moved(columns[name], monitored.reference.profile.counts[name], now)
        ]
        for name, now in ((name, recent.counts[name]) for name in list(risk.parts)[:MAX_EXPLAINED])
        if any(now)
    }
    return {"moved": moved, "loss": _largest(loss[0]) if loss else None}


def _largest(changed: Attribution) -> dict[str, Any]:
    """Return the largest parts of an attribution, and the sum of the others."""
    parts = list(changed.parts.items())
    others = sum(part for _, part in parts[MAX_PARTS:])
    largest = {"parts": dict(parts[:MAX_PARTS]), "others": others}
    return {"before": changed.before, "after": changed.after, **largest}


def pool(profiles: Sequence[Profile]) -> Profile:
    """Merge the latest batches, as many as a distribution requires."""
    merged = profiles[-1]
    for earlier in profiles[-2::-1]:
        if merged.n >= ENOUGH_TO_DESCRIBE:
            break
        merged = earlier.plus(merged)
    return merged


def attribution_json(found: Attribution | None) -> str | None:
    """Return an attribution as JSON for the ledger."""
    return json.dumps(asdict(found)) if found else None


def _no_predictions() -> pd.DataFrame:
    return pd.DataFrame({ROW_HASH: [], "y_pred_proba": [], "expected_proba": []}, dtype="float64")


def _worth_telling(evidence: Sequence[detector.Evidence]) -> list[detector.Evidence]:
    """Return all findings on single subjects, of pairs the alarms, warnings and the strongest."""
    pairs = [e for e in evidence if e.direction in (AGAINST, TOGETHER)]
    dull = [e for e in pairs[1:] if not (e.alarm or e.warning)]
    return [e for e in evidence if e not in dull]


def _of_the_feed(
    found: Sequence[Finding], batch: Batch, monitored: MonitoredRelease, config: Config
) -> list[Finding]:
    """Add what is wrong with the feed itself, and call by that name what follows from it."""
    reference, features = monitored.reference, monitored.champion.manifest.features
    classes = config.columns.negative_label, config.columns.positive_label
    labels = outcomes.labels_of(batch.rows, batch.labels, config.columns.target)
    faults = [
        *broken_feed.check_constants(reference, batch.rows, features, batch.limit),
        *broken_feed.check_labels(reference, labels, classes, batch.limit),
    ]
    return broken_feed.suspected([*found, *faults], batch.rows, reference, features)
