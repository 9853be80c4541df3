"""How a column is spread in the reference and in the newest rows, as frames to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from risk.monitoring.profile import Column, Profile
from risk.monitoring.reference import PREDICTION, Reference

OTHER_WORDS = {"(rare)": "rare values", "(unseen)": "values never seen before", "(missing)": None}


def of_prediction(reference: Reference, recent: Profile) -> pd.DataFrame:
    """Return left, right, reference and current of the predicted risk, from 0 to 1."""
    column = reference.subjects[PREDICTION]
    assert column
    bins = numeric(column, reference.profile.counts[PREDICTION], recent.counts[PREDICTION])
    return bins.assign(left=bins["left"].clip(0, 1), right=bins["right"].clip(0, 1))


def numeric(column: Column, before: Sequence[int], now: Sequence[int]) -> pd.DataFrame:
    """Return left, right, reference and current (shares) of each cell, missing ones last."""
    edges = np.array(column.edges)
    cells = pd.DataFrame(
        {
            "left": [-np.inf, *edges, np.nan],
            "right": [*edges, np.inf, np.nan],
            "reference": shares(before),
            "current": shares(now),
        }
    )
    return cells if before[-1] or now[-1] else cells[:-1]


def categorical(column: Column, before: Sequence[int], now: Sequence[int]) -> pd.DataFrame:
    """Return value, reference and current (shares) of each value there is, missing ones last."""
    values = [OTHER_WORDS.get(label, label) for label in column.labels()]
    values[: len(column.levels)] = column.levels
    table = {"value": values, "reference": shares(before), "current": shares(now)}
    cells = pd.DataFrame(table).astype({"value": "object"})
    return cells[(cells["reference"] > 0) | (cells["current"] > 0)].reset_index(drop=True)


def shares(counts: Sequence[int]) -> NDArray[np.float64]:
    """Return each count's share of all, zeros if there is nothing."""
    return np.asarray(counts, dtype="float64") / max(sum(counts), 1)
