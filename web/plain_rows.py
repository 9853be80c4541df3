"""Rows of JSON that plainly break no rule of a drop: most, and typed many times as fast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import NoneType
from typing import Any

import numpy as np

from risk.config import Columns
from risk.lazily import pandas as pd
from risk.numerals import MAX_EXACT
from risk.schema import NAME_CHARACTERS

DIGIT = re.compile(r"\d")


def typed(records: Sequence[Any], columns: Columns) -> pd.DataFrame | None:
    """Return the features of rows as `schema.check` types them; None if it may find a fault."""
    known = set(columns.all)
    if not all(type(record) is dict and record.keys() <= known for record in records):
        return None
    names = [record.get(columns.identifier) for record in records]
    try:
        cells = {name: [record[name] for record in records] for name in columns.features}
        numbers = np.array([cells[name] for name in columns.numeric], dtype="float64")
        numbers = numbers.reshape(len(columns.numeric), len(records))
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    are_levels = all(_are_levels(cells[name], name, columns) for name in columns.categorical)
    if not (are_levels and _are_names(names) and _are_numbers(numbers, cells, columns)):
        return None
    texts = {name: pd.array(_as_texts(cells[name]), dtype="str") for name in columns.categorical}
    return pd.DataFrame(numbers.T, columns=[*columns.numeric]).assign(**texts)


def _are_numbers(numbers: Any, cells: dict[str, list[Any]], columns: Columns) -> bool:
    """Return whether all are numbers whose text is one number, in range and not a marker."""
    types = {kind for name in columns.numeric for kind in set(map(type, cells[name]))}
    if not types <= {int, float, NoneType} or DIGIT.search(" ".join(columns.missing_markers)):
        return False
    for name, (low, high) in columns.allowed_ranges.items():
        row = numbers[columns.numeric.index(name)]
        if (row < (-np.inf if low is None else low)).any():
            return False
        if (row > (np.inf if high is None else high)).any():
            return False
    return bool(((np.abs(numbers) < MAX_EXACT) | np.isnan(numbers)).all())


def _as_texts(cells: Sequence[Any]) -> list[str | None]:
    return [None if cell is None else str(cell) for cell in cells]


def _are_levels(cells: Sequence[Any], name: str, columns: Columns) -> bool:
    """Return whether all are allowed levels, or missing."""
    levels, allowed = _plain_texts(cells), columns.allowed_values.get(name)
    return levels is not None and (not allowed or levels <= {*allowed})


def _are_names(cells: Sequence[Any]) -> bool:
    """Return whether all are names of a row, or missing."""
    names = _plain_texts(cells)
    return names is not None and all(len(name) <= NAME_CHARACTERS for name in names)


def _plain_texts(cells: Sequence[Any]) -> set[str] | None:
    """Return the texts and whole numbers if there is nothing to strip or to refuse, else None."""
    if not set(map(type, cells)) <= {str, int, NoneType}:
        return None
    texts = {str(cell) for cell in set(cells) if cell is not None}
    is_plain = all(text and text == text.strip() and text.isprintable() for text in texts)
    return texts if is_plain else None
