"""Row validation: which rows are accepted, and why the others are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from risk import numerals
from risk.config import Columns
from risk.errors import DataError
from risk.labels import Label
from risk.lazily import pandas as pd
from risk.numerals import MAX_NUMBER, POINT, Marks

ROW_HASH = "row_hash"
Hashes = np.ndarray[Any, np.dtype[np.int64]]
SHOWN_CHARACTERS = 40
MAX_COMPARED = 1000  # names of columns
SOME = 1000  # cells that tell what the others are like
NAME_CHARACTERS = 650  # of four bytes each: the longest key every database can index
NO_TIME = "no such time, or not written as ingestion.dates says"
FROM_SQL = "sql:"  # prefix of the names of drops that are read from SQL
CONTROL_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
DELETE = "\x7f"
CANONICAL_TIME = r"\d{4}-\d\d-\d\d(?: (?!00:00:00)\d\d:\d\d:\d\d)?"
BELOW_MICROSECONDS = r"(\.\d{6})(\d+)"


class Problem(NamedTuple):
    """One cell that breaks a rule; line 0 means the whole file."""

    line: int
    column: str
    rule: str
    value: str


class Key(NamedTuple):
    """What a label names its row by: a hash of the identifier and, if known, the event time."""

    key_hash: int
    event_time_us: int | None


class UnripeRow(NamedTuple):
    """A row that was accepted without a label."""

    row_hash: int
    key_hash: int
    event_time_us: int | None = None


class EarlyLabel(NamedTuple):
    """A label that came before its row."""

    key_hash: int
    event_time_us: int | None
    y_true: int


class LaterLabel(NamedTuple):
    """The label of a row that was accepted without one."""

    row_hash: int
    key_hash: int
    y_true: int
    row_ingestion_id: int
    event_time_us: int | None = None


@dataclass(frozen=True)
class Checked:
    """The valid rows of a table, typed, and the problems of the others."""

    rows: pd.DataFrame
    problems: list[Problem]


def check_header(header: Sequence[str], columns: Columns) -> None:
    """Raise DataError if a declared column is missing or repeated, or the target misspelt."""
    times = Counter(header)
    if repeated := sorted(name for name in columns.all if times[name] > 1):
        raise DataError(f"columns named more than once: {repeated}")
    if columns.target not in times and (close := _misspelt(columns.target, header, columns)):
        raise DataError(
            f"no column {columns.target!r}, but {close!r}: if it has the labels, correct its name; "
            "if not, give it one that is less similar"
        )
    if missing := [name for name in columns.required if name not in header]:
        hint = _separator_hint(header)
        raise DataError(f"columns missing: {missing}; found: {_shorten(str(header[:99]))}{hint}")


def check(
    records: pd.DataFrame, lines: Sequence[int], columns: Columns, marks: Marks = POINT
) -> Checked:
    """Convert records to typed rows, and report every text in them that breaks a rule.

    A blank number, category or label is a missing value and is allowed; `lines` are the line
    numbers to report. The index of the returned rows is their position in `records`.
    """
    texts = {str(name): cells for name, cells in records.items() if cells.dtype != "float64"}
    records = records.assign(**{name: cells.str.strip() for name, cells in texts.items()})
    typed: dict[str, pd.Series[Any]] = numerals.plain(records, columns, marks)
    faults: list[tuple[str, str, pd.Series[bool]]] = []
    for name in columns.required:
        cells = records[name]
        if name in texts and numerals.may_have(numerals.texts(cells), DELETE, below=" "):
            faults.append((name, "control character", cells.str.contains(CONTROL_CHARACTERS)))
        if name in typed:
            continue
        if name in columns.predicted:
            missing = cells.isin(["", *columns.missing_markers])
            faults.append((name, "empty", missing))
        if name in columns.numbers:
            numbers, broken = numerals.parse(cells, columns.missing_markers, marks)
            typed[name] = numbers
            faults += [(name, rule, mask) for rule, mask in broken.items()]
            faults += _outside_range(name, numbers, columns)
        elif name == columns.decision:
            typed[name] = cells
            unknown = ~is_label(cells, columns, marks) & ~missing
            faults.append((name, f"decision other than {_both(columns)}", unknown))
        else:
            typed[name] = cells.where(cells != "")
            faults += _unexpected_text(name, cells, columns)
    typed[columns.target], unknown = _labels(records, columns, marks)
    faults.append((columns.target, f"label other than {_both(columns)}", unknown))

    problems = _collect(faults, records, np.asarray(lines))
    invalid = np.logical_or.reduce([mask.to_numpy() for _, _, mask in faults])
    rows = pd.DataFrame({name: typed[name] for name in columns.all})
    return Checked(rows[~invalid] if invalid.any() else rows, problems)


def is_label(cells: pd.Series[Any], columns: Columns, marks: Marks = POINT) -> pd.Series[bool]:
    """Say which cells are one of the two labels."""
    return is_positive(cells, columns, marks) | _equals(cells, columns.negative_label, marks)


def is_positive(cells: pd.Series[Any], columns: Columns, marks: Marks = POINT) -> pd.Series[bool]:
    """Say which cells are the positive label."""
    return _equals(cells, columns.positive_label, marks)


def fingerprints(rows: pd.DataFrame, event_time: str | None = None) -> Hashes:
    """Return one 64-bit hash per typed row, equal for equal rows only.

    Texts in the column `event_time` are equal if they mean the same moment. Among n different
    rows, the probability of any collision is about n * n / 2**65.
    """
    return _combined(_hashes_of_columns(rows, event_time))


def fingerprints_by_label(
    rows: pd.DataFrame, event_time: str | None = None
) -> dict[int | None, Hashes]:
    """Return the hashes rows would have with each label, their last column, and with none."""
    hashes = _hashes_of_columns(rows.iloc[:, :-1], event_time)
    labels = (0, 1, None)
    of_labels = _hashes_of_cells(pd.Series(labels, dtype="Int8"))[:, np.newaxis]
    return dict(zip(labels, _combined([*hashes, of_labels]), strict=True))


def _hashes_of_columns(rows: pd.DataFrame, event_time: str | None) -> list[Any]:
    if event_time:
        rows = rows.assign(**{event_time: canonical_times(rows[event_time])})
    return [_hashes_of_cells(cells) for _, cells in rows.items()]


def _hashes_of_cells(cells: pd.Series[Any]) -> Any:
    """Return the hash of each cell; where they differ, as identifiers do, one after the other."""
    if cells.dtype == "float64":
        return pd.util.hash_array(cells.to_numpy() + 0.0)  # -0.0 equals 0.0, but hashes differently
    are_different = not cells.hasnans and cells.head(SOME).is_unique
    hashes = pd.util.hash_pandas_object(cells, index=False, categorize=not are_different)
    return hashes.to_numpy(dtype="uint64")


def _combined(hashes: Sequence[Any]) -> Hashes:
    """Combine the hashes of the cells of each row, as pandas does with those of a data frame."""
    combined, factor = np.full(len(hashes[0]), 0x345678, dtype="uint64"), 1_000_003
    for n_left, of_column in zip(range(len(hashes), 0, -1), hashes, strict=True):
        combined = (combined ^ of_column) * np.uint64(factor)
        factor += 82_520 + 2 * n_left
    return (combined + np.uint64(97_531)).view("int64")


def keys(rows: pd.DataFrame, columns: Columns) -> list[Key]:
    """Return the key of each row; one without an event time has None in its place."""
    if rows.empty:  # nearly always, where labels come with their rows
        return []
    hashes = pd.util.hash_pandas_object(rows[[columns.identifier]], index=False)
    names = hashes.to_numpy(dtype="uint64").view("int64").tolist()
    if not columns.event_time:
        return [Key(name, None) for name in names]
    times = moments(rows[columns.event_time])
    at = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype("int64").tolist()
    return [
        Key(name, None if missing else us)
        for name, us, missing in zip(names, at, times.isna(), strict=True)
    ]


def moments(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return the moments ISO 8601 texts mean, in UTC unless they say otherwise; else NaT."""
    # nanoseconds in one cell would narrow the range of years of all others
    shorter = cells.str.replace(BELOW_MICROSECONDS, r"\1", regex=True)
    return pd.to_datetime(shorter, errors="coerce", format="ISO8601", utc=True)


