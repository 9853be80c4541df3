"""Tables: columns as wide as needed, headings on every page, numbers aligned right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from risk.figures import fonts
from risk.report.document import Table, numeric_columns, rows_as_text
from risk.report.pdf.flowables import FAINT, FONT, INK, LINE, Begin, Grid, Text, style
from risk.report.pdf.tags import Element

SIZES = (8.0, 7.0, 6.0)  # the largest in which no word is cut
PADDING = 1.4 * mm
AROUND = 2 * PADDING + 1
MAX_WORD_LENGTH = 16  # times the size of its letters; a longer one may be cut
ROOM, MAX_ROOM = 20 * mm, 65 * mm  # for its first rows; otherwise it begins on a new page
ROOM_OF_CAPTION, BELOW = 8 * mm, 4 * mm
MAX_ROWS_TOGETHER = 12  # fewer stay on one page
MEASURED_ROWS = 200
RIGHT = 2
CAPTION = style(8.5, fontName=fonts.BOLD, spaceBefore=2 * mm, spaceAfter=1 * mm)
OMITTED = style(7.5, textColor=FAINT, spaceBefore=1 * mm, spaceAfter=BELOW)
LOOK = [
    FONT,
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), PADDING),
    ("RIGHTPADDING", (0, 0), (-1, -1), PADDING),
    ("TOPPADDING", (0, 0), (-1, -1), 0.8 * mm),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1 * mm),
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
    ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE),
]


def laid_out(table: Table, room: float) -> Iterator[Flowable]:
    """Return the flowables of a table: caption, table, note on rows not shown."""
    grid = _grid(table, room)
    height = grid.wrap(room, 0)[1] if len(table.rows) <= MAX_ROWS_TOGETHER else 0
    yield Begin(ROOM_OF_CAPTION + min(max(height, ROOM), MAX_ROOM))
    if table.caption:
        yield Text.of(table.caption, CAPTION, Element("P"))
    yield grid
    if table.omitted:
        yield Text.of(table.omitted, OMITTED, Element("P"))


def share_out(wanted: Sequence[float], needed: Sequence[float], room: float) -> list[float]:
    """Give each column its full width or, without enough room, its minimum and a fair share.

    The remaining room is shared equally, but none exceeds its full width.

    >>> share_out([100, 300], [50, 60], room=210)
    [100.0, 110.0]
    """
    if sum(wanted) <= room:
        return list(wanted)
    if sum(needed) >= room:
        return [room * need / sum(needed) for need in needed]
    more = [w - n for w, n in zip(wanted, needed, strict=True)]
    widths, free = [float(n) for n in needed], room - sum(needed)
    modest_first = sorted(range(len(more)), key=more.__getitem__)
    for served, column in enumerate(modest_first):
        got = min(more[column], free / (len(more) - served))
        widths[column] += got
        free -= got
    return widths


def _grid(table: Table, room: float) -> Grid:
    texts = rows_as_text(table)
    measured = [list(table.columns), *texts[:MEASURED_ROWS]]
    lines, words = _widest(measured), _narrowest(measured)
    size = next((size for size in SIZES if sum(_at(size, words)) <= room), SIZES[-1])
    if sum(_at(size, lines)) > room:
        lines = _widest(measured, headings_in_words=True)
    widths = share_out(_at(size, lines), _at(size, words), room)
    content = _content(table, texts, size)
    look = {"repeatRows": 1, "splitInRow": 1, "hAlign": "LEFT", "style": LOOK}
    return Grid(content, widths, spaceAfter=0 if table.omitted else BELOW, **look)


def _at(size: float, widths: Sequence[float]) -> list[float]:
    """Convert widths in font sizes to points, with the distance between columns."""
    return [size * width + AROUND for width in widths]


def _widest(rows: list[list[str]], *, headings_in_words: bool = False) -> list[float]:
    """Return the width of each column if only headings are wrapped, or nothing is."""
    heads = [head.split(" ") if headings_in_words else [head] for head in rows[0]]
    columns = zip(*rows, strict=True)
    return [
        max(_widths([*head, *texts], heads=len(head)))
        for head, (_, *texts) in zip(heads, columns, strict=True)
    ]


def _narrowest(rows: list[list[str]]) -> list[float]:
    """Return the minimum width of each column so that no word is cut, except very long ones."""
    columns = zip(*rows, strict=True)
    words = [[word for text in column for word in text.split(" ")] for column in columns]
    heads = [len(head.split(" ")) for head in rows[0]]
    return [
        min(max(_widths(column, heads=n)), MAX_WORD_LENGTH)
        for column, n in zip(words, heads, strict=True)
    ]


def _widths(texts: Sequence[str], *, heads: int = 1) -> Iterator[float]:
    """Measure texts, the first of which belong to a heading."""
    for number, text in enumerate(texts):
        yield fonts.width(text, 1, is_bold=number < heads)


def _content(table: Table, texts: list[list[str]], size: float) -> list[list[Any]]:
    whole = Element("Table")
    aligned = [{"alignment": RIGHT} if right else {} for right in numeric_columns(table)]
    heads = [style(size, fontName=fonts.BOLD, leading=1.25 * size, **look) for look in aligned]
    looks = [style(size, leading=1.25 * size, **look) for look in aligned]
    kinds = [("TH", heads, list(table.columns)), *(("TD", looks, row) for row in texts)]
    return [_row(role, styles, row, Element("TR", whole)) for role, styles, row in kinds]


def _row(role: str, styles: Sequence[Any], texts: list[str], row: Element) -> list[Any]:
    return [
        Text.of(text, look, Element(role, row)) for text, look in zip(texts, styles, strict=True)
    ]
