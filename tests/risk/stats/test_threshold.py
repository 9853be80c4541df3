from functools import partial

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import f1_score

from risk.stats import threshold
from risk.stats.threshold import SEED, highest_f1, lowest_cost


def sample(seed):
    """Give 300 rows with many tied probabilities."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random(300) < 0.3).astype(int)
    return y_true, np.round(np.clip(0.3 * y_true + rng.random(300) * 0.7, 0, 1), 2)


def between_all(y_pred_proba):
    levels = np.unique(np.append(y_pred_proba, [0, 1]))
    return np.append((levels[:-1] + levels[1:]) / 2, 1.5)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_has_a_higher_f1(seed):
    """Every possible split is tried, scored by scikit-learn."""
    y_true, y_pred_proba = sample(seed)

    chosen = highest_f1(y_true, y_pred_proba)

    best = max(f1_score(y_true, y_pred_proba >= t) for t in between_all(y_pred_proba))
    assert f1_score(y_true, y_pred_proba >= chosen) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("cost", [(0, 1, 5, 0), (-2, 1, 3, -1), (0, 1, 1, 0)])
def test_no_other_threshold_costs_less(cost):
    """Costs added up row by row; a true positive may also earn."""
    y_true, y_pred_proba = sample(7)

    def total(threshold):
        y_pred = y_pred_proba >= threshold
        y_false = 1 - y_true
        outcomes = (y_true & y_pred, y_false & y_pred, y_true & ~y_pred, y_false & ~y_pred)
        return sum(price * outcome.sum() for price, outcome in zip(cost, outcomes, strict=True))

    chosen = lowest_cost(y_true, y_pred_proba, cost=cost)

    assert total(chosen) == min(total(t) for t in between_all(y_pred_proba))


def cost_of(y_true, y_pred, sample_weight):
    return np.sum(sample_weight * np.where(y_true == 1, 2 * ~y_pred, y_pred))


@pytest.mark.parametrize(
    ("average", "loss"),
    [
        (highest_f1, lambda y, y_pred, w: -f1_score(y, y_pred, sample_weight=w, zero_division=0)),
        (partial(lowest_cost, cost=(0, 1, 2, 0)), cost_of),
    ],
)
def test_an_averaged_threshold_calls_as_many_positive_as_the_best_of_each_resample(average, loss):
    """By hand: weights from the top, every split tried, scored by scikit-learn."""
    y, p = (values[:60] for values in sample(11))
    candidates, rng = between_all(p), np.random.default_rng(SEED)
    called = np.array([np.sum(p >= t) for t in candidates])
    equal = [[(p == level) & (y == label) for level in np.unique(p)[::-1]] for label in (1, 0)]
    numbers = []
    for _ in range(20):
        weights = np.zeros(60)
        for of_label in equal:  # as each row has an exponential weight, equal ones have a gamma
            sums = rng.standard_gamma([rows.sum() for rows in of_label])
            for rows, total in zip(of_label, sums, strict=True):
                weights[rows] = total / max(rows.sum(), 1)
        numbers.append(called[np.argmin([loss(y, p >= t, weights) for t in candidates])])

    chosen = average(y, p, n_resamples=20)

    off = abs(np.sum(p >= chosen) - np.mean(numbers))
    assert off == pytest.approx(np.min(np.abs(called - np.mean(numbers))))
    assert len(set(numbers)) > 3


def test_averaged_thresholds_are_better_on_other_rows_and_vary_less():
    """200 samples of calibrated chances, of which one in seven is positive: F1 of all there are."""
    population = expit(-2.2 + 1.2 * norm.ppf((np.arange(4000) + 0.5) / 4000))
    rng = np.random.default_rng(20261201)

    def in_the_long_run(threshold):
        positive = population >= threshold
        return 2 * population[positive].sum() / (positive.sum() + population.sum())

    scores = []
    for _ in range(200):
        y_pred_proba = rng.choice(population, 500)
        y_true = rng.random(500) < y_pred_proba
        chosen = [highest_f1(y_true.astype(int), y_pred_proba, n_resamples=n) for n in (0, 100)]
        scores.append([in_the_long_run(threshold) for threshold in chosen])

    best_of_one, averaged = np.transpose(scores)
    gains = averaged - best_of_one
    assert gains.mean() > 3 * gains.std() / np.sqrt(len(gains))
    assert averaged.std() < 0.8 * best_of_one.std()


def test_an_averaged_threshold_depends_only_on_the_order_of_the_probabilities():
    """Log-odds halved: the same rows are called positive."""
    y_true, y_pred_proba = sample(5)
    flatter = expit(np.log(y_pred_proba + 0.01) / 2)

    one = y_pred_proba >= highest_f1(y_true, y_pred_proba, n_resamples=50)
    other = flatter >= highest_f1(y_true, flatter, n_resamples=50)

    assert np.array_equal(one, other)


def test_averages_of_many_rows_differ_little_from_those_that_try_every_threshold(monkeypatch):
    """Of 20,000 rows 1 in 10 thresholds is tried."""
    rng = np.random.default_rng(4)
    y_pred_proba = expit(rng.normal(-1, 1, 20_000))
    y_true = (rng.random(20_000) < y_pred_proba).astype(int)
    some = highest_f1(y_true, y_pred_proba, n_resamples=20)
    monkeypatch.setattr(threshold, "MAX_TRIED", 20_001)

    every = highest_f1(y_true, y_pred_proba, n_resamples=20)

    called = [np.mean(y_pred_proba >= t) for t in (some, every)]
    assert called[0] == pytest.approx(called[1], abs=0.02)
    assert f1_score(y_true, y_pred_proba >= some) > f1_score(y_true, y_pred_proba >= every) - 0.001


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken():
    """All rows are told apart anywhere between 0.1 and 0.9."""
    assert highest_f1([0, 1], [0.1, 0.9]) == 0.5
    assert highest_f1([0, 1], [0.1, 0.9], n_resamples=10) == 0.5


def test_nothing_is_positive_where_that_is_best_even_beside_a_prediction_of_one():
    """Two negatives, one of them predicted with certainty."""
    for n in (0, 10):
        assert lowest_cost([0, 0], [1.0, 0.2], cost=(0, 1, 0, 0), n_resamples=n) > 1


def test_a_threshold_parts_neighbouring_floats():
    """Halfway between them is rounded to one of them."""
    lower = 0.3
    for _ in range(4):
        lower, upper = np.nextafter(lower, 1), np.nextafter(np.nextafter(lower, 1), 1)

        chosen = highest_f1([0, 1], [lower, upper])

        assert lower < chosen <= upper


def test_the_order_of_rows_is_irrelevant():
    """Ties included."""
    y_true, y_pred_proba = sample(3)
    order = np.random.default_rng(0).permutation(300)

    for n in (0, 50):
        chosen = highest_f1(y_true, y_pred_proba, n_resamples=n)
        assert highest_f1(y_true[order], y_pred_proba[order], n_resamples=n) == chosen


def test_arrays_that_cannot_be_used_are_refused():
    """Each for its own reason."""
    with pytest.raises(ValueError, match="at least one positive label"):
        highest_f1([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="equal length"):
        lowest_cost([0, 1], [0.1], cost=(0, 1, 1, 0))
