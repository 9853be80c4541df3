"""Waterfall plots: parts that add up to a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from risk.figures.canvas import LIGHT, Theme, say_instead
from risk.figures.labels import named
from risk.figures.rows import BAR, explain_above, rows_of
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PARTS = 10
MIN_REACH = 0.02  # of the axis, so that a negligible change does not look large
MIN_REST = 5e-4  # the least that three decimals show


def risk_attribution(
    parts: pd.DataFrame, *, before: float, after: float, n_reference: int, n_current: int
) -> Figure:
    """Draw each feature's part of the change in mean predicted risk since the reference.

    `parts` has feature and contribution, which add up to `after` - `before`. Beyond 11 features
    the smallest parts are combined into one.
    """
    parts = parts.dropna(subset="contribution")
    if parts.empty or not n_current:
        return say_instead("not enough data: the change in predicted risk was not attributed")
    ends = {
        f"reference rows, n = {n_reference:,}": before,
        f"newest rows, n = {n_current:,}": after,
    }
    named_parts = parts[["feature", "contribution"]].set_axis(["name", "part"], axis=1)
    figure, axes = _waterfall(named_parts, ends)
    axes.set_xlabel("mean predicted risk")
    return figure


def contributions(
    parts: pd.DataFrame,
    *,
    baseline: float,
    risk: float,
    scale: str = "predicted risk",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw how one row's values lead from the mean risk of the reference to its own.

    `parts` has feature, value and contribution, which add up to `risk` - `baseline`, both on the
    scale named, "predicted risk" or "log-odds".
    """
    parts = parts.dropna(subset="contribution")
    if parts.empty:
        return say_instead("not enough data: no feature's contribution is known", theme=theme)
    names = [f"{row.feature} = {named(row.value)}" for row in parts.itertuples()]
    named_parts = pd.DataFrame({"name": names, "part": parts["contribution"].to_numpy()})
    figure, axes = _waterfall(
        named_parts, {"mean of the training rows": baseline, "this row": risk}, theme=theme
    )
    axes.set_xlabel(scale, color=theme.ink)
    return figure


def _waterfall(
    parts: pd.DataFrame, ends: dict[str, float], *, theme: Theme = LIGHT
) -> tuple[Figure, Axes]:
    """Draw each part from the end of the previous one, between the first and the last value."""
    (first, before), (last, after) = ends.items()
    steps = _with_rest(parts, after - before)
    sizes = steps["part"].to_numpy("float64")
    reached = before + np.cumsum([0.0, *sizes])
    numbers = [f"{before:.3f}", *(f"{size:+z.3f}" for size in sizes), f"{after:.3f}"]
    figure, axes = rows_of([first, *steps["name"], last], numbers, theme=theme)
    places = np.arange(1, len(sizes) + 1)
    for is_up in sorted(set((sizes >= 0).tolist()), reverse=True):
        chosen = (sizes >= 0) == is_up
        look = _look(theme, is_up=is_up)
        axes.barh(places[chosen], sizes[chosen], BAR, left=reached[:-1][chosen], **look)
    axes.vlines(reached, np.arange(len(reached)), places[0] + np.arange(len(reached)), theme.faint)
    look = {"color": theme.ink, "markersize": 6, "zorder": 4}
    axes.plot([before, after], [0, len(sizes) + 1], "D", **look)
    middle, reach = (reached.max() + reached.min()) / 2, max(np.ptp(reached), MIN_REACH)
    axes.set_xlim(middle - 0.58 * reach, middle + 0.58 * reach)
    explain_above(axes, axes.get_legend_handles_labels()[0], theme=theme)
    return figure, axes


def _with_rest(parts: pd.DataFrame, change: float) -> pd.DataFrame:
    """Return the largest parts, the sum of the others, and the unexplained rest."""
    ranked = parts.sort_values("part", key=np.abs, ascending=False, kind="stable")
    rows = [ranked]
    if len(ranked) > MAX_PARTS + 1:
        rest = ranked.iloc[MAX_PARTS:]
        together = {"name": f"the other {len(rest)} features", "part": rest["part"].sum()}
        rows = [ranked.head(MAX_PARTS), pd.DataFrame([together])]
    unexplained = change - parts["part"].sum()
    if abs(unexplained) > MIN_REST:
        rows.append(pd.DataFrame([{"name": "not explained", "part": unexplained}]))
    return pd.concat(rows)


def _look(theme: Theme, *, is_up: bool) -> dict[str, Any]:
    if is_up:
        return {"color": theme.estimated, "label": "raises it"}
    return {"fill": False, "edgecolor": theme.measured, "hatch": "////", "label": "lowers it"}
