"""Dates as they are written outside ISO 8601: 31.12.2026, 12/31/26 13:45."""

from __future__ import annotations

from typing import Any

import pandas as pd

WRITTEN = (
    r"(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-](?P<year>\d{4}|\d{2})"
    r"(?P<time>[ T]+\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?)?"
)
ISO = "ISO 8601"
LAST_OF_2000 = 69  # a year of two digits is one from 1970 to 2069


def are_dates(cells: pd.Series[Any]) -> bool:
    """Say whether all cells are dates outside ISO 8601."""
    return bool(cells.str.fullmatch(WRITTEN).all())


def order(cells: pd.Series[Any]) -> str | None:
    """Return whether the day or the month of such dates is first, None if all could be either."""
    parts = cells.str.extract(WRITTEN)[["first", "second"]].astype("float64").max()
    if parts["first"] > 12:
        return "day first"
    return "month first" if parts["second"] > 12 else None


def as_iso(cells: pd.Series[Any], written: str) -> pd.Series[Any]:
    """Return dates as ISO 8601 texts; what is no such date is left as it is."""
    parts = cells.str.strip().str.extract(rf"^{WRITTEN}$")
    known = parts["year"].notna()
    day, month = ("first", "second") if written == "day first" else ("second", "first")
    year = parts["year"]
    short = year.str.len() == 2
    century = (pd.to_numeric(year, errors="coerce") > LAST_OF_2000).map({True: "19", False: "20"})
    year = year.mask(short, century + year)
    time = parts["time"].str.strip(" T").str.replace(r"^(\d):", r"0\1:", regex=True)
    iso = year + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2)
    iso += (" " + time).fillna("")
    return cells.where(~known, iso)
