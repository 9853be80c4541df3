import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from risk.config import Columns
from risk.monitoring import compressed_pickle, performance_estimation
from risk.monitoring.performance_estimation import reliable
from risk.stats.expected import expected_scores
from risk.stats.scores import Estimate, score_all
from tests.torture import in_full

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x",),
    categorical=("c",),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other make small fits take seconds."""
    with threadpool_limits(1):
        yield


def world(n, *, seed, shift=0.0, share=0.15, effect=0.0):
    """Rows, labels, and the probabilities of a model that never saw what `c` does to `x`."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "x": rng.normal(shift, 1, n),
            "c": pd.array(np.where(rng.random(n) < share, "b", "a"), dtype="str"),
        }
    )
    chance = expit((1.5 - effect * (rows["c"] == "b")) * rows["x"] - 0.5).to_numpy()
    y_pred_proba = expit(1.2 * rows["x"] - 0.4).to_numpy()
    return rows, (rng.random(n) < chance).astype(int), y_pred_proba, chance


def fit(rows, y_true, y_pred_proba, *, seed=0):
    labelled = rows.assign(y=y_true)
    return performance_estimation.fit(labelled, y_pred_proba, COLUMNS, random_seed=seed)


def estimate(found, rows, y_pred_proba, y_pred):
    """Estimate the scores of rows as an assessment does."""
    expected = found.expected(rows, y_pred_proba)
    return expected_scores(y_pred_proba, y_pred, found.chances(rows, y_pred_proba, expected))


@pytest.fixture(scope="module")
def plain():
    """Give the calibration of a model that misses nothing."""
    return fit(*world(4000, seed=1)[:3])


@pytest.fixture(scope="module")
def boosted():
    """Give the calibration of a model that is wrong about one subgroup."""
    return fit(*world(6000, seed=2, effect=3.0)[:3])


# --- the values -------------------------------------------------------------------------------


def test_a_shift_of_the_features_is_followed(plain):
    """The model is the same, and yet better there: its easy rows have become more."""
    before, now = (world(20_000, seed=3, shift=shift) for shift in (0.0, 1.0))
    estimates, realised = [], []
    for rows, y_true, y_pred_proba, _ in (before, now):
        y_pred = y_pred_proba >= 0.5
        estimates.append(estimate(plain, rows, y_pred_proba, y_pred))
        realised.append(score_all(y_true, y_pred_proba, y_pred))

    for name in ("accuracy", "f1", "precision", "recall"):
        for found, score in zip(estimates, realised, strict=True):
            assert found[name].value == pytest.approx(score[name].value, abs=0.02), name
    assert realised[1]["f1"].value - realised[0]["f1"].value > 0.05


def test_a_model_that_misses_nothing_is_not_corrected(plain):
    """A booster that gains nothing would only add noise."""
    assert {version.booster for version in plain.versions} == {None}


def test_a_subgroup_the_model_is_wrong_about_is_seen_when_it_grows(boosted):
    """By the score alone, its rows look as right as the others."""
    reference, y_true, y_pred_proba, _ = world(6000, seed=2, effect=3.0)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(y_pred_proba, y_true)
    rows, y_true, y_pred_proba, chance = world(5000, seed=4, effect=3.0, share=0.7)
    y_pred = y_pred_proba >= 0.5
    realised = score_all(y_true, y_pred_proba, y_pred)

    ours = estimate(boosted, rows, y_pred_proba, y_pred)
    by_score = isotonic.predict(y_pred_proba)
    cbpe = expected_scores(y_pred_proba, y_pred, by_score)

    for name in ("accuracy", "f1", "roc_auc", "brier"):
        assert abs(ours[name].value - realised[name].value) < 0.03, name
        assert abs(cbpe[name].value - realised[name].value) > 0.08, name
        assert ours[name].lower <= realised[name].value <= ours[name].upper, name
    error, other = (
        abs(c - chance).mean() for c in (boosted.expected(rows, y_pred_proba), by_score)
    )
    assert error < other / 3


