"""A report as PDF: contents with links, bookmarks, tags; equal reports give equal bytes."""

from __future__ import annotations

import io
from datetime import UTC
from typing import Any

from pypdf import PdfReader, PdfWriter

from risk.figures import fonts
from risk.report.document import Document
from risk.report.pdf import tags, vectors
from risk.report.pdf.page import Canvas, Template
from risk.report.pdf.story import Story


def write(document: Document) -> bytes:
    """Return a report as the bytes of a PDF."""
    fonts.register()
    story, canvases = Story(document), []

    def new_canvas(*arguments: Any, **options: Any) -> Canvas:
        canvases.append(Canvas(*arguments, **options))
        return canvases[-1]

    laid_out, finished = io.BytesIO(), io.BytesIO()
    Template(laid_out, document).build(story.flowables, canvasmaker=new_canvas)
    writer = PdfWriter(clone_from=PdfReader(laid_out))
    vectors.fill(writer, story.figures)
    tags.plant(writer, canvases[-1].marks.elements)
    made_at = f"D:{document.reported_at.astimezone(UTC):%Y%m%d%H%M%S}Z"
    writer.add_metadata({"/CreationDate": made_at, "/ModDate": made_at})
    writer.pdf_header = "%PDF-1.7"
    writer.write(finished)
    return finished.getvalue()
