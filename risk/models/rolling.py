"""Rolling predictions: new rows, each predicted by a model of those that came before it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from risk.config import Columns
from risk.errors import DataError
from risk.models import model
from risk.models.fitting import Fitted
from risk.models.model import Manifest
from risk.schema import ROW_HASH

PARTS = 3  # the first is only trained on; each further one costs a training
MIN_ROWS = 100  # a part of fewer than some thirty rows says nothing
# Of more new rows than this thousands are held out, which is evidence enough; and two more
# trainings on more rows in all would keep a run for minutes.
MAX_NEW_ROWS, MAX_ROWS = 20_000, 100_000
NAMES = [ROW_HASH, "y_pred_proba", "y_pred"]


def predict(
    rows: pd.DataFrame,
    new: pd.DataFrame,
    learn: Callable[[pd.DataFrame], Fitted],
    columns: Columns,
) -> pd.DataFrame:
    """Return row_hash, y_pred_proba and y_pred of `new`, those of `rows` that came last.

    Each part of them is predicted by the model that would have been trained just before it, with
    the threshold of that time: as a bet is placed before the rows it is about, so the gate may
    bet on them as on rows that came after the training. A part is left out if no model could be
    trained before it, and all are where the trainings cost more than they tell.
    """
    if not MIN_ROWS <= len(new) <= MAX_NEW_ROWS or len(rows) > MAX_ROWS:
        return pd.DataFrame(columns=NAMES)
    found = []
    for part in np.array_split(np.arange(len(new)), PARTS)[1:]:
        predicted = new.iloc[part]
        with suppress(DataError):  # one class only, say
            fitted = learn(rows.drop(index=new.index[part[0] :]))
            features = model.as_features(predicted, columns.numeric, columns.categorical)
            y_pred_proba = model.positive_probability(fitted.pipeline, features)
            y_pred = (y_pred_proba >= fitted.threshold.value).astype("int8")
            known = (predicted[ROW_HASH].to_numpy(), y_pred_proba, y_pred)
            found.append(pd.DataFrame(dict(zip(NAMES, known, strict=True))))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=NAMES)


def read(folder: Path, manifest: Manifest) -> pd.DataFrame:
    """Return the rolling predictions of a challenger, by row_hash; none of one made before."""
    if model.ROLLING not in manifest.files:
        return pd.DataFrame(columns=NAMES).set_index(ROW_HASH)
    content = model.read_checked(folder, model.ROLLING, manifest)
    return pd.read_parquet(io.BytesIO(content)).set_index(ROW_HASH)
