"""What stands on a page, each piece marked for those who cannot see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak, Flowable, LongTable
from reportlab.platypus import Paragraph as PlainParagraph
from reportlab.platypus.tableofcontents import TableOfContents

from risk.figures import fonts
from risk.report.pdf.tags import Element, decoration

INK, FAINT, LINE, ACCENT = (HexColor(f"#{c}") for c in ("1b2430", "5a6675", "c9d1da", "005a9c"))
BODY = 9.5
LEADING = 1.42
TALLEST_FIGURE = 440.0  # points; larger ones would leave no room for words
MIN_SHARE = 0.85  # of its usual size, rather than to begin a new page
FONT = ("FONTNAME", (0, 0), (-1, -1), fonts.TEXT)  # of tables; reportlab's own is not embedded


def style(size: float = BODY, **options: Any) -> ParagraphStyle:
    """Give the style of a text; all others are variations of it."""
    usual = {"fontName": fonts.TEXT, "bulletFontName": fonts.TEXT, "textColor": INK}
    usual["leading"] = LEADING * size
    return ParagraphStyle(f"{size} {sorted(options)}", fontSize=size, **(usual | options))


@dataclass(frozen=True)
class Place:
    """Where a heading is found: its title, how deep it is, the name of its bookmark."""

    title: str
    level: int
    key: str


class Text(PlainParagraph):  # type: ignore[misc]
    """A paragraph of plain text; what it is split into belongs to the same element."""

    element: Element
    place: Place | None = None
    _room: float | None = None
    _size: tuple[float, float] = (0, 0)

    @classmethod
    def of(cls, text: str, look: ParagraphStyle, element: Element, **options: Any) -> Text:
        """Write a text that may hold anything."""
        made = cls(fonts.marked_up(text).replace("\n", "<br/>"), look, **options)
        made.element = element
        return made

    def wrap(self, room: float, height: float) -> tuple[float, float]:
        """Break it into lines once for each width: tables ask four times, each of two passes."""
        if room != self._room or not hasattr(self, "blPara"):  # which a vain split drops
            self._room, self._size = room, super().wrap(room, height)
        return self._size

    def split(self, *room: float) -> list[Any]:
        """Split as a paragraph does, and keep what it is."""
        parts: list[Any] = super().split(*room)
        for part in parts:
            part.element = self.element
        return parts

    def drawOn(self, canvas: Any, *at: Any, **options: Any) -> None:  # noqa: N802
        """Draw and mark it."""
        with canvas.marks.marked(canvas, self.element):
            super().drawOn(canvas, *at, **options)


class Drawing(Flowable):  # type: ignore[misc]
    """The place that is kept for a figure, and its caption; smaller if the page is nearly full."""

    def __init__(self, name: str, size: tuple[float, float], caption: Text, what: str) -> None:
        super().__init__()
        self.name, self.size, self.caption = name, size, caption
        self.element = Element("Figure", alternative=what)

    def least_height(self, room: float) -> float:
        """Tell how much room it takes at least."""
        _, height = self.wrap(room, 0)
        return height - (1 - MIN_SHARE) * self.scale * self.size[1]

    def wrap(self, room: float, height: float) -> tuple[float, float]:
        """Tell how much room it takes; its form stays as it is."""
        _, below = self.caption.wrap(room, height)
        usual = min(1.0, room / self.size[0], TALLEST_FIGURE / self.size[1])
        fitting = (height - below) / self.size[1]
        self.scale = fitting if MIN_SHARE * usual <= fitting < usual else usual
        return room, self.size[1] * self.scale + below

    def getSpaceAfter(self) -> float:  # noqa: N802
        """Keep the distance its caption wants."""
        return float(self.caption.getSpaceAfter())

    def draw(self) -> None:
        """Keep the place; write the caption below."""
        canvas, below = self.canv, self.caption.height
        if not canvas.hasForm(self.name):
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
    """A new page, unless there is room for the beginning of what follows."""

    def least_height(self, _room: float) -> float:
        """Tell how much room that takes."""
        return float(self.height)


class Grid(LongTable):  # type: ignore[misc]
    """A table whose colours and lines are not read aloud."""

    def _drawBkgrnd(self) -> None:  # noqa: N802
        with decoration(self.canv):
            super()._drawBkgrnd()

    def _drawLines(self) -> None:  # noqa: N802
        with decoration(self.canv):
            super()._drawLines()


class Contents(TableOfContents):  # type: ignore[misc]
    """The contents, whose lines lead to the headings."""

    def __init__(self, *looks: ParagraphStyle) -> None:
        flush = [FONT, ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]
        super().__init__(levelStyles=list(looks), tableStyle=flush, dotsMinLevel=0)
        self.element = Element("TOC")

    def expect(self, places: list[Place]) -> None:
        """Take the room that all lines need from the first pass on, which saves a third one."""
        self._entries = [(place.level, place.title, 0, place.key) for place in places]

    def drawOn(self, canvas: Any, *at: Any, **options: Any) -> None:  # noqa: N802
        """Draw and mark it."""
        with canvas.marks.marked(canvas, self.element):
            super().drawOn(canvas, *at, **options)
