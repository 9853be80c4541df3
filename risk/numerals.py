"""Numerals: the texts of a drop that are numbers, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from risk.config import Columns
from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc

DECIMALS = {".": "point", ",": "comma"}
UNIT = (
    r"(?:US\$|R\$|NT\$|[€$£¥￥₩₹₺₽%円元원]|EUR|USD|GBP|CHF|PLN|zł|CZK|Kč|HUF|Ft|RON|lei|SEK|NOK|DKK|kr\.?"
    r"|TRY|JPY|CNY|KRW|INR|BRL|CAD|AUD)"
)
SPACES = "[ \u00a0\u202f'’]"  # between thousands; the middle two are spaces at which no line breaks
BETWEEN_THOUSANDS = re.compile(rf"(?<=\d)(?<!\d{{4}}){SPACES}(?=\d{{3}}(?!\d))")
MARKED = rf"{SPACES}|{UNIT}"
WITH_UNIT = (
    rf"(?P<sign>-?)(?P<before>{UNIT}?){SPACES}*"
    rf"(?P<number>[+-]?[\d.,]+){SPACES}*(?P<behind>{UNIT}?)"
)
MINUS = "[-\u2212\u2013]"  # of a keyboard, of mathematics, and the dash of a text processor
AMOUNT = rf"(?:{UNIT}{SPACES}*)?\d[\d.,{SPACES[1:]}*(?:{UNIT}{SPACES}*)?"
NEGATIVE = "|".join(  # as ledgers write them: (12), ($12), $(12), 12-, 12- €, - 12
    [
        rf"(?:{UNIT}{SPACES}*)?\({SPACES}*{AMOUNT}\)(?:{SPACES}*{UNIT})?",
        rf"{AMOUNT}{MINUS}(?:{SPACES}*{UNIT})?",
        rf"{MINUS}{SPACES}*{AMOUNT}",
    ]
)
CELLS_AT_ONCE = 100_000  # as objects they take 60 bytes each
MAX_NUMBER = 1e20  # models divide by small spreads, and some use 32-bit floats
MAX_EXACT = 2.0**53  # from here on, different whole numbers become equal
NEGATIVE_ZERO = np.iinfo("int64").min  # its bits
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Limits = tuple[float | None, float | None]


class Marks(NamedTuple):
    """The decimal mark, and whether the other mark is one between thousands also in 1.512."""

    decimal: str = "."
    has_thousands: bool = False

    @property
    def other(self) -> str:
        """The one of point and comma that is not the decimal mark."""
        return "," if self.decimal == "." else "."


POINT = Marks()


def with_points(cells: pd.Series[Any], marks: Marks) -> pd.Series[Any]:
    """Return numbers with decimal points, their sign before them, without marks between thousands.

    Without a setting these are read only where they can be nothing else: 1.512,07 or 1.234.567,
    but not 1.512. A unit is left out if most cells with a number have it.
    """
    cells = signed(cells)
    if (marked := _matches(cells, MARKED)).any():
        cells = cells.where(~marked, without_spaces(cells))
        cells = _without_unit(cells)
    decimal, thousands = marks.decimal, marks.other
    marked = cells.str.contains(thousands, regex=False)
    if not marked.any():  # nearly always, so that it is not to cost much
        return cells if decimal == "." else cells.str.replace(decimal, ".", regex=False)
    group = rf"[+-]?\d{{1,3}}(\{thousands}\d{{3}})"
    fewest = 1 if marks.has_thousands else 2
    is_grouped = _are_whole(cells, rf"{group}+\{decimal}\d+|{group}{{{fewest},}}")
    plain = cells.where(~is_grouped, cells.str.replace(thousands, "", regex=False))
    return plain.mask(marked & ~is_grouped, "?").str.replace(decimal, ".", regex=False)


def signed(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return negative numbers with their minus before them: -12 for (12), 12- and \u2212 12."""
    is_negative = _are_whole(cells, NEGATIVE)
    if not is_negative.any():
        return cells
    amounts = cells.str.replace(rf"[()]|{MINUS}", "", regex=True).str.strip()
    return cells.mask(is_negative, "-" + amounts)


