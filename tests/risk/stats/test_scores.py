import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom, binomtest, brunnermunzel, norm, t, ttest_1samp

from risk.stats import scores
from risk.stats.scores import Estimate, is_worse, mcnemar_exact, score_all
from tests.torture import in_full

OF_LABELS = ("f1", "precision", "recall", "accuracy")
OF_PROBABILITIES = ("roc_auc", "average_precision", "brier", "log_loss")
CEILING = dict.fromkeys(scores.BIGGER_IS_BETTER, 1.0) | {"log_loss": 36.05}

probabilities = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))
some_rows = st.lists(
    st.tuples(st.integers(0, 1), probabilities, st.integers(0, 1)), min_size=1, max_size=40
)
properties = settings(max_examples=150, deadline=None, database=None, derandomize=True)


def simulate(rng, n, base_rate):
    """Rows of a calibrated model with an AUC of .80, and the labels it predicts."""
    y_true = rng.random(n) < base_rate
    signal = rng.standard_normal(n) + 1.2 * y_true
    y_pred_proba = expit(logit(base_rate) + 1.2 * signal - 0.72)
    return y_true.astype(int), y_pred_proba, (y_pred_proba >= base_rate).astype(int)


def sklearn_values(y_true, y_pred_proba, y_pred):
    return {
        "f1": sk.f1_score(y_true, y_pred),
        "precision": sk.precision_score(y_true, y_pred),
        "recall": sk.recall_score(y_true, y_pred),
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "roc_auc": sk.roc_auc_score(y_true, y_pred_proba),
        "average_precision": sk.average_precision_score(y_true, y_pred_proba),
        "brier": sk.brier_score_loss(y_true, y_pred_proba),
        "log_loss": sk.log_loss(y_true, y_pred_proba),
        "cost": np.mean(np.asarray(y_true) != np.asarray(y_pred)),
    }


def wins_of_pairs(positive, negative):
    """Every pair of rows on its own: 1 if ordered rightly, 1/2 if tied."""
    ahead = np.subtract.outer(positive, negative)  # (n_positive, n_negative)
    return np.where(ahead > 0, 1.0, np.where(ahead == 0, 0.5, 0.0))


def delong_by_pairs(positive, negative):
    """AUC, DeLong's variance and its degrees of freedom, in O(n^2) and without ranks."""
    wins = wins_of_pairs(positive, negative)
    a = wins.mean(axis=1).var(ddof=1) / len(positive)
    b = wins.mean(axis=0).var(ddof=1) / len(negative)
    freedom = (a + b) ** 2 / (a**2 / (len(positive) - 1) + b**2 / (len(negative) - 1))
    return wins.mean(), a + b, freedom


def bounds(estimate):
    return (estimate.lower, estimate.upper)


# --- points ---------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [1, 2, 16])
@pytest.mark.parametrize("seed", range(5))
def test_the_values_are_those_of_scikit_learn(seed, decimals):
    """With 11 distinct probabilities, which tie and include 0 and 1, as without ties."""
    y_true, y_pred_proba, y_pred = simulate(np.random.default_rng(seed), 300, 0.3)
    y_pred_proba = y_pred_proba.round(decimals)

    found = score_all(y_true, y_pred_proba, y_pred)

    expected = sklearn_values(y_true, y_pred_proba, y_pred)
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)


def test_the_mean_cost_is_that_of_each_outcome():
    """By hand: a hit costs 0.5, a false alarm 1, a miss 5, and leaving in peace nothing."""
    y_true, y_pred = [1, 1, 0, 0], [1, 0, 1, 0]

    found = scores.mean_cost(y_true, y_pred, cost=(0.5, 1, 5, 0))

    assert found.value == pytest.approx((0.5 + 5 + 1 + 0) / 4)
    assert 0 <= found.lower < found.value < found.upper <= 5


def test_the_value_of_a_tie_is_a_half_however_the_rows_tie():
    """By hand: of four pairs two are right and two tied, and two tied rows share one rank."""
    y_true, y_pred_proba = [1, 1, 0, 0], [0.9, 0.5, 0.5, 0.5]

    assert scores.roc_auc(y_true, y_pred_proba).value == (2 + 2 / 2) / 4
    assert scores.average_precision(y_true, y_pred_proba).value == (1 / 1 + 2 / 4) / 2


