"""When rows are dated: by their event time, else by the drop that brought them and their place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd

# columns that accepted rows have beside those of their drop
INGESTION, PLACE, LABELLED_BY = "ingestion_id", "place_in_drop", "labelled_by"
MOMENT = "dated_at"  # event time, else when the drop arrived


@dataclass(frozen=True)
class Change:
    """When a change began: the drop with its first row, that row's place in it, and its time.

    `moment` is the event time, ISO 8601 in UTC, where rows have one; it counts before the place.
    """

    ingestion_id: int
    place: int = 0
    moment: str | None = None


def is_since(rows: pd.DataFrame, since: Change | None, event_time: str | None) -> NDArray[np.bool_]:
    """Say of each row whether it is dated at or after a change."""
    if since is None:
        return np.ones(len(rows), dtype=bool)
    if since.moment is not None and event_time:
        return np.asarray(moments(rows, event_time) >= pd.Timestamp(since.moment), dtype=bool)
    same = (rows[INGESTION] == since.ingestion_id) & (rows[PLACE] >= since.place)
    return np.asarray((rows[INGESTION] > since.ingestion_id) | same, dtype=bool)


def in_order(rows: pd.DataFrame, event_time: str | None) -> pd.DataFrame:
    """Sort rows by when they are dated."""
    if not event_time:
        return rows.sort_values([INGESTION, PLACE], kind="stable")
    order = np.lexsort((rows[PLACE], rows[INGESTION], moments(rows, event_time)))
    return rows.iloc[order]


def date_of(rows: pd.DataFrame, position: int, event_time: str | None) -> Change:
    """Return the date of one row as the date of a change that begins with it."""
    row = rows.iloc[[position]]
    moment = moments(row, event_time).iloc[0].isoformat() if event_time else None
    return Change(int(row[INGESTION].iloc[0]), int(row[PLACE].iloc[0]), moment)


def moments(rows: pd.DataFrame, event_time: str) -> pd.Series[Any]:
    """Return the event times of rows as moments."""
    return pd.to_datetime(rows[event_time], errors="coerce", format="ISO8601", utc=True)


def with_moments(
    rows: pd.DataFrame, event_time: str | None, arrived_at: datetime | pd.DatetimeIndex
) -> pd.DataFrame:
    """Add when each row is dated, in UTC: by its event time if there is one, else by arrival."""
    if event_time:
        dated = moments(rows, event_time)
    else:
        dated = pd.Series(arrived_at, index=rows.index, dtype="datetime64[us, UTC]")
    dated = pd.Series(dated.dt.tz_localize(None), name=MOMENT)
    return pd.concat([rows, dated], axis="columns")  # at once: pandas warns of a 101st block
