"""Which columns arrive damaged, so that no model is trained on them unseen.

The world moves many columns a little; a feed that broke moves a column all the way: its values are
missing, all the same, beyond all that was known, or known ones in another spelling. Columns that
did so of old, such as an index or the month, are not suspected when they do it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from risk.lazily import pandas as pd
from risk.ledger.findings import BESIDE_A_FAULT
from risk.models.dating import INGESTION, LABELLED_BY
from risk.monitoring.findings import CONSTANT, UNSEEN, Finding
from risk.monitoring.known_values import ENOUGH_FOR_A_RANGE, MIN_ROWS, MOSTLY, Known
from risk.monitoring.profile import Column
from risk.monitoring.reference import Reference

LABELS = "(labels)"
MAX_SPELLINGS = 3


def check_constants(
    reference: Reference, rows: pd.DataFrame, features: Sequence[str], limit: float
) -> list[Finding]:
    """Name features that have one single value in all new rows; an alarm where that surprises.

    It does not where a column often had one value in a batch, and another in the next, unless that
    value is missing.
    """
    found = []
    for name in features:
        if len(rows) < 2 or rows[name].nunique(dropna=False) != 1:
            continue
        cell = int(_column(reference, name).codes(rows[name].iloc[:1])[0])
        value = rows[name].iloc[0]
        plain = None if pd.isna(value) else value if isinstance(value, str) else float(value)
        chance = _chance(reference.profile.counts[name], cell, len(rows))
        constant = _constant(name, plain, chance, n=len(rows), limit=limit)
        usual = _known(reference, name).in_blocks and plain is not None
        found.append(replace(constant, drift_detected=False) if usual else constant)
    surprising = [finding for finding in found if finding.drift_detected]
    if len(surprising) > 1:  # several at once are how the rows were drawn, not one broken column
        return [replace(finding, drift_detected=False) for finding in found]
    return found


def check_labels(
    reference: Reference, labels: pd.DataFrame, classes: tuple[Any, Any], limit: float
) -> list[Finding]:
    """Find drops whose labels are all of one class, where the reference has both.

    `labels` has y_true and the ingestion that brought it; `classes` are the negative and the
    positive label. Such labels are as likely ones that were not known yet when they were written.
    """
    counts = reference.profile.counts[reference.target]
    if not all(counts):
        return []
    found = []
    for part in _drops(labels, LABELLED_BY):
        if len(part) >= 2 and part["y_true"].nunique() == 1:
            label = int(part["y_true"].iloc[0])
            value = classes[label] if isinstance(classes[label], str) else float(classes[label])
            chance = _chance(counts, label, len(part))
            found.append(_constant(LABELS, value, chance, n=len(part), limit=limit))
    alarms = [finding for finding in found if finding.drift_detected]
    return alarms[:1]  # the first is of all drops together, and of several one is enough


def suspected(
    found: Sequence[Finding], rows: pd.DataFrame, reference: Reference, features: Sequence[str]
) -> list[Finding]:
    """Call alarms about features faults of the feed where they are none of the world's doing.

    In rows that have such a fault, whatever else moved far is suspected with it: one broken export
    seldom damages one column only, and a person who looks should hear of all.
    """
    known = set(features)
    named = [
        _named(each, rows, reference) if each.drift_detected and each.feature in known else each
        for each in found
    ]
    if not any(each.is_broken_feed for each in named):
        return named
    return [
        _beside(each)
        if each.drift_detected
        and each.feature in known
        and each.severity == "large"
        and not each.is_broken_feed
        else each
        for each in named
    ]


def _beside(found: Finding) -> Finding:
    """Suspect a finding only because of a fault of another column in the same rows."""
    facts = {**found.facts, BESIDE_A_FAULT: True}
    return replace(found, check_name="data_quality", facts=facts)


def known_spellings(column: Column, values: pd.Series[Any]) -> dict[str, str]:
    """Map unseen levels to the level they are in another spelling, where that is evident.

    Spellings differ in case, in blanks, or in how a number is written: 1, 1.0, 01. A level that
    two known ones could be is left out.
    """
    levels: dict[str, str | None] = {}
    for level in (*column.levels, *column.rare):
        key = _spelling(level)
        levels[key] = None if key in levels else level
    found = {value: levels.get(_spelling(value)) for value in values.unique()}
    return {value: level for value, level in found.items() if level is not None}


def _named(found: Finding, rows: pd.DataFrame, reference: Reference) -> Finding:
    """Name a feature's alarm a fault where its values are beyond what was known."""
    if not len(rows):
        return found
    column = _column(reference, str(found.feature))
    if column.edges is None:
        return _unseen(found, column, rows, reference)
    return _as_fault(found) if _is_far(column, rows, reference) else found


