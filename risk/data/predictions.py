"""The predictions of a model elsewhere in a CSV file nobody has described yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from risk.data import target
from risk.data.target import NONE, Findings, snake
from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.stats.threshold import lowest_cost

LATER = "label"  # the column of labels to come
REFERENCE_ROWS, MIN_REFERENCE_ROWS = 1000, 50
MIN_AGREEMENT = 0.95  # of decisions with a threshold
PROBABILITIES = re.compile(
    r"(.*_)?(p|proba?|probas|probabilit(y|e|a)|probabilidad|wahrscheinlichkeit|propensity)(_.*)?"
    r"|((y|y_pred|model|churn|default|risk|predicted|prediction)_)?(score|risk|risiko)"
    r"|y_hat|predictions?"
)
PREDICTED = re.compile(
    r"(.*_)?(decisions?|predicted|predictions?|pred|flag|flagged|alert|prognose|vorhersage)(_.*)?"
)


@dataclass(frozen=True)
class Watched:
    """The columns with what a model elsewhere predicted."""

    probability: str
    decision: str | None

    @property
    def names(self) -> list[str]:
        """The columns that are there."""
        return [name for name in (self.probability, self.decision) if name]


def find(found: Findings, named: str | None, decision: str | None) -> Watched | None:
    """Return the columns that are named, or else found by their names and values."""
    if named == NONE:
        return None
    fit = [name for name in found.names if PROBABILITIES.fullmatch(snake(name))]
    chosen = named or next((name for name in fit[::-1] if _are_probabilities(found, name)), None)
    if chosen is None:
        return None
    if not found.numbers(chosen).between(0, 1).all():
        raise DataError(f"--predictions: {chosen} has values that are no probabilities")
    found.notes.append(f"{chosen}: probability that a model elsewhere predicted")
    if not named:
        found.doubts.append(
            f"that a model elsewhere predicted {chosen} is a guess: it is watched and nothing is "
            f"trained here (--predictions COLUMN, or {NONE} to train a model)"
        )
    return Watched(chosen, decision or _decision(found, chosen))


def settings(found: Findings, watched: Watched) -> dict[str, Any]:
    """Describe the model elsewhere."""
    n_reference = max(min(REFERENCE_ROWS, len(found.text)), MIN_REFERENCE_ROWS)
    own = {"source": "predictions", "threshold": None, "reference_rows": n_reference}
    if watched.decision:
        found.notes.append(f"{watched.decision}: its decision, from which its threshold is found")
        if n_undecided := len(found.text) - len(found.cells(watched.decision)):
            found.doubts.append(
                f"{watched.decision}: rows without a decision are refused, {n_undecided} of these"
            )
        return own
    found.doubts.append("the threshold is a guess: 0.5; set model.threshold, or use --decision")
    return own | {"threshold": 0.5}


def labels(found: Findings, watched: Watched, named: str | None) -> tuple[str, str, str]:
    """Return the column of the labels, the negative and the positive label.

    The labels may come later, in this column or in another file. The positive one has the higher
    predicted probability.
    """
    besides = [name for name in found.names if PREDICTED.fullmatch(snake(name))]
    label = named or target.by_name(found, besides=[*watched.names, *besides], is_later=True)
    if label is None:
        label = LATER if LATER not in found.names else f"true_{LATER}"
        found.doubts.append(
            f"no column seems to have labels (--target, if one does): they can come later, in a "
            f"file with the identifier and {label}"
        )
    numbers = found.numbers(watched.probability)
    for name in (label, watched.decision):
        if name is None or name not in found.names or found.cells(name).nunique() != 2:
            continue
        means = numbers.groupby(found.cells(name)).mean().sort_values()
        negative, positive = map(str, means.index)
        share = found.cells(name).eq(positive).mean()
        found.notes.append(f"positive label: {positive}, in {share:.1%} of the values of {name}")
        return label, negative, positive
    if label in found.names and found.cells(label).nunique() > 2:
        raise target.not_binary(found, label)
    found.doubts.append("the labels are a guess, 0 and 1: no column has both yet")
    return label, "0", "1"


def _are_probabilities(found: Findings, name: str) -> bool:
    numbers = found.numbers(name)
    return bool(numbers.between(0, 1).all() and numbers.nunique() > 2)


def _decision(found: Findings, probability: str) -> str | None:
    """Return a column of two values that a threshold of the probability separates.

    A column named like a decision may overlap, as a run allows: by rounding, or where people
    decided otherwise.
    """
    numbers = found.numbers(probability)
    for name in found.names:
        is_decision = bool(PREDICTED.fullmatch(snake(name)))
        cells = found.cells(name)
        if cells.nunique() != 2 or (target.is_named(name) and not is_decision):
            continue
        if _agreement(numbers, cells) >= (MIN_AGREEMENT if is_decision else 1):
            return name
    return None


def _agreement(numbers: pd.Series[Any], cells: pd.Series[Any]) -> float:
    """Return the share of cells that the best threshold of a probability tells."""
    both = numbers.index.intersection(cells.index)  # a row without a decision says nothing
    numbers, cells = numbers[both], cells[both]
    means = numbers.groupby(cells).mean()
    if len(means) < 2:
        return 0.0
    decided = cells == means.idxmax()
    threshold = lowest_cost(decided.astype(int), numbers, cost=(0, 1, 1, 0))
    return float((decided == (numbers >= threshold)).mean())
