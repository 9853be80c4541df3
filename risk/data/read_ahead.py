"""Drops that the engine reads and checks while the one before them is taken.

Only this process compares rows with the ledger, and writes. A drop that a worker cannot read is
read by this process, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from risk import engine
from risk.config import Columns, Config, Ingestion
from risk.data import drops, late_labels
from risk.data.drops import Drop, Piece
from risk.errors import DataError

MIN_BYTES = 200_000_000  # of all drops; less is read here before workers have started
MAX_BYTES = 20_000_000  # a larger drop is read in pieces, of which only one is in memory


def of(files: Sequence[Drop], config: Config, now: datetime) -> Iterator[Drop]:
    """Yield the drops in order, on an engine of several processes with what is in them."""
    n_bytes = sum(drop.signature.size_bytes for drop in files)
    if config.engine == "local" or n_bytes < MIN_BYTES:
        yield from files
        return
    found = engine.of(config).map(partial(pieces, config.columns, config.ingestion, now), files)
    for drop, read in zip(files, found, strict=True):
        yield replace(drop, pieces=read)


def pieces(
    columns: Columns, settings: Ingestion, now: datetime, drop: Drop
) -> Sequence[Piece] | None:
    """Read a drop of rows; None if it is one of labels, too large, or cannot be read."""
    if drop.signature.size_bytes > MAX_BYTES:
        return None
    try:
        with drops.opened(drop) as file:
            if late_labels.has_only_labels(drops.header_of(file, columns, settings), columns):
                return None
            return list(drops.read(file, columns, settings, name=drop.name, now=now))
    except (DataError, drops.Changed):
        return None
