"""Where a change began: the row from which on rows are unlike the reference, also within a drop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import Codes
from risk.monitoring.reference import DERIVED, LABELLED, PREDICTION, Reference

Floats = NDArray[np.float64]
ROUNDS = 10
FIRST_GUESSES = (0.1, 0.5, 0.9)
PRIOR_ROWS = 20  # of the reference, mixed into the rows after the change, so that few prove little
# Rows before the change in a reference raise the alarm again, missing some after it costs little.
# So the change is dated late: to where the rows before would be less likely by a factor of 20.
CAUTION = np.log(20)
# Of an interval, simulated: so many rows have the first one after the change in 95 % of all draws.
DOUBT = np.log(100)


def position(
    monitored: MonitoredRelease, rows: pd.DataFrame, subjects: Sequence[str]
) -> int | None:
    """Return the place of the first row after the change, None if the subjects cannot say.

    `rows` are those since the release, in the order of their dates.
    """
    codes, counts = _cells(monitored, rows, subjects)
    return begin(codes, counts) if codes else None


def interval(
    monitored: MonitoredRelease, rows: pd.DataFrame, subjects: Sequence[str]
) -> tuple[int, int, int] | None:
    """Return the likeliest first row after the change between the first and last that may be it.

    A row may be it if that is less likely by a factor of 100 at most. None if the subjects cannot
    say.
    """
    codes, counts = _cells(monitored, rows, subjects)
    return bounds(codes, counts) if codes else None


def bounds(
    codes: Sequence[Codes], reference: Sequence[Sequence[float] | Floats]
) -> tuple[int, int, int] | None:
    """Return the first, the likeliest and the last row with which the change may have begun."""
    known = np.flatnonzero((np.array(codes) >= 0).any(axis=0))
    if not len(known):
        return None
    guess, ratios = _likeliest([each[known] for each in codes], reference)
    likely = known[np.flatnonzero(ratios[:-1] <= ratios[guess] + DOUBT)]
    return int(likely[0]), int(known[guess]), int(likely[-1])


def begin(codes: Sequence[Codes], reference: Sequence[Sequence[float] | Floats]) -> int | None:
    """Return the row from which on rows come from other distributions than the reference.

    `codes` are the cells of each subject's rows in order, -1 where unknown, `reference` its counts.
    The likelihood ratio of what came after the change adds up over subjects; where its sum from a
    row to the end is largest, the change began. What came after is estimated from the rows after
    the last guess, until that stays; of several first guesses the likeliest end is taken.
    """
    known = np.flatnonzero((np.array(codes) >= 0).any(axis=0))
    if not len(known):
        return None
    guess, ratios = _likeliest([each[known] for each in codes], reference)
    within = np.flatnonzero(ratios[guess:-1] <= ratios[guess] + CAUTION)
    # up to the first row that is certain: later ones may look usual by chance again
    certain = np.flatnonzero(np.diff(within) > 1)
    return int(known[guess + within[certain[0] if len(certain) else -1]])


def _cells(
    monitored: MonitoredRelease, rows: pd.DataFrame, subjects: Sequence[str]
) -> tuple[list[Codes], list[Floats]]:
    """Return the cells of the rows and the counts of the reference, of each subject that has any.

    What is derived from the features counts only where no feature is among the subjects.
    """
    features = [name for name in subjects if name not in DERIVED]
    codes, counts = [], []
    frame = monitored.frame(rows, monitored.predictions(rows)) if len(rows) else rows
    for subject in features or subjects:
        if len(rows) and (known := _codes(monitored.reference, frame, subject)) is not None:
            codes.append(known)
            counts.append(np.array(monitored.reference.profile.counts[subject], float))
    return codes, counts


def _likeliest(
    cells: Sequence[Codes], reference: Sequence[Sequence[float] | Floats]
) -> tuple[int, Floats]:
    """Return the likeliest place of the change, and the sums of ratios up to each place."""
    counts = [np.asarray(each, float) for each in reference]
    guesses = [int(share * len(cells[0])) for share in FIRST_GUESSES]
    found = [_settle(cells, counts, guess) for guess in guesses]
    _, guess, ratios = max(found, key=lambda each: each[0])
    return guess, ratios


def _settle(
    codes: Sequence[Codes], reference: Sequence[Floats], guess: int
) -> tuple[float, int, Floats]:
    """Return how likely the change is, its row, and the sums of ratios, from a first guess."""
    for _ in range(ROUNDS):
        gained = np.sum(
            [_gained(c, r, guess) for c, r in zip(codes, reference, strict=True)], axis=0
        )
        ratios = np.concatenate([[0.0], np.cumsum(gained)])
        earlier, guess = guess, int(np.argmin(ratios[:-1]))
        if guess == earlier:
            break
    return float(ratios[-1] - ratios[guess]), guess, ratios


def _gained(codes: Codes, reference: Floats, guess: int) -> Floats:
    """Return each row's log-likelihood ratio of after against before; 0 where it is unknown."""
    before = (reference + 0.5) / (reference + 0.5).sum()
    tail = codes[guess:]
    after = np.bincount(tail[tail >= 0], minlength=len(reference)) + PRIOR_ROWS * before
    ratio = np.append(np.log(after / after.sum() / before), 0.0)  # the last one is for -1
    gained: Floats = ratio[codes]
    return gained


def _codes(reference: Reference, frame: pd.DataFrame, subject: str) -> Codes | None:
    """Return the cell of each row, -1 where it has none; None where a subject has no cells."""
    columns = {column.name: column for column in reference.columns}
    if subject in columns and subject in frame:
        return columns[subject].codes(frame[subject])
    labels = frame[reference.target].to_numpy(dtype="float64", na_value=np.nan)
    if subject == reference.target:
        return np.where(np.isnan(labels), -1, labels).astype("int64")
    if subject == LABELLED:
        cells = 2 * columns[PREDICTION].codes(frame[PREDICTION]) + np.nan_to_num(labels)
        return np.where(np.isnan(labels), -1, cells).astype("int64")
    return None
