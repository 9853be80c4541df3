"""Late labels: whose predictions they score, and whose detectors they inform.

Each label scores the release that made the prediction when the row came. The live release's
detectors are informed by its own predictions of rows it was not trained on, whichever release
predicted them then, if they are no older than its reference: older rows would show the change that
it answers, as if it came again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from risk.config import Config
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import training_data
from risk.models.dating import LABELLED_BY, MOMENT, Change, is_since
from risk.models.model import Manifest
from risk.monitoring import outcomes
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.outcomes import INFORMS
from risk.schema import ROW_HASH


@dataclass(frozen=True)
class LateLabels:
    """What labels that came late say.

    `ripened` are those the live release predicted, with its predictions; `labels` are all that
    came, with the ingestion that brought them; `earlier_scores` are those of earlier releases.
    """

    ripened: pd.DataFrame
    labels: pd.DataFrame
    earlier_scores: Sequence[dict[str, Any]]


def gather(
    config: Config,
    ledger: Ledger,
    live: MonitoredRelease,
    ingestion_ids: Sequence[int],
    *,
    new_parts: Sequence[int] = (),
) -> LateLabels:
    """Find out what the labels of these ingestions say, but for rows that are new themselves."""
    labels = ledger.labels.of_ingestions(ingestion_ids)
    labels = labels[~labels["row_ingestion_id"].isin(list(new_parts))]
    predicted = ledger.labels.with_predictions(ingestion_ids)
    version = live.champion.manifest.version
    own = predicted[predicted["version"] == version]
    foreign = labels[~labels[ROW_HASH].isin(own[ROW_HASH])]
    dated = config.columns.event_time is not None  # else what it predicted came after its lesson
    sought = labels if dated else foreign
    in_world = _in_world(config, ledger, live, sought)
    informs = own[ROW_HASH].isin(in_world[ROW_HASH]) if dated else True
    others = in_world[in_world[ROW_HASH].isin(foreign[ROW_HASH])]
    ripened = pd.concat(
        [own.assign(**{INFORMS: informs}), _as_live_sees(live, others)], ignore_index=True
    )
    ripened[MOMENT] = ripened[ROW_HASH].map(_moments(ledger, labels, in_world, dated=dated))
    return LateLabels(
        ripened.astype({INFORMS: bool, MOMENT: "datetime64[us]"}),
        labels.rename(columns={"ingestion_id": LABELLED_BY}),
        _of_earlier_releases(config, ledger, predicted[predicted["version"] != version]),
    )


def _in_world(
    config: Config, ledger: Ledger, live: MonitoredRelease, labels: pd.DataFrame
) -> pd.DataFrame:
    """Return the labelled rows that the live release was not trained on, of its time."""
    manifest = live.champion.manifest
    parts = sorted({int(number) for number in labels["row_ingestion_id"]})
    rows = training_data.accepted(config, ledger, parts)
    rows = rows[rows[ROW_HASH].isin(labels[ROW_HASH])]
    rows = rows[(rows[LABELLED_BY] > manifest.trained_through).to_numpy(dtype=bool)]
    start = manifest.reference_since or Change(manifest.trained_through + 1)
    return rows[is_since(rows, start, config.columns.event_time)]


def _moments(
    ledger: Ledger, labels: pd.DataFrame, in_world: pd.DataFrame, *, dated: bool
) -> dict[int, Any]:
    """Return when the rows of the labels are dated; if by event time, those that inform."""
    if dated:
        return dict(zip(in_world[ROW_HASH], in_world[MOMENT], strict=True))
    parts = labels["row_ingestion_id"].tolist()
    arrivals = ledger.ingestions.arrivals(sorted(set(parts)))
    moments = [arrivals[part].replace(tzinfo=None) for part in parts]
    return dict(zip(labels[ROW_HASH], moments, strict=True))


def _as_live_sees(live: MonitoredRelease, rows: pd.DataFrame) -> pd.DataFrame:
    """Let the live release predict rows that came before it was live; its score is not of them."""
    predictions = live.predictions(rows) if len(rows) else pd.DataFrame()
    y_true = rows[live.champion.manifest.target].to_numpy(dtype="float64", na_value=np.nan)
    return predictions.assign(y_true=y_true, version=0, **{INFORMS: True})


def _of_earlier_releases(
    config: Config, ledger: Ledger, predicted: pd.DataFrame
) -> list[dict[str, Any]]:
    """Score the releases that were live when the rows came."""
    found = []
    for version, part in predicted.groupby("version"):
        number = int(str(version))
        manifest = Manifest.model_validate_json(ledger.releases.manifest(number))
        sha256 = manifest.files[manifest.model_name]
        known = {"model_sha256": sha256, "version": number, "dataset": outcomes.REALISED}
        known["n_positive"] = int(part["y_true"].sum())
        scores = outcomes.realised(part, manifest.threshold, config)
        found += [known | {"metric": name, **asdict(score)} for name, score in scores.items()]
    return found