def _unseen(found: Finding, column: Column, rows: pd.DataFrame, reference: Reference) -> Finding:
    values = rows[column.name]
    unseen = values[column.codes(values) == column.size - 2]
    spellings = known_spellings(column, unseen)
    is_evident = len(unseen) > 0 and unseen.isin(list(spellings)).mean() >= MOSTLY
    if not is_evident and not _is_far(column, rows, reference):
        return found
    commonest = unseen[unseen.isin(list(spellings))].value_counts().index[:MAX_SPELLINGS]
    facts = {"spellings": {value: spellings[value] for value in commonest}} if is_evident else {}
    return replace(
        _as_fault(found),
        direction=UNSEEN,
        value_before=0.0,
        value_after=_share_beyond(column, values, Known()),
        n=int(values.notna().sum()),
        facts=facts,
    )


def _as_fault(found: Finding) -> Finding:
    return replace(found, check_name="data_quality")


def _is_far(column: Column, rows: pd.DataFrame, reference: Reference) -> bool:
    """Whether most rows, or most of a drop, lie beyond all that was known, as they never did."""
    known = _known(reference, column.name)
    if known.roams or reference.profile.n < ENOUGH_FOR_A_RANGE:
        return False
    return any(_share_beyond(column, part[column.name], known) >= MOSTLY for part in _drops(rows))


def _share_beyond(column: Column, values: pd.Series[Any], known: Known) -> float:
    """Return the share of values that neither the reference nor what is `known` has anything like.

    Missing ones aside.
    """
    codes = column.codes(values)
    is_beyond = codes == column.size - 2
    if column.edges is not None:
        is_beyond |= codes == 0
    is_there = codes != column.size - 1
    return float((is_beyond & ~known.has(values))[is_there].mean()) if is_there.any() else 0.0


def _known(reference: Reference, name: str) -> Known:
    """Return what sound rows had in a feature; nothing if the release does not say."""
    return reference.known.get(name, Known())


def _drops(rows: pd.DataFrame, brought_by: str = INGESTION) -> Iterator[pd.DataFrame]:
    """Yield all rows together, then each drop that is large enough to be judged alone."""
    yield rows
    if brought_by in rows:
        for _, part in rows.groupby(brought_by, sort=True):
            if MIN_ROWS <= len(part) < len(rows):
                yield part


def _chance(counts: Sequence[int], cell: int, n: int) -> float:
    """Return the chance that `n` rows are all in the cell the first is in.

    One more reference row is counted in it, so that a value never seen is not impossible.
    """
    return float(((counts[cell] + 1) / (sum(counts) + 1)) ** (n - 1))


def _constant(
    name: str, value: float | str | None, p_value: float, *, n: int, limit: float
) -> Finding:
    facts: Mapping[str, Any] = {"value": value}
    return Finding(
        check_name="data_quality",
        feature=name,
        method=CONSTANT,
        drift_detected=p_value <= limit,
        n=n,
        direction=CONSTANT,
        facts=facts,
        p_value=p_value,
        threshold=limit,
    )


def _column(reference: Reference, name: str) -> Column:
    return next(column for column in reference.columns if column.name == name)


def _spelling(level: str) -> str:
    text = " ".join(level.split()).casefold()
    try:
        return repr(float(text))
    except ValueError:
        return text