def test_few_rows_get_two_parameters():
    """Platt's curve knows the truth, which has this form, better than a staircase would."""
    rows, y_true, y_pred_proba, _ = world(300, seed=5)
    found = fit(rows, y_true, y_pred_proba)
    fresh, _, fresh_proba, chance = world(2000, seed=6)

    assert np.abs(found.expected(fresh, fresh_proba) - chance).mean() < 0.05


def test_the_replicates_are_as_far_apart_as_calibrations_of_other_samples():
    """Their scatter stands for that over all the reference rows there might have been."""
    rows, _, y_pred_proba, _ = world(3000, seed=7)
    fits = [fit(*world(400, seed=100 + seed)[:3]) for seed in range(40)]
    means = [found.expected(rows, y_pred_proba).mean() for found in fits]
    scatters = [found.replicates(rows, y_pred_proba).mean(axis=1).std(ddof=1) for found in fits]

    assert np.mean(scatters) == pytest.approx(np.std(means, ddof=1), rel=0.3)


def test_realised_scores_lie_in_the_interval():
    """From few reference rows, where the error of the calibration is most of it."""
    inside = 0
    for seed in range(60):
        found = fit(*world(300, seed=200 + seed)[:3])
        rows, y_true, y_pred_proba, _ = world(3000, seed=300 + seed, shift=0.5)
        y_pred = y_pred_proba >= 0.5
        ours = estimate(found, rows, y_pred_proba, y_pred)["f1"]
        inside += ours.lower <= score_all(y_true, y_pred_proba, y_pred)["f1"].value <= ours.upper

    assert inside >= 0.9 * 60


def test_the_chances_are_the_expected_ones_and_replicates(boosted):
    """Of few rows exactly."""
    rows, _, y_pred_proba, _ = world(500, seed=8)
    expected = boosted.expected(rows, y_pred_proba)

    found = boosted.chances(rows, y_pred_proba, expected)

    assert found.shape == (11, 500)
    assert np.array_equal(found[0], expected)
    assert np.array_equal(found[1:], boosted.replicates(rows, y_pred_proba))


def test_of_very_many_rows_the_interval_is_that_of_some(boosted, monkeypatch):
    """The estimate itself is that of all rows; which rows have replicates hardly matters."""
    rows, _, y_pred_proba, _ = world(6000, seed=8, shift=0.5)
    y_pred = y_pred_proba >= 0.5
    table = np.vstack(
        [boosted.expected(rows, y_pred_proba), boosted.replicates(rows, y_pred_proba)]
    )

    found = estimate(boosted, rows, y_pred_proba, y_pred)

    for name, exact in expected_scores(y_pred_proba, y_pred, table).items():
        assert found[name].value == pytest.approx(exact.value, rel=1e-12)
        width = exact.upper - exact.lower
        assert found[name].upper - found[name].lower == pytest.approx(width, rel=0.1), name


def test_rows_predicted_in_pieces_are_predicted_alike(boosted, monkeypatch):
    """Whatever the size of a piece."""
    rows, _, y_pred_proba, _ = world(500, seed=8)
    whole = boosted.replicates(rows, y_pred_proba)

    monkeypatch.setattr(performance_estimation, "ROWS_AT_ONCE", 99)

    assert np.array_equal(boosted.replicates(rows, y_pred_proba), whole)


def test_a_booster_of_binned_rows_is_one_of_the_rows_as_they_were():
    """What it was fitted to and what it will predict fall into the same leaves."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=3000), rng.integers(0, 9, 3000)])
    features[::7, 0] = np.nan

    binned = performance_estimation._binned(features)

    booster = HistGradientBoostingRegressor(max_iter=50).fit(binned, features.sum(axis=1) > 4)
    assert len(np.unique(binned[:, 0])) <= 255 < len(np.unique(features[:, 0]))
    assert np.array_equal(binned[:, 1], features[:, 1])
    assert np.array_equal(booster.predict(binned), booster.predict(features))


def test_a_compact_booster_predicts_the_same_and_is_a_third_as_large():
    """A release keeps eleven of them; what is left is what scikit-learn reads to predict."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 3))
    features[::7, 0] = np.nan
    booster = HistGradientBoostingRegressor(max_iter=50).fit(features, features.sum(axis=1) > 0)
    new, size = rng.normal(size=(500, 3)), len(compressed_pickle.dumps(booster))
    new[::5, 1] = np.nan
    expected = booster.predict(new)

    compact = performance_estimation._compact(booster)

    assert compact.predict(new) == pytest.approx(expected, abs=1e-4)
    assert len(compressed_pickle.dumps(compact)) < size / 3


