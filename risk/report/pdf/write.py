"""A report as PDF: contents with links, bookmarks, tags; equal reports give equal bytes."""

from __future__ import annotations

import io
from datetime import UTC

from pypdf import PdfReader, PdfWriter

from risk.figures import fonts
from risk.report.document import Document
from risk.report.pdf import tags, vectors
from risk.report.pdf.page import Canvas, Template
from risk.report.pdf.story import Story


def write(document: Document) -> bytes:
    """Return a report as the bytes of a PDF."""
    fonts.register()
    story, laid_out, finished = Story(document), io.BytesIO(), io.BytesIO()
    template = Template(laid_out, document)
    template.build(story.flowables, canvasmaker=Canvas)
    writer = PdfWriter(clone_from=PdfReader(laid_out))
    vectors.fill(writer, story.figures)
    tags.plant(writer, template.canv.marks.elements)
    made_at = f"D:{document.reported_at.astimezone(UTC):%Y%m%d%H%M%S}Z"
    writer.add_metadata({"/CreationDate": made_at, "/ModDate": made_at})
    writer.pdf_header = "%PDF-1.7"
    writer.write(finished)
    return finished.getvalue()
