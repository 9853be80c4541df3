from datetime import UTC, datetime

from tests.reliability import Tried, page


def test_the_page_counts_what_was_tried_and_what_failed():
    """Tests of one fault are added up; a failed one survived nothing."""
    results = [
        Tried("run killed", "the next completes it", 1200, passed=True),
        Tried("run killed", "the next completes it", 30, passed=False),
        Tried("answer lost", "no row twice", 5, passed=True),
    ]

    text = page(results, every=4, calls=12, now=datetime(2026, 11, 30, tzinfo=UTC))

    assert "| run killed | the next completes it | 1,230 | 1,200 | 30 |\n" in text
    assert "| answer lost | no row twice | 5 | 5 | 0 |\n" in text
    assert "at 12 calls that lie evenly of each command" in text
    assert "on 2026-11-30;" in text and "one in 4 of the\npoints" in text
