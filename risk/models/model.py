"""The classifier: manifest, signature, loading and prediction."""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from risk.errors import ConfigError, ModelError
from risk.lazily import import_sparing
from risk.lazily import pandas as pd
from risk.models import estimators, watched
from risk.models.dating import Change
from risk.models.watched import Predictions
from risk.numerals import MAX_NUMBER
from risk.stats.scores import Estimate

MANIFEST = "manifest.json"
REFERENCE, PLAIN_REFERENCE = "reference.json.gz", "reference.json"  # the latter before ADR 70
DERIVED = "derived_columns.pkl"
SAMPLE = "reference_rows.parquet"
HELD_OUT = "held_out_rows.txt"
ROLLING = "rolling_predictions.parquet"
ADOPTED = "adopt"
FOREIGN = (watched.MADE_BY, ADOPTED)  # how a model is made that was trained elsewhere
PACKAGES = ("scikit-learn", "numpy", "pandas")
TOLERANT = ("numpy", "pandas")  # other versions of these read the same pickles
TRAIN_AGAIN = "python training.py, then python deployment.py --force"
UNREADABLE = (  # what unpickling raises if a package has changed
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
ROWS_AT_ONCE = 20_000  # predicted
PREDICTING = RLock()  # scikit-learn and pandas replace the warning filters, which threads share
Floats = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int8]]
Texts = np.ndarray[Any, np.dtype[np.object_]]


class Manifest(BaseModel):
    """Metadata of a model: its origin, settings, scores, and the digests of its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_name: str
    created_at: datetime
    run_id: int | None
    version: int | None = None
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    target: str
    positive_label: int | float | str
    negative_label: int | float | str
    estimator: str
    parameters: dict[str, Any]
    random_seed: int
    threshold: float
    threshold_reason: str
    is_calibrated: bool = False
    made_by: str = "retrain"
    rows_chosen: str = ""
    rows_trained: int
    rows_held_out: int
    rows_left_out: int
    drawn_from: int | None = None
    trained_through: int
    reference_since: Change | None = None
    reference_of: int | None = None
    changed_at: Change | None = None
    held_out_scores: dict[str, Estimate]
    test_scores: dict[str, Estimate] | None = None
    python_version: str
    packages: dict[str, str]
    files: dict[str, str]

    @property
    def features(self) -> list[str]:
        """The columns used by the model, in its order."""
        return [*self.numeric, *self.categorical]

    def predict(self, y_pred_proba: Floats) -> Labels:
        """Convert probabilities to labels: 1 from the threshold on, else 0."""
        return (y_pred_proba >= self.threshold).astype("int8")

    @property
    def rows_used(self) -> int:
        """The labelled rows it was trained on or judged by, or from which these were drawn."""
        return self.drawn_from or self.rows_trained + self.rows_held_out

    @property
    def is_foreign(self) -> bool:
        """Whether the model was trained elsewhere, so that another kind must not replace it."""
        return self.made_by in FOREIGN

    @property
    def is_watched(self) -> bool:
        """Whether the predictions are made elsewhere, and this is only their reference."""
        return self.estimator == watched.ESTIMATOR


@dataclass(frozen=True)
class Model:
    """A verified classifier and its manifest."""

    pipeline: Any
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the model file, which identifies the model."""
        return self.manifest.files[self.manifest.model_name]

    def predict_proba(self, rows: pd.DataFrame) -> Floats:
        """Return the probability of the positive label for each row."""
        if isinstance(self.pipeline, Predictions):
            return self.pipeline.of(rows)
        # in blocks, as the prepared features of all rows would take far more memory than the rows
        starts = range(0, max(len(rows), 1), ROWS_AT_ONCE)
        blocks = (rows.iloc[start : start + ROWS_AT_ONCE] for start in starts)
        return np.concatenate([self._predict_block(block) for block in blocks])

    def _predict_block(self, rows: pd.DataFrame) -> Floats:
        with PREDICTING:
            features = as_features(rows, self.manifest.numeric, self.manifest.categorical)
            return positive_probability(self.pipeline, features)

    def predict(self, y_pred_proba: Floats) -> Labels:
        """Convert probabilities to labels: 1 from the threshold on, else 0."""
        return self.manifest.predict(y_pred_proba)


def as_features(
    rows: pd.DataFrame, numeric: tuple[str, ...], categorical: tuple[str, ...]
) -> pd.DataFrame:
    """Return the features in the model's order, categories as objects with None for missing."""
    features = rows[[*numeric]]
    if _largest(features) > MAX_NUMBER:  # rows accepted before such numbers were refused
        features = features.where(features.abs() <= MAX_NUMBER)
    if not categorical:
        return features
    texts = {name: _shared_texts(rows[name]) for name in categorical}
    return pd.concat([features, pd.DataFrame(texts, rows.index, dtype="object")], axis=1)


