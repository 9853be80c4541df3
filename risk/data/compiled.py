"""The accepted rows as the text of final_data.csv."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from risk.config import Columns


def text(rows: pd.DataFrame, columns: Columns) -> str:
    """Return typed rows as CSV: whole numbers without a decimal point, labels as configured."""
    shown = rows[columns.all].copy(deep=False)
    for name in columns.numbers:
        numbers = rows[name]
        if (numbers.dropna() % 1 == 0).all() and (
            numbers.abs().max() < 2**53 or numbers.isna().all()
        ):
            shown[name] = numbers.astype("Int64")
    labels = {1: str(columns.positive_label), 0: str(columns.negative_label)}
    shown[columns.target] = pd.array([*map(labels.get, rows[columns.target])], dtype="str")
    if (written := _unquoted(shown)) is not None:
        return written
    text = shown.to_csv(index=False, header=False, lineterminator="\n")
    if "\r" in text:
        text = shown.to_csv(index=False, header=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return text


def _unquoted(shown: pd.DataFrame) -> str | None:
    """Return the CSV pandas would write, ten times faster; None if a cell must be quoted."""
    content = io.BytesIO()
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    try:
        written = {
            name: _numerals(cells) if cells.dtype == "float64" else pa.array(cells)
            for name, cells in shown.items()
        }
        pa_csv.write_csv(pa.table(written), content, options)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    return content.getvalue().decode()


def _numerals(numbers: pd.Series[Any]) -> pa.Array:
    """Return numbers as Python writes them, which for those of usual size is as Arrow does."""
    size = numbers.abs()
    is_usual = ((size >= 1e-4) & (size < 1e9)) | (size == 0) | size.isna()
    written = pc.cast(pa.array(numbers, from_pandas=True), pa.string())
    is_whole = pa.array(numbers % 1 == 0)
    written = pc.if_else(is_whole, pc.binary_join_element_wise(written, ".0", ""), written)
    if is_usual.all():
        return written
    odd = pa.array([repr(float(number)) for number in numbers[~is_usual]], pa.string())
    return pc.replace_with_mask(written, pa.array(~is_usual), odd)
