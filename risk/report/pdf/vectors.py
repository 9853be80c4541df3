"""Figures as vectors: reportlab reserves the space, matplotlib draws, pypdf inserts.

All figures are drawn as the pages of one PDF, so that they share their fonts.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pypdf import PdfReader, PdfWriter
from pypdf import generic as pdf

from risk.figures import fonts
from risk.figures.canvas import any_letter
from risk.lazily import PDF, import_sparing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORM = ("/Type", "/Subtype", "/BBox")


def place_of(number: int) -> str:
    """Return the name of the space reserved for a figure."""
    return f"figure{number}"


def fill(writer: PdfWriter, figures: Sequence[Figure]) -> None:
    """Insert each figure into the space reserved for it."""
    if not figures:
        return
    places, pages = _places(writer), PdfReader(_as_pages(figures)).pages
    page: Any
    for number, page in enumerate(pages):
        place = places[f"/FormXob.{place_of(number)}"]
        drawing, kept, content = pdf.DecodedStreamObject(), place.get_object(), page["/Contents"]
        drawing.set_data(content.get_object().get_data())
        drawing.update({pdf.NameObject(name): kept[name] for name in FORM})
        drawing[pdf.NameObject("/Resources")] = page["/Resources"].clone(writer)
        writer._replace_object(place, drawing.flate_encode())


def _as_pages(figures: Sequence[Figure]) -> io.BytesIO:
    import matplotlib

    import_sparing(PDF)
    from matplotlib.backends.backend_pdf import PdfPages

    fonts.register()
    content = io.BytesIO()
    nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    style: Any = {"font.sans-serif": fonts.FAMILIES}
    with matplotlib.rc_context(style), any_letter(), PdfPages(content, metadata=nothing) as pages:
        for figure in figures:
            pages.savefig(figure)
    content.seek(0)
    return content


def _places(writer: PdfWriter) -> dict[str, Any]:
    resources: list[Any] = [page["/Resources"].get_object() for page in writer.pages]
    return {name: form for own in resources for name, form in own.get("/XObject", {}).items()}
