"""What is drawn: frames in, a figure out; nothing is saved here.

matplotlib is loaded by the first figure, so that whoever draws nothing does not wait for it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pandas as pd

from risk.situation import ESTIMATED, MEASURED, PROMISED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
FONTS = ["system-ui", "Segoe UI", "Helvetica Neue", "Arial", "DejaVu Sans"]
ENDS = {MEASURED: "measured\non labelled rows", ESTIMATED: "estimated\nwithout labels"}
FEWEST_POINTS = 2
LABELS_APART, MARKS_APART, HEIGHT_OF_MARKS = 0.36, 0.66, 0.2  # inches
ROWS_OF_MARKS = 3


@dataclass(frozen=True)
class Theme:
    """Colours that the colour-blind tell apart; form and label say the same without colour."""

    ink: str
    faint: str
    grid: str
    measured: str
    estimated: str


LIGHT = Theme(
    ink="#1b2430", faint="#5a6675", grid="#dfe4ea", measured="#005a9c", estimated="#a8480a"
)
DARK = Theme(
    ink="#e8edf3", faint="#a3b0be", grid="#33404f", measured="#6cb8f2", estimated="#f0a848"
)
THEMES = {"light": LIGHT, "dark": DARK}


def score_trend(
    points: pd.DataFrame,
    changes: pd.DataFrame,
    *,
    metric: str,
    theme: Theme = LIGHT,
    is_narrow: bool = False,
) -> Figure:
    """Draw a score over time with its intervals, and when which release went live.

    `points` has at, kind (measured, estimated or promised), value, lower, upper and n;
    `changes` has at and label.
    """
    figure, axes = _canvas(theme, is_narrow=is_narrow)
    points = points.dropna(subset="value").sort_values("at")
    runs = points[points["kind"] != PROMISED]
    if len(runs) == 0 or runs["kind"].value_counts().max() < FEWEST_POINTS:
        _say_instead(axes, "not enough data: a trend needs the scores of two runs", theme)
        return figure
    _draw_runs(axes, _of_kind(points, ESTIMATED), theme.estimated, line="--")
    _draw_runs(axes, _of_kind(points, MEASURED), theme.measured, line="-")
    _draw_tests(axes, _of_kind(points, PROMISED), theme)
    _set_bounds(axes, points)
    _label_ends(axes, runs, theme)
    _mark_changes(axes, changes[changes["at"] >= points["at"].min()], theme)
    figure.text(0.02, 0.02, _how_many(runs), color=theme.faint, fontsize=9)
    axes.set_ylabel(metric, color=theme.ink)
    return figure


def as_svg(figure: Figure) -> bytes:
    """Write a figure as SVG without inline styles, which strict pages refuse; text stays text."""
    import matplotlib

    matplotlib.rcParams["svg.fonttype"] = "none"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for rule in parent.attrib.pop("style", "").split(";"):
            name, _, value = rule.partition(":")
            if value:
                parent.set(name.strip(), value.strip())
        for sheet in parent.findall(f"{{{SVG}}}style"):
            parent.remove(sheet)
    root.set("stroke-linejoin", "round")
    return ElementTree.tostring(root)


def _canvas(theme: Theme, *, is_narrow: bool) -> tuple[Figure, Axes]:
    """Give the one style of all figures: no frame, a quiet grid, no background of its own."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["font.sans-serif"] = FONTS
    width, height = (4.2, 4.2) if is_narrow else (9.0, 4.2)
    left, right, below, above = 0.6, 1.35, 0.95, 0.75
    figure = Figure(figsize=(width, height))
    figure.patch.set_alpha(0)
    inner = (width - left - right) / width, (height - below - above) / height
    axes = figure.add_axes((left / width, below / height, *inner))
    axes.patch.set_alpha(0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.faint, labelsize=9, length=0)
    axes.xaxis.get_offset_text().set_color(theme.faint)
    return figure, axes


def _inches(axes: Axes) -> tuple[float, float]:
    """Tell how wide and high the drawing is."""
    place = axes.get_position()
    figure: Any = axes.figure
    width, height = figure.get_size_inches()
    return float(place.width * width), float(place.height * height)


def _say_instead(axes: Axes, words: str, theme: Theme) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=theme.ink)


