"""What the first release would have said on labelled rows, beside what the live one said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from risk.config import Config
from risk.errors import RiskError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import releases, training_data
from risk.models.dating import INGESTION
from risk.models.model import Manifest, Model
from risk.monitoring.assessment import Assessment, Batch
from risk.monitoring.monitored_release import MonitoredRelease
from risk.schema import ROW_HASH

log = logging.getLogger(__name__)
OUTCOMES = {"true_positives": (1, 1), "false_positives": (0, 1), "false_negatives": (1, 0)}


def compare(
    config: Config,
    ledger: Ledger,
    live: MonitoredRelease,
    batch: Batch,
    found: Assessment,
) -> list[dict[str, Any]]:
    """Count, for each drop, the outcomes of both releases on the rows whose labels are new.

    New rows are predicted by the live release; rows labelled late were predicted by the one that
    was live when they came.
    """
    first = next(iter(releases.versions(config.deployment_folder)), None)
    rows, manifest = batch.rows, live.champion.manifest
    if first is None or manifest.is_watched:  # its releases are references, and predict nothing
        return []
    ripe = rows[manifest.target].notna().to_numpy(dtype=bool)
    known = pd.DataFrame(
        {
            ROW_HASH: rows[ROW_HASH],
            INGESTION: rows[INGESTION],
            "y_true": rows[manifest.target],
            "version": manifest.version,
            "y_pred": found.predictions["y_pred_proba"].to_numpy() >= manifest.threshold,
        }
    )[ripe]
    late = _late(ledger, batch.ingestion_ids)
    parts = [part for part in (known, late) if len(part)]
    labelled = pd.concat(parts or [known], ignore_index=True)
    if labelled.empty:
        return []
    try:
        labelled["first"] = _of_first(config, ledger, first, labelled, rows[ripe])
    except RiskError as error:
        log.warning("not compared with release %d, the first one: %s", first, error)
        return []
    return [_counted(part, int(str(drop)), first) for drop, part in labelled.groupby(INGESTION)]


def _late(ledger: Ledger, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Return the rows labelled late, with what was predicted when they came."""
    late = ledger.labels.with_predictions(ingestion_ids)
    origin = ledger.labels.of_ingestions(ingestion_ids).set_index(ROW_HASH)["row_ingestion_id"]
    thresholds = {
        version: Manifest.model_validate_json(ledger.releases.manifest(int(version))).threshold
        for version in late["version"].unique()
    }
    late[INGESTION] = late[ROW_HASH].map(origin)
    late["y_pred"] = late["y_pred_proba"] >= late["version"].map(thresholds)
    return late[[ROW_HASH, INGESTION, "y_true", "version", "y_pred"]]


def _of_first(
    config: Config, ledger: Ledger, first: int, labelled: pd.DataFrame, new: pd.DataFrame
) -> pd.Series[Any]:
    """Return what the first release says of each row; what it did say when it was live stays."""
    others = labelled[labelled["version"] != first]
    said = labelled["y_pred"].astype(bool)
    if others.empty:
        return said
    release = releases.load(config, releases.release_path(config.deployment_folder, first))
    parts = sorted({*others[INGESTION]} - {*new[INGESTION]})
    rows = pd.concat([new, training_data.accepted(config, ledger, parts)], ignore_index=True)
    rows = rows[rows[ROW_HASH].isin(others[ROW_HASH])]
    by_hash = dict(zip(rows[ROW_HASH], _predict(release, rows), strict=True))
    return said.where(labelled["version"] == first, labelled[ROW_HASH].map(by_hash)).astype(bool)


def _predict(release: Model, rows: pd.DataFrame) -> Any:
    return release.predict(release.predict_proba(rows)).astype(bool)


def _counted(part: pd.DataFrame, drop: int, first: int) -> dict[str, Any]:
    y_true = part["y_true"].to_numpy(dtype="int8")
    counted = {
        f"{prefix}{name}": int(np.sum((y_true == label) & (part[column].to_numpy() == said)))
        for prefix, column in (("", "y_pred"), ("first_", "first"))
        for name, (label, said) in OUTCOMES.items()
    }
    return {"ingestion_id": drop, "first_version": first, "n": len(part), **counted}
