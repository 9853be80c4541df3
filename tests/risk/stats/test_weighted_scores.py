import numpy as np
import pytest

from risk.stats.scores import BIGGER_IS_BETTER, score_all
from risk.stats.weighted_scores import Scoring

COST = (-2.0, 1.0, 5.0, 0.5)


@pytest.mark.parametrize("metric", BIGGER_IS_BETTER)
def test_a_weight_of_two_counts_as_two_rows(metric):
    """Rows with ties, against the scores of rows written twice."""
    rng = np.random.default_rng(3)
    proba = np.sort(rng.integers(1, 20, 80) / 20)
    y_true, weight = (rng.random(80) < proba).astype(float), rng.integers(1, 4, 80)
    twice = (np.repeat(values, weight) for values in (y_true, proba, proba >= 0.5))

    found = Scoring(metric, 0.5, COST)(weight * y_true, weight * (1 - y_true), proba)

    assert found == pytest.approx(score_all(*twice, cost=COST)[metric].value)


def test_samples_are_scored_one_by_one():
    """A table of samples has the scores of its rows."""
    rng = np.random.default_rng(4)
    proba, chances = np.sort(rng.random(30)), rng.random((5, 30))

    for metric in BIGGER_IS_BETTER:
        scoring = Scoring(metric, 0.4, COST)
        each = [scoring(chance, 1 - chance, proba) for chance in chances]
        assert scoring(chances, 1 - chances, proba) == pytest.approx(np.array(each))


def test_what_is_not_defined_is_no_number():
    """No positive for recall, nothing flagged for precision, one class for ROC AUC."""
    proba, none, all_rows = np.array([0.1, 0.2]), np.zeros(2), np.ones(2)

    assert all(
        np.isnan(Scoring(metric, 0.5)(none, all_rows, proba))
        for metric in ("recall", "precision", "roc_auc", "average_precision")
    )