def test_a_million_rows_are_scored():
    """Every pair of them would take terabytes: only sorting can afford it."""
    rng = np.random.default_rng(11)
    y_true, y_pred_proba, y_pred = simulate(rng, 1_000_000, 0.2)
    y_pred_proba = y_pred_proba.round(4)  # most rows tie with about a hundred others

    found = score_all(y_true, y_pred_proba, y_pred)

    expected = sklearn_values(y_true, y_pred_proba, y_pred)
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)
    for name, score in found.items():
        assert score.upper - score.lower < 0.01, name


def test_all_scores_come_in_one_order():
    """latest_score.csv begins with F1, and each score is that of its own function."""
    y_true, y_pred_proba, y_pred = [1, 1, 0, 0, 1], [0.9, 0.4, 0.6, 0.1, 0.7], [1, 0, 1, 0, 1]

    found = score_all(y_true, y_pred_proba, y_pred, confidence=0.8)

    assert tuple(found) == (*OF_LABELS, *OF_PROBABILITIES, "cost")
    assert tuple(found) == tuple(scores.BIGGER_IS_BETTER)
    for name, score in list(found.items())[:-1]:
        other = y_pred if name in OF_LABELS else y_pred_proba
        assert score == getattr(scores, name)(y_true, other, confidence=0.8)


@pytest.mark.parametrize("dtype", [bool, np.int8, float, object])
def test_labels_may_be_of_any_type_that_holds_0_and_1(dtype):
    """What a table or a model yields needs no conversion first."""
    y_true, y_pred = np.array([1, 1, 0], dtype), np.array([1, 0, 0], dtype)

    assert scores.f1(y_true, y_pred).value == pytest.approx(2 / 3)


def test_n_is_the_number_of_rows_for_every_score():
    """Also for recall, whose denominator is smaller: one meaning in one table."""
    found = score_all([1, 0, 0, 0], [0.9, 0.4, 0.6, 0.1], [1, 0, 1, 0])

    assert {score.n for score in found.values()} == {4}


# --- what is not defined, and what is refused -------------------------------------------------


@pytest.mark.parametrize(
    ("y_true", "y_pred", "undefined"),
    [
        ([0, 0], [0, 0], {"f1", "precision", "recall", "roc_auc", "average_precision"}),
        ([1, 1], [1, 1], {"roc_auc", "average_precision"}),
        ([1, 0], [0, 0], {"precision"}),
        ([0, 0], [1, 0], {"recall", "roc_auc", "average_precision"}),
        ([1], [1], {"roc_auc", "average_precision"}),
    ],
)
def test_a_score_without_a_denominator_is_none(y_true, y_pred, undefined):
    """Neither 0, which would be a verdict, nor NaN, nor a warning, nor half an interval."""
    found = score_all(y_true, y_pred, y_pred)

    assert {name for name, score in found.items() if score.value is None} == undefined
    for score in found.values():
        assert (score.value is None) == (score.lower is None) == (score.upper is None)


def test_f1_is_0_when_no_positive_is_found():
    """Finding none is bad, not undefined."""
    assert scores.f1([1, 0], [0, 1]).value == 0
    assert scores.f1([1, 0], [0, 0]).value == 0


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([], [], r"y_true must hold at least one row, got shape \(0,\)"),
        ([[1]], [[1]], r"y_true .* got shape \(1, 1\)"),
        ([1, 0], [1], r"equal length, got \(2,\) and \(1,\)"),
        ([1, 2], [1, 0], "y_true must hold only 0 and 1, got 2"),
        ([1, 0.5], [1, 0], "y_true must hold only 0 and 1, got 0.5"),
        ([1, 0], [1, math.nan], "y_pred must hold only 0 and 1, got nan"),
        ([1, 0], ["yes", "no"], "y_pred must hold numbers: .*'yes'"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(name, y_true, y_pred, message):
    """The message names the array, the rule and the value."""
    with pytest.raises(ValueError, match=message):
        getattr(scores, name)(y_true, y_pred)


@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize(
    ("y_true", "y_pred_proba", "message"),
    [
        ([], [], "y_true must hold at least one row"),
        ([1, 0], [0.5], "equal length"),
        ([1, -1], [0.5, 0.5], "y_true must hold only 0 and 1, got -1"),
        ([1, 0], ["high", "low"], "y_pred_proba must hold numbers: .*'high'"),
        ([1, 0], [[0.5, 0.5]], r"y_pred_proba must hold at least one row, got shape \(1, 2\)"),
        ([1, 0], [0.5, 1.5], r"y_pred_proba must lie in \[0, 1\], got 1.5"),
        ([1, 0], [-0.1, 0.5], r"y_pred_proba must lie in \[0, 1\], got -0.1"),
        ([1, 0], [0.5, math.nan], r"y_pred_proba must lie in \[0, 1\], got nan"),
        ([1, 0], [math.inf, 0.5], r"y_pred_proba must lie in \[0, 1\], got inf"),
    ],
)
def test_probabilities_that_cannot_be_scored_are_refused(name, y_true, y_pred_proba, message):
    """A NaN that slipped through would become the score."""
    with pytest.raises(ValueError, match=message):
        getattr(scores, name)(y_true, y_pred_proba)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, math.nan])
