"""A sample of more labelled rows than are to be in memory, drawn while they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.schema import ROW_HASH, Hashes

NONE = np.array([], dtype="int64")
MAX_SURPLUS = 1.25  # rows in memory while a sample is drawn, for each row of the sample


@dataclass
class Sample:
    """The first rows in a random order, of those added so far; all if there is no `size`.

    `random_seed` puts all rows there will ever be in this order. So each is as likely as any other,
    it does not matter how many are added at once, and most are in the next sample as well. Some
    `spare` ones are kept, as many as may be left out in the end.
    """

    size: int | None
    random_seed: int
    spare: int = 0
    frames: list[pd.DataFrame] = field(default_factory=list)
    last: np.uint64 = field(default_factory=lambda: np.uint64(np.iinfo(np.uint64).max))

    def add(self, rows: pd.DataFrame) -> None:
        """Add those of some rows that may be among the first."""
        self.frames.append(rows[self._places(rows) <= self.last] if self.size else rows)
        if self.size and self._n_rows > MAX_SURPLUS * (self.size + self.spare):
            self._keep_first(self.size + self.spare)

    def rows(self, *, without: Hashes) -> pd.DataFrame:
        """Return the first rows but for some, in the order in which they were added."""
        if len(without):
            self.frames = [rows[~rows[ROW_HASH].isin(without)] for rows in self.frames]
        if self.size and self._n_rows > self.size:
            self._keep_first(self.size)
        return pd.concat(self.frames, ignore_index=True)

    @property
    def _n_rows(self) -> int:
        return sum(map(len, self.frames))

    def _keep_first(self, n: int) -> None:
        places = [self._places(rows) for rows in self.frames]
        self.last = np.partition(np.concatenate(places), n - 1)[n - 1]
        for i, place in enumerate(places):
            self.frames[i] = self.frames[i][place <= self.last]

    def _places(self, rows: pd.DataFrame) -> NDArray[np.uint64]:
        """Return the place of each row in the order, a mixture of its hash and `random_seed`."""
        salt = np.random.default_rng(self.random_seed).integers(2**64, dtype=np.uint64)
        return pd.util.hash_array(rows[ROW_HASH].to_numpy("int64").view("uint64") ^ salt)


def with_more(
    rows: pd.DataFrame, wanted: pd.DataFrame, is_wanted: NDArray[np.bool_], random_seed: int
) -> pd.DataFrame:
    """Return as many rows, the `wanted` ones and the first of the others.

    `is_wanted` says which rows of the sample are of their kind; if they are as many, it stays.
    """
    if is_wanted.sum() >= len(wanted):
        return rows
    others = Sample(len(rows) - len(wanted), random_seed)
    others.add(rows[~is_wanted])
    return pd.concat([others.rows(without=NONE), wanted], ignore_index=True)
