"""How a score developed: which points tell of the release that was live, and in words."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from risk.explain import plain_words
from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED
from risk.explain.snapshot import Row, with_kinds
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from risk.monitoring.reference import LABELLED
from risk.stats.scores import BIGGER_IS_BETTER


@dataclass(frozen=True)
class Trend:
    """The points of a score, oldest first, and the moments at which another release went live.

    A point has the `alarm_line` of its release: the score below which an alarm is possible.
    """

    points: pd.DataFrame
    changes: pd.DataFrame
    live: int | None = None


def trend(ledger: Ledger, metric: str, *, days: int | None = None) -> Trend:
    """Return the scores over time; on test data only those of the release that was live.

    With `days` only the newest, counted back from the last point.
    """
    changes = _changes(ledger)
    points = with_kinds(ledger.trends.of(metric))
    if days is not None:
        points = points[points["at"] >= points["at"].max() - pd.Timedelta(days=days)]
    moments = [change["decided_at"] for change in changes]
    live = [
        changes[place - 1]["version"] if (place := bisect_right(moments, at)) else None
        for at in points["at"]
    ]
    points = points.assign(alarm_line=points["version"].map(_alarm_lines(ledger, changes)))
    is_own = points["version"].eq(pd.Series(live, points.index, dtype="Int64")).fillna(False)
    labels = [_label(change) for change in changes]
    return Trend(
        points[(points["kind"] != PROMISED) | is_own].reset_index(drop=True),
        pd.DataFrame({"at": pd.to_datetime(moments, utc=True), "label": labels}),
        changes[-1]["version"] if changes else None,
    )


def _alarm_lines(ledger: Ledger, changes: Sequence[Row]) -> dict[int, float]:
    """Return the newest alarm line of each release, found in the runs in which it was live."""
    found = ledger.findings.with_fact("alarm_line", feature=LABELLED)
    runs, lines = found["run_id"].tolist(), {}
    ends = [*(change["run_id"] or 0 for change in changes), math.inf][1:]
    for change, end in zip(changes, ends, strict=True):
        place = bisect_right(runs, end)  # the run that replaced it had begun with it
        if place and runs[place - 1] > (change["run_id"] or 0):
            line = json.loads(found["facts"].iloc[place - 1])["alarm_line"]
            lines[int(change["version"])] = float(line)
    return lines


def _changes(ledger: Ledger) -> list[Row]:
    newest = Part(page_size=100)
    made = [
        decision
        for action in ("deploy", "rollback")
        for decision in ledger.decisions.page(newest, action=action).items
    ]
    return sorted(made, key=lambda decision: decision["id"])


def _label(change: Row) -> str:
    word = "back to" if change["action"] == "rollback" else "release"
    return f"{word} {change['version']}"


def in_words(trend: Trend, metric: str) -> str:
    """Say how a score developed."""
    name = plain_words.metric(metric)
    runs = trend.points[trend.points["kind"] != PROMISED].dropna(subset="value")
    if runs.empty:
        return f"No {name} of a run is known yet."
    is_measured = bool((runs["kind"] == MEASURED).any())
    known = runs[runs["kind"] == (MEASURED if is_measured else ESTIMATED)]
    how = "measured on labelled rows" if is_measured else "estimated without labels"
    first, last = known.iloc[0], known.iloc[-1]
    newest = f"{plain_words.score(last)} on {last['n']:,} rows"
    if len(known) == 1:
        return f"{name}, {how}, of one run on {plain_words.day(last['at'])}: {newest}."
    least, most = (known.loc[known["value"].agg(which)] for which in ("idxmin", "idxmax"))
    in_a_day = first["at"].date() == last["at"].date()
    begin, end = (_moment(each["at"], in_a_day=in_a_day) for each in (first, last))
    low, high = (_moment(each["at"], in_a_day=in_a_day) for each in (least, most))
    on, at = (f" UTC on {plain_words.day(last['at'])}", "at") if in_a_day else ("", "on")
    return (
        f"{name}, {how}, of {plain_words.counted(len(known), 'run')} from {begin} to {end}{on}: "
        f"newest {newest}, lowest {least['value']:.3f} {at} {low}, "
        f"highest {most['value']:.3f} {at} {high}.{_of_release(trend, last, metric)}"
    )


def _moment(at: pd.Timestamp, *, in_a_day: bool) -> str:
    return f"{at:%H:%M}" if in_a_day else plain_words.day(at)


def _of_release(trend: Trend, newest: pd.Series[Any], metric: str) -> str:
    """Say from where on an alarm is possible, or that the newest score is of an older release."""
    version, line = newest["version"], newest["alarm_line"]
    if pd.notna(version) and trend.live not in (None, version):
        return f" The newest labels are of predictions of release {version}."
    if newest["kind"] == MEASURED and pd.notna(line):
        side = "below" if BIGGER_IS_BETTER[metric] else "above"
        return f" An alarm needs a score that stays {side} {line:.2f}."
    return ""


def changes_in_words(trend: Trend) -> str:
    """Say which release was live from when."""
    said = [
        f"{label} on {plain_words.day(at)}"
        for at, label in zip(trend.changes["at"], trend.changes["label"], strict=True)
    ]
    return f"Went live: {', '.join(said)}." if said else "No release went live."
