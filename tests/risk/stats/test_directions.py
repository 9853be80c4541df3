from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import accuracy_score, f1_score

from risk.monitoring.profile import categorical_column, count
from risk.stats.directions import OF_A_NUMBER, Tolerance, categorical, fall, numeric, pair, share
from risk.stats.evidence import advance, log_total, place, start

properties = settings(max_examples=100, deadline=None, database=None, derandomize=True)
TOLERANCE = Tolerance(0.05, 1e-4)
tables = st.lists(st.integers(0, 300), min_size=5, max_size=25).map(lambda n: np.array(n, float))


def row(made, name):
    """Return the values of one direction."""
    return made.values[made.names.index(name)]


def alarms(made, batches):
    """Tell whether a detector of one column alarms in some batches."""
    bets = place(made)
    wealth = start(bets)
    for batch in batches:
        wealth = advance(
            wealth, bets, batch, log_mass=-np.log(1000), correlation=np.zeros(len(made.names))
        )
        if log_total(wealth) >= 0:
            return True
    return False


def test_the_smooth_scores_rise_are_bounded_and_have_no_mean():
    """Of a column without ties: as many rows on the one side as on the other."""
    counts = np.array([0, *[50.0] * 20, 0, 30])

    found = numeric(counts, TOLERANCE)

    higher = row(found, "higher")[:-1]
    assert (np.diff(higher) > 0).all()
    assert np.abs(found.values[:, :-1]).max() <= norm.ppf(0.99) + 1e-9
    assert (higher @ counts[:-1]) == pytest.approx(0, abs=1e-9)
    assert (row(found, "right-skewed")[:-1] @ counts[:-1]) == pytest.approx(0, abs=1e-9)


@properties
@given(tables)
def test_the_mean_of_a_direction_is_never_above_what_is_tolerated(counts):
    """Whatever the column; no bet may win on the reference itself."""
    for made in (
        numeric(counts, TOLERANCE),
        categorical(counts, tuple(map(str, range(len(counts) - 3))), (3, 2), TOLERANCE),
        share(counts[:2], "event", TOLERANCE),
    ):
        assert (made.null_means >= made.means - 1e-12).all()
        assert made.weights.sum() == pytest.approx(1)
        assert (made.spreads >= 0).all()


@properties
@given(tables)
def test_means_and_spreads_are_those_of_the_rows_that_count(counts):
    """Row by row with numpy."""
    made = numeric(counts, TOLERANCE)

    for values, mean, spread in zip(made.values, made.means, made.spreads, strict=True):
        rows = np.repeat(values, counts.astype(int))
        known = rows[~np.isnan(rows)]
        assert mean == pytest.approx(known.mean() if len(known) else 0, abs=1e-9)
        assert spread == pytest.approx(known.std() if len(known) else 0, abs=1e-6)


@properties
@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_the_doubt_about_a_share_is_that_of_clopper_and_pearson(happened, others, alpha):
    """Exact on both sides: scipy's interval is the oracle."""
    made = share(np.array([others, happened], float), "event", Tolerance(0.0, alpha))

    found = dict(zip(made.names, made.null_means, strict=True))

    trials = binomtest(happened, happened + others)
    bounds = trials.proportion_ci(1 - 2 * alpha, method="exact")
    assert found["event more often"] == pytest.approx(bounds.high, abs=1e-9)
    if happened:
        assert -found["event less often"] == pytest.approx(bounds.low, abs=1e-9)


def test_of_a_large_reference_only_the_tolerance_is_left():
    """A twentieth of a standard deviation of an event with a share of a fifth: .02."""
    made = share(np.array([8e7, 2e7]), "event", TOLERANCE)

    assert made.null_means == pytest.approx([0.2 + 0.05 * 0.4, -0.2 + 0.05 * 0.4])