def _largest(numbers: pd.DataFrame) -> float:
    """Return the largest absolute value, of those that are not missing, without a copy of all."""
    values = numbers.to_numpy()
    ends = (extreme.reduce(values, axis=None, initial=0) for extreme in (np.fmin, np.fmax))
    return float(max(map(abs, ends)))


def _shared_texts(cells: pd.Series[Any]) -> Texts:
    """Return the cells as objects, one for each text, however often it occurs."""
    codes, levels = pd.factorize(cells)
    objects = np.array([*levels, None], dtype="object")
    return objects[codes]  # code -1, of missing cells, is the last place


def positive_probability(pipeline: Any, features: pd.DataFrame) -> Floats:
    """Return the probability of label 1, at any position among the pipeline's classes."""
    column = list(pipeline.classes_).index(1)
    with PREDICTING:
        return np.asarray(pipeline.predict_proba(features)[:, column], dtype="float64")


def dumps(pipeline: Any, name: str) -> bytes:
    """Serialise a pipeline: as skops if the file name ends in .skops, else as a pickle."""
    if Path(name).suffix == ".skops":
        return bytes(skops().dumps(pipeline))
    return pickle.dumps(pipeline, protocol=5)


def sign(manifest: Manifest, key: bytes) -> str:
    """Return the manifest as JSON together with its HMAC-SHA256 signature."""
    content = manifest.model_dump(mode="json")
    return json.dumps({"manifest": content, "signature": _signature(content, key)}, indent=2)


def load(folder: Path, key: bytes) -> Model:
    """Load the model in `folder`; verify signature and digests before unpickling anything."""
    manifest = load_manifest(folder, key)
    name = manifest.model_name
    content = read_checked(folder, name, manifest)
    require_packages(folder, manifest)
    try:
        if manifest.is_watched:
            return Model(Predictions.from_json(content), manifest)
        import_sparing("sklearn")
        if Path(name).suffix == ".skops":
            trusted = skops().get_untrusted_types(data=content)
            return Model(skops().loads(content, trusted=trusted), manifest)
        return Model(pickle.loads(content), manifest)
    except UNREADABLE as error:
        raise ModelError(
            f"{folder / name} cannot be read by the installed packages ({error}); "
            f"run: {TRAIN_AGAIN}"
        ) from None


def require_packages(folder: Path, manifest: Manifest) -> None:
    """Raise ModelError if a package is installed in a version that cannot read the model."""
    for package, trained_with in manifest.packages.items():
        if package not in TOLERANT and (found := _installed(package)) != trained_with:
            raise ModelError(
                f"{folder / manifest.model_name} was made with {package} {trained_with}, "
                f"installed is {found}; install that version, or run: {TRAIN_AGAIN}"
            )


def load_manifest(folder: Path, key: bytes) -> Manifest:
    """Read the manifest in `folder` and verify its signature."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no model in {folder}; run: python training.py") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}); train again or roll back") from None
    return verified(content, key, path=path)


def verified(signed: bytes, key: bytes, *, path: Path) -> Manifest:
    """Verify the signature of a manifest, and return it; errors name `path`."""
    try:
        parsed = json.loads(signed.decode("utf-8"))
        content, signature = parsed["manifest"], parsed["signature"]
        trusted = hmac.compare_digest(_signature(content, key), signature)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}); train again or roll back") from None
    if not trusted:
        raise ModelError(
            f"{path} is not signed with this installation's key; it may have been tampered with. "
            "Train again, or roll back to a signed release"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ModelError(
            f"{path} was written by another version of this project: {error}"
        ) from None


def read_checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    """Return a file of the model after verifying its digest against the manifest."""
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if digest(content) != manifest.files.get(name):
        raise ModelError(f"{path} is not the file its manifest describes; train again or roll back")
    return content


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Verify the digests of all files of a model."""
    for name in manifest.files:
        read_checked(folder, name, manifest)


def digest(content: bytes) -> str:
    """Return the SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def environment(estimator: str = "") -> dict[str, Any]:
    """Return the Python and package versions a model depends on."""
    own = estimators.distribution(estimator)
    packages = {
        package: installed_version(package) for package in (*PACKAGES, *filter(None, [own]))
    }
    return {"python_version": platform.python_version(), "packages": packages}


def _signature(content: Mapping[str, Any], key: bytes) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, canonical, hashlib.sha256).hexdigest()


def _installed(package: str) -> str:
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return "none"


def skops() -> Any:
    """Return the module of skops; ConfigError if it is not installed."""
    try:
        import skops.io
    except ImportError:
        raise ConfigError("a model file ends in .skops; run: pip install skops") from None
    return skops.io
