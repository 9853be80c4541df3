"""Dates as they are written outside ISO 8601: 31.12.2026, 12/31/26 1:45 PM, 31-Dec-2026."""

from __future__ import annotations

import calendar
import re
from typing import Any

from risk.lazily import pandas as pd
from risk.schema import moments

TIME = r"(?:[ T,]+(?P<hour>\d{1,2})(?P<rest>:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(?P<half>[AaPp][Mm])?)?"
WRITTEN = rf"(?P<first>\d{{1,2}})[./-](?P<second>\d{{1,2}})[./-](?P<year>\d{{4}}|\d{{2}}){TIME}"
MONTHS = {name.lower(): f"{i:02d}" for i, name in enumerate(calendar.month_abbr) if name}
NAME = rf"(?P<name>(?i:{'|'.join(MONTHS)}))[A-Za-z]*\.?"
UNAMBIGUOUS = (
    rf"(?P<year>(?:19|20)\d\d)(?P<mark>[./]?)(?P<month>0[1-9]|1[0-2])(?P=mark)"
    rf"(?P<day>0[1-9]|[12]\d|3[01]){TIME}",
    rf"(?P<day>\d{{1,2}})[ .-]{{0,2}}{NAME}[ ,-]{{1,2}}(?P<year>\d{{4}}|\d{{2}}){TIME}",
    rf"{NAME} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){TIME}",
)
ISO = "ISO 8601"
NAMED = re.compile(r"(^|_)(date|datum|fecha|data|time|timestamp|at)(_|$)")
COUNTED = ((20_000, 80_000), (6e8, 3e9), (6e11, 3e12))  # days of a spreadsheet, s, ms since 1970
LAST_OF_2000 = 69  # a year of two digits is one from 1970 to 2069


def are_dates(cells: pd.Series[Any]) -> bool:
    """Say whether all cells are dates outside ISO 8601."""
    left = cells
    for written in (WRITTEN, *UNAMBIGUOUS):
        left = left[~left.str.fullmatch(written)]
    return left.empty


def order(cells: pd.Series[Any]) -> str | None:
    """Return whether the day or the month of such dates is first, None if all could be either."""
    parts = cells.str.extract(rf"^{WRITTEN}$")[["first", "second"]].astype("float64").max()
    if parts["first"] > 12 or parts.isna().all():  # the latter if all are unambiguous
        return "day first"
    return "month first" if parts["second"] > 12 else None


def as_iso(cells: pd.Series[Any], written: str) -> pd.Series[Any]:
    """Return dates as ISO 8601 texts; what is no such date is left as it is."""
    stripped = cells.str.strip()
    day, month = ("first", "second") if written == "day first" else ("second", "first")
    ambiguous = stripped.str.extract(rf"^{WRITTEN}$")
    iso = _iso(ambiguous.rename(columns={day: "day", month: "month"}))
    for form in UNAMBIGUOUS if iso.isna().any() else ():
        parts = stripped.str.extract(f"^{form}$")
        if "name" in parts:
            parts["month"] = parts["name"].str.lower().map(MONTHS)
        iso = iso.fillna(_iso(parts))
    return iso.where(moments(iso).notna(), cells)


def _iso(parts: pd.DataFrame) -> pd.Series[Any]:
    """Put year, month, day and time together, missing where there is none."""
    year = parts["year"]
    short = year.str.len() == 2
    century = (pd.to_numeric(year, errors="coerce") > LAST_OF_2000).map({True: "19", False: "20"})
    year = year.mask(short, century + year)
    hour, half = parts["hour"].astype("float64"), parts["half"].str.lower()
    hour = hour.where(half.isna() | (hour != 12), 0)
    hour = hour.mask(half == "pm", hour + 12)
    time = " " + hour.map("{:02.0f}".format, na_action="ignore").astype("str") + parts["rest"]
    return (
        year + "-" + parts["month"].str.zfill(2) + "-" + parts["day"].str.zfill(2) + time.fillna("")
    )


def are_counts(name: str, numbers: pd.Series[Any]) -> bool:
    """Say whether numbers in a column with such a name, in lower case, count days or seconds."""
    low, high = numbers.min(), numbers.max()
    return bool(NAMED.search(name)) and any(a <= low and high <= b for a, b in COUNTED)
