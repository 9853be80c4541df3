"""A table as counts per cell: small, mergeable, without any of its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from risk.config import Columns

MOST_BINS = 10
ROWS_PER_BIN = 8
MOST_LEVELS = 30
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Feature:
    """The cells of one feature and the rows in each; missing values have a cell of their own.

    A numeric feature has cells between `edges`, open at both ends. A categorical one has a cell
    for each of its commonest `levels`, one for its `rare` levels and one for unseen ones.
    """

    name: str
    edges: tuple[float, ...] | None
    levels: tuple[str, ...]
    rare: tuple[str, ...]
    counts: tuple[int, ...]

    def plus(self, other: Self) -> Self:
        """Add the counts of another table over the same cells."""
        total = np.add(self.counts, other.counts)
        return type(self)(self.name, self.edges, self.levels, self.rare, tuple(total.tolist()))

    def labels(self) -> list[str]:
        """Name the cells, in the order of the counts."""
        if self.edges is None:
            return [*self.levels, "(rare)", "(unseen)", "(missing)"]
        bounds = ["-inf", *(f"{edge:g}" for edge in self.edges), "inf"]
        between = [f"{low} to {high}" for low, high in zip(bounds, bounds[1:], strict=False)]
        return [*between, "(missing)"]


@dataclass(frozen=True)
class Profile:
    """What is kept of a table: its number of rows and the cells of its features."""

    n: int
    features: tuple[Feature, ...]

    def plus(self, other: Self) -> Self:
        """Merge with the profile of other rows over the same cells."""
        pairs = zip(self.features, other.features, strict=True)
        return type(self)(self.n + other.n, tuple(mine.plus(theirs) for mine, theirs in pairs))

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read back what `to_json` wrote."""
        content = json.loads(text)
        features = [
            Feature(
                name=feature["name"],
                edges=None if feature["edges"] is None else tuple(feature["edges"]),
                levels=tuple(feature["levels"]),
                rare=tuple(feature["rare"]),
                counts=tuple(feature["counts"]),
            )
            for feature in content["features"]
        ]
        return cls(content["n"], tuple(features))


def reference_profile(rows: pd.DataFrame, columns: Columns) -> Profile:
    """Choose the cells from `rows`, for good, and count the rows in them."""
    numeric = [_numeric_cells(name, rows[name]) for name in columns.numeric]
    categorical = [_categorical_cells(name, rows[name]) for name in columns.categorical]
    return count(rows, Profile(0, (*numeric, *categorical)))


def count(rows: pd.DataFrame, like: Profile) -> Profile:
    """Count `rows` in the cells of `like`."""
    features = []
    for feature in like.features:
        counts = _count(rows[feature.name], feature)
        features.append(
            Feature(feature.name, feature.edges, feature.levels, feature.rare, tuple(counts))
        )
    return Profile(len(rows), tuple(features))


def _numeric_cells(name: str, values: pd.Series[Any]) -> Feature:
    """Cut at the quantiles of the values, so that each cell holds about equally many rows."""
    known = values.dropna().to_numpy()
    n_bins = int(np.clip(len(known) // ROWS_PER_BIN, 2, MOST_BINS))
    quantiles = np.linspace(0, 1, n_bins + 1)[1:-1]
    cuts = np.quantile(known, quantiles, method="inverted_cdf") if len(known) else []
    edges = tuple(np.unique(cuts).tolist())
    return Feature(name, edges, (), (), (0,) * (len(edges) + 2))


def _categorical_cells(name: str, values: pd.Series[Any]) -> Feature:
    """Take the commonest levels, ties in alphabetical order, so that row order is irrelevant."""
    tally = values.value_counts().sort_index(kind="stable")
    levels = tally.sort_values(ascending=False, kind="stable").index.tolist()
    common, rare = levels[:MOST_LEVELS], levels[MOST_LEVELS:]
    return Feature(name, None, tuple(common), tuple(rare), (0,) * (len(common) + 3))


def _count(values: pd.Series[Any], feature: Feature) -> list[int]:
    missing = int(values.isna().sum())
    if feature.edges is not None:
        cells = np.searchsorted(feature.edges, values.dropna().to_numpy(), side="left")
        counted = np.bincount(cells, minlength=len(feature.edges) + 1)
        return [*counted.tolist(), missing]
    tally = values.value_counts()
    common = tally.reindex(feature.levels, fill_value=0)
    rare = int(tally.reindex(feature.rare, fill_value=0).sum())
    unseen = len(values) - missing - rare - int(common.sum())
    return [*common.tolist(), rare, unseen, missing]


def cells_moved(reference: Feature, current: Feature, *, most: int = 2) -> str:
    """Name in words the cells whose share changed most."""
    before = np.divide(reference.counts, max(sum(reference.counts), 1))
    now = np.divide(current.counts, max(sum(current.counts), 1))
    labels: Sequence[str] = reference.labels()
    largest = np.argsort(-np.abs(now - before), kind="stable")[:most]
    return ", ".join(f"{labels[i]}: {before[i]:.0%} -> {now[i]:.0%}" for i in largest)
