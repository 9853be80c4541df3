"""How an unknown CSV file is written: its encoding, separator, header and number marks."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, dropwhile
from pathlib import Path

from risk.data import encodings, number_marks
from risk.data.encodings import Guess
from risk.data.records import MAX_ABOVE, MAX_START, no_text
from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.numerals import Marks

SOME_LINES = 100
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Dialect:
    """How a file is written; its encoding is a `guess` unless it is UTF-8."""

    guess: Guess
    separator: str
    marks: Marks
    above: tuple[str, ...] = ()  # the lines above the header
    header: tuple[str, ...] = ()  # the names as they are written

    @property
    def settings(self) -> dict[str, str | bool]:
        """The settings that say so, of those of ingestion."""
        return {
            "encoding": self.guess.encoding,
            "separator": self.separator,
            "decimal": self.marks.decimal,
            "thousands": self.marks.has_thousands,
        }

    def __str__(self) -> str:
        grouped = f", `{self.marks.other}` between thousands" if self.marks.has_thousands else ""
        return (
            f"separated by {SEPARATORS[self.separator]}, decimal `{self.marks.decimal}`{grouped}, "
            f"{encodings.NAMES[self.guess.encoding]}"
        )


def read(path: Path) -> tuple[Dialect, pd.DataFrame]:
    """Read a CSV file as text, with the encoding, separator and header it seems to have.

    A column without a name of its own has its place in brackets.
    """
    guess, text = _decoded(path)
    lines = io.StringIO(text, newline="").readlines()  # also those of an old Mac
    first = [line for line in lines if line.strip()][:SOME_LINES]
    if len(first) < 2:
        raise DataError(f"{path.name}: no rows below the header")
    separator = max(SEPARATORS, key=lambda mark: _regularity(first, mark))
    n_above = _n_above(lines[:SOME_LINES], separator)
    above = tuple(line.strip() for line in lines[:n_above] if line.strip())
    table = "".join(dropwhile(str.isspace, lines[n_above:]))
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
    rows = rows[rows.ne(header).any(axis=1)].reset_index(drop=True)  # of files put together
    marks = number_marks.find(rows, separator)
    return Dialect(guess, separator, marks, above, tuple(header)), rows


def _decoded(path: Path) -> tuple[Guess, str]:
    """Return the encoding of a file, and its text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if what := no_text(content[:MAX_START]):
        raise DataError(f"{path.name} is {what}; save it as a CSV file in UTF-8")
    marked = encodings.by_mark(content)
    with suppress(UnicodeDecodeError):
        return Guess("utf-8"), content.decode(marked or "utf-8")
    what = "damaged UTF-16" if marked == "utf-16" else "neither UTF-8 nor of a known encoding"
    with suppress(UnicodeDecodeError):
        if not marked:
            guess = encodings.by_letters(content)
            return guess, content.decode(guess.encoding)
    raise DataError(f"{path.name}: {what}; save it as UTF-8")


def _regularity(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Prefer the separator that gives every line the same number of fields, and many."""
    counts = [len(record) for record in csv.reader(lines, delimiter=separator) if record]
    below = counts[MAX_ABOVE:] if len(counts) > 2 * MAX_ABOVE else counts
    return len(set(below)) == 1 and below[0] > 1, min(below)


def _n_above(lines: Sequence[str], separator: str) -> int:
    """Return how many lines are above the header: titles, `sep=;`, or a first row of short names.

    The header has a name for each cell of the lines below it, and none that is a number.
    """
    reader, records, begins = csv.reader(lines, delimiter=separator), [], [0]
    for record in reader:
        if any(map(str.strip, record)) or len(record) > 1:
            records.append([cell.strip() for cell in record])
            begins.append(reader.line_num)
    usual = Counter(map(len, records[len(records) // 2 :])).most_common(1)[0][0]
    for i, record in enumerate(records[: MAX_ABOVE + 1]):
        names = [cell for cell in record if cell]
        is_number = [bool(re.fullmatch(r"[\d.,:-]+", name)) for name in names]
        is_complete = record[: len(names)] == names  # but for the separator at the end of a line
        is_complete &= len({*names}) > 2 / 3 * len(names)
        if len(record) == usual and is_complete and len(names) > usual / 2 and not any(is_number):
            whole = (j for j in range(i + 1, len(records)) if len(records[j]) == usual)
            following = next(whole, i)
            return begins[following if _are_alike(record, records[following]) else i]
        is_title = len(record) != usual or len(names) <= usual / 2
        lacks_the_first = len(names) == usual - 1 and not record[0]
        if not is_title and not lacks_the_first:
            break
    return 0


def _are_alike(names: Sequence[str], others: Sequence[str]) -> bool:
    """Say whether most names are the same in another line, so that the first may be a title."""
    return sum(map(str.__eq__, names, others)) > len(names) / 2
