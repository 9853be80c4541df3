import pytest

from risk.explain import gate_words


@pytest.mark.parametrize(
    ("margin", "evidence", "luck"),
    [
        (
            {},
            "Evidence for the challenger (e-value): 400; 20 is required.",
            "chance alone would do as well in up to 1 in 400 of all comparisons",
        ),
        (
            {"margin": 0.0},
            "Evidence that the challenger is better (e-value): 400; 20 is required.",
            "chance alone would do as well in up to 1 in 400 of all comparisons",
        ),
        (
            {"margin": 0.01},
            "Evidence that the challenger is at most 0.01 worse (e-value): 400; 20 is required, "
            "and a score that is not lower.",
            "a model that is worse by 0.01 would do as well in up to 1 in 400 of all comparisons",
        ),
    ],
)
def test_evidence_says_of_what_it_is(margin, evidence, luck):
    """That a refresh is not much worse is no evidence that it is better."""
    comparison = {"e_value": 400.0} | margin

    assert gate_words.evidence_of_gate(comparison, 20.0) == evidence
    assert gate_words.by_luck(comparison) == luck