# --- what comes in ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 99])
def test_too_few_rows_are_no_reference(n):
    """Better no estimate than a guess."""
    assert fit(*world(n, seed=9)[:3]) is None


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(("few", "enough"), [(0, False), (9, False), (10, True)])
def test_too_few_rows_of_a_class_are_no_reference(few, enough, label):
    """Ten are the least to learn a chance from."""
    rows, _, y_pred_proba, _ = world(1000, seed=10)
    y_true = np.where(np.arange(1000) < few, label, 1 - label)

    assert (fit(rows, y_true, y_pred_proba) is not None) == enough


def test_missing_infinite_and_unseen_values_get_a_chance(boosted):
    """Nobody warns, the frame is left as it was, and what was never seen counts as missing."""
    rows = pd.DataFrame(
        {
            "c": pd.array(["a", "new", None, "b", "a"], dtype="str"),
            "x": [np.nan, 1.0, 1.0, np.inf, -np.inf],
        }
    )
    before = rows.copy()

    found = boosted.expected(rows, np.array([0.0, 0.7, 0.7, 1.0, 0.5]))

    assert ((found > 0) & (found < 1)).all()
    assert found[1] == found[2]
    pd.testing.assert_frame_equal(rows, before)


def test_missing_and_infinite_values_are_learnt_from():
    """Where `x` is missing the model was always told 0, and is always wrong."""
    rows, y_true, y_pred_proba, _ = world(3000, seed=11)
    holes = np.arange(3000) % 4 == 0
    rows.loc[holes, "x"] = np.nan
    rows.loc[1::50, "x"] = [np.inf, -np.inf] * 30
    rows.loc[holes, "c"] = None
    y_true = np.where(holes, y_pred_proba < 0.5, y_true)

    found = fit(rows, y_true, y_pred_proba).expected(rows, y_pred_proba)

    assert np.abs(found - y_true)[holes].mean() < 0.15


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
@pytest.mark.parametrize("n_known", [0, 1])
def test_a_feature_without_values_changes_nothing(kind, n_known):
    """Nor does one whose only value all folds but one have to do without."""
    rows, y_true, y_pred_proba, _ = world(3000, seed=4, effect=3.0)
    empty = pd.Series([1.0] if kind == "numeric" else ["a"], index=[17]).head(n_known)
    with_it = rows.assign(none=empty.reindex(rows.index), y=y_true)
    more = COLUMNS.model_copy(update={kind: (*getattr(COLUMNS, kind), "none")})
    plain = fit(rows, y_true, y_pred_proba)
    assert plain.versions[0].booster is not None

    found = performance_estimation.fit(with_it, y_pred_proba, more, random_seed=0)

    same_chances = found.expected(with_it, y_pred_proba) == plain.expected(rows, y_pred_proba)
    assert same_chances.all()


@pytest.mark.parametrize("effect", [0.0, in_full(3.0)])
@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_features_may_be_of_one_kind(kind, effect):
    """The seeds have numbers alone; with boosters and without."""
    rows, y_true, y_pred_proba, _ = world(1000, seed=12, effect=effect, share=0.5)
    columns = COLUMNS.model_copy(update={kind: ()})

    found = performance_estimation.fit(rows.assign(y=y_true), y_pred_proba, columns, random_seed=0)

    assert np.isfinite(found.expected(rows, y_pred_proba)).all()


