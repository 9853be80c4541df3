"""Flowables of a page, each tagged for assistive technology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, LongTable
from reportlab.platypus import Paragraph as PlainParagraph

from risk.figures import fonts
from risk.report.pdf.tags import Element, decoration

INK, FAINT, LINE, ACCENT = (HexColor(f"#{c}") for c in ("1b2430", "5a6675", "c9d1da", "005a9c"))
BODY = 9.5
LEADING = 1.42
TALLEST_FIGURE = 440.0  # points; larger ones would leave no room for words
MIN_SHARE = 0.85  # of its usual size, rather than to begin a new page
FONT = ("FONTNAME", (0, 0), (-1, -1), fonts.TEXT)  # of tables; reportlab's own is not embedded


def style(size: float = BODY, **options: Any) -> ParagraphStyle:
    """Return the style of a text; all others are variations of it."""
    usual = {"fontName": fonts.TEXT, "bulletFontName": fonts.TEXT, "textColor": INK}
    usual["leading"] = LEADING * size
    return ParagraphStyle(f"{size} {sorted(options)}", fontSize=size, **(usual | options))


ROOM_FOR_PAGE = 7 * mm
LINES_OF_CONTENTS = (
    style(BODY, rightIndent=ROOM_FOR_PAGE, spaceBefore=3.6 * mm, fontName=fonts.BOLD),
    style(8.5, rightIndent=ROOM_FOR_PAGE, leftIndent=6 * mm, spaceBefore=2.1 * mm),
)
DOT = " . "


@dataclass(frozen=True)
class Place:
    """A heading's title, level and bookmark."""

    title: str
    level: int
    key: str

    @property
    def is_in_contents(self) -> bool:
        """Whether the contents have a line for it."""
        return self.level < len(LINES_OF_CONTENTS)


class Text(PlainParagraph):  # type: ignore[misc]
    """A paragraph of plain text; its parts belong to the same element."""

    element: Element
    place: Place | None = None
    _room: float | None = None
    _size: tuple[float, float] = (0, 0)

    @classmethod
    def of(cls, text: str, look: ParagraphStyle, element: Element, **options: Any) -> Text:
        """Create a paragraph from any text."""
        made = cls(fonts.marked_up(text).replace("\n", "<br/>"), look, **options)
        made.element = element
        return made

    def wrap(self, room: float, height: float) -> tuple[float, float]:
        """Break the text into lines once per width, for which tables ask four times."""
        if room != self._room or not hasattr(self, "blPara"):  # which a vain split drops
            self._room, self._size = room, super().wrap(room, height)
        return self._size

    def split(self, *room: float) -> list[Any]:
        """Split like a paragraph, keeping the type."""
        parts: list[Any] = super().split(*room)
        for part in parts:
            part.element = self.element
        return parts

    def drawOn(self, canvas: Any, *at: Any, **options: Any) -> None:  # noqa: N802
        """Draw and tag it."""
        with canvas.marks.marked(canvas, self.element):
            super().drawOn(canvas, *at, **options)


class Drawing(Flowable):  # type: ignore[misc]
    """The space reserved for a figure, and its caption; smaller if the page is nearly full."""

    def __init__(self, name: str, size: tuple[float, float], caption: Text, what: str) -> None:
        super().__init__()
        self.name, self.size, self.caption = name, size, caption
        self.element = Element("Figure", alternative=what)

    def least_height(self, room: float) -> float:
        """Return the minimum height."""
        _, height = self.wrap(room, 0)
        return height - (1 - MIN_SHARE) * self.scale * self.size[1]

    def wrap(self, room: float, height: float) -> tuple[float, float]:
        """Return width and height; the aspect ratio is kept."""
        _, below = self.caption.wrap(room, height)
        usual = min(1.0, room / self.size[0], TALLEST_FIGURE / self.size[1])
        fitting = (height - below) / self.size[1]
        self.scale = fitting if MIN_SHARE * usual <= fitting < usual else usual
        return room, self.size[1] * self.scale + below

    def getSpaceAfter(self) -> float:  # noqa: N802
        """Return the space the caption requires."""
        return float(self.caption.getSpaceAfter())

    def draw(self) -> None:
        """Reserve the space; draw the caption below."""
        canvas, below = self.canv, self.caption.height
        canvas.beginForm(self.name, 0, 0, *self.size)
        canvas.endForm()
        with canvas.marks.marked(canvas, self.element):
            canvas.saveState()
            canvas.translate(0, below)
            canvas.scale(self.scale, self.scale)
            canvas.doForm(self.name)
            canvas.restoreState()
        self.caption.drawOn(canvas, 0, 0)


class Begin(CondPageBreak):  # type: ignore[misc]
    """A page break, unless there is room for the start of what follows."""

    def least_height(self, _room: float) -> float:
        """Return the height required."""
        return float(self.height)


class Grid(LongTable):  # type: ignore[misc]
    """A table whose colours and lines are not read aloud."""

    def _drawBkgrnd(self) -> None:  # noqa: N802
        with decoration(self.canv):
            super()._drawBkgrnd()

    def _drawLines(self) -> None:  # noqa: N802
        with decoration(self.canv):
            super()._drawLines()


class Entry(Text):
    """A line of the contents, which leads to a heading: title, dots, and a form with its page."""

    heading: Place

    @classmethod
    def to(cls, place: Place, element: Element) -> Entry:
        """Create the line of a heading."""
        title = f'{fonts.marked_up(place.title)}<onDraw name="end" label=""/>'
        made = cls(title, LINES_OF_CONTENTS[place.level])
        made.element, made.heading = element, place
        return made

    @staticmethod
    def write_page(canvas: Any, place: Place, page: int) -> None:
        """Write the page of a heading into the form that its line contains."""
        look = LINES_OF_CONTENTS[place.level]
        canvas.beginForm(f"page-{place.key}", 0, -look.fontSize, ROOM_FOR_PAGE, look.fontSize)
        canvas.setFont(look.fontName, look.fontSize)
        canvas.setFillColor(look.textColor)
        canvas.drawRightString(ROOM_FOR_PAGE, 0, str(page))
        canvas.endForm()

    def split(self, *_room: float) -> list[Any]:
        """Move the line to the next page as a whole."""
        return []

    def draw(self) -> None:
        """Draw the title; where it ends, the rest."""
        canvas, look, key = self.canv, self.style, self.heading.key
        canvas.setNamedCB("end", self._note_end)
        super().draw()
        (x, y), right = self._end, self.width - ROOM_FOR_PAGE
        canvas.setFont(look.fontName, look.fontSize)
        canvas.setFillColor(look.textColor)
        n_dots = int((right - x) / canvas.stringWidth(DOT))
        canvas.drawRightString(right, y, DOT * n_dots)
        canvas.saveState()
        canvas.translate(right, y)
        canvas.doForm(f"page-{key}")
        canvas.restoreState()
        canvas.linkRect("", key, (0, 0, self.width, self.height), relative=1)

    def _note_end(self, canvas: Any, *_: str) -> None:
        self._end = canvas._curr_tx_info["cur_x"], canvas._curr_tx_info["cur_y"]
