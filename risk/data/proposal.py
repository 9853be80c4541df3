"""A first config.json for a CSV file nobody has described yet: what each column seems to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from risk.data.dialect import Dialect, read
from risk.errors import DataError
from risk.labels import Label
from risk.numerals import with_points

TARGETS = "churn churned exited exit attrition left leave cancel canceled cancelled default \
is_canceled subscribed response target label outcome y class".split()
OBVIOUS = TARGETS.index("left")  # names before it are hardly those of a feature
POSITIVES = "1 yes true y t ja oui si sí churn churned exited left leave attrited cancelled \
canceled default positive bad".split()
NEGATIVES = "0 no false n f nein non stayed stay existing retained active negative good".split()
IDENTIFIERS = re.compile(r"(^|_)(id|identifier|no|number|nr|key|customer|client|account)s?($|_)")
MARKERS = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-", "#N/A")
ROW_NUMBER = "row_id"
MAX_CODES = 10  # whole numbers with so few values are more often codes than quantities
MAX_LEVELS = 0.2  # share of rows above which different texts are no categories
MIN_LEVELS = 50
LEAKING_AUC = 0.99
REFERENCE_ROWS, MIN_REFERENCE_ROWS = 1000, 50
OTHER_DATE = r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?"


class Named(NamedTuple):
    """The columns that the user names."""

    target: str | None = None
    identifier: str | None = None
    predictions: str | None = None
    decision: str | None = None


@dataclass(frozen=True)
class Proposal:
    """The settings proposed for a table, and why; `rows` are the table's, as text."""

    dialect: Dialect
    columns: dict[str, Any]
    model: dict[str, Any]
    rows: pd.DataFrame
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass
class _Findings:
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
        return _as_numbers(self.cells(name), self.decimal)


def propose(path: Path, **names: str | None) -> Proposal:
    """Look at a CSV file and propose its settings; raise DataError if it cannot be used."""
    named = Named(**names)
    dialect, text = read(path)
    found = _Findings(text, dialect.decimal)
    for option, name in named._asdict().items():
        is_later = option == "target" and named.predictions  # labels may come in other files
        if name is not None and name not in text and not is_later:
            raise DataError(f"--{option}: {path.name} has no column {name!r}; it has {list(text)}")
    elsewhere = [name for name in (named.predictions, named.decision) if name]
    label = named.target or _target(found, besides=elsewhere)
    negative, positive = _labels(found, label if label in text else named.decision)
    known = _identifier(found, label, named.identifier)
    taken = {label, known, *elsewhere}
    roles = _roles(found, [name for name in found.names if name not in taken])
    model = _model(found, named) if named.predictions else {}
    is_positive = found.text[label] == positive if label in text else pd.Series(False, text.index)
    for name in _leaks(found, roles, is_positive) if is_positive.any() else ():
        found.doubts.append(
            f"{name} alone predicts {label} almost perfectly (AUC above {LEAKING_AUC}): it is "
            "probably known only afterwards, so the model does not use it. If it is known in "
            "time, move it from `other` to the features."
        )
        roles[name] = "other"
    if known not in text:
        found.text.insert(0, known, [f"{path.stem}-{n}" for n in range(1, len(text) + 1)])
    of_role = {
        role: [name for name, own in roles.items() if own == role]
        for role in ("numeric", "categorical", "other", "event_time")
    }
    times = of_role.pop("event_time")
    of_role["other"] += times[1:]
    markers = sorted(set(MARKERS) & set(np.unique(text.to_numpy())))
    columns = {
        "identifier": known,
        "target": label,
        "positive_label": _label(positive),
        "negative_label": _label(negative),
        "event_time": times[0] if times else None,
        "missing_markers": markers,
        **of_role,
    }
    if model:
        columns |= {"probability": named.predictions, "decision": named.decision}
    if not (of_role["numeric"] or of_role["categorical"]):
        raise DataError(f"{path.name}: no column can serve as a feature")
    return Proposal(dialect, columns, model, found.text, tuple(found.notes), tuple(found.doubts))


def _as_numbers(cells: pd.Series[Any], decimal: str) -> pd.Series[Any]:
    return pd.to_numeric(with_points(cells, decimal), errors="coerce")


def _model(found: _Findings, named: Named) -> dict[str, Any]:
    """Describe the model elsewhere by its predictions."""
    numbers = found.numbers(str(named.predictions))
    if not numbers.between(0, 1).all():
        raise DataError(f"--predictions: {named.predictions} has values that are no probabilities")
    own: dict[str, Any] = {"source": "predictions", "threshold": None}
    own["reference_rows"] = max(min(REFERENCE_ROWS, len(found.text)), MIN_REFERENCE_ROWS)
    found.notes.append(f"{named.predictions}: probability that a model elsewhere predicted")
    if named.decision:
        found.notes.append(f"{named.decision}: its decision, from which its threshold is found")
    else:
        own["threshold"] = 0.5
        found.doubts.append("the threshold is a guess: 0.5; set model.threshold, or use --decision")
    return own


