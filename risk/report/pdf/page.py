"""The page of a PDF: size, margins, footer and tags."""

from __future__ import annotations

from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas as PlainCanvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from risk.figures import fonts
from risk.report.document import Document, as_text
from risk.report.pdf.flowables import FAINT, LINE, Entry, Place
from risk.report.pdf.tags import Marks, decoration

WIDTH, HEIGHT = A4
MARGIN, FOOT = 20 * mm, 12 * mm
INNER_WIDTH, INNER_HEIGHT = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
SIZE_OF_FOOT = 7.5
ROOM_FOR_TOTAL = 6 * mm
TOTAL = "total"


class Canvas(PlainCanvas):  # type: ignore[misc]
    """A canvas that collects the tags of what it draws."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"initialFontName": fonts.TEXT})
        self.marks = Marks()
        self.setViewerPreference("DisplayDocTitle", "true")
        self.showOutline()


class Total(Flowable):  # type: ignore[misc]
    """The end of the document, where the number of pages is known and written into the footers."""

    def frameAction(self, _frame: Frame) -> None:  # noqa: N802
        """Write it into the form that every footer contains; this needs no space on a full page."""
        self.canv.beginForm(TOTAL, 0, -SIZE_OF_FOOT, ROOM_FOR_TOTAL, SIZE_OF_FOOT)
        self.canv.setFont(fonts.TEXT, SIZE_OF_FOOT)
        self.canv.setFillColor(FAINT)
        self.canv.drawString(0, 0, str(self.canv.getPageNumber()))
        self.canv.endForm()


class Template(BaseDocTemplate):  # type: ignore[misc]
    """A document of uniform pages; headings become bookmarks and entries of the contents."""

    def __init__(self, file: Any, document: Document) -> None:
        super().__init__(
            file,
            pagesize=A4,
            title=document.title,
            subject=document.subtitle,
            author="Dynamic Risk Assessment System",
            lang=document.language,
            invariant=1,
        )
        frame = Frame(MARGIN, MARGIN, INNER_WIDTH, INNER_HEIGHT, 0, 0, 0, 0)
        self.addPageTemplates(PageTemplate(frames=[frame], onPage=self._draw_foot))
        self._foot = f"{document.title} · {as_text(document.reported_at)} UTC"

    def afterFlowable(self, flowable: Any) -> None:  # noqa: N802
        """Record the position of a heading."""
        place: Place | None = getattr(flowable, "place", None)
        if place:
            self.canv.bookmarkPage(place.key)
            self.canv.addOutlineEntry(place.title, place.key, place.level, closed=place.level > 0)
            if place.is_in_contents:
                Entry.write_page(self.canv, place, self.page)

    def _draw_foot(self, canvas: Any, _template: object) -> None:
        right = WIDTH - MARGIN - ROOM_FOR_TOTAL
        with decoration(canvas):
            canvas.saveState()
            canvas.setStrokeColor(LINE)
            canvas.setLineWidth(0.5)
            canvas.line(MARGIN, FOOT + 4 * mm, WIDTH - MARGIN, FOOT + 4 * mm)
            canvas.setFillColor(FAINT)
            text = canvas.beginText(MARGIN, FOOT)
            for font, piece in fonts.pieces(self._foot):
                text.setFont(font, SIZE_OF_FOOT)
                text.textOut(piece)
            canvas.drawText(text)
            canvas.setFont(fonts.TEXT, SIZE_OF_FOOT)
            canvas.drawRightString(right, FOOT, f"{canvas.getPageNumber()} of ")
            canvas.translate(right, FOOT)
            canvas.doForm(TOTAL)
            canvas.restoreState()
