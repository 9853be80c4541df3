import sys
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from risk import config
from risk.config import Columns, Training
from risk.models import model, pipelines

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x",),
    categorical=("c",),
)
ESTIMATORS = config.ESTIMATORS


@pytest.mark.parametrize("n_levels", [1, 5000])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_takes_one_level_or_very_many(estimator, n_levels):
    """The rarest are pooled where there are too many; a level never seen is predicted too."""
    rng = np.random.default_rng(0)
    levels = [f"level {i}" for i in [*range(n_levels), *[0] * (6000 - n_levels)]]
    rows = pd.DataFrame({"x": rng.normal(size=6000), "c": pd.array(levels, dtype="str")})
    few = {"n_estimators": 3, "max_iter": 3}
    parameters = {k: v for k, v in few.items() if k in accepted_by(estimator)}
    pipeline = pipelines.build(
        COLUMNS, Training(estimator=estimator, parameters=parameters), random_seed=0
    )

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(model.as_features(rows, ("x",), ("c",)), rows["x"] > 0)
    odd = pd.DataFrame({"x": [2.0, 2.0], "c": pd.array(["new", "level 0"], dtype="str")})
    found = model.positive_probability(pipeline, model.as_features(odd, ("x",), ("c",)))

    assert (found > 0.5).all()
    assert (pipelines.pooled_levels(pipeline).get("c", 0) > 3900) == (n_levels == 5000)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_features_without_any_value_are_kept_and_say_nothing(estimator):
    """Nor is anybody warned of them; a value that comes later does not matter."""
    rng = np.random.default_rng(0)
    kinds = ("x", "none"), ("nothing", "c")
    rows = pd.DataFrame({"x": rng.normal(size=300), "none": np.nan})
    rows["nothing"], rows["c"] = pd.array([None] * 300, dtype="str"), "a"
    features = model.as_features(rows, *kinds)
    columns = COLUMNS.model_copy(update={"numeric": kinds[0], "categorical": kinds[1]})
    parameters = {"n_estimators": 3} if "n_estimators" in accepted_by(estimator) else {}
    training = Training(estimator=estimator, parameters=parameters)

    with threadpool_limits(1):
        pipeline = pipelines.build(columns, training, random_seed=0)
        pipeline.fit(features, rows["x"] > 0)
    late = features.assign(none=7.0, nothing="late").astype(features.dtypes)
    found, predicted = (model.positive_probability(pipeline, f) for f in (features, late))

    np.testing.assert_allclose(found, predicted, atol=1e-3)  # a solver ends near zero
    assert ((found > 0.5) == (rows["x"] > 0)).mean() > 0.95
    assert pipelines.pooled_levels(pipeline) == {}


def accepted_by(estimator):
    """Return the names of an estimator's parameters."""
    return pipelines.build(COLUMNS, Training(estimator=estimator), random_seed=0)[-1].get_params()


@pytest.mark.parametrize("n_levels", [2, 40, 600])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sklearn.discriminant_analysis.LinearDiscriminantAnalysis", {}),
        ("sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis", {"reg_param": 0.5}),
        ("sklearn.naive_bayes.GaussianNB", {}),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5}),
    ],
)
def test_a_dotted_estimator_that_refuses_sparse_input_takes_any_number_of_levels(
    name, parameters, n_levels
):
    """Drops bring new levels: what could be trained on a few must not fail on many."""
    features, y = of_levels(n_levels)
    training = Training(estimator=name, parameters=parameters)

    pipeline = pipelines.build(COLUMNS, training, random_seed=0).fit(features, y)

    assert not issparse(pipeline[0].transform(features))
    assert np.isfinite(model.positive_probability(pipeline, features)).all()
    most = 255 if "HistGradient" in name else 31
    pooled = n_levels - (most - 1) if n_levels > most else 0  # one code is of those pooled
    assert pipelines.pooled_levels(pipeline).get("c", 0) == pooled


