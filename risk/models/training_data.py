"""Training data: accepted rows with the labels known so far, and the rows a model may learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from risk import store
from risk.config import Config
from risk.data import drops, part_files
from risk.ledger.ledger import Ledger
from risk.models import model, releases
from risk.models.evaluation import ripe
from risk.models.model import Manifest
from risk.schema import ROW_HASH, fingerprints

INGESTION = "ingestion_id"
MAX_KEPT = 5000


@dataclass(frozen=True)
class Split:
    """Labelled rows to train on, and the newest ones held out for the gate.

    `recent` are the training rows that the champion has not seen.
    """

    rows: pd.DataFrame
    held_out: pd.DataFrame
    recent: pd.DataFrame
    rows_left_out: int
    through: int


def accepted(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Return the accepted rows of ingestions, in the order given, with their late labels."""
    part_files.verify(config, ledger, ingestion_ids)
    frames = [store.read_parts(config, [number]) for number in ingestion_ids]
    numbers = np.repeat(np.asarray(ingestion_ids, dtype="int64"), [len(rows) for rows in frames])
    rows = pd.concat(frames or [store.read_parts(config, [])], ignore_index=True)
    rows = pd.concat([rows, pd.Series(numbers, name=INGESTION)], axis=1)
    later = ledger.labels.of_parts(ingestion_ids)
    if later:
        labels = rows[ROW_HASH].map(later).astype("Int8")
        rows[config.columns.target] = rows[config.columns.target].fillna(labels)
    return rows


def sound_parts(config: Config, ledger: Ledger, *, after: int = 0) -> list[int]:
    """Return the ingestions after one that added rows in which no feature was broken.

    A feature broken so often that a person, when asked, would have had it fixed counts as sound.
    """
    doubtful = ledger.ingestions.doubtful(config.policy.ask_first_batches)
    return [
        number for number in ledger.ingestions.parts() if number > after and number not in doubtful
    ]


def split(config: Config, ledger: Ledger, *, since: int | None = None) -> Split:
    """Split the labelled, sound rows, without the test data, for training a challenger.

    Of the rows that arrived after the champion's training, and after the change if there was one,
    the newest `test_size` share is held out for the gate: neither model has been trained on them.
    """
    parts = sound_parts(config, ledger)
    labelled = ripe(accepted(config, ledger, parts), config.columns.target)
    rows = labelled[~labelled[ROW_HASH].isin(_test_hashes(config))].reset_index(drop=True)
    champion = _champion(config)
    seen = champion.trained_through if champion else max(parts, default=0)
    unseen = rows.index[rows[INGESTION] >= max(seen + 1, since or 0)]
    n_kept = min(round(len(unseen) * config.test_size), MAX_KEPT)
    kept = unseen[len(unseen) - n_kept :]
    training = rows.drop(index=kept)
    return Split(
        rows=training,
        held_out=rows.loc[kept],
        recent=training[training[INGESTION] > seen],
        rows_left_out=len(labelled) - len(rows),
        through=max(parts, default=0),
    )


def unlearnt(config: Config, ledger: Ledger, challenger: Manifest, kept: bytes) -> pd.DataFrame:
    """Return the labelled rows neither model was trained on: those `kept`, and all newer ones."""
    champion = _champion(config)
    seen = champion.trained_through if champion else 0
    parts = sound_parts(config, ledger, after=seen)
    rows = ripe(accepted(config, ledger, parts), config.columns.target)
    hashes = np.array(kept.decode().split(), dtype="int64")
    fresh = (rows[INGESTION] > challenger.trained_through) | rows[ROW_HASH].isin(hashes)
    return rows[fresh & ~rows[ROW_HASH].isin(_test_hashes(config))]


def to_list(rows: pd.DataFrame) -> str:
    """Return the hashes of rows, one per line."""
    return "".join(f"{row_hash}\n" for row_hash in rows[ROW_HASH])


def _champion(config: Config) -> Manifest | None:
    if releases.live_version(config.deployment_folder) is None:
        return None
    folder = releases.live_folder(config.deployment_folder)
    return model.load_manifest(folder, store.signing_key(config))


def _test_hashes(config: Config) -> NDArray[np.int64]:
    if not config.test_data.exists():
        return np.array([], dtype="int64")
    return fingerprints(drops.read_whole(config, config.test_data))
