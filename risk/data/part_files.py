"""Parts read by way of the ledger, which has the digest of each: a damaged one is never used.

One that is missing or damaged here is fetched from the shared store, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from risk import store
from risk.config import Config
from risk.data import shared_files
from risk.errors import StorageError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger


def read(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Return the accepted rows of several ingestions, in the order given; some may have none."""
    wanted = ledger.parts.among(ingestion_ids)
    require(config, ledger, wanted)
    return store.read_parts(config, wanted)


def read_in_batches(config: Config, ledger: Ledger, ingestion_id: int) -> Iterator[pd.DataFrame]:
    """Yield the accepted rows of one ingestion in batches."""
    require(config, ledger, [ingestion_id])
    yield from store.read_part(store.part_path(config, ingestion_id), config.columns)


def require(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> None:
    """Fetch parts that are missing or damaged here; raise StorageError if that is not possible."""
    for number, fault in _faults(config, ledger, ingestion_ids):
        recorded = ledger.parts.digests([number], settled=False)
        path = store.part_path(config, number)
        if number not in recorded or not shared_files.fetch(config, path, recorded[number]):
            raise StorageError(fault)


def verify(config: Config, ledger: Ledger, ingestion_ids: Sequence[int]) -> None:
    """Raise StorageError if a part is not the file that was recorded."""
    for _, fault in _faults(config, ledger, ingestion_ids):
        raise StorageError(fault)


def _faults(
    config: Config, ledger: Ledger, ingestion_ids: Sequence[int]
) -> Iterator[tuple[int, str]]:
    recorded = ledger.parts.digests(ingestion_ids)
    mend = "restore it from a backup"
    if config.shared_store:
        mend = f"run: python -m risk.admin fetch, or {mend}"
    for number in ingestion_ids:
        path = store.part_path(config, number)
        if not path.is_file():
            yield number, f"{config.name_of(path)} is missing; {mend}"
        elif number in recorded and store.digest(path) != recorded[number]:
            yield (
                number,
                f"{config.name_of(path)} is damaged: it is not the file that ingestion {number} "
                f"wrote; {mend}",
            )
