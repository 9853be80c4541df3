from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from risk.stats.expected import expected_scores
from risk.stats.scores import score_all

NAMES = ["f1", "precision", "recall", "accuracy", "roc_auc", "brier", "log_loss", "cost"]
COST = (-2.0, 1.0, 5.0, 0.5)

chances = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
some_rows = st.lists(
    st.tuples(chances, st.integers(0, 1), chances, chances), min_size=1, max_size=30
)
properties = settings(max_examples=200, deadline=None, database=None, derandomize=True)


def simulate(rng, n):
    """Rows of a model that is far from calibrated, and the true chance of each."""
    chance = expit(rng.normal(-0.5, 1.2, n))
    y_pred_proba = expit(0.6 * logit(chance) + rng.normal(0, 0.5, n))
    return y_pred_proba, (y_pred_proba >= 0.45).astype(int), chance


def tiny():
    """Five rows, of which two tie."""
    return np.array([0.9, 0.6, 0.6, 0.3, 0.1]), [1, 1, 0, 1, 0], np.array([0.7, 0.2, 0.9, 0.5, 0.1])


def worlds(chance):
    """Every vector of labels there may be, with its probability."""
    for labels in product([0, 1], repeat=len(chance)):
        y_true = np.array(labels)
        yield y_true, np.prod(np.where(y_true == 1, chance, 1 - chance))


def cost_of(y_true, y_pred):
    tp, fp, fn, tn = COST
    table = np.array([[tn, fp], [fn, tp]])
    return table[y_true, np.asarray(y_pred)].mean()


def values(found):
    return {name: score.value for name, score in found.items()}


# --- the values -------------------------------------------------------------------------------


