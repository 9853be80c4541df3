import pytest

from risk.explain import score_change, sentences

FALL = {
    "metric": "f1",
    "n": 980,
    "before": 0.74,
    "after": 0.64,
    "is_beyond_chance": True,
    "cause": "base_rate",
    "base_rates": {"reference": 0.53, "expected": 0.49, "realised": 0.42},
    "parts": {
        "covariates": {"value": 0.01, "lower": 0.0, "upper": 0.02},
        "base_rate": {"value": -0.08, "lower": -0.1, "upper": -0.05},
        "relation": {"value": -0.03, "lower": -0.05, "upper": -0.01},
        "chance": {"value": 0.0, "lower": -0.03, "upper": 0.03},
    },
}


def test_the_sentence_names_the_parts_and_what_would_bring_the_score_back():
    assert score_change.in_words(FALL) == (
        "F1 fell from 0.74 to 0.64 on the newest 980 labelled rows: 0.08 of it because fewer rows "
        "are positive than expected (42% instead of 49%) and 0.03 because the features say "
        "something else about the label than before; in the other direction, 0.01 because the "
        "rows differ from earlier ones. Retraining would not bring it back; another threshold "
        "or recalibration may."
    )


@pytest.mark.parametrize(
    ("cause", "offered"),
    [
        ("base_rate", ["move_threshold", "recalibrate"]),
        ("covariates", ["retrain"]),
        ("relation", ["retrain"]),
    ],
)
def test_the_part_decides_what_is_offered(cause, offered):
    assert score_change.offers(FALL | {"cause": cause}) == offered
    assert score_change.advice(FALL | {"cause": cause})


@pytest.mark.parametrize(
    "change",
    [
        None,
        FALL | {"is_beyond_chance": False, "parts": {}, "cause": "chance"},
        FALL | {"before": 0.64, "after": 0.74},  # it is better
        FALL | {"metric": "brier"},  # the lower, the better
    ],
)
def test_nothing_is_offered_where_nothing_was_lost(change):
    assert score_change.offers(change) == ["nothing"]
    assert score_change.advice(change) == ""


def test_chance_is_said_to_explain_what_it_can():
    words = score_change.in_words(
        FALL | {"after": 0.73, "is_beyond_chance": False, "parts": {}, "cause": "chance"}
    )

    assert words == (
        "F1 of the live release is 0.73 on the newest 980 labelled rows, where 0.74 was promised: "
        "over all of them, chance explains that."
    )
    assert score_change.rows_of_table(None) == []


def test_an_incident_says_why_the_score_fell():
    incident = {
        "kind": "model_drift",
        "subject": "(predicted risk by label)",
        "detail": "",
        "direction": "lower",
        "value_before": 0.74,
        "value_after": 0.62,
        "facts": {"metric": "f1", "rows": 60, "score_change": FALL},
        "method": "e_detector",
        "n": 60,
        "effect": -0.2,
        "e_value": 3.0,
    }

    assert sentences.of_incident(incident) == (
        f"F1 fell from 0.74 to 0.62 on 60 labelled rows. {score_change.in_words(FALL)}"
    )
    assert score_change.in_words(FALL) not in sentences.incident_clause(incident)


def test_in_short_it_is_the_largest_part():
    assert score_change.in_short(FALL) == (
        "0.08 of the fall of F1 by 0.10 is because fewer rows are positive than expected "
        "(42% instead of 49%)."
    )
    assert score_change.in_short(FALL | {"is_beyond_chance": False}) == ""
    assert score_change.in_short(FALL | {"cause": "chance"}) == ""


def test_without_an_incident_a_fall_may_be_chance_and_nothing_is_advised():
    """Each assessment looks again, and one look in twenty finds what is none."""
    words = score_change.in_words(FALL, is_incident=False)

    assert words.startswith("F1 fell from 0.74 to 0.64 on the newest 980 labelled rows: 0.08 of it")
    assert words.endswith(
        "No incident is open: this may be chance, or be within what is tolerated."
    )
    assert score_change.offers(FALL, is_incident=False) == ["nothing"]
