"""Template filters that format values on a page."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup, escape

from risk.explain import account, gate_words, plain_words, resolutions, sentences


def iso(moment: datetime) -> str:
    """Format a moment for programs, as ISO 8601."""
    return moment.isoformat().replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """Format a moment for people."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day_and_month(moment: datetime) -> str:
    """Format a day where there is little room."""
    return f"{moment.day} {moment:%b}"


def clock(moment: datetime) -> str:
    """Format the time of a day."""
    return f"{moment:%H:%M}"


def decimals(value: float | None, places: int) -> str:
    """Format a number with a given number of decimals."""
    return "–" if value is None else f"{value:.{places}f}"


def figures(value: float | None) -> str:
    """Format a number of any magnitude."""
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    """Format a count."""
    return "–" if value is None else f"{int(value):,}"


def distance(value: float) -> str:
    """Format a distance with one decimal, from ten on as 10+."""
    return "10+" if value >= 10 else f"{value:.1f}"


def breakable(name: str) -> Markup:
    """Let a long name break after its underscores, where there is little room."""
    return Markup("_<wbr>").join(map(escape, name.split("_")))


FILTERS = {
    function.__name__: function
    for function in (
        iso,
        moment,
        day_and_month,
        clock,
        decimals,
        figures,
        whole,
        distance,
        breakable,
    )
} | {
    "of_finding": sentences.of_finding,
    "of_incident": sentences.of_incident,
    "of_resolution": resolutions.of_resolution,
    "subject": plain_words.subject,
    "verdict": account.verdict,
    "shift": account.shift,
    "evidence_of_gate": gate_words.evidence_of_gate,
    "metric": plain_words.metric,
}
