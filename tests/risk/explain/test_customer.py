import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import deployment
import ingestion
import training
from risk import store
from risk.errors import ModelError, UnknownName
from risk.explain import customer
from risk.explain.customer import find_latest, how_unusual
from risk.ledger.ledger import Ledger
from risk.models import model, releases
from risk.monitoring.profile import categorical_column, count, numeric_column
from tests.factories import first_release

HEADER = "corporation,plan,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees", "plan"]


def customers(n=240, seed=0):
    """Write n customers of whom those with plan a and low activity leave."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        plan, month = rng.choice(["a", "b", "c"], p=[0.5, 0.4, 0.1]), rng.integers(0, 50)
        left = rng.random() < expit(1.5 * (plan == "a") - 0.08 * (month - 20))
        staff = "" if i % 12 == 0 else rng.integers(1, 200)
        lines.append(f"c{i},{plan},{month},{rng.integers(0, 900)},{staff},{int(left)}\n")
    return HEADER + "".join(lines)


@pytest.fixture(scope="module")
def make(new_world, tmp_path_factory):
    """Give what makes a world with a live model of some kind, once for each kind."""
    made = {}

    def world_of(estimator):
        if estimator not in made:
            world = new_world(tmp_path_factory.mktemp(estimator))
            made[estimator] = deploy(world, estimator)
        return made[estimator]

    return world_of


def deploy(world, estimator):
    """Take customers, train on them and make the model live."""
    config = world.set(
        columns__categorical=["plan"],
        input_folder_path="drops",
        training__estimator=estimator,
    )
    config.input_folder.mkdir()
    config.test_data.write_text(customers(20, seed=1).replace("\nc", "\ntest"))
    world.drop("customers.csv", customers())
    with world.open_ledger() as ledger:
        first_release(config, ledger)
    return world


def explain(world, name):
    with world.open_ledger() as ledger:
        return customer.explain(world.config, ledger, name)


def contributions(world, name):
    return explain(world, name).parts.set_index("feature")["contribution"]


def terms_by_hand(config, name):
    """Multiply coefficients by prepared values, beside those of the reference rows."""
    champion = releases.load_champion(config)
    preparation, classifier = champion.pipeline[0], champion.pipeline[-1]
    folder = releases.live_folder(config.deployment_folder)
    sample = pd.read_parquet(folder / model.SAMPLE)
    line = next(row for row in customers().splitlines() if row.startswith(f"{name},"))
    _, plan, *numbers, _ = line.split(",")
    values = [[float(x) if x else np.nan for x in numbers]]
    row = pd.DataFrame(values, columns=FEATURES[:3]).assign(plan=plan).astype({"plan": "object"})
    difference = preparation.transform(row)[0] - preparation.transform(sample).mean(axis=0)
    terms = classifier.coef_[0] * difference
    owners = [column.split("__")[1].rsplit("_a")[0] if column.startswith("numeric") else "plan"
              for column in preparation.get_feature_names_out()]  # fmt: skip
    return pd.Series(terms).groupby(owners).sum(), champion.predict_proba(row)[0]


@pytest.mark.parametrize("name", ["c0", "c1", "c7"])
def test_the_terms_of_a_linear_model_are_exact(make, name):
    """Coefficient times the distance from the mean of the reference, category by category."""
    world = make("LogisticRegression")

    told = explain(world, name)

    terms, risk = terms_by_hand(world.config, name)
    by_feature = told.parts.set_index("feature")["contribution"]
    assert told.scale == "log-odds"
    assert told.risk == pytest.approx(risk)
    assert sorted(by_feature) == pytest.approx(sorted(terms))
    assert by_feature["plan"] == pytest.approx(terms["plan"])
    assert told.baseline + by_feature.sum() == pytest.approx(logit(risk))
    assert told.total == pytest.approx(logit(risk))
    assert told.usual_risk == pytest.approx(expit(told.baseline))
    assert (told.parts["standard_error"] == 0).all()
    assert told.parts["contribution"].abs().is_monotonic_decreasing


def test_a_feature_may_have_any_name(new_world, tmp_path):
    """As pandas' own arguments are called, too."""
    world = new_world(tmp_path)
    for path in world.folder.glob("data/*/*.csv"):
        path.write_text(path.read_text().replace("lastmonth_activity", "self"))
    numeric = ["self", "lastyear_activity", "number_of_employees"]
    config = world.set(columns__numeric=numeric, columns__allowed_ranges={})
    with Ledger.open(config) as ledger:
        ingestion.run(config, ledger)
        training.run(config, ledger)
        deployment.run(config, ledger)

    told = explain(world, "sk9ccm")

    assert set(told.parts["feature"]) == set(numeric)


@pytest.mark.parametrize("estimator", ["RandomForestClassifier", "GaussianNB"])
def test_the_parts_of_another_model_add_up_to_its_risk(make, estimator):
    """On the scale of the risk itself, with errors, the method named."""
    told = explain(make(estimator), "c3")

    assert told.scale == "predicted risk"
    assert told.risk == pytest.approx(told.total)
    assert told.baseline + told.parts["contribution"].sum() == pytest.approx(told.risk)
    assert told.baseline == told.usual_risk
    assert "Shapley values" in told.method and "200 reference rows" in told.method
    assert (told.parts["standard_error"] > 0).any()


