"""Seasonality: what a reference expects by weekday and hour, in codes and numbers without texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from risk.monitoring.reference import Reference, name_of_pair
from risk.stats.seasons import Curve

MAX_NAMED = 3


@dataclass(frozen=True)
class Seasonal:
    """The direction in which a subject follows the calendar most.

    `week` has an entry for each weekday from Monday on, `day` for each hour from midnight UTC, in
    standard deviations of the reference.
    """

    subject: str
    direction: str
    week: tuple[float, ...]
    day: tuple[float, ...]

    @property
    def size(self) -> float:
        """The largest deviation from the mean of week and day."""
        return max(map(abs, (*self.week, *self.day)))


def curves(reference: Reference) -> list[Seasonal]:
    """Return the curves of all subjects that have one, the largest first, pairs last."""
    pairs = {name_of_pair(pair) for pair in reference.pairs}
    found = [_largest(name, curve) for name, curve in reference.curves.items() if curve.terms]
    return sorted(found, key=lambda each: (each.subject in pairs, -each.size))


def in_short(reference: Reference) -> Mapping[str, Any]:
    """Return what dates the rows, the days they are from, and the largest curves."""
    known = curves(reference)
    return {
        "calendar": reference.calendar,
        "days": reference.days,
        "curves": [asdict(each) for each in known[:MAX_NAMED]],
        "others": max(len(known) - MAX_NAMED, 0),
    }


def _largest(subject: str, curve: Curve) -> Seasonal:
    parts = [(name, *curve.shape(name)) for name in curve.slopes]
    # of two opposite directions, which follow it equally, the first; the others are seldom ahead
    direction, week, day = max(parts, key=lambda part: np.abs(np.append(part[1], part[2])).max())
    return Seasonal(subject, direction, *(tuple(part.round(3).tolist()) for part in (week, day)))
