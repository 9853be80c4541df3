"""Why the live release scores other than it promised, on the newest labelled rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import numpy as np

from risk.config import Config
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import dating, training_data
from risk.models.dating import LABELLED_BY, Change, is_since
from risk.monitoring import outcomes, performance_estimation
from risk.monitoring.assessment import Assessment
from risk.monitoring.findings import Finding
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.reference import LABELLED, PREDICTION
from risk.stats.score_changes import CHANCE, ReferenceCells, ScoreChange, ScoredRows
from risk.stats.score_changes import split_change as split
from risk.stats.weighted_scores import Scoring

# A change is a mean over the rows it is measured on: fewer than 500 tell its parts apart badly, and
# of more than 1000 the first may be from before it.
ENOUGH_ROWS, MAX_ROWS = 500, 1000
MIN_ROWS, MIN_OF_A_CLASS = 100, 10
MAX_DROPS, MAX_ROWS_READ = 20, 50_000  # looked back to for labels, so that a run stays short


def newest_labelled(
    config: Config, ledger: Ledger, live: MonitoredRelease, *, without: Collection[int] = ()
) -> pd.DataFrame:
    """Return the rows of the newest labels that the release was not trained on, of its time.

    What the ingestions `without` brought is left out.
    """
    manifest, event_time = live.champion.manifest, config.columns.event_time
    start = manifest.reference_since or Change(manifest.trained_through + 1)
    parts = _newest_labelled_parts(ledger, after=manifest.trained_through, without=without)
    sizes = ledger.parts.sizes(parts)
    for n_read in (MAX_ROWS, MAX_ROWS_READ):
        some = training_data.enough(parts, sizes, n_read)
        rows = training_data.accepted(config, ledger, some, without=without)
        labelled_by = rows[LABELLED_BY].to_numpy("float64", na_value=0)
        is_new = (labelled_by > manifest.trained_through) & is_since(rows, start, event_time)
        if is_new.sum() >= ENOUGH_ROWS or len(some) == len(parts):
            break
    return dating.in_order(rows[is_new], event_time).tail(MAX_ROWS)


def _newest_labelled_parts(ledger: Ledger, *, after: int, without: Collection[int]) -> list[int]:
    """Return the parts that the last drops brought or have labels of, those of the newest first."""
    parts = list[int]()
    until = min(without, default=None)
    for number, kind in ledger.ingestions.latest_used(MAX_DROPS, after=after, before=until):
        parts += [number] if kind == "rows" else []
        parts += ledger.labels.labelled_parts([number])[::-1]
    return [part for part in dict.fromkeys(parts) if part not in without]


def explain(
    live: MonitoredRelease, rows: pd.DataFrame, config: Config, *, now: datetime
) -> dict[str, Any] | None:
    """Return by how much the score of labelled rows differs from the promise, and its parts.

    It has no parts where chance alone explains the difference, and is None of too few rows.
    """
    manifest, metric = live.champion.manifest, config.checks.metric
    y_true = rows[manifest.target].to_numpy(dtype="float64", na_value=np.nan)
    smallest = min(y_true.sum(), len(rows) - y_true.sum()) if len(rows) else 0
    promised = manifest.held_out_scores.get(metric)
    if len(rows) < MIN_ROWS or smallest < MIN_OF_A_CLASS or not (promised and live.calibration):
        return None
    predicted = live.predictions(rows).assign(y_true=y_true)
    realised = outcomes.realised(predicted, manifest.threshold, config)[metric]
    if promised.value is None or realised.value is None:
        return None
    known = {"metric": metric, "n": len(rows), "at": now.isoformat(timespec="seconds")}
    same: dict[str, Any] = {
        "before": promised.value,
        "after": realised.value,
        "is_beyond_chance": False,
    }
    same |= {"parts": {}, "cause": CHANCE}
    if performance_estimation.reliable(promised, realised):
        return {**known, **same}
    proba = predicted["y_pred_proba"].to_numpy()
    change = split(
        _reference(live, promised.value, metric),
        ScoredRows.sorted(
            y_true,
            proba,
            predicted["expected_proba"].to_numpy(),
            live.calibration.replicates(rows, proba),
        ),
        Scoring(metric, manifest.threshold, config.training.cost.as_tuple()),
        confidence=config.scoring.confidence,
        random_seed=config.random_seed,
    )
    if change is None:
        return None
    return {**known, **(_facts(change) if change.is_beyond_chance else same)}


def added(found: Assessment, change: dict[str, Any] | None) -> Assessment:
    """Add the change of the score to an assessment, and to its findings about errors."""
    if change is None:
        return found
    findings = [_with_change(each, change) for each in found.findings]
    return replace(found, findings=tuple(findings), score_change=change)


def _with_change(found: Finding, change: dict[str, Any]) -> Finding:
    if found.feature != LABELLED or not change["is_beyond_chance"]:
        return found
    return replace(found, facts={**found.facts, "score_change": change})


def _reference(live: MonitoredRelease, promise: float, metric: str) -> ReferenceCells:
    reference = live.reference
    counts = np.array(reference.profile.counts[LABELLED], np.float64).reshape(-1, 2)[:-1]
    means = np.array(reference.means[PREDICTION])
    seen = counts.sum(axis=1) > 0
    # as gains, of which bigger is better
    optimism = reference.optimism.get(metric, 0.0) * (-1 if metric == "cost" else 1)
    return ReferenceCells(promise, counts[seen, 1], counts[seen, 0], means[seen], optimism)


def _facts(change: ScoreChange) -> dict[str, Any]:
    """Return a change for the ledger; its cause is the largest part of its direction."""
    names = ("value", "lower", "upper")
    parts = {
        part: {name: asdict(estimate)[name] for name in names}
        for part, estimate in change.parts.items()
    }
    sign = np.sign(change.after - change.before)
    cause = max(parts, key=lambda part: float(sign * parts[part]["value"]))
    return {
        "before": change.before,
        "after": change.after,
        "is_beyond_chance": True,
        "parts": parts,
        "cause": cause,
        "base_rates": dict(
            zip(("reference", "expected", "realised"), change.base_rates, strict=True)
        ),
    }
