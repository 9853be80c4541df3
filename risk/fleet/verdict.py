"""The verdict on a fleet: what moved in so many models at once that its cause is their source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from risk.overrides import days_per_alarm

MIN_TOGETHER = 3  # models; two may have moved each for a reason of its own
MIN_SHARE = 0.25  # of the models that have the subject


@dataclass(frozen=True)
class Seen:
    """What one model has, its features and other subjects, and which of them moved."""

    subjects: frozenset[str]
    moved: frozenset[str]


def together(fleet: Sequence[Seen]) -> dict[str, tuple[int, int]]:
    """Return the subjects that moved in many models, the most frequent first.

    >>> same, own = (Seen(frozenset({"age", "use"}), frozenset({x})) for x in ("age", "use"))
    >>> together([same, same, same, own])
    {'age': (3, 4)}
    """
    moved = Counter(subject for model in fleet for subject in model.moved)
    known = Counter(subject for model in fleet for subject in model.subjects | model.moved)
    return {
        subject: (n, known[subject])
        for subject, n in sorted(moved.items(), key=lambda item: (-item[1], item[0]))
        if n >= max(MIN_TOGETHER, MIN_SHARE * known[subject])
    }


def budget_of_each(budget: str, models: int) -> str:
    """Return the budget of each of the models that together have this one.

    >>> budget_of_each("1 per 90 days", 20)
    '1 per 1800 days'
    """
    days = f"{days_per_alarm(budget) * models:.3f}".rstrip("0").rstrip(".")
    return f"1 per {days} days"
