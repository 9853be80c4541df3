import re
from xml.etree import ElementTree

import pandas as pd
import pytest

from risk.figures import canvas, waterfall
from risk.figures.canvas import PAGE, any_letter, say_instead

PARTS = pd.DataFrame({"feature": ["a"], "value": [1.0], "contribution": [0.1]})


def drawing(name="a"):
    return waterfall.contributions(PARTS.assign(feature=name), baseline=0.2, risk=0.3)


@pytest.mark.parametrize("write", [canvas.as_svg, canvas.as_png])
def test_the_same_figure_is_the_same_bytes(write):
    """Two builds of a report are compared byte by byte."""
    assert write(drawing()) == write(drawing())


def test_a_picture_is_opaque_and_white(pixels):
    """A viewer with a dark background would make dark letters on it invisible."""
    seen = pixels(drawing())

    assert (seen[..., 3] == 1).all()
    assert (seen[0, 0] == 1).all()
    assert seen.shape[1] == round(150 * PAGE)


def test_a_drawing_on_a_page_has_no_background_of_its_own():
    """Pages are light or dark."""
    root = ElementTree.fromstring(canvas.as_svg(drawing()))

    filled = [n.get("fill") for n in root.iter(f"{{{canvas.SVG}}}path") if n.get("fill")]
    assert "#ffffff" not in filled


def test_no_group_of_a_drawing_has_a_name():
    """Several drawings share a page, on which a name may be there once."""
    svg = canvas.as_svg(drawing()).decode()

    assert not re.search(r"<g [^>]*\bid=", svg)
    for used in re.findall(r'(?:href="#|url\(#)([^")]+)', svg):
        assert f'id="{used}"' in svg


@pytest.mark.parametrize(
    "name",
    ["$x_{$", r"\frac{a}", "a\x00b\x1b[31m", "two\nlines\tand more", "%s {0}", "&<'\""],
)
def test_any_name_can_be_drawn(name, texts, is_readable):
    """Names come from other people's tables: no formula, no control character, no half letter."""
    figure = drawing(name)

    assert is_readable(figure)
    assert "this row" in texts(figure)


def test_a_name_is_no_formula(texts):
    """Two dollar signs would otherwise be read as mathematics."""
    assert "$cost_in_$ = 1" in texts(drawing("$cost_in_$"))


@pytest.mark.parametrize("name", ["日本株式会社", "ООО Ромашка", "شركة", "Ωμέγα", "Łódź"])
def test_the_letters_of_the_world_are_drawn(name, pixels):
    """Each name looks like itself, not like the box that stands for an unknown letter."""
    boxes = "\U000e0100" * len(name)

    with any_letter():
        assert (pixels(drawing(name)) != pixels(drawing(boxes))).any()


def test_a_letter_without_a_font_is_drawn_as_a_box(pixels):
    """Warnings are errors here; nobody reads them in a nightly run."""
    known, unknown = pixels(drawing("")), pixels(drawing("𓀀𓁐"))

    assert (known != unknown).any()


def test_what_is_not_drawn_is_said_on_little_room(texts, is_readable):
    """An empty axis would look like a broken page."""
    figure = say_instead("not enough data: " + "no labels " * 12)

    assert is_readable(figure)
    assert not figure.axes
    assert figure.get_size_inches()[1] <= 1
