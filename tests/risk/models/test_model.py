import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from risk.config import ESTIMATORS, Columns, Training
from risk.errors import ConfigError, ModelError
from risk.models import model, pipelines
from risk.models.model import Manifest

KEY = b"k" * 64
COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label="Yes",
    negative_label="No",
    numeric=("x",),
    categorical=("c",),
)


class Trap:
    """Unpickling this leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def rows():
    """Give 200 complete rows, both kinds of feature."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "c": rng.choice(["a", "b"], 200)})
    frame["c"] = frame["c"].astype("str")
    return frame.assign(y=(frame["x"] + (frame["c"] == "a") + rng.normal(size=200) > 0.5) * 1)


@pytest.fixture
def folder(tmp_path, rows):
    """Give a folder with a signed model."""
    write(tmp_path, fitted(rows))
    return tmp_path


def fitted(rows, *, estimator="LogisticRegression", seed=0):
    pipeline = pipelines.build(COLUMNS, Training(estimator=estimator), random_seed=seed)
    return pipeline.fit(model.as_features(rows, ("x",), ("c",)), rows["y"])


def write(folder, pipeline, *, name="trained_model.pkl", key=KEY, content=None, **changes):
    content = content or model.dumps(pipeline, name)
    fields = {
        "model_name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "run_id": 1,
        "numeric": ("x",),
        "categorical": ("c",),
        "target": "y",
        "positive_label": "Yes",
        "negative_label": "No",
        "estimator": "LogisticRegression",
        "parameters": {},
        "random_seed": 0,
        "threshold": 0.4,
        "threshold_reason": "",
        "rows_trained": 200,
        "rows_held_out": 0,
        "rows_left_out": 0,
        "trained_through": 1,
        "held_out_scores": {},
        **model.environment(),
        "files": {name: model.digest(content)},
    }
    (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(model.sign(Manifest(**fields | changes), key))


def test_probabilities_are_those_of_a_pipeline_built_by_hand(folder, rows):
    """Scaled numbers, one-hot categories, logistic regression."""
    preparation = ColumnTransformer([("n", StandardScaler(), ["x"]), ("c", OneHotEncoder(), ["c"])])
    x = preparation.fit_transform(rows)
    oracle = LogisticRegression(max_iter=1000).fit(x, rows["y"])

    found = model.load(folder, KEY).predict_proba(rows)

    np.testing.assert_allclose(found, oracle.predict_proba(x)[:, 1], rtol=1e-6)


def test_the_threshold_of_the_manifest_makes_the_labels(folder):
    """From it on a row is positive."""
    trusted = model.load(folder, KEY)

    assert trusted.predict(np.array([0.39, 0.4, 0.41])).tolist() == [0, 1, 1]


def test_missing_and_unseen_values_are_predicted_without_a_warning(folder):
    """Every row that is accepted gets a probability; the frame is left as it was."""
    rows = pd.DataFrame({"c": pd.array(["a", None, "new"], dtype="str"), "x": [np.nan, 1.0, 2.0]})
    before = rows.copy()

    y_pred_proba = model.load(folder, KEY).predict_proba(rows)

    assert np.isfinite(y_pred_proba).all()
    pd.testing.assert_frame_equal(rows, before)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_seeded_and_takes_any_row(rows, estimator):
    """Trained twice it says the same, of missing and unseen values too."""
    odd = pd.DataFrame({"x": [np.nan, -9.0, 0.0], "c": pd.array([None, "new", "a"], dtype="str")})
    features = model.as_features(odd, ("x",), ("c",))

    with threadpool_limits(1):  # threads that wait for each other make 200 rows take seconds
        first, second = (
            model.positive_probability(fitted(rows, estimator=estimator), features)
            for _ in range(2)
        )

    assert first.tolist() == second.tolist()
    assert ((first >= 0) & (first <= 1)).all()


def test_blocks_are_predicted_as_the_whole(folder, rows, monkeypatch):
    """Of any size; without a row there is nothing to predict with."""
    trusted = model.load(folder, KEY)
    whole = trusted.predict_proba(rows)

    monkeypatch.setattr(model, "ROWS_AT_ONCE", 33)

    np.testing.assert_allclose(trusted.predict_proba(rows), whole, rtol=1e-14)


def test_another_seed_makes_another_forest(rows):
    """The seed in the settings is the one in use."""
    features = model.as_features(rows, ("x",), ("c",))

    first, second = (
        fitted(rows, estimator="RandomForestClassifier", seed=seed).predict_proba(features)
        for seed in (1, 2)
    )

    assert not np.array_equal(first, second)


def test_a_seed_among_the_parameters_is_the_stronger_one():
    """What is written out in full was meant."""
    training = Training(parameters={"random_state": 5, "C": 0.1})

    estimator = pipelines.build(COLUMNS, training, random_seed=3)[-1]

    assert (estimator.random_state, estimator.C, estimator.max_iter) == (5, 0.1, 1000)


def test_an_unknown_parameter_is_named_with_those_there_are():
    """Exit 78 before a row is read."""
    training = Training(estimator="GaussianNB", parameters={"depth": 3})

    with pytest.raises(ConfigError, match=r"GaussianNB has no \['depth'\]; .*'var_smoothing'"):
        pipelines.build(COLUMNS, training, random_seed=0)


@pytest.mark.parametrize("only", [{"categorical": ()}, {"numeric": ()}])
def test_features_may_be_of_one_kind(rows, only):
    """The seeds have numbers alone."""
    columns = COLUMNS.model_copy(update=only)
    features = model.as_features(rows, columns.numeric, columns.categorical)

    pipeline = pipelines.build(columns, Training(), random_seed=0).fit(features, rows["y"])

    assert np.isfinite(model.positive_probability(pipeline, features)).all()


def test_a_number_missing_from_every_row_is_trained_on(rows):
    """A column that is declared later is empty in all that came before."""
    pipeline = fitted(rows.assign(x=np.nan))

    one, another = (
        model.positive_probability(
            pipeline, model.as_features(rows.assign(x=x), ("x",), ("c",))
        ).tolist()
        for x in (np.nan, 0.0)
    )
    assert one == another
    assert set(one) == {min(one), max(one)}


def test_a_missing_number_counts_as_the_median(folder, rows):
    """Of the rows the model was trained on."""
    trusted = model.load(folder, KEY)
    missing = pd.DataFrame({"x": [np.nan], "c": ["a"]})
    median = missing.assign(x=np.median(rows["x"]))

    assert trusted.predict_proba(missing) == trusted.predict_proba(median)


def test_the_positive_label_is_found_wherever_the_pipeline_keeps_it(folder, rows):
    """The order of the columns in the frame is not the model's either."""
    trusted = model.load(folder, KEY)

    found = trusted.predict_proba(rows[["y", "c", "x"]])

    assert found.tolist() == trusted.predict_proba(rows).tolist()


@pytest.mark.parametrize("name", ["trained_model.pkl", "manifest.json"])
def test_one_flipped_byte_anywhere_is_refused(folder, name):
    """Bit rot or malice: the same answer."""
    path = folder / name
    whole = path.read_bytes()

    for position in range(0, len(whole), max(1, len(whole) // 60)):
        bit = 1 << position % 8
        path.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
        with pytest.raises(ModelError):
            model.load(folder, KEY)


def test_nothing_is_unpickled_before_it_is_trusted(folder, tmp_path):
    """A pickle runs what it likes; the trap must not go off."""
    trace = tmp_path / "trace"

    (folder / "trained_model.pkl").write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ModelError, match="not the file its manifest describes"):
        model.load(folder, KEY)
    write(folder, None, content=pickle.dumps(Trap(trace)), key=b"another key")
    with pytest.raises(ModelError, match="not signed with this installation's key"):
        model.load(folder, KEY)

    assert not trace.exists()


def test_the_trap_goes_off_once_it_is_trusted(folder, tmp_path):
    """Else the test above would prove nothing."""
    write(folder, None, content=pickle.dumps(Trap(tmp_path / "trace")))

    model.load(folder, KEY)

    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("position", [0, 31, 63])
def test_every_digit_of_the_signature_counts(folder, position):
    """Nothing of the model is run on the strength of most of them."""
    path = folder / "manifest.json"
    signed = json.loads(path.read_text())
    digits = list(signed["signature"])
    digits[position] = "1" if digits[position] == "0" else "0"
    path.write_text(json.dumps(signed | {"signature": "".join(digits)}))

    with pytest.raises(ModelError, match="not signed"):
        model.load(folder, KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"manifest": {}}',
        '{"manifest": {}, "signature": 1}',
        '{"manifest": ' * 100_000,
        '{"manifest": {}, "signature": "é"}',
    ],
)
def test_a_manifest_that_is_none_cannot_be_read(folder, text):
    """Exit 76 with what to do, not a traceback."""
    (folder / "manifest.json").write_text(text)

    with pytest.raises(ModelError, match="train again or roll back"):
        model.load(folder, KEY)


