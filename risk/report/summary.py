"""The first page: is the model fit to use, what happened, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from risk.explain import account, health, plain_words
from risk.explain.plain_words import MEASURED, counted
from risk.explain.snapshot import Row, worst_first
from risk.report import performance
from risk.report.context import MAX_DROPS, Context, Labelled
from risk.report.document import Block, Bullets, Paragraph, Section, Tone

TONES: dict[health.Fitness, Tone] = {
    "fit": "good",
    "fit with care": "warning",
    "too little data": "warning",
    "not fit": "bad",
}


def section(known: Context) -> Section:
    """Answer what a manager asks, on one page."""
    said = health.assess(known.snapshot)
    return Section(
        "Summary",
        (
            *_looking_back(known),
            Section(
                "Is the model fit to use?",
                (
                    Paragraph(f"{said.headline}.", TONES[said.fitness]),
                    listed(
                        (
                            *said.concerns,
                            *performance.in_plain_words(known),
                            *_on_new_rows(known),
                            *said.why,
                        )
                    ),
                    performance.over_time(known),
                ),
            ),
            Section("What should you do?", (listed(said.advice),)),
            Section(_since(known), (listed(happened(known)),)),
            *_account(known),
            Paragraph(_ranges(known), "aside"),
        ),
    )


def happened(known: Context) -> list[str]:
    """Describe what arrived and what was decided since the last report."""
    new = known.ledger.reports.happenings(known.since)
    failed, said = new.runs_failed, [_arrived(known), *_switched(new.decisions)]
    if new.opened:
        said.append(f"{counted(len(new.opened), 'incident')} opened: {_subjects(new.opened)}.")
    if new.closed:
        said.append(f"{counted(len(new.closed), 'incident')} closed: {_subjects(new.closed)}.")
    if failed:
        was = "was" if failed == 1 else "were"
        said.append(f"{counted(failed, 'run')} failed or {was} interrupted.")
    return said


def _looking_back(known: Context) -> tuple[Block, ...]:
    if not known.looks_back or not known.run:
        return ()
    moment = plain_words.day(known.reported_at)
    text = (
        f"This report looks back: it shows what was known at the end of run {known.run['id']}, on "
        f"{moment}. The settings and the test data are today's."
    )
    return (Paragraph(text),)


def _on_new_rows(known: Context) -> list[str]:
    """Score a release that no run has measured yet on new rows, where labels allow it."""
    found = known.unlearnt if known.monitored else None
    if not isinstance(found, Labelled) or MEASURED in known.snapshot.newest_scores:
        return []
    metric = known.config.checks.metric
    score = plain_words.between(asdict(performance.score_on(known, found)[metric]))
    rows = f"{counted(len(found), 'labelled row')} it was not trained on"
    more = ", which say more about today than the test data" if known.judged_on is found else ""
    return [f"{plain_words.metric(metric)} is {score} on {rows}{more}."]


def _ranges(known: Context) -> str:
    confidence = known.config.scoring.confidence
    return f"Ranges and brackets contain the true value with {confidence:.0%} confidence."


def _account(known: Context) -> tuple[Block, ...]:
    """Say in one line how the alarms turned out, once a model has been live for a day."""
    if known.account.days < 1:
        return ()
    return (Paragraph(account.in_plain_words(known.account)),)


def _since(known: Context) -> str:
    if known.since is None:
        return "What happened so far?"
    moment = plain_words.day(known.since)
    if known.since.date() == known.reported_at.date():
        moment += f" at {known.since:%H:%M} UTC"
    last = "" if known.since_is_asked else "the last report, on "
    return f"What happened since {last}{moment}?"


def listed(sentences: Sequence[str]) -> Block:
    """Return sentences as a list, or as a paragraph if there is only one."""
    return Paragraph(sentences[0]) if len(sentences) == 1 else Bullets(tuple(sentences))


def _arrived(known: Context) -> str:
    drops = known.new_drops
    if not drops:
        return "No new data came."
    total = {name: sum(drop[f"rows_{name}"] for drop in drops) for name in ("read", "quarantined")}
    added = {
        kind: sum(drop["rows_added"] for drop in drops if drop["kind"] == kind)
        for kind in ("rows", "labels")
    }
    files = counted(len(drops), "file")
    at_least = "at least " if len(drops) == MAX_DROPS else ""
    words = [counted(added["rows"], "new row")] if added["rows"] or not added["labels"] else []
    if added["labels"]:
        words.append(f"labels for {counted(added['labels'], 'earlier row')}")
    refused = [f"{counted(total['quarantined'], 'row')} refused"] if total["quarantined"] else []
    brought = f"{at_least}{files} brought {' and '.join(words)}"
    return plain_words.sentence("; ".join([brought, *refused]))


def _switched(decisions: Sequence[Row]) -> list[str]:
    return [
        f"Release {decision['version']} went live on {plain_words.day(decision['decided_at'])}"
        f"{', as before' if decision['action'] == 'rollback' else ''}."
        for decision in reversed(decisions)
        if decision["version"]
    ]


def _subjects(incidents: Sequence[Row]) -> str:
    return plain_words.listed([plain_words.about(incident) for incident in worst_first(incidents)])
