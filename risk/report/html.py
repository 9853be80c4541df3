"""A report as one self-contained HTML file: no scripts, no network, figures as SVG.

Explanations are folded, so that a reader meets fewer words than on paper.
"""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from risk.figures import canvas, fonts
from risk.report.document import Document, Section, as_text, numeric_columns, rows_as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).with_name("assets")
NAMED = re.compile(r'(\bid="|\bhref="#|\burl\(#)')
END_OF_PART = re.compile(r"[.;] ")
OUTER = re.compile(r"^<svg\b")


def write(document: Document) -> bytes:
    """Return a report as the bytes of an HTML page."""
    fonts.register()
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    environment.globals |= {
        writer.__name__: writer for writer in (as_text, first_part, numeric_columns, rows_as_text)
    }
    environment.tests["section"] = lambda block: isinstance(block, Section)
    page = environment.get_template("report.html").render(
        document=document, drawn=_drawer(), kind=lambda block: type(block).__name__
    )
    return page.encode()


def first_part(text: str, *, longer_than: int = 0) -> tuple[str, str]:
    """Return the first sentence of a text of many words, which is shown, and the rest, folded."""
    if len(text.split()) <= longer_than or not (found := END_OF_PART.search(text)):
        return text, ""
    return text[: found.start()] + ".", text[found.end() :]


def _drawer() -> Callable[[Figure, str], Markup]:
    """Return a function that draws figures with unique IDs, since a page may use each once."""
    numbers = count(1)

    def drawn(figure: Figure, alternative: str) -> Markup:
        name = f"figure{next(numbers)}-"
        svg = NAMED.sub(rf"\1{name}", canvas.as_svg(figure).decode())
        opening = Markup('<svg role="img" aria-label="{}"').format(alternative)
        return Markup(OUTER.sub(lambda _: opening, svg))

    return drawn
