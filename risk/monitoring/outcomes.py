"""Predictions whose labels are known: what they scored, and what had been expected of them."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from risk.config import Config
from risk.lazily import pandas as pd
from risk.models.dating import LABELLED_BY
from risk.monitoring import performance_estimation
from risk.monitoring.alarm_budget import Rules, alarm_line
from risk.monitoring.findings import Finding, Values
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.reference import LABELLED
from risk.stats.expected import expected_scores
from risk.stats.scores import Estimate, score_all

INFORMS = "informs"  # whether the detectors of the live release may see a ripened prediction
REALISED = "realised on new rows"
ESTIMATED = "estimated on new rows"
RELIABLE, UNRELIABLE = "reliable", "unreliable"


def labels_of(rows: pd.DataFrame, late: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return every label that came, y_true, with the ingestion that brought it."""
    known = [rows.rename(columns={target: "y_true"}), late]
    labels = pd.concat([part.reindex(columns=["y_true", LABELLED_BY]) for part in known])
    return labels.dropna(subset="y_true").astype({"y_true": "float64"})


def labelled(
    rows: pd.DataFrame, predictions: pd.DataFrame, ripened: pd.DataFrame, target: str
) -> pd.DataFrame:
    """Bring together the predictions whose labels are known now, however late they came."""
    own = predictions.assign(y_true=rows[target].to_numpy(dtype="float64", na_value=np.nan))
    columns = ["y_true", "y_pred_proba", "expected_proba"]
    known = pd.concat([own[columns].dropna(subset="y_true"), ripened[columns]], ignore_index=True)
    return known.astype("float64")


def scores(
    monitored: MonitoredRelease,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    labelled: pd.DataFrame,
    config: Config,
) -> dict[str, dict[str, Estimate]]:
    """Score what is known, and estimate what is not."""
    threshold, confidence = monitored.champion.manifest.threshold, config.scoring.confidence
    found = {}
    if len(labelled):
        found[REALISED] = realised(labelled, threshold, config)
    if monitored.calibration and len(rows):
        y_pred_proba = predictions["y_pred_proba"].to_numpy()
        expected = predictions["expected_proba"].to_numpy()
        found[ESTIMATED] = expected_scores(
            y_pred_proba,
            (y_pred_proba >= threshold).astype("int64"),
            monitored.calibration.chances(rows, y_pred_proba, expected),
            cost=config.training.cost.as_tuple(),
            confidence=confidence,
        )
    return found


def realised(labelled: pd.DataFrame, threshold: float, config: Config) -> dict[str, Estimate]:
    """Score predictions whose labels are known."""
    y_pred_proba = labelled["y_pred_proba"].to_numpy(dtype="float64")
    return score_all(
        labelled["y_true"].astype("float64"),
        y_pred_proba,
        y_pred_proba >= threshold,
        cost=config.training.cost.as_tuple(),
        confidence=config.scoring.confidence,
    )


def with_scores(
    found: Finding, monitored: MonitoredRelease, labelled: pd.DataFrame, config: Config
) -> Finding:
    """Add to a finding about errors what was promised, and what came true."""
    if found.feature != LABELLED or labelled.empty:
        return found
    values: Values = labelled["y_pred_proba"].mean(), labelled["y_true"].mean()
    if metric := found.facts.get("metric"):
        promised = monitored.champion.manifest.held_out_scores.get(metric)
        truth = realised(labelled, monitored.champion.manifest.threshold, config)[metric]
        values = promised.value if promised else None, truth.value
    facts = {**found.facts, "rows": len(labelled)}
    line = alarm_line(monitored.reference, Rules.of(config))
    if line is not None:
        facts["alarm_line"] = round(line, 4)
    return replace(found, value_before=values[0], value_after=values[1], facts=facts)


def estimate_and_truth(labelled: pd.DataFrame, threshold: float, config: Config) -> list[Finding]:
    """Compare, on the same rows, what was expected of them with what they turned out to be."""
    metric, known = config.checks.metric, labelled.dropna()
    if known.empty:
        return []
    y_pred_proba, chance = known["y_pred_proba"].to_numpy(), known["expected_proba"].to_numpy()
    y_pred = (y_pred_proba >= threshold).astype("int64")
    cost, confidence = config.training.cost.as_tuple(), config.scoring.confidence
    expected = expected_scores(y_pred_proba, y_pred, chance, cost=cost, confidence=confidence)
    truths = realised(known, threshold, config)
    if metric not in expected:
        metric = "brier"
    estimate, truth = expected[metric], truths[metric]
    wrong = not performance_estimation.reliable(estimate, truth)
    return [
        Finding(
            check_name="estimate",
            feature=None,
            method=metric,
            drift_detected=False,
            n=len(known),
            direction=UNRELIABLE if wrong else RELIABLE,
            value_before=estimate.value,
            value_after=truth.value,
            facts={"expected": asdict(estimate), "realised": asdict(truth)},
            drift_score=estimate.value,
            threshold=truth.value,
            p_value=0.0 if wrong else 1.0,
        )
    ]
