import io
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from risk.figures import canvas


class Listener(RendererAgg):
    """Notes where which line of text is drawn."""

    def __init__(self, figure):
        super().__init__(*map(int, figure.bbox.size), figure.dpi)
        self.lines = []

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        width, height, descent = self.get_text_width_height_descent(s, prop, ismath)
        if angle:
            box = Bbox([[x - height, y - width], [x, y]])
        else:
            box = Bbox([[x, y + descent - height], [x + width, y + descent]])
        self.lines.append((s, box))


@pytest.fixture(scope="package")
def lines_of():
    """Give what is written in a figure, in the order of drawing."""

    def lines_of(figure):
        listener = Listener(figure)
        figure.draw(listener)
        return [words for words, _ in listener.lines]

    return lines_of


@pytest.fixture(scope="package")
def texts():
    """Give everything a reader can read in a figure, in its SVG."""

    def texts(figure):
        root = ElementTree.fromstring(canvas.as_svg(figure))
        return " ".join("".join(node.itertext()) for node in root.iter(f"{{{canvas.SVG}}}text"))

    return texts


@pytest.fixture(scope="package")
def is_readable():
    """Tell whether all that is written lies inside the figure and nothing covers anything."""

    def is_readable(figure):
        listener = Listener(figure)
        figure.draw(listener)
        width, height = figure.bbox.size
        for words, box in listener.lines:
            assert 0 <= box.x0 and box.x1 <= width, f"{words!r} is cut off"
            assert 0 <= box.y0 and box.y1 <= height, f"{words!r} is cut off"
        for (first, a), (second, b) in combinations(listener.lines, 2):
            assert not a.padded(-1).overlaps(b.padded(-1)), f"{first!r} covers {second!r}"
        return bool(listener.lines)

    return is_readable


@pytest.fixture(scope="package")
def pixels():
    """Give the pixels of a figure as people see them, red, green, blue and opacity."""

    def pixels(figure):
        return np.asarray(imread(io.BytesIO(canvas.as_png(figure)), format="png"))

    return pixels
