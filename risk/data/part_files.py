"""Parts read by way of the ledger, which has the digest of each: a damaged one is never used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from risk import store
from risk.config import Config
from risk.errors import StorageError
from risk.ledger.ledger import Ledger


def read(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Return the accepted rows of several ingestions, in the order given; some may have none."""
    parts = {*ledger.ingestions.parts()}
    wanted = [number for number in ingestion_ids if number in parts]
    verify(config, ledger, wanted)
    return store.read_parts(config, wanted)


def read_in_batches(config: Config, ledger: Ledger, ingestion_id: int) -> Iterator[pd.DataFrame]:
    """Yield the accepted rows of one ingestion in batches."""
    verify(config, ledger, [ingestion_id])
    yield from store.read_part(store.part_path(config, ingestion_id), config.columns)


def verify(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> None:
    """Raise StorageError if a part is not the file that was recorded."""
    recorded = ledger.ingestions.part_digests(ingestion_ids)
    for number in ingestion_ids:
        path = store.part_path(config, number)
        if not path.is_file():
            raise StorageError(f"{config.name_of(path)} is missing; restore it from a backup")
        if number in recorded and store.digest(path) != recorded[number]:
            raise StorageError(
                f"{config.name_of(path)} is damaged: it is not the file that ingestion {number} "
                "wrote; restore it from a backup"
            )
