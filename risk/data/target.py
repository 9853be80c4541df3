"""The target of a CSV file nobody has described yet: which column, and what its labels mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import combining, normalize

import pandas as pd

from risk.errors import DataError
from risk.numerals import with_points

# also as they are in other languages, without accents
TARGETS = "churn churned exited exit attrition cancel canceled cancelled canceling default \
is_canceled subscribed churner gekundigt gekuendigt kundigung kuendigung abgewandert storniert \
resilie resiliation annule cancelado baja abandono disdetta annullato opgezegd left leave response \
target label outcome y class".split()
OBVIOUS = TARGETS.index("left")  # names before it are hardly those of a feature
POSITIVES = "1 yes true y t ja j oui o si s sim ano tak churn churned exited left leave attrited \
cancelled canceled default positive bad gekundigt gekuendigt storniert resilie".split()
NEGATIVES = "0 no false n f nein non nee nao nie ne stayed stay existing retained active negative \
good aktiv actif activo".split()
MARKERS = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-", "#N/A")


@dataclass
class Findings:
    """What is known so far."""

    text: pd.DataFrame
    decimal: str
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(map(str, self.text))

    def cells(self, name: str) -> pd.Series[Any]:
        """Return the cells of a column that are not missing."""
        cells = self.text[name]
        return cells[(cells != "") & ~cells.isin(MARKERS)]

    def numbers(self, name: str) -> pd.Series[Any]:
        """Return the numbers of a column, NaN where a cell is none."""
        return as_numbers(self.cells(name), self.decimal)


def as_numbers(cells: pd.Series[Any], decimal: str) -> pd.Series[Any]:
    """Return the numbers that cells mean, NaN where they are none."""
    return pd.to_numeric(with_points(cells, decimal), errors="coerce")


def choose(found: Findings, *, besides: Sequence[str] = (), decision: str | None = None) -> str:
    """Choose a column of two values; by its name, or else the last one.

    A column of decisions of a model has the values of the target.
    """
    names = [name for name in found.names if name not in besides]
    binary = [name for name in names if found.cells(name).nunique() == 2]
    if decision:
        decided = {*found.cells(decision)}
        binary = [name for name in binary if {*found.cells(name)} == decided]
    if not binary:
        later = "; name that of later labels with --target" if besides else ""
        raise DataError(f"no column has exactly two values, so none can be the target{later}")
    rank = {name: place for place, name in enumerate(TARGETS)}
    named = [
        (rank[word], name)
        for name in binary
        for word in {_plain(name), *re.split(r"[^a-z]+", _plain(name))} & rank.keys()
    ]
    chosen = min(named)[1] if named else binary[-1]
    others = ", ".join(name for name in binary if name != chosen)
    why = "the last column of two values" if others else "the only column of two values"
    found.notes.append(f"target: {chosen}, {'by its name' if named else why}")
    is_obvious = named and (min(named)[0] < OBVIOUS or len({name for _, name in named}) == 1)
    if not is_obvious:
        rest = f"other columns of two values: {others}" if others else "no other has two values"
        found.doubts.append(f"the target is a guess: {chosen}; {rest} (use --target)")
    return chosen


def labels(found: Findings, target: str | None) -> tuple[str, str]:
    """Return the negative and the positive label of a target."""
    if target is None:
        found.doubts.append("the labels are a guess, 0 and 1: no column has any yet")
        return "0", "1"
    counts = found.cells(target).value_counts()
    if len(counts) != 2:
        shown = ", ".join(map(str, counts.index[:5]))
        raise DataError(
            f"{target} is not binary: it has {len(counts)} values ({shown}); name a column of two "
            "values with --target"
        )
    commoner, rarer = map(str, counts.index)
    positive = next((own for own in (rarer, commoner) if _means(own, POSITIVES)), None)
    negative = next((own for own in (commoner, rarer) if _means(own, NEGATIVES)), None)
    if positive is None and negative is not None:
        positive = rarer if negative == commoner else commoner
    elif positive is None:
        positive = rarer
        found.doubts.append(f"the positive label is a guess: {rarer}, the rarer of two")
    negative = commoner if positive == rarer else rarer
    share, n = counts[positive] / counts.sum(), counts.sum()
    found.notes.append(f"positive label: {positive}, in {share:.1%} of {n:,} labelled rows")
    return negative, positive


def _means(label: str, words: Sequence[str]) -> bool:
    plain = re.sub(r"^([01])\.0+$", r"\1", _plain(label))
    return bool({plain, *re.split(r"[^a-z0-9]+", plain)} & set(words))


def _plain(text: str) -> str:
    """Return a text in lower case without accents."""
    return "".join(c for c in normalize("NFKD", text.lower()) if not combining(c))
