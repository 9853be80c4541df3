import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from risk.config import Columns
from risk.monitoring.multivariate import Reconstruction, domain_score, fit_reconstruction

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x", "z"),
    categorical=("c",),
)


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other make a second of a hundredth."""
    with threadpool_limits(1):
        yield


def numbers(n, p, *, seed, correlation=0.0):
    covariance = np.full((p, p), correlation) + (1 - correlation) * np.eye(p)
    values = np.random.default_rng(seed).multivariate_normal(np.zeros(p), covariance, n)
    return pd.DataFrame(values * 10 ** np.arange(p) + 5, columns=[f"x{i}" for i in range(p)])


def with_gaps(rows, *, seed):
    return rows.mask(np.random.default_rng(seed).random(rows.shape) < 0.1)


def mixed(n, *, seed, correlation):
    """Give rows whose columns look the same one by one, however they go together."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, n))
    z = correlation * x + np.sqrt(1 - correlation**2) * noise
    c = np.where(rng.random(n) < 0.1, None, rng.choice(["a", "b"], n))
    return pd.DataFrame({"x": x, "z": z, "c": pd.array(c, dtype="str")})


def auc(scores_of_current, scores_of_reference):
    wins = mannwhitneyu(scores_of_current, scores_of_reference).statistic
    return wins / len(scores_of_current) / len(scores_of_reference)


@pytest.mark.parametrize("correlation", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("p", [3, 6, 10])
def test_the_error_is_that_of_a_pca_by_scikit_learn(p, correlation):
    """As many components as explain 80 %, of imputed and standardised columns."""
    reference = with_gaps(numbers(300, p, seed=1, correlation=correlation), seed=2)
    current = with_gaps(numbers(50, p, seed=3), seed=4)

    found = fit_reconstruction(reference, list(reference.columns))

    oracle = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), PCA(0.8, svd_solver="full")
    ).fit(reference)
    z = oracle[:-1].transform(current)
    expected = np.linalg.norm(z - oracle[-1].inverse_transform(oracle.transform(current)), axis=1)
    assert len(found.components) == oracle[-1].n_components_ < p
    np.testing.assert_allclose(found.error(current), expected, rtol=1e-8)


@pytest.mark.parametrize("p", [2, 3])
def test_one_component_is_left_out_even_if_all_are_needed(p):
    """Else nothing would ever be left to see."""
    reference = numbers(100, p, seed=1)

    found = fit_reconstruction(reference, list(reference.columns))

    assert len(found.components) == p - 1
    assert found.error(reference).min() > 0


def test_a_correlation_that_disappears_raises_the_error():
    """Though each column by itself looks as before."""
    reference = numbers(500, 4, seed=1, correlation=0.9)
    reconstruction = fit_reconstruction(reference, list(reference.columns))

    usual = reconstruction.error(numbers(500, 4, seed=2, correlation=0.9))
    without = reconstruction.error(numbers(500, 4, seed=3))

    assert auc(usual, reconstruction.error(reference)) == pytest.approx(0.5, abs=0.05)
    assert auc(without, usual) > 0.9


def test_columns_without_variation_are_dropped():
    """Constant, but for rounding too, empty, known once, or too wild for a standard deviation."""
    rows = numbers(100, 2, seed=1).assign(
        constant=0.1,
        empty=np.nan,
        once=[1.0, *[np.nan] * 99],
        wild=[1e300, -1e300] * 50,
        tiny=[0.0, 5e-324] * 50,
    )

    found = fit_reconstruction(rows, list(rows.columns))

    assert found == fit_reconstruction(rows, ["x0", "x1"])
    assert found.names == ("x0", "x1")


