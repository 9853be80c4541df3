"""Row plots: one row per name, with the name on the left and a number on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from risk.figures.canvas import LIGHT, PAGE, Frame, Theme, canvas
from risk.figures.labels import fitted_all, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, MAX_ROOM = 0.24, 2.4  # inches
ABOVE = 0.4  # inches, for the legend
BAR = 0.62  # of a row
GAP = 0.12  # inches between the plot and the numbers


def rows_of(
    names: Sequence[Any], numbers: Sequence[str], *, theme: Theme = LIGHT, foot: str = ""
) -> tuple[Figure, Axes]:
    """Return a figure with a row per name, a number beside each, and a note at its foot."""
    short, left = fitted_all(names, MAX_ROOM)
    right = max(map(inches, numbers), default=0.0)
    below = 0.78 if foot else 0.58
    height = ABOVE + ROW * len(short) + below
    frame = Frame(PAGE, height, left=left + 0.2, right=right + 0.25, below=below, above=ABOVE)
    figure, axes = canvas(frame, theme=theme, grid="x")
    name_rows(axes, short, numbers, theme=theme)
    note(figure, foot, theme=theme)
    return figure, axes


def name_rows(
    axes: Axes, names: Sequence[str], numbers: Sequence[str], *, theme: Theme = LIGHT
) -> None:
    """Label the rows with names and numbers, the first row on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for row, words in enumerate(numbers):
        axes.annotate(
            words,
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(72 * GAP, 0),
            textcoords="offset points",
            va="center",
            color=theme.ink,
            annotation_clip=False,
        )


def explain_above(axes: Axes, handles: Sequence[Any], *, theme: Theme = LIGHT) -> None:
    """Draw the legend in one line above the plot."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles),
        frameon=False,
        borderpad=0.2,
        borderaxespad=0,
        handlelength=1.5,
        handletextpad=0.6,
        columnspacing=1.2,
        labelcolor=theme.ink,
    )


def note(figure: Figure, words: str, *, theme: Theme = LIGHT) -> None:
    """Write a note at the foot of a figure."""
    height = figure.get_size_inches()[1]
    figure.text(0.012, 0.08 / height, words, color=theme.faint)
