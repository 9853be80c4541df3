"""Stage 2 of 6: fit a challenger on the accepted rows whose labels are known.

Reads   the accepted rows; the test data, only to leave its rows out
Writes  the model, its reference profile and its signed manifest to output_model_path
Exits   0 done, 65 too few rows or only one class, 69 no database, 74 storage fault,
        75 another run is at work, 78 wrong configuration
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from risk import cli, drops, model, schema, store
from risk.config import Config, Training
from risk.errors import ConfigError, DataError
from risk.ledger import Ledger
from risk.model import Manifest
from risk.profile import reference_profile
from risk.scorecard import ripe
from risk.stats.scores import Estimate, score_all
from risk.stats.threshold import highest_f1, lowest_cost

Array = NDArray[Any]


@dataclass(frozen=True)
class Threshold:
    """From which probability on a row is called positive, and why."""

    value: float
    reason: str


@dataclass(frozen=True)
class Fitted:
    """A pipeline with its threshold and its scores on rows it was not fitted to."""

    pipeline: Any
    threshold: Threshold
    held_out_scores: dict[str, Estimate]
    rows_trained: int
    rows_held_out: int


@dataclass(frozen=True)
class Challenger:
    """The model this stage wrote."""

    manifest: Manifest

    def __str__(self) -> str:
        return (
            f"{self.manifest.estimator} fitted to {self.manifest.rows_trained} rows, "
            f"F1 {self.manifest.held_out_scores['f1']} on rows held out, "
            f"threshold {self.manifest.threshold:.2f} ({self.manifest.threshold_reason})"
        )


def fit(rows: pd.DataFrame, config: Config) -> Fitted:
    """Fit on one part of `rows`; score, and choose the threshold, on the part held out."""
    from sklearn.model_selection import train_test_split
    from sklearn.utils._param_validation import InvalidParameterError

    columns = config.columns
    y = rows[columns.target].to_numpy(dtype="int8")
    _require_enough(y, config.training)
    fitted_on, held_out = train_test_split(
        np.arange(len(y)),
        test_size=_held_out(y, config),
        stratify=y,
        random_state=config.random_seed,
    )
    features = model.as_features(rows, columns.numeric, columns.categorical)
    pipeline = model.build(columns, config.training, random_seed=config.random_seed)
    try:
        pipeline.fit(features.iloc[fitted_on], y[fitted_on])
    except InvalidParameterError as error:
        raise ConfigError(f"training.parameters: {error}") from None
    y_true = y[held_out]
    y_pred_proba = model.positive_probability(pipeline, features.iloc[held_out])
    threshold = choose_threshold(y_true, y_pred_proba, config.training)
    y_pred = y_pred_proba >= threshold.value
    return Fitted(
        pipeline=pipeline,
        threshold=threshold,
        held_out_scores=score_all(
            y_true, y_pred_proba, y_pred, confidence=config.scoring.confidence
        ),
        rows_trained=len(fitted_on),
        rows_held_out=len(held_out),
    )


def choose_threshold(y_true: Array, y_pred_proba: Array, training: Training) -> Threshold:
    """Choose it by F1 or by cost on held-out rows; with too few of them, do not pretend to."""
    fixed = training.fixed_threshold
    if training.choose_threshold_by == "fixed":
        return Threshold(fixed, "fixed in the settings")
    fewest = int(min(y_true.sum(), len(y_true) - y_true.sum()))
    if fewest < training.minimum_held_out_per_class:
        needed = training.minimum_held_out_per_class
        reason = f"fixed: {fewest} rows of a class held out, {needed} needed to choose one"
        return Threshold(fixed, reason)
    if training.choose_threshold_by == "cost":
        return Threshold(
            lowest_cost(y_true, y_pred_proba, cost=training.cost.as_tuple()),
            "lowest cost on the held-out rows",
        )
    return Threshold(highest_f1(y_true, y_pred_proba), "highest F1 on the held-out rows")


def run(config: Config, ledger: Ledger) -> Challenger:
    """Read the ripe rows, fit, and write the challenger, its manifest last."""
    with ledger.stage("training"):
        parts = ledger.parts()
        labelled = ripe(store.read_parts(config, parts), config.columns.target)
        trainable = labelled[~labelled[schema.ROW_HASH].isin(_test_hashes(config))]
        fitted = fit(trainable, config)
        files = {
            config.model_filename: model.dumps(fitted.pipeline, config.model_filename),
            model.REFERENCE: reference_profile(trainable, config.columns).to_json().encode(),
        }
        columns = {"numeric", "categorical", "target", "positive_label", "negative_label"}
        manifest = Manifest(
            model_name=config.model_filename,
            created_at=ledger.now(),
            run_id=ledger.run_id,
            **config.columns.model_dump(include=columns),
            estimator=config.training.estimator,
            parameters=config.training.parameters,
            random_seed=config.random_seed,
            threshold=fitted.threshold.value,
            threshold_reason=fitted.threshold.reason,
            rows_trained=fitted.rows_trained,
            rows_held_out=fitted.rows_held_out,
            rows_left_out=len(labelled) - len(trainable),
            trained_through=max(parts),
            held_out_scores=fitted.held_out_scores,
            **model.environment(),
            files={name: model.digest(content) for name, content in files.items()},
        )
        for name, content in files.items():
            store.write(config.model_folder / name, content)
        signed = model.sign(manifest, store.signing_key(config))
        store.write(config.model_folder / model.MANIFEST, signed)
    return Challenger(manifest)


def _require_enough(y: Array, training: Training) -> None:
    if len(y) < training.minimum_rows:
        raise DataError(
            f"{len(y)} labelled rows are too few to train on, "
            f"training.minimum_rows is {training.minimum_rows}; nothing was written"
        )
    fewest = min(np.sum(y == 0), np.sum(y == 1))
    if fewest < 2:
        raise DataError(
            f"of {len(y)} labelled rows {int(y.sum())} are positive; at least 2 of each class "
            "are needed to train; nothing was written"
        )


def _held_out(y: Array, config: Config) -> int:
    """Return the rows to hold out: at least one of each class, in both parts."""
    return int(np.clip(round(len(y) * config.test_size), 2, len(y) - 2))


def _test_hashes(config: Config) -> Array:
    if not config.test_data.exists():
        return np.array([], dtype="int64")
    return schema.fingerprints(drops.read_whole(config, config.test_data))


if __name__ == "__main__":
    cli.main(run, __doc__)
