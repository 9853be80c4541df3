from datetime import UTC, datetime, timedelta

import pytest

from risk.explain import plain_words


def test_names_of_columns_stay_as_they_are():
    """Whatever they contain; what is no column has no brackets."""
    assert plain_words.subject("(duplicate rows)") == "duplicate rows"
    assert plain_words.subject("(predicted risk by label)") == "errors on labelled rows"
    assert plain_words.subject("tenure (months)") == "tenure (months)"
    assert plain_words.subject(None) == "the model"


def test_what_two_columns_do_together_is_not_told_as_if_one_had_moved():
    """Each of them may be as it was."""
    incident = {"subject": "age and income", "kind": "joint_drift"}
    assert plain_words.about(incident) == "how age and income go together"
    assert plain_words.about(incident | {"kind": "data_drift"}) == "age and income"


def test_a_name_too_long_for_a_sentence_loses_its_middle():
    """Both ends tell names apart."""
    incident = {"subject": "a" * 40 + "b" * 40, "kind": "data_drift"}
    assert plain_words.about(incident) == "a" * 19 + "…" + "b" * 19
    assert plain_words.in_short("x" * 40) == "x" * 40


def test_two_scores_have_as_many_decimals_as_tell_them_apart():
    """But not more than anybody can weigh."""
    assert plain_words.distinct(0.53, 0.31) == ("0.53", "0.31")
    assert plain_words.distinct(0.534, 0.531) == ("0.534", "0.531")
    assert plain_words.distinct(0.5, 0.5) == ("0.50", "0.50")
    assert plain_words.distinct(0.53001, 0.53002) == ("0.5300", "0.5300")


def test_lists_read_as_sentences():
    """One, two, three and more."""
    assert plain_words.listed(["a"]) == "a"
    assert plain_words.listed(["a", "b"]) == "a and b"
    assert plain_words.listed(["a", "b", "c"]) == "a, b and c"
    assert plain_words.listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert plain_words.details(["a, b", "c"], most=1) == "a, b (and 1 more)"


def test_scores_and_evidence_are_told_as_far_as_they_are_known():
    """An undefined score is no number, and no number is longer than it says."""
    known = {"value": 0.5, "lower": 0.25, "upper": 0.75}
    assert plain_words.score(known) == "0.500 [0.250, 0.750]"
    assert plain_words.score(known | {"lower": None, "upper": None}) == "0.500"
    assert plain_words.score(known | {"value": float("nan")}) == "undefined"
    assert plain_words.evidence(1.7976931348623157e308) == "more than 1,000,000"
    assert [plain_words.evidence(e) for e in (None, 0.014, 56265.03)] == [
        "unknown",
        "0.01",
        "56,265",
    ]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(1, "1 minute"), (119, "119 minutes"), (120, "2 hours"), (2880, "2 days")],
)
def test_durations_have_the_unit_that_fits(minutes, words):
    """Nobody counts days in minutes."""
    assert plain_words.duration(timedelta(minutes=minutes)) == words


def test_days_are_written_without_doubt():
    """Neither 1/3 nor 3/1."""
    assert plain_words.day(datetime(2026, 3, 1, 6, tzinfo=UTC)) == "1 March 2026"


@pytest.mark.parametrize(
    ("e_value", "words"),
    [
        (None, None),
        (0.99, None),
        (1.0, "Chance alone would do this less than once in 90 days."),
        (4.0, "Chance alone would do this less than once in 360 days."),
        (40.6, "Chance alone would do this less than once in 10 years."),
        (1e300, "Chance alone would do this less than once in 1,000 years."),
    ],
)
def test_how_rarely_chance_alone_does_it_is_said_in_days_and_years(e_value, words):
    """With a budget of one false alarm in 90 days: 40.6 x 90 days are 10 years."""
    assert plain_words.by_chance(e_value, 90) == words


@pytest.mark.parametrize(
    ("e_value", "words"),
    [
        (0.0, "up to 100%"),
        (0.5, "up to 100%"),
        (1.4, "up to 71%"),
        (20, "up to 5%"),
        (2500, "up to 1 in 2,500"),
        (1e9, "less than 1 in a million"),
    ],
)
def test_evidence_is_a_share_of_cases(e_value, words):
    """A worse challenger reaches evidence of K in at most one of K comparisons."""
    assert plain_words.chance_share(e_value) == words


def test_what_looks_equal_is_no_better_rather_than_worse():
    """To as many decimals as are shown beside it."""
    assert plain_words.worse(0.6, 0.7) == "worse"
    assert plain_words.worse(0.60904, 0.60903) == "no better"
    assert plain_words.worse(0.6094, 0.6091, decimals=3) == "no better"
    assert plain_words.worse(None, 0.6) == "worse"
