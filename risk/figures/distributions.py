"""Distributions of one column: reference against current rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from risk.explain import plain_words
from risk.explain.distributions import Distribution
from risk.figures.canvas import LIGHT, Frame, Theme, canvas, in_percent, say_instead
from risk.figures.labels import fitted, inches, named, numbers, percent
from risk.figures.rows import explain_above, rows_of
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_VALUES = 15
FRAME = Frame(height=3.0, right=0.45)
ENDS = {"-inf": "lower", "inf": "higher"}
MISSING_APART = 0.6  # of a bin
Floats = NDArray[np.float64]


def of_feature(distribution: Distribution, theme: Theme = LIGHT) -> Figure:
    """Draw the distribution of a feature, of either kind."""
    draw = numeric_feature if distribution.is_numeric else categorical_feature
    return draw(
        distribution.cells,
        feature=distribution.feature,
        n_reference=distribution.n_reference,
        n_current=distribution.n_current,
        theme=theme,
    )


def score_distribution(
    bins: pd.DataFrame, *, threshold: float, n_reference: int, n_current: int
) -> Figure:
    """Draw the distribution of the predicted risk, and the threshold.

    `bins` has left and right (0 to 1, in order), reference and current (shares of the rows).
    """
    if bins.empty or not n_current:
        return say_instead("not enough data: there are no predictions to draw")
    figure, axes = _draw_bins(bins, n_reference, n_current)
    edges = [*bins["left"], bins["right"].iloc[-1]]
    _write_bounds(axes, bins, [percent(edge) for edge in edges])
    axes.set_xlabel("predicted risk")
    place = float(np.interp(threshold, edges, np.arange(len(edges))))
    line = axes.axvline(place, color=LIGHT.ink, linewidth=1.4, linestyle="--")
    line.set_label(f"flagged as at risk from {percent(threshold)}")
    _draw_legend(axes)
    return figure


def numeric_feature(
    bins: pd.DataFrame,
    *,
    feature: str,
    n_reference: int,
    n_current: int,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the distribution of a numeric feature.

    `bins` has left and right (in order; infinite at the ends if open; both missing for the missing
    values, in the last row), reference and current (shares of the rows). All bins are drawn with
    equal width, with their bounds as tick labels.
    """
    if bins.empty or not n_current:
        words = f"not enough data: no values of {fitted(feature, 3.5)} to draw"
        return say_instead(words, theme=theme)
    figure, axes = _draw_bins(bins, n_reference, n_current, theme)
    known = bins.dropna(subset=["left", "right"])
    bounds = numbers([*known["left"], *known["right"].tail(1)])
    once = ["" if words == later else words for words, later in pairwise([*bounds, ""])]
    _write_bounds(axes, bins, [ENDS.get(words, words) for words in once])
    axes.set_xlabel(fitted(feature, 5.5))
    return figure


