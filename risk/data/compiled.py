"""The accepted rows as the text of final_data.csv."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from risk.config import Columns
from risk.data import decimals
from risk.lazily import pandas as pd
from risk.numerals import MAX_EXACT, Floats, may_have, texts

TEXT = pa.large_string()
NOTHING, COMMA, LINE_END, QUOTE, POINT_ZERO = (
    pa.scalar(text, TEXT) for text in ("", ",", "\n", '"', ".0")
)


def content(rows: pd.DataFrame, columns: Columns) -> bytes:
    """Return typed rows as CSV: whole numbers without a decimal point, labels as configured."""
    labels = pa.array([str(columns.negative_label), str(columns.positive_label)], TEXT)
    numbers = {name: _numerals(rows[name].to_numpy("float64")) for name in columns.numbers}
    others = {
        name: labels.take(pa.array(rows[name]))
        if name == columns.target
        else texts(rows[name]).combine_chunks()
        for name in columns.all
        if name not in numbers
    }
    if any(_are_with(cells, "\r").true_count for cells in others.values()):
        # with one old line end in a cell, all cells are in quotes
        every = (numbers | others).items()
        quoted = {name: _in_quotes(cells.fill_null("")) for name, cells in every}
    else:
        quoted = numbers | {name: _quoted_where_needed(cells) for name, cells in others.items()}
    return _joined([quoted[name] for name in columns.all])


def _joined(cells: Sequence[pa.Array]) -> bytes:
    """Return the lines of which these are the columns; a missing cell is empty."""
    last = pc.binary_join_element_wise(cells[-1], LINE_END, NOTHING, null_handling="replace")
    lines = pc.binary_join_element_wise(*cells[:-1], last, COMMA, null_handling="replace")
    return bytes(memoryview(lines.buffers()[2] or b"")[: pc.sum(pc.binary_length(lines)).as_py()])


def _quoted_where_needed(cells: pa.Array) -> pa.Array:
    """Return texts in quotes where CSV needs them."""
    mask = _are_with(cells, ",", '"', "\n")
    return pc.if_else(mask, _in_quotes(cells), cells) if mask.true_count else cells


def _are_with(cells: pa.Array, *characters: str) -> pa.BooleanArray:
    """Return which cells have one of some characters."""
    if not may_have(pa.chunked_array([cells]), *characters):
        return pa.array(np.zeros(len(cells), dtype="bool"))
    return pc.match_substring_regex(cells, f"[{''.join(characters)}]")


def _in_quotes(cells: pa.Array) -> pa.Array:
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.binary_join_element_wise(QUOTE, doubled, QUOTE, NOTHING)


def _numerals(numbers: Floats) -> pa.Array:
    """Return numbers as Python writes them, without a point if all of them are whole."""
    size, is_whole, is_missing = np.abs(numbers), np.trunc(numbers) == numbers, np.isnan(numbers)
    known = pa.array(numbers, from_pandas=True)
    if (is_whole | is_missing).all() and not (size >= MAX_EXACT).any():
        return pc.cast(pc.cast(known, pa.int64()), TEXT)
    if (short := decimals.written(numbers)) is not None:
        return short
    ends = pc.if_else(pa.array(is_whole), POINT_ZERO, NOTHING)
    written = pc.binary_join_element_wise(pc.cast(known, TEXT), ends, NOTHING)
    is_odd = (size < 1e-4) & (size != 0) | (size >= 1e9)  # where Arrow writes exponents otherwise
    if not is_odd.any():
        return written
    odd = pa.array([repr(number) for number in numbers[is_odd].tolist()], TEXT)
    return pc.replace_with_mask(written, pa.array(is_odd), odd)