@pytest.mark.parametrize(
    "rows",
    [
        numbers(19, 3, seed=1),
        numbers(50, 1, seed=1),
        numbers(50, 1, seed=1).assign(constant=1.0),
        pd.DataFrame({"x": [np.nan] * 50, "z": [np.nan] * 50}),
        pd.DataFrame(index=range(50)),
        numbers(0, 3, seed=1),
    ],
    ids=["19 rows", "one column", "one that varies", "all missing", "no column", "no row"],
)
def test_too_little_has_no_reconstruction(rows):
    """Nothing is checked rather than something odd."""
    assert fit_reconstruction(rows, list(rows.columns)) is None


def test_twenty_rows_of_two_columns_have_one():
    """The least there may be."""
    assert fit_reconstruction(numbers(20, 2, seed=1), ["x0", "x1"]) is not None


def test_values_far_away_are_clipped():
    """Ten standard deviations are as far as it gets, and nothing overflows."""
    reconstruction = fit_reconstruction(numbers(100, 3, seed=1), ["x0", "x1", "x2"])
    far = pd.DataFrame({"x0": [1e300, 1e6], "x1": [-1e300, -1e6], "x2": [1e300, 1e6]})

    errors = reconstruction.error(far)

    assert errors[0] == errors[1]
    assert 0 < errors[0] <= 10 * np.sqrt(3)


def test_outliers_of_the_reference_are_clipped_too():
    """One of them must not be the whole of the variance."""
    rows = numbers(1000, 3, seed=1, correlation=0.9)
    rows.iloc[0] = [1e9, -1e9, 1e9]

    errors = fit_reconstruction(rows, ["x0", "x1", "x2"]).error(rows)

    assert np.isfinite(errors).all()
    assert errors[0] <= 10 * np.sqrt(3)


def test_the_order_of_columns_and_what_else_there_is_do_not_matter():
    """A drop has columns as it likes; no row is as good as any."""
    reference = numbers(100, 3, seed=1, correlation=0.5)
    reconstruction = fit_reconstruction(reference, ["x0", "x1", "x2"])
    rows = reference[["x2", "x0", "x1"]].assign(c="text")

    assert reconstruction.error(rows).tolist() == reconstruction.error(reference).tolist()
    assert reconstruction.error(reference[:0]).shape == (0,)


def test_a_reconstruction_survives_json():
    """To the last bit: it is part of a release."""
    reference = numbers(100, 4, seed=1, correlation=0.5)
    reconstruction = fit_reconstruction(reference, list(reference.columns))

    again = Reconstruction.from_dict(json.loads(json.dumps(reconstruction.to_dict())))

    assert again == reconstruction
    assert again.error(reference).tolist() == reconstruction.error(reference).tolist()
    assert reconstruction.to_dict() == asdict(reconstruction)


@pytest.mark.parametrize(("n_before", "n_after"), [(500, 500), (2000, 150)])
def test_rows_that_go_together_otherwise_are_told_apart(n_before, n_after):
    """The columns one by one have not changed; rows neither side has shown before."""
    score = domain_score(
        mixed(n_before, seed=1, correlation=0.8),
        mixed(n_after, seed=2, correlation=0.0),
        COLUMNS,
        random_seed=0,
    )

    reference = score(mixed(1000, seed=3, correlation=0.8))
    current = score(mixed(1000, seed=4, correlation=0.0))

    assert auc(current, reference) > 0.65
    assert ((current >= 0) & (current <= 1)).all()


def test_a_category_that_comes_with_other_numbers_is_told_apart():
    """Its share is the same, so is the distribution of the number."""
    before, after = (mixed(600, seed=seed, correlation=0.0) for seed in (1, 2))
    for rows, sign in ((before, 1), (after, -1)):
        rows["x"] = np.abs(rows["x"]) * np.where(rows["c"] == "a", sign, -sign)

    score = domain_score(before[:300], after[:300], COLUMNS, random_seed=0)

    assert auc(score(after[300:]), score(before[300:])) > 0.95


