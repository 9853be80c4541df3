"""Seasons: a sentence about what is expected by weekday and hour, and on how much data it rests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.monitoring.findings import HIGHER

WEEKDAYS = (
    "on Mondays",
    "on Tuesdays",
    "on Wednesdays",
    "on Thursdays",
    "on Fridays",
    "on Saturdays",
    "on Sundays",
)
DAYS_NEEDED = 14
UNDATED = (
    "No seasonal baseline, so the false-alarm budget holds for independent rows only. A release "
    "has one if columns.event_time is set, or if its drops arrived at eight different times."
)


def in_words(facts: Mapping[str, Any] | None) -> str:
    """Say which seasons the newest assessment expected; nothing of one made before there were any.

    `facts` are those of the assessment.
    """
    known = (facts or {}).get("seasons")
    if not known:
        return ""
    if not known["calendar"]:
        return UNDATED
    days = known["days"]
    seen = counted(round(days / 7), "week") if days >= DAYS_NEEDED else counted(int(days), "day")
    curves = [f"{_name(curve)} {_curve(curve)}" for curve in known["curves"]]
    more = f" and {counted(known['others'], 'more subject')}" if known["others"] else ""
    words = f"Expected by season, from {seen}: {', '.join(curves)}{more}."
    if not curves:
        words = f"No season is visible in {seen} of earlier data."
    if days < DAYS_NEEDED:
        words += f" No weekly baseline yet: {int(days)} of {DAYS_NEEDED} days seen."
    return words


def _name(curve: Mapping[str, Any]) -> str:
    name = plain_words.in_short(plain_words.subject(curve["subject"]))
    return name if curve["direction"] == HIGHER else f"{name} ({curve['direction']})"


def _curve(curve: Mapping[str, Any]) -> str:
    parts = [_week(curve["week"]), _day(curve["day"])]
    return " and ".join(filter(None, parts))


def _week(week: Sequence[float]) -> str:
    if not any(week):
        return ""
    if len({*week[:5]}) == len({*week[5:]}) == 1:
        return f"{week[6] - week[0]:+.2g} sd at weekends"
    day = max(range(7), key=lambda i: abs(week[i]))
    return f"{week[day]:+.2g} sd {WEEKDAYS[day]}"


def _day(day: Sequence[float]) -> str:
    if not any(day):
        return ""
    hour = max(range(24), key=lambda i: abs(day[i]))
    return f"{day[hour]:+.2g} sd around {hour:02}:00 UTC"