def test_a_signed_manifest_of_another_version_is_told_from_a_forged_one(folder):
    """The key is right; the project is older or newer."""

    class Later(Manifest):
        later: int = 1

    content = json.loads((folder / "manifest.json").read_text())["manifest"]
    (folder / "manifest.json").write_text(model.sign(Later(**content), KEY))

    with pytest.raises(ModelError, match="by another version of this project"):
        model.load(folder, KEY)


def test_a_model_file_that_is_gone_is_named(folder):
    """The manifest alone predicts nothing."""
    (folder / "trained_model.pkl").unlink()

    with pytest.raises(ModelError, match=r"trained_model\.pkl cannot be read"):
        model.load(folder, KEY)


def test_spaces_and_order_of_the_manifest_may_change(folder, rows):
    """Signed is what it says, not how it is laid out."""
    path = folder / "manifest.json"
    signed = json.loads(path.read_text())
    reversed_content = dict(reversed(signed["manifest"].items()))
    path.write_text(json.dumps(signed | {"manifest": reversed_content}))

    assert len(model.load(folder, KEY).predict_proba(rows)) == 200


def test_a_signature_written_by_the_attacker_does_not_help(folder):
    """Trust comes from the key, never from the file."""
    path = folder / "manifest.json"
    signed = json.loads(path.read_text())
    path.write_text(json.dumps(signed | {"signature": "0" * 64, "trusted": True}))

    with pytest.raises(ModelError, match="not signed"):
        model.load(folder, KEY)


def test_another_scikit_learn_is_refused_naming_both(folder):
    """A model of another version may predict something else without a word."""
    from sklearn import __version__ as installed

    trace = folder / "trace"
    trap = pickle.dumps(Trap(trace))
    write(folder, None, content=trap, packages={"scikit-learn": "1.2.0"})

    with pytest.raises(ModelError, match=f"made with scikit-learn 1.2.0, installed is {installed}"):
        model.load(folder, KEY)

    assert not trace.exists()


def test_an_empty_folder_says_what_to_run(tmp_path):
    """Exit 76 with the command."""
    with pytest.raises(ModelError, match=r"run: python training\.py"):
        model.load(tmp_path, KEY)


def test_a_skops_name_chooses_skops(tmp_path, rows):
    """A format that runs no code, for who wants it."""
    pipeline = fitted(rows)
    write(tmp_path, pipeline, name="trained_model.skops")

    found = model.load(tmp_path, KEY).predict_proba(rows)

    expected = pipeline.predict_proba(model.as_features(rows, ("x",), ("c",)))[:, 1]
    np.testing.assert_allclose(found, expected)
    assert (tmp_path / "trained_model.skops").read_bytes()[:2] == b"PK"
