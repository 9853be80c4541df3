import pytest

from risk.ledger.ledger import Ledger
from risk.report import context, gate
from risk.report.gate import _in_words as in_words


@pytest.fixture(scope="module")
def read(story):
    """Give what gathers evidence while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield lambda run_id=None: context.gather(story.config, ledger, run_id=run_id)


def test_both_models_and_their_difference_are_told(read, tables, words):
    """As the ledger has them."""
    known = read(3)
    section = gate.section(known)

    comparison = known.ledger.decisions.last_comparison()["comparison"]
    expected = [
        (name, score["value"], score["lower"], score["upper"])
        for name, score in (
            ("live model", comparison["champion"]),
            ("new model", comparison["challenger"]),
            ("difference", comparison["difference"]),
        )
    ]
    assert list(tables(section)[0].rows) == expected
    live, new, difference = (row[1] for row in expected)
    assert difference == pytest.approx(new - live)
    assert f"Compared on {comparison['n']:,} rows" in words(section)


def test_the_first_model_had_nothing_to_beat(read, words):
    """That is said, and what happens to the next."""
    told = words(gate.section(read(1)))

    assert "On 2 March 2026 release 1 went live. It was the first model" in told
    assert gate.NEVER in told


@pytest.mark.parametrize(
    ("metric", "difference", "words"),
    [
        (
            "f1",
            (0.05, 0.01, 0.09),
            "higher by 0.050 (difference from +0.010 to +0.090): it is better by more",
        ),
        (
            "f1",
            (-0.05, -0.09, -0.01),
            "lower by 0.050 (difference from -0.090 to -0.010): it is worse",
        ),
        ("brier", (-0.05, -0.09, -0.01), "it is better by more than chance"),
        ("f1", (0.05, -0.01, 0.11), "chance alone could explain it"),
        ("f1", (0.0, None, None), "both models say the same of almost every row"),
        ("roc_auc", None, "cannot be computed from single rows"),
    ],
)
def test_a_difference_is_told_with_its_interval(metric, difference, words):
    """Lower is better where a score counts errors."""
    told = difference and dict(zip(("value", "lower", "upper"), difference, strict=True))

    assert words in in_words({"metric": metric, "difference": told})


def test_a_comparison_of_an_older_version_has_no_difference():
    """Nothing is made up for it."""
    assert "cannot be computed" in in_words({"metric": "f1"})
