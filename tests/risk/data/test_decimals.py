import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.data import decimals

SHORT = st.tuples(st.integers(10**4 - 10**12, 10**12 - 1), st.integers(0, 4)).map(
    lambda pair: float(f"{pair[0] // 10 ** (4 - pair[1])}e-{pair[1]}")
)


@given(st.lists(SHORT | st.integers(-99, 99).map(float) | st.sampled_from([-0.0, np.nan])))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_numbers_of_few_decimals_are_written_as_python_writes_them(numbers):
    """Digit by digit; a missing one is empty."""
    found = decimals.written(np.array(numbers, dtype="float64"))

    assert found is not None
    assert found.to_pylist() == ["" if np.isnan(number) else repr(number) for number in numbers]


def test_each_text_of_four_digits_is_right():
    """All of the tables, before the point and behind it, with either sign."""
    whole = np.arange(10_000.0)
    numbers = np.concatenate([whole / 10_000, whole, -whole * 10_000, 12_340_000 + whole])

    assert decimals.written(numbers).to_pylist() == list(map(repr, numbers.tolist()))


@pytest.mark.parametrize("odd", [0.12345, 1e-5, 1e8, 1e300, np.inf, 0.1 + 0.2, np.nextafter(1, 2)])
def test_a_column_with_another_number_is_left_to_others(odd):
    """Its shortest text has more digits, or an exponent."""
    assert decimals.written(np.array([0.25, odd, np.nan])) is None