@pytest.mark.parametrize("y_true", [[1, 0], [0, 0]])
def test_a_confidence_outside_0_and_1_is_refused(confidence, y_true):
    """Percent instead of a share is the likely slip, seen even if a score is undefined."""
    for name in (*OF_LABELS, *OF_PROBABILITIES):
        with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got"):
            getattr(scores, name)(y_true, [0, 0], confidence=confidence)


# --- intervals against independent arithmetic -------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("tp", "fp", "fn", "tn"), [(30, 12, 9, 149), (1, 0, 1, 3), (0, 2, 3, 0)])
def test_proportions_have_the_intervals_of_scipy(tp, fp, fn, tn, confidence):
    """Wilson's, or the exact bound of one side where that is wider.

    F1 as well, through the Jaccard index of which it is a growing function.
    """
    y_true = np.repeat([1, 0, 1, 0], [tp, fp, fn, tn])
    y_pred = np.repeat([1, 1, 0, 0], [tp, fp, fn, tn])

    found = {
        name: bounds(getattr(scores, name)(y_true, y_pred, confidence=confidence))
        for name in OF_LABELS
    }

    def interval(successes, trials):
        tried = binomtest(successes, trials)
        wilson = tried.proportion_ci(confidence, method="wilson")
        exact = tried.proportion_ci(2 * confidence - 1, method="exact")
        return min(wilson.low, exact.low), max(wilson.high, exact.high)

    jaccard = interval(tp, tp + fp + fn)
    assert found["f1"] == pytest.approx([2 * j / (1 + j) for j in jaccard])
    assert found["precision"] == pytest.approx(interval(tp, tp + fp))
    assert found["recall"] == pytest.approx(interval(tp, tp + fn))
    assert found["accuracy"] == pytest.approx(interval(tp + tn, tp + fp + fn + tn))


@pytest.mark.parametrize("n", [60, 200])
def test_the_interval_of_any_proportion_covers_93_per_cent(n):
    """All outcomes enumerated, for 500 proportions from .002 to .998."""
    y_true = np.ones(n)
    ends = np.array([bounds(scores.accuracy(y_true, np.arange(n) < k)) for k in range(n + 1)])
    shares = np.linspace(0.002, 0.998, 500)

    chances = binom.pmf(np.arange(n + 1)[:, None], n, shares)
    covers = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])

    assert (chances * covers).sum(axis=0).min() >= 0.929


@pytest.mark.parametrize("decimals", [1, 16])
def test_the_auc_interval_is_that_of_all_pairs(decimals):
    """The fast way by sorting is the slow one: DeLong's variance from each single pair."""
    y_true, y_pred_proba, _ = simulate(np.random.default_rng(7), 60, 0.4)
    y_pred_proba = y_pred_proba.round(decimals)
    auc, variance, freedom = delong_by_pairs(y_pred_proba[y_true == 1], y_pred_proba[y_true == 0])

    found = scores.roc_auc(y_true, y_pred_proba, confidence=0.9)

    half = t.isf(0.05, freedom) * math.sqrt(variance) / (auc * (1 - auc))
    assert found.value == pytest.approx(auc)
    assert bounds(found) == pytest.approx(tuple(expit(logit(auc) + [-half, half])))


def test_the_slow_variance_is_that_of_brunner_and_munzel():
    """So the oracle of the test above has one of its own: scipy's test of AUC = 1/2."""
    rng = np.random.default_rng(8)
    positive, negative = rng.normal(0.5, 1, 12).round(1), rng.normal(0, 2, 30).round(1)
    auc, variance, freedom = delong_by_pairs(positive, negative)
    statistic = (auc - 0.5) / math.sqrt(variance)

    expected = brunnermunzel(positive, negative)

    assert abs(statistic) == pytest.approx(abs(expected.statistic))
    assert 2 * t.sf(abs(statistic), freedom) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(("n_negative", "lower"), [(95, 0.025 ** (1 / 5)), (2, 0.025 ** (1 / 2))])
