import numpy as np
import pytest
from sklearn.metrics import f1_score

from risk.stats.threshold import highest_f1, lowest_cost


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


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken():
    """All rows are told apart anywhere between 0.1 and 0.9."""
    assert highest_f1([0, 1], [0.1, 0.9]) == 0.5


def test_nothing_is_positive_where_that_is_best_even_beside_a_prediction_of_one():
    """Two negatives, one of them predicted with certainty."""
    assert lowest_cost([0, 0], [1.0, 0.2], cost=(0, 1, 0, 0)) > 1


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

    assert highest_f1(y_true[order], y_pred_proba[order]) == highest_f1(y_true, y_pred_proba)


def test_arrays_that_cannot_be_used_are_refused():
    """Each for its own reason."""
    with pytest.raises(ValueError, match="at least one positive label"):
        highest_f1([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="equal length"):
        lowest_cost([0, 1], [0.1], cost=(0, 1, 1, 0))
