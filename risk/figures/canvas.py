"""Basis of all figures: colours, sizes, style, and export to SVG and PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from risk.figures import fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
WIDE, PAGE, NARROW = 9.0, 6.7, 4.2  # inches: a screen, a printed page, a phone
DOTS_PER_INCH = 150
SMALL, TEXT = 8, 9  # points
STYLE: Any = {
    "font.family": ["sans-serif", fonts.ASIAN],  # the second for glyphs missing in the first
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica Neue", "Arial", fonts.TEXT],
    "font.size": TEXT,
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "the same figure, the same bytes",
}


@dataclass(frozen=True)
class Theme:
    """Colours safe for colour-blind readers; shape and label carry the same information."""

    ink: str
    faint: str
    grid: str
    measured: str
    estimated: str
    quiet: str


LIGHT = Theme(
    ink="#1b2430",
    faint="#5a6675",
    grid="#dfe4ea",
    measured="#005a9c",
    estimated="#a8480a",
    quiet="#b9c2cd",
)
DARK = Theme(
    ink="#e8edf3",
    faint="#a3b0be",
    grid="#33404f",
    measured="#6cb8f2",
    estimated="#f0a848",
    quiet="#5d6b7b",
)
THEMES = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True)
class Frame:
    """Size and margins of a figure, in inches."""

    width: float = PAGE
    height: float = 3.2
    left: float = 0.65
    right: float = 0.25
    below: float = 0.6
    above: float = 0.4

    @property
    def inner(self) -> tuple[float, float]:
        """Width and height of the plot area."""
        return self.width - self.left - self.right, self.height - self.below - self.above


def canvas(frame: Frame, *, theme: Theme = LIGHT, grid: str = "y") -> tuple[Figure, Axes]:
    """Return a figure and axes without spines, with a light grid and a transparent background."""
    figure = blank(frame)
    return figure, add_axes(figure, frame, theme=theme, grid=grid)


def blank(frame: Frame) -> Figure:
    """Return an empty figure with a transparent background."""
    from matplotlib.figure import Figure

    _set_style()
    figure = Figure(figsize=(frame.width, frame.height))
    figure.patch.set_facecolor("none")
    return figure


def add_axes(figure: Figure, frame: Frame, *, theme: Theme = LIGHT, grid: str = "y") -> Axes:
    """Add axes within the margins of the frame; `grid` is x, y or both."""
    width, height = frame.inner
    place = frame.left / frame.width, frame.below / frame.height
    axes = figure.add_axes((*place, width / frame.width, height / frame.height))
    axes.patch.set_facecolor("none")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(axis=grid, color=theme.grid, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.faint, labelcolor=theme.ink, labelsize=TEXT, length=0, pad=6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(theme.ink)
    axes.xaxis.get_offset_text().set_color(theme.faint)
    return axes


def say_instead(words: str, *, theme: Theme = LIGHT, width: float = PAGE) -> Figure:
    """Return a low figure with a text instead of a plot."""
    figure = blank(Frame(width=width, height=1.0))
    figure.text(0.5, 0.5, words, ha="center", va="center", color=theme.ink, wrap=True)
    return figure


def in_percent(axis: Any, *, most: int = 6) -> None:
    """Format the tick labels of an axis of shares as percentages."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, text as text, without the inline styles a strict CSP blocks."""
    _set_style()
    buffer = io.BytesIO()
    with any_letter():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    for node in list(root.iter()):
        for rule in node.attrib.pop("style", "").split(";"):
            name, _, value = rule.partition(":")
            if value:
                node.set(name.strip(), value.strip())
        for sheet in node.findall(f"{{{SVG}}}style"):
            node.remove(sheet)
        if node.tag == f"{{{SVG}}}g":
            node.attrib.pop("id", None)  # IDs would repeat if several figures share a page
    root.set("stroke-linejoin", "round")
    return ElementTree.tostring(root)


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG on white, at print resolution."""
    buffer = io.BytesIO()
    with any_letter():
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


@contextmanager
def any_letter() -> Iterator[None]:
    """Suppress matplotlib's warning for a glyph that no font has; a box is drawn for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _set_style() -> None:
    import matplotlib
    from matplotlib import font_manager

    font_manager.fontManager.addfont(fonts.file_of(fonts.ASIAN))
    matplotlib.rcParams.update(STYLE)
