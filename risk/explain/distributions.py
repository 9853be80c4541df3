"""How a column is spread in the reference and in the newest rows, as frames to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from risk.errors import UnknownName
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.monitoring import assessment
from risk.monitoring.profile import Column, Profile
from risk.monitoring.reference import PREDICTION, Reference

SMALLEST = 1e-300  # below it lies only the edge just under a smallest value of zero
OTHER_WORDS = {
    "(rare)": "rare values",
    "(unseen)": "values unknown to the reference",
    "(missing)": None,
}


@dataclass(frozen=True)
class Distribution:
    """How one column is spread in the reference and in the newest rows.

    `cells` has reference and current (shares of the rows), and left and right of a number, or
    value; without newest rows `n_current` is 0.
    """

    feature: str
    n_reference: int
    n_current: int
    is_numeric: bool
    cells: pd.DataFrame


def of_feature(reference: Reference, name: str, recent: Profile | None) -> Distribution:
    """Return the distribution of a monitored column; raise UnknownName if there is none."""
    column = next((each for each in reference.columns if each.name == name), None)
    if column is None:
        raise UnknownName(f"no column {name[:80]!r} is monitored")
    before = reference.profile.counts[name]
    now = recent.counts.get(name, ()) if recent else ()
    arrange = categorical if column.edges is None else numeric
    cells = arrange(column, before, now or (0,) * len(before))
    return Distribution(name, sum(before), sum(now), column.edges is not None, cells)


def newest_rows(ledger: Ledger, version: int | None) -> Profile | None:
    """Return the profile of the newest rows a release has seen, None before the first."""
    history = ledger.assessments.history(version, newest=assessment.MAX_POOLED)
    profiles = [Profile.from_json(look.profile) for look in history]
    with_rows = [profile for profile in profiles if PREDICTION in profile.counts]
    return assessment.pool(with_rows) if with_rows else None


def of_prediction(reference: Reference, recent: Profile) -> pd.DataFrame:
    """Return left, right, reference and current of the predicted risk, from 0 to 1."""
    column = reference.subjects[PREDICTION]
    assert column
    bins = numeric(column, reference.profile.counts[PREDICTION], recent.counts[PREDICTION])
    return bins.assign(left=bins["left"].clip(0, 1), right=bins["right"].clip(0, 1))


def numeric(column: Column, before: Sequence[int], now: Sequence[int]) -> pd.DataFrame:
    """Return left, right, reference and current (shares) of each cell, missing ones last."""
    edges = np.array(column.edges)
    edges[np.abs(edges) < SMALLEST] = 0.0
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
