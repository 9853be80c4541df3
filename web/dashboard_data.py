"""Data of the dashboard's sections for its templates: no HTML, no SQL."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from risk.config import Columns, MustFind
from risk.data.statistics import as_rows
from risk.explain import distributions, drill_table, events, plain_words
from risk.explain.snapshot import Row, Snapshot
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from risk.monitoring import drill
from risk.monitoring.profile import Profile
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION, Reference

MAX_FEATURES, MAX_MOMENTS, MAX_ROWS = 15, 14, 20
STEPS = (0.1, 0.3, 0.45)
SHARES = ["reference", "current"]


@dataclass(frozen=True)
class Cell:
    """Drift of a subject at a run, in four steps, and whether it raised an alarm."""

    score: float
    step: int
    is_alarm: bool


@dataclass(frozen=True)
class HeatMap:
    """Subjects in rows, runs in columns; `others` counts the features that drifted less.

    `pages` has the column of each subject that has a page of its own.
    """

    runs: Sequence[tuple[int, datetime]]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]
    others: int
    pages: Mapping[str, str]

    @property
    def several_a_day(self) -> bool:
        """Whether days alone do not tell the runs apart."""
        return len({at.date() for _, at in self.runs}) < len(self.runs)


def heat_map(found: pd.DataFrame, columns: Columns) -> HeatMap:
    """Arrange findings: predictions first, then the features that drifted most."""
    newest = found.drop_duplicates("run_id")[["run_id", "found_at"]].tail(MAX_MOMENTS)
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
            (plain_words.subject(name), [cells.get((name, run_id)) for run_id, _ in runs])
            for name in [*own, *shown[:MAX_FEATURES]]
        ],
        others=max(0, len(shown) - MAX_FEATURES),
        pages={plain_words.subject(name): name for name in (*columns.features, PREDICTION)},
    )


def spreads(
    heat: HeatMap, reference: Reference, recent: Profile
) -> dict[str, Sequence[tuple[float, float]]]:
    """Return the share of each cell before and now, by subject, the largest of them as 1."""
    monitored = {column.name for column in reference.columns}
    shown = [name for name, _ in heat.rows if heat.pages.get(name) in monitored]
    found = {
        name: distributions.of_feature(reference, heat.pages[name], recent).cells for name in shown
    }
    return {
        name: list(
            (cells[SHARES] / cells[SHARES].to_numpy().max()).itertuples(index=False, name=None)
        )
        for name, cells in found.items()
    }


def _cell(found: Any) -> Cell:
    return Cell(found.size, bisect_right(STEPS, found.size), bool(found.drift_detected))


def runs(ledger: Ledger, known: Snapshot) -> list[Row]:
    """Return the newest runs with outcome, seconds by stage, and whether there is a report."""
    part = Part(page_size=MAX_ROWS)
    listed = ledger.runs.page(part).items
    reported = {report["run_id"] for report in ledger.reports.page(part, kind="pdf").items}
    seconds: dict[int, dict[str, float]] = {run["id"]: {} for run in listed}
    for stage in as_rows(ledger.runs.stages_of(list(seconds))):
        own, name = seconds[stage["run_id"]], stage["stage"]
        own[name] = own.get(name, 0.0) + stage["duration_seconds"]
    done = {d["run_id"]: events.decided(d, known)[0] for d in reversed(known.decisions)}
    done = {run["id"]: plain_words.sentence(run["outcome"] or run["status"]) for run in listed}
    done |= {
        run["id"]: done[run["id"]] for run in listed if run["status"] == "ok" and run["id"] in done
    }
    return [
        run
        | {"done": done[run["id"]], "stages": seconds[run["id"]], "reported": run["id"] in reported}
        for run in listed
    ]


@dataclass(frozen=True)
class Drilled:
    """The newest fire drill in words, and its tables: changes across, what is changed down."""

    in_short: str
    tables: Sequence[tuple[Sequence[str], Sequence[tuple[str, Sequence[str]]]]]
    remarks: Sequence[str]


def drilled(ledger: Ledger, known: Snapshot, must_find: MustFind) -> Drilled | None:
    """Return the newest drill of the live release, None before the first."""
    done = drill.newest(ledger, known.release["version"] if known.release else None)
    if done is None:
        return None
    tables = [
        (
            names,
            [(drill_table.subject_of(row[0]), [*map(drill_table.in_drops, row)]) for row in rows],
        )
        for names, rows in drill_table.grouped(done.results)
    ]
    in_short = drill_table.in_short(done, drill.missed(done, must_find))
    return Drilled(in_short, tables, drill_table.remarks(done))


def drops(ledger: Ledger) -> list[Row]:
    """Return the newest drops, each with the most frequent reason for quarantine."""
    listed = ledger.ingestions.page(Part(page_size=MAX_ROWS)).items
    return [
        drop
        | {
            "problem": ledger.quarantine.commonest_problem(drop["id"])
            if drop["rows_quarantined"]
            else drop["reason"] or ""
        }
        for drop in listed
    ]
