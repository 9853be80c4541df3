"""Conversion of a document to flowables, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, PageBreak

from risk.figures import fonts
from risk.report.document import Bullets, Document, Paragraph, Picture, Section, Table
from risk.report.pdf import tables, vectors
from risk.report.pdf.flowables import (
    ACCENT,
    BODY,
    FAINT,
    FONT,
    Begin,
    Drawing,
    Entry,
    Grid,
    Place,
    Text,
    style,
)
from risk.report.pdf.page import INNER_WIDTH, Total
from risk.report.pdf.tags import Element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS_PER_INCH = 72
ROOM_FOR = (70 * mm, 30 * mm, 25 * mm)  # a heading, by its level; otherwise a new page begins
GAP = 2.2 * mm
TITLE = style(20, textColor=ACCENT, fontName=fonts.BOLD, leading=25)
SUBTITLE = style(10, textColor=FAINT, spaceAfter=4 * mm)
HEADINGS = [
    style(size, fontName=fonts.BOLD, spaceBefore=before * mm, spaceAfter=GAP, keepWithNext=1)
    for size, before in ((15, 7), (11.5, 5), (BODY, 3.5))
]
LOOKS = {
    "plain": style(spaceAfter=GAP),
    "lead": style(12, spaceAfter=GAP, fontName=fonts.BOLD),
    "aside": style(8, textColor=FAINT, spaceAfter=GAP),
}
VERDICTS = {"good": "1a6b3c", "warning": "9a6200", "bad": "a3171c"}
SIGNS = {"good": "✓", "warning": "!", "bad": "✗"}
BULLET, LAST_BULLET = (
    style(leftIndent=4 * mm, bulletIndent=1 * mm, spaceAfter=after * mm) for after in (1.2, 3.4)
)
CAPTION = style(8, textColor=FAINT, spaceAfter=4 * mm)


class Story:
    """All flowables of a document, and the figures for which space is reserved."""

    def __init__(self, document: Document) -> None:
        self.figures: list[Figure] = []
        self._places: list[Place] = []
        self.flowables = list(_with_words(list(self._of(document))))

    def _of(self, document: Document) -> Iterator[Flowable]:
        yield Text.of(document.title, TITLE, Element("H1"))
        yield Text.of(document.subtitle, SUBTITLE, Element("P"))
        for number, section in enumerate(document.sections):
            if number > 0:  # a few sentences need no page of their own
                yield PageBreak() if _has_picture(section) else CondPageBreak(ROOM_FOR[0])
            yield from self._section(section, 0)
        if document.details:
            if document.sections:
                yield PageBreak()
            yield Text.of("Contents", HEADINGS[0], Element("H2"))
            details = list(self._details(document))  # until then not all places are known
            yield from self._contents()
            yield from details
        yield Total()

    def _details(self, document: Document) -> Iterator[Flowable]:
        for chapter in document.details:
            yield CondPageBreak(ROOM_FOR[0])
            yield from self._section(chapter, 0)

    def _contents(self) -> Iterator[Flowable]:
        whole = Element("TOC")
        for place in self._places:
            if place.is_in_contents:
                yield Entry.to(place, Element("TOCI", whole))

    def _section(self, section: Section, level: int) -> Iterator[Flowable]:
        heading = Text.of(section.title, HEADINGS[min(level, 2)], Element(f"H{level + 2}"))
        heading.place = Place(section.title, level, f"heading{len(self._places)}")
        self._places.append(heading.place)
        yield heading
        for number, block in enumerate(section.blocks):
            if isinstance(block, Section) and number > 0:
                yield CondPageBreak(ROOM_FOR[min(level + 1, 2)])
            yield from self._block(block, level)

    def _block(self, block: Any, level: int) -> Iterator[Flowable]:
        match block:
            case Section():
                yield from self._section(block, level + 1)
            case Paragraph():
                yield _paragraph(block)
            case Bullets():
                yield from _bullets(block)
            case Picture():
                yield self._picture(block)
            case Table():
                yield from tables.laid_out(block, INNER_WIDTH)

    def _picture(self, picture: Picture) -> Flowable:
        width, height = POINTS_PER_INCH * picture.figure.get_size_inches()
        name = vectors.place_of(len(self.figures))
        self.figures.append(picture.figure)
        caption = Text.of(picture.caption, CAPTION, Element("Caption"))
        return Drawing(name, (width, height), caption, picture.alternative)


def _with_words(flowables: list[Flowable]) -> Iterator[Flowable]:
    """Keep a figure or table on the page of the text that introduces it."""
    for number, flowable in enumerate(flowables):
        if isinstance(flowable, Text) and not isinstance(flowables[number - 1], Text):
            words = list(takewhile(lambda next_one: isinstance(next_one, Text), flowables[number:]))
            what = flowables[number + len(words)]
            if isinstance(what, Drawing | Begin):
                yield CondPageBreak(sum(map(_height, words)) + what.least_height(INNER_WIDTH))
        yield flowable


def _has_picture(block: Any) -> bool:
    if isinstance(block, Section):
        return any(map(_has_picture, block.blocks))
    return isinstance(block, Picture)


def _height(text: Text) -> float:
    around = text.getSpaceBefore() + text.getSpaceAfter()
    return float(text.wrap(INNER_WIDTH, 0)[1] + around)


def _paragraph(paragraph: Paragraph) -> Flowable:
    if paragraph.tone not in VERDICTS:
        return Text.of(paragraph.text, LOOKS[paragraph.tone], Element("P"))
    colour = HexColor(f"#{VERDICTS[paragraph.tone]}")
    words = Text.of(f"{SIGNS[paragraph.tone]}  {paragraph.text}", style(), Element("P"))
    look = [
        FONT,
        ("LINEBEFORE", (0, 0), (0, -1), 3, colour),
        ("BACKGROUND", (0, 0), (-1, -1), colour.clone(alpha=0.07)),
        ("LEFTPADDING", (0, 0), (-1, -1), 4 * mm),
    ]
    return Grid([[words]], colWidths=[INNER_WIDTH], style=look, spaceAfter=GAP)


def _bullets(bullets: Bullets) -> Iterator[Flowable]:
    whole = Element("L")
    for number, item in enumerate(bullets.items, start=1):
        one = Element("LBody", Element("LI", whole))
        look = LAST_BULLET if number == len(bullets.items) else BULLET
        yield Text.of(item, look, one, bulletText="•")
