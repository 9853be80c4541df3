import pytest
from fontTools.ttLib import TTFont

from risk.figures import fonts

TEXTS = [
    "Müller",
    "株式会社",
    "한국어",
    "Ελληνικά",
    "العربية",
    "mixed 東京 words",
    "हिन्दी",
    "→ ≥ –",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_letter_is_written_by_a_font_that_has_it(text):
    """As the tables of the files tell; what neither has is left to the first."""
    letters = {name: TTFont(fonts.file_of(name)).getBestCmap() for name in fonts.FAMILIES}
    pieces = list(fonts.pieces(text))

    assert "".join(piece for _, piece in pieces) == text
    for font, piece in pieces:
        others = [name for name in fonts.FAMILIES if name != font]
        for letter in piece:
            known = ord(letter) in letters[font]
            assert known or not any(ord(letter) in letters[name] for name in others)


def test_the_first_font_writes_all_it_can():
    """So that a line does not change its look without need."""
    assert list(fonts.pieces("a 1 é Ж")) == [(fonts.TEXT, "a 1 é Ж")]


def test_markup_in_a_text_is_only_text():
    """A company may be called so."""
    assert fonts.marked_up("<b>A & B</b>") == "&lt;b&gt;A &amp; B&lt;/b&gt;"


def test_a_width_is_the_sum_of_its_letters():
    """By the tables of the files."""
    file = TTFont(fonts.file_of(fonts.TEXT))
    advances = [file["hmtx"][file.getBestCmap()[ord(letter)]][0] for letter in "Width"]

    expected = 10 * sum(advances) / file["head"].unitsPerEm
    assert fonts.width("Width", 10) == pytest.approx(expected, rel=0.01)
    assert fonts.width("Width", 10, is_bold=True) > expected
