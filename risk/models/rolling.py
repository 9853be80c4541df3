"""Rolling predictions: rows, each predicted by a model of those that came before it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from risk.config import Columns, Config
from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.models import model, pipelines, small_tables
from risk.models.fitting import Fitted, is_enough, predict_parts
from risk.models.model import Manifest
from risk.schema import ROW_HASH

PARTS = 3  # the first is only trained on; each further one costs a training
MIN_ROWS = 100  # a part of fewer than some thirty rows says nothing
# Of more new rows than this thousands are held out, which is evidence enough; and two more
# trainings on more rows in all would keep a run for minutes.
MAX_NEW_ROWS, MAX_ROWS = 20_000, 100_000
BLOCKS = 4  # of the later half of the rows since a change
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


def is_better_alone(rows: pd.DataFrame, recent: NDArray[np.bool_], config: Config) -> bool:
    """Say whether recent rows predict those to come better without the rows before them.

    The later half of them is cut into blocks, in the order in which they came. Each is predicted by
    a model of all that came before it, and by one of the recent rows among that. Rows of one drop
    are alike, so a block is one observation: on average the recent rows alone must save more of the
    squared error than its standard error over the blocks.
    """
    places, target = np.flatnonzero(recent), config.columns.target
    start = len(places) // 2
    if not is_enough(rows.iloc[places[:start]], config):
        return False
    parts = []
    for block in np.array_split(places[start:], BLOCKS):
        alone = places[places < block[0]]
        parts += [(np.union1d(np.flatnonzero(~recent), alone), block), (alone, block)]
    features = model.as_features(rows, config.columns.numeric, config.columns.categorical)
    y_true = rows[target].to_numpy(dtype="int8")
    unfitted = pipelines.build(config.columns, config.training, random_seed=config.random_seed)
    predicted = predict_parts(unfitted, features, y_true, parts, config)
    errors = [
        np.mean((y_pred_proba - y_true[block]) ** 2)
        for (_, block), y_pred_proba in zip(parts, predicted, strict=True)
    ]
    saved = np.array(errors[::2]) - np.array(errors[1::2])
    return bool(saved.mean() > saved.std(ddof=1) / np.sqrt(BLOCKS))


def to_bytes(predicted: pd.DataFrame) -> bytes:
    """Return rolling predictions as the file that `read` reads."""
    return small_tables.to_bytes(predicted)


def read(folder: Path, manifest: Manifest) -> pd.DataFrame:
    """Return the rolling predictions of a challenger, by row_hash; none of one made before."""
    if model.ROLLING not in manifest.files:
        return pd.DataFrame(columns=NAMES).set_index(ROW_HASH)
    return small_tables.read(folder, model.ROLLING, manifest).set_index(ROW_HASH)
