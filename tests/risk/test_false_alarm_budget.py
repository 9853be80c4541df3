import pytest

from risk.overrides import days_per_alarm


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("1 per 90 days", 90),
        ("1 in 3 months", 3 * 365.25 / 12),
        ("2 per year", 365.25 / 2),
        ("1 per week", 7),
        ("1 a quarter", 365.25 / 4),
        ("1 false alarm every 2 weeks", 14),
        ("3 false alarms per day", 1 / 3),
        ("0.5 per month", 2 * 365.25 / 12),
        ("1 per 1.5 years", 1.5 * 365.25),
        ("  1 PER Day ", 1),
    ],
)
def test_a_budget_in_words_is_a_number_of_days(words, days):
    """By hand, a month being the twelfth of a Julian year."""
    assert days_per_alarm(words) == pytest.approx(days)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "never",
        "0 per year",
        "0.0 per year",
        "1 per 0 days",
        "-1 per year",
        "one per year",
        "1 per fortnight",
        "1 per 90",
        "90 days",
        "1 per year or so",
        "1e9 per year",
        "nan per year",
        "1 per 90 hours",
    ],
)
def test_words_that_say_no_rate_are_refused(words):
    """The message shows how to write one, and what was read."""
    with pytest.raises(ValueError, match='must read like "1 per 90 days"') as refusal:
        days_per_alarm(words)

    assert repr(words) in str(refusal.value)
