import pandas as pd
import pytest

from risk.data import number_marks
from risk.numerals import Marks

OTHERS = str.maketrans(",.", ".,")


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize(
    ("columns", "decimal", "has_thousands"),
    [
        ({"x": ["1.5", "22.75"]}, ".", False),
        ({"x": ["1,234.50", "950.00"]}, ".", False),  # read without the setting
        ({"x": ["1,528", "350.5"]}, ".", True),
        ({"x": ["1,528", "12,345", "1,000", "950"]}, ".", True),
        ({"x": ["1,528", "2,000"], "rate": ["0.5", "0.25"]}, ".", True),
        ({"x": ["(1,528)", "350.5 €", "12-"]}, ".", True),
        ({"x": ["1,528", "1,5"], "rate": ["0.25", "0.75"] * 1}, ".", False),
        ({"x": ["0.125", "0.250", "1.125"]}, ".", False),  # no thousands begin with zero
        ({"x": ["1,234,567", "950"], "y": ["1,528", "950"]}, ".", True),
    ],
)
def test_what_a_mark_means_is_said_by_the_other_numbers(
    columns, decimal, has_thousands, is_mirrored
):
    """And is the reverse if points and commas change places."""
    rows = pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()}).fillna("")
    if is_mirrored:
        rows, decimal = rows.map(lambda cell: cell.translate(OTHERS)), decimal.translate(OTHERS)

    assert number_marks.find(rows, ";") == Marks(decimal, has_thousands)


def test_numbers_that_could_be_either_are_doubted_but_no_others():
    """Such as rates of exchange beside amounts with decimal commas."""
    marks = Marks(",", has_thousands=True)

    assert number_marks.doubts("x", pd.Series(["1.528", "2.000"]), marks) == [
        "x: 1.528 is taken as 1528"
    ]
    assert number_marks.doubts("x", pd.Series(["1.528", "350,5"]), marks) == []
    assert number_marks.doubts("x", pd.Series(["1.528,50", "350"]), marks) == []