def test_missing_values_say_nothing_about_the_others():
    """A batch in which half is missing is neither higher nor lower, only more often missing."""
    counts = np.array([0, *[100.0] * 20, 0, 20])
    made = numeric(counts, TOLERANCE)

    smooth = [n for n in made.names if not n.startswith("missing")]

    assert len(smooth) == len(made.names) - 2 == OF_A_NUMBER - 2
    assert all(np.isnan(row(made, name)[-1]) for name in smooth)
    assert not np.isnan(row(made, "missing more often")).any()


def test_a_reference_without_missing_values_cannot_have_fewer():
    """Directions in which no row can go are left out, and the others share the budget."""
    made = numeric(np.array([0, *[100.0] * 20, 0, 0]), TOLERANCE)

    assert "missing less often" not in made.names
    assert len(made.names) == OF_A_NUMBER - 1
    assert made.weights.sum() == pytest.approx(1)


def test_a_level_that_is_everywhere_cannot_come_more_often():
    """A constant category."""
    made = categorical(np.array([100.0, 0, 0, 0]), ("a",), (0, 0), TOLERANCE)

    assert "a more often" not in made.names
    assert {"a less often", "unseen levels", "missing more often"} <= set(made.names)


def test_an_event_no_reference_row_shows_may_be_one_it_happened_to_miss():
    """Of 1000 rows of a constant column one in 700 could differ: such a flag raises no alarm."""
    rng = np.random.default_rng(20260201)
    made = numeric(np.array([0, 1000.0, 0, 0]), Tolerance.shared(0.05, OF_A_NUMBER))
    flags = rng.binomial(200, 1 / 700, 200)

    alarmed = alarms(made, [[0, 200 - k, k, 0] for k in flags])
    found = alarms(made, [[0, 180, 20, 0]] * 5)

    assert not alarmed
    assert found


def test_one_value_in_a_column_that_was_always_missing_is_no_alarm():
    """Nothing is known about its values, only how often it has one."""
    made = numeric(np.array([0, 0, 0, 1000.0]), TOLERANCE)

    assert made.names == ("missing less often",)
    assert not alarms(made, [[0, 1, 0, 199]])
    assert alarms(made, [[0, 100, 0, 100]] * 2)


@pytest.mark.parametrize("levels", [900, 3000, 100_000])
def test_new_and_rare_levels_of_a_column_of_names_are_no_drift(levels):
    """Shuffled halves of one table: with the estimate of Good and Turing quiet, without it not."""
    rng = np.random.default_rng(20260202)
    names = pd.Series(rng.integers(0, levels, 5000).astype(str))
    old, new = names[:1000], names[1000:]
    column = categorical_column("name", old)
    tally = old.value_counts()
    seen = int((tally == 1).sum()), int((tally == 2).sum())
    counts = np.array(count(column.codes(old), column.size), float)
    batches = [count(column.codes(new[i : i + 200]), column.size) for i in range(0, 4000, 200)]

    made = categorical(counts, column.levels, seen, Tolerance.shared(0.05, 66))
    certain = categorical(counts, column.levels, (0, 0), Tolerance.shared(0.05, 66))

    assert not alarms(made, batches)
    assert alarms(certain, batches)


def test_a_level_that_comes_twice_as_often_is_told_by_its_name():
    """The leading direction says which one, and which way."""
    made = categorical(np.array([600.0, 300, 100, 0, 0, 0]), ("a", "b", "c"), (0, 0), TOLERANCE)
    now = np.array([50, 30, 20, 0, 0, 0])

    bets = place(made)
    evidence = advance(
        start(bets), bets, 10 * now, log_mass=0.0, correlation=np.zeros(len(made.names))
    )

    leading = made.names[int(np.argmax([log_total(w) for w in evidence]))]
    assert leading == "c more often"


