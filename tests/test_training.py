import json
import re
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score
from sklearn.model_selection import StratifiedKFold

import ingestion
import training
from risk import schema, store
from risk.config import ESTIMATORS, CostMatrix, Training
from risk.data import drops
from risk.errors import ConfigError, DataError
from risk.models import fitting, model, pipelines, releases, signing
from risk.models.dating import Change
from risk.stats.threshold import highest_f1, lowest_cost
from tests.factories import HEADER, first_release, once


def by_hand(x, y, wanted):
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    fitted = LogisticRegression(max_iter=1000).fit((x - mean) / deviation, y)
    return fitted.predict_proba((wanted - mean) / deviation)[:, 1]


def customers(name, n, *, seed, sign=1):
    """Make customers who leave when they are less active, or with sign -1 when they are more."""
    rng = np.random.default_rng(seed)
    activity = rng.integers(0, 100, n)
    leaves = rng.random(n) < 1 / (1 + np.exp(sign * (activity - 50) / 8))
    lines = [
        f"{name}{i},{a},{int(10 * a + rng.integers(0, 9))},{rng.integers(1, 99)},{int(left)}\n"
        for i, (a, left) in enumerate(zip(activity, leaves, strict=True))
    ]
    return HEADER + "".join(lines)


def test_the_challenger_learns_what_scikit_learn_learns(world, ledger):
    """The oracle: median, standardise, logistic regression, by hand on the same rows."""
    ingestion.run(world.config, ledger)
    training.run(world.config, ledger)

    trusted = model.load(world.config.model_folder, signing.key(world.config))
    rows = store.read_parts(world.config, ledger.parts.ids())
    x = rows[list(world.config.columns.numeric)].to_numpy()
    oracle = by_hand(x, rows["exited"].to_numpy(dtype="int8"), x)
    np.testing.assert_allclose(trusted.predict_proba(rows), oracle)


def test_its_scores_are_of_rows_each_fold_had_not_seen(world, ledger):
    """The oracle: five stratified folds by hand, each predicted by what the others teach.

    The threshold too, for the one in force was chosen on all of them.
    """
    ingestion.run(world.config, ledger)
    manifest = training.run(world.config, ledger).manifest

    rows = store.read_parts(world.config, ledger.parts.ids())
    x = rows[list(world.config.columns.numeric)].to_numpy()
    y = rows["exited"].to_numpy(dtype="int8")
    unseen, positive = np.empty(31), np.empty(31, dtype=bool)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))
    for learnt, left in folds:
        unseen[left] = by_hand(x[learnt], y[learnt], x[left])
    for others, left in folds:
        best = highest_f1(y[others], unseen[others], n_resamples=fitting.RESAMPLES)
        positive[left] = unseen[left] >= best
    scores = manifest.held_out_scores
    assert scores["brier"].value == pytest.approx(brier_score_loss(y, unseen))
    assert scores["f1"].value == pytest.approx(f1_score(y, positive))


def test_the_seed_seeds(world, ledger):
    """Two trainings of one seed predict alike; the mirror gave the seed to `verbose`."""
    ingestion.run(world.config, ledger)
    config = world.set(training__estimator="RandomForestClassifier")
    probabilities = []
    for seed in (1, 1, 2):
        training.run(world.set(random_seed=seed), ledger)
        trusted = model.load(config.model_folder, signing.key(config))
        probabilities.append(trusted.predict_proba(store.read_parts(config, [1])).tolist())

    assert probabilities[0] == probabilities[1]
    assert probabilities[0] != probabilities[2]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_of_the_list_trains(world, ledger, name):
    """The names in the settings are scikit-learn's own."""
    ingestion.run(world.config, ledger)

    few = {"max_iter": 3} if name == "HistGradientBoostingClassifier" else {}
    config = world.set(training__estimator=name, training__parameters=few)

    challenger = training.run(config, ledger)

    assert challenger.manifest.estimator == name
    made = rf"{name} trained on 31 rows \(all rows\)(, probabilities calibrated)?: F1 "
    assert re.match(made, str(challenger))


