"""The reference of a model elsewhere: the rows it consists of, and when their labels complete it.

It is written like a challenger: the same files and signature, but a column instead of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from risk.config import Config
from risk.data import drops, known_files
from risk.errors import DataError, UsageError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing, training_data, watched
from risk.models.dating import INGESTION, LABELLED_BY, PLACE, with_moments
from risk.models.evaluation import ripe
from risk.models.fitting import min_class_size
from risk.models.model import Manifest
from risk.models.watched import Floats, Predictions
from risk.monitoring import monitored_release, outcomes
from risk.monitoring.monitored_release import MonitoredRelease, TrainingRecord
from risk.monitoring.performance_estimation import MIN_OF_A_CLASS, MIN_ROWS
from risk.schema import ROW_HASH, fingerprints
from risk.stats.scores import Estimate

ENOUGH_LABELLED = 0.5  # of the rows of a reference, before it is made again with their labels


@dataclass(frozen=True)
class Chosen:
    """The rows to compare with, the drops they are from, and the last ingestion that is over.

    `kept` is the release whose evidence goes on about everything but the predictions.
    """

    rows: pd.DataFrame
    parts: Sequence[int]
    through: int
    reason: str
    kept: MonitoredRelease | None = None


def due(config: Config, ledger: Ledger) -> Chosen | None:
    """Return the first reference or what completes the live one; None if rows are missing yet."""
    if releases.live_version(config.deployment_folder) is None:
        return first(config, ledger)
    return completed(config, ledger, monitored_release.load(config))


def first(config: Config, ledger: Ledger) -> Chosen | None:
    """Return the file, or the first drops with enough rows; None if there are too few rows yet."""
    if config.model.reference_file is not None:
        return Chosen(_of_file(config, ledger), (), 0, "the reference file")
    parts = _enough(config, ledger, ledger.parts.ids())
    if parts is None:
        return None
    rows = training_data.accepted(config, ledger, parts)
    return Chosen(rows, parts, parts[-1], "the first drops")


def newest(config: Config, ledger: Ledger) -> Chosen:
    """Return the newest drops with enough rows, which a person declares to be the new normal."""
    if not config.watches_only:
        raise UsageError("a new reference is declared only where model.source is predictions")
    parts = _enough(config, ledger, ledger.parts.ids()[::-1])
    if parts is None:
        raise DataError(
            f"{ledger.ingestions.rows_after(0)} rows are too few for a reference, "
            f"model.reference_rows is {config.model.reference_rows}"
        )
    rows = training_data.accepted(config, ledger, sorted(parts))
    return Chosen(rows, sorted(parts), ledger.ingestions.last_id(), "the newest drops")


def _enough(config: Config, ledger: Ledger, parts: Sequence[int]) -> list[int] | None:
    """Return as many of the drops as have enough rows together, None if all have not."""
    sizes, needed = ledger.parts.sizes(parts), config.model.reference_rows
    found = training_data.enough(parts, sizes, needed)
    return found if sum(sizes[number] for number in found) >= needed else None


def waiting(config: Config, ledger: Ledger) -> list[str]:
    """Say how many rows the first reference still lacks; nothing if there is one."""
    if releases.live_version(config.deployment_folder) is not None:
        return []
    n = ledger.ingestions.rows_after(0)
    return [f"Waiting for the reference: {n:,} of {config.model.reference_rows:,} rows are there."]


def completed(config: Config, ledger: Ledger, live: MonitoredRelease) -> Chosen | None:
    """Return the rows of the live reference again, once it can promise what it could not before.

    Not after a person went back to it.
    """
    manifest = live.champion.manifest
    parts = manifest.parameters.get("drops") or []
    if not manifest.is_watched or live.calibration is not None or not parts:
        return None
    was_live = ledger.decisions.last("deploy", "rollback")
    if was_live and was_live.action == "rollback":
        return None
    rows = training_data.accepted(config, ledger, parts)
    labels = ripe(rows, manifest.target)[manifest.target].to_numpy(dtype="int8")
    enough = max(MIN_ROWS, ENOUGH_LABELLED * len(rows))
    if len(labels) < enough or min_class_size(labels) < MIN_OF_A_CLASS:
        return None
    through = assessed_through(ledger)
    return Chosen(rows, parts, through, "the same drops, with their labels", kept=live)


def write(config: Config, ledger: Ledger, chosen: Chosen) -> Manifest:
    """Write the files of a reference in place of a challenger, the signed manifest last."""
    rows, columns = chosen.rows, config.columns
    predictions = Predictions(columns.probability or "")
    proba = predictions.of(rows)
    cut, reason = watched.threshold(config, rows)
    record = TrainingRecord(rows, proba, proba >= cut, cut, None, pd.DataFrame(), chosen.kept)
    known = {"drops": [*chosen.parts], "made_at": ledger.now().isoformat()}
    own = {
        "estimator": watched.ESTIMATOR,
        "parameters": {"probability": columns.probability, "drops": [*chosen.parts]},
        "threshold_reason": reason,
        "made_by": watched.MADE_BY,
        "rows_chosen": chosen.reason,
        "trained_through": chosen.through,
        **model.environment(),
    }
    stands_for_it = (watched.FILE_NAME, predictions.to_json(**known).encode())
    return write_challenger(config, ledger, record, stands_for_it, own)


def write_challenger(
    config: Config,
    ledger: Ledger,
    record: TrainingRecord,
    named: tuple[str, bytes],
    own: Mapping[str, Any],
) -> Manifest:
    """Write a model that nobody trained here, its `named` file first, its manifest last."""
    columns, rows = config.columns, record.rows
    files = {
        named[0]: named[1],
        **monitored_release.files(record, config),
        model.HELD_OUT: b"",
    }
    for name, content in files.items():
        known_files.write(config, ledger, config.model_folder / name, content)
    described = {"numeric", "categorical", "target", "positive_label", "negative_label"}
    manifest = Manifest(
        model_name=named[0],
        created_at=ledger.now(),
        run_id=ledger.database.run_id,
        **columns.model_dump(include=described),
        random_seed=config.random_seed,
        threshold=record.threshold,
        rows_trained=len(rows),
        rows_held_out=0,
        rows_left_out=0,
        **monitored_release.origin(record, config),
        held_out_scores=_promise(config, rows, record.out_of_fold, record.threshold),
        files={name: model.digest(content) for name, content in files.items()},
        **own,
    )
    signed = model.sign(manifest, signing.key(config))
    known_files.write(config, ledger, config.model_folder / model.MANIFEST, signed)
    known_files.remove(config, ledger, config.model_folder / model.PLAIN_REFERENCE)
    return manifest


def _promise(config: Config, rows: pd.DataFrame, proba: Floats, cut: float) -> dict[str, Estimate]:
    """Score the predictions of the reference rows whose labels are known."""
    labelled = pd.DataFrame({"y_true": rows[config.columns.target], "y_pred_proba": proba})
    labelled = labelled.dropna()
    return outcomes.realised(labelled, cut, config) if len(labelled) else {}


def _of_file(config: Config, ledger: Ledger) -> pd.DataFrame:
    """Read the reference file; DataError if it has too few rows."""
    path = config.root / (config.model.reference_file or "")
    rows = rows_of_file(config, ledger, path)
    if len(rows) < config.model.reference_rows:
        raise DataError(
            f"{config.name_of(path)} has {len(rows)} rows, model.reference_rows is "
            f"{config.model.reference_rows}"
        )
    return rows


def rows_of_file(config: Config, ledger: Ledger, path: Path) -> pd.DataFrame:
    """Read rows to compare with, as if they were an ingestion before the first."""
    rows, event_time = drops.read_whole(config, path), config.columns.event_time
    places = {INGESTION: np.zeros(len(rows), "int64"), PLACE: np.arange(len(rows))}
    rows = rows.assign(**{ROW_HASH: fingerprints(rows, event_time)}, **places)
    rows = with_moments(rows, event_time, ledger.now())
    came = pd.Series(0, rows.index, dtype="Int64").where(rows[config.columns.target].notna())
    return rows.assign(**{LABELLED_BY: came})


def assessed_through(ledger: Ledger) -> int:
    """Return the last ingestion that has been assessed; what came later is still to be."""
    waiting = ledger.ingestions.unassessed()
    return int(waiting[0].id) - 1 if waiting else ledger.ingestions.last_id()
