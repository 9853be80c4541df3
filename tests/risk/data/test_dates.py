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
        ("2026-12-31", "day first", "2026-12-31"),
        ("yesterday", "day first", "yesterday"),
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
