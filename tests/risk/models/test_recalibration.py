from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score

from risk.models import recalibration
from risk.models.fitting import RESAMPLES
from risk.models.platt import apply, fit
from risk.stats.threshold import highest_f1, lowest_cost


def miscalibrated(n, *, seed, slope=1.0, intercept=-1.5, p=None):
    """Draw labels whose chances are not what the model says: by default fewer positives."""
    rng = np.random.default_rng(seed)
    p = expit(1.5 * rng.normal(size=n)) if p is None else p
    y = rng.random(n) < expit(slope * logit(p) + intercept)
    return pd.DataFrame({"y_true": y.astype(float), "y_pred_proba": p})


def platt(rows):
    """Fit Platt's two parameters by scikit-learn."""
    x = logit(np.clip(rows["y_pred_proba"], 1e-6, 1 - 1e-6)).to_numpy()[:, None]
    fitted = LogisticRegression(C=1e9, tol=1e-10, max_iter=10_000).fit(x, rows["y_true"])
    return fitted.coef_[0, 0], fitted.intercept_[0]


def halves(rows, slope, intercept):
    """Return labels, predictions and recalibrated ones of the older and the newer half."""
    y, p = rows["y_true"].to_numpy(), rows["y_pred_proba"].to_numpy()
    again, half = expit(slope * logit(p) + intercept), len(rows) // 2
    return (y[:half], p[:half], again[:half]), (y[half:], p[half:], again[half:])


def minus_f1(y, y_pred):
    return -f1_score(y, y_pred, zero_division=0)


def cost_of_a_row(y, y_pred):
    return np.mean(np.where(y == 1, 5 * ~y_pred, y_pred))


BEST = {"f1": highest_f1, "cost": partial(lowest_cost, cost=(0, 1, 5, 0))}


@pytest.mark.parametrize(("by", "loss"), [("f1", minus_f1), ("cost", cost_of_a_row)])
@pytest.mark.parametrize("seed", [1, 2])
def test_offers_gain_what_is_gained_out_of_time(world, by, loss, seed):
    """Learnt on the older half, measured on the newer, by hand and by scikit-learn."""
    rows = miscalibrated(300, seed=seed)
    config = world.set(training__choose_threshold_by=by)

    recalibrate, move = recalibration.offers(rows, 0.5, config)

    (y_old, p_old, q_old), (y_new, p_new, q_new) = halves(rows, *platt(rows[:150]))
    as_is = loss(y_new, p_new >= 0.5)
    best = partial(BEST[by], n_resamples=RESAMPLES)
    moved = as_is - loss(y_new, p_new >= best(y_old, p_old))
    adjusted = as_is - loss(y_new, q_new >= best(y_old, q_old))
    assert (move.action, move.gain) == ("move_threshold", pytest.approx(moved))
    assert (recalibrate.action, recalibrate.gain) == ("recalibrate", pytest.approx(adjusted))
    assert move.unit == {"f1": "f1", "cost": "of cost per row"}[by]


def test_after_a_prior_shift_only_recalibration_improves_probabilities(world):
    """The Brier score does not know the threshold."""
    rows = miscalibrated(600, seed=3)
    config = world.set(checks__metric="brier")

    recalibrate, move = recalibration.offers(rows, 0.5, config)

    _, (y_new, p_new, q_new) = halves(rows, *platt(rows[:300]))
    expected = brier_score_loss(y_new, p_new) - brier_score_loss(y_new, q_new)
    assert recalibrate.gain == pytest.approx(expected)
    assert recalibrate.gain > 0.03
    assert move.gain == 0.0


def test_a_fixed_threshold_stays_where_it_is(world):
    """Recalibration brings the probabilities to it instead; costs are not asked for."""
    rows = miscalibrated(600, seed=4, intercept=2.0)
    config = world.set(training__choose_threshold_by="fixed", checks__metric="accuracy")

    recalibrate, move = recalibration.offers(rows, 0.5, config)

    _, (y_new, p_new, q_new) = halves(rows, *platt(rows[:300]))
    gained = np.mean((q_new >= 0.5) == y_new) - np.mean((p_new >= 0.5) == y_new)
    assert recalibrate.gain == pytest.approx(gained)
    assert recalibrate.gain > 0.02
    assert move.gain == 0.0


def test_calibrated_probabilities_have_nothing_to_gain(world):
    """The offers of a model that is right scatter about nothing, over 40 seeds."""
    config = world.set(checks__metric="brier")

    gains = [
        recalibration.offers(miscalibrated(400, seed=seed, intercept=0.0), 0.5, config)[0].gain
        for seed in range(40)
    ]

    assert -0.01 < np.mean(gains) <= 0.001


@pytest.mark.parametrize(
    ("n", "positive", "offered"),
    [
        (119, slice(0, None, 2), 0),
        (120, slice(0, None, 2), 2),
        (400, slice(0, 19), 0),
        (400, slice(190, 210), 2),
        (400, slice(191, 210), 0),
        (0, slice(0), 0),
    ],
    ids=["119 rows", "120 rows", "older only", "10 and 10", "9 and 10", "none"],
)
def test_too_few_rows_or_of_a_class_offer_nothing(world, n, positive, offered):
    """60 rows, 10 of each class, are asked of both halves."""
    y = np.zeros(n)
    y[positive] = 1
    rows = pd.DataFrame({"y_true": y, "y_pred_proba": np.linspace(0.1, 0.9, n)})

    assert len(recalibration.offers(rows, 0.5, world.config)) == offered


@pytest.mark.parametrize(
    "rows",
    [
        miscalibrated(300, seed=1),
        miscalibrated(300, seed=2, slope=2.0, intercept=0.0),
        miscalibrated(300, seed=3, slope=-1.0),
        miscalibrated(
            300, seed=4, slope=0.2, p=expit(6 * np.random.default_rng(0).normal(size=300))
        ),
        miscalibrated(300, seed=5, p=np.full(300, 0.3) + np.linspace(0, 1e-3, 300)),
    ],
    ids=["prior shift", "too timid", "turned around", "far too sure", "all alike"],
)
def test_platt_agrees_with_scikit_learn(rows):
    """A logistic regression without a penalty on the log-odds."""
    y, p = (rows[name].to_numpy() for name in rows)

    recalibrated = apply(p, *fit(y, p))

    slope, intercept = platt(rows)
    expected = expit(slope * logit(np.clip(p, 1e-6, 1 - 1e-6)) + intercept)
    assert recalibrated == pytest.approx(expected, abs=1e-4)


def test_platt_of_a_tree_that_is_always_sure():
    """By hand: 80 of 100 right on either side, so the slope takes log(4) from log-odds of 1e6."""
    p = np.repeat([0.0, 1.0], 100)
    y = np.r_[np.repeat([0.0, 1.0], [80, 20]), np.repeat([0.0, 1.0], [20, 80])]

    slope, intercept = fit(y, p)

    assert slope == pytest.approx(np.log(4) / logit(1 - 1e-6))
    assert intercept == pytest.approx(0, abs=1e-6)
    assert apply(p, slope, intercept) == pytest.approx(np.repeat([0.2, 0.8], 100))


def test_platt_of_labels_that_are_told_apart_stays_finite():
    """Without a penalty the best slope is infinite."""
    p = np.repeat([0.3, 0.6], 50)

    slope, intercept = fit((p > 0.5).astype(float), p)

    assert np.isfinite([slope, intercept]).all()
    assert apply(p, slope, intercept) == pytest.approx(np.repeat([0.0, 1.0], 50), abs=0.01)