def test_a_perfect_auc_of_few_rows_proves_little(n_negative, lower):
    """DeLong's variance is 0 there; five rows cannot exclude an AUC of .48, at either end."""
    y_true = np.repeat([1, 0], [5, n_negative])

    best, worst = scores.roc_auc(y_true, y_true), scores.roc_auc(y_true, 1 - y_true)

    assert (best.value, *bounds(best)) == pytest.approx((1, lower, 1))
    assert (worst.value, *bounds(worst)) == pytest.approx((0, 0, 1 - lower))


def test_a_model_that_says_always_the_same_has_an_auc_of_one_half_give_or_take():
    """All ties: no variance can be seen, and still nothing is known exactly."""
    found = scores.roc_auc([1, 0] * 10, [0.3] * 20)

    assert found.value == 0.5
    assert found.lower < 0.4 and found.upper > 0.6


def test_a_variance_too_small_to_be_believed_is_raised():
    """By hand: 10 rows a class, all tied, so a fifth of the largest, A (1 - A) / 10."""
    found = scores.roc_auc([1, 0] * 10, [0.3] * 20)

    half = t.isf(0.025, 9) * math.sqrt(0.25 / 10 / 5) / 0.25
    assert bounds(found) == pytest.approx((expit(-half), expit(half)))


def test_a_single_positive_row_leaves_the_auc_open():
    """Its variance cannot be estimated, so the largest possible one is taken."""
    found = scores.roc_auc([1, 0, 0, 0, 0], [0.5, 0.4, 0.3, 0.2, 0.9], confidence=0.9)

    half = norm.isf(0.05) / math.sqrt(0.75 * 0.25)
    assert found.value == 0.75
    assert bounds(found) == pytest.approx((expit(math.log(3) - half), expit(math.log(3) + half)))


def test_average_precision_has_the_interval_of_boyd():
    """By hand: precision 1/1 and 2/3 at the two positives, so (1 + 2/3) / 2."""
    found = scores.average_precision([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1], confidence=0.9)

    centre, half = math.log(5), norm.isf(0.05) / math.sqrt(2 * 5 / 6 * 1 / 6)
    assert found.value == pytest.approx(5 / 6)
    assert bounds(found) == pytest.approx((expit(centre - half), expit(centre + half)))


def test_a_perfect_average_precision_of_few_positives_proves_little():
    """Boyd's interval has no width there, and seven positives are not many."""
    found = scores.average_precision([1] * 7 + [0] * 20, [0.9] * 7 + [0.1] * 20)

    assert (found.value, *bounds(found)) == pytest.approx((1, 0.025 ** (1 / 7), 1))


def test_losses_without_skewness_have_the_interval_of_student():
    """Ten errors of .9 and ten of .1: the correction has nothing to correct."""
    found = scores.brier([1, 0] * 10, [0.1] * 20)

    expected = ttest_1samp([0.81, 0.01] * 10, 0).confidence_interval(0.95)
    assert bounds(found) == pytest.approx((expected.low, expected.high))


def test_losses_vary_at_least_as_the_probabilities_say():
    """Twenty negatives of 5 %: by hand .0025 or, with one chance in 20, .9025."""
    found = scores.brier([0] * 20, [0.05] * 20)

    spread = 0.9 * math.sqrt(0.05 * 0.95)  # two values .9 apart
    reach = t.isf(0.025, 19) * spread / math.sqrt(19)
    assert found.value == pytest.approx(0.0025)
    assert found.upper == pytest.approx(
        max(0.0025 + reach, 0.0025 + 0.9975 * (1 - 0.025 ** (1 / 20)))
    )


