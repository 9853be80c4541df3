"""Interval plots: values with their confidence intervals, one per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from risk.figures.canvas import LIGHT, Frame, add_axes, blank, in_percent, say_instead
from risk.figures.labels import fitted, fitted_all, inches, percent
from risk.figures.rows import ROW, explain_above, name_rows, rows_of
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIFFERENCE = "difference"
NUMBERS = ["value", "lower", "upper"]
MAX_ROWS = 25
LARGE = 1000  # numbers from here on are shown without decimals
APART, GAP = 1.4 * ROW, 0.75  # inches


def paired_comparison(rows: pd.DataFrame, *, metric: str, n: int) -> Figure:
    """Draw the scores of champion and challenger on the same rows, and their difference below.

    `rows` has name, value, lower and upper; the row named "difference" has an axis of its own,
    with 0 marked. `n` is the number of rows compared.
    """
    rows = _with_value(rows)
    is_difference = rows["name"] == DIFFERENCE
    scores, differences = rows[~is_difference], rows[is_difference]
    if scores.empty:
        return say_instead("not enough data: there was no comparison")
    short, left = fitted_all(rows["name"].tolist(), 2.0)
    labels = [_interval(row) for _, row in scores.iterrows()]
    labels += [_interval(row, sign="+") for _, row in differences.iterrows()]
    places = {"left": left + 0.2, "right": max(map(inches, labels)) + 0.25}
    upper, lower = APART * len(scores), APART * len(differences) + GAP if len(differences) else 0
    frame = Frame(height=0.1 + upper + lower + 0.6, below=lower + 0.6, above=0.1, **places)
    figure = blank(frame)
    axes = add_axes(figure, frame, grid="x")
    name_rows(axes, short[: len(scores)], labels[: len(scores)])
    _draw_intervals(axes, scores)
    axes.set_xlabel(f"{fitted(metric, 2.5)}, n = {n:,} rows, the same for all")
    axes.set_xlim(_ends(scores))
    if len(differences):
        part = Frame(height=frame.height, below=0.6, above=0.1 + upper + GAP, **places)
        axes = add_axes(figure, part, grid="x")
        name_rows(axes, short[len(scores) :], labels[len(scores) :])
        _draw_difference(axes, differences, metric)
    return figure


def segments(rows: pd.DataFrame, *, overall: float, metric: str) -> Figure:
    """Draw a share in each segment against that of all rows, in the order given.

    `rows` has segment, value, lower, upper and n; `metric` says what it is the share of.
    """
    known = _with_value(rows)
    if known.empty:
        return say_instead("not enough data: no segment has enough labelled rows")
    shown = known.head(MAX_ROWS)
    numbers = [
        f"{percent(value)}, n = {n:,}" for value, n in zip(shown["value"], shown["n"], strict=True)
    ]
    foot = f"Not drawn: {len(known) - MAX_ROWS} more segments." if len(known) > MAX_ROWS else ""
    figure, axes = rows_of(shown["segment"].tolist(), numbers, foot=foot)
    _draw_intervals(axes, shown)
    axes.set_xlim(_ends(shown))
    in_percent(axes.xaxis)
    axes.set_xlabel(f"{fitted(metric, 4)}, with its interval")
    line = axes.axvline(overall, color=LIGHT.ink, linewidth=1.2, linestyle="--")
    line.set_label(f"all rows: {percent(overall)}")
    explain_above(axes, [line])
    return figure


def _with_value(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.dropna(subset="value").astype(dict.fromkeys(NUMBERS, "float64"))


def _draw_intervals(axes: Axes, rows: pd.DataFrame) -> None:
    value, lower, upper = (rows[name] for name in NUMBERS)
    errors = [(value - lower).clip(0), (upper - value).clip(0)]
    look: dict[str, Any] = {"fmt": "o", "markersize": 6, "linewidth": 1.6, "capsize": 4}
    axes.errorbar(value, np.arange(len(rows)), xerr=errors, color=LIGHT.measured, **look)
    axes.locator_params(axis="x", nbins=6)


def _draw_difference(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    """Draw differences on an axis symmetric about 0."""
    _draw_intervals(axes, rows)
    reach = 1.1 * float(rows[NUMBERS].abs().max().max())
    axes.set_xlim(-reach or -1, reach or 1)
    axes.axvline(0, color=LIGHT.ink, linewidth=1.2, linestyle="--")
    axes.set_xlabel(f"difference in {fitted(metric, 2.5)} (0: none)")


def _interval(row: pd.Series[Any], *, sign: str = "") -> str:
    value, lower, upper = (row[name] for name in NUMBERS)
    form = f"{sign},.0f" if max(abs(value), abs(lower), abs(upper)) >= LARGE else f"{sign}.3f"
    if np.isnan(lower) or np.isnan(upper):
        return f"{value:{form}}"
    return f"{value:{form}} [{lower:{form}}, {upper:{form}}]"


def _ends(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the limits of a score axis: 0 and 1, or beyond the data."""
    lowest, highest = float(rows[NUMBERS].min().min()), float(rows[NUMBERS].max().max())
    return min(0.0, 1.05 * lowest), 1.0 if highest <= 1 else 1.05 * highest
