"""Probabilities that are wrong out of fold are corrected, others are left alone."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest

import training
from risk import store
from risk.config import Columns, Training
from risk.explain.customer import explain
from risk.models import calibration, model, pipelines, releases
from risk.models.fitting import fit
from tests.factories import customers, first_release

COLUMNS = Columns(
    identifier="id", target="y", positive_label=1, negative_label=0, numeric=("a", "b", "c")
)
RNG = np.random.default_rng(20240501)


def needs(package):
    found = importlib.util.find_spec(package)
    return pytest.mark.skipif(not found, reason=f"{package} is not installed")


def rows(n):
    """Return features with the true risk of each row, and a label drawn from it."""
    features = pd.DataFrame(RNG.normal(size=(n, 3)), columns=list("abc"))
    risk = expit(-2 + features["a"] + features["b"] * features["c"]).to_numpy()
    return features.assign(y=RNG.binomial(1, risk).astype("int8")), risk


TRAINED_ON, _ = rows(2500)
NEW, TRUE_RISK = rows(10_000)


def error(y_pred_proba):
    """Return the mean difference from the true risk by tenths of the predicted one."""
    table = pd.DataFrame({"predicted": y_pred_proba, "true": TRUE_RISK})
    means = table.groupby(pd.qcut(y_pred_proba, 10, duplicates="drop"), observed=True).mean()
    return (means["predicted"] - means["true"]).abs().mean()


def fitted(world, estimator, **parameters):
    own = Training(estimator=estimator, parameters=parameters)
    config = world.config.model_copy(update={"columns": COLUMNS, "training": own})
    return fit(pipelines.build(COLUMNS, own, random_seed=5), TRAINED_ON, config)


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("LogisticRegression", {"class_weight": "balanced"}),
        ("HistGradientBoostingClassifier", {}),
        pytest.param(
            "xgboost.XGBClassifier",
            {"scale_pos_weight": 8},
            marks=[needs("xgboost"), pytest.mark.torture],
        ),
        pytest.param(
            "lightgbm.LGBMClassifier",
            {"is_unbalance": True},
            marks=[needs("lightgbm"), pytest.mark.torture],
        ),
    ],
)
def test_a_model_that_is_off_is_calibrated(world, estimator, parameters):
    """On new rows its risks are right, in the same order as before, and its promise is kept."""
    found = fitted(world, estimator, **parameters)

    now = model.positive_probability(found.pipeline, NEW[["a", "b", "c"]])
    before = model.positive_probability(found.pipeline.classifier, NEW[["a", "b", "c"]])
    assert found.is_calibrated
    assert error(now) < 0.03 < error(before)
    assert (np.diff(now[np.argsort(before)]) >= 0).all()
    brier = np.mean((now - TRUE_RISK) ** 2 + TRUE_RISK * (1 - TRUE_RISK))
    assert found.scores["brier"].lower <= brier <= found.scores["brier"].upper


def test_a_model_that_is_right_is_left_as_it_is(world):
    """It is no other pipeline than before."""
    found = fitted(world, "LogisticRegression")

    assert not found.is_calibrated
    assert type(found.pipeline).__name__ == "Pipeline"


def test_right_probabilities_are_seldom_taken_for_wrong_ones():
    """In at most one of twenty samples, which is what the evidence asked for allows.

    22 of 200 are too many, so that one in seven, of which there would be 29, is found out.
    """
    folds = np.array_split(np.arange(600), 5)
    n_wrong = 0
    for _ in range(200):
        risk = RNG.beta(1, 3, 600)
        n_wrong += calibration.needed(RNG.binomial(1, risk), risk, folds) is not None

    assert binomtest(n_wrong, 200, 0.05, alternative="greater").pvalue > 0.001


def test_odds_that_are_multiplied_are_divided_again():
    """As a weight of the positive class multiplies them."""
    risk = RNG.beta(1, 4, 20_000)
    weighted = expit(logit(risk) + np.log(8))

    found = calibration.needed(
        RNG.binomial(1, risk), weighted, np.array_split(np.arange(20_000), 5)
    )

    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.intercept == pytest.approx(-np.log(8), abs=0.1)
    assert np.abs(found.out_of_fold - risk).max() < 0.03


def test_the_few_probabilities_of_a_tree_are_compared_as_it_gives_them(world):
    """One that was not limited predicts 0 or 1, and each fold corrects these in its own way."""
    found = fitted(world, "DecisionTreeClassifier")

    of_new = model.positive_probability(found.pipeline, NEW[["a", "b", "c"]])
    assert found.is_calibrated
    assert len(np.unique(found.out_of_fold)) == 10
    assert {*np.unique(found.as_deployed)} == {*np.unique(of_new)}
    assert len(np.unique(of_new)) == 2
    low, high = np.unique(of_new)
    np.testing.assert_array_equal(found.as_deployed == high, found.out_of_fold > (low + high) / 2)


def test_a_model_worse_than_chance_is_not_turned_round():
    """That would be another model, and hide a mistake in the labels."""
    risk = RNG.beta(1, 4, 2000)

    found = calibration.needed(RNG.binomial(1, risk), 1 - risk, np.array_split(np.arange(2000), 5))

    assert found is None


@needs("xgboost")
@pytest.mark.parametrize("filename", ["trained_model.pkl", "trained_model.skops"])
def test_a_calibrated_model_is_released_and_explained_like_any_other(world, ledger, filename):
    """It is signed, loaded with its correction, and its training says so."""
    if filename.endswith(".skops"):
        pytest.importorskip("skops")
    world.take_from_inbox()
    world.drop("a.csv", customers("a", 400, seed=1))
    parameters = {"scale_pos_weight": 1000, "max_depth": 2, "n_estimators": 20}
    config = world.set(
        training__estimator="xgboost.XGBClassifier",
        training__parameters=parameters,
        model_filename=filename,
    )

    first_release(config, ledger)

    champion = releases.load_champion(config)
    known = store.read_parts(config, ledger.parts.ids())
    assert champion.manifest.is_calibrated
    assert ", probabilities calibrated: F1" in str(training.Challenger(champion.manifest))
    share, mean = known["exited"].mean(), champion.predict_proba(known).mean()
    assert mean == pytest.approx(share, abs=0.05)
    parts = explain(config, ledger, "a0", champion=champion).parts
    assert {*parts["feature"]} == {*config.columns.features}
