import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import ingestion
import training
from risk import drops, model, schema, store
from risk.config import CostMatrix, Training
from risk.errors import ConfigError, DataError


def test_the_challenger_learns_what_scikit_learn_learns(world, ledger):
    """The oracle: median, standardise, logistic regression, by hand on the same rows."""
    ingestion.run(world.config, ledger)
    training.run(world.config, ledger)

    trusted = model.load(world.config.model_folder, store.signing_key(world.config))
    rows = store.read_parts(world.config, ledger.parts())
    from sklearn.model_selection import train_test_split

    y = rows["exited"].to_numpy(dtype="int8")
    fitted_on, _ = train_test_split(np.arange(31), test_size=6, stratify=y, random_state=0)
    x = rows[list(world.config.columns.numeric)].to_numpy()
    scaled = (x - x[fitted_on].mean(axis=0)) / x[fitted_on].std(axis=0)
    oracle = LogisticRegression(max_iter=1000).fit(scaled[fitted_on], y[fitted_on])
    np.testing.assert_allclose(trusted.predict_proba(rows), oracle.predict_proba(scaled)[:, 1])


def test_the_seed_seeds(world, ledger):
    """Two trainings of one seed predict alike; the mirror gave the seed to `verbose`."""
    ingestion.run(world.config, ledger)
    config = world.set(training__estimator="RandomForestClassifier")
    probabilities = []
    for seed in (1, 1, 2):
        training.run(world.set(random_seed=seed), ledger)
        trusted = model.load(config.model_folder, store.signing_key(config))
        probabilities.append(trusted.predict_proba(store.read_parts(config, [1])).tolist())

    assert probabilities[0] == probabilities[1]
    assert probabilities[0] != probabilities[2]


@pytest.mark.parametrize("name", Training.model_fields["estimator"].annotation.__args__)
def test_every_estimator_of_the_list_trains(world, ledger, name):
    """The names in the settings are scikit-learn's own."""
    ingestion.run(world.config, ledger)

    challenger = training.run(world.set(training__estimator=name), ledger)

    assert challenger.manifest.estimator == name
    assert str(challenger).startswith(f"{name} fitted to 25 rows")


def test_parameters_reach_the_estimator_and_wrong_ones_are_named(world, ledger):
    """A typo must not train something else."""
    ingestion.run(world.config, ledger)
    training.run(world.set(training__parameters={"C": 0.25}), ledger)
    trusted = model.load(world.config.model_folder, store.signing_key(world.config))

    assert trusted.pipeline[-1].C == 0.25
    with pytest.raises(ConfigError, match=r"LogisticRegression has no \['depth'\]"):
        training.run(world.set(training__parameters={"depth": 3}), ledger)


def test_a_value_the_estimator_refuses_is_a_wrong_setting(world, ledger):
    """C must be positive; scikit-learn says so, and so do we, without a traceback."""
    ingestion.run(world.config, ledger)

    with pytest.raises(ConfigError, match="The 'C' parameter"):
        training.run(world.set(training__parameters={"C": -1}), ledger)


def test_too_few_rows_write_nothing(world, ledger, tree):
    """A model of 31 rows is not wanted where 100 are asked for."""
    ingestion.run(world.config, ledger)
    config = world.set(training__minimum_rows=100)
    before = tree()

    with pytest.raises(DataError, match=r"31 labelled rows are too few.*minimum_rows is 100"):
        training.run(config, ledger)

    assert tree() == before


def test_one_class_writes_nothing(world, ledger, tree):
    """Nothing can be told apart."""
    world.set(input_folder_path="inbox")
    world.config.input_folder.mkdir()
    text = (world.folder / "data/development/dataset1.csv").read_text()
    lines = [line if "exited" in line else f"{line[:-1]}0" for line in text.splitlines()]
    world.drop("zeros.csv", "\n".join(lines))
    ingestion.run(world.config, ledger)
    config = world.set(training__minimum_rows=10)
    before = tree()

    with pytest.raises(DataError, match="of 17 labelled rows 0 are positive"):
        training.run(config, ledger)

    assert tree() == before


