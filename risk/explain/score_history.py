"""How a score developed: which points tell of the release that was live, and in words."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import pandas as pd

from risk.explain import plain_words
from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED
from risk.explain.snapshot import KINDS, Row
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part


@dataclass(frozen=True)
class Trend:
    """The points of a score, oldest first, and the moments at which another release went live."""

    points: pd.DataFrame
    changes: pd.DataFrame


def trend(ledger: Ledger, metric: str, *, days: int | None = None) -> Trend:
    """Return the scores over time; on test data only those of the release that was live.

    With `days` only the newest, counted back from the last point.
    """
    changes = _changes(ledger)
    points = ledger.trends.of(metric)
    if days is not None:
        points = points[points["at"] >= points["at"].max() - pd.Timedelta(days=days)]
    points = points.assign(kind=points["dataset"].map(KINDS).fillna(PROMISED))
    moments = [change["decided_at"] for change in changes]
    live = [
        changes[place - 1]["version"] if (place := bisect_right(moments, at)) else None
        for at in points["at"]
    ]
    is_own = points["version"].eq(pd.Series(live, points.index, dtype="Int64")).fillna(False)
    labels = [_label(change) for change in changes]
    return Trend(
        points[(points["kind"] != PROMISED) | is_own].reset_index(drop=True),
        pd.DataFrame({"at": pd.to_datetime(moments, utc=True), "label": labels}),
    )


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
    return (
        f"{name}, {how}, of {plain_words.counted(len(known), 'run')} "
        f"from {plain_words.day(first['at'])} to {plain_words.day(last['at'])}: newest {newest}, "
        f"lowest {least['value']:.3f} on {plain_words.day(least['at'])}, "
        f"highest {most['value']:.3f} on {plain_words.day(most['at'])}."
    )


def changes_in_words(trend: Trend) -> str:
    """Say which release was live from when."""
    said = [
        f"{label} on {plain_words.day(at)}"
        for at, label in zip(trend.changes["at"], trend.changes["label"], strict=True)
    ]
    return f"Went live: {', '.join(said)}." if said else "No release went live."