def _of_kind(points: pd.DataFrame, kind: str) -> pd.DataFrame:
    return points[points["kind"] == kind]


def _draw_runs(axes: Axes, points: pd.DataFrame, colour: str, *, line: str) -> None:
    if points.empty:
        return
    at, (value, lower, upper) = points["at"], _numbers(points, "value", "lower", "upper")
    axes.fill_between(at, lower, upper, color=colour, alpha=0.16, linewidth=0)
    marker = "o" if line == "-" else "None"
    axes.plot(at, value, line, color=colour, linewidth=1.8, marker=marker, markersize=3.2)


def _draw_tests(axes: Axes, points: pd.DataFrame, theme: Theme) -> None:
    if points.empty:
        return
    value, lower, upper = _numbers(points, "value", "lower", "upper")
    errors = [(value - lower).fillna(0), (upper - value).fillna(0)]
    look: dict[str, Any] = {"fmt": "D", "markersize": 5, "linewidth": 1.2, "capsize": 3}
    axes.errorbar(points["at"], value, errors, color=theme.ink, zorder=4, **look)
    axes.annotate(
        "test data",
        (points["at"].iloc[-1], lower.fillna(value).iloc[-1]),
        xytext=(0, -13),
        textcoords="offset points",
        ha="center",
        color=theme.ink,
        fontsize=9,
    )


def _numbers(points: pd.DataFrame, *names: str) -> list[pd.Series[float]]:
    return [points[name].astype("float64") for name in names]


def _set_bounds(axes: Axes, points: pd.DataFrame) -> None:
    """Show all a score can be, 0 to 1, or from 0 up where it has no upper end."""
    highest = float(points[["value", "upper"]].to_numpy(dtype="float64", na_value=0).max())
    axes.set_ylim(0, 1 if highest <= 1 else 1.05 * highest)
    locator = _dates().AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(_dates().ConciseDateFormatter(locator))
    axes.margins(x=0.01)


def _label_ends(axes: Axes, runs: pd.DataFrame, theme: Theme) -> None:
    """Write beside the end of each line what it is and its last value."""
    last = runs.groupby("kind")["value"].last().sort_values()
    wanted = [float(axes.transLimits.transform((0, value))[1]) for value in last]
    apart = LABELS_APART / _inches(axes)[1]
    for kind, value, height in zip(last.index, last, _spread(wanted, apart), strict=True):
        words = f"{value:.2f} {ENDS[kind]}"
        axes.text(
            1.015,
            height,
            words,
            transform=axes.transAxes,
            va="center",
            color=getattr(theme, kind),
            fontsize=9,
            fontweight="bold",
        )


def _spread(heights: Sequence[float], apart: float) -> list[float]:
    """Move labels apart, from the lowest up, so that none covers another."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + apart) if moved else height)
    return moved


def _mark_changes(axes: Axes, changes: pd.DataFrame, theme: Theme) -> None:
    """Draw a line where a release went live; above it its name, the newest first, if it fits."""
    first, last = axes.get_xlim()
    width, height = _inches(axes)
    taken = [2 * width] * ROWS_OF_MARKS
    for at, label in zip(changes["at"][::-1], changes["label"][::-1], strict=True):
        moment = float(_dates().date2num(at))
        place = width * (moment - first) / (last - first)
        middle = max(place, MARKS_APART / 2)
        axes.axvline(moment, color=theme.faint, linewidth=1, linestyle=(0, (1, 2)))
        free = [row for row, end in enumerate(taken) if end - middle >= MARKS_APART]
        if not free:
            continue
        taken[free[0]] = middle
        axes.text(
            middle / width,
            1 + (0.08 + HEIGHT_OF_MARKS * free[0]) / height,
            label,
            transform=axes.transAxes,
            ha="center",
            color=theme.ink,
            fontsize=9,
        )


def _dates() -> Any:
    import matplotlib.dates

    return matplotlib.dates


def _how_many(runs: pd.DataFrame) -> str:
    """Tell how many rows a point stands for; the shaded bands are their intervals."""
    told = [
        f"{words} {n.min():,} to {n.max():,}"
        for kind, words in ((MEASURED, "labelled"), (ESTIMATED, "all"))
        if len(n := _of_kind(runs, kind)["n"])
    ]
    return f"Rows per point: {'; '.join(told)}.\nBands are confidence intervals."
