"""Labels: names and numbers, shortened to the available space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from risk.figures.canvas import TEXT, any_letter
from risk.lazily import pandas as pd

GAP = "…"
MAX_LETTERS = 200
MAX_DIGITS = 9
POINTS = 72  # in an inch


def plain(text: Any) -> str:
    """Return a text on one line, without unprintable characters."""
    letters = (letter if letter.isprintable() else " " for letter in str(text))
    return " ".join("".join(letters).split())


def inches(text: str, *, size: float = TEXT) -> float:
    """Return the width of a text as drawn."""
    from matplotlib.backends import backend_agg
    from matplotlib.font_manager import FontProperties

    one_pixel: Any = backend_agg.RendererAgg(1, 1, POINTS)  # type: ignore[no-untyped-call]
    with any_letter():
        extent = one_pixel.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(extent[0]) / POINTS


def fitted(text: Any, room: float, *, size: float = TEXT) -> str:
    """Shorten a text in the middle until it is no wider than `room` inches."""
    whole = plain(text)
    if len(whole) > MAX_LETTERS:
        whole = _without_middle(whole, MAX_LETTERS)
    if inches(whole, size=size) <= room:
        return whole
    fits, too_long = 0, len(whole)
    while too_long - fits > 1:
        kept = (fits + too_long) // 2
        if inches(_without_middle(whole, kept), size=size) <= room:
            fits = kept
        else:
            too_long = kept
    return _without_middle(whole, fits)


def fitted_all(texts: Sequence[Any], room: float) -> tuple[list[str], float]:
    """Return texts of one column, shortened, and the width of the widest."""
    short = [fitted(text, room) for text in texts]
    return short, max(map(inches, short), default=0.0)


def number(value: float, *, digits: int = 4) -> str:
    """Format a number for reading, with its significant digits only."""
    if 1000 <= abs(value) < 1e7 and digits <= 4:
        return f"{value:,.0f}"
    return f"{value + 0.0:.{digits}g}"  # never -0


def numbers(values: Sequence[float]) -> list[str]:
    """Format increasing numbers with as few digits as distinguish them, within a limit."""
    for digits in range(3, MAX_DIGITS + 1):
        written = [number(value, digits=digits) for value in values]
        if len(set(written)) == len(set(values)):
            break
    return written


def named(value: Any) -> str:
    """Format a value of a table, also if it is missing."""
    if pd.isna(value):
        return "(missing)"
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return number(value) if is_number else str(value)


def percent(share: float) -> str:
    """Format a share as percent; a small one never shows as 0%, nor an incomplete one as 100%."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.1%}" if 0 < share < 0.095 else f"{share:.0%}"


def span(numbers: pd.Series[int]) -> str:
    """Format the range of some numbers."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Return label positions moved apart, from the lowest up, so that none overlap."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart) if moved else place)
    return moved


def _without_middle(text: str, kept: int) -> str:
    """Shorten a text in its middle, as names that begin alike often differ at their end."""
    behind = kept // 2
    return text[: kept - behind] + GAP + text[len(text) - behind :]
