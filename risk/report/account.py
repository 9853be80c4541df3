"""Account: how the alarms turned out, and what the releases gained."""

from __future__ import annotations

from risk.explain import account as words
from risk.explain.plain_words import counted
from risk.report.context import Context
from risk.report.document import Block, Bullets, Paragraph, Section, Table

TITLE = "Were the alarms and the releases worth it?"
MAX_SHOWN = 50


def section(known: Context) -> Section:
    """Report how each alarm is judged by what came after it, and the gain of the releases."""
    said, alarms = words.in_words(known.account), known.account.alarms[::-1]
    blocks: list[Block] = [Bullets(tuple(said)) if len(said) > 1 else Paragraph(said[0])]
    if alarms:
        hidden = len(alarms) - MAX_SHOWN
        rows = tuple(
            (
                alarm.opened_at,
                words.subject(alarm),
                alarm.kind.replace("_", " "),
                words.verdict(alarm),
                words.shift(alarm),
                alarm.drops,
            )
            for alarm in alarms[:MAX_SHOWN]
        )
        table = Table(
            ("opened (UTC)", "subject", "kind", "verdict", "shift since", "later drops"),
            rows,
            caption="Alarms, newest first; the shift is that of later rows beyond what is "
            "tolerated, with its 95 % interval.",
            omitted=f"{counted(hidden, 'older alarm')} not shown." if hidden > 0 else "",
        )
        blocks.append(table)
    return Section(TITLE, tuple(blocks))
