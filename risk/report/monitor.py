"""What the monitor can and cannot see on this data: the newest fire drill of the live release."""

from __future__ import annotations

from datetime import timedelta

from risk.explain import drill_table, plain_words
from risk.monitoring import drill
from risk.monitoring.drill import Drill
from risk.report.context import Context
from risk.report.document import Block, Bullets, Paragraph, Section, Table


def section(known: Context) -> Section:
    """Show after how many drops planted changes are found, and what is not found."""
    title = "What this monitor can and cannot see, on your data"
    done = _newest(known)
    if done is None:
        return Section(title, (Paragraph("No fire drill of the live release yet."),))
    missed = drill.missed(done, known.config.alarms.must_find)
    return Section(
        title,
        (
            Paragraph(drill_table.in_short(done, missed), "lead"),
            *_tables(done),
            Bullets(tuple(drill_table.remarks(done))),
        ),
    )


def in_short(known: Context) -> list[str]:
    """Say in one sentence what the monitor would find, if it was drilled."""
    done = _newest(known)
    if done is None:
        return []
    return [drill_table.in_short(done, drill.missed(done, known.config.alarms.must_find))]


def _newest(known: Context) -> Drill | None:
    live = known.snapshot.release
    return drill.newest(known.ledger, live["version"] if live else None)


def _tables(done: Drill) -> list[Block]:
    every = plain_words.duration(timedelta(days=done.days_per_drop))
    rows = plain_words.counted(done.rows_per_drop, "row")
    caption = f"Drops of about {rows}, one every {every}, until a change is found; median."
    return [
        Table(
            ("changed", *names),
            tuple(
                (drill_table.subject_of(row[0]), *map(drill_table.in_drops, row)) for row in table
            ),
            caption=caption,
        )
        for names, table in drill_table.grouped(done.results)
    ]