def test_rare_levels_that_are_pooled_are_named(world, ledger):
    """A model that does not tell them apart must not look as if it did."""
    ingestion.run(world.config, ledger)
    challenger = training.run(world.config, ledger)

    assert "pooled" not in str(challenger)
    assert str(replace(challenger, pooled={"city": 4001})).endswith(
        "; 4,001 rare levels of city pooled"
    )


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    ],
)
def test_drops_with_many_more_levels_do_not_end_the_training_of_a_dotted_estimator(
    world, ledger, name
):
    """It refuses sparse input, which many levels would become; the first release had two."""
    columns = {"numeric": ["x"], "categorical": ["city"], "allowed_ranges": {}}
    config = world.set(
        input_folder_path="inbox",
        training__estimator=name,
        columns=world.settings["columns"] | columns,
    )
    config.input_folder.mkdir()
    config.test_data.write_text("corporation,x,city,exited\nt,1,city 0,0\n")
    for drop, n_levels in (("few", 2), ("many", 42)):
        lines = [f"{drop}{i},{i},city {i % n_levels},{i % 100 > 50:d}\n" for i in range(200)]
        (config.input_folder / f"{drop}.csv").write_text(
            f"corporation,x,city,exited\n{''.join(lines)}"
        )
        ingestion.run(config, ledger)

        challenger = training.run(config, ledger)

        assert challenger.manifest.estimator == name
        trusted = model.load(config.model_folder, signing.key(config))
        rows = store.read_parts(config, ledger.parts.ids())
        assert np.isfinite(trusted.predict_proba(rows)).all()


def test_parameters_reach_the_estimator_and_wrong_ones_are_named(world, ledger):
    """A typo must not train something else."""
    ingestion.run(world.config, ledger)
    training.run(world.set(training__parameters={"C": 0.25}), ledger)
    trusted = model.load(world.config.model_folder, signing.key(world.config))

    assert trusted.pipeline[-1].C == 0.25
    with pytest.raises(ConfigError, match=r"LogisticRegression has no \['depth'\]"):
        training.run(world.set(training__parameters={"depth": 3}), ledger)


def test_a_value_the_estimator_refuses_is_a_wrong_setting(world, ledger):
    """C must be positive; scikit-learn says so, and so do we, without a traceback."""
    ingestion.run(world.config, ledger)

    for value in (-1, 0):
        with pytest.raises(ConfigError, match="The 'C' parameter of LogisticRegression"):
            training.run(world.set(training__parameters={"C": value}), ledger)


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
    world.take_from_inbox()
    text = (world.folder / "data/development/dataset1.csv").read_text()
    lines = [line if "exited" in line else f"{line[:-1]}0" for line in text.splitlines()]
    world.drop("zeros.csv", "\n".join(lines))
    ingestion.run(world.config, ledger)
    config = world.set(training__minimum_rows=10)
    before = tree()

    with pytest.raises(DataError, match="of 17 labelled rows, 0 are positive"):
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
    assert set(manifest["files"]) == {
        "trained_model.pkl",
        "reference.json.gz",
        "reference_rows.parquet",
        "derived_columns.pkl",
        "held_out_rows.txt",
    }
    assert len(signed["signature"]) == 64


COST = CostMatrix(false_negative=2)
BEST = {"f1": highest_f1, "cost": partial(lowest_cost, cost=COST.as_tuple())}


@pytest.mark.parametrize("rule", ["f1", "cost"])
def test_the_threshold_is_the_best_on_average_over_resamples(rule):
    """Neither the best of these very rows nor, with other rules, the same."""
    rng = np.random.default_rng(3)
    y_true = (rng.random(400) < 0.3).astype(int)
    y_pred_proba = np.round(np.clip(0.3 * y_true + rng.random(400) * 0.7, 0, 1), 2)
    settings = Training(choose_threshold_by=rule, cost=COST)

    chosen = fitting.choose_threshold(y_true, y_pred_proba, settings)

    expected = BEST[rule](y_true, y_pred_proba, n_resamples=fitting.RESAMPLES)
    assert chosen.value == expected != BEST[rule](y_true, y_pred_proba)


