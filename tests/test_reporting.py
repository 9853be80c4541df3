import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

import full_process
import reporting
from risk.ledger import Ledger

COUNTS = np.array([[50, 10], [5, 35]])


@pytest.fixture(scope="module")
def axes():
    """Give the axes of one drawing."""
    figure = reporting.draw_confusion_matrix(COUNTS, labels=("stays", "leaves"), title="Title")
    return figure.axes[0]


def test_outcomes_are_counted_as_scikit_learn_counts():
    """True class down, predicted across."""
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, 99), rng.integers(0, 2, 99)

    assert (reporting.count_outcomes(y_true, y_pred) == confusion_matrix(y_true, y_pred)).all()


def test_a_missing_class_counts_as_zero():
    """Five rows may hold one class only."""
    counts = reporting.count_outcomes(np.array([1, 1]), np.array([1, 0]))

    assert counts.tolist() == [[0, 0], [1, 1]]


def test_each_cell_shows_count_and_percent_of_its_true_class(axes):
    """50 of 60 stay and are seen to: 83 %."""
    texts = [text.get_text() for text in axes.texts]

    assert texts == ["50\n83 %", "10\n17 %", "5\n12 %", "35\n88 %"]


def test_the_axes_say_what_they_show(axes):
    """Readable without a legend hunt."""
    labels = [label.get_text() for label in axes.get_yticklabels()]

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert labels == ["stays\n(n = 60)", "leaves\n(n = 40)"]


def test_the_picture_is_a_png_one_can_show(world):
    """Large enough, and of the live model."""
    with Ledger.open(world.config) as ledger:
        full_process.run(world.config, ledger)

    content = (world.config.model_folder / "confusion_matrix.png").read_bytes()
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(width, height) >= 600