@pytest.mark.parametrize("n", [20, 50, in_full(200)])
@pytest.mark.parametrize("base_rate", [0.05, in_full(0.02), in_full(0.2)])
def test_the_interval_of_the_brier_score_covers_also_where_positives_are_rare(n, base_rate):
    """2000 samples of calibrated probabilities, about a third of them without a positive."""
    rng = np.random.default_rng(20260601)
    centre = math.log(base_rate / (1 - base_rate))
    chances = 1 / (1 + np.exp(-centre - rng.normal(size=(2000, n))))
    y_true = (rng.random(chances.shape) < chances).astype(int)
    truth = np.mean([p * (1 - p) for p in 1 / (1 + np.exp(-centre - rng.normal(size=10**6)))])

    found = [scores.brier(y, p) for y, p in zip(y_true, chances, strict=True)]

    assert np.mean([e.lower <= truth <= e.upper for e in found]) >= 0.95


@pytest.mark.parametrize("name", ["brier", "log_loss"])
def test_losses_with_skewness_have_the_interval_of_hall(name):
    """Put back into Hall's polynomial, each end gives the quantile of Student's t.

    The probabilities are too extreme, so that the errors vary more than these would have it.
    """
    y_true, y_pred_proba, _ = simulate(np.random.default_rng(3), 80, 0.2)
    y_pred_proba = expit(3 * logit(y_pred_proba))
    chance = np.where(y_true == 1, y_pred_proba, 1 - y_pred_proba)
    losses = (1 - chance) ** 2 if name == "brier" else -np.log(chance)

    found = getattr(scores, name)(y_true, y_pred_proba)

    skewness = np.mean((losses - losses.mean()) ** 3) / losses.std(ddof=1) ** 3
    for end, sign in zip(bounds(found), (1, -1), strict=True):
        w = (losses.mean() - end) / losses.std(ddof=1)
        hall = w + skewness * w**2 / 3 + skewness**2 * w**3 / 27 + skewness / (6 * 80)
        assert hall == pytest.approx(sign * t.isf(0.025, 79) / math.sqrt(80))


@pytest.mark.parametrize("y_true", [[1] + [0] * 999, [0] + [1] * 999])
def test_one_bad_row_does_not_push_the_interval_off_its_value(y_true):
    """At so little confidence the correction for skewness is more than the width."""
    found = scores.brier(y_true, [y_true[1]] * 1000, confidence=0.1)

    assert found.lower <= found.value == 0.001 <= found.upper


def test_equal_losses_do_not_prove_that_all_losses_are_equal():
    """After 20 rows a kind of row with a share of 1 - .025^(1/20) may still be unseen."""
    flawless = scores.brier([1, 0] * 10, [1.0, 0.0] * 10)
    undecided = scores.log_loss([1, 0] * 10, [0.5] * 20)

    unseen, unsure, worst = 1 - 0.025 ** (1 / 20), math.log(2), -math.log(np.finfo(float).eps)
    assert (flawless.value, *bounds(flawless)) == pytest.approx((0, 0, unseen))
    assert undecided.lower == pytest.approx(unsure * (1 - unseen))
    assert undecided.upper == pytest.approx(unsure * (1 - unseen) + worst * unseen)


def test_a_certain_error_costs_36_nats():
    """As in scikit-learn: an infinite loss would hide all other rows."""
    found = scores.log_loss([1, 0], [0.0, 0.0])

    assert found.value == pytest.approx(-math.log(np.finfo(float).eps) / 2)
    assert math.isfinite(found.upper)


# --- promises ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "base_rate"),
    [
        (50, 0.1),
        (200, 0.3),
        *map(in_full, (50, 50, 200, 2000, 2000), (0.3, 0.5, 0.1, 0.1, 0.3)),
    ],
)
def test_the_intervals_cover_the_truth(n, base_rate):
    """A 95 % interval holds the score of the whole population in 93 % of samples or more."""
    rng = np.random.default_rng(20260101)
    truth = sklearn_values(*simulate(rng, 300_000, base_rate))

    samples = [score_all(*simulate(rng, n, base_rate)) for _ in range(800)]

    for name, value in truth.items():
        found = [sample[name] for sample in samples if sample[name].value is not None]
        hits = sum(score.lower <= value <= score.upper for score in found)
        assert binomtest(hits, len(found), 0.93, alternative="less").pvalue > 0.001, name