def test_a_score_that_is_always_the_same_has_one_chance():
    """The share of the positives."""
    rows, y_true, _, _ = world(600, seed=13)
    rows["x"] = 0.0

    found = fit(rows, y_true, np.full(600, 0.3)).expected(rows, np.full(600, 0.3))

    np.testing.assert_allclose(found, y_true.mean())


@pytest.mark.parametrize("n", [200, 2000])
def test_nothing_is_certain(n):
    """Labels the score separates fully leave a chance of one row in 2n."""
    rows, _, y_pred_proba, _ = world(n, seed=14)

    found = fit(rows, y_pred_proba > 0.5, y_pred_proba).expected(rows, y_pred_proba)

    assert found.min() >= 1 / (2 * n)
    assert found.max() <= 1 - 1 / (2 * n)
    assert logit(found.max()) - logit(found.min()) > 6


# --- the record -------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [0.0, in_full(3.0)])
def test_the_same_seed_says_the_same_and_another_one_something_else(effect):
    """In the replicates at least, whose weights are drawn; with boosters and without."""
    rows, y_true, y_pred_proba, _ = world(1000, seed=16, effect=effect, share=0.5)

    first, second, third = (
        fit(rows, y_true, y_pred_proba, seed=seed).replicates(rows, y_pred_proba)
        for seed in (0, 0, 1)
    )

    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


@pytest.mark.parametrize("name", ["plain", "boosted"])
def test_a_pickle_says_the_same(name, request):
    """It is stored with the release, and small."""
    calibration = request.getfixturevalue(name)
    rows, _, y_pred_proba, _ = world(500, seed=15)

    content = pickle.dumps(calibration)

    copy = pickle.loads(content)
    assert np.array_equal(
        copy.replicates(rows, y_pred_proba), calibration.replicates(rows, y_pred_proba)
    )
    assert len(content) < 10_000_000


@pytest.mark.parametrize(
    ("realised", "expected"),
    [
        (Estimate(0.8, 0.75, 0.85, 100), True),
        (Estimate(0.74, 0.70, 0.78, 100), True),
        (Estimate(0.73, 0.69, 0.77, 100), False),
        (Estimate(0.87, 0.83, 0.91, 100), False),
        (Estimate(None, None, None, 100), True),
    ],
)
def test_an_estimate_is_reliable_while_chance_explains_its_error(realised, expected):
    """Half widths of .05 and .04 allow for a difference of .064, on either side."""
    estimate = Estimate(0.8, 0.75, 0.85, 100)

    assert reliable(estimate, realised) == expected
    assert reliable(realised, estimate) == expected


def test_a_badly_calibrated_classifier_is_estimated_well():
    """Six copies of one number make naive Bayes far too sure; the labels are the oracle."""
    rng = np.random.default_rng(0)
    names = tuple(f"x{number}" for number in range(6))
    columns = COLUMNS.model_copy(update={"numeric": names, "categorical": ()})

    def drawn(n, shift):
        z = rng.normal(shift, 1, n)
        copies = z[:, None] + 0.3 * rng.normal(size=(n, 6))
        return pd.DataFrame(copies, columns=names), (rng.random(n) < expit(z)).astype(int)

    rows, labels = drawn(3000, 0.0)
    out_of_fold = cross_val_predict(GaussianNB(), rows, labels, method="predict_proba")[:, 1]
    found = performance_estimation.fit(rows.assign(y=labels), out_of_fold, columns, random_seed=0)
    classifier = GaussianNB().fit(rows, labels)

    for shift in (0.0, 0.7):
        new, truth = drawn(1000, shift)
        proba = classifier.predict_proba(new)[:, 1]
        y_pred, chance = (proba >= 0.5).astype(int), found.expected(new, proba)
        realised = score_all(truth, proba, y_pred)["f1"].value
        estimated, believed = (
            expected_scores(proba, y_pred, p)["f1"].value for p in (chance, proba)
        )
        assert abs(estimated - realised) < 0.04
        assert believed - realised > 0.1
