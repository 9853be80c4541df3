"""Reference: cells and counts of the rows a release was trained on, none of the rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from risk.config import Columns
from risk.lazily import pandas as pd
from risk.models.dating import MOMENT
from risk.monitoring import known_values
from risk.monitoring.known_values import Known
from risk.monitoring.profile import (
    ALL,
    GROUPS,
    LABELLED_ONLY,
    MAX_LEVELS,
    Codes,
    Column,
    Mask,
    Profile,
    calendar_by,
    categorical_column,
    count,
    count_by,
    groups,
    joint_codes,
    numeric_column,
)
from risk.schema import ROW_HASH
from risk.stats.seasons import Curve

# Brackets tell derived subjects from columns wherever only the name is stored.
PREDICTION = "(predicted risk)"
LABELLED = "(predicted risk by label)"
EXPECTED_LOSS = "(expected loss)"
RECONSTRUCTION = "(reconstruction error)"
OF_THE_MODEL = (PREDICTION, LABELLED, EXPECTED_LOSS)
DERIVED = (PREDICTION, EXPECTED_LOSS, RECONSTRUCTION)
MAX_PAIRED_COLUMNS = 10  # 45 pairs of 65 cells in each stored profile; they grow as the square
METHOD = 3  # of those in `alarm_budget.LADDERS`
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """The cells of every monitored column, the rows in each, and its tolerance.

    Monitored are the features, the target (labelled rows only), the predictions and other derived
    columns, pairs of the most relevant numeric features, and predictions by label. `means` is the
    mean value per cell of the numeric columns, `seen_once_twice` the number of levels that occur
    once and twice, `correlations` how correlated the rows of one batch are in each direction,
    `tolerances` the tolerated shift of each subject in standard deviations, `optimism` what the
    scores of labelled rows gain because the threshold was chosen on them. `curves` are the means of
    each subject over the calendar, `calendar` is what dates the rows, if anything does, and `days`
    how many days they are from. `known` is what sound rows had in each column, also those before
    the reference. `method` is the one its detectors were made with; the stored evidence is about
    it.
    """

    columns: tuple[Column, ...]
    target: str
    threshold: float
    pairs: tuple[tuple[str, str], ...]
    profile: Profile
    means: Mapping[str, tuple[float, ...]]
    seen_once_twice: Mapping[str, tuple[int, int]]
    correlations: Mapping[str, Mapping[str, float]]
    tolerances: Mapping[str, float]
    optimism: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    calendar: str = ""
    days: float = 0.0
    known: Mapping[str, Known] = field(default_factory=dict)
    method: int = METHOD

    @classmethod
    def build(
        cls, frame: pd.DataFrame, columns: Columns, *, threshold: float, tolerance: float
    ) -> Self:
        """Choose the cells from the monitored columns of `frame`, permanently, and count its rows.

        If a category has more levels than cells, half of the rows choose them and the others are
        counted: the most frequent levels are more frequent in the rows that chose them.
        Its predictions are out of fold, from models like the live one but not from it; hence
        predictions get twice the `tolerance`.
        """
        derived = [name for name in DERIVED if name in frame]
        numeric = [numeric_column(name, frame[name]) for name in (*columns.numeric, *derived)]
        numeric = [_cut_at(c, threshold) if c.name == PREDICTION else c for c in numeric]
        seen = {name: frame[name].value_counts() for name in columns.categorical}
        categorical = [
            categorical_column(
                name, frame[name], _choosing(frame) if len(seen[name]) > MAX_LEVELS else None
            )
            for name in columns.categorical
        ]
        cells = {column.name: column for column in (*numeric, *categorical)}
        codes = {name: column.codes(frame[name]) for name, column in cells.items()}
        telling = _most_telling(codes, columns.numeric, frame[PREDICTION].to_numpy())
        empty = cls(
            columns=tuple(cells.values()),
            target=columns.target,
            threshold=threshold,
            pairs=tuple(combinations(telling, 2)),
            # `count` needs these to join cells into groups; the whole profile replaces it below
            profile=Profile(0, {n: count(codes[n], cells[n].size) for n in telling}),
            means={c.name: _cell_means(c, codes[c.name], frame[c.name]) for c in numeric},
            seen_once_twice={
                n: (int((s == 1).sum()), int((s == 2).sum())) for n, s in seen.items()
            },
            correlations={},
            tolerances={PREDICTION: 2 * tolerance},
        )
        return replace(empty, profile=empty.count(frame, own=True))

    def keeping(self, earlier: Reference) -> Self:
        """Return this reference with what an earlier one knows of all that no model has a part in.

        Each new reference forgets a slow drift up to then; where nothing happened it goes on.
        """
        known = {column.name for column in earlier.columns}
        own = {c.name for c in self.columns if c.name not in known} | set(OF_THE_MODEL)

        def both(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
            kept = {name: value for name, value in theirs.items() if name not in own}
            return kept | {name: value for name, value in mine.items() if name in own}

        by_subject = ("means", "seen_once_twice", "correlations", "tolerances", "curves")
        maps: dict[str, Any] = {
            name: both(getattr(self, name), getattr(earlier, name)) for name in by_subject
        }
        columns = both({c.name: c for c in self.columns}, {c.name: c for c in earlier.columns})
        counts = both(self.profile.counts, earlier.profile.counts)
        profile = replace(earlier.profile, counts=counts)
        merged: dict[str, Any] = {
            "columns": tuple(columns.values()),
            "pairs": earlier.pairs,
            "profile": profile,
            "calendar": earlier.calendar,
            "days": earlier.days,
            "method": earlier.method,  # the evidence that goes on is of its bets
        }
        return replace(self, **maps, **merged)

    @property
    def subjects(self) -> dict[str, Column | None]:
        """The subjects that are counted, with the column of those that are one."""
        single: dict[str, Column | None] = {column.name: column for column in self.columns}
        several = [self.target, *(name_of_pair(pair) for pair in self.pairs), LABELLED]
        if not self.has_labels:  # nothing to compare labels with
            several = several[1:-1]
        return single | dict.fromkeys(several)

    @property
    def has_labels(self) -> bool:
        """Whether any row of the reference is labelled."""
        return any(self.profile.counts.get(LABELLED, (1,)))

    def count(self, frame: pd.DataFrame, *, own: bool = False) -> Profile:
        """Count rows in every monitored cell; columns that `frame` lacks are left out.

        Of its `own` rows, those that chose the cells of a column do not count there.
        """
        (whole,) = self.count_batches(frame, np.zeros(len(frame), "int64"), 1, own=own)
        return whole

    def count_batches(
        self, frame: pd.DataFrame, batch: Codes, n_batches: int, *, own: bool = False
    ) -> list[Profile]:
        """Count the rows of each batch, `batch` being the number of the one a row belongs to."""
        outcomes = self._cells_of_outcomes(frame[PREDICTION], frame[self.target])
        tables = {
            name: count_by(batch, n_batches, codes, size).tolist()
            for name, (codes, size) in chain(self._cells(frame, own=own), outcomes.items())
        }
        dated = {}
        if MOMENT in frame:
            moments, ripe = frame[MOMENT].to_numpy("M8[s]"), frame[self.target].notna().to_numpy()
            dated[ALL] = calendar_by(batch, n_batches, moments).tolist()
            dated[LABELLED_ONLY] = calendar_by(batch[ripe], n_batches, moments[ripe]).tolist()
        rows = np.bincount(batch, minlength=n_batches).tolist()
        return [
            Profile(
                rows[i],
                {name: tuple(table[i]) for name, table in tables.items()},
                {which: tuple(sums[i]) for which, sums in dated.items()},
            )
            for i in range(n_batches)
        ]

    def count_outcomes(
        self,
        y_pred_proba: pd.Series[Any],
        labels: pd.Series[Any],
        moments: pd.Series[Any] | None = None,
    ) -> Profile:
        """Count predictions by label, and labels, of the labelled rows."""
        cells = self._cells_of_outcomes(y_pred_proba, labels)
        counts = {name: count(codes[codes >= 0], size) for name, (codes, size) in cells.items()}
        dated, ripe = {}, labels.notna().to_numpy()
        if moments is not None:
            sums = calendar_by(np.zeros(ripe.sum(), "int64"), 1, moments.to_numpy("M8[s]")[ripe])
            dated[LABELLED_ONLY] = tuple(sums[0].tolist())
        return Profile(int(ripe.sum()), counts, dated)

    def _cells(self, frame: pd.DataFrame, *, own: bool) -> Iterator[tuple[str, tuple[Codes, int]]]:
        """Yield the cell of each row, and how many there are, of every column and pair.

        One after another: those of all pairs would take more memory than the rows.
        """
        paired = {name for pair in self.pairs for name in pair}
        joined = {name: groups(self.profile.counts[name]) for name in paired}
        group_of = dict[str, Codes]()
        for column in self.columns:
            if column.name not in frame:
                continue
            codes = column.codes(frame[column.name])
            if column.name in paired:
                group_of[column.name] = joined[column.name][codes]
            counted = np.where(_choosing(frame), -1, codes) if own and column.rare else codes
            yield column.name, (counted, column.size)
        for one, other in self.pairs:
            if one in group_of and other in group_of:
                cells = joint_codes(group_of[one], group_of[other])
                yield name_of_pair((one, other)), (cells, GROUPS**2 + 1)

    def _cells_of_outcomes(
        self, y_pred_proba: pd.Series[Any], labels: pd.Series[Any]
    ) -> dict[str, tuple[Codes, int]]:
        """Return the cell of each row, -1 without a label."""
        ripe = labels.notna().to_numpy()
        y_true = labels.to_numpy(dtype="float64", na_value=-1.0).astype("int64")
        prediction = next(column for column in self.columns if column.name == PREDICTION)
        # 2 * cell + label, the order that `loss_ratios.watched_scores` lays out
        cells = np.where(ripe, 2 * prediction.codes(y_pred_proba) + y_true, -1)
        return {LABELLED: (cells, 2 * prediction.size), self.target: (y_true, 2)}

    def to_json(self) -> str:
        """Return the reference as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse what `to_json` returned."""
        content = json.loads(text)
        columns = [
            Column(
                column["name"],
                None if column["edges"] is None else tuple(column["edges"]),
                tuple(column["levels"]),
                tuple(column["rare"]),
            )
            for column in content["columns"]
        ]
        profile = Profile.from_content(content["profile"])
        pairs = tuple((first, second) for first, second in content["pairs"])
        maps = ("means", "seen_once_twice")
        exact: dict[str, Any] = {name: _tuples(content[name]) for name in maps}
        made = {"method": 1}  # before there were others, it was not written down
        curves = {name: _curve(curve) for name, curve in content.get("curves", {}).items()}
        exact |= dict(columns=tuple(columns), profile=profile, pairs=pairs, curves=curves)
        exact["known"] = known_values.from_content(content.get("known", {}))
        return cls(**made | content | exact)


def _curve(content: Mapping[str, Any]) -> Curve:
    """Return a curve of parsed JSON, in which tuples are lists."""
    exact = {name: tuple(content[name]) for name in ("terms", "centre")}
    covariance = tuple(map(tuple, content["covariance"]))
    return Curve(
        **{**content, **exact, "covariance": covariance, "slopes": _tuples(content["slopes"])}
    )


def _choosing(frame: pd.DataFrame) -> Mask:
    """Select the half of the rows that chooses: by hash, whatever else a row is like."""
    chosen: Mask = (frame[ROW_HASH].to_numpy() & 1) == 0
    return chosen


def name_of_pair(pair: tuple[str, str]) -> str:
    """Return the name of the subject that is a pair of columns."""
    return " and ".join(pair)


def _tuples(lists: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(values) for name, values in lists.items()}


def _cut_at(column: Column, threshold: float) -> Column:
    """Split cells at the threshold, so that no cell holds predictions of both classes."""
    # edges belong to the cell below them, so the cut is the last number that is not positive
    below = float(np.nextafter(threshold, -np.inf))
    return replace(column, edges=tuple(sorted({*(column.edges or ()), below})))


def _cell_means(column: Column, codes: Codes, values: pd.Series[Any]) -> tuple[float, ...]:
    """Return the mean value in each cell, of an empty cell its edge, without missing values."""
    # Lower and upper end of each cell but that of missing values: (n_cells - 1,). The two outer
    # cells are open, and get their one edge for both.
    edges = np.array(column.edges)
    low, high = np.r_[edges[0], edges], np.r_[edges, np.nextafter(edges[-1], np.inf)]
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num((low + high) / 2, posinf=0.0, neginf=0.0)
    numbers = np.nan_to_num(values.to_numpy(dtype="float64", na_value=np.nan))
    n = np.bincount(codes, minlength=column.size)[:-1]
    total = np.bincount(codes, weights=numbers, minlength=column.size)[:-1]
    means = np.where(n > 0, total / np.maximum(n, 1), middle)
    within = np.clip(means, np.nextafter(low, np.inf), high)  # a mean of equal values rounds
    finite = np.nan_to_num(within, posinf=0.0, neginf=0.0)  # a column without any value
    # they serve as the cells' places on a line, whose order rounding must not change
    return tuple(np.maximum.accumulate(finite).tolist())


def _most_telling(
    codes: Mapping[str, Codes], numeric: Sequence[str], y_pred_proba: Floats
) -> list[str]:
    """Select the numeric features whose cells explain most of the variance of the predictions."""

    def explained(name: str) -> float:
        n = np.bincount(codes[name])
        means = np.bincount(codes[name], weights=y_pred_proba) / np.maximum(n, 1)
        # Variance between cells: unlike a correlation it sees a risk that rises at both ends. With
        # a minus sign, as `sorted` puts the smallest first and keeps the order of equal ones.
        return float(-np.average((means - y_pred_proba.mean()) ** 2, weights=n))

    # which pairs of features go together matters only where the model uses both
    chosen = set(sorted(numeric, key=explained)[:MAX_PAIRED_COLUMNS])
    return [name for name in numeric if name in chosen]
