"""A model made elsewhere as a challenger: checked on labelled rows, which become its reference."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from risk.config import Config
from risk.errors import DataError, UsageError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import adoption, model
from risk.models.adoption import Adopted
from risk.models.evaluation import ripe
from risk.models.fitting import min_class_size
from risk.models.model import Floats, Manifest
from risk.models.watched import require_model
from risk.monitoring import watching
from risk.monitoring.monitored_release import TrainingRecord


class Wanted(NamedTuple):
    """The file of a model, labelled rows it was not trained on, and the digest confirmed."""

    path: Path
    like: Path | None
    trust: str | None

    @classmethod
    def of(cls, path: Path | None, like: Path | None, trust: str | None) -> Self | None:
        """Check the options of the command line; None without a file."""
        if path is None and (like or trust):
            raise UsageError("--like and --trust require --adopt")
        return None if path is None else cls(path, like, trust)


def write(config: Config, ledger: Ledger, wanted: Wanted) -> Manifest:
    """Write a confirmed model in place of a challenger; nothing is unpickled before."""
    require_model(config, "no model can be adopted")
    path, content = adoption.read(wanted.path)
    found = adoption.trusted(path, content, wanted.trust)
    if wanted.like is None:
        raise UsageError("--adopt requires --like, a CSV of labelled rows it was not trained on")
    fitted = adoption.fitted_to(found, config.columns)
    rows = ripe(watching.rows_of_file(config, ledger, wanted.like), config.columns.target)
    labels = rows[config.columns.target].to_numpy(dtype="int8")
    if len(rows) < config.training.minimum_rows or min_class_size(labels) < 2:
        raise DataError(f"{wanted.like} has too few labelled rows of each class for a reference")
    features = model.as_features(rows, config.columns.numeric, config.columns.categorical)
    proba = _predicted(fitted, features, wanted.like)
    fitted, replaced = adoption.for_every_row(fitted, features, config.columns.categorical)
    cut, reason = config.model.threshold, "fixed in the settings"
    if cut is None:
        cut, reason = 0.5, "that of the model itself"
    name = f"{type(found).__module__}.{type(found).__qualname__}"
    own = {
        "estimator": name,
        "parameters": {"file": path.name, "sha256": model.digest(content), "replaced": replaced},
        "threshold_reason": reason,
        "made_by": model.ADOPTED,
        "rows_chosen": f"the rows of {wanted.like.name}",
        "trained_through": watching.assessed_through(ledger),
        **model.environment(name),
    }
    record = TrainingRecord(rows, proba, proba >= cut, cut, None, pd.DataFrame())
    pickled = (adoption.FILE_NAME, model.dumps(fitted, adoption.FILE_NAME))
    return watching.write_challenger(config, ledger, record, pickled, own)


def _predicted(fitted: Adopted, features: pd.DataFrame, like: Path) -> Floats:
    """Let the model predict, as a test that it can."""
    try:
        proba = model.positive_probability(fitted, features)
    except adoption.FAULTS as error:
        raise DataError(f"the model cannot predict the rows of {like}: {error}") from None
    if not ((proba >= 0) & (proba <= 1)).all():
        raise DataError(f"the model predicts values for the rows of {like} that are no probability")
    return proba
