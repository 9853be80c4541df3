"""Profiles: a table as counts per cell, small and mergeable, without any rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.numerals import places
from risk.stats import seasons
from risk.stats.seasons import Moments

QUANTILES = np.array([0.005, *np.arange(1, 20) / 20, 0.995])
MAX_LEVELS = 30
GROUPS = 8
ALL, LABELLED_ONLY = "rows", "labelled rows"
Counts = NDArray[np.int64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """The cells of one column, chosen once; missing values have a cell of their own, the last.

    A numeric column has cells between `edges`, each with its upper edge; the first lies below
    every value of the reference, the last above. A categorical one has a cell for each of its
    commonest `levels`, one for its `rare` levels and one for unseen ones.
    """

    name: str
    edges: tuple[float, ...] | None = None
    levels: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of cells."""
        return len(self.levels) + 3 if self.edges is None else len(self.edges) + 2

    def codes(self, values: pd.Series[Any]) -> Codes:
        """Return the cell of each value."""
        if self.edges is None:
            missing = values.isna().to_numpy()
            known = places(values, [*self.levels, *self.rare])
            cells = np.minimum(known, len(self.levels))
            cells[known < 0] = len(self.levels) + 1
        else:
            numbers = values.to_numpy(dtype="float64", na_value=np.nan)
            missing, cells = np.isnan(numbers), np.searchsorted(self.edges, numbers, side="left")
        return np.where(missing, self.size - 1, cells).astype("int64")

    def beyond_or_missing(self, values: pd.Series[Any]) -> tuple[Mask, Mask]:
        """Return which values are of no known level or out of range, and which are missing."""
        if self.edges is None:
            missing = values.isna().to_numpy()
            return ~(values.isin([*self.levels, *self.rare]).to_numpy() | missing), missing
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        return (numbers <= self.edges[0]) | (numbers > self.edges[-1]), np.isnan(numbers)

    def labels(self) -> list[str]:
        """Return the names of the cells."""
        if self.edges is None:
            return [*self.levels, "(rare)", "(unseen)", "(missing)"]
        edges = [f"{0 if abs(edge) < 1e-300 else edge:g}" for edge in self.edges]
        between = [f"{low} to {high}" for low, high in zip(edges, edges[1:], strict=False)]
        return [f"below {edges[0]}", *between, f"above {edges[-1]}", "(missing)"]


class Moved(NamedTuple):
    """A cell by name, and its share of the rows before and now."""

    values: str
    before: float
    after: float