@pytest.mark.parametrize("rate", [expit, lambda x: np.digitize(x, [0, 1.2]) / 2])
@pytest.mark.parametrize(("n_positive", "n_negative"), [(3, 60), (5, 500), (20, 20)])
def test_the_auc_interval_covers_with_few_positives(n_positive, n_negative, rate):
    """With and without ties: few rows may show DeLong's formula hardly any variance."""
    rng = np.random.default_rng(20260102)
    y_true = np.repeat([1, 0], [n_positive, n_negative])
    everyone = norm.ppf((np.arange(2000) + 0.5) / 2000)
    auc = wins_of_pairs(rate(everyone + 1.2), rate(everyone)).mean()

    found = [
        scores.roc_auc(y_true, rate(rng.standard_normal(len(y_true)) + 1.2 * y_true))
        for _ in range(800)
    ]

    hits = sum(score.lower <= auc <= score.upper for score in found)
    assert binomtest(hits, len(found), 0.93, alternative="less").pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("n", [20, 200, 2000])
def test_an_equal_challenger_seldom_seems_better(n, alpha):
    """Of two models that are right equally often, chance lets the first pass in at most alpha."""
    rng = np.random.default_rng(20260103)
    wins, losses, _ = rng.multinomial(n, [0.1, 0.1, 0.8], size=4000).T

    passed = sum(mcnemar_exact(*pair) <= alpha for pair in zip(wins, losses, strict=True))

    assert binomtest(passed, 4000, alpha, alternative="greater").pvalue > 0.001


@pytest.mark.parametrize("name", [*OF_LABELS, *OF_PROBABILITIES])
def test_without_a_change_a_score_seldom_seems_worse(name):
    """One side of a 95 % interval: an alarm in 2.5 % of pairs, and in no more than 4 %."""
    rng = np.random.default_rng(20260104)
    bigger = scores.BIGGER_IS_BETTER[name]
    argument = 2 if name in OF_LABELS else 1

    def score(n):
        rows = simulate(rng, n, 0.3)
        return getattr(scores, name)(rows[0], rows[argument])

    alarms = sum(is_worse(score(1000), score(200), bigger_is_better=bigger) for _ in range(1000))

    assert binomtest(alarms, 1000, 0.04, alternative="greater").pvalue > 0.001


# --- properties -------------------------------------------------------------------------------


@properties
@given(some_rows, st.sampled_from([0.1, 0.95, 0.999]))
def test_a_value_lies_in_its_interval_and_both_in_the_range(rows, confidence):
    """For whatever rows, and without a single warning."""
    found = score_all(*map(np.array, zip(*rows, strict=True)), confidence=confidence)

    for name, score in found.items():
        if score.value is not None:
            assert 0 <= score.lower <= score.value <= score.upper <= CEILING[name], name


@properties
@given(some_rows.filter(lambda rows: {row[0] for row in rows} == {0, 1}))
def test_ranks_agree_with_all_pairs_and_with_scikit_learn(rows):
    """However the probabilities tie, up to a tie of all rows."""
    y_true, y_pred_proba, _ = map(np.array, zip(*rows, strict=True))

    area = scores.roc_auc(y_true, y_pred_proba).value
    mean_precision = scores.average_precision(y_true, y_pred_proba).value

    wins = wins_of_pairs(y_pred_proba[y_true == 1], y_pred_proba[y_true == 0])
    assert area == pytest.approx(wins.mean())
    assert mean_precision == pytest.approx(sk.average_precision_score(y_true, y_pred_proba))


@properties
@given(some_rows)
def test_a_score_is_made_of_plain_numbers(rows):
    """It goes into a JSON file, which knows neither NaN nor the types of numpy."""
    found = score_all(*map(np.array, zip(*rows, strict=True)))

    for name, score in found.items():
        numbers = [score.value, *bounds(score)]
        assert numbers == [None] * 3 or {type(number) for number in numbers} == {float}, name
        assert type(score.n) is int, name


@properties
@given(some_rows, st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(rows, seed):
    """A score is of a set of rows; sorting a file must not change it."""
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    order = np.random.default_rng(seed).permutation(len(rows))

    before, after = score_all(*arrays), score_all(*(array[order] for array in arrays))

    for name, score in before.items():
        assert bounds(after[name]) == pytest.approx(bounds(score), abs=1e-9), name
        assert after[name].value == pytest.approx(score.value, abs=1e-9), name


@properties
@given(some_rows)
def test_the_arguments_are_left_alone(rows):
    """Sorting for the AUC happens in a copy."""
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    copies = [array.copy() for array in arrays]

    score_all(*arrays)

    assert all(np.array_equal(*pair) for pair in zip(arrays, copies, strict=True))


@properties
@given(some_rows)
def test_more_confidence_takes_a_wider_interval(rows):
    """The interval of 99 % holds that of 80 %."""
    arrays = [np.array(column) for column in zip(*rows, strict=True)]

    narrow, wide = score_all(*arrays, confidence=0.8), score_all(*arrays, confidence=0.99)

    for name, score in narrow.items():
        if score.value is not None:
            assert wide[name].lower <= score.lower + 1e-12, name
            assert wide[name].upper >= score.upper - 1e-12, name


# --- comparisons ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wins", "losses"), [(0, 7), (1, 0), (5, 0), (9, 3), (3, 9), (50, 50), (2000, 1900)]
)
def test_mcnemar_is_the_binomial_test_of_scipy(wins, losses):
    """Rows on which both are right or both wrong say nothing."""
    expected = binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue

    assert mcnemar_exact(wins, losses) == pytest.approx(expected)