def categorical_feature(
    shares: pd.DataFrame,
    *,
    feature: str,
    n_reference: int,
    n_current: int,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the distribution of a categorical feature, values that changed most first.

    `shares` has value (NaN for missing), reference and current (shares of the rows). Beyond 15
    values the rest is summarised in a note.
    """
    if shares.empty or not n_current:
        words = f"not enough data: no values of {fitted(feature, 3.5)} to draw"
        return say_instead(words, theme=theme)
    before, now = _shares(shares)
    order = np.argsort(-np.abs(now - before), kind="stable")
    rows, rest = shares.iloc[order[:MAX_VALUES]], shares.iloc[order[MAX_VALUES:]]
    before, now = _shares(rows)
    changes = [f"{percent(b)} → {percent(c)}" for b, c in zip(before, now, strict=True)]
    names = [named(value) for value in rows["value"]]
    figure, axes = rows_of(names, changes, theme=theme, foot=_foot(rest))
    places = np.arange(len(rows))
    axes.hlines(places, before, now, color=theme.quiet, linewidth=2.5)
    look: dict[str, Any] = {"clip_on": False, "markeredgecolor": theme.ink}
    label = f"reference rows, n = {n_reference:,}"
    axes.plot(before, places, "o", markersize=7, markerfacecolor="white", label=label, **look)
    look["markeredgecolor"] = theme.measured
    label = f"newest rows, n = {n_current:,}"
    axes.plot(now, places, "D", markersize=5, color=theme.measured, label=label, **look)
    axes.set_xlim(0, 1.05 * max(before.max(), now.max(), 1e-3))
    in_percent(axes.xaxis)
    axes.set_xlabel(f"share of the rows by {fitted(feature, 3)}")
    explain_above(axes, axes.get_legend_handles_labels()[0], theme=theme)
    return figure


def _shares(table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the shares of reference and current rows; a value missing on one side has share 0."""
    before, now = (
        np.nan_to_num(table[name].to_numpy("float64", na_value=np.nan))
        for name in ("reference", "current")
    )
    return before, now


def _foot(rest: pd.DataFrame) -> str:
    if rest.empty:
        return ""
    before, now = (percent(float(shares.sum())) for shares in _shares(rest))
    values = plain_words.counted(len(rest), "more value")
    return f"Not drawn: {values} that changed less, together {before} → {now}."


def _draw_bins(
    bins: pd.DataFrame, n_reference: int, n_current: int, theme: Theme = LIGHT
) -> tuple[Figure, Axes]:
    """Draw the reference shares as grey bars, and the current shares as a line over them."""
    figure, axes = canvas(FRAME, theme=theme)
    before, now = _shares(bins)
    is_missing = bins["left"].isna().to_numpy()
    places = _places(bins)
    label = f"reference rows, n = {n_reference:,}"
    look: dict[str, Any] = {"color": theme.quiet, "edgecolor": "white", "linewidth": 0.8}
    axes.bar(places, before, 1, align="edge", label=label, **look)
    label = f"newest rows, n = {n_current:,}"
    for group in (np.flatnonzero(~is_missing), np.flatnonzero(is_missing)):
        if len(group):
            edges = [*places[group], places[group[-1]] + 1]
            axes.stairs(now[group], edges, color=theme.measured, linewidth=2, label=label)
            label = "_"  # one legend entry only
    axes.set_ylim(0, 1.08 * max(before.max(), now.max(), 1e-3))
    axes.set_xlim(-0.1, places[-1] + 1.1)
    in_percent(axes.yaxis)
    axes.set_ylabel("share of the rows")
    _draw_legend(axes, theme)
    return figure, axes


def _draw_legend(axes: Axes, theme: Theme = LIGHT) -> None:
    """Draw the legend, the reference first."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: not labels[i].startswith("reference rows"))
    explain_above(axes, [handles[i] for i in order], theme=theme)


def _places(bins: pd.DataFrame) -> Floats:
    """Return the left edge of each bar; that of missing values stands apart."""
    return np.arange(len(bins)) + MISSING_APART * bins["left"].isna().to_numpy()


def _write_bounds(axes: Axes, bins: pd.DataFrame, bounds: Sequence[str]) -> None:
    """Label as many bin bounds as there is room for, the last in any case."""
    n_known = int(bins["left"].notna().sum())
    marks = [(float(place), words) for place, words in enumerate(bounds)]
    if n_known < len(bins):
        marks.append((float(_places(bins)[-1]) + 0.5, "missing"))
    per_inch = (axes.get_xlim()[1] - axes.get_xlim()[0]) / FRAME.inner[0]
    half = [0.6 * per_inch * inches(words) for _, words in marks]
    kept = _apart([place for place, _ in marks], half, n_bins=n_known)
    axes.set_xticks([marks[i][0] for i in kept], [marks[i][1] for i in kept])


def _apart(places: list[float], half: list[float], *, n_bins: int) -> list[int]:
    """Return every bound, or every second, third ..., so that none overlaps another."""
    ends = list(range(n_bins, len(places)))

    def overlaps(first: int, second: int) -> bool:
        return abs(places[first] - places[second]) < half[first] + half[second]

    inner: list[int] = []
    for step in range(1, n_bins + 1):
        inner = [i for i in range(0, n_bins, step) if not any(overlaps(i, end) for end in ends)]
        if not any(overlaps(*pair) for pair in pairwise(inner)):
            break
    return [*inner, *ends]