@dataclass(frozen=True)
class Profile:
    """The number of some rows, in total and in each cell of each subject.

    `calendar` is the sum of `seasons.calendar` over those whose time is known, of all rows and of
    the labelled ones.
    """

    n: int
    counts: Mapping[str, tuple[int, ...]]
    calendar: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def plus(self, other: Self) -> Self:
        """Merge with the profile of other rows over the same cells."""
        counts = _added(self.counts, other.counts)
        return type(self)(self.n + other.n, counts, _added(self.calendar, other.calendar))

    def when(self, which: str) -> Floats | None:
        """Return the mean of the calendar, of all rows or the labelled ones; None if unknown."""
        sums = np.array(self.calendar.get(which, (0.0,)))
        mean: Floats = sums / max(sums[0], 1.0)
        return mean if sums[0] else None

    def to_json(self) -> str:
        """Return the profile as JSON."""
        return json.dumps({"n": self.n, "counts": self.counts, "calendar": self.calendar})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse what `to_json` returned."""
        return cls.from_content(json.loads(text))

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        """Return a profile of parsed JSON, also of one that was stored without a calendar."""
        maps = (content["counts"], content.get("calendar", {}))
        counts, calendar = ({k: tuple(v) for k, v in each.items()} for each in maps)
        return cls(content["n"], counts, calendar)


def _added(mine: Mapping[str, tuple[Any, ...]], other: Mapping[str, tuple[Any, ...]]) -> Any:
    total = dict(mine)
    for name, values in other.items():
        own = total.get(name, (0,) * len(values))
        total[name] = tuple(a + b for a, b in zip(own, values, strict=True))
    return total


def numeric_column(name: str, values: pd.Series[Any]) -> Column:
    """Return cells bounded by quantiles of the values, and by their range."""
    known = values.dropna().to_numpy(dtype="float64")
    if not len(known):
        return Column(name, edges=(-np.inf, np.inf))
    cuts = np.quantile(known, QUANTILES, method="inverted_cdf")
    below = np.nextafter(known.min(), -np.inf)
    return Column(name, edges=tuple(np.unique([below, *cuts, known.max()]).tolist()))


def categorical_column(name: str, values: pd.Series[Any], chosen_by: Mask | None = None) -> Column:
    """Return the most frequent levels, ties in alphabetical order, whatever the row order.

    If there are too many, they are the most frequent of the rows in `chosen_by`.
    """
    levels = _by_frequency(values)
    if len(levels) <= MAX_LEVELS:
        return Column(name, levels=tuple(levels))
    own = _by_frequency(values if chosen_by is None else values[chosen_by])[:MAX_LEVELS]
    return Column(name, levels=tuple(own), rare=tuple(pd.Index(levels).difference(own, sort=False)))


def _by_frequency(values: pd.Series[Any]) -> list[str]:
    tally = values.value_counts().sort_index(kind="stable")
    return tally.sort_values(ascending=False, kind="stable").index.tolist()


def count(codes: Codes, size: int) -> tuple[int, ...]:
    """Count the rows of each cell."""
    return tuple(np.bincount(codes, minlength=size).tolist())


def count_by(batch: Codes, n_batches: int, codes: Codes, size: int) -> Counts:
    """Count the rows of each cell, (n_batches, size); rows with a code below 0 are left out."""
    used = codes >= 0
    numbered = batch[used] * size + codes[used]
    return np.bincount(numbered, minlength=n_batches * size).reshape(n_batches, size)


def calendar_by(batch: Codes, n_batches: int, moments: Moments) -> Floats:
    """Add up the calendar of the rows of each batch: (n_batches, 16)."""
    known = ~np.isnat(moments)
    minutes = moments[known].astype("datetime64[m]").astype("int64")
    first, last = minutes.min(initial=0), minutes.max(initial=0)
    # rows of one minute have one calendar: many rows are mostly few minutes
    keys, rows = np.unique(batch[known] * (last - first + 1) + minutes - first, return_counts=True)
    batches, since = np.divmod(keys, last - first + 1)
    terms = rows[:, None] * seasons.calendar((since + first).astype("datetime64[m]"))
    sums = np.zeros((n_batches, terms.shape[1]))
    np.add.at(sums, batches, terms)
    return sums.round(6)


def groups(reference: Sequence[int], n: int = GROUPS) -> Codes:
    """Join the cells of a numeric column into `n` groups of about equally many reference rows.

    Returns the group of each cell, n itself for missing values.
    """
    known = np.asarray(reference[:-1], dtype="float64")
    middle = (np.cumsum(known) - known / 2) / max(known.sum(), 1)
    return np.append(np.minimum((middle * n).astype("int64"), n - 1), n)


def joint_codes(first: Codes, second: Codes) -> Codes:
    """Number the pairs of groups, all those with a missing value last."""
    both = (first < GROUPS) & (second < GROUPS)
    return np.where(both, first * GROUPS + second, GROUPS**2)


def cells_moved(
    column: Column, reference: Sequence[int], current: Sequence[int], *, most: int = 2
) -> list[Moved]:
    """Return the cells whose share changed most; of numbers, quarters of the reference."""
    labels, merge = _quarters(column, reference)
    before = np.divide(reference, max(sum(reference), 1)) @ merge
    now = np.divide(current, max(sum(current), 1)) @ merge
    largest = np.argsort(-np.abs(now - before), kind="stable")[:most]
    return [Moved(labels[i], float(before[i]), float(now[i])) for i in largest]


def _quarters(column: Column, reference: Sequence[int]) -> tuple[list[str], NDArray[np.float64]]:
    """Join the cells of a numeric column into quarters of the reference, named by their bounds."""
    if column.edges is None:
        return column.labels(), np.eye(column.size)
    quarter = groups(reference, 4)
    used = sorted(set(quarter.tolist()))
    merge = np.eye(5)[quarter][:, used]
    bounds = [f"{column.edges[np.flatnonzero(quarter == q)[-1]]:g}" for q in used[:-2]]
    if not bounds:
        return ["any number", "(missing)"], merge
    between = [f"{low} to {high}" for low, high in zip(bounds, bounds[1:], strict=False)]
    return [f"up to {bounds[0]}", *between, f"above {bounds[-1]}", "(missing)"], merge
