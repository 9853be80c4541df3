"""Classifiers of other packages are fitted, signed, checked and explained like those built in."""

import importlib.util
import inspect
import sys
from importlib.metadata import packages_distributions, version

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.sparse import csr_matrix
from sklearn.utils import all_estimators

import full_process
from risk import store
from risk.config import Training
from risk.errors import ConfigError, ModelError
from risk.explain.customer import explain
from risk.models import estimators, model, releases
from tests.factories import customers, first_release
from tests.risk.models.test_model import COLUMNS, KEY, write


def needs(package):
    there = importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not there, reason=f"needs {package}: pip install {package}")


OTHERS = [
    pytest.param("lightgbm.LGBMClassifier", "lightgbm", marks=needs("lightgbm")),
    pytest.param("xgboost.XGBClassifier", "xgboost", marks=needs("xgboost")),
    pytest.param("sklearn.neighbors.KNeighborsClassifier", "sklearn"),
]


def make(name, **parameters):
    training = Training(estimator=name, parameters=parameters)
    return estimators.make(COLUMNS, training, random_seed=5, defaults={})


@pytest.mark.parametrize(("name", "package"), OTHERS)
def test_a_release_of_another_classifier_is_like_any_other(world, ledger, name, package):
    """It is trained, signed, loaded, explained, and has the predictions of its own package."""
    world.take_from_inbox()
    world.drop("a.csv", customers("a", 120, seed=1))
    config = world.set(training__estimator=name)

    first_release(config, ledger)

    champion = releases.load_champion(config)
    rows = store.read_parts(config, ledger.parts.ids())
    features = model.as_features(rows, config.columns.numeric, ())
    prepared = champion.pipeline[:-1].transform(features)
    oracle = make(name).set_params(random_state=0) if "KN" not in name else make(name)
    oracle.fit(prepared, rows["exited"].to_numpy(dtype="int8"))
    expected = oracle.predict_proba(prepared)[:, 1]
    np.testing.assert_allclose(champion.predict_proba(rows), expected, atol=1e-6)
    assert champion.manifest.estimator == name
    (distribution,) = packages_distributions()[package]
    assert champion.manifest.packages[distribution] == version(distribution)
    parts = explain(config, ledger, "a0", champion=champion).parts
    assert {*parts["feature"]} == {*config.columns.features}


@needs("lightgbm")
def test_another_version_of_its_package_is_refused(tmp_path):
    """A model of another version may predict something else without a word."""
    write(tmp_path, None, content=b"never unpickled", packages={"lightgbm": "1.0"})

    with pytest.raises(ModelError, match="made with lightgbm 1.0, installed is "):
        model.load(tmp_path, KEY)


def test_a_package_that_is_gone_is_named(tmp_path):
    """The remedy is to install it."""
    write(tmp_path, None, content=b"never unpickled", packages={"no-such-package": "1.0"})

    with pytest.raises(ModelError, match="made with no-such-package 1.0, installed is none"):
        model.load(tmp_path, KEY)


def test_only_allowed_packages_are_imported():
    """The settings say whose code is run; nothing is imported to find that out."""
    with pytest.raises(ValidationError, match="estimator is from os, which is not among"):
        Training(estimator="os.system")
    with pytest.raises(ValidationError, match="must be LogisticRegression, .* or a dotted name"):
        Training(estimator="Nope")

    assert Training(estimator="mine.Model", estimator_packages=("mine",)).is_own


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("sklearn.nothing.Here", "sklearn.nothing cannot be imported"),
        ("sklearn.svm.Nothing", "it does not exist"),
        ("sklearn.svm.LinearSVC", "it has no predict_proba"),
        ("sklearn.calibration.column_or_1d", "is not a classifier: it has no fit"),
        ("sklearn.ensemble.VotingClassifier", "VotingClassifier needs arguments"),
    ],
)
def test_what_is_no_classifier_is_a_settings_error(name, complaint):
    """Not a traceback, and before anything is fitted."""
    with pytest.raises(ConfigError, match=complaint):
        make(name)