def test_half_of_the_budget_of_a_number_is_for_its_location():
    """What a shift moves is looked for first."""
    made = numeric(np.array([0, *[100.0] * 20, 0, 20]), TOLERANCE)

    weights = dict(zip(made.names, made.weights, strict=True))

    assert weights["higher"] == weights["lower"] == pytest.approx(0.25)
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["accuracy", "f1"])
def test_a_score_has_fallen_exactly_where_its_linear_form_says_so(name):
    """Over 200 random confusion matrices: the mean is above 0 where sklearn's score is lower."""
    rng = np.random.default_rng(20260203)
    tn, fp, fn, tp = np.eye(4)  # the cells: predicted and true 0 and 1, in that order
    reference = np.array([5e8, 1e8, 1e8, 3e8])
    ratios = {"accuracy": (tn + tp, tn + tp + fp + fn), "f1": (2 * tp, 2 * tp + fp + fn)}
    score = {"accuracy": accuracy_score, "f1": f1_score}[name]
    gained, possible = ratios[name]
    made = fall(reference, gained[None], possible[None], (name,), np.array([0.02]))

    bound = _score(score, reference / 1e6) - 0.02
    for counts in rng.multinomial(400, [0.45, 0.15, 0.12, 0.28], 200):
        fallen = _score(score, counts) - bound
        if abs(fallen) > 1e-3:
            assert (made.values[0] @ counts > 0) == (fallen < 0)


def _score(score, counts):
    true, predicted = [0, 0, 1, 1], [0, 1, 0, 1]
    return score(true, predicted, sample_weight=counts)


def test_the_null_of_a_score_lies_below_it_by_its_uncertainty_and_the_slack():
    """Accuracy .8 of 400 rows: by hand 2.326 standard errors of .02, and .01."""
    made = fall(
        np.array([80.0, 320]), np.array([[0.0, 1]]), np.ones((1, 2)), ("a",), np.array([0.01])
    )

    least = 0.8 - norm.ppf(0.99) * 0.02 - 0.01
    assert made.values[0] == pytest.approx([least, least - 1])
    assert made.null_means.tolist() == [0]


def test_a_reference_without_an_error_does_not_prove_that_there_are_none():
    """Fifty right of fifty: with a chance of 1 %, as many as ln 100 / 50 of all rows are wrong."""
    made = fall(
        np.array([0.0, 50]), np.array([[0.0, 1]]), np.ones((1, 2)), ("a",), np.array([0.01])
    )

    least = 1 - np.log(100) / 50 - 0.01
    assert made.values[0] == pytest.approx([least, least - 1])


def test_a_score_that_is_undefined_on_the_reference_is_refused():
    """Precision where nothing was predicted positive."""
    with pytest.raises(ValueError, match="undefined on the reference"):
        fall(np.array([9.0, 1]), np.zeros((1, 2)), np.zeros((1, 2)), ("p",), np.zeros(1))


@pytest.mark.parametrize(
    ("correlation", "name"), [(0.4, "rise together"), (-0.4, "move against each other")]
)
def test_a_correlation_is_told_by_its_sign(correlation, name):
    """Normal columns whose own values stay as they were."""
    rng = np.random.default_rng(20260204)
    groups, reference = 6, np.append(np.full(36, 100.0), 10)
    values = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 2000)
    codes = (norm.cdf(values) * groups).astype(int)
    now = np.bincount(codes[:, 0] * groups + codes[:, 1], minlength=37)

    made = pair(reference, groups, TOLERANCE)

    means = np.nan_to_num(made.values) @ now / 2000
    assert made.means == pytest.approx([0, 0], abs=1e-9)
    assert made.names[int(np.argmax(means))] == name
    assert means.max() == pytest.approx(abs(correlation), abs=0.06)
    assert np.isnan(made.values[:, -1]).all()


def test_the_doubt_is_shared_among_all_directions():
    """One per cent for a hundred of them."""
    assert Tolerance.shared(0.05, 100) == Tolerance(0.05, 1e-4)


def test_a_numeric_column_needs_its_cells():
    """One of values, one below, one above, one missing."""
    with pytest.raises(ValueError, match="at least 4 cells, got 3"):
        numeric(np.ones(3), TOLERANCE)


def test_an_unknown_reference_still_shares_its_budget():
    """No row at all: nothing can be bet on that could be won."""
    made = pair(np.zeros(37), 6, TOLERANCE)
    doubled = replace(made, weights=2 * made.weights)

    assert doubled.weights.sum() == pytest.approx(2)
    assert (place(made).gains <= 0).all()
