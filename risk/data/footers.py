"""Lines that are no rows: totals and remarks below the rows, and the header again."""

from __future__ import annotations

import re

import numpy as np

from risk.config import Columns
from risk.lazily import pandas as pd

MAX_FOOTERS = 3
SUMMED = 2  # rows above a total: the sum of one says nothing
TOTALS = """合計 totals? totaal tota[ae]?les? totalt sums? summe somme suma gesamt insgesamt counts?
average mean durchschnitt mittelwert moyenne promedio anzahl razem ogółem celkem spolu összesen
ukupno skupaj toplam iš.viso kopā kokku yhteensä σύνολο итого всего общо разом усього 总计 합계"""
OF_WHAT = r"(?: (?:rows|records|customers|count|of|g[eé]n[eé]r(?:al|ale)))?"
TOTAL = rf"(?i)\W*(?:(?:grand|sub)[- ]?)?(?:{'|'.join(TOTALS.split())}){OF_WHAT}\W*\d*\W*"


def headers_among(table: pd.DataFrame, columns: Columns) -> list[int]:
    """Return the positions of records that repeat the header, as in files put together.

    The identifier does not count: rows may be numbered. Cells that are numbers by now are no names.
    """
    numeric_first = sorted(table, key=lambda name: name not in columns.numbers)
    names = [name for name in numeric_first if name != columns.identifier]
    places = np.arange(len(table))
    for name in names:
        if table[name].dtype == "float64" or not len(places):
            return []
        places = places[(table[name].iloc[places].str.strip() == name).to_numpy()]
    return places.tolist() if names else []


def count_footers(rows: pd.DataFrame, columns: Columns) -> int:
    """Return how many of the last typed rows are no rows but totals, as spreadsheets add them.

    A footer has either no label and no feature, or the name of a total. Of the latter, it is the
    sum of several rows above it, or it has no label, and most features are missing or the rows
    above have labels. Where nothing stands above it, or too many rows look alike, a row is what it
    says.
    """
    if not _may_be_footer(rows, columns):  # nearly always
        return 0
    last, numeric = rows.tail(MAX_FOOTERS + 1), list(columns.numeric)
    n_known, has_label = last[columns.features].notna().sum(axis=1), last[columns.target].notna()
    is_named = last[columns.identifier].map(_is_total)
    is_odd = n_known < len(columns.features) / 2
    sums = rows[numeric].fillna(0).cumsum().shift().loc[last.index]
    is_sum = (last[numeric].isna() | np.isclose(last[numeric], sums)).all(axis=1)
    if rows[columns.target][:-1].notna().mean() > 0.5:
        is_odd[:] = True
    elif numeric:
        is_odd |= is_sum
    is_sum &= last[numeric].notna().any(axis=1) & (len(rows) > SUMMED)
    is_footer = (is_named & is_sum) | (~has_label & ((n_known == 0) | (is_named & is_odd)))
    n = int(is_footer[::-1].cumprod().sum())
    return n if n < len(last) else 0


def _may_be_footer(rows: pd.DataFrame, columns: Columns) -> bool:
    """Return whether the last row, looked at alone, has the name of a total or says nothing."""
    if not columns.features or rows.empty:
        return False
    if _is_total(rows[columns.identifier].iloc[-1]):
        return True
    known = (rows[name].iloc[-1] for name in (columns.target, *columns.features))
    return all(pd.isna(cell) for cell in known)


def _is_total(name: str) -> bool:
    # pandas would parse the pattern anew for each drop
    return re.fullmatch(TOTAL, name) is not None
