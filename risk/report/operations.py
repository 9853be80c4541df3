"""Operations: duration of the stages, results of the runs, and installed packages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from risk.data.statistics import as_rows, summarise_timings
from risk.explain import events, plain_words
from risk.explain.plain_words import counted, sentence
from risk.explain.snapshot import Row
from risk.ledger.queries import Part
from risk.models import dependencies
from risk.report.context import Context
from risk.report.document import Block, Paragraph, Picture, Section, Table

TITLE = "How is the system running?"
MAX_SHOWN, MAX_TIMED, MAX_OUTCOME = 20, 100, 200


def section(known: Context) -> Section:
    """Report the newest runs, their durations and the installed packages."""
    runs = known.ledger.runs.page(Part(page_size=MAX_TIMED))
    if not runs.items:
        return Section(TITLE, (Paragraph("No run has been recorded yet."), _packages(known)))
    return Section(
        TITLE,
        (
            Paragraph(_in_short(runs.items, runs.total)),
            *_timings(known, runs.items),
            _runs(known, runs.items, runs.total),
            _packages(known),
        ),
    )


def _in_short(runs: Sequence[Row], total: int) -> str:
    ended = [run for run in runs if run["status"] != "running"]
    wrong = [run for run in ended if run["status"] != "ok"]
    if not ended:
        return "The first run has not ended yet."
    if total == 1:
        return f"There was one run; it {'failed' if wrong else 'succeeded'}."
    of_them = f"the newest {len(ended)} runs" if len(ended) < total else f"all {len(ended)} runs"
    if not wrong:
        return sentence(f"{of_them} succeeded.")
    return f"{len(wrong)} of {of_them} failed or {_was(wrong)} interrupted."


def _was(items: Sequence[Row]) -> str:
    return "was" if len(items) == 1 else "were"


def _timings(known: Context, runs: Sequence[Row]) -> tuple[Block, ...]:
    from risk.figures import rankings

    stages = known.ledger.runs.stages_of([run["id"] for run in runs])
    own = (stages["stage"] == "report") & (stages["run_id"] == runs[0]["id"])
    stages = stages[(stages["outcome"] == "ok") & ~own]  # a report is the same when rewritten
    if stages.empty:
        return (Paragraph("No stage has been timed yet."),)
    table = summarise_timings(stages)
    rows = as_rows(table)
    longest = max(rows, key=lambda row: row["last"])
    slowest = f"Slowest stage in its latest run: {longest['stage']} ({longest['last']:.1f} s)."
    return (
        Section(
            "How long each stage takes",
            (
                Paragraph(slowest),
                Picture(rankings.stage_timings(table), "Seconds by stage.", slowest),
                Table(
                    ("stage", "times", "last (s)", "median (s)", "95th percentile (s)"),
                    tuple(tuple(row.values()) for row in rows),
                    caption=f"Stages of the newest {counted(len(runs), 'run')}.",
                ),
            ),
        ),
    )


def _runs(known: Context, runs: Sequence[Row], total: int) -> Section:
    shown = runs[:MAX_SHOWN]
    done = {
        decision["run_id"]: events.decided(decision, known.snapshot)[0]
        for decision in reversed(known.snapshot.decisions)
    }
    rows = tuple(
        (
            run["id"],
            run["started_at"],
            run["status"],
            run["duration_seconds"],
            done.get(run["id"]) or _in_one_line(run["outcome"] or run["status"]),
        )
        for run in shown
    )
    hidden = total - len(shown)
    table = Table(
        ("run", "started (UTC)", "status", "seconds", "outcome"),
        rows,
        caption="The newest runs.",
        omitted=f"{counted(hidden, 'older run')} not shown." if hidden else "",
    )
    return Section("Runs", (table,))


def _in_one_line(outcome: str) -> str:
    return sentence(textwrap.shorten(outcome, MAX_OUTCOME, placeholder=" ..."))


def _packages(known: Context) -> Section:
    table = dependencies.of_installation(known.config)
    unfit = table.loc[table["state"] != "ok", "package"].tolist()
    verdict = (
        f"Other versions than required: {plain_words.listed(unfit)}."
        if unfit
        else f"All {counted(len(table), 'package')} meet the requirements."
    )
    return Section(
        "Packages",
        (
            Paragraph(verdict, "warning" if unfit else "plain"),
            Table(
                ("package", "required", "installed", "newest known", "state"),
                tuple(tuple(row.values()) for row in as_rows(table)),
                caption="python diagnostics.py --latest looks up the newest versions.",
            ),
        ),
    )
