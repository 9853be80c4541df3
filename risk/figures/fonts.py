"""The letters of a report: DejaVu Sans, and Droid Sans Fallback for what it does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

ASSETS = Path(__file__).with_name("assets")
TEXT, BOLD, ASIAN = "DejaVu Sans", "DejaVu Sans Bold", "Droid Sans Fallback"
BOX = 0  # the first picture of a font, for letters it does not have
FAMILIES = (TEXT, ASIAN)  # as matplotlib wants them: the second where the first has no letter


def file_of(name: str) -> Path:
    """Name the file of a font."""
    if name == ASIAN:
        return ASSETS / "DroidSansFallback.ttf"
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return folder / {TEXT: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf"}[name]


@cache
def register() -> None:
    """Make the fonts known to reportlab and to matplotlib, once a process."""
    from matplotlib import font_manager
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name in (TEXT, BOLD, ASIAN):
        pdfmetrics.registerFont(TTFont(name, str(file_of(name))))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=BOLD, italic=TEXT, boldItalic=BOLD)
    pdfmetrics.registerFontFamily(ASIAN, normal=ASIAN, bold=ASIAN, italic=ASIAN, boldItalic=ASIAN)
    font_manager.fontManager.addfont(file_of(ASIAN))


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Cut a text into the longest pieces that one font can write; yield font and piece.

    A letter neither has stays with the first, which draws a box; a search still finds it.
    """
    for font, letters in groupby(text, key=_chooser()):
        yield font, "".join(letters)


@cache
def _chooser() -> Callable[[str], str]:
    register()
    from reportlab.pdfbase import pdfmetrics

    text, bold, asian = (pdfmetrics.getFont(name).face.charToGlyph for name in (TEXT, BOLD, ASIAN))

    def font_of(letter: str) -> str:
        code = ord(letter)
        if code not in text and code in asian:
            return ASIAN
        for glyphs in (text, bold):
            glyphs.setdefault(code, BOX)
        return TEXT

    return font_of


def marked_up(text: str) -> str:
    """Write a text as reportlab's markup, in which nothing of it is a command."""
    return "".join(
        escape(piece) if font == TEXT else f'<font name="{font}">{escape(piece)}</font>'
        for font, piece in pieces(text)
    )


def width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Measure a text in points."""
    from reportlab.pdfbase import pdfmetrics

    names = {TEXT: BOLD if is_bold else TEXT, ASIAN: ASIAN}
    widths = (pdfmetrics.stringWidth(piece, names[font], size) for font, piece in pieces(text))
    return float(sum(widths))
