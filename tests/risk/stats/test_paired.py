import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from risk.stats.paired import difference

ONE = np.ones(4)


def f1_parts(y_true, y_pred):
    return 2.0 * y_true * y_pred, (y_true + y_pred).astype("float64")


def test_of_means_it_is_the_paired_t_interval():
    """With all denominators 1 nothing but Student's paired interval is left."""
    rng = np.random.default_rng(0)
    before, now = rng.random(50), rng.random(50)

    found = difference((before, np.ones(50)), (now, np.ones(50)), confidence=0.9)

    expected = stats.ttest_rel(now, before).confidence_interval(0.9)
    assert found.value == pytest.approx(now.mean() - before.mean())
    assert (found.lower, found.upper) == pytest.approx(tuple(expected))


def test_its_value_is_the_difference_of_the_scores():
    """F1 as scikit-learn has it."""
    rng = np.random.default_rng(1)
    y_true, before, now = rng.integers(0, 2, (3, 200))

    found = difference(f1_parts(y_true, before), f1_parts(y_true, now))

    assert found.value == pytest.approx(f1_score(y_true, now) - f1_score(y_true, before))


def test_the_interval_holds_what_it_promises():
    """The true difference of F1, from a million rows, lies in 19 of 20 intervals on 300 rows."""
    rng = np.random.default_rng(2)

    def draw(n):
        y_true = rng.random(n) < 0.3
        right = rng.random((2, n)) < np.array([[0.8], [0.75]])
        right[1] |= right[0] & (rng.random(n) < 0.5)  # what is easy for one is easy for both
        return [y_true.astype(int), *np.where(right, y_true, ~y_true).astype(int)]

    y_true, before, now = draw(1_000_000)
    true = f1_score(y_true, now) - f1_score(y_true, before)
    held = 0
    for _ in range(1000):
        y_true, before, now = draw(300)
        found = difference(f1_parts(y_true, before), f1_parts(y_true, now))
        held += found.lower <= true <= found.upper

    assert stats.binomtest(held, 1000, 0.95).pvalue > 0.001


def test_equal_models_have_no_interval():
    """That they never differed on these rows does not say how they differ on others."""
    found = difference((ONE, ONE), (ONE, ONE))

    assert (found.value, found.lower, found.upper, found.n) == (0, None, None, 4)


def test_an_undefined_score_has_no_difference():
    """F1 without any positive, true or predicted."""
    assert difference((0 * ONE, 0 * ONE), (ONE, ONE)) is None
