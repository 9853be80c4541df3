"""Fonts of reports: DejaVu Sans, and Droid Sans Fallback for the glyphs it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ASSETS = Path(__file__).with_name("assets")
TEXT, BOLD, ASIAN = "DejaVu Sans", "DejaVu Sans Bold", "Droid Sans Fallback"
BOX = 0  # the first glyph of a font, for characters it lacks
FAMILIES = (TEXT, ASIAN)  # for matplotlib: the second for glyphs missing in the first


def file_of(name: str) -> Path:
    """Return the path of a font file."""
    if name == ASIAN:
        return ASSETS / "DroidSansFallback.ttf"
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return folder / {TEXT: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf"}[name]


@cache
def register() -> None:
    """Register the fonts with reportlab and matplotlib, once per process."""
    from matplotlib import font_manager
    from reportlab.pdfbase import pdfmetrics

    for name in (TEXT, BOLD):
        _add(name)
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=BOLD, italic=TEXT, boldItalic=BOLD)
    font_manager.fontManager.addfont(file_of(ASIAN))


@cache
def _asian_glyphs() -> Mapping[int, int]:
    """Register the font for all other glyphs, which is large, once one is needed."""
    from reportlab.pdfbase import pdfmetrics

    glyphs: Mapping[int, int] = _add(ASIAN)
    pdfmetrics.registerFontFamily(ASIAN, normal=ASIAN, bold=ASIAN, italic=ASIAN, boldItalic=ASIAN)
    return glyphs


def _add(name: str) -> Any:
    """Register a font with reportlab, and return its glyphs by character."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont(name, str(file_of(name))))
    return pdfmetrics.getFont(name).face.charToGlyph


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into the longest pieces one font can render; yield font and piece.

    A character in neither font stays with the first, which draws a box; search still finds it.
    """
    for font, letters in groupby(text, key=_chooser()):
        yield font, "".join(letters)


@cache
def _chooser() -> Callable[[str], str]:
    register()
    from reportlab.pdfbase import pdfmetrics

    text, bold = (pdfmetrics.getFont(name).face.charToGlyph for name in (TEXT, BOLD))

    def font_of(letter: str) -> str:
        code = ord(letter)
        if code not in text and code in _asian_glyphs():
            return ASIAN
        for glyphs in (text, bold):
            glyphs.setdefault(code, BOX)
        return TEXT

    return font_of


def marked_up(text: str) -> str:
    """Return a text as reportlab markup, escaped and with a font for each piece."""
    return "".join(
        escape(piece) if font == TEXT else f'<font name="{font}">{escape(piece)}</font>'
        for font, piece in pieces(text)
    )


def width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return the width of a text in points."""
    from reportlab.pdfbase import pdfmetrics

    names = {TEXT: BOLD if is_bold else TEXT, ASIAN: ASIAN}
    widths = (pdfmetrics.stringWidth(piece, names[font], size) for font, piece in pieces(text))
    return float(sum(widths))
