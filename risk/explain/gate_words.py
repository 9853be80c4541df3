"""What the evidence of the gate says of a challenger, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk.explain import plain_words
from risk.stats.scores import is_point_worse

Row = Mapping[str, Any]


def by_luck(comparison: Row) -> str:
    """Say how often a challenger that should not pass would do as well, as a clause."""
    margin, share = comparison.get("margin"), plain_words.chance_share(comparison["e_value"])
    who = f"a model that is worse by {margin:g}" if margin else "chance alone"
    return f"{who} would do as well in {share} of all comparisons"


def evidence_of_gate(comparison: Row, needed: float) -> str:
    """Say of what there is evidence, how much, and how much is required."""
    margin = comparison.get("margin")  # None: compared before it was recorded
    what = "for the challenger" if margin is None else "that the challenger is better"
    if margin:
        what = f"that the challenger is at most {margin:g} worse"
    and_more = ", and a score that is not lower" if margin else ""
    known = plain_words.evidence(comparison["e_value"])
    return f"Evidence {what} (e-value): {known}; {needed:g} is required{and_more}."


def worse(comparison: Row, *, decimals: int = 3) -> str:
    """Say that the challenger is worse, or no better if both scores look equal."""
    now, before = (comparison[model]["value"] for model in ("challenger", "champion"))
    return plain_words.worse(now, before, decimals=decimals)


def placeholders(comparison: Row, *, decimals: int = 3) -> dict[str, str]:
    """Return what a text about a verdict may contain: how the challenger is worse."""
    return {
        "worse": worse(comparison, decimals=decimals),
        "beyond_chance": worse_beyond_chance(comparison),
    }


def worse_beyond_chance(comparison: Row) -> str:
    """Say what is beyond chance: the rows may speak against a challenger whose score is no worse.

    The evidence is about a sum over rows, which may rank models otherwise than F1, say.
    """
    now, before = (comparison[model]["value"] for model in ("challenger", "champion"))
    if is_point_worse(before, now, comparison["metric"]):
        return "is worse beyond chance"
    name = plain_words.metric(comparison["metric"])
    return f"loses more than it wins, beyond chance, although its {name} is no worse"
