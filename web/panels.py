"""What the sections of the dashboard show, made ready for a template: no HTML, no SQL."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from risk import story, wording
from risk.chronicle import Part
from risk.config import Columns
from risk.ledger import Ledger
from risk.reference import EXPECTED_LOSS, LABELLED, PREDICTION
from risk.situation import ESTIMATED, KINDS, MEASURED, PROMISED, Row, Situation
from risk.summaries import as_rows

MOST_FEATURES, MOST_MOMENTS, MOST_ROWS = 15, 16, 20
STEPS = (0.1, 0.3, 0.45)


@dataclass(frozen=True)
class Trend:
    """The points of a score, oldest first, and the moments at which another release went live."""

    points: pd.DataFrame
    changes: pd.DataFrame


@dataclass(frozen=True)
class Cell:
    """How far a subject had moved at a run, as one of four steps, and whether it was an alarm."""

    score: float
    step: int
    is_alarm: bool


@dataclass(frozen=True)
class HeatMap:
    """Subjects down, runs across; `others` counts the features that moved less."""

    runs: Sequence[tuple[int, datetime]]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]
    others: int


def trend(ledger: Ledger, metric: str) -> Trend:
    """Return the scores over time; on test data only those of the release that was live."""
    changes = _changes(ledger)
    points = ledger.trend(metric)
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
        for decision in ledger.list_decisions(newest, action=action).items
    ]
    return sorted(made, key=lambda decision: decision["id"])


def _label(change: Row) -> str:
    word = "back to" if change["action"] == "rollback" else "release"
    return f"{word} {change['version']}"


def in_words(trend: Trend, metric: str) -> str:
    """Say how a score developed."""
    name = wording.metric(metric)
    runs = trend.points[trend.points["kind"] != PROMISED].dropna(subset="value")
    if runs.empty:
        return f"No run has a {name} yet."
    is_measured = bool((runs["kind"] == MEASURED).any())
    known = runs[runs["kind"] == (MEASURED if is_measured else ESTIMATED)]
    how = "measured on labelled rows" if is_measured else "estimated without labels"
    first, last = known.iloc[0], known.iloc[-1]
    least, most = (known.loc[known["value"].agg(which)] for which in ("idxmin", "idxmax"))
    return (
        f"{name}, {how}, of {wording.counted(len(known), 'run')} from {wording.day(first['at'])} "
        f"to {wording.day(last['at'])}: newest {wording.score(last)} on {last['n']:,} rows, "
        f"lowest {least['value']:.3f} on {wording.day(least['at'])}, "
        f"highest {most['value']:.3f} on {wording.day(most['at'])}."
    )


def changes_in_words(trend: Trend) -> str:
    """Say which release was live from when."""
    told = [
        f"{label} on {wording.day(at)}"
        for at, label in zip(trend.changes["at"], trend.changes["label"], strict=True)
    ]
    return f"Went live: {', '.join(told)}." if told else "No release went live."


def heat_map(found: pd.DataFrame, columns: Columns) -> HeatMap:
    """Arrange findings: what the model says first, then the features that moved most."""
    newest = found.drop_duplicates("run_id")[["run_id", "found_at"]].tail(MOST_MOMENTS)
    runs = [(int(run_id), at) for run_id, at in newest.itertuples(index=False)]
    found = found[found["run_id"].isin(newest["run_id"]) & found["drift_score"].notna()]
    found = found.assign(size=found["drift_score"].astype("float64").abs())
    worst = found.groupby("feature")["size"].max().sort_values(ascending=False)
    alarmed = set(found.loc[found["drift_detected"].astype(bool), "feature"])
    own = [name for name in (LABELLED, EXPECTED_LOSS, PREDICTION, columns.target) if name in worst]
    shown = [n for n in worst.index if n not in own and (n in columns.features or n in alarmed)]
    cells = {
        (row.feature, row.run_id): _cell(row) for row in found.sort_values("size").itertuples()
    }
    return HeatMap(
        runs,
        [
            (wording.subject(name), [cells.get((name, run_id)) for run_id, _ in runs])
            for name in [*own, *shown[:MOST_FEATURES]]
        ],
        others=max(0, len(shown) - MOST_FEATURES),
    )


def _cell(found: Any) -> Cell:
    return Cell(found.size, bisect_right(STEPS, found.size), bool(found.drift_detected))


def runs(ledger: Ledger, known: Situation) -> list[Row]:
    """Return the newest runs, each with what was done in a sentence, and the seconds it took."""
    listed = ledger.list_runs(Part(page_size=MOST_ROWS)).items
    seconds: dict[int, dict[str, float]] = {run["id"]: {} for run in listed}
    for stage in as_rows(ledger.stages_of(list(seconds))):
        own, name = seconds[stage["run_id"]], stage["stage"]
        own[name] = own.get(name, 0.0) + stage["duration_seconds"]
    done = {d["run_id"]: story.decided(d, known)[0] for d in reversed(known.decisions)}
    told = {run["id"]: wording.sentence(run["outcome"] or run["status"]) for run in listed}
    told |= {
        run["id"]: done[run["id"]] for run in listed if run["status"] == "ok" and run["id"] in done
    }
    return [run | {"done": told[run["id"]], "stages": seconds[run["id"]]} for run in listed]


def drops(ledger: Ledger) -> list[Row]:
    """Return the newest drops, each with the commonest reason its rows were refused for."""
    listed = ledger.list_drops(Part(page_size=MOST_ROWS)).items
    return [
        drop
        | {
            "problem": ledger.commonest_problem(drop["id"])
            if drop["rows_quarantined"]
            else drop["reason"] or ""
        }
        for drop in listed
    ]
