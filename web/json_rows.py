"""Rows of a response as JSON, written column by column, which is many times as fast as by row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc


class Coded(NamedTuple):
    """Cells of few values, each the place of its value."""

    values: Sequence[Any]
    places: NDArray[np.integer[Any]]

    def categories(self) -> pd.Categorical[Any]:
        """Return the cells as pandas has them."""
        return pd.Categorical.from_codes(self.places, pd.Index(self.values, dtype="object"))


Cells: TypeAlias = "Sequence[Any] | NDArray[np.float64] | Coded"
# the line ends between values are the only ones: within a text they are escaped
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=("\n", ": "))
TEXT = pa.large_string()


def written(table: Mapping[str, Cells]) -> str:
    """Return the rows of a table as JSON objects, separated by commas."""
    pieces: list[Any] = []
    for name, cells in table.items():
        label = json.dumps(name, ensure_ascii=False)
        pieces += [pa.scalar(f"{', ' if pieces else '{'}{label}: ", TEXT), _each(cells)]
    ends = [pa.scalar(end, TEXT) for end in ("}, ", "")]
    rows = pc.binary_join_element_wise(*pieces, *ends)
    _, places, content = rows.buffers()  # of all rows, one behind the other
    size = int(np.frombuffer(places, "int64")[len(rows)])
    return str(memoryview(content)[: size - len(", ")], "utf-8")


def _each(cells: Cells) -> pa.Array:
    """Return each cell as JSON."""
    if isinstance(cells, Coded):
        return _each(cells.values).take(pa.array(cells.places))
    if isinstance(cells, np.ndarray):
        return _numbers(cells)
    text = ENCODER.encode(cells)[1:-1]
    if text.startswith("["):  # only the line ends between lists part cells
        text = text.replace("]\n[", "]\r[").replace("\n", ", ").replace("\r", "\n")
    return pc.split_pattern(pa.array([text], TEXT), "\n").values


def _numbers(numbers: NDArray[np.float64]) -> pa.Array:
    """Return numbers as JSON; Arrow writes those from 0.0001 to below 1 as Python does."""
    others = ~((numbers >= 1e-4) & (numbers < 1))
    texts = pa.array(numbers).cast(TEXT)
    if not others.any():
        return texts
    return pc.replace_with_mask(texts, others, _each(numbers[others].tolist()))
