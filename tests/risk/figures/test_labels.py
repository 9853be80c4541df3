import pandas as pd
import pytest

from risk.figures.labels import (
    fitted,
    fitted_all,
    inches,
    named,
    number,
    numbers,
    percent,
    plain,
    span,
    spread,
)
from tests.risk.figures.hard_names import ASIAN, LONG


@pytest.mark.parametrize("text", [LONG, ASIAN, "W" * 80, "i" * 300, "a" * 1_000_000])
@pytest.mark.parametrize("room", [0.4, 2.4])
def test_a_long_name_is_shortened_in_the_middle(text, room):
    """Both ends stay, for names that begin alike differ at their end."""
    short = fitted(text, room)

    assert inches(short) <= room
    assert short[0] == text[0] and short[-1] == text[-1]
    assert short.count("…") == 1


def test_as_much_of_a_name_is_kept_as_there_is_room_for():
    """One letter more would not fit."""
    short = fitted(LONG, 2.0)
    kept = len(short) - 1

    longer = LONG[: kept + 1 - (kept + 1) // 2] + "…" + LONG[-((kept + 1) // 2) :]
    assert inches(short) <= 2.0 < inches(longer)


def test_a_name_that_fits_is_left_alone():
    """Nor is anything else done to it."""
    assert fitted("lastmonth_activity", 2.0) == "lastmonth_activity"


def test_names_below_each_other_take_as_much_room_as_the_widest():
    """The drawing gets the rest."""
    short, room = fitted_all(["a", LONG, "abc"], 1.5)

    assert short[::2] == ["a", "abc"]
    assert room == max(map(inches, short)) <= 1.5
    assert fitted_all([], 1.5) == ([], 0.0)


def test_a_name_is_one_line_of_what_can_be_printed():
    """A zero byte is not allowed in SVG."""
    assert plain(" a\x00b\n\tc\x1b ") == "a b c"
    assert plain("half\ud800") == "half"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.42, "0.42"),
        (-0.0, "0"),
        (5, "5"),
        (1234.6, "1,235"),
        (25000, "25,000"),
        (1e9, "1e+09"),
        (0.000123456, "0.0001235"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, written):
    """Four digits say enough on an axis."""
    assert number(value) == written


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.0, 0.00584213, 0.31152], ["0", "0.00584", "0.312"]),
        ([100.11, 100.12, 100.2], ["100.11", "100.12", "100.2"]),
        ([1234.1, 1234.4, 5000], ["1234.1", "1234.4", "5000"]),
        ([5, 5], ["5", "5"]),
        ([1, 1 + 2**-52, float("inf")], ["1", "1", "inf"]),
    ],
)
def test_bounds_have_as_many_digits_as_tell_them_apart(values, written):
    """Two bounds that look alike would be a bin of nothing; nobody reads more than nine."""
    assert numbers(values) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "(missing)"), (float("nan"), "(missing)"), (pd.NA, "(missing)"), ("", ""), (2.0, "2")],
)
def test_a_missing_value_is_named(value, written):
    """Nothing beside a name would look like a fault of the report."""
    assert named(value) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0, "0%"),
        (0.0001, "<0.1%"),
        (0.004, "0.4%"),
        (0.0949, "9.5%"),
        (0.0951, "10%"),
        (0.31, "31%"),
        (0.9962, ">99%"),
        (1, "100%"),
    ],
)
def test_a_share_that_is_there_never_looks_like_nothing_or_all(share, written):
    """One row of 10,000 is not 0%."""
    assert percent(share) == written


def test_a_span_of_one_number_is_that_number():
    """Nobody says "100 to 100"."""
    assert span(pd.Series([100, 100])) == "100"
    assert span(pd.Series([2000, 100])) == "100 to 2,000"


def test_labels_are_moved_apart():
    """From the lowest up."""
    assert spread([0.0, 0.1, 2.0], 0.5) == [0.0, 0.5, 2.0]
