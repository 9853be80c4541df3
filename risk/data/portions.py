"""Portions of a drop: one of very many rows becomes several ingestions, each with its own part.

So whatever reads parts later, such as monitoring and training, needs memory for one portion only.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from risk.config import Columns
from risk.schema import Hashes, LaterLabel, UnripeRow

MAX_ROWS, MAX_CELLS = 400_000, 8_000_000  # of 20 columns take 300 MB while they are assessed
NO_TIME = np.iinfo("int64").min


def max_rows(columns: Columns) -> int:
    """Return how many rows a portion has at most, fewer if there are very many columns."""
    return max(min(MAX_ROWS, MAX_CELLS // len(columns.all)), 1)


@dataclass
class Unripe:
    """The rows accepted without a label: as numbers, as tuples would take six times the memory."""

    pieces: list[Hashes] = field(default_factory=list)

    def add(self, rows: Sequence[UnripeRow]) -> None:
        """Add the rows of a piece."""
        if rows:
            known = [(*row[:2], NO_TIME if row[2] is None else row[2]) for row in rows]
            self.pieces.append(np.array(known, dtype="int64"))

    def __iter__(self) -> Iterator[UnripeRow]:
        for piece in self.pieces:
            yield from _rows(piece)

    def named(self, key_hashes: Collection[int]) -> Iterator[UnripeRow]:
        """Yield the rows with one of these keys."""
        wanted = np.array([*key_hashes], dtype="int64")
        for piece in self.pieces:
            yield from _rows(piece[np.isin(piece[:, 1], wanted)])


@dataclass
class Portion:
    """What a drop adds in one ingestion: new rows, and late labels that were found with them."""

    hashes: array[int] = field(default_factory=lambda: array("q"))
    unripe: Unripe = field(default_factory=Unripe)
    labels: list[LaterLabel] = field(default_factory=list)


def _rows(numbers: Hashes) -> Iterator[UnripeRow]:
    for row_hash, key_hash, time in numbers.tolist():
        yield UnripeRow(row_hash, key_hash, None if time == NO_TIME else time)