def test_rows_of_one_distribution_are_not_told_apart():
    """Over twenty draws the area is a half, whatever was learnt by heart."""
    areas = []
    for seed in range(0, 100, 5):
        before, after, reference, current = (
            mixed(300, seed=seed + i, correlation=0.8) for i in range(4)
        )
        score = domain_score(before, after, COLUMNS, random_seed=seed)
        areas.append(auc(score(current), score(reference)))

    assert np.mean(areas) == pytest.approx(0.5, abs=4 * np.std(areas) / np.sqrt(20))
    assert max(areas) < 0.6


def test_a_short_side_weighs_as_much_as_a_long_one():
    """A batch is much smaller than the reference; shares alone would give 0.05."""
    before, after = mixed(2000, seed=1, correlation=0.8), mixed(100, seed=2, correlation=0.8)

    score = domain_score(before, after, COLUMNS, random_seed=0)

    assert score(mixed(1000, seed=3, correlation=0.8)).mean() > 0.3


def test_a_side_of_less_than_fifty_rows_has_no_score():
    """It would be noise."""
    enough, few = mixed(50, seed=1, correlation=0.0), mixed(49, seed=2, correlation=0.0)

    assert domain_score(enough, few, COLUMNS, random_seed=0) is None
    assert domain_score(few, enough, COLUMNS, random_seed=0) is None
    assert domain_score(enough, enough, COLUMNS, random_seed=0) is not None


def test_equal_seeds_give_equal_scores_and_the_rows_are_left_alone():
    """Of 6,000 rows a side 5,000 are drawn; which ones is up to the seed."""
    before, after = mixed(6000, seed=1, correlation=0.8), mixed(6000, seed=2, correlation=0.0)
    copies = before.copy(), after.copy()

    first, again, other = (
        domain_score(before, after, COLUMNS, random_seed=seed)(before[:100]).tolist()
        for seed in (1, 1, 2)
    )

    assert first == again != other
    pd.testing.assert_frame_equal(before, copies[0])
    pd.testing.assert_frame_equal(after, copies[1])


def test_unseen_and_missing_values_are_scored_alike():
    """Of a category neither side had, nothing is known."""
    score = domain_score(
        mixed(300, seed=1, correlation=0.8),
        mixed(300, seed=2, correlation=0.0).assign(c=pd.array(["b"] * 300, dtype="str")),
        COLUMNS,
        random_seed=0,
    )
    c = pd.array(["new", None, "b"], dtype="str")

    unseen, missing, seen = score(pd.DataFrame({"x": [0.0] * 3, "z": [np.nan] * 3, "c": c}))

    assert unseen == missing != seen


@pytest.mark.parametrize(
    "change",
    [{"x": np.nan}, {"c": pd.array([None] * 60, dtype="str")}, {"x": 1.0}],
    ids=["no number", "no category", "a constant"],
)
def test_degenerate_columns_are_scored(change):
    """On both sides, so that they tell nothing."""
    rows = mixed(60, seed=1, correlation=0.0).assign(**change)

    score = domain_score(rows, rows, COLUMNS, random_seed=0)

    assert np.isfinite(score(rows)).all()


@pytest.mark.parametrize("only", [{"categorical": ()}, {"numeric": ()}])
def test_columns_may_be_of_one_kind(only):
    """The seeds have numbers alone."""
    rows = mixed(60, seed=1, correlation=0.0)

    score = domain_score(rows, rows, COLUMNS.model_copy(update=only), random_seed=0)

    assert score(rows) == pytest.approx(0.5, abs=0.2)


def test_categories_without_end_are_taken_as_far_as_they_are_common():
    """A thousand names are no obstacle."""
    before, after = (
        mixed(1000, seed=seed, correlation=0.0).assign(
            c=pd.array([f"{seed} {i}" for i in range(1000)], dtype="str")
        )
        for seed in (1, 2)
    )

    score = domain_score(before, after, COLUMNS, random_seed=0)

    assert np.isfinite(score(after)).all()
