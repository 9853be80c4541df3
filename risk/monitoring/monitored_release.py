"""A release with its reference, and the derived columns of rows it predicts."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk import engine
from risk.config import Config
from risk.engine import Engine
from risk.lazily import pandas as pd
from risk.models import dating, model, releases, small_tables
from risk.models.dating import Change, is_since
from risk.models.model import Manifest, Model
from risk.monitoring import (
    compressed_pickle,
    known_values,
    loss_ratios,
    packed_trees,
    performance_estimation,
    reference_file,
    settling,
)
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.multivariate import Reconstruction, fit_reconstruction
from risk.monitoring.packed_trees import Packed
from risk.monitoring.performance_estimation import Calibration
from risk.monitoring.profile import Mask, Profile
from risk.monitoring.reference import EXPECTED_LOSS, PREDICTION, RECONSTRUCTION, Reference
from risk.schema import ROW_HASH

Floats = NDArray[np.float64]
SAMPLE_ROWS, MIN_SAMPLE_ROWS = 2000, 500
SAMPLE_CELLS = 150_000  # where there are so many columns that they would be fewer rows
ENOUGH_TO_REMEMBER = 200
MAX_TO_CALIBRATE = 10_000
FORMER_MODULES = {  # as releases made before the packages call them
    "risk.estimation": "risk.monitoring.performance_estimation",
    "risk.multivariate": "risk.monitoring.multivariate",
}


@dataclass(frozen=True)
class ReportedRelease:
    """A release with everything its report requires: not the model, which takes an import."""

    manifest: Manifest
    reference: Reference
    sample: pd.DataFrame


@dataclass(frozen=True)
class MonitoredRelease:
    """A release with everything its monitoring requires."""

    champion: Model
    reference: Reference
    sample: pd.DataFrame
    calibration: Calibration | None
    reconstruction: Reconstruction | None

    def predictions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return row_hash, y_pred_proba and, where estimable, the probability of the label."""
        y_pred_proba = self.champion.predict_proba(rows)
        chance = self.calibration.expected(rows, y_pred_proba) if self.calibration else np.nan
        hashes = rows[ROW_HASH].to_numpy()
        return pd.DataFrame(
            {ROW_HASH: hashes, "y_pred_proba": y_pred_proba, "expected_proba": chance}
        )

    def look(self, rows: pd.DataFrame, over: Engine) -> tuple[pd.DataFrame, Profile]:
        """Return the predictions of rows, and the rows counted, in blocks of a fixed size."""
        starts = range(0, len(rows), model.ROWS_AT_ONCE)
        blocks = (rows.iloc[start : start + model.ROWS_AT_ONCE] for start in starts)
        predictions, profiles = zip(*over.map(self._look_at, blocks), strict=True)
        return pd.concat(predictions, ignore_index=True), reduce(Profile.plus, profiles)

    def _look_at(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, Profile]:
        predictions = self.predictions(rows)
        return predictions, self.reference.count(self.frame(rows, predictions))

    def risk_and_loss(self, rows: pd.DataFrame) -> Floats:
        """Return (n_rows, 2): predicted risk and, if P(y | x) is unchanged, expected Brier loss.

        Where the loss cannot be estimated, only the risk: (n_rows, 1).
        """
        y_pred_proba = self.champion.predict_proba(rows)
        if self.calibration is None:
            return y_pred_proba[:, None]
        chance = self.calibration.expected(rows, y_pred_proba)
        return np.column_stack([y_pred_proba, expected_brier(chance, y_pred_proba)])

    def frame(self, rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
        """Add the derived columns to rows, given their `predictions`."""
        chance = predictions["expected_proba"].to_numpy() if self.calibration else None
        y_pred_proba = predictions["y_pred_proba"].to_numpy()
        return _with_derived(rows, y_pred_proba, chance, self.reconstruction)


def load(config: Config, version: int | None = None) -> MonitoredRelease:
    """Load a release, by default the live one."""
    root = config.deployment_folder
    folder = releases.existing(root, version) if version else releases.live_folder(root)
    champion = releases.load(config, folder)
    derived = model.read_checked(folder, model.DERIVED, champion.manifest)
    calibration, reconstruction = _Unpickler(io.BytesIO(derived)).load()
    if isinstance(calibration, Packed):  # unlike in releases made before there was such a form
        calibration = calibration.unpacked()
    known = _known_rows(folder, champion.manifest)
    return MonitoredRelease(champion, *known, calibration, reconstruction)


def load_reported(config: Config, version: int) -> ReportedRelease:
    """Load a release without what predicts, estimates and reconstructs: a third of a report."""
    folder = releases.existing(config.deployment_folder, version)
    manifest = releases.load_manifest(config, folder)
    return ReportedRelease(manifest, *_known_rows(folder, manifest))


def _known_rows(folder: Path, manifest: Manifest) -> tuple[Reference, pd.DataFrame]:
    """Return the counts and the sample of the rows that new ones are compared with."""
    sample = small_tables.read(folder, model.SAMPLE, manifest)
    return reference_file.read(folder, manifest), sample


class _Unpickler(pickle.Unpickler):
    """Read the reference of a release, also one made when these modules had other names."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(FORMER_MODULES.get(module, module), name)


@dataclass(frozen=True)
class TrainingRecord:
    """The rows a model was trained on, and their out-of-fold predictions.

    `y_pred` are the labels by thresholds that the other folds chose, `since` is when a change
    began, `tested` are the test data with predictions. `kept` is the release whose reference goes
    on, because nothing changed. `seen` returns all rows they were chosen from, if there were
    others, or those of them that were drawn and those with the outermost values.
    """

    rows: pd.DataFrame
    out_of_fold: Floats
    y_pred: Mask
    threshold: float
    since: Change | None
    tested: pd.DataFrame
    kept: MonitoredRelease | None = None
    seen: Callable[[], pd.DataFrame] | None = None


def expected_brier(chance: Floats, y_pred_proba: Floats) -> Floats:
    """Return the expected squared error of each row, given its probability to be positive."""
    return chance * (1 - y_pred_proba) ** 2 + (1 - chance) * y_pred_proba**2


def files(record: TrainingRecord, config: Config) -> dict[str, bytes]:
    """Return the files of a release that monitoring requires.

    New rows are compared with those since the last change, if there are enough: a release is the
    response to a change, so its reference is the state after it. Without a change, predictions and
    labels of the test data are counted too.
    """
    rows, columns = record.rows, config.columns
    calibration = _calibration(rows, record.out_of_fold, config)
    known = remembered(record, config)
    wanted = config.checks.reconstruction
    reconstruction = fit_reconstruction(rows[known], columns.numeric) if wanted else None
    if record.kept and record.kept.reconstruction:
        reconstruction = record.kept.reconstruction
    chance = calibration.expected(rows, record.out_of_fold) if calibration else None
    frame = _with_derived(rows, record.out_of_fold, chance, reconstruction)
    ours = frame if known.all() else frame[known]  # not copied where they are all
    reference = Reference.build(
        ours, columns, threshold=record.threshold, tolerance=config.alarms.tolerance
    )
    optimism = _optimism(record, known, config)
    if record.since is None and len(record.tested):
        tested = record.tested
        outcomes = reference.count_outcomes(tested[PREDICTION], tested[columns.target])
        reference = replace(reference, profile=_with(reference.profile, outcomes))
        share = known.sum() / (known.sum() + outcomes.n)  # the test data chose no threshold
        optimism = {name: float(share * gain) for name, gain in optimism.items()}
    reference = replace(reference, optimism=optimism)
    rules, dated = Rules.of(config), columns.event_time is not None
    own = settling.cut(reference, ours, rules, dated=dated, own=True)
    before = settling.cut(reference, frame[~known], rules, dated=dated, own=False)
    settled = settling.settle(reference, own, rules, before=before)
    n_sample = min(SAMPLE_ROWS, max(MIN_SAMPLE_ROWS, SAMPLE_CELLS // len(columns.features)))
    kept_columns = [*columns.features, *columns.predicted]
    sample = ours.nsmallest(n_sample, ROW_HASH)[kept_columns]
    if record.kept:
        settled, sample = settled.keeping(record.kept.reference), record.kept.sample
    seen = known_values.of_rows(
        record.seen() if record.seen else rows,
        settled.columns,
        dated=dated,
        minutes=config.alarms.usual_minutes_between_drops,
    )
    settled = replace(settled, known=seen)
    return {
        model.REFERENCE: reference_file.to_bytes(settled),
        model.DERIVED: compressed_pickle.dumps((packed_trees.packed(calibration), reconstruction)),
        model.SAMPLE: small_tables.to_bytes(sample),
    }


def remembered(record: TrainingRecord, config: Config) -> NDArray[np.bool_]:
    """Say which training rows new ones are compared with: those since the change, if enough."""
    changed = is_since(record.rows, record.since, config.columns.event_time)
    enough = changed.sum() >= rows_to_remember(int((~changed).sum()))
    return changed if enough else np.ones_like(changed)


def origin(record: TrainingRecord, config: Config) -> dict[str, Any]:
    """Return where the reference of a release begins, and whose it is if it was kept."""
    event_time = config.columns.event_time
    rows = dating.in_order(record.rows[remembered(record, config)], event_time)
    since, manifest = dating.date_of(rows, 0, event_time), None
    if record.kept:
        manifest = record.kept.champion.manifest
        since = manifest.reference_since or since
    return {"reference_since": since, "reference_of": manifest and manifest.version}


def to_keep(config: Config) -> MonitoredRelease | None:
    """Return the live release if a refresh can keep its reference: same columns, enough rows."""
    if releases.live_version(config.deployment_folder) is None:
        return None
    live, columns = load(config), config.columns
    same = live.champion.manifest.features == columns.features
    same &= live.reference.target == columns.target
    return live if same and live.reference.profile.n >= ENOUGH_TO_REMEMBER else None


def rows_to_remember(before: int) -> int:
    """Return how many rows after a change are a reference of their own, given those before it."""
    return min(ENOUGH_TO_REMEMBER, before // 2)


def _optimism(record: TrainingRecord, known: Mask, config: Config) -> dict[str, float]:
    """Return what the choice of the threshold adds to the scores of the rows that chose it."""
    if (record.y_pred == (record.out_of_fold >= record.threshold)).all():
        return {}  # these rows did not choose it, and labels may be missing
    return loss_ratios.optimism(
        record.rows[config.columns.target].to_numpy("float64")[known],
        record.out_of_fold[known],
        (record.out_of_fold >= record.threshold).astype("float64")[known],
        record.y_pred.astype("float64")[known],
        config.training.cost.as_tuple(),
    )


def _with(profile: Profile, outcomes: Profile) -> Profile:
    return replace(profile.plus(outcomes), n=profile.n)


def _calibration(rows: pd.DataFrame, out_of_fold: Floats, config: Config) -> Calibration | None:
    """Estimate each row's probability to be positive from the latest rows, which are enough."""
    known = rows[config.columns.target].notna().to_numpy(dtype=bool)
    latest = rows[known].tail(MAX_TO_CALIBRATE)
    proba = out_of_fold[known][-len(latest) :] if len(latest) else out_of_fold[:0]
    return performance_estimation.fit(
        latest,
        proba,
        config.columns,
        random_seed=config.random_seed,
        engine=engine.of(config),
    )


def _with_derived(
    rows: pd.DataFrame,
    y_pred_proba: Floats,
    chance: Floats | None,
    reconstruction: Reconstruction | None,
) -> pd.DataFrame:
    derived = {PREDICTION: y_pred_proba}
    if chance is not None:
        derived[EXPECTED_LOSS] = expected_brier(chance, y_pred_proba)
    if reconstruction:
        derived[RECONSTRUCTION] = reconstruction.error(rows)
    return pd.concat([rows, pd.DataFrame(derived, index=rows.index)], axis=1)