def test_the_same_question_has_the_same_answer(make):
    """The orders that are drawn start from the seed of the settings."""
    world = make("RandomForestClassifier")

    first, second = explain(world, "c3"), explain(world, "c3")

    pd.testing.assert_frame_equal(first.parts, second.parts)


def test_a_recalibrated_linear_model_still_has_exact_terms(new_world, tmp_path):
    """A sigmoid stretches all differences between two customers by the same factor."""
    world = deploy(new_world(tmp_path), "LogisticRegression")
    before = contributions(world, "c1") - contributions(world, "c2")
    world.drop("more.csv", customers(seed=7).replace("\nc", "\nnew"))
    with world.open_ledger() as ledger:
        ingestion.run(world.config, ledger)
        training.run(world.config, ledger, how="recalibrate")
        deployment.run(world.config, ledger, by_force=True)

    told = explain(world, "c1")

    stretched = (contributions(world, "c1") - contributions(world, "c2")) / before
    assert releases.load_champion(world.config).manifest.made_by == "recalibrate"
    assert told.scale == "log-odds"
    assert told.total == pytest.approx(logit(told.risk))
    assert stretched[before != 0].tolist() == pytest.approx([stretched.max()] * (before != 0).sum())


def test_it_is_told_in_a_sentence_a_table_and_the_method(make):
    """As sales reads it."""
    told = explain(make("LogisticRegression"), "c0")

    lines = str(told).splitlines()
    side = "at or above" if told.risk >= told.threshold else "below"
    named = {
        verb: [
            part.feature
            for part in told.parts.itertuples()
            if part.contribution and (part.contribution > 0) == (verb == "Raises")
        ]
        for verb in ("Raises", "Lowers")
    }
    due = "".join(
        f" {verb} the risk most: {', '.join(names[:3])}." for verb, names in named.items() if names
    )
    shares = told.parts["contribution"].abs() / told.parts["contribution"].abs().sum()
    way = "raises" if told.parts["contribution"][0] > 0 else "lowers"
    assert lines[0] == (
        f"c0: predicted risk {told.risk:.1%}, {side} the threshold of {told.threshold:.1%}; "
        f"the usual risk is {told.usual_risk:.1%}.{due}"
    )
    assert told.effects[0] == f"{way} it ({shares[0]:.0%} of all effects)"
    assert lines[2].split() == ["feature", "value", "effect", "beside", "the", "reference"]
    assert "(missing)" in next(line for line in lines[2:] if "number_of_employees" in line)
    assert lines[-1] == told.method


def test_effects_on_the_risk_are_points_with_their_error(make):
    """Percentage points are what a probability is told in."""
    told = explain(make("RandomForestClassifier"), "c3")

    first = told.parts.iloc[0]
    assert told.effects[0] == (
        f"{100 * first['contribution']:+.1f} ± {100 * first['standard_error']:.1f} points"
    )


def test_a_customer_can_be_explained_on_the_command_line(make):
    """As JSON too; nobody of an unknown name."""
    world = make("LogisticRegression")

    as_json = world.command("diagnostics.py", "--explain", "test3", "--json")
    unknown = world.command("diagnostics.py", "--explain", "nobody")

    assert as_json.returncode == 0, as_json.stderr
    answer = json.loads(as_json.stdout)
    assert answer["dataset"] == "data/test/test_data.csv"
    assert answer["baseline"] + sum(p["contribution"] for p in answer["parts"]) == pytest.approx(
        answer["total"]
    )
    assert unknown.returncode == 64
    assert unknown.stderr.startswith("error: unknown corporation 'nobody': it is neither in")


def test_without_a_model_there_is_nothing_to_explain(world, ledger):
    """It says what to do."""
    with pytest.raises(ModelError, match="no release is live in .*; run: python full_process.py"):
        customer.explain(world.config, ledger, "sk9ccm")


def numbers(values):
    cells = numeric_column("x", pd.Series(values, dtype="float64"))
    known = pd.Series(values, dtype="float64")
    return cells, count(cells.codes(known), cells.size), known


@pytest.mark.parametrize(
    ("value", "share", "words"),
    [
        (50.0, 1.0, "lower than 50% of the reference"),
        (99.0, 0.04, "higher than 98% of the reference"),
        (100.0, 0.02, "higher than 99% of the reference"),
        (3.0, 0.06, "lower than 97% of the reference"),
        (1.0, 0.02, "lower than 99% of the reference"),
        (100.5, 0.0, "above all of the reference, which ends at 100"),
        (0.5, 0.0, "below all of the reference, which begins at 1"),
        (None, 0.0, "missing, as in none of the reference"),
    ],
)
def test_a_number_is_compared_with_who_has_less_and_more(value, share, words):
    """Of 1 to 100, by hand: the share is that of both tails."""
    told = how_unusual(value, *numbers(range(1, 101)))

    assert told.share == pytest.approx(share)
    assert told.words == words


