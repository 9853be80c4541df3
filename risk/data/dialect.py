"""How an unknown CSV file is written: its encoding, separator and decimal mark."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from risk.data.records import ENCODINGS, MAX_ABOVE, MAX_START, encoding_by_mark, no_text
from risk.errors import DataError
from risk.numerals import SPACES, UNIT

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
COMMA_NUMBER = (
    rf"({UNIT}{SPACES}*)?[+-]?(\d{{1,3}}((\.|{SPACES})\d{{3}})+|\d+)(,\d+)?({SPACES}*{UNIT})?"
)
GROUPED = rf"({UNIT}{SPACES}*)?[+-]?\d{{1,3}}(,\d{{3}})+({SPACES}*{UNIT})?"
WITH_POINT = r"[+-]?\d+\.(\d{1,2}|\d{4,})"


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: str
    separator: str
    decimal: str
    above: tuple[str, ...] = ()  # the lines above the header
    header: tuple[str, ...] = ()  # the names as they are written

    @property
    def settings(self) -> dict[str, str]:
        """The settings that say so, of those of ingestion."""
        names = ("encoding", "separator", "decimal")
        return {name: getattr(self, name) for name in names}


def read(path: Path) -> tuple[Dialect, pd.DataFrame]:
    """Read a CSV file as text, with the encoding, separator and header it seems to have.

    A column without a name of its own has its place in brackets.
    """
    encoding, text = _decoded(path)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise DataError(f"{path.name}: no rows below the header")
    separator = max(SEPARATORS, key=lambda mark: _regularity(lines[:100], mark))
    n_above = _n_above(lines[:100], separator)
    table = text[text.index(lines[n_above]) :]
    try:
        rows = pd.read_csv(
            io.StringIO(table),
            sep=separator,
            dtype="str",
            keep_default_na=False,
            engine="c",
        )
    except (pd.errors.ParserError, ValueError) as error:
        told = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path.name}: not a regular CSV file: {told}") from None
    if not isinstance(rows.index, pd.RangeIndex):
        raise DataError(f"{path.name}: the rows have more cells than the header has names")
    file = io.StringIO(table, newline="")  # lines may also end as on an old Mac
    header = [name.strip() for name in next(csv.reader(file, delimiter=separator))]
    names = [
        name if name and header.count(name) == 1 else f"{name} [{place}]".strip()
        for place, name in enumerate(header, start=1)
    ]
    rows = rows.set_axis(names, axis=1).fillna("").apply(lambda cells: cells.str.strip())
    is_used = [bool(name) or rows.iloc[:, place].ne("").any() for place, name in enumerate(header)]
    rows, header = rows.loc[:, is_used], [*compress(header, is_used)]
    decimal = "," if separator != "," and _has_decimal_commas(rows) else "."
    return Dialect(encoding, separator, decimal, tuple(lines[:n_above]), tuple(header)), rows


def _decoded(path: Path) -> tuple[str, str]:
    """Return the encoding of a file, and its text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if what := no_text(content[:MAX_START]):
        raise DataError(f"{path.name} is {what}; save it as a CSV file in UTF-8")
    marked = encoding_by_mark(content)
    encodings = {"utf-8": marked} if marked else ENCODINGS
    for encoding, codec in encodings.items():
        try:
            return encoding, content.decode(codec)
        except UnicodeDecodeError:
            continue
    what = "damaged UTF-16" if marked == "utf-16" else "neither UTF-8 nor Windows-1252"
    raise DataError(f"{path.name}: {what} text; save it as UTF-8")


def _regularity(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Prefer the separator that gives every line the same number of fields, and many."""
    counts = [len(record) for record in csv.reader(lines, delimiter=separator) if record]
    below = counts[MAX_ABOVE:] if len(counts) > 2 * MAX_ABOVE else counts
    return len(set(below)) == 1 and below[0] > 1, min(below)


def _n_above(lines: Sequence[str], separator: str) -> int:
    """Return how many lines are above the header: titles, `sep=;`, or a first row of short names.

    The header has a name for each cell of the lines below it, and none that is a number.
    """
    records = [[cell.strip() for cell in line] for line in csv.reader(lines, delimiter=separator)]
    usual = Counter(map(len, records[len(records) // 2 :])).most_common(1)[0][0]
    for n_above, record in enumerate(records[: MAX_ABOVE + 1]):
        names = [cell for cell in record if cell]
        is_number = [bool(re.fullmatch(r"[\d.,:-]+", name)) for name in names]
        is_complete = record[: len({*names})] == names  # but for the separator at the end of a line
        if len(record) == usual and is_complete and len(names) > usual / 2 and not any(is_number):
            return n_above
        is_title = len(record) != usual or len(names) <= usual / 2
        lacks_the_first = len(names) == usual - 1 and not record[0]
        if not is_title and not lacks_the_first:
            break
    return 0


def _has_decimal_commas(rows: pd.DataFrame) -> bool:
    """Say whether decimals are behind commas; 1,234 does not say so if another cell is 0.5."""
    cells = pd.Series(np.unique(rows.head(1000).to_numpy().astype("str")))
    with_comma = cells[cells.str.contains(r"\d,\d")]
    if with_comma.str.fullmatch(GROUPED).all() and cells.str.fullmatch(WITH_POINT).any():
        return False
    return len(with_comma) > 0 and bool(with_comma.str.fullmatch(COMMA_NUMBER).mean() > 0.5)
