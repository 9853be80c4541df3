"""The false-alarm budget in plain words: "1 per 90 days", "2 per year", "1 in 3 months"."""

from __future__ import annotations

import re

DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375, "quarter": 91.3125, "year": 365.25}
WORDS = re.compile(
    r"(?P<alarms>\d+(\.\d+)?)( false alarms?)? (per|in|a|every) "
    r"((?P<periods>\d+(\.\d+)?) )?(?P<unit>day|week|month|quarter|year)s?"
)


def days_per_alarm(words: str) -> float:
    """Return the days between two false alarms; ValueError if the words cannot be understood."""
    read = WORDS.fullmatch(words.strip().lower())
    if read is None or not float(read["alarms"]) or not float(read["periods"] or 1):
        raise ValueError(f'must read like "1 per 90 days" or "2 per year", not {words!r}')
    return DAYS[read["unit"]] * float(read["periods"] or 1) / float(read["alarms"])
