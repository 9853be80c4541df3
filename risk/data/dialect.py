"""How an unknown CSV file is written: its encoding, separator and decimal mark."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from risk.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCODINGS = ("utf-8-sig", "cp1252")
COMMA_NUMBER = r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: str
    separator: str
    decimal: str


def read(path: Path) -> tuple[Dialect, pd.DataFrame]:
    """Read a CSV file as text, with the encoding and the separator it seems to have."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    for encoding in ENCODINGS:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(f"{path.name}: neither UTF-8 nor Windows-1252 text; save it as UTF-8")
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise DataError(f"{path.name}: no rows below the header")
    separator = max(SEPARATORS, key=lambda mark: _regularity(lines[:100], mark))
    try:
        rows = pd.read_csv(
            io.StringIO(text), sep=separator, dtype="str", keep_default_na=False, engine="c"
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path.name}: not a regular CSV file: {error}") from None
    rows.columns = [str(name).strip() for name in rows.columns]
    rows = rows.fillna("").apply(lambda cells: cells.str.strip())
    is_left_over = [name.startswith("Unnamed:") and rows[name].eq("").all() for name in rows]
    rows = rows.loc[:, [not left_over for left_over in is_left_over]]
    decimal = "," if separator != "," and _has_decimal_commas(rows) else "."
    return Dialect(encoding, separator, decimal), rows


def _regularity(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Prefer the separator that gives every line the same number of fields, and many."""
    counts = [len(record) for record in csv.reader(lines, delimiter=separator) if record]
    return len(set(counts)) == 1 and counts[0] > 1, min(counts)


def _has_decimal_commas(rows: pd.DataFrame) -> bool:
    cells = pd.Series(np.unique(rows.head(1000).to_numpy().astype("str")))
    with_comma = cells[cells.str.contains(r"\d,\d")]
    return len(with_comma) > 0 and bool(with_comma.str.fullmatch(COMMA_NUMBER).mean() > 0.5)
