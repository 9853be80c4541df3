"""Which marks the numbers of an unknown file have: 1.528 may be 1528, or a little more than 1.5."""

from __future__ import annotations

from typing import Any

import numpy as np

from risk.lazily import pandas as pd
from risk.numerals import SPACES, UNIT, Marks, signed, without_spaces

SOME_ROWS = 1000
SURROUNDING = rf"^(?:{UNIT}{SPACES}*)|(?:{SPACES}*{UNIT})$"
NUMBER = r"[+-]?\d[\d.,]*"
SHORT = r"[+-]?(?:0|[1-9]\d{0,2})"  # a number below a thousand
GROUPED = r"[+-]?[1-9]\d{{0,2}}(?:\{}\d{{3}})"
MIN_GROUPED = 3  # different numbers
POINTS, COMMAS = Marks("."), Marks(",")


def find(rows: pd.DataFrame, separator: str) -> Marks:
    """Return the marks of the numbers in a table of texts.

    Where 1.528 and 1,528 could be either, the other numbers say which: those of the column, or
    else those of the file, which one program wrote.
    """
    some = rows.head(SOME_ROWS)
    cells = _bare(pd.Series(np.unique(some.to_numpy().astype("str"))))
    columns = [_bare(some[name].drop_duplicates()) for name in some] if _is_unclear(cells) else []
    sure = {marks: _n_sure(cells, marks) for marks in (POINTS, COMMAS)}
    if not any(sure.values()):
        sure = {marks: sum(_n_evident(own, marks) for own in columns) for marks in sure}
    if any(sure.values()):
        with_comma = int(cells.str.contains(r"\d,\d").sum())
        n_points = sure[POINTS] if separator == "," else 0  # elsewhere, other columns may have them
        has_commas = sure[COMMAS] > max(n_points, with_comma / 2)
        marks = COMMAS if has_commas else POINTS
        is_grouped = any(has_grouped(own, marks) for own in columns)
        return marks._replace(has_thousands=is_grouped)
    is_comma = separator != "," and cells.str.fullmatch(r"[+-]?\d+,\d+").any()
    return COMMAS if is_comma else POINTS


def has_grouped(bare: pd.Series[Any], marks: Marks) -> bool:
    """Say whether numbers of a column are like 1.528 with a comma, and all others then numbers."""
    numbers = bare[bare.str.fullmatch(NUMBER)]
    group = GROUPED.format(marks.other)
    is_number = numbers.str.fullmatch(rf"(?:{group}+|[+-]?\d+)(?:\{marks.decimal}\d+)?")
    is_one = numbers.str.fullmatch(group)
    return bool(is_number.all() and is_one.any() and len(numbers) > (bare != "").sum() / 2)


def _is_evident(cells: pd.Series[Any], marks: Marks) -> bool:
    """Say whether other numbers of a column show that 1.528 has a mark between thousands."""
    bare = _bare(cells.drop_duplicates())
    return _n_sure(bare, marks) + _n_evident(bare, marks) > 0


def _bare(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return amounts without units and spaces, and with their signs before them."""
    return without_spaces(signed(cells)).str.replace(SURROUNDING, "", regex=True)


def _is_unclear(cells: pd.Series[Any]) -> bool:
    return any(cells.str.fullmatch(GROUPED.format(mark)).any() for mark in ".,")


def _n_sure(bare: pd.Series[Any], marks: Marks) -> int:
    """Count the numbers that can have no other marks: 0,5 or 1.234,567 or 1.234.567."""
    group, decimal = GROUPED.format(marks.other), rf"\{marks.decimal}"
    sure = (
        rf"(?:{group}*|[+-]?\d+){decimal}(?:\d{{1,2}}|\d{{4,}})",
        rf"(?:{group}+|[+-]?(?:0|\d{{4,}})){decimal}\d+",
        rf"{group}{{2,}}",
    )
    return int(bare.str.fullmatch("|".join(sure)).sum())


def _n_evident(bare: pd.Series[Any], marks: Marks) -> int:
    """Count numbers like 1.528 in a column whose numbers below 1000 have no mark, such as 950."""
    n_grouped = int(bare.str.fullmatch(GROUPED.format(marks.other)).sum())
    n_short, n = bare.str.fullmatch(SHORT).sum(), bare.str.fullmatch(NUMBER).sum()
    return n_grouped if n_short and n_grouped >= MIN_GROUPED and n_short + n_grouped == n else 0


def doubts(name: str, cells: pd.Series[Any], marks: Marks) -> list[str]:
    """Doubt numbers like 1.528 in a column that has no other that says what the mark means."""
    unclear = cells[_bare(cells).str.fullmatch(GROUPED.format(marks.other))]
    if unclear.empty or _is_evident(cells, marks):
        return []
    number = unclear.iloc[0]
    return [f"{name}: {number} is taken as {_bare(unclear).iloc[0].replace(marks.other, '')}"]
