import pytest

from risk.explain import seasons

FLAT = (0.0,) * 7, (0.0,) * 24
WEEKEND = (-0.09,) * 5 + (0.21,) * 2
TUESDAY = (-0.05, 0.3, *(-0.05,) * 5)
AFTERNOON = tuple(0.2 if hour == 14 else 0.0 for hour in range(24))


def facts(*curves, calendar="event time", days=28.0, others=0):
    """Make the facts of an assessment, of curves of a subject, a direction, a week and a day."""
    names = ("subject", "direction", "week", "day")
    shapes = [dict(zip(names, curve, strict=True)) for curve in curves]
    return {"seasons": dict(calendar=calendar, days=days, curves=shapes, others=others)}


def test_a_weekend_a_weekday_and_an_hour_are_named():
    """Each with its size in standard deviations, and other directions than higher by name."""
    found = seasons.in_words(
        facts(
            ("x1", "higher", WEEKEND, AFTERNOON),
            ("c", "u more often", TUESDAY, FLAT[1]),
            ("(predicted risk)", "higher", FLAT[0], AFTERNOON),
            others=4,
        )
    )

    assert found == (
        "Expected by season, from 4 weeks: x1 +0.3 sd at weekends and +0.2 sd around 14:00 UTC, "
        "c (u more often) +0.3 sd on Tuesdays, predicted risk +0.2 sd around 14:00 UTC and 4 more "
        "subjects."
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (9.0, "No season is visible in 9 days of earlier data. No weekly baseline yet: 9 of 14 "),
        (1.0, "No season is visible in 1 day of earlier data. No weekly baseline yet: 1 of 14 "),
        (30.0, "No season is visible in 4 weeks of earlier data."),
    ],
)
def test_how_much_was_seen_is_said_too(days, words):
    """Below two weeks nothing is known about weekdays."""
    assert seasons.in_words(facts(days=days)).startswith(words)


def test_without_a_calendar_there_is_advice():
    """A reference whose drops all came at once; and nothing where it was not recorded."""
    assert "columns.event_time" in seasons.in_words(facts(calendar="", days=0.0))
    assert seasons.in_words(None) == seasons.in_words({"risk": None}) == ""