def test_mcnemar_without_a_difference_proves_nothing():
    """Two models that never differ: p = 1, not an error."""
    assert mcnemar_exact(0, 0) == 1


@pytest.mark.parametrize(("wins", "losses"), [(-1, 2), (2, -1)])
def test_mcnemar_refuses_negative_counts(wins, losses):
    """They come from a mistaken subtraction."""
    with pytest.raises(ValueError, match=f"not be negative, got {wins} and {losses}"):
        mcnemar_exact(wins, losses)


BEFORE = Estimate(0.80, 0.77, 0.83, 700)


@pytest.mark.parametrize(
    ("now", "bigger_is_better", "worse"),
    [
        (Estimate(0.70, 0.66, 0.74, 90), True, True),  # 0.10 > sqrt(0.03^2 + 0.04^2)
        (Estimate(0.76, 0.72, 0.80, 90), True, False),  # 0.04 < 0.05
        (Estimate(0.70, 0.66, 0.74, 90), False, False),
        (Estimate(0.90, 0.86, 0.94, 90), False, True),
        (Estimate(0.90, 0.86, 0.94, 90), True, False),
        (Estimate(None, None, None, 90), True, False),
    ],
)
def test_a_score_is_worse_beyond_the_interval_of_the_change(now, bigger_is_better, worse):
    """A change for the better, within noise or unknown is not drift."""
    assert is_worse(BEFORE, now, bigger_is_better=bigger_is_better) is worse


@pytest.mark.parametrize(
    ("bigger_is_better", "change"),
    [(True, 0.10), (False, 0.13)],  # sqrt(0.06^2 + 0.08^2), sqrt(0.05^2 + 0.12^2)
)
def test_only_the_ends_that_face_each_other_count(bigger_is_better, change):
    """Falling, from the lower end before to the upper end now; rising, the other way round."""
    before = Estimate(0.5, 0.5 - 0.06, 0.5 + 0.05, 100)
    sign = -1 if bigger_is_better else 1

    def now(step):
        value = 0.5 + sign * step
        return Estimate(value, value - 0.12, value + 0.08, 100)

    assert not is_worse(before, now(change - 0.001), bigger_is_better=bigger_is_better)
    assert is_worse(before, now(change + 0.001), bigger_is_better=bigger_is_better)
    assert not is_worse(before, now(-0.4), bigger_is_better=bigger_is_better)


@pytest.mark.parametrize("bigger_is_better", [True, False])
@pytest.mark.parametrize(
    "unknown", [Estimate(None, None, None, 9), Estimate(0.1, None, None, 9)], ids=str
)
def test_what_is_not_known_is_never_worse(unknown, bigger_is_better):
    """Neither as the score of before nor as the one of now, nor both."""
    for pair in [(BEFORE, unknown), (unknown, BEFORE), (unknown, unknown)]:
        assert is_worse(*pair, bigger_is_better=bigger_is_better) is False


@pytest.mark.parametrize("bigger_is_better", [True, False])
def test_no_change_is_not_worse(bigger_is_better):
    """Not even between scores known exactly."""
    exact = Estimate(0.8, 0.8, 0.8, 10)

    assert not is_worse(BEFORE, BEFORE, bigger_is_better=bigger_is_better)
    assert not is_worse(exact, exact, bigger_is_better=bigger_is_better)


def test_an_estimate_reads_as_a_line():
    """Cron mails it."""
    assert str(BEFORE) == "0.800 [0.770, 0.830] (n = 700)"
    assert str(Estimate(0.8, None, None, 700)) == "0.800 (n = 700)"
    assert str(Estimate(None, None, None, 3)) == "undefined (n = 3)"
