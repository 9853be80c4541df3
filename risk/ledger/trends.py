"""Points over time: each of the same form, and those of one period made one."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import pandas as pd

Period = Literal["run", "day"]
Merge = Literal["last", "mean", "pooled", "sum"]
SERIES = ["feature", "dataset", "version"]
POINT = ["at", "run_id", *SERIES, "value", "lower", "upper", "n"]


def typed(points: pd.DataFrame) -> pd.DataFrame:
    """Give points every column, and the type it has even where all of it is missing.

    The value of a point with the column ended_at is the seconds until then.
    """
    whole = points.reindex(columns=POINT)
    whole["at"] = pd.to_datetime(whole["at"], utc=True)
    if "ended_at" in points:
        ended_at = pd.to_datetime(points["ended_at"], utc=True)
        whole["value"] = (ended_at - whole["at"]).dt.total_seconds()
    kinds = dict.fromkeys(("value", "lower", "upper"), "float64")
    return whole.astype(kinds | dict.fromkeys(("run_id", "version", "n"), "Int64"))


def merged(points: pd.DataFrame, *, per: Period, merge: Merge, cut: bool = False) -> pd.DataFrame:
    """Make the points of each series in each period one; `cut` leaves out the oldest period.

    Pooled ones become what all their `n` rows have together. What was done by hand, outside of
    any run, is a period of its own.
    """
    if per == "day":
        points = points.assign(at=points["at"].dt.floor("D"))
    by_hand = pd.Series(-1 - points.index, points.index)
    periods = points["at"] if per == "day" else points["run_id"].fillna(by_hand)
    if cut:
        points = points[periods != periods.iloc[0]]
    series = [periods, *SERIES]
    if merge == "pooled":
        n = points.groupby(series, dropna=False)["n"].transform("sum")
        share = (points["n"] / n).astype("float64")
        points = points.assign(value=points["value"] * share, n=n)
    if merge != "last":
        values = points.groupby(series, dropna=False)["value"]
        points = points.assign(value=values.transform("sum" if merge == "pooled" else merge))
    repeated = points[SERIES].assign(period=periods).duplicated(keep="last")
    return points[~repeated]


def since(points: pd.DataFrame, moment: datetime, *, per: Period) -> pd.DataFrame:
    """Keep the points from a moment on, or from the day it is in."""
    begin = pd.Timestamp(moment)
    return points[points["at"] >= (begin.floor("D") if per == "day" else begin)]