@pytest.mark.parametrize(
    ("short", "dotted"),
    [
        ("GaussianNB", "sklearn.naive_bayes.GaussianNB"),
        ("HistGradientBoostingClassifier", "sklearn.ensemble.HistGradientBoostingClassifier"),
        ("RandomForestClassifier", "sklearn.ensemble.RandomForestClassifier"),
    ],
)
def test_an_estimator_is_the_same_model_by_its_short_and_its_dotted_name(short, dotted):
    """Also where it splits categories by levels; a name does not decide what is learnt."""
    features, y = of_levels(300)

    by_short, by_dotted = (
        pipelines.build(COLUMNS, Training(estimator=name), random_seed=0).fit(features, y)
        for name in (short, dotted)
    )

    assert by_dotted[-1].get_params() == by_short[-1].get_params()
    np.testing.assert_array_equal(
        model.positive_probability(by_dotted, features),
        model.positive_probability(by_short, features),
    )


@pytest.mark.parametrize(
    ("name", "is_sparse"),
    [
        ("sklearn.neighbors.KNeighborsClassifier", True),
        ("sklearn.neural_network.MLPClassifier", True),
        ("mypackage.MyModel", False),
    ],
)
def test_an_estimator_that_takes_sparse_input_gets_it_unless_it_is_ones_own(
    tmp_path, monkeypatch, name, is_sparse
):
    """Nobody knows what a class of one's own takes, whatever it inherits."""
    (tmp_path / "mypackage.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n\n"
        "class MyModel(LogisticRegression):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mypackage", raising=False)
    training = Training(estimator=name, estimator_packages=("sklearn", "mypackage"))
    features, _ = of_levels(300)

    preparation = pipelines.build(COLUMNS, training, random_seed=0)[0]

    assert issparse(preparation.fit_transform(features)) == is_sparse


def of_levels(n_levels, n=1200):
    """Return features with so many levels, and labels that follow the number."""
    rng = np.random.default_rng(1)
    levels = pd.array([f"level {i % n_levels}" for i in range(n)], dtype="str")
    rows = pd.DataFrame({"x": rng.normal(size=n), "c": levels})
    return model.as_features(rows, ("x",), ("c",)), (rows["x"] > 0).to_numpy()


def test_many_levels_are_predicted_as_by_a_dense_matrix_of_them():
    """Only the zeros are left out."""
    rng = np.random.default_rng(0)
    levels = pd.array([f"level {i}" for i in rng.integers(0, 90, 3000)], dtype="str")
    rows = pd.DataFrame({"x": rng.normal(size=3000), "c": levels})
    y = (rows["x"] + rng.normal(size=3000) > 0).to_numpy()
    features = model.as_features(rows, ("x",), ("c",))
    x = np.column_stack([StandardScaler().fit_transform(rows[["x"]]), pd.get_dummies(rows["c"])])

    pipeline = pipelines.build(COLUMNS, Training(), random_seed=0).fit(features, y)

    assert issparse(pipeline[0].transform(features))
    by_hand = LogisticRegression(max_iter=1000).fit(x, y).predict_proba(x)[:, 1]
    np.testing.assert_allclose(model.positive_probability(pipeline, features), by_hand, rtol=1e-4)


def test_a_fit_takes_half_a_kilobyte_a_row_whatever_the_number_of_levels():
    """A dense matrix of these levels would take 4.6 kB a row."""
    n, rng = 20_000, np.random.default_rng(0)
    numeric, categorical = tuple(f"x{j}" for j in range(12)), ("a", "b", "c")
    levels = np.array([f"level {i}" for i in range(187)], dtype="object")
    rows = pd.DataFrame(rng.normal(size=(n, 12)), columns=numeric)
    rows = rows.assign(**{name: levels[rng.integers(0, 187, n)] for name in categorical})
    columns = COLUMNS.model_copy(update={"numeric": numeric, "categorical": categorical})
    pipeline = pipelines.build(columns, Training(), random_seed=0)
    features = model.as_features(rows, numeric, categorical)
    pipeline.fit(features.head(1000), rows["x0"].head(1000) > 0)  # imports what it needs

    tracemalloc.start()
    pipeline.fit(features, rows["x0"] > 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak / n < 500
