"""The second page: what changed in the data, and what the system did about it."""

from __future__ import annotations

from risk.explain import health
from risk.report import drift, gate, monitor
from risk.report.context import Context
from risk.report.document import Section
from risk.report.summary import listed


def section(known: Context) -> Section:
    """Show what changed and what was done, each in sentences and a figure."""
    said = health.assess(known.snapshot)
    moved, compared = drift.ranking(known), gate.comparison(known)
    return Section(
        "What changed, and what was done",
        (
            Section(
                "What has changed in the data?",
                (listed([*said.changed, *monitor.in_short(known)]), *([moved] if moved else [])),
            ),
            Section(
                "What did the system do, and why?",
                (listed(said.done), *([compared] if compared else [])),
            ),
        ),
    )
