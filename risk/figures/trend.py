"""Trend plot of a score over time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED
from risk.figures.canvas import LIGHT, PAGE, Frame, Theme, canvas, say_instead
from risk.figures.labels import fitted, span, spread
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDS = {MEASURED: "measured ●\non labelled rows", ESTIMATED: "estimated - -\nwithout labels"}
MIN_POINTS = 2
MAX_MARKED = 120  # points, more of which would be one thick line
GAP = 3  # times the usual time between points, so that weekends of daily scores are none
LABELS_APART, MARKS_APART, HEIGHT_OF_MARKS = 0.36, 0.66, 0.2  # inches
ROWS_OF_MARKS = 3
ROOM = Frame(height=4.2, left=0.6, right=1.35, below=0.95, above=0.75)
ON_PAPER = 3.2  # the height in a report, whose first page also has the answers


def score_trend(
    points: pd.DataFrame,
    changes: pd.DataFrame,
    *,
    metric: str,
    theme: Theme = LIGHT,
    width: float = PAGE,
) -> Figure:
    """Draw a score over time with its intervals, and the moments at which releases went live.

    `points` has at, kind (measured, estimated or promised), value, lower, upper and n, and perhaps
    version and alarm_line; `changes` has at and label.
    """
    if not can_be_drawn(points):
        words = "not enough data: a trend needs the scores of two runs"
        return say_instead(words, theme=theme, width=width)
    points = points.dropna(subset="value").sort_values("at")
    runs = points[points["kind"] != PROMISED]
    room = replace(ROOM, width=width, height=ON_PAPER if width == PAGE else ROOM.height)
    figure, axes = canvas(room, theme=theme)
    _draw_runs(axes, _of_kind(points, ESTIMATED), theme.estimated, line="--")
    _draw_runs(axes, _of_kind(points, MEASURED), theme.measured, line="-")
    _draw_alarm_lines(axes, _of_kind(points, MEASURED), theme)
    _draw_tests(axes, _of_kind(points, PROMISED), theme)
    _set_bounds(axes, points)
    _label_ends(axes, runs, theme)
    _mark_changes(axes, changes[changes["at"] >= points["at"].min()], theme)
    figure.text(0.02, 0.02, _explanation(points), color=theme.faint)
    axes.set_ylabel(fitted(metric, room.inner[1]), color=theme.ink)
    return figure


def can_be_drawn(points: pd.DataFrame) -> bool:
    """Say whether a score of one kind is known of enough runs."""
    runs = points.dropna(subset="value").query("kind != @PROMISED")
    return len(runs) > 0 and int(runs["kind"].value_counts().max()) >= MIN_POINTS


def _inches(axes: Axes) -> tuple[float, float]:
    """Return width and height of the plot area."""
    place = axes.get_position()
    figure: Any = axes.figure
    width, height = figure.get_size_inches()
    return float(place.width * width), float(place.height * height)


def _of_kind(points: pd.DataFrame, kind: str) -> pd.DataFrame:
    return points[points["kind"] == kind]


def _draw_runs(axes: Axes, points: pd.DataFrame, colour: str, *, line: str) -> None:
    if points.empty:
        return
    is_crowded = len(points) > MAX_MARKED
    for piece in _pieces(points):
        at, (value, lower, upper) = piece["at"], _numbers(piece, "value", "lower", "upper")
        axes.fill_between(at, lower, upper, color=colour, alpha=0.16, linewidth=0)
        marker = "o" if (line == "-" and not is_crowded) or len(piece) == 1 else "None"
        axes.plot(at, value, line, color=colour, linewidth=1.8, marker=marker, markersize=3.2)


def _draw_alarm_lines(axes: Axes, points: pd.DataFrame, theme: Theme) -> None:
    if not _has_alarm_line(points):
        return
    for piece in _pieces(points):
        (line,) = _numbers(piece, "alarm_line")
        axes.plot(piece["at"], line, color=theme.ink, linewidth=1, linestyle=(0, (1, 1.2)))


def _has_alarm_line(points: pd.DataFrame) -> bool:
    return "alarm_line" in points and bool(points["alarm_line"].notna().any())


def _pieces(points: pd.DataFrame) -> list[pd.DataFrame]:
    """Split points where nothing was known for long, and by release: no line bridges that."""
    usual = points["at"].drop_duplicates().diff().median()
    version = points["version"] if "version" in points else pd.Series(0, points.index)
    release = version.fillna(0)  # it may come back, long after it was replaced
    is_gap = points["at"].groupby(release).diff() > GAP * usual
    keys = [release, is_gap.groupby(release).cumsum()]
    return [piece for _, piece in points.groupby(keys, sort=False)]


def _draw_tests(axes: Axes, points: pd.DataFrame, theme: Theme) -> None:
    if points.empty:
        return
    value, lower, upper = _numbers(points, "value", "lower", "upper")
    errors = [(value - lower).clip(0), (upper - value).clip(0)]
    look: dict[str, Any] = {"fmt": "D", "markersize": 5, "linewidth": 1.2, "capsize": 3}
    axes.errorbar(points["at"], value, errors, color=theme.ink, zorder=4, **look)


def _numbers(points: pd.DataFrame, *names: str) -> list[pd.Series[float]]:
    return [points[name].astype("float64") for name in names]


def _set_bounds(axes: Axes, points: pd.DataFrame) -> None:
    """Set the y-axis to 0 to 1, or to the range of the data for an unbounded score."""
    shown = points[["value", "lower", "upper"]].to_numpy(dtype="float64", na_value=0)
    lowest, highest = float(shown.min()), float(shown.max())
    if 0 <= lowest and highest <= 1:
        axes.set_ylim(0, 1)
    else:
        axes.set_ylim(min(0, 1.05 * lowest), max(0, 1.05 * highest))
    locator = _dates().AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    first, last = points["at"].min(), points["at"].max()
    names_months = last - first > pd.Timedelta(days=31)
    of_days = "%Y" if names_months else "%B %Y"
    offsets = ["", "%Y", of_days, *["%d %B %Y"] * 3]
    formatter = _dates().ConciseDateFormatter(locator, offset_formats=offsets)
    axes.xaxis.set_major_formatter(formatter)
    axes.margins(x=0.01)


def _label_ends(axes: Axes, runs: pd.DataFrame, theme: Theme) -> None:
    """Label the end of each line with its kind and its last value."""
    last = runs.groupby("kind")["value"].last().sort_values()
    heights = [float(axes.transLimits.transform((0, value))[1]) for value in last]
    apart = LABELS_APART / _inches(axes)[1]
    for kind, value, height in zip(last.index, last, spread(heights, apart), strict=True):
        words = f"{value:.2f} {ENDS[kind]}"
        axes.text(
            1.015,
            height,
            words,
            transform=axes.transAxes,
            va="center",
            color=getattr(theme, kind),
        )


def _mark_changes(axes: Axes, changes: pd.DataFrame, theme: Theme) -> None:
    """Mark where releases went live, with names above, newest first, where there is room."""
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
        )


def _dates() -> Any:
    import matplotlib.dates

    return matplotlib.dates


def _explanation(points: pd.DataFrame) -> str:
    """Return the note on rows per point, intervals and test scores."""
    parts = [
        f"{words} {span(n)}"
        for kind, words in ((MEASURED, "labelled"), (ESTIMATED, "all"))
        if len(n := _of_kind(points, kind)["n"])
    ]
    has_line = _has_alarm_line(_of_kind(points, MEASURED))
    line = "\nDotted: an alarm needs a score beyond it." if has_line else ""
    tested = "" if _of_kind(points, PROMISED).empty else " Diamonds: before it went live."
    bands = "Bands: the likely range."
    return f"Rows per point: {'; '.join(parts)}.\n{bands}{tested}{line}"
