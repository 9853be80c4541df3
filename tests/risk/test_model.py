import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from risk import model
from risk.config import Columns, Training
from risk.errors import ModelError
from risk.model import Manifest

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
        return open, (str(self.path), "w")


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


def fitted(rows):
    pipeline = model.build(COLUMNS, Training(), random_seed=0)
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


@pytest.mark.parametrize("name", ["trained_model.pkl", "manifest.json"])
def test_one_flipped_byte_anywhere_is_refused(folder, name):
    """Bit rot or malice: the same answer."""
    path = folder / name
    whole = path.read_bytes()

    for position in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
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


def test_a_signature_written_by_the_attacker_does_not_help(folder):
    """Trust comes from the key, never from the file."""
    path = folder / "manifest.json"
    signed = json.loads(path.read_text())
    path.write_text(json.dumps(signed | {"signature": "0" * 64, "trusted": True}))

    with pytest.raises(ModelError, match="not signed"):
        model.load(folder, KEY)


def test_another_scikit_learn_is_refused_naming_both(folder, rows):
    """A model of another version may predict something else without a word."""
    from sklearn import __version__ as installed

    write(folder, fitted(rows), packages={"scikit-learn": "1.2.0"})

    with pytest.raises(ModelError, match=f"made with scikit-learn 1.2.0, installed is {installed}"):
        model.load(folder, KEY)


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
