"""Training: fit a challenger on the accepted rows whose labels are known.

Reads   the accepted rows; the test data, whose rows are excluded; with --how recalibrate or
        move_threshold the champion, whose fitted parameters are kept
Writes  to output_model_path: the model, its reference, a sample of its rows, its signed manifest
Exits   0 success, 64 wrong usage, 65 too few rows or only one class, 69 database unavailable,
        74 storage error, 75 another run is in progress, 76 no model to recalibrate,
        78 invalid configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from numpy.typing import NDArray

from risk import cli, store
from risk.config import Config
from risk.data import drops, known_files
from risk.decisions.policy import How
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import model, pipelines, recalibration, releases, rolling, signing, training_data
from risk.models.dating import Change, is_since
from risk.models.fitting import Fitted, fit
from risk.models.model import Manifest
from risk.models.training_data import Split
from risk.models.watched import require_model
from risk.monitoring import monitored_release
from risk.monitoring.monitored_release import MonitoredRelease, TrainingRecord
from risk.monitoring.reference import PREDICTION

Array = NDArray[Any]
MADE: dict[str, str] = {
    "retrain": "{} trained",
    "refresh": "{} refreshed",
    "recalibrate": "{} recalibrated",
    "move_threshold": "threshold of {} moved",
}


@dataclass(frozen=True)
class Chosen:
    """The rows to train on, when the change began, why, and the release whose reference stays.

    `rolled` are predictions of new rows by models of those before them, for the gate.
    """

    rows: pd.DataFrame
    since: Change | None
    reason: str
    kept: MonitoredRelease | None = None
    rolled: pd.DataFrame | None = None


@dataclass(frozen=True)
class Challenger(cli.Result):
    """The model this stage wrote, and the number of rare levels it pools, by column."""

    manifest: Manifest
    pooled: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        pooled = "".join(f"; {n:,} rare levels of {name} pooled" for name, n in self.pooled.items())
        return (
            f"{MADE[self.manifest.made_by].format(self.manifest.estimator)} on "
            f"{self.manifest.rows_trained:,} rows ({self.manifest.rows_chosen})"
            f"{', probabilities calibrated' if self.manifest.is_calibrated else ''}: "
            f"F1 {self.manifest.held_out_scores['f1']} in cross-validation, "
            f"threshold {self.manifest.threshold:.2f} ({self.manifest.threshold_reason}){pooled}"
        )


def run(
    config: Config, ledger: Ledger, *, how: How = "retrain", since: Change | None = None
) -> Challenger:
    """Choose rows, fit, and write the challenger, its manifest last.

    `since` is when a change began. If the rows since then predict those that came after them better
    without older rows, only they are used.
    """
    require_model(config, "nothing can be trained")
    with ledger.runs.stage("training"):
        split = training_data.split(config, ledger, since=since)
        store.release_memory()
        if how in ("retrain", "refresh"):
            chosen, fitted = _retrain(config, split.rows, since)
            kept = monitored_release.to_keep(config) if how == "refresh" else None

            def learn(rows: pd.DataFrame) -> Fitted:
                return _retrain(config, rows, since)[1]

            rolled = rolling.predict(split.rows, split.changed, learn, config.columns)
            chosen = replace(chosen, kept=kept, rolled=rolled)
        else:
            chosen = Chosen(split.recent, since, "rows since the release")
            champion = releases.load_champion(config).pipeline
            fitted = fit(recalibration.adjustable(champion, how), chosen.rows, config)
        known = {"made_by": how, **split.described(chosen.reason)}
        manifest = _write(config, ledger, split, chosen, fitted).model_copy(update=known)
        signed = model.sign(manifest, signing.key(config))
        known_files.write(config, ledger, config.model_folder / model.MANIFEST, signed)
        known_files.remove(config, ledger, config.model_folder / model.PLAIN_REFERENCE)
    return Challenger(manifest, pipelines.pooled_levels(fitted.pipeline))


def _retrain(config: Config, rows: pd.DataFrame, since: Change | None) -> tuple[Chosen, Fitted]:
    """Fit to all rows or, after a change, to those since then if they predict better alone."""
    changed = is_since(rows, since, config.columns.event_time)
    chosen = Chosen(rows, since, "all rows")
    if not changed.all():
        reason = "all rows; those since the change are not known to predict better alone"
        chosen = replace(chosen, reason=reason)
        if rolling.is_better_alone(rows, changed, config):
            reason = "rows since the change, which predict better alone"
            chosen = replace(chosen, rows=rows[changed], reason=reason)
    return chosen, fit(_unfitted(config), chosen.rows, config)


def _write(
    config: Config, ledger: Ledger, split: Split, chosen: Chosen, fitted: Fitted
) -> Manifest:
    """Write all files of the challenger except the manifest, and return the manifest."""
    record = TrainingRecord(
        chosen.rows,
        fitted.as_deployed,
        fitted.y_pred,
        fitted.threshold.value,
        chosen.since,
        _predicted_test_data(config, fitted),
        chosen.kept,
        split.seen,
    )
    files = {
        config.model_filename: model.dumps(fitted.pipeline, config.model_filename),
        **monitored_release.files(record, config),
        model.HELD_OUT: training_data.to_list(split.held_out).encode(),
    }
    if chosen.rolled is not None and len(chosen.rolled):
        files[model.ROLLING] = rolling.to_bytes(chosen.rolled)
    for name, content in files.items():
        known_files.write(config, ledger, config.model_folder / name, content)
    columns = {"numeric", "categorical", "target", "positive_label", "negative_label"}
    return Manifest(
        model_name=config.model_filename,
        created_at=ledger.now(),
        run_id=ledger.database.run_id,
        **config.columns.model_dump(include=columns),
        estimator=config.training.estimator,
        parameters=config.training.parameters,
        random_seed=config.random_seed,
        threshold=fitted.threshold.value,
        threshold_reason=fitted.threshold.reason,
        is_calibrated=fitted.is_calibrated,
        rows_trained=len(chosen.rows),
        rows_held_out=len(split.held_out),
        rows_left_out=split.rows_left_out,
        trained_through=split.through,
        changed_at=chosen.since,
        **monitored_release.origin(record, config),
        held_out_scores=fitted.scores,
        **model.environment(config.training.estimator),
        files={name: model.digest(content) for name, content in files.items()},
    )


def _predicted_test_data(config: Config, fitted: Fitted) -> pd.DataFrame:
    """Return the test data with the predicted risk, empty if there is no test data."""
    if not config.test_data.exists():
        return pd.DataFrame()
    rows, columns = drops.read_whole(config, config.test_data), config.columns
    features = model.as_features(rows, columns.numeric, columns.categorical)
    proba = model.positive_probability(fitted.pipeline, features)
    return rows.assign(**{PREDICTION: proba})


def _unfitted(config: Config) -> Any:
    return pipelines.build(config.columns, config.training, random_seed=config.random_seed)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--how",
        choices=get_args(How),
        default="retrain",
        help="fit a new model (default), the same with the reference kept (refresh), "
        "recalibrate the champion, or move its threshold",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