def _are_whole(cells: pd.Series[Any], pattern: str) -> pd.Series[bool]:
    """Return which cells match a pattern as a whole, as `cells.str.fullmatch` does.

    pandas parses a pattern anew for each column, which takes longer than the cells of most drops.
    """
    if pc.all(pc.string_is_ascii(texts(cells)), min_count=0).as_py():
        return _matches(cells, f"^(?:{pattern})$")
    whole = re.compile(pattern).fullmatch  # `\d` of Arrow are the ten digits of ASCII alone
    return cells.map(lambda cell: bool(whole(cell)), na_action="ignore").eq(True)


def _matches(cells: pd.Series[Any], pattern: str) -> pd.Series[bool]:
    """Return in which cells a pattern matches; one that means the same to Arrow."""
    found = pc.fill_null(pc.match_substring_regex(texts(cells), pattern), False)
    return pd.Series(found.to_numpy(), index=cells.index)


def without_spaces(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Leave out the spaces or apostrophes between thousands."""
    return cells.str.replace(BETWEEN_THOUSANDS, "", regex=True)


def _without_unit(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Leave out the unit of a column, but none of a few cells, which say something else."""
    parts = cells.str.extract(rf"^{WITH_UNIT}$")
    units = (parts["before"] + parts["behind"])[parts["number"].notna()]
    if units.empty:
        return cells
    usual = units.value_counts().index[0]
    is_usual = parts["before"] + parts["behind"] == usual
    return cells.mask(is_usual, parts["sign"] + parts["number"])


def plain(records: pd.DataFrame, columns: Columns, marks: Marks) -> dict[str, pd.Series[Any]]:
    """Return the columns of numbers in which no cell can break a rule, many converted at once.

    What this cannot say of a column for sure, it leaves to the rules one by one. Some columns may
    hold numbers already.
    """
    known = {name: records[name] for name in columns.numeric}
    plain = {name: cells for name, cells in known.items() if cells.dtype == "float64"}
    unknown = [name for name in columns.numeric if name not in plain]
    at_once = max(CELLS_AT_ONCE // max(len(records), 1), 1)
    markers = pa.array(["", *columns.missing_markers], pa.large_string())
    for start in range(0, len(unknown), at_once):
        names = unknown[start : start + at_once]
        chunks = [chunk for name in names for chunk in texts(records[name]).chunks]
        cells = pa.chunked_array(chunks, pa.large_string())
        if marks.decimal == "," and may_have(cells, "."):
            continue
        shape = (len(names), len(records))
        missing = pc.is_in(cells, value_set=markers).to_numpy().reshape(shape)
        known = pc.if_else(missing.ravel(), None, cells) if missing.any() else cells
        points = pc.replace_substring(known, ",", ".") if marks.decimal == "," else known
        converted = _as_floats(points)
        for name, numbers, is_missing in zip(names, converted.reshape(shape), missing, strict=True):
            if _are_sure(numbers, is_missing, columns.allowed_ranges.get(name)):
                plain[name] = pd.Series(numbers, index=records.index)
    return plain


def equal(cells: pd.Series[Any], number: float, marks: Marks) -> pd.Series[bool]:
    """Return which cells mean a number."""
    written = texts(cells)
    if marks.decimal == "." and abs(number) < MAX_EXACT and not may_have(written, "+"):
        with suppress(pa.ArrowInvalid):
            numbers = pc.cast(pc.if_else(pc.equal(written, ""), None, written), pa.float64())
            return pd.Series(numbers.to_numpy() == number, index=cells.index)
    return pd.to_numeric(with_points(cells, marks), errors="coerce") == number


def texts(cells: pd.Series[Any]) -> pa.ChunkedArray:
    """Return texts as Arrow has them, uncopied if they are of the type `str`."""
    array = pa.array(cells, pa.large_string())
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def places(cells: pd.Series[Any], known: Sequence[str]) -> NDArray[np.int32]:
    """Return the place of each text among those known, -1 of others and of missing ones."""
    found = pc.index_in(texts(cells), pa.array(known, pa.large_string()))
    at: NDArray[np.int32] = pc.fill_null(found, -1).to_numpy()
    return at


def may_have(cells: pa.ChunkedArray, *characters: str, below: str = "\x00") -> bool:
    """Return whether texts have one of some ASCII characters; said without looking at each cell.

    The bytes of cells left out of a column are looked at, too.
    """
    for chunk in cells.chunks:
        content = np.frombuffer(chunk.buffers()[2] or b"", dtype="uint8")
        if len(content) and content.min() < ord(below):
            return True
        if any((content == ord(character)).any() for character in characters):
            return True
    return False


def _as_floats(cells: pa.ChunkedArray) -> Floats:
    """Return numbers, NaN where a cell is none.

    Arrow knows fewer spellings than pandas, but is faster, and reads the numbers it knows with the
    same library, those with a plus sign excepted.
    """
    if not may_have(cells, "+"):
        with suppress(pa.ArrowInvalid):
            numbers: Floats = pc.cast(cells, pa.float64()).to_numpy()
            return numbers
    slower: Floats = pd.to_numeric(cells.to_pandas(), errors="coerce").to_numpy("float64")
    return slower


def are_sure(cells: pa.ChunkedArray, name: str, columns: Columns, decimal: str) -> bool:
    """Return whether no number of a column, of which the missing ones are null, can break a rule.

    A number that is also a marker of missing ones, but written otherwise, is left to the rules.
    """
    numbers, is_missing = cells.to_numpy(), cells.is_null().to_numpy()
    return _are_sure(numbers, is_missing, columns.allowed_ranges.get(name)) and not any(
        (numbers == marker).any() for marker in _numbers_among(columns.missing_markers, decimal)
    )


def _are_sure(numbers: Floats, is_missing: Mask, limits: Limits | None) -> bool:
    """Return whether no number of a column can break a rule, and none depends on the others.

    If a column is converted alone, -0 is 0 in one of whole numbers without a missing one.
    """
    known = numbers[~is_missing] if is_missing.any() else numbers
    if not len(known):
        return True
    least, greatest = known.min(), known.max()  # NaN if there is one
    low, high = limits or (None, None)
    is_within = (low is None or least >= low) and (high is None or greatest <= high)
    if not (is_within and -MAX_EXACT < least and greatest < MAX_EXACT):
        return False
    has_negative_zero = (known.view("int64") == NEGATIVE_ZERO).any()
    return (
        not has_negative_zero or len(known) < len(numbers) or bool((np.trunc(known) != known).any())
    )


def _numbers_among(markers: Sequence[str], decimal: str) -> Iterator[float]:
    for marker in markers:
        with suppress(ValueError):
            yield float(marker.replace(decimal, "."))


def parse(
    written: pd.Series[Any], missing_markers: Sequence[str], marks: Marks
) -> tuple[pd.Series[Any], dict[str, pd.Series[bool]]]:
    """Return the numbers that cells mean, and by rule which cells break it."""
    missing = (written == "") | written.isin(missing_markers)
    cells = with_points(written, marks)
    numbers = pd.to_numeric(cells.mask(missing), errors="coerce").astype("float64")
    size = numbers.abs()
    broken = numbers.isna() & ~missing
    other = broken & _are_whole(signed(written), r"[+-]?\d+[.,]\d+")
    settings = "ingestion.decimal and ingestion.thousands"
    return numbers, {
        "not a number": broken & ~other,
        f"not a number with a decimal {DECIMALS[marks.decimal]}; see {settings}": other,
        "not finite": size == np.inf,
        "more digits than can be kept": _inexact(cells, numbers),
    }


def _inexact(cells: pd.Series[Any], numbers: pd.Series[Any]) -> pd.Series[bool]:
    """Return which numbers are so large that a neighbouring whole number would be equal.

    Such a column holds identifiers; a number as a program writes it is always kept.
    """
    size, inexact = numbers.abs(), pd.Series(False, index=cells.index)
    for i in cells.index[(size >= MAX_EXACT) & (size <= MAX_NUMBER)]:
        written = Decimal(cells[i])
        inexact[i] = written not in (Decimal(numbers[i]), Decimal(repr(float(numbers[i]))))
    return inexact
