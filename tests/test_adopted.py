"""A model file made elsewhere: read only once it is trusted, then monitored like any other."""

import json
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
import sklearn
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from risk.ledger.queries import Part
from risk.models import model
from risk.monitoring import monitored_release
from tests import factories

FEATURES = [*factories.FEATURES]
MLMODEL = """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.12.3
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.8.0
mlflow_version: 3.10.1
model_size_bytes: 1772
utc_time_created: '2026-03-20 19:40:55.665301'
"""


class Trap:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def elsewhere():
    """A model that somebody else fitted, with its columns in another order."""
    text = factories.customers("old", 600, seed=3)
    rows = pd.DataFrame([line.split(",") for line in text.splitlines()[1:]])
    rows.columns = ["corporation", *FEATURES, "exited"]
    known = rows[FEATURES[::-1]].astype(float)
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    return classifier.fit(known, np.where(rows["exited"] == "1", 1, 0))


@pytest.fixture
def like(world):
    path = world.folder / "like.csv"
    path.write_text(factories.customers("like", 400, seed=4))
    return path


def saved(folder, fitted, form):
    """Save a model as others do; return what to adopt and the file that is read."""
    folder.mkdir(exist_ok=True)
    if form == "mlflow":
        (folder / "MLmodel").write_text(MLMODEL)
        (folder / "model.pkl").write_bytes(pickle.dumps(fitted))
        return folder, folder / "model.pkl"
    path = folder / f"churn.{form}"
    if form == "joblib":
        joblib.dump(fitted, path, compress=3)
    elif form == "skops":
        skops.io.dump(fitted, path)
    else:
        path.write_bytes(pickle.dumps(fitted))
    return path, path


def adopt(world, named, like, trust=None):
    words = ["--adopt", str(named), "--like", str(like)]
    return world.command("deployment.py", *words, *(["--trust", trust] if trust else []))


@pytest.mark.parametrize("trust", [None, "0" * 64])
def test_nothing_is_read_before_its_digest_is_confirmed(world, like, trust):
    """The refusal names the file, its digest and what reading it would import."""
    trace = world.folder / "trace"
    named, path = saved(world.folder / "foreign", Trap(str(trace)), "pkl")

    result = adopt(world, named, like, trust)

    assert result.returncode == 64
    assert model.digest(path.read_bytes()) in result.stderr
    assert "io.open" in result.stderr
    assert str(path) in result.stderr
    assert not trace.exists()
    assert not world.config.deployment_folder.exists()


@pytest.mark.parametrize("form", ["mlflow", "pkl", "joblib", "skops"])
def test_a_trusted_model_is_released_and_serves(world, like, elsewhere, serve_world, form):
    """Its predictions are those it makes by itself, its promise is of the rows it is like."""
    named, path = saved(world.folder / "foreign", elsewhere, form)

    result = adopt(world, named, like, model.digest(path.read_bytes()))

    assert result.returncode == 0, result.stderr
    assert "Release 1 is live, deployed by hand." in result.stdout
    live = monitored_release.load(world.config)
    manifest, rows = live.champion.manifest, pd.read_csv(like)
    expected = elsewhere.predict_proba(rows[FEATURES[::-1]].astype(float))[:, 1]
    assert manifest.made_by == "adopt"
    assert manifest.parameters["sha256"] == model.digest(path.read_bytes())
    assert manifest.held_out_scores["f1"].value == pytest.approx(
        f1_score(rows["exited"], expected >= 0.5)
    )
    if form == "mlflow":  # once is enough for what comes after
        body = json.loads(rows[FEATURES].head(5).to_json(orient="records"))
        with serve_world(world) as url:
            answer = requests.post(f"{url}/prediction", json=body, timeout=30).json()
        served = [line["y_pred_proba"] for line in answer["predictions"]]
        assert served == pytest.approx(expected[:5].tolist())


def test_drift_asks_a_person_as_a_challenger_would_be_another_kind_of_model(world, like, elsewhere):
    """Approving lets one be trained here, for the gate to compare."""
    named, path = saved(world.folder / "foreign", elsewhere, "pkl")
    world.take_from_inbox()
    adopt(world, named, like, model.digest(path.read_bytes()))

    world.drop("quiet.csv", factories.customers("q", 200, seed=5))
    quiet = world.run().line
    header, *lines = factories.customers("d", 500, seed=6).splitlines(keepends=True)
    idle = [line for line in lines if int(line.split(",")[1]) < 60]
    world.drop("drifted.csv", "".join([header, *idle]))
    drifted = world.run().line

    assert quiet.startswith("No incident")
    assert drifted.startswith("Action needed: the model is trained elsewhere.")
    with world.open_ledger() as ledger:
        reasons = [decision["reason_code"] for decision in ledger.decisions.page().items]
        asked = ledger.cases.page().items
    assert reasons == ["watched", "no_incident", "adopted"]
    assert {case["kind"] for case in asked} == {"watched"}

    world.command("full_process.py", "--approve", str(asked[0]["id"]))
    world.run()

    with world.open_ledger() as ledger:
        (answered,) = ledger.decisions.page(Part(page_size=1)).items
    assert answered["comparison"]["challenger"]["n"] > 0  # one trained here, for the gate


def test_a_model_that_cannot_be_read_is_refused_with_the_reason(world, like, elsewhere):
    """Written by another version of scikit-learn, with a package that is absent, or no pickle."""
    whole = pickle.dumps(elsewhere)
    version = "0" * len(sklearn.__version__)
    other = whole.replace(sklearn.__version__.encode(), version.encode())
    absent = pickle.dumps(elsewhere, 0).replace(b"sklearn.pipeline", b"no_such_package")
    folder = world.folder / "foreign"
    folder.mkdir()

    for content, words in (
        (other, f"was written by scikit-learn {version}, installed is"),
        (absent, "needs a package that is not installed: No module named 'no_such_package'"),
        (b"hello", "cannot be read as a pickle, joblib or skops file"),
    ):
        (folder / "odd.pkl").write_bytes(content)
        result = adopt(world, folder / "odd.pkl", like, model.digest(content))

        assert result.returncode == 76
        assert words in result.stderr


def test_a_model_of_other_columns_or_labels_is_refused(world, like, elsewhere):
    """Before anything is deployed, and with the columns named."""
    other = LogisticRegression().fit(pd.DataFrame({"income": [1.0, 2.0]}), [0, 1])
    three = LogisticRegression().fit(pd.DataFrame(np.eye(3), columns=FEATURES), ["a", "b", "c"])

    for fitted, words in ((other, "['income']"), (three, "predicts"), ({}, "no fitted classifier")):
        named, path = saved(world.folder / "foreign", fitted, "pkl")
        result = adopt(world, named, like, model.digest(path.read_bytes()))

        assert result.returncode == 65
        assert words in result.stderr
        assert not world.config.deployment_folder.exists()
