import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from risk.report import curves
from risk.report.context import Labelled

COST = (0.0, 1.0, 5.0, 0.0)


def labelled(y_true, y_pred_proba, threshold=0.5):
    proba = np.asarray(y_pred_proba, dtype="float64")
    y_pred = (proba >= threshold).astype("int8")
    return Labelled("rows", pd.DataFrame(), np.asarray(y_true, dtype="int8"), proba, y_pred)


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    risk = rng.random(2000)
    return labelled(rng.random(2000) < risk, risk)


def test_outcomes_are_counted_as_everybody_counts_them(many):
    """True labels down, predicted ones across."""
    expected = metrics.confusion_matrix(many.y_true, many.y_pred)

    assert curves.outcomes(many).tolist() == expected.tolist()


def test_of_one_class_the_other_counts_nothing():
    """The table stays two by two."""
    assert curves.outcomes(labelled([1, 1], [0.2, 0.9])).tolist() == [[0, 0], [1, 1]]


def test_thinned_curves_keep_their_ends_and_their_area(many):
    """2000 rows make hundreds of corners; a few hundred are enough to draw."""
    points = curves.roc_points(many)

    assert len(points) <= curves.MAX_POINTS
    assert points.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    area = metrics.roc_auc_score(many.y_true, many.y_pred_proba)
    assert metrics.auc(points["fpr"], points["tpr"]) == pytest.approx(area, abs=1e-3)


def test_precision_and_recall_of_four_rows_are_those_of_hand():
    """From calling all to calling none."""
    points = curves.precision_recall_points(labelled([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]))

    told = set(points.itertuples(index=False, name=None))
    assert {(1.0, 0.5), (0.5, 1.0), (0.0, 1.0)} <= told
    assert any(recall == 1.0 and precision == pytest.approx(2 / 3) for recall, precision in told)


def test_calibration_compares_means_and_shares_of_equal_groups():
    """Two groups of five: the shares and their intervals by scipy."""
    found = labelled([0, 0, 0, 0, 1, 1, 1, 1, 1, 0], [0.1] * 5 + [0.7] * 5)

    bins = curves.calibration_bins(found, confidence=0.9)

    # exact on each side, of which the one near 0 and the other are wider than Wilson's
    exact = binomtest(1, 5).proportion_ci(0.8, method="exact")
    assert bins["predicted"].tolist() == pytest.approx([0.1, 0.7])
    assert bins["observed"].tolist() == pytest.approx([0.2, 0.8])
    assert bins["n"].tolist() == [5, 5]
    assert bins.loc[0, ["lower", "upper"]].tolist() == pytest.approx([exact.low, exact.high])


def test_rows_of_equal_risk_stay_in_one_group():
    """A tree predicts few different risks."""
    bins = curves.calibration_bins(labelled([0, 1] * 100, [0.3, 0.3] * 100), confidence=0.95)

    assert bins["n"].tolist() == [200]


def test_costs_are_those_of_counting(many):
    """At every threshold the mean of what each row costs."""
    points = curves.costs(many, COST)

    for threshold in (0.0, 0.3, 1.0):
        (_, false_alarms), (missed, _) = metrics.confusion_matrix(
            many.y_true, many.y_pred_proba >= threshold
        )
        expected = (false_alarms + 5 * missed) / len(many)
        assert points["cost"][round(100 * threshold)] == pytest.approx(expected)


def test_what_a_threshold_would_have_done_is_told_by_scikit_learn(many):
    """The share called, and how right that was."""
    called = many.y_pred_proba >= 0.7

    found = curves.at(many, 0.7, COST)

    assert found["flagged"] == pytest.approx(called.mean())
    assert found["precision"] == pytest.approx(metrics.precision_score(many.y_true, called))
    assert found["recall"] == pytest.approx(metrics.recall_score(many.y_true, called))
    assert found["F1"] == pytest.approx(metrics.f1_score(many.y_true, called))
