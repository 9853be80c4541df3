"""Row validation: which rows are accepted, and why the others are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from risk.config import Columns, Label
from risk.errors import DataError

ROW_HASH = "row_hash"
SHOWN_CHARACTERS = 40
NAME_CHARACTERS = 650  # of four bytes each: the longest key every database can index
FROM_SQL = "sql:"  # prefix of the names of drops that are read from SQL
CONTROL_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"


class Problem(NamedTuple):
    """One cell that breaks a rule; line 0 means the whole file."""

    line: int
    column: str
    rule: str
    value: str


class LaterLabel(NamedTuple):
    """The label of a row that was accepted without one."""

    row_hash: int
    key_hash: int
    y_true: int
    row_ingestion_id: int


@dataclass(frozen=True)
class Checked:
    """The valid rows of a table, typed, and the problems of the others."""

    rows: pd.DataFrame
    problems: list[Problem]


def check_header(header: Sequence[str], columns: Columns) -> None:
    """Raise DataError if a declared column is missing or any column is repeated."""
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"columns named more than once: {repeated}")
    if missing := [name for name in columns.required if name not in header]:
        hint = _separator_hint(header)
        raise DataError(f"columns missing: {missing}; found: {_shorten(str(list(header)))}{hint}")


def check(records: pd.DataFrame, lines: Sequence[int], columns: Columns) -> Checked:
    """Convert text records to typed rows, and report every cell that breaks a rule.

    A blank number, category or label is a missing value and is allowed; `lines` are the line
    numbers to report. The index of the returned rows is their position in `records`.
    """
    records = records.apply(lambda cells: cells.str.strip())
    typed: dict[str, pd.Series[Any]] = {}
    faults: list[tuple[str, str, pd.Series[bool]]] = []
    for name in columns.required:
        cells = records[name]
        faults.append((name, "control character", cells.str.contains(CONTROL_CHARACTERS)))
        if name in columns.numeric:
            numbers, broken = _numbers(cells, columns.missing_markers)
            typed[name] = numbers
            faults += [(name, rule, mask) for rule, mask in broken.items()]
            faults += _outside_range(name, numbers, columns)
        else:
            typed[name] = cells.where(cells != "")
            faults += _unexpected_text(name, cells, columns)
    typed[columns.target], unknown = _labels(records, columns)
    faults.append((columns.target, f"label other than {_both(columns)}", unknown))

    problems = _collect(faults, records, np.asarray(lines))
    invalid = np.logical_or.reduce([mask.to_numpy() for _, _, mask in faults])
    return Checked(pd.DataFrame(typed)[~invalid], problems)


def fingerprints(rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return one 64-bit hash per typed row, equal for equal rows only.

    Among n different rows, the probability of any collision is about n * n / 2**65.
    """
    plain = rows.copy()
    for name in rows.select_dtypes("float64"):
        plain[name] = rows[name] + 0.0  # -0.0 equals 0.0, but hashes differently
    hashes = pd.util.hash_pandas_object(plain, index=False)
    return hashes.to_numpy(dtype="uint64").view("int64")


def keys(rows: pd.DataFrame, columns: Columns) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return one 64-bit hash per row of its key: identifier and, if declared, event time."""
    names = [name for name in (columns.identifier, columns.event_time) if name]
    hashes = pd.util.hash_pandas_object(rows[names], index=False)
    return hashes.to_numpy(dtype="uint64").view("int64")


def shorten(value: str) -> str:
    """Truncate a value for a message or a record, so that a long one cannot flood it."""
    return _shorten(value, SHOWN_CHARACTERS)


def _shorten(value: str, length: int = 200) -> str:
    return value if len(value) <= length else f"{value[: length - 1]}…"


def _separator_hint(header: Sequence[str]) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            return f"; the file seems to be separated by {name}; use commas"
    return ""


def _numbers(
    cells: pd.Series[Any], missing_markers: Sequence[str]
) -> tuple[pd.Series[Any], dict[str, pd.Series[bool]]]:
    missing = (cells == "") | cells.isin(missing_markers)
    numbers = pd.to_numeric(cells.mask(missing), errors="coerce").astype("float64")
    infinite = numbers.abs() == np.inf
    return numbers, {"not a number": numbers.isna() & ~missing, "not finite": infinite}


def _outside_range(
    name: str, numbers: pd.Series[Any], columns: Columns
) -> list[tuple[str, str, pd.Series[bool]]]:
    low, high = columns.allowed_ranges.get(name, (None, None))
    faults = []
    if low is not None:
        faults.append((name, f"less than {low:g}", numbers < low))
    if high is not None:
        faults.append((name, f"more than {high:g}", numbers > high))
    return faults


def _unexpected_text(
    name: str, cells: pd.Series[Any], columns: Columns
) -> list[tuple[str, str, pd.Series[bool]]]:
    if name in (columns.identifier, columns.event_time):
        faults = [(name, "empty", cells == "")]
        too_long = cells.str.len() > NAME_CHARACTERS
        faults.append((name, f"longer than {NAME_CHARACTERS} characters", too_long))
        if name == columns.event_time:
            moments = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
            faults.append((name, "not an ISO 8601 time", moments.isna() & (cells != "")))
        return faults
    if allowed := columns.allowed_values.get(name):
        return [(name, "value not allowed", ~cells.isin([*allowed, ""]))]
    return []


def _labels(records: pd.DataFrame, columns: Columns) -> tuple[pd.Series[Any], pd.Series[bool]]:
    if columns.target not in records:
        unlabelled = pd.Series(pd.NA, index=records.index, dtype="Int8")
        return unlabelled, pd.Series(False, index=records.index)
    cells = records[columns.target]
    positive = _equals(cells, columns.positive_label)
    negative = _equals(cells, columns.negative_label)
    missing = (cells == "") | cells.isin(columns.missing_markers)
    labels = positive.astype("Int8").where(positive | negative)
    return labels, ~(positive | negative | missing)


def _equals(cells: pd.Series[Any], label: Label) -> pd.Series[bool]:
    if isinstance(label, str):
        return cells == label
    return pd.to_numeric(cells, errors="coerce") == label


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