def test_means_are_the_expectation_over_every_vector_of_labels():
    """All 32 worlds, each with its own scores, weighted by how likely it is."""
    y_pred_proba, y_pred, chance = tiny()
    names = ["accuracy", "brier", "log_loss"]
    expected = dict.fromkeys([*names, "cost"], 0.0)
    for y_true, weight in worlds(chance):
        realised = values(score_all(y_true, y_pred_proba, y_pred))
        for name in names:
            expected[name] += weight * realised[name]
        expected["cost"] += weight * cost_of(y_true, y_pred)

    found = values(expected_scores(y_pred_proba, y_pred, chance, cost=COST))

    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_ratios_are_those_of_expectations_over_every_vector_of_labels():
    """Counted in each of the 32 worlds: hits, errors, and pairs in the right order."""
    y_pred_proba, y_pred, chance = tiny()
    y_pred = np.array(y_pred)
    tp = fp = fn = right = pairs = 0.0
    for y_true, weight in worlds(chance):
        tp += weight * (y_true * y_pred).sum()
        fp += weight * ((1 - y_true) * y_pred).sum()
        fn += weight * (y_true * (1 - y_pred)).sum()
        ahead = np.subtract.outer(y_pred_proba[y_true == 1], y_pred_proba[y_true == 0])
        right += weight * ((ahead > 0).sum() + (ahead == 0).sum() / 2)
        pairs += weight * ahead.size

    found = values(expected_scores(y_pred_proba, y_pred, chance))

    assert found["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert found["precision"] == pytest.approx(tp / (tp + fp))
    assert found["recall"] == pytest.approx(tp / (tp + fn))
    assert found["roc_auc"] == pytest.approx(right / pairs)


def test_all_are_what_simulated_labels_score_on_average():
    """A ratio of expectations is close to the expectation of the ratio."""
    rng = np.random.default_rng(1)
    y_pred_proba, y_pred, chance = simulate(rng, 1000)
    drawn = [values(score_all(rng.random(1000) < chance, y_pred_proba, y_pred)) for _ in range(400)]

    found = values(expected_scores(y_pred_proba, y_pred, chance))

    for name in NAMES[:-1]:
        scores = [score[name] for score in drawn]
        assert found[name] == pytest.approx(np.mean(scores), abs=4 * np.std(scores) / 20), name


def test_labels_that_are_certain_give_the_scores_themselves():
    """Chances of 0 and 1 are labels; of the shares the intervals agree too."""
    rng = np.random.default_rng(2)
    y_pred_proba, y_pred, chance = simulate(rng, 300)
    y_pred_proba = y_pred_proba.round(1)
    y_true = (rng.random(300) < chance).astype(int)

    found = expected_scores(y_pred_proba, y_pred, y_true)

    realised = score_all(y_true, y_pred_proba, y_pred)
    for name in NAMES[:-1]:
        assert found[name].value == pytest.approx(realised[name].value), name
        ends = (found[name].lower, found[name].upper)
        exact = name in ("accuracy", "precision", "recall")
        assert ends == pytest.approx(
            (realised[name].lower, realised[name].upper), abs=1e-12 if exact else 0.02
        ), name


def test_a_million_rows_are_estimated():
    """Every pair of them would take terabytes: only sorting can afford it."""
    rng = np.random.default_rng(3)
    y_pred_proba, y_pred, chance = simulate(rng, 1_000_000)
    y_true = (rng.random(1_000_000) < chance).astype(int)

    found = expected_scores(y_pred_proba, y_pred, chance)

    realised = values(score_all(y_true, y_pred_proba, y_pred))
    for name in NAMES[:-1]:
        assert found[name].value == pytest.approx(realised[name], abs=0.003), name


# --- the intervals ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [30, 300])
def test_realised_scores_lie_in_the_interval(n):
    """Rows and labels are drawn anew each time; every score counts on its own."""
    rng = np.random.default_rng(n)
    inside = dict.fromkeys(NAMES[:-1], 0)
    for _ in range(1000):
        y_pred_proba, y_pred, chance = simulate(rng, n)
        found = expected_scores(y_pred_proba, y_pred, chance)
        realised = values(score_all(rng.random(n) < chance, y_pred_proba, y_pred))
        for name in inside:
            inside[name] += found[name].lower <= realised[name] <= found[name].upper

    assert min(inside.values()) >= 930, inside


def test_the_interval_is_not_wider_than_that_of_a_measurement():
    """Else it would cover everything, and say nothing."""
    rng = np.random.default_rng(5)
    y_pred_proba, y_pred, chance = simulate(rng, 2000)

    found = expected_scores(y_pred_proba, y_pred, chance)

    realised = score_all(rng.random(2000) < chance, y_pred_proba, y_pred)
    for name in NAMES[:-1]:
        width, other = (e.upper - e.lower for e in (found[name], realised[name]))
        assert width == pytest.approx(other, rel=0.15), name


def test_a_calibration_in_doubt_is_covered_if_its_replicates_show_it():
    """A shift of all chances on the logit scale, of which each replicate has its own."""
    rng = np.random.default_rng(6)
    sure = doubtful = 0
    for _ in range(200):
        y_pred_proba, y_pred, chance = simulate(rng, 2000)
        guess = logit(chance) + rng.normal(0, 0.3)
        table = expit(guess + np.append(0, rng.normal(0, 0.3, 10))[:, None])
        realised = score_all(rng.random(2000) < chance, y_pred_proba, y_pred)["precision"].value
        for_sure, in_doubt = (
            expected_scores(y_pred_proba, y_pred, c)["precision"] for c in (table[0], table)
        )
        sure += for_sure.lower <= realised <= for_sure.upper
        doubtful += in_doubt.lower <= realised <= in_doubt.upper

    assert sure < 0.8 * 200
    assert doubtful >= 0.92 * 200


def test_more_confidence_is_a_wider_interval():
    """And the value stays."""
    y_pred_proba, y_pred, chance = tiny()
    half, most = (
        expected_scores(y_pred_proba, y_pred, chance, confidence=confidence)
        for confidence in (0.5, 0.99)
    )

    assert values(half) == values(most)
    for name in NAMES:
        assert most[name].lower < half[name].lower < half[name].upper < most[name].upper


@properties
@given(some_rows)
def test_an_interval_holds_its_value_and_keeps_to_the_range(rows):
    """Whatever the chances are, two versions of them, exact 0 and 1 included."""
    y_pred_proba, y_pred, one, another = np.array(rows).T

    found = expected_scores(y_pred_proba, y_pred, [one, another], cost=COST)

    ceiling = dict.fromkeys(NAMES, 1.0) | {"log_loss": 36.05, "cost": 5.0}
    assert list(found) == NAMES
    for name, score in found.items():
        assert score.n == len(rows)
        if score.value is not None:
            floor = -2.0 if name == "cost" else 0.0
            assert floor <= score.lower <= score.value <= score.upper <= ceiling[name], name


# --- what is not defined, and what is refused -------------------------------------------------


@pytest.mark.parametrize(
    ("y_pred", "chance", "undefined"),
    [
        ([0, 0], [0, 0], {"f1", "precision", "recall", "roc_auc"}),
        ([0, 0], [0.5, 0.5], {"precision"}),
        ([1, 0], [0, 0], {"recall", "roc_auc"}),
        ([1, 1], [1, 1], {"roc_auc"}),
        ([1], [0.5], {"roc_auc"}),
    ],
)
def test_a_score_without_a_denominator_is_none(y_pred, chance, undefined):
    """As of labels that are known; one row is no pair."""
    found = expected_scores(y_pred, y_pred, chance)

    assert {name for name, score in found.items() if score.value is None} == undefined
    for score in found.values():
        assert (score.value is None) == (score.lower is None) == (score.upper is None)


def test_a_cost_that_is_always_the_same_is_certain():
    """There is no range to spread over."""
    cost = expected_scores([0.3], [0], [0.5], cost=(2.0, 2.0, 2.0, 2.0))["cost"]

    assert (cost.value, cost.lower, cost.upper) == (2, 2, 2)


@pytest.mark.parametrize(
    ("y_pred_proba", "y_pred", "calibrated", "message"),
    [
        ([], [], [], "at least one"),
        ([0.5], [1, 0], [0.5], "the same rows"),
        ([0.5], [1], [0.5, 0.5], "the same rows"),
        ([0.5], [1], np.empty((0, 1)), "at least one"),
        ([1.5], [1], [0.5], "y_pred_proba must lie in"),
        ([0.5], [1], [np.nan], "calibrated must lie in"),
        ([0.5], [0.5], [0.5], "y_pred must hold only 0 and 1"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(y_pred_proba, y_pred, calibrated, message):
    """By name, before a number comes out."""
    with pytest.raises(ValueError, match=message):
        expected_scores(y_pred_proba, y_pred, calibrated)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_that_is_none_is_refused(confidence):
    """95 is not 95 %."""
    with pytest.raises(ValueError, match="confidence must lie in"):
        expected_scores([0.5], [1], [0.5], confidence=confidence)
