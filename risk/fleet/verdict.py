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
    """The columns one model has, and the subjects in which it moved: a column, a pair, a score."""

    columns: frozenset[str]
    moved: frozenset[str]


def together(fleet: Sequence[Seen]) -> dict[str, tuple[int, int]]:
    """Return the subjects that moved in many models, the most frequent first.

    Each comes with the number of models it moved in, and of those that have it. All models have
    a predicted risk and errors, and might have a pair.

    >>> same, own = (Seen(frozenset({"age", "use"}), frozenset({x})) for x in ("age", "use"))
    >>> together([same, same, same, own])
    {'age': (3, 4)}
    """
    moved = Counter(subject for model in fleet for subject in model.moved)
    known = Counter(column for model in fleet for column in model.columns)
    everyone = sum(bool(model.columns) for model in fleet)
    found = {subject: (n, known.get(subject, everyone)) for subject, n in moved.items()}
    return {
        subject: (n, of)
        for subject, (n, of) in sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
        if n >= max(MIN_TOGETHER, MIN_SHARE * of)
    }


def budget_of_each(budget: str, models: int) -> str:
    """Return the budget of each of the models that together have this one.

    >>> budget_of_each("1 per 90 days", 20)
    '1 per 1800 days'
    """
    days = f"{days_per_alarm(budget) * models:.3f}".rstrip("0").rstrip(".")
    return f"1 per {days} days"