def test_a_threshold_is_not_chosen_from_a_handful_of_rows():
    """Three positives decide nothing; the manifest says so."""
    y_true = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    chosen = fitting.choose_threshold(y_true, np.linspace(1, 0, 12), Training())

    assert chosen.value == 0.5
    assert chosen.reason == "fixed: 3 rows of a class, choosing one needs 10"


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

    trusted = model.load(world.config.model_folder, signing.key(world.config))
    unseen = drops.read_whole(world.config, world.config.test_data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(trusted.predict_proba(unseen)).all()
    assert schema.ROW_HASH not in unseen


def deploy(world):
    world.take_from_inbox()
    world.drop("1.csv", customers("a", 300, seed=1))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


@pytest.fixture
def deployed(world, shared):
    """Give a world whose champion learnt 300 customers."""
    return world.copy_of(once(shared, "learnt_300", deploy))


def test_the_newest_rows_the_champion_has_not_seen_are_kept_for_the_gate(deployed, ledger):
    """A fifth of the 50 that came since, the last ones; their hashes are listed."""
    deployed.drop("2.csv", customers("b", 50, seed=2))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger).manifest

    kept = (deployed.config.model_folder / model.HELD_OUT).read_text().split()
    newest = store.read_parts(deployed.config, [2])[schema.ROW_HASH].tail(10)
    assert (manifest.rows_trained, manifest.rows_held_out) == (340, 10)
    assert kept == [str(row_hash) for row_hash in newest]


def test_the_first_model_learns_every_row(world, ledger):
    """There is no champion to compare with, so nothing is kept."""
    ingestion.run(world.config, ledger)

    manifest = training.run(world.config, ledger).manifest

    assert (manifest.rows_trained, manifest.rows_held_out) == (31, 0)


def test_a_recalibrated_model_ranks_as_the_champion_does(deployed, ledger):
    """Its weights stay as they are; only what a score means is learnt, from the latest rows."""
    deployed.drop("2.csv", customers("b", 200, seed=2))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger, how="recalibrate").manifest

    rows = store.read_parts(deployed.config, [1])
    before = releases.load_champion(deployed.config).predict_proba(rows)
    now = model.load(deployed.config.model_folder, signing.key(deployed.config))
    assert np.corrcoef(rank(before), rank(now.predict_proba(rows)))[0, 1] > 0.9999
    assert (manifest.made_by, manifest.rows_trained) == ("recalibrate", 160)


@pytest.mark.parametrize(
    ("how", "made"),
    [
        ("retrain", "LogisticRegression trained on "),
        ("refresh", "LogisticRegression refreshed on "),
        ("recalibrate", "LogisticRegression recalibrated on "),
        ("move_threshold", "threshold of LogisticRegression moved on "),
    ],
)
def test_each_way_to_make_a_challenger_says_what_was_made(deployed, ledger, how, made):
    """On the terminal and in the log."""
    deployed.drop("2.csv", customers("b", 200, seed=2))
    ingestion.run(deployed.config, ledger)

    assert str(training.run(deployed.config, ledger, how=how)).startswith(made)


def rank(values):
    return pd.Series(values).rank()


def test_a_moved_threshold_leaves_every_probability_alone(deployed, ledger):
    """Nothing but the threshold is new, the best by F1 on the latest rows."""
    deployed.drop("2.csv", customers("b", 200, seed=2))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger, how="move_threshold").manifest

    rows = store.read_parts(deployed.config, [2]).head(160)
    champion = releases.load_champion(deployed.config)
    now = model.load(deployed.config.model_folder, signing.key(deployed.config))
    y_true, proba = rows["exited"].to_numpy(dtype="int8"), champion.predict_proba(rows)
    np.testing.assert_array_equal(now.predict_proba(rows), proba)
    assert manifest.threshold == highest_f1(y_true, proba, n_resamples=fitting.RESAMPLES)


def test_without_a_champion_there_is_nothing_to_adjust(world):
    """Exit 76 tells that the first model has to be trained anew."""
    world.command("ingestion.py")

    result = world.command("training.py", "--how", "recalibrate")

    assert result.returncode == 76, result.stderr
    assert not (world.config.model_folder / "manifest.json").exists()


def test_after_a_real_change_only_the_rows_since_are_learnt(deployed, ledger):
    """Those who left now stay: what the old rows say of the new ones is wrong."""
    deployed.drop("2.csv", customers("b", 200, seed=2, sign=-1))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger, since=Change(2)).manifest

    assert manifest.rows_trained == 160
    assert manifest.rows_chosen.startswith("rows since the change")


