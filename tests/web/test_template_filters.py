from datetime import UTC, datetime

from web import template_filters

MOMENT = datetime(2026, 3, 1, 6, 5, tzinfo=UTC)


def test_moments_are_written_for_programs_and_for_people():
    """The second with its zone, for those without scripts."""
    assert template_filters.iso(MOMENT) == "2026-03-01T06:05:00Z"
    assert template_filters.moment(MOMENT) == "1 Mar 2026, 06:05 UTC"
    assert template_filters.day_and_month(MOMENT) == "1 Mar"


def test_numbers_are_as_long_as_they_need_to_be():
    """Of any size, and a dash where there is none."""
    assert [template_filters.figures(x) for x in (50.0854, 0.000123456, 123456.7, 0.0)] == [
        *("50.09", "0.0001235", "123,457", "0"),
    ]
    assert [template_filters.distance(x) for x in (0.04, 9.94, 10.0, float("inf"))] == [
        *("0.0", "9.9", "10+", "10+"),
    ]
    assert template_filters.whole(1234.0) == "1,234"
    assert template_filters.decimals(0.12345, 3) == "0.123"
    assert (
        template_filters.figures(None)
        == template_filters.whole(None)
        == template_filters.decimals(None, 2)
        == "–"
    )


def test_long_names_break_after_their_underscores():
    """What else is in them is escaped."""
    assert template_filters.breakable("a_long_<b>") == "a_<wbr>long_<wbr>&lt;b&gt;"
