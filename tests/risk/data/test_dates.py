import pandas as pd
import pytest

from risk.data import dates


@pytest.mark.parametrize(
    ("cell", "written", "iso"),
    [
        ("31.12.2026", "day first", "2026-12-31"),
        ("12/31/2026", "month first", "2026-12-31"),
        ("1-2-99", "day first", "1999-02-01"),
        ("1/2/26 9:05", "month first", "2026-01-02 09:05"),
        ("31.12.2026 23:59:01.5", "day first", "2026-12-31 23:59:01.5"),
        ("1/2/26 9:05:30 PM", "month first", "2026-01-02 21:05:30"),
        ("1/2/2026 12:05 am", "month first", "2026-01-02 00:05"),
        ("1/2/2026 12:05 PM", "month first", "2026-01-02 12:05"),
        ("2026/01/02", "month first", "2026-01-02"),
        ("2026.01.02 7:30", "day first", "2026-01-02 07:30"),
        ("20260102", "day first", "2026-01-02"),
        ("02-Jan-2026", "day first", "2026-01-02"),
        ("2 January 2026 8:00", "month first", "2026-01-02 08:00"),
        ("Dec 31, 2026", "day first", "2026-12-31"),
        ("2026-12-31", "day first", "2026-12-31"),
        ("20261301", "day first", "20261301"),
        ("2 Jam 2026", "day first", "2 Jam 2026"),
        ("yesterday", "day first", "yesterday"),
        ("31.02.2026", "day first", "31.02.2026"),
        ("2/30/26 25:00", "month first", "2/30/26 25:00"),
        ("99 Feb 2026", "day first", "99 Feb 2026"),
    ],
)
def test_dates_become_iso_8601(cell, written, iso):
    """What is no such date is left for others to refuse."""
    assert dates.as_iso(pd.Series([cell]), written).tolist() == [iso]


def test_a_number_beyond_twelve_says_which_comes_first():
    """Without one, it cannot be known."""
    assert dates.order(pd.Series(["1.2.2026", "13.2.2026"])) == "day first"
    assert dates.order(pd.Series(["1/2/2026", "1/13/2026"])) == "month first"
    assert dates.order(pd.Series(["1/2/2026", "1/12/2026"])) is None
    assert dates.order(pd.Series(["2026/01/02", "3 Jan 2026"])) == "day first"


def test_a_column_of_dates_has_nothing_else():
    """In any mixture of what is read."""
    assert dates.are_dates(pd.Series(["1.2.2026", "20260102", "Jan 5, 2026"]))
    assert not dates.are_dates(pd.Series(["1.2.2026", "20269902"]))
