"""Trends: points over time, aggregated per run or per day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from risk.config import Metric
from risk.errors import UnknownName
from risk.lazily import pandas as pd
from risk.ledger.database import Database, Query
from risk.ledger.findings import DETECTOR
from risk.ledger.tables import (
    column_statistics,
    findings,
    ingestions,
    runs,
    scores,
    stage_timings,
)

Period = Literal["run", "day"]
Merge = Literal["last", "mean", "pooled", "sum"]
SERIES = ["feature", "dataset", "version"]
POINT = ["at", "run_id", *SERIES, "value", "lower", "upper", "n"]
MAX_POINTS = 1000
MAX_ROWS = 20_000  # ledger rows read for one trend


@dataclass(frozen=True)
class Measure:
    """The query for the points of a trend, and how points of one period are merged.

    `subject` is the column with the feature's name or its equivalent.
    """

    points: Query
    subject: sa.Column[Any]
    merge: Merge = "mean"


@dataclass(frozen=True)
class Trends:
    """The trends of the metrics in `MEASURES`."""

    database: Database

    def of(
        self,
        metric: str,
        *,
        feature: str | None = None,
        since: datetime | None = None,
        per: Period = "run",
    ) -> pd.DataFrame:
        """Return the newest points of one of `MEASURES`, in ascending order of time.

        `feature` selects one feature; for scores a dataset, for durations a stage, for rows a drop.
        A day has its last score, the sum of its rows and findings, the pooled value of a column
        over all its rows, and the mean of other metrics.
        """
        if metric not in MEASURES:
            raise UnknownName(f"unknown trend {metric[:80]!r}; available: {list(MEASURES)}")
        of_whole_runs = metric == "duration_seconds" and feature is None
        measure = WHOLE_RUNS if of_whole_runs else MEASURES[metric]
        limit = MAX_POINTS if per == "run" and measure.merge != "sum" else MAX_ROWS
        query = measure.points.order_by(measure.subject.table.c.id.desc()).limit(limit)
        if feature is not None:
            query = query.where(measure.subject == feature)
        found = typed(self.database.frame(query)[::-1])
        points = merged(found, per=per, merge=measure.merge, cut=len(found) == limit)
        if since is not None:
            points = points_since(points, since, per=per)
        newest = points.tail(MAX_POINTS).reset_index(drop=True)
        is_cut = len(found) == limit and (since is None or found["at"].iloc[0] >= since)
        newest.attrs["is_cut"] = is_cut or len(newest) < len(points)
        return newest


def _points(at: sa.Column[Any], value: sa.Column[Any], *others: Any) -> Query:
    return sa.select(at.label("at"), value.label("value"), at.table.c.run_id, *others)


def _of_scores(metric: str) -> Measure:
    table = scores.c
    others = (table.dataset, table.version, table.lower, table.upper, table.n)
    points = _points(table.scored_at, table.value, *others).where(table.metric == metric)
    return Measure(points.order_by(table.scored_at.desc()), table.dataset, "last")


def _of_columns(statistic: str) -> Measure:
    table = column_statistics.c
    n = table.row_count - table.missing_count if statistic == "mean" else table.row_count
    others = (table.column_name.label("feature"), n.label("n"))
    points = _points(table.computed_at, table[statistic], *others)
    return Measure(points.where(table[statistic].is_not(None)), table.column_name, "pooled")


def _of_findings() -> dict[str, Measure]:
    table = findings.c
    moved = _points(table.found_at, table.drift_score, table.feature, table.n)
    detected = _points(table.found_at, table.drift_detected)
    return {
        "drift_score": Measure(moved.where(table.method == DETECTOR), table.feature),
        "findings": Measure(detected, table.feature, "sum"),
    }


def _of_stages() -> Measure:
    table = stage_timings.c
    points = _points(table.started_at, table.duration_seconds, table.stage.label("feature"))
    return Measure(points.where(table.outcome == "ok"), table.stage)


def _of_drops() -> Measure:
    points = _points(ingestions.c.ingested_at, ingestions.c.rows_added)
    return Measure(points.where(ingestions.c.kind == "rows"), ingestions.c.path, "sum")


MEASURES = {
    **{metric: _of_scores(metric) for metric in get_args(Metric)},
    **_of_findings(),
    **{statistic: _of_columns(statistic) for statistic in ("missing_percent", "mean")},
    "rows": _of_drops(),
    "duration_seconds": _of_stages(),
}
WHOLE_RUNS = Measure(
    sa.select(runs.c.started_at.label("at"), runs.c.ended_at, runs.c.id.label("run_id")).where(
        runs.c.status == "ok"
    ),
    runs.c.id,
)


def typed(points: pd.DataFrame) -> pd.DataFrame:
    """Return points with every column of `POINT`, typed even where all values are missing.

    If there is a column ended_at, the value is the duration in seconds until then.
    """
    whole = points.reindex(columns=POINT)
    whole["at"] = pd.to_datetime(whole["at"], utc=True)
    if "ended_at" in points:
        ended_at = pd.to_datetime(points["ended_at"], utc=True)
        whole["value"] = (ended_at - whole["at"]).dt.total_seconds()
    kinds = dict.fromkeys(("value", "lower", "upper"), "float64")
    return whole.astype(kinds | dict.fromkeys(("run_id", "version", "n"), "Int64"))


def merged(points: pd.DataFrame, *, per: Period, merge: Merge, cut: bool = False) -> pd.DataFrame:
    """Merge the points of each series in each period; `cut` leaves out the oldest period.

    Pooled points are averaged with weights `n`. Points recorded by hand, outside of any run, are
    periods of their own.
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


def points_since(points: pd.DataFrame, moment: datetime, *, per: Period) -> pd.DataFrame:
    """Return the points from a moment on, or from its day on."""
    begin = pd.Timestamp(moment)
    return points[points["at"] >= (begin.floor("D") if per == "day" else begin)]
