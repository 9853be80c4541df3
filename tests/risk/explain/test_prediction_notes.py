import numpy as np
import pandas as pd
import pytest

from risk.config import Columns
from risk.explain.prediction_notes import BANDS, risk_bands, warnings
from risk.monitoring.reference import PREDICTION, Reference

COLUMNS = Columns(
    identifier="id",
    target="left",
    positive_label=1,
    negative_label=0,
    numeric=("age", "spent"),
    categorical=("town",),
)


@pytest.fixture
def reference():
    """Four customers from 20 to 50 years of age in two towns; one never told what was spent."""
    frame = pd.DataFrame(
        {
            "age": [20.0, 30.0, 40.0, 50.0],
            "spent": [0.0, 1.5, np.nan, 3.0],
            "town": ["Ulm", "Ulm", "Hof", "Hof"],
            "left": pd.array([0, 1, 0, 1], dtype="Int8"),
            PREDICTION: [0.1, 0.9, 0.2, 0.8],
        }
    )
    return Reference.build(frame, COLUMNS, threshold=0.5, tolerance=0.05)


def rows(**changes):
    return pd.DataFrame({"age": [30.0], "spent": [1.0], "town": ["Ulm"]} | changes)


def test_bands_are_halves_of_the_way_to_the_threshold():
    """Both limits belong to the band above."""
    bands = risk_bands(np.array([0.0, 0.19, 0.2, 0.39, 0.4, 1.0]), threshold=0.4)

    assert [BANDS[band] for band in bands] == ["low", "low", "medium", "medium", "high", "high"]


@pytest.mark.parametrize("age", [20.0, 50.0])
def test_a_row_like_the_reference_gets_no_warning(reference, age):
    """Lowest and highest value are within its range."""
    assert warnings(reference, rows(age=[age])) == [[]]


@pytest.mark.parametrize("age", [19.99, 50.01])
def test_a_number_out_of_range_is_told_with_the_range(reference, age):
    """So that a reader can judge how far out it is."""
    told = warnings(reference, rows(age=[age]))

    assert told == [[f"age {age} is outside the reference's range, 20 to 50"]]


def test_a_level_nobody_had_is_told(reference):
    """The encoder takes it for none of its levels and says nothing."""
    told = warnings(reference, rows(town=["Rom"]))

    assert told == [["town 'Rom' is unknown to the reference"]]


def test_missing_values_are_told_only_where_the_reference_has_none(reference):
    """What is often missing is no news."""
    told = warnings(reference, rows(age=[np.nan], spent=[np.nan], town=[None]))

    assert told == [
        [
            "age is missing; the reference never misses it",
            "town is missing; the reference never misses it",
        ]
    ]


def test_each_row_gets_its_own_warnings(reference):
    """In the order of the rows, also with an index of their own."""
    asked = pd.DataFrame(
        {"age": [99.0, 30.0, 30.0], "spent": [1.0] * 3, "town": ["Ulm", "Ulm", "Rom"]},
        index=[7, 8, 9],
    )

    assert [len(sentences) for sentences in warnings(reference, asked)] == [1, 0, 1]
