"""The target of a CSV file nobody has described yet: which column, and what its labels mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import combining, normalize

import numpy as np

from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.numerals import Marks, with_points

# also as they are in other languages, without accents; the first before the last
TARGETS = "churn churned exited exit attrition cancel canceled cancelled canceling is_canceled \
cancellation subscribed churner gekundigt gekuendigt kundigung kuendigung abgewandert storniert \
resilie resiliation annule cancelado baja abandono cancelou desligado disdetta annullato opgezegd \
uppsagd opsagt irtisanottu rezygnacja nesplaci vypoved lemondta lemondas iptal nutrauke отток \
ακυρωση 解約 退会 流失 解约 해지 이탈 left \
leave depart loan_status fraud converted purchased response target label outcome y y_true truth \
actual class defaulted default".split()
OBVIOUS = TARGETS.index("left")  # names before it are hardly those of a feature
POSITIVES = (
    "1 yes true y t ja j oui o si s sim ano tak da igen evet kylla jah taip да так ναι wahr \
vrai vero verdadero verdadeiro prawda pravda はい 是 예 네 churn churned exited left leave \
attrited cancelled canceled default positive bad gekundigt gekuendigt storniert resilie".split()
)
NEGATIVES = "0 no false n f nein non nee nao nie ne nej nem nu hayır ei нет не ні οχι falsch \
faux falso falsz nepravda いいえ 否 아니오 아니요 stayed stay existing retained active negative \
good aktiv actif activo".split()
MAX_CLASSES = 5
MARKERS = (
    r"NA N/A n/a n.a. N/D n/d NaN nan NaT null NULL (null) None <NA> ? - -- — – . \N k.A. #N/A #NV "
    r"#DIV/0! #VALUE! #WERT! #REF! #NULL! #NUM!"
).split()
NONE = "none"  # said of --event-time or --predictions: there is no such column


@dataclass
class Findings:
    """What is known so far."""

    text: pd.DataFrame
    marks: Marks
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    markers: set[str] = field(default_factory=lambda: {*MARKERS})

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(map(str, self.text))

    def cells(self, name: str) -> pd.Series[Any]:
        """Return the cells of a column that are not missing."""
        cells = self.text[name]
        return cells[(cells != "") & ~cells.isin(self.markers)]

    @property
    def used_markers(self) -> list[str]:
        """The markers of missing values that occur."""
        return sorted(self.markers & {*np.unique(self.text.to_numpy())})

    def numbers(self, name: str) -> pd.Series[Any]:
        """Return the numbers of a column, NaN where a cell is none."""
        return as_numbers(self.cells(name), self.marks)


def as_numbers(cells: pd.Series[Any], marks: Marks) -> pd.Series[Any]:
    """Return the numbers that cells mean, NaN where they are none."""
    return pd.to_numeric(with_points(cells, marks), errors="coerce")


def choose(found: Findings) -> str:
    """Choose a column of two values; by its name, or else the last one that says yes or no."""
    binary = [name for name in found.names if found.cells(name).nunique() == 2]
    several = [name for name in found.names if 2 < found.cells(name).nunique() <= MAX_CLASSES]
    if (chosen := by_name(found)) is None:
        likely = OBVIOUS if binary else len(TARGETS)
        if named := [name for name in several if rank(name) < likely]:
            raise not_binary(found, named[0])
        if not binary:
            raise DataError(
                "no column has exactly two values, so none can be the target; if a model elsewhere "
                "predicts, name the column of its probabilities with --predictions"
            )
        answers = [name for name in binary if _answers(found, name)]
        chosen = (answers or binary)[-1]
        which = "last" if (answers or binary)[1:] else "only"
        why = f"the {which} column {'of yes and no' if answers else 'of two values'}"
        found.notes.append(f"target: {chosen}, {why}")
    named = [name for name in binary if is_named(name)]
    if named != [chosen] and not rank(chosen) < OBVIOUS:
        others = ", ".join(name for name in binary if name != chosen)
        rest = f"other columns of two values: {others}" if others else "no other has two values"
        found.doubts.append(f"the target is a guess: {chosen}; {rest} (use --target)")
    return chosen


def by_name(found: Findings, *, besides: Sequence[str] = (), is_later: bool = False) -> str | None:
    """Return the column of two values, or fewer if labels come later, most named like a target."""
    wanted = (0, 1, 2) if is_later else (2,)
    named = [
        (rank(name), name)
        for name in found.names
        if is_named(name) and name not in besides and found.cells(name).nunique() in wanted
    ]
    if not named:
        return None
    found.notes.append(f"target: {min(named)[1]}, by its name")
    return min(named)[1]


def is_named(name: str) -> bool:
    """Say whether a column is named like a target."""
    return rank(name) < len(TARGETS)


def rank(name: str) -> int:
    """Return the place of a name among those of targets, the number of these if it is none.

    In other alphabets than Latin it need not stand alone, as not all have blanks between words.
    """
    text = plain(name)
    words = {text, *re.split(r"[^a-z]+", text)}
    are_in = (word in words or (word in text and not word.isascii()) for word in TARGETS)
    return next((place for place, is_in in enumerate(are_in) if is_in), len(TARGETS))


def not_binary(found: Findings, name: str) -> DataError:
    """Say that a target has more labels than two, or fewer."""
    counts = found.cells(name).value_counts()
    shown = ", ".join(map(str, counts.index[:5]))
    return DataError(
        f"{name} is not binary: it has {len(counts)} values ({shown}); name a column of two values "
        "with --target"
    )


def labels(found: Findings, target: str) -> tuple[str, str]:
    """Return the negative and the positive label of a target."""
    counts = found.cells(target).value_counts()
    if len(counts) != 2:
        raise not_binary(found, target)
    commoner, rarer = map(str, counts.index)
    positive = next((own for own in (rarer, commoner) if _means(own, POSITIVES)), None)
    negative = next((own for own in (commoner, rarer) if _means(own, NEGATIVES)), None)
    if {_number(rarer), _number(commoner)} == {"1", "2"}:
        positive = negative = None  # codes of anything
    if positive is None and negative is not None:
        positive = rarer if negative == commoner else commoner
    elif positive is None:
        positive = rarer
        found.doubts.append(f"the positive label is a guess: {rarer}, the rarer of two")
    negative = commoner if positive == rarer else rarer
    share, n = counts[positive] / counts.sum(), counts.sum()
    found.notes.append(f"positive label: {positive}, in {share:.1%} of {n:,} labelled rows")
    return negative, positive


def _answers(found: Findings, name: str) -> bool:
    """Say whether both values of a column are such as yes and no."""
    return all(_means(label, [*POSITIVES, *NEGATIVES]) for label in found.cells(name).unique())


def _means(label: str, words: Sequence[str]) -> bool:
    return bool({_number(label), *re.split(r"[^a-z0-9]+", _number(label))} & set(words))


def _number(label: str) -> str:
    return re.sub(r"^(\d)\.0+$", r"\1", plain(label))


def plain(text: str) -> str:
    """Return a text in lower case without accents."""
    letters = "".join(c for c in normalize("NFKD", text.lower()) if not combining(c))
    return normalize("NFC", letters)  # syllables of Korean are letters put together


def snake(name: str) -> str:
    """Return a name in lower case without accents, its words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)))
