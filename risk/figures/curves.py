"""Curves of a model's performance over thresholds: ROC, precision-recall, calibration, cost."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.figures.canvas import LIGHT, Frame, canvas, in_percent, say_instead
from risk.figures.labels import inches, number, percent, span
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
SQUARE = Frame(height=3.7, left=0.7, right=3.1, below=0.6, above=0.2)
LETTERS = 36  # per line of the legend beside a square plot
LABEL_ROW = 0.2  # inches


def roc_curve(points: pd.DataFrame, *, chosen: Point | None, area: float | None, n: int) -> Figure:
    """Draw the ROC curve: true positive rate against false positive rate.

    `points` has fpr and tpr; `chosen` is the point (fpr, tpr) of the current threshold, `area`
    the area below the curve, `n` the number of labelled rows.
    """
    points = points.dropna(subset=["fpr", "tpr"])
    if len(points) < 2:
        return say_instead("not enough data: a ROC curve needs labelled rows of both classes")
    figure, axes = canvas(SQUARE, grid="both")
    area_note = "" if area is None else f", area {area:.2f} (1 is perfect)"
    axes.plot(
        points["fpr"],
        points["tpr"],
        color=LIGHT.measured,
        linewidth=2,
        label=_wrapped(f"the model{area_note}, n = {n:,} labelled rows"),
    )
    label = _wrapped("random predictions, area 0.50")
    axes.plot([0, 1], [0, 1], "--", color=LIGHT.faint, linewidth=1.2, label=label)
    if chosen is not None:
        rates = f"{percent(chosen[1])} of those at risk, {percent(chosen[0])} of the others"
        _mark_chosen(axes, chosen, f"the current threshold flags {rates}")
    axes.set_xlabel("share of the others that is flagged (false positive rate)")
    axes.set_ylabel("share of those at risk that is flagged (recall)")
    _square(axes)
    return figure


def precision_recall_curve(
    points: pd.DataFrame, *, chosen: Point | None, base_rate: float, area: float | None, n: int
) -> Figure:
    """Draw precision against recall.

    `points` has recall and precision; `chosen` is the point (recall, precision) of the current
    threshold, `base_rate` the share of positives, `area` the average precision, `n` the number of
    labelled rows.
    """
    points = points.dropna(subset=["recall", "precision"])
    points = points.sort_values(["recall", "precision"], ascending=[True, False])
    if len(points) < 2 or not base_rate:
        return say_instead("not enough data: a precision-recall curve needs labelled positives")
    figure, axes = canvas(SQUARE, grid="both")
    area_note = "" if area is None else f", average precision {area:.2f} (1 is perfect)"
    axes.step(
        points["recall"],
        points["precision"],
        where="pre",
        color=LIGHT.measured,
        linewidth=2,
        label=_wrapped(f"the model{area_note}, n = {n:,} labelled rows"),
    )
    label = _wrapped(f"random predictions: {percent(base_rate)} are correct")
    axes.axhline(base_rate, linestyle="--", color=LIGHT.faint, linewidth=1.2, label=label)
    if chosen is not None:
        recall, precision = map(percent, chosen)
        words = f"flags {recall} of those at risk, {precision} of its flags are correct"
        _mark_chosen(axes, chosen, f"the current threshold {words}")
    axes.set_xlabel("share of those at risk that is flagged (recall)")
    axes.set_ylabel("share of flags that are correct (precision)")
    _square(axes)
    return figure


def calibration_curve(bins: pd.DataFrame) -> Figure:
    """Draw the observed share of positives against the predicted risk.

    `bins` has predicted (the mean), observed (the share), lower, upper and n.
    """
    names = ["predicted", "observed", "lower", "upper"]
    bins = bins.dropna(subset=["predicted", "observed"]).sort_values("predicted", kind="stable")
    if bins.empty:
        return say_instead("not enough data: calibration needs labelled rows")
    predicted, observed, lower, upper = (bins[name].astype("float64") for name in names)
    figure, axes = canvas(SQUARE, grid="both")
    errors = [(observed - lower).clip(0), (upper - observed).clip(0)]
    label = _wrapped(f"observed share, with its interval, {span(bins['n'])} rows per point")
    axes.errorbar(
        predicted, observed, errors, fmt="o-", color=LIGHT.measured, capsize=3, label=label
    )
    words = "perfect calibration; below the line, fewer are at risk than predicted"
    axes.plot([0, 1], [0, 1], "--", color=LIGHT.faint, linewidth=1.2, label=_wrapped(words))
    axes.set_xlabel("mean predicted risk")
    axes.set_ylabel("share that was at risk")
    highest = max(predicted.max(), observed.max(), upper.fillna(0).max())
    _square(axes, highest=min(1.0, float(np.ceil(10 * highest) / 10) or 0.1))
    return figure


def threshold_costs(
    points: pd.DataFrame, *, chosen: float, cheapest: float | None, n: int
) -> Figure:
    """Draw the mean cost per row at each threshold.

    `points` has threshold and cost (the mean per row); `chosen` is the current threshold,
    `cheapest` the one of lowest cost, `n` the number of labelled rows.
    """
    points = points[np.isfinite(points[["threshold", "cost"]].to_numpy("float64")).all(axis=1)]
    if len(points) < 2:
        return say_instead("not enough data: costs need labelled rows")
    points = points.sort_values("threshold", kind="stable")
    figure, axes = canvas(Frame(height=3.2, above=0.55))
    axes.plot(points["threshold"], points["cost"], color=LIGHT.measured, linewidth=2)
    axes.set_xlim(0, 1)
    lowest, highest = points["cost"].min(), points["cost"].max()
    axes.set_ylim(min(0, 1.08 * lowest), 1.08 * max(highest, 1e-9))
    axes.set_xlabel(f"threshold: predicted risk from which a row is flagged as at risk, n = {n:,}")
    axes.set_ylabel("mean cost per row")
    current = f"current threshold: {number(chosen, digits=3)}"
    if cheapest is not None and cheapest != chosen:
        _mark_threshold(
            axes, cheapest, f"cheapest threshold: {number(cheapest, digits=3)}", row=1, line="--"
        )
    elif cheapest is not None:
        current += ", the cheapest"
    _mark_threshold(axes, chosen, current, row=0, line="-")
    return figure


def _wrapped(words: str) -> str:
    return "\n".join(textwrap.wrap(words, LETTERS))


def _mark_chosen(axes: Axes, chosen: Point, words: str) -> None:
    look: dict[str, Any] = {"markersize": 8, "zorder": 5, "clip_on": False}
    axes.plot(*chosen, "D", color=LIGHT.estimated, label=_wrapped(words), linestyle="None", **look)


def _square(axes: Axes, *, highest: float = 1.0) -> None:
    """Set both axes to the same scale, and place the legend beside the plot."""
    axes.set(xlim=(0, highest), ylim=(0, 1.02 * highest))
    in_percent(axes.xaxis)
    in_percent(axes.yaxis)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.04, 1),
        frameon=False,
        borderaxespad=0,
        labelspacing=1.2,
        labelcolor=LIGHT.ink,
    )


def _mark_threshold(axes: Axes, threshold: float, words: str, *, row: int, line: str) -> None:
    """Draw a line at a threshold, with its label above it within the plot's width."""
    width, height = Frame(height=3.2, above=0.55).inner
    axes.axvline(threshold, color=LIGHT.ink, linewidth=1.4, linestyle=line)
    half = inches(words) / 2 / width
    middle = min(max(threshold, half), 1 - half)
    place = 1 + (0.05 + LABEL_ROW * row) / height
    axes.text(middle, place, words, transform=axes.transAxes, ha="center", color=LIGHT.ink)