def canonical_times(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return ISO 8601 texts in one spelling each, equal for equal moments only.

    It is the commonest spelling, which leaves most texts and the hashes of their rows as they
    are: `2026-03-01 10:00:00` in UTC, without a fraction or a midnight.
    """
    odd = cells[cells.notna() & ~cells.str.fullmatch(CANONICAL_TIME).fillna(True).astype(bool)]
    times = moments(odd)
    odd, times = odd[times.notna()], times.dropna()
    if odd.empty:
        return cells
    seconds = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    texts = pd.Series(np.datetime_as_string(seconds), index=odd.index, dtype="str")
    finer = odd.str.extract(BELOW_MICROSECONDS)[1].fillna("")
    texts = (texts + finer).str.replace("T", " ")
    for needless in (r"\.?0+$", r" 00:00:00$"):
        texts = texts.str.replace(needless, "", regex=True)
    spelt = cells.copy()
    spelt[odd.index] = texts
    return spelt


def shorten(value: str) -> str:
    """Truncate a value for a message or a record, so that a long one cannot flood it."""
    return _shorten(value, SHOWN_CHARACTERS)


def _shorten(value: str, length: int = 200) -> str:
    return value if len(value) <= length else f"{value[: length - 1]}…"


def _misspelt(name: str, header: Sequence[str], columns: Columns) -> str | None:
    """Return the undeclared column whose name is most like one that is absent."""
    declared = {*columns.all}
    undeclared = {other.casefold(): other for other in header if other and other not in declared}
    close = get_close_matches(name.casefold(), list(undeclared)[:MAX_COMPARED], n=1, cutoff=0.8)
    return undeclared[close[0]] if close else None


def _separator_hint(header: Sequence[str]) -> str:
    for separator, name in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            return f"; the file seems to be separated by {name}; if so, set ingestion.separator"
    return ""


def _outside_range(
    name: str, numbers: pd.Series[Any], columns: Columns
) -> list[tuple[str, str, pd.Series[bool]]]:
    default = (0.0, 1.0) if name == columns.probability else (None, None)
    low, high = columns.allowed_ranges.get(name, default)
    is_finite, beyond = numbers.abs() < np.inf, f"beyond {MAX_NUMBER:g}"
    too_small = (beyond, (numbers < -MAX_NUMBER) & is_finite)
    too_large = (beyond, (numbers > MAX_NUMBER) & is_finite)
    if low is not None and low > -MAX_NUMBER:
        too_small = (f"less than {low:g}", numbers < low)
    if high is not None and high < MAX_NUMBER:
        too_large = (f"more than {high:g}", numbers > high)
    return [(name, *fault) for fault in (too_small, too_large)]


def _unexpected_text(
    name: str, cells: pd.Series[Any], columns: Columns
) -> list[tuple[str, str, pd.Series[bool]]]:
    if name in (columns.identifier, columns.event_time):
        is_optional = name == columns.event_time and not columns.features  # in a drop of labels
        faults = [] if is_optional else [(name, "empty", cells == "")]
        too_long = cells.str.len() > NAME_CHARACTERS
        faults.append((name, f"longer than {NAME_CHARACTERS} characters", too_long))
        if name == columns.event_time:
            faults.append((name, NO_TIME, moments(cells).isna() & (cells != "")))
        return faults
    if allowed := columns.allowed_values.get(name):
        return [(name, "value not allowed", ~cells.isin([*allowed, ""]))]
    return []


def _labels(
    records: pd.DataFrame, columns: Columns, marks: Marks
) -> tuple[pd.Series[Any], pd.Series[bool]]:
    if columns.target not in records:
        unlabelled = pd.Series(pd.NA, index=records.index, dtype="Int8")
        return unlabelled, pd.Series(False, index=records.index)
    cells = records[columns.target]
    positive = _equals(cells, columns.positive_label, marks)
    negative = _equals(cells, columns.negative_label, marks)
    is_known = positive | negative
    labels = positive.astype("Int8")
    if is_known.all():
        return labels, ~is_known
    missing = (cells == "") | cells.isin(columns.missing_markers)
    return labels.where(is_known), ~(is_known | missing)


def _equals(cells: pd.Series[Any], label: Label, marks: Marks) -> pd.Series[bool]:
    if isinstance(label, str):
        return cells == label
    return numerals.equal(cells, label, marks)


def _both(columns: Columns) -> str:
    return f"{columns.negative_label} or {columns.positive_label}"


def _collect(
    faults: Sequence[tuple[str, str, pd.Series[bool]]],
    records: pd.DataFrame,
    lines: np.ndarray[Any, Any],
) -> list[Problem]:
    problems = [
        Problem(int(line), column, rule, shorten(value))
        for column, rule, mask in faults
        if mask.any()
        for line, value in zip(lines[mask.to_numpy()], records.loc[mask, column], strict=True)
    ]
    return sorted(problems, key=lambda problem: problem.line)
