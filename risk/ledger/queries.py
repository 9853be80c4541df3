"""What is asked of the ledger: lists by the page, newest first, and trends over time."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import pandas as pd
import sqlalchemy as sa

from risk.config import Metric
from risk.errors import UnknownName
from risk.ledger import trends
from risk.ledger.database import Connected, Record
from risk.ledger.tables import (
    column_statistics,
    decisions,
    findings,
    incidents,
    ingestions,
    quarantined_rows,
    releases,
    runs,
    scores,
    stage_timings,
)
from risk.ledger.trends import Merge, Period

MOST_POINTS = 1000
MOST_ROWS = 20_000  # of the ledger, that one trend is made of
MOST_OF_A_RUN = 100
DETECTOR = "e_detector"
MOVED = "run_id found_at feature check_name drift_score threshold drift_detected".split()


@dataclass(frozen=True)
class Part:
    """Which rows of a list: a page counted from 1, of the rows whose number is below another."""

    page: int = 1
    page_size: int = 20
    before_id: int | None = None


@dataclass(frozen=True)
class Listing:
    """One page of rows as plain values, and how many rows there are in all."""

    columns: list[str]
    items: list[dict[str, Any]]
    total: int


@dataclass(frozen=True)
class Measure:
    """Where the points of a trend are found, and how several of one period become one.

    `subject` is the column that names the feature, or what stands for it.
    """

    points: sa.Select[Any]
    subject: sa.Column[Any]
    merge: Merge = "mean"


NEWEST, EVERY = Part(), Part(page_size=100_000)


class Chronicle(Connected):
    """The part of the ledger that answers questions."""

    def list_runs(
        self, part: Part = NEWEST, *, run_id: int | None = None, status: str | None = None
    ) -> Listing:
        """Return runs, how long each took, and what was decided in it."""
        found = self._page(sa.select(runs), runs.c.id, part, id=run_id, status=status)
        numbers = [run["id"] for run in found.items]
        query = sa.select(decisions).order_by(decisions.c.id)
        decided = {row.run_id: row for row in self._in_chunks(query, decisions.c.run_id, numbers)}
        items = [_with_decision(run, decided.get(run["id"])) for run in found.items]
        columns = [*found.columns, "duration_seconds", "action", "version", "reason"]
        return Listing(columns, items, found.total)

    def read_run(self, run_id: int) -> dict[str, Any]:
        """Return a run with its stages, drops, detected findings and decisions, 100 of each."""
        some = Part(page_size=MOST_OF_A_RUN)
        stages = self._page(sa.select(stage_timings), stage_timings.c.id, some, run_id=run_id)
        return _only(self.list_runs(run_id=run_id), f"run {run_id}") | {
            "stages": stages.items[::-1],
            "drops": self.list_drops(some, run_id=run_id).items,
            "findings": self.list_findings(some, run_id=run_id, drift_detected=True).items,
            "decisions": self.list_decisions(some, run_id=run_id).items,
        }

    def list_findings(
        self,
        part: Part = NEWEST,
        *,
        run_id: int | None = None,
        feature: str | None = None,
        check_name: str | None = None,
        drift_detected: bool | None = None,
    ) -> Listing:
        """Return findings; `distances` describe the change, by name."""
        only = {"run_id": run_id, "feature": feature, "check_name": check_name}
        return self._page(
            sa.select(findings), findings.c.id, part, **only, drift_detected=drift_detected
        )

    def list_incidents(self, part: Part = NEWEST, *, is_open: bool | None = None) -> Listing:
        """Return incidents: those that are open, those that are not, or both."""
        query, resolved_at = sa.select(incidents), incidents.c.resolved_at
        if is_open is not None:
            query = query.where(resolved_at.is_(None) if is_open else resolved_at.is_not(None))
        return self._page(query, incidents.c.id, part)

    def read_incident(self, incident_id: int) -> dict[str, Any]:
        """Return one incident."""
        found = self._page(sa.select(incidents), incidents.c.id, NEWEST, id=incident_id)
        return _only(found, f"incident {incident_id}")

    def list_releases(self, part: Part = NEWEST, *, live: int | None = None) -> Listing:
        """Return releases, and which of them is the `live` one."""
        found = self._page(sa.select(releases), releases.c.version, part)
        told = ["made_by", "estimator", "threshold"]
        for release in found.items:
            manifest = json.loads(release.pop("manifest"))
            release |= {name: manifest.get(name) for name in told}
            release["live"] = release["version"] == live
        return Listing([*found.columns[:-1], *told, "live"], found.items, found.total)

    def read_manifest(self, version: int) -> str:
        """Return the manifest of a release, as JSON."""
        query = sa.select(releases.c.manifest).where(releases.c.version == version)
        manifest: str | None = self._scalar(query)
        if manifest is None:
            raise UnknownName(f"there is no release {version}")
        return manifest

    def list_scores(
        self,
        part: Part = NEWEST,
        *,
        metric: str | None = None,
        dataset: str | None = None,
        version: int | None = None,
    ) -> Listing:
        """Return scores with their intervals."""
        only = {"metric": metric, "dataset": dataset, "version": version}
        query = sa.select(scores)
        if metric is not None:
            query = query.order_by(scores.c.scored_at.desc())  # so that the index is used
        return self._page(query, scores.c.id, part, **only)

    def list_quarantine(self, part: Part = NEWEST, *, ingestion_id: int | None = None) -> Listing:
        """Return what was refused and why, cell by cell; line 0 stands for a drop as a whole."""
        drop = (ingestions.c.path, ingestions.c.ingested_at, ingestions.c.status)
        query = sa.select(quarantined_rows, *drop, ingestions.c.requeued_as)
        query = query.join_from(quarantined_rows, ingestions)
        return self._page(query, quarantined_rows.c.id, part, ingestion_id=ingestion_id)

    def list_decisions(
        self, part: Part = NEWEST, *, run_id: int | None = None, action: str | None = None
    ) -> Listing:
        """Return decisions, and what the gate compared."""
        return self._page(sa.select(decisions), decisions.c.id, part, run_id=run_id, action=action)

    def list_drops(
        self, part: Part = NEWEST, *, run_id: int | None = None, status: str | None = None
    ) -> Listing:
        """Return drops, and what became of their rows."""
        hidden = {"taken_sha256", "mtime_ns", "ctime_ns", "inode"}
        query = sa.select(*(column for column in ingestions.c if column.name not in hidden))
        return self._page(query, ingestions.c.id, part, run_id=run_id, status=status)

    def stages_of(self, run_ids: Sequence[int]) -> pd.DataFrame:
        """Return run_id, stage, duration_seconds and outcome of these runs, oldest first."""
        table = stage_timings.c
        query = sa.select(table.run_id, table.stage, table.duration_seconds, table.outcome)
        rows = list(self._in_chunks(query.order_by(table.id), table.run_id, run_ids))
        return pd.DataFrame(rows, columns=[column.name for column in query.selected_columns])

    def drift_matrix(self, newest_runs: int = 30) -> pd.DataFrame:
        """Return how far each subject had moved at each of the newest runs, oldest first."""
        table, seen = findings.c, findings.c.method == DETECTOR
        numbers = sa.select(table.run_id).where(seen, table.run_id.is_not(None)).distinct()
        newest = numbers.order_by(table.run_id.desc()).limit(newest_runs).subquery()
        oldest = sa.select(sa.func.min(newest.c.run_id)).scalar_subquery()
        query = sa.select(*(table[name] for name in MOVED)).where(seen, table.run_id >= oldest)
        return self._frame(query.order_by(table.run_id, table.id))

    def last_column_statistics(self) -> pd.DataFrame:
        """Return the summary of each column of the newest batch."""
        run_id = sa.select(sa.func.max(column_statistics.c.run_id)).scalar_subquery()
        query = sa.select(column_statistics).where(column_statistics.c.run_id == run_id)
        return self._frame(query.order_by(column_statistics.c.id))

    def last_comparison(self) -> dict[str, Any] | None:
        """Return the newest decision of the gate, with what it compared."""
        query = sa.select(decisions).where(decisions.c.comparison.is_not(None))
        found = self._page(query, decisions.c.id, Part(page_size=1)).items
        return found[0] if found else None

    def trend(
        self,
        metric: str,
        *,
        feature: str | None = None,
        since: datetime | None = None,
        per: Period = "run",
    ) -> pd.DataFrame:
        """Return the newest points of one of `MEASURES`, the oldest of them first.

        `feature` chooses one feature; of scores a dataset, of durations a stage, of rows a drop.
        A day has the last of its scores, the sum of its rows and findings, of a column what its
        rows have together, and the mean of others.
        """
        if metric not in MEASURES:
            raise UnknownName(f"no trend is called {metric[:80]!r}; known: {list(MEASURES)}")
        of_whole_runs = metric == "duration_seconds" and feature is None
        measure = WHOLE_RUNS if of_whole_runs else MEASURES[metric]
        most = MOST_POINTS if per == "run" and measure.merge != "sum" else MOST_ROWS
        query = measure.points.order_by(measure.subject.table.c.id.desc()).limit(most)
        if feature is not None:
            query = query.where(measure.subject == feature)
        found = trends.typed(self._frame(query)[::-1])
        points = trends.merged(found, per=per, merge=measure.merge, cut=len(found) == most)
        if since is not None:
            points = trends.since(points, since, per=per)
        told = points.tail(MOST_POINTS).reset_index(drop=True)
        is_cut = len(found) == most and (since is None or found["at"].iloc[0] >= since)
        told.attrs["is_cut"] = is_cut or len(told) < len(points)
        return told

    def _page(
        self, query: sa.Select[Any], number: sa.Column[Any], part: Part, **only: Any
    ) -> Listing:
        """Return a part of the rows whose columns have the values of `only`, None being any."""
        for name, value in only.items():
            if value is not None:
                query = query.where(number.table.c[name] == value)
        if part.before_id is not None:
            query = query.where(number < part.before_id)
        count = query.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)
        skipped = (part.page - 1) * part.page_size
        newest = query.order_by(number.desc()).limit(part.page_size).offset(skipped)
        columns = [column.name for column in query.selected_columns]
        items = [_plain(row) for row in self._rows(newest)]
        return Listing(columns, items, int(self._scalar(count)))


def _points(at: sa.Column[Any], value: sa.Column[Any], *others: Any) -> sa.Select[Any]:
    return sa.select(at.label("at"), value.label("value"), at.table.c.run_id, *others)


def _of_scores(metric: str) -> Measure:
    table = scores.c
    told = (table.dataset, table.version, table.lower, table.upper, table.n)
    points = _points(table.scored_at, table.value, *told).where(table.metric == metric)
    return Measure(points.order_by(table.scored_at.desc()), table.dataset, "last")


def _of_columns(statistic: str) -> Measure:
    table = column_statistics.c
    told_of = table.row_count - table.missing_count if statistic == "mean" else table.row_count
    told = (table.column_name.label("feature"), told_of.label("n"))
    points = _points(table.computed_at, table[statistic], *told)
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


def _only(found: Listing, name: str) -> dict[str, Any]:
    if not found.items:
        raise UnknownName(f"there is no {name}")
    return found.items[0]


def _with_decision(run: dict[str, Any], decision: Record | None) -> dict[str, Any]:
    """Add how long a run took, which of one that was cut off nobody knows, and what it decided."""
    ended = run["status"] in ("ok", "failed")
    seconds = (run["ended_at"] - run["started_at"]).total_seconds() if ended else None
    told = {name: getattr(decision, name, None) for name in ("action", "version", "reason")}
    return run | {"duration_seconds": seconds} | told


def _plain(row: Record) -> dict[str, Any]:
    """Return a row as values that JSON has: parsed where they are JSON, numbers finite."""
    values = dict(row._mapping)
    for name in values.keys() & {"distances", "comparison"}:
        values[name] = values[name] and json.loads(values[name], parse_constant=float)
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for: infinite evidence by the largest number there is."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value)