@pytest.mark.parametrize(
    ("package", "ending"),
    [("lightgbm", "; run: pip install lightgbm"), ("mine", "No module named 'mine'")],
)
def test_a_package_that_is_absent_is_installed_by_its_name(monkeypatch, package, ending):
    """If it is one of the extras; nobody knows where another is from."""
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "path", [])
    training = Training(estimator=f"{package}.Model", estimator_packages=(package,))

    with pytest.raises(ConfigError) as refused:
        estimators.make(COLUMNS, training, random_seed=5, defaults={})

    assert str(refused.value).endswith(ending)


def test_a_class_of_ones_own_is_found_beside_the_scripts(tmp_path, monkeypatch):
    """Any class with the four methods; it has no version to compare."""
    (tmp_path / "mypackage.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n\n"
        "class MyModel(LogisticRegression):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    training = Training(estimator="mypackage.MyModel", estimator_packages=("mypackage",))

    made = estimators.make(COLUMNS, training, random_seed=5, defaults={})

    assert (type(made).__name__, made.random_state) == ("MyModel", 5)
    assert estimators.distribution("mypackage.MyModel") is None


@pytest.mark.filterwarnings("ignore")  # deprecated names, and few rows
def test_scikit_learn_says_of_each_classifier_whether_it_takes_sparse_input():
    """The oracle: fit each of them to a sparse matrix."""
    x = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(float)
    told, seen = {}, {}
    for name, found in all_estimators(type_filter="classifier"):
        given = inspect.signature(found).parameters
        if any(p.default is p.empty for p in given.values()) or name == "SelfTrainingClassifier":
            continue  # it wraps another
        estimator = found()
        told[name] = estimators.takes_sparse(estimator, f"sklearn.any.{name}")
        seen[name] = fits(estimator, csr_matrix(x), x[:, 0])

    assert told == seen
    refusing = {name for name, takes in told.items() if not takes}
    assert {"GaussianNB", "HistGradientBoostingClassifier"} < refusing
    assert {"LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"} < refusing
    assert {"SVC", "MLPClassifier", "KNeighborsClassifier", "SGDClassifier"} < {*told} - refusing


def fits(estimator, x, y):
    """Say whether an estimator can be fitted; scikit-learn refuses sparse input by a TypeError."""
    try:
        estimator.fit(x, y)
    except TypeError as error:
        assert "Sparse data was passed" in str(error)
        return False
    return True


class Untagged:
    """A classifier that does not inherit from scikit-learn, so it has no tags."""


@pytest.mark.parametrize(("name", "takes"), [("lightgbm.Untagged", True), ("mine.Untagged", False)])
def test_an_estimator_without_tags_gets_what_its_package_takes(name, takes):
    """One of one's own is given a dense matrix, as nobody knows."""
    assert estimators.takes_sparse(Untagged(), name) == takes


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("sklearn.ensemble.HistGradientBoostingClassifier", "HistGradientBoostingClassifier"),
        ("sklearn.naive_bayes.GaussianNB", "GaussianNB"),
        ("GaussianNB", "GaussianNB"),
        ("sklearn.svm.SVC", "sklearn.svm.SVC"),
        ("mine.GaussianNB", "mine.GaussianNB"),
    ],
)
def test_a_dotted_name_is_short_if_it_is_on_the_list(name, short):
    """A class of one's own with the same name is another."""
    assert estimators.short_name(name) == short


@needs("lightgbm")
@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [({"num_leaves": 1}, "rejects num_leaves=1: Check failed"), ({"depth": 1}, "has no .'depth'.")],
)
def test_parameters_that_its_package_rejects_are_a_settings_error(world, parameters, complaint):
    """78, with the message of the package."""
    world.set(training__estimator="lightgbm.LGBMClassifier", training__parameters=parameters)

    with world.open_ledger() as ledger, pytest.raises(ConfigError, match=complaint):
        full_process.run(world.config, ledger)