def test_a_missing_number_is_as_usual_as_it_is_in_the_reference():
    """A quarter of it is missing too; and a column that has no number can compare none."""
    assert (
        how_unusual(np.nan, *numbers([1, 2, 3, None])).words
        == "missing, as in 25% of the reference"
    )
    assert how_unusual(3.0, *numbers([None, None])).words == "the reference has no value"


@pytest.mark.parametrize(
    ("value", "share", "words"),
    [
        ("v0", 1.0, "as in 50% of the reference"),
        ("v1", 0.5, "as in 10% of the reference"),
        ("v39", 0.12, "one of 12 values of 12% of the reference together"),
        ("new", 0.0, "never seen in the reference"),
        (None, 0.0, "missing, as in none of the reference"),
    ],
)
def test_a_category_is_compared_with_those_as_rare(value, share, words):
    """Of 100 rows 50 have one value, 10 another, 40 one of their own; 30 values have a cell."""
    values = ["v0"] * 50 + ["v1"] * 10 + [f"v{i}" for i in range(2, 42)]
    column = pd.Series(values, dtype="str")
    cells = categorical_column("plan", column)

    told = how_unusual(value, cells, count(cells.codes(column), cells.size), column)

    assert told.words == words
    assert told.share == pytest.approx(share)


SEEDS = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
DATED = "corporation,at,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"


def take(world, *texts):
    """Take drops, each in a run of its own."""
    shutil.rmtree(world.config.input_folder)
    world.config.input_folder.mkdir()
    with Ledger.open(world.config) as ledger:
        for number, text in enumerate(texts):
            world.drop(f"{number}.csv", text)
            ingestion.run(world.config, ledger)


def activity(world, name):
    with Ledger.open(world.config) as ledger:
        known = find_latest(world.config, ledger, name)
    assert len(known.row) == 1
    return known.row["lastmonth_activity"].iloc[0], known.dataset


def test_the_row_that_came_last_counts(world):
    """Within a drop the lower one; other customers' later drops do not matter."""
    take(world, SEEDS + "ann,1,1,1,0\n", SEEDS + "ann,2,1,1,0\nann,3,1,1,0\nbob,9,1,1,0\n",
         SEEDS + "bob,4,1,1,0\n")  # fmt: skip

    assert activity(world, "ann") == (3.0, "data/ingested/final_data.csv")
    assert activity(world, "bob") == (4.0, "data/ingested/final_data.csv")


def test_where_there_is_an_event_time_it_says_what_is_last(world):
    """In any time zone, whatever came when; of the same moment, what came last."""
    world.set(columns__event_time="at")
    world.config.test_data.unlink()
    take(world, DATED + "ann,2026-03-02T00:30:00+02:00,1,1,1,0\nann,2026-03-01T23:00:00Z,2,1,1,0\n",
         DATED + "ann,2026-01-01,3,1,1,0\nbob,2026-01-01,4,1,1,0\nbob,2026-01-01,5,1,1,0\n"
    )  # fmt: skip

    assert activity(world, "ann")[0] == 2.0
    assert activity(world, "bob")[0] == 5.0


def test_whoever_is_only_in_the_test_data_is_found_there(world):
    """The accepted rows come first, also where both have one."""
    take(world, SEEDS + "sk9ccm,7,1,1,0\n")

    assert activity(world, "sk9ccm") == (7.0, "data/ingested/final_data.csv")
    assert activity(world, "drstaz") == (142.0, "data/test/test_data.csv")


@pytest.mark.parametrize("name", ["nobody", "", "ANN", "an n", "../ann", "\udcff", "a" * 5000, "%"])
def test_whoever_is_unknown_is_not_found(world, name):
    """Nothing that resembles a name is taken for it; the message stays short."""
    take(world, SEEDS + "ann,1,1,1,0\n")

    with pytest.raises(
        UnknownName, match="unknown corporation '.{0,60}': it is neither in "
    ) as told:
        activity(world, name)

    assert len(str(told.value)) < 200


def test_before_anything_is_accepted_the_test_data_may_answer(world, ledger):
    """And without test data nobody does, but no file is missed."""
    assert find_latest(world.config, ledger, "sk9ccm").row["lastyear_activity"].iloc[0] == 963
    world.config.test_data.unlink()

    with pytest.raises(UnknownName):
        find_latest(world.config, ledger, "sk9ccm")


def test_of_the_other_customers_no_row_is_read(world, ledger):
    """Of a part only the rows that are asked for; of one without names, none."""
    take(world, SEEDS + "ann,1,1,1,0\nbob,2,1,1,0\nann,3,1,1,\n")
    (number,) = ledger.parts.ids()

    rows = store.read_rows_of(world.config, number, "ann")

    everything = store.read_parts(world.config, [number])
    expected = everything[everything["corporation"] == "ann"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected)
    renamed = world.set(columns__identifier="company")
    assert store.read_rows_of(renamed, number, "ann").empty
