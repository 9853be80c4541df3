"""How values are written on a page: what a template calls as `value | name`."""

from __future__ import annotations

from datetime import datetime

from risk.explain import plain_words, sentences


def iso(moment: datetime) -> str:
    """Write a moment for programs."""
    return moment.isoformat().replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """Write a moment for people."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day_and_month(moment: datetime) -> str:
    """Write a day where there is little room."""
    return f"{moment.day} {moment:%b}"


def decimals(value: float | None, places: int) -> str:
    """Write a number with so many decimals."""
    return "–" if value is None else f"{value:.{places}f}"


def figures(value: float | None) -> str:
    """Write a number of any size."""
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    """Write a count."""
    return "–" if value is None else f"{int(value):,}"


def distance(value: float) -> str:
    """Write a distance with one decimal; what is farther than ten is just far."""
    return "10+" if value >= 10 else f"{value:.1f}"


FILTERS = {
    function.__name__: function
    for function in (iso, moment, day_and_month, decimals, figures, whole, distance)
} | {
    "of_incident": sentences.of_incident,
    "subject": plain_words.subject,
    "evidence": plain_words.evidence,
    "metric": plain_words.metric,
}
