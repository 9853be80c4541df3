"""What each column of a file nobody has described yet seems to be, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from risk.data import dates, number_marks
from risk.data.target import Findings, snake
from risk.lazily import pandas as pd
from risk.numerals import UNIT

IDENTIFIERS = re.compile(
    r"(^|_)(id|identifier|no|num|number|nr|nummer|numero|numer|key|customer|client|cliente|account"
    r"|[a-z]*(client|customer|kunden?|klant|account|acct|konto|user|member|employee|contract"
    r"|vertrags)(id|no|num|nr|number|nummer))s?($|_)"
)
LIKE_A_NUMBER = r"\D{0,4}\d[\d.,'\s]*[.,]\d+\D{0,4}"
MIN_DIGITS = 6  # of different whole numbers of one length, which are identifiers
MAX_CODES = 10  # whole numbers with so few values are more often codes than quantities
MAX_LEVELS = 0.2  # share of rows above which different texts are no categories
MIN_LEVELS = 50


def of(found: Findings, names: Sequence[str]) -> dict[str, str]:
    """Say what each column serves as: numeric, categorical, time or other."""
    return {name: _role(found, name) for name in names}


def _role(found: Findings, name: str) -> str:
    """Say what a column serves as, and note why."""
    cells, notes = found.cells(name), found.notes
    levels = cells.nunique()
    if levels < 2:
        notes.append(f"{name}: not used, it has {'one value' if levels else 'no value'} only")
        return "other"
    numbers = found.numbers(name)
    is_code = cells.str.fullmatch(r"0\d+").any() or dates.are_dates(cells)
    if is_code and numbers.notna().all():
        numbers[:] = np.nan  # such as postcodes, or 20261231
    if numbers.notna().all():
        whole = bool((numbers == numbers.round()).all())
        if dates.are_counts(snake(name), numbers):
            found.doubts.append(
                f"{name} is not used: {cells.iloc[0]} seems to count days or seconds; "
                "write dates like 2026-12-31"
            )
            return "other"
        if whole and IDENTIFIERS.search(snake(name)) and levels > 0.95 * len(cells):
            notes.append(f"{name}: not used, it seems to be an identifier")
            return "other"
        if whole and levels > MIN_LEVELS and _are_other_keys(cells, numbers):
            notes.append(f"{name}: not used, it numbers the rows or is an identifier")
            return "other"
        if whole and levels <= MAX_CODES and cells.str.isdecimal().all():
            codes = ", ".join(sorted(set(cells), key=int))
            notes.append(f"{name}: category of the codes {codes}")
            return "categorical"
        found.doubts += number_marks.doubts(name, cells, found.marks)
        unit = ", without its unit" if cells.str.contains(UNIT).any() else ""
        notes.append(f"{name}: number from {numbers.min():g} to {numbers.max():g}{unit}")
        return "numeric"
    if span := _span(cells):
        is_complete = len(cells) == len(found.text)
        why = "" if is_complete else ", not used: some rows have none"
        notes.append(f"{name}: time from {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}{why}")
        return "time" if is_complete else "other"
    if levels > max(MIN_LEVELS, MAX_LEVELS * len(cells)):
        found.doubts += _unclear(name, cells[numbers.isna()], len(cells), found.marks.decimal)
        notes.append(f"{name}: not used, free text or an identifier ({levels:,} different values)")
        return "other"
    if (share := numbers.notna().mean()) > 0.5:
        odd = ", ".join(sorted(set(cells[numbers.isna()]))[:3])
        found.doubts.append(f"{name} has categories: {share:.0%} are numbers, but not {odd}")
    notes.append(f"{name}: category of {levels:,} values")
    return "categorical"


def _unclear(name: str, cells: pd.Series[Any], n_cells: int, decimal: str) -> list[str]:
    """Doubt a column in which many cells may be numbers, but cannot be read as such."""
    odd = cells[cells.str.fullmatch(LIKE_A_NUMBER)]
    if len(odd) <= n_cells / 4:
        return []
    what = f"what {odd.iloc[0]} means is not clear; write it like 1234{decimal}5"
    return [f"{name} is not used: {what}"]


def _are_other_keys(cells: pd.Series[Any], numbers: pd.Series[Any]) -> bool:
    """Say whether whole numbers count the rows, or differ all and have as many digits each."""
    return counts_rows(numbers) or (are_codes(cells) and cells.is_unique)


def are_codes(cells: pd.Series[Any]) -> bool:
    """Say whether all cells have as many digits, and many."""
    n_digits = cells.str.len()
    return bool(n_digits.min() == n_digits.max() >= MIN_DIGITS and cells.str.isdecimal().all())


def _span(cells: pd.Series[Any]) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return the first and the last time of a column, None if its cells are no times."""
    iso = cells
    if dates.are_dates(cells):
        iso = dates.as_iso(cells, dates.order(cells) or "day first")
    elif not cells.str.match(r"\d{4}-\d{2}-\d{2}").all():
        return None
    times = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True)
    return None if times.isna().any() else (times.min(), times.max())


def counts_rows(numbers: pd.Series[Any]) -> bool:
    """Say whether a column has every whole number between its first and last, once."""
    return bool(numbers.is_unique and numbers.max() - numbers.min() + 1 == len(numbers))
