"""Changes planted into stored counts: what a batch would have counted had its rows been changed.

Rows are not kept, but a sample of the training rows is. It tells into which cell a changed row
moves from each cell it may be in, for the column itself, for its pairs and for the predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import GROUPS, Profile, groups
from risk.monitoring.reference import LABELLED, PREDICTION, Reference, name_of_pair

Kind = Literal[
    "shift",
    "spread",
    "scale",
    "missing",
    "unseen",
    "vanished",
    "unrelated",
    "errors",
    "late_errors",
]
Floats = NDArray[np.float64]
Values: TypeAlias = "pd.Series[Any]"
SHIFTS, SPREAD, SCALE = (0.1, 0.25, 0.5), 1.5, 100.0
MISSING, UNSEEN, ERRORS = (0.05, 0.2, 1.0), (0.05, 0.2), (0.02, 0.04, 0.08)
NO_DELAY, LABELS_LATE = timedelta(), timedelta(days=30)
NEVER_SEEN = "\N{SYMBOL FOR NULL}"
MIN_CORRELATION = 0.3  # of a pair worth losing
GOLDEN = (np.sqrt(5) - 1) / 2  # its multiples are spread evenly over the unit interval


@dataclass(frozen=True)
class Planted:
    """A change of one subject by `size`, and the counts of a batch that has it.

    For so long as the `delay` the batches are as before: the labels of changed rows have not come.
    """

    subject: str
    kind: Kind
    size: float
    apply: Callable[[Profile], Profile]
    delay: timedelta = NO_DELAY


def changes(release: MonitoredRelease) -> list[Planted]:
    """Return the changes to plant: of each feature, of correlated pairs, and of the error."""
    reference, found = release.reference, []
    predicted = pd.Series(release.champion.predict_proba(release.sample))
    for column in reference.columns:
        if column.name not in release.sample:
            continue
        values = release.sample[column.name]
        alter = _of_numbers(values) if column.edges is not None else _of_categories(values)
        alter |= {("missing", share): (share, _emptied) for share in MISSING}
        for (kind, size), (share, altered) in alter.items():
            moves = partial(_moves, release, predicted, column.name, altered, share)
            found.append(Planted(column.name, kind, size, _moving(moves)))
    found += [
        Planted(name_of_pair(pair), "unrelated", 1.0, _separating(name_of_pair(pair)))
        for pair in reference.pairs
        if abs(_correlation(reference, pair)) >= MIN_CORRELATION
    ]
    if any(reference.profile.counts[LABELLED]):
        erring = {more: _erring(reference, more) for more in ERRORS}
        found += [Planted(LABELLED, "errors", more, turn) for more, turn in erring.items()]
        found += [
            Planted(LABELLED, "late_errors", more, turn, LABELS_LATE)
            for more, turn in erring.items()
        ]
    return found


Alter = Callable[[Values], Values]
Alterations = dict[tuple[Kind, float], tuple[float, Alter]]  # of which share of the rows, and how


def _of_numbers(values: Values) -> Alterations:
    mean, spread = values.mean(), values.std()
    if not spread > 0:
        return {}
    keep = _whole if (values.dropna() % 1 == 0).all() else _unchanged
    shifts: Alterations = {
        ("shift", size): (1.0, partial(_scaled, keep=keep, by=1.0, to=mean + size * spread))
        for size in SHIFTS
    }
    return shifts | {
        ("spread", SPREAD): (1.0, partial(_scaled, keep=keep, by=SPREAD, to=mean)),
        ("scale", SCALE): (1.0, lambda v: v * SCALE),
    }


def _scaled(values: Values, *, keep: Alter, by: float, to: float) -> Values:
    """Move the mean of values, and spread them around it."""
    return keep(to + by * (values - values.mean()))


def _unchanged(values: Values) -> Values:
    return values


def _whole(values: Values) -> Values:
    """Round up or down at such a rate that the mean stays: whole numbers remain whole."""
    turns = np.arange(len(values)) * GOLDEN % 1
    whole: Values = np.floor(values + turns)
    return whole


def _of_categories(values: Values) -> Alterations:
    unseen: Alterations = {
        ("unseen", share): (share, lambda v: v.where(v.isna(), NEVER_SEEN)) for share in UNSEEN
    }
    levels = values.value_counts()
    if len(levels) < 2:
        return unseen
    gone, others = levels.index[0], levels.index[1:]
    # whoever had the level has another, as often as the others have them
    drawn = np.repeat(others, levels.iloc[1:].to_numpy())

    def replaced(v: Values) -> Values:
        rows = np.flatnonzero((v == gone).to_numpy())
        altered = v.copy()
        turns = np.arange(len(rows)) * GOLDEN % 1
        altered.iloc[rows] = drawn[(turns * len(drawn)).astype(int)]
        return altered

    return unseen | {("vanished", float(levels.iloc[0] / levels.sum())): (1.0, replaced)}


def _emptied(values: Values) -> Values:
    return values.where(pd.Series(False, index=values.index))


def _moves(
    release: MonitoredRelease, predicted: Values, name: str, alter: Alter, share: float
) -> dict[str, Floats]:
    """Return, for each subject concerned, the share of each cell's rows that moves to another.

    `predicted` are the predictions of the sample as it is.
    """
    reference, sample = release.reference, release.sample
    altered = sample.assign(**{name: alter(sample[name])})
    columns = {column.name: column for column in reference.columns}
    moves = {}
    for subject, before, after in (
        (name, sample[name], altered[name]),
        (PREDICTION, predicted, pd.Series(release.champion.predict_proba(altered))),
    ):
        column = columns[subject]
        moves[subject] = _transition(
            column.codes(before), column.codes(after), column.size, share=share
        )
    for pair in reference.pairs:
        if name in pair:
            joined = groups(reference.profile.counts[name])
            first, then = (joined[columns[name].codes(rows[name])] for rows in (sample, altered))
            one = _transition(first, then, GROUPS + 1, share=share)
            moves[name_of_pair(pair)] = _of_pair(one, is_first=pair[0] == name)
    return moves


def _transition(before: Any, after: Any, size: int, *, share: float) -> Floats:
    """Return the share of the rows of each cell (row) that are then in each cell (column)."""
    moved = np.zeros((size, size))
    np.add.at(moved, (before, after), 1.0)
    total = moved.sum(axis=1, keepdims=True)
    moved = np.where(total > 0, moved / np.maximum(total, 1), np.eye(size))
    return share * moved + (1 - share) * np.eye(size)


def _of_pair(one: Floats, *, is_first: bool) -> Floats:
    """Return the moves between the cells of a pair, of which one column moves."""
    inner, lost = one[:-1, :-1], one[:-1, -1]  # (GROUPS, GROUPS), and what becomes missing
    stays = np.eye(GROUPS)
    both = np.kron(inner, stays) if is_first else np.kron(stays, inner)
    gone = np.repeat(lost, GROUPS) if is_first else np.tile(lost, GROUPS)
    moved = np.zeros((GROUPS**2 + 1, GROUPS**2 + 1))
    moved[:-1, :-1], moved[:-1, -1], moved[-1, -1] = both, gone, 1.0
    return moved


def _moving(moves: Callable[[], dict[str, Floats]]) -> Callable[[Profile], Profile]:
    """Move the rows of a batch; how is found out when it is first needed."""
    known = cache(moves)

    def apply(batch: Profile) -> Profile:
        return _only(batch, {s: np.array(batch.counts[s]) @ m for s, m in known().items()})

    return apply


def _separating(pair: str) -> Callable[[Profile], Profile]:
    def apply(batch: Profile) -> Profile:
        counts = np.array(batch.counts[pair], np.float64)
        joint = counts[:-1].reshape(GROUPS, GROUPS)
        apart = np.outer(joint.sum(axis=1), joint.sum(axis=0)) / max(joint.sum(), 1)
        return _only(batch, {pair: np.append(apart.ravel(), counts[-1])})

    return apply


def _erring(reference: Reference, more: float) -> Callable[[Profile], Profile]:
    """Turn labels so that the share of errors grows, the base rate as little as possible."""
    prediction = next(column for column in reference.columns if column.name == PREDICTION)
    first_positive = int(prediction.codes(pd.Series([reference.threshold]))[0])
    is_positive = np.arange(prediction.size) >= first_positive

    def apply(batch: Profile) -> Profile:
        counts = np.array(batch.counts[LABELLED], np.float64).reshape(-1, 2)
        right = np.where(is_positive, counts[:, 1], counts[:, 0])
        wanted = more * counts.sum()
        among_positive = min(wanted / 2, right[is_positive].sum())
        for chosen, rows in (
            (is_positive, among_positive),
            (~is_positive, wanted - among_positive),
        ):
            turned = right * chosen * min(rows / max((right * chosen).sum(), 1), 1.0)
            sign = np.where(is_positive, -1.0, 1.0)
            counts[:, 1] += sign * turned
            counts[:, 0] -= sign * turned
        return _only(batch, {LABELLED: counts.ravel()})

    return apply


def _only(batch: Profile, counts: dict[str, Floats]) -> Profile:
    tables: dict[str, Any] = {name: tuple(rows.tolist()) for name, rows in counts.items()}
    return Profile(batch.n, tables, batch.calendar)


def _correlation(reference: Reference, pair: tuple[str, str]) -> float:
    joint = np.array(reference.profile.counts[name_of_pair(pair)][:-1], np.float64)
    shares = joint.reshape(GROUPS, GROUPS) / max(joint.sum(), 1)
    place = np.arange(GROUPS)
    means = [shares.sum(axis=1) @ place, shares.sum(axis=0) @ place]
    spreads = [
        np.sqrt(max(shares.sum(axis=axis) @ place**2 - mean**2, 1e-12))
        for axis, mean in ((1, means[0]), (0, means[1]))
    ]
    return float((place @ shares @ place - means[0] * means[1]) / (spreads[0] * spreads[1]))