def test_where_nothing_changed_all_rows_are_learnt(deployed, ledger):
    """A false alarm must not throw away what was known."""
    deployed.drop("2.csv", customers("b", 200, seed=2))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger, since=Change(2)).manifest

    assert manifest.rows_trained == 460
    assert manifest.rows_chosen.startswith("all rows;")


def test_a_sample_is_recorded_with_the_model(deployed, ledger):
    """How many rows it was drawn from decides when enough are new for a refresh."""
    deployed.drop("2.csv", customers("b", 2000, seed=2))
    config = deployed.set(training__max_rows=1000)
    ingestion.run(config, ledger)

    manifest = training.run(config, ledger).manifest

    assert (manifest.rows_trained, manifest.rows_held_out) == (1000, 400)
    assert (manifest.drawn_from, manifest.rows_used) == (2300, 2300)
    assert manifest.rows_chosen == "all rows; drawn at random from 2,300"


def test_rows_since_a_change_that_are_too_few_are_not_learnt_alone(deployed, ledger):
    """Fifteen rows choose no threshold."""
    deployed.drop("2.csv", customers("b", 15, seed=2, sign=-1))
    ingestion.run(deployed.config, ledger)

    manifest = training.run(deployed.config, ledger, since=Change(2)).manifest

    assert manifest.rows_trained == 312
    assert manifest.rows_chosen.startswith("all rows;")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # penalty is deprecated
@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("LogisticRegression", {"solver": "liblinear", "l1_ratio": 0.5, "penalty": "elasticnet"}),
        ("LogisticRegression", {"penalty": "l1"}),
        ("LogisticRegression", {"C": 0}),
        ("LogisticRegression", {"class_weight": {"0": "much"}}),
        ("GaussianNB", {"priors": [0.5, 0.6]}),
        ("GaussianNB", {"priors": [0.2, 0.3, 0.5]}),
        ("RandomForestClassifier", {"oob_score": True, "bootstrap": False}),
        ("RandomForestClassifier", {"bootstrap": False, "max_samples": 0.5}),
        ("HistGradientBoostingClassifier", {"monotonic_cst": [1, 0]}),
        ("DecisionTreeClassifier", {"monotonic_cst": [1]}),
        (
            "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
            {"solver": "svd", "shrinkage": 0.5},
        ),
    ],
)
def test_what_scikit_learn_notices_while_fitting_is_a_wrong_setting(
    world, ledger, estimator, parameters
):
    """It is named with its value, in one line, and nothing is written."""
    ingestion.run(world.config, ledger)
    config = world.set(training__estimator=estimator, training__parameters=parameters)

    with pytest.raises(ConfigError) as fault:
        training.run(config, ledger)

    told = str(fault.value)
    assert told.startswith(f"training.parameters: {estimator} rejects ")
    assert "\n" not in told
    assert "cross_val_predict" not in told
    assert not (config.model_folder / "manifest.json").exists()


@pytest.mark.parametrize(
    "labels",
    [(1, 0, "1", "0"), ("Yes", "No", "Yes", "No"), ("Yes", "No", "1", "0"), (0, 1, "0", "1")],
)
def test_classes_can_be_weighted_by_label(world, labels):
    """As scikit-learn weights its classes 1 and 0; the key is the label, or the class."""
    positive, negative, key_of_positive, key_of_negative = labels
    columns = world.config.columns.model_copy(
        update={"positive_label": positive, "negative_label": negative}
    )
    weights = {key_of_positive: 5, key_of_negative: 1}
    chosen = Training(parameters={"class_weight": weights})

    estimator = pipelines.build(columns, chosen, random_seed=0)[-1]

    assert estimator.class_weight == {1: 5, 0: 1}


def test_a_weight_of_an_unknown_label_is_a_wrong_setting(world):
    chosen = Training(parameters={"class_weight": {"left": 5}})

    with pytest.raises(ConfigError, match=r"class_weight names \['left'\]; labels are '0' and '1'"):
        pipelines.build(world.config.columns, chosen, random_seed=0)