def test_rows_of_the_test_data_are_never_trained_on(world, ledger):
    """Or the score would be of what was learnt by heart."""
    test_data = (world.folder / "data/test/test_data.csv").read_text()
    world.drop("leak.csv", test_data)
    ingestion.run(world.config, ledger)

    challenger = training.run(world.config, ledger)

    manifest = challenger.manifest
    assert manifest.rows_left_out == 5
    assert manifest.rows_trained + manifest.rows_held_out == 31


def test_unripe_rows_are_not_trained_on(world, ledger):
    """A label that is not known is not a no."""
    text = "corporation,lastmonth_activity,lastyear_activity,number_of_employees\nnew,1,2,3\n"
    world.drop("unripe.csv", text)
    ingestion.run(world.config, ledger)

    manifest = training.run(world.config, ledger).manifest

    assert manifest.rows_trained + manifest.rows_held_out == 31


def test_the_manifest_says_what_made_the_model(world, ledger):
    """Settings, data, versions and digests, signed."""
    ingestion.run(world.config, ledger)
    training.run(world.config, ledger)

    signed = json.loads((world.config.model_folder / "manifest.json").read_text())
    manifest = signed["manifest"]
    assert manifest["numeric"] == list(world.config.columns.numeric)
    assert manifest["trained_through"] == 2
    assert set(manifest["files"]) == {"trained_model.pkl", "reference.json"}
    assert len(signed["signature"]) == 64


def brute_force(y_true, y_pred_proba, gain):
    candidates = np.linspace(0.0005, 0.9995, 1000)
    return max(gain(y_true, y_pred_proba >= candidate) for candidate in candidates)


def f1(y_true, y_pred):
    tp = np.sum(y_true & y_pred)
    return 2 * tp / (y_true.sum() + y_pred.sum())


def saving(y_true, y_pred):
    return -(1.0 * np.sum(~y_true & y_pred) + 5.0 * np.sum(y_true & ~y_pred))


@pytest.mark.parametrize(("rule", "gain"), [("f1", f1), ("cost", saving)])
def test_the_threshold_is_the_best_of_all(rule, gain):
    """Compared with trying a thousand of them."""
    rng = np.random.default_rng(3)
    y_true = rng.random(400) < 0.3
    y_pred_proba = np.round(np.clip(0.3 * y_true + rng.random(400) * 0.7, 0, 1), 2)
    settings = Training(choose_threshold_by=rule, cost=CostMatrix())

    chosen = training.choose_threshold(y_true.astype(int), y_pred_proba, settings)

    assert gain(y_true, y_pred_proba >= chosen.value) >= brute_force(y_true, y_pred_proba, gain)


def test_a_threshold_is_not_chosen_from_a_handful_of_rows():
    """Three positives decide nothing; the manifest says so."""
    y_true = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    chosen = training.choose_threshold(y_true, np.linspace(1, 0, 12), Training())

    assert chosen.value == 0.5
    assert chosen.reason == "fixed: 3 rows of a class held out, 10 needed to choose one"


def test_features_of_both_kinds_with_gaps_train_without_a_warning(world, ledger):
    """Missing numbers, missing and rare categories, a constant column."""
    rng = np.random.default_rng(1)
    n = 200
    frame = pd.DataFrame(
        {
            "corporation": [f"c{i}" for i in range(n)],
            "x": np.where(rng.random(n) < 0.1, "", rng.normal(size=n).round(3).astype(str)),
            "constant": 7,
            "colour": rng.choice(["red", "green", ""], n),
            "exited": rng.integers(0, 2, n),
        }
    )
    columns = {"numeric": ["x", "constant"], "categorical": ["colour"], "allowed_ranges": {}}
    world.set(input_folder_path="inbox", columns=world.settings["columns"] | columns)
    world.config.input_folder.mkdir()
    frame.to_csv(world.config.input_folder / "both.csv", index=False)
    frame.head(20).assign(colour="blue").to_csv(world.config.test_data, index=False)
    ingestion.run(world.config, ledger)

    training.run(world.config, ledger)

    trusted = model.load(world.config.model_folder, store.signing_key(world.config))
    unseen = drops.read_whole(world.config, world.config.test_data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(trusted.predict_proba(unseen)).all()
    assert schema.ROW_HASH not in unseen
