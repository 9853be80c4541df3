"""Times in the future, and which marks of a source may follow a high-water mark."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from risk.errors import SourceError
from risk.lazily import pandas as pd
from risk.schema import moments

ROUNDING_ERROR = 5e-6
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
PER_SECOND = (1, 10**3, 10**6)
MAX_AGE = timedelta(days=3653)
WITH_ZONE = r"\d[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)"


def are_after(cells: pd.Series[Any], latest: datetime) -> pd.Series[bool]:
    """Return which ISO 8601 texts are after a time; one without a zone may be local or in UTC."""
    ahead_of_utc = max(latest.astimezone().utcoffset() or timedelta(), timedelta())
    times, has_zone = moments(cells), cells.str.fullmatch(WITH_ZONE).fillna(False).astype(bool)
    return (times > latest + ahead_of_utc) | (times > latest) & has_zone


def is_after(mark: Any, latest: datetime, *, previous: Any = None) -> bool:
    """Return whether a time is after another; one without a zone may be local or in UTC.

    A number counts seconds, or parts of them, since 1970 if the `previous` mark did: as such a
    number it was a time of the last ten years. Any other is an identifier, which has no time. A
    text that is no time, where the previous one was, counts as the time that it sorts like.
    """
    if isinstance(mark, str):
        if ISO_DATE.match(mark):
            with suppress(ValueError):
                return is_after(datetime.fromisoformat(mark), latest)
        was_time = isinstance(previous, str) and ISO_DATE.match(previous)
        return bool(was_time) and mark > f"{latest + timedelta(days=1):%Y-%m-%d}"
    here = max(latest.astimezone().replace(tzinfo=None), latest.replace(tzinfo=None))
    match mark:
        case datetime():
            return mark > (latest if mark.tzinfo else here)
        case date():
            return mark > here.date()
        case int() | float() | Decimal():
            per_second = _per_second(previous, latest)
            return per_second is not None and mark > latest.timestamp() * per_second
    return False


def is_endless(mark: Any) -> bool:
    """Return whether no mark can follow this one: PostgreSQL sorts NaN after infinity."""
    return bool(mark != mark or mark == math.inf)


def least(mark: Any) -> Any:
    """Return the least mark that may be shown as this one: MariaDB rounds a FLOAT in output."""
    return mark - abs(mark) * ROUNDING_ERROR if isinstance(mark, float) else mark


def behind(mark: Any, overlap: float) -> Any:
    """Return the mark from which rows are read again."""
    mark = least(mark)
    if not overlap:
        return mark
    match mark:
        case datetime():
            return mark - timedelta(seconds=overlap)
        case date():
            days = timedelta(seconds=overlap) / timedelta(days=1)
            return mark - timedelta(days=math.ceil(days))
        case int() | float():
            return mark - type(mark)(overlap)
        case Decimal():
            return mark - Decimal(overlap)
        case str() if ISO_DATE.match(mark):
            with suppress(ValueError):
                time = datetime.fromisoformat(mark).replace(tzinfo=None)
                text = (time - timedelta(seconds=overlap)).isoformat(mark[10:11] or "T", "minutes")
                return text[: len(mark)]
    raise SourceError("overlap requires a high_water_mark that is a number or a time")


def written_with_blank(beginning: Any) -> str | None:
    """Return how texts of the same day begin that sort before this one, as it has a T.

    Of a source that writes times both ways they may be later.
    """
    if isinstance(beginning, str) and ISO_DATE.match(beginning) and beginning[10:11] == "T":
        return f"{beginning[:10]} "
    return None


def is_read_again(mark: Any, beginning: Any) -> bool:
    """Return whether a row of this mark is read again from there on."""
    blank = written_with_blank(beginning)
    return bool(mark >= beginning) or blank is not None and mark.startswith(blank)


def _per_second(mark: Any, latest: datetime) -> int | None:
    """Return how often a second a number counts, None if it is no time of the last years."""
    if not isinstance(mark, int | float | Decimal):
        return None
    begin, end = (latest - MAX_AGE).timestamp(), latest.timestamp()
    return next((n for n in PER_SECOND if begin * n < mark <= end * n), None)
