import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import numerals
from risk.config import Columns
from risk.schema import check

CELLS = st.sampled_from(
    [
        "1",
        "2.5",
        "-0",
        "-0.0",
        "0",
        "",
        "NA",
        "-1",
        "1e3",
        "1e20",
        "1e21",
        "9007199254740993",
        "inf",
    ]
    + ["nan", "x", "1,5", "1.234,5", "+7", " 8 ", "1\x00", "1\x07", "0x10", "1_000", "٣", "1e-320"]
)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8), st.booleans())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_numbers_converted_many_at_once_are_those_of_the_rules_one_by_one(cells, is_narrow):
    """To the last bit, and with the same problems, whatever stands in the neighbouring columns."""
    columns = Columns(
        identifier="id",
        target="y",
        positive_label=1,
        negative_label=0,
        numeric=("a", "b", "c"),
        allowed_ranges={"a": (0, None), "b": (None, 100)} if is_narrow else {},
        missing_markers=("NA", "-1"),
    )
    records = pd.DataFrame(cells, columns=["a", "b", "c"], dtype="str").assign(id="k", y="0")
    lines = list(range(len(records)))

    found = check(records, lines, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerals, "plain", lambda *_: {})
        expected = check(records, lines, columns)
    assert found.problems == expected.problems
    pd.testing.assert_frame_equal(found.rows, expected.rows, check_exact=True)
    signs = [np.signbit(checked.rows[["a", "b", "c"]].to_numpy()) for checked in (found, expected)]
    known = found.rows[["a", "b", "c"]].notna().to_numpy()
    assert np.array_equal(signs[0][known], signs[1][known])


@pytest.mark.parametrize(
    ("written", "decimal", "numbers"),
    [
        (["1.234,56 €", "12 €", "-3,5 €"], ",", [1234.56, 12, -3.5]),
        (["$1,234.56", "$ 7"], ".", [1234.56, 7]),
        (["1\u00a0234,5", "1 234 567", "12\u202f345"], ",", [1234.5, 1234567, 12345]),
        (["1'234.50", "7"], ".", [1234.5, 7]),
        (["12 %", "5,5%", ""], ",", [12, 5.5, None]),
        (["12 €", "13 €", "14 $"], ",", [12, 13, None]),
        (["12", "13", "14 %"], ".", [12, 13, None]),
        (["12 34", "1234 567", "12 March"], ".", [None, None, None]),
    ],
)
def test_units_and_spaces_between_thousands_are_left_out(written, decimal, numbers):
    """But not the unit of a few cells, nor a space that is elsewhere."""
    found, _ = numerals.parse(pd.Series(written), ["NA"], decimal)

    assert [None if np.isnan(number) else number for number in found] == numbers
