"""What sound rows had in each feature, also those before the reference, and how it behaves.

Drift is a distance from the reference. Whether a feed is broken is another question: a value that
came in sound rows once was not made up by a fault, and an index, a price level or the month of a
row leaves all that was known each time it moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.models.dating import INGESTION, MOMENT
from risk.monitoring.profile import Column, Mask

MOSTLY, ENOUGH_FOR_A_RANGE = 0.5, 200  # share of the rows of a batch; rows before it
MIN_ROWS = 20  # of a batch that is judged
A_HABIT = 2  # batches; what happened once is an event


@dataclass(frozen=True)
class Known:
    """What all sound rows up to the release had in one column; habits are of a sample, if drawn.

    `low` and `high` are the range of its numbers, `levels` those that the reference lacks. A column
    comes `in_blocks` if most batches had one value only, and not all the same; it `roams` if it
    does, since so few values are no range, or if most values of some batches lay beyond all that
    came before.
    """

    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    roams: bool = False
    in_blocks: bool = False

    def has(self, values: pd.Series[Any]) -> Mask:
        """Say of each value whether it was seen, or lies within the range of those that were."""
        if self.low is not None and self.high is not None:
            return values.between(self.low, self.high).to_numpy(dtype=bool)
        return values.isin(self.levels).to_numpy(dtype=bool)

    @classmethod
    def of(cls, values: pd.Series[Any], column: Column, batch: NDArray[np.int64]) -> Known:
        """Look at the values of a column, of which those with one number in `batch` came together.

        The numbers rise with time.
        """
        known = values.notna().to_numpy()
        values, batch = values[known], np.unique(batch[known], return_inverse=True)[1]
        if values.empty:
            return cls()
        is_new, is_uniform = _by_batch(values, batch, is_number=column.edges is not None)
        size = np.bincount(batch)
        before, judged = np.cumsum(size) - size, size >= MIN_ROWS
        left = judged & (before >= ENOUGH_FOR_A_RANGE) & (is_new >= MOSTLY)
        blocks = judged & is_uniform
        enough = bool(blocks.sum() >= MOSTLY * judged.sum())
        in_blocks = enough and values[blocks[batch]].nunique() > 1
        roams = in_blocks or int(left.sum()) >= A_HABIT
        if column.edges is not None:
            low, high = float(values.min()), float(values.max())
            return cls(low, high, roams=roams, in_blocks=in_blocks)
        others = sorted({*values.unique()} - {*column.levels, *column.rare})
        return cls(levels=tuple(others), roams=roams, in_blocks=in_blocks)


def of_rows(
    rows: pd.DataFrame, columns: Sequence[Column], *, dated: bool, minutes: float
) -> dict[str, Known]:
    """Look at each column of rows, cut into batches: by event time if they are `dated`, or by drop.

    `minutes` is the usual time between two drops.
    """
    if dated:
        wanted = rows[rows[MOMENT].notna()]
        seconds = wanted[MOMENT].to_numpy("M8[s]").astype("int64")
        when = seconds // max(round(60 * minutes), 1)
    else:
        wanted, when = rows, rows[INGESTION].to_numpy("int64")
    batch = np.unique(when, return_inverse=True)[1]
    return {c.name: Known.of(wanted[c.name], c, batch) for c in columns if c.name in wanted}


def from_content(content: Mapping[str, Any]) -> dict[str, Known]:
    """Return what parsed JSON tells, in which tuples are lists."""
    return {
        name: Known(**{**each, "levels": tuple(each["levels"])}) for name, each in content.items()
    }


def _by_batch(
    values: pd.Series[Any], batch: NDArray[np.int64], *, is_number: bool
) -> tuple[NDArray[Any], Mask]:
    """Return the share of each batch beyond all before it, and whether it has one value only."""
    grouped = values.groupby(batch)
    if is_number:
        low, high = grouped.min(), grouped.max()
        is_uniform = low == high
        before = low.cummin().shift().to_numpy(), high.cummax().shift().to_numpy()
        beyond = (values < before[0][batch]) | (values > before[1][batch])
    else:
        is_uniform = grouped.nunique() == 1
        beyond = pd.Series(batch, values.index).groupby(values).transform("min") == batch
    share = beyond.groupby(batch).mean()
    return share.to_numpy("float64"), is_uniform.to_numpy(dtype=bool)