def _target(found: _Findings, *, besides: Sequence[str] = ()) -> str:
    """Choose a column of two values; by its name, or else the last one."""
    names = [name for name in found.names if name not in besides]
    binary = [name for name in names if found.cells(name).nunique() == 2]
    if not binary:
        later = "; name that of later labels with --target" if besides else ""
        raise DataError(f"no column has exactly two values, so none can be the target{later}")
    rank = {name: place for place, name in enumerate(TARGETS)}
    named = [
        (rank[word], name)
        for name in binary
        for word in {name.lower(), *re.split(r"[^a-z]+", name.lower())} & rank.keys()
    ]
    chosen = min(named)[1] if named else binary[-1]
    found.notes.append(f"target: {chosen}, {'by its name' if named else 'the last of two values'}")
    is_obvious = named and (min(named)[0] < OBVIOUS or len({name for _, name in named}) == 1)
    if not is_obvious:
        found.doubts.append(
            f"the target is a guess: {chosen}; other columns of two values: "
            f"{', '.join(name for name in binary if name != chosen) or 'none'} (use --target)"
        )
    return chosen


def _labels(found: _Findings, target: str | None) -> tuple[str, str]:
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
    return bool({label.lower(), *re.split(r"[^a-z0-9]+", label.lower())} & set(words))


def _identifier(found: _Findings, target: str, named: str | None) -> str:
    text = found.text
    unique = [name for name in found.names if name != target and _is_unique(text[name])]
    if named is not None:
        if named not in unique:
            found.doubts.append(f"{named} repeats: late labels need it to name one row each")
        return named
    words = [name for name in unique if IDENTIFIERS.search(_snake(name))]
    texts = [name for name in unique if found.numbers(name).isna().any()]
    if chosen := next(iter([*words, *texts]), None):
        found.notes.append(f"identifier: {chosen}, which differs in every row")
        return chosen
    found.doubts.append(
        f"no column identifies rows, so {ROW_NUMBER} was added to these rows, numbered by line; "
        "later files need such a column too"
    )
    return ROW_NUMBER


def _is_unique(cells: pd.Series[Any]) -> bool:
    return bool((cells != "").all() and cells.is_unique)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()


def _roles(found: _Findings, names: Sequence[str]) -> dict[str, str]:
    return {name: _role(found, name) for name in names}


def _role(found: _Findings, name: str) -> str:
    """Say what a column serves as, and note why."""
    cells, notes = found.cells(name), found.notes
    levels = cells.nunique()
    if levels < 2:
        notes.append(f"{name}: not used, it has {'one value' if levels else 'no value'} only")
        return "other"
    numbers = found.numbers(name)
    if numbers.notna().all():
        whole = bool((numbers == numbers.round()).all())
        if whole and IDENTIFIERS.search(_snake(name)) and levels > 0.95 * len(cells):
            notes.append(f"{name}: not used, it seems to be an identifier")
            return "other"
        if whole and levels <= MAX_CODES and cells.str.isdecimal().all():
            notes.append(f"{name}: category of the codes {', '.join(sorted(set(cells)))}")
            return "categorical"
        notes.append(f"{name}: number from {numbers.min():g} to {numbers.max():g}")
        return "numeric"
    if cells.str.match(r"\d{4}-\d{2}-\d{2}").all():
        times = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
        if times.notna().all() and len(cells) == len(found.text):
            notes.append(f"{name}: time from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}")
            return "event_time"
    if cells.str.fullmatch(OTHER_DATE).all():
        found.doubts.append(
            f"{name} has dates like {cells.iloc[0]}: a time must be ISO 8601, such as 2026-12-31"
        )
        return "other"
    if levels > max(MIN_LEVELS, MAX_LEVELS * len(cells)):
        notes.append(f"{name}: not used, free text or an identifier ({levels:,} different values)")
        return "other"
    if (share := numbers.notna().mean()) > 0.5:
        odd = ", ".join(sorted(set(cells[numbers.isna()]))[:3])
        found.doubts.append(f"{name} has categories: {share:.0%} are numbers, but not {odd}")
    notes.append(f"{name}: category of {levels:,} values")
    return "categorical"


def _leaks(found: _Findings, roles: dict[str, str], positive: pd.Series[bool]) -> list[str]:
    """Return the features that predict the target alone."""
    leaking = []
    for name, role in roles.items():
        if role == "numeric":
            score = found.numbers(name).reindex(positive.index)
            score = score.fillna(score.median())
        elif role == "categorical":
            score = positive.groupby(found.text[name]).transform("mean")
        else:
            continue
        if max(auc := _auc(score, positive), 1 - auc) > LEAKING_AUC:
            leaking.append(name)
    return leaking


def _auc(score: pd.Series[Any], positive: pd.Series[bool]) -> float:
    ranks, n = score.rank().to_numpy(), int(positive.sum())
    others = len(positive) - n
    return float((ranks[positive].sum() - n * (n + 1) / 2) / max(n * others, 1))


def _label(text: str) -> Label:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
