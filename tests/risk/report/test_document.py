from datetime import UTC, datetime, timedelta, timezone

import pytest

from risk.report import document
from risk.report.document import Table


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (-1.5, "-1.500"),
        (42.127, "42.13"),
        (123.45, "123.5"),
        (54321.6, "54,322"),
        (1.23e9, "1,230,000,000"),
        (1.23e15, "1.2e+15"),
        (0.00052, "0.0005"),
        (-0.00026, "-0.0003"),
        (1e-9, "almost 0"),
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
        ("as it is", "as it is"),
    ],
)
def test_a_value_is_written_for_people(cell, text):
    """Three digits that matter, thousands apart, no cell empty."""
    assert document.as_text(cell) == text


def test_a_share_is_written_in_percent():
    """Whole numbers too."""
    assert document.as_text(0.1234, is_share=True).split() == ["12.3", "%"]
    assert document.as_text(1, is_share=True).split() == ["100.0", "%"]
    assert document.as_text(None, is_share=True) == "–"


def test_moments_are_of_one_zone():
    """UTC, whatever zone they come in."""
    at = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert document.as_text(at).split() == ["2026-02-28", "23:30"]
    assert document.as_text(at.astimezone(UTC)) == document.as_text(at)


def test_columns_of_numbers_are_aligned_as_such():
    """Truths and texts are not; what is missing changes nothing."""
    table = Table(
        ("n", "share", "name", "ok", "none"),
        ((1, None, "1", True, None), (2, 0.5, "2", False, None)),
    )

    assert document.numeric_columns(table) == [True, True, False, False, False]


def test_only_the_named_columns_are_shares():
    """The same number, written in two ways."""
    table = Table(("value", "share"), ((0.5, 0.5),), shares=("share",))

    assert [text.split() for text in document.rows_as_text(table)[0]] == [["0.500"], ["50.0", "%"]]
