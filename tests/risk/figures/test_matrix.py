import numpy as np
import pytest

from risk.figures import matrix
from tests.risk.figures.hard_names import ASIAN, LONG

COUNTS = np.array([[50, 10], [5, 35]])


@pytest.fixture(scope="module")
def axes():
    """Give the axes of one drawing."""
    figure = matrix.confusion_matrix(COUNTS, labels=("stays", "leaves"), title="Title")
    return figure.axes[0]


def test_each_field_shows_count_and_percent_of_its_true_class(axes):
    """50 of 60 stay and are seen to: 83%."""
    texts = [text.get_text() for text in axes.texts]

    assert texts == ["50\n83%", "10\n17%", "5\n12%", "35\n88%"]


def test_a_part_never_looks_like_all_nor_like_nothing(lines_of):
    """711 of 713 are not 100%, and two are not 0%."""
    counts = np.array([[2, 711], [1, 9999]])
    lines = lines_of(matrix.confusion_matrix(counts, labels=("no", "yes"), title="T"))

    assert [line for line in lines if line.endswith("%")] == ["0.3%", ">99%", "<0.1%", ">99%"]


def test_the_darkness_of_a_field_is_its_percentage(axes):
    """Also where one class is rare; from 0 to 100, so that two reports can be compared."""
    (mesh,) = axes.collections

    shares = np.asarray(mesh.get_array()).reshape(2, 2)
    assert shares == pytest.approx(np.array([[5000 / 60, 1000 / 60], [12.5, 87.5]]))
    assert mesh.get_clim() == (0, 100)


def test_the_axes_say_what_they_show(axes):
    """Readable without a legend hunt."""
    labels = [label.get_text() for label in axes.get_yticklabels()]

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert labels == ["stays\nn = 60", "leaves\nn = 40"]


def test_a_class_without_rows_has_no_percentage(lines_of):
    """A test set may hold one class only."""
    figure = matrix.confusion_matrix(np.array([[3, 1], [0, 0]]), labels=("no", "yes"), title="T")

    assert lines_of(figure).count("0%") == 2


@pytest.mark.parametrize("labels", [("a", "b"), (LONG, ASIAN)])
def test_nothing_is_cut_off(labels, is_readable):
    """Columns and classes have any name, counts any size."""
    counts = np.array([[4_123_456, 0], [5, 1]])

    assert is_readable(matrix.confusion_matrix(counts, labels=labels, title=LONG * 2))


def test_no_rows_are_said_and_not_drawn(texts):
    """Nothing divided by nothing is no percentage."""
    figure = matrix.confusion_matrix(0 * COUNTS, labels=("no", "yes"), title="T")

    assert "not enough data" in texts(figure)
