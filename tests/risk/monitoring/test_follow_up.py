"""Eight days under release 1, larger companies from the fourth on; then release 2 is live."""

import json
import shutil
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sqlalchemy as sa

import deployment
import ingestion
import training
from risk.decisions import account
from risk.decisions.account import Verdict
from risk.ledger.database import utc_now
from risk.models import model, releases, signing
from risk.monitoring import follow_up
from risk.monitoring import run as monitoring
from risk.monitoring.outcomes import REALISED
from tests.factories import UNLABELLED, customers, first_release

START = utc_now()
LATE = 10  # the day whose rows have no label until the last


def day_of(number):
    return customers(
        f"d{number}_", 120, seed=number, grown=25 * (number >= 4), labelled=number != LATE
    )


def labels_of(text, *, seed):
    """Write labels for the rows of a drop, half of them positive."""
    names = [line.split(",")[0] for line in text.removeprefix(UNLABELLED).splitlines()]
    left = np.random.default_rng(seed).integers(0, 2, len(names))
    rows = (f"{name},{label}\n" for name, label in zip(names, left, strict=True))
    return "corporation,exited\n" + "".join(rows)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Give the folder in which the first test that needs it leaves its world for the others."""
    return tmp_path_factory.mktemp("history") / "world"


@pytest.fixture
def lived(world, history):
    if history.exists():
        return world.copy_of(history)
    world.take_from_inbox()
    with world.open_ledger() as ledger:
        ledger.database.now = lambda: START
        world.drop("0.csv", customers("a", 400, seed=100))
        first_release(world.config, ledger)
        for day in range(1, 13):
            ledger.database.now = lambda day=day: START + timedelta(days=day)
            late = labels_of(day_of(LATE), seed=5)
            world.drop(f"{day}.csv", late if day == 12 else day_of(day))
            ledger.runs.start()
            ingestion.run(world.config, ledger)
            monitoring.assess(world.config, ledger)
            if day == 8:
                training.run(world.config, ledger)
                deployment.run(world.config, ledger, by_force=True)
    shutil.copytree(world.folder, history, symlinks=True)
    return world


def table(ledger, name):
    """Read a table as anybody can who has the database, without our queries."""
    return pd.read_sql(sa.text(f"select * from {name} order by id"), ledger.engine)


def rows_of(config, ledger, number):
    """Read the rows of a drop, and what two releases say of them."""
    path = table(ledger, "ingestions").set_index("id")["path"][number]
    rows = pd.read_csv(config.root / path)
    if "exited" not in rows:
        late = pd.read_csv(config.input_folder / "12.csv")
        rows = rows.merge(late, on="corporation")
    for version in (1, 2):
        folder = releases.release_path(config.deployment_folder, version)
        loaded = model.load(folder, signing.key(config))
        proba = loaded.pipeline.predict_proba(rows[loaded.manifest.features])[:, 1]
        rows[version] = proba >= loaded.manifest.threshold
    return rows


def test_each_later_batch_is_compared_with_the_reference_that_raised_the_alarm(lived, ledger):
    """Also under release 2, which was trained on the change; the oracle starts from the files."""
    incidents = table(ledger, "incidents").set_index("id")
    of_size = incidents[incidents["subject"] == "number_of_employees"].iloc[0]
    found = table(ledger, "follow_ups")
    found = found[found["incident_id"] == of_size.name]
    sizes = {
        run: pd.read_csv(lived.config.input_folder / f"{run}.csv")["number_of_employees"]
        for run in range(12)
    }

    assert (of_size["direction"], of_size["version"]) == ("above every reference value", 1)
    began = int(of_size["run_id"])  # one run a day
    assert found["run_id"].tolist() == list(range(began + 1, 12))
    for run, shift in zip(found["run_id"], found["shift"], strict=True):
        share = (sizes[run] > sizes[0].max()).mean()
        assert shift == pytest.approx(share / 0.1), run  # what never happened varies by a tenth


def test_the_whole_account_can_be_recomputed_from_the_tables(lived, ledger):
    """With plain SQL, pandas and scipy."""
    config = lived.config
    told = account.gather(config, ledger, now=START + timedelta(days=12))

    found = table(ledger, "follow_ups").assign(excess=lambda t: t["shift"] - t["tolerated"])
    expected = {}
    for number in table(ledger, "incidents")["id"]:
        own = found[found["incident_id"] == number]
        n, x, se = own["n"], own["excess"], own["standard_error"]
        verdict = Verdict.UNDECIDED
        if len(own) >= 3:
            mean = (n * x).sum() / n.sum()
            between = (n * (x - mean) / n.mean()).std(ddof=1) / np.sqrt(len(own))
            error = max(between, np.sqrt(((n * se) ** 2).sum()) / n.sum())
            half = scipy.stats.t.ppf(0.975, len(own) - 1) * error
            verdict = Verdict.CONFIRMED if mean > half else verdict
            verdict = Verdict.FALSE if mean <= -half else verdict
        expected[number] = verdict
    outcomes = table(ledger, "first_release_outcomes")
    wrong = {
        prefix: outcomes[[f"{prefix}false_positives", f"{prefix}false_negatives"]].sum()
        for prefix in ("", "first_")
    }
    hits = {prefix: 2 * outcomes[f"{prefix}true_positives"].sum() for prefix in wrong}
    f1 = {prefix: hits[prefix] / (hits[prefix] + wrong[prefix].sum()) for prefix in wrong}
    saved = [1, 5] @ (wrong["first_"].to_numpy() - wrong[""].to_numpy())

    assert {alarm.incident_id: alarm.verdict for alarm in told.alarms} == expected
    assert Verdict.CONFIRMED in expected.values()
    assert told.alarms_allowed == pytest.approx(12 / 90)
    assert told.gain.f1.value == pytest.approx(f1[""] - f1["first_"])
    assert told.gain.errors_avoided == wrong["first_"].sum() - wrong[""].sum()
    assert told.gain.cost_saved == pytest.approx(saved)
    assert (told.gain.rows, told.gain.drops) == (11 * 120, 11)
    assert (told.releases, told.rolled_back, told.gain.not_known_before) == (1, 0, None)
    assert config.training.cost.as_tuple() == (0, 1, 5, 0)


def test_the_first_release_is_asked_about_rows_of_others_and_of_late_labels(lived, ledger):
    """The oracle loads both models and counts; release 2 saw days 9 to 11, day 10 labelled late."""
    recorded = table(ledger, "first_release_outcomes").set_index("ingestion_id")
    parts = table(ledger, "ingestions").query("kind == 'rows'")["id"].tolist()[1:]

    assert sorted(recorded.index) == parts
    for number, part in enumerate(parts, start=1):
        rows = rows_of(lived.config, ledger, part)
        left, row = rows["exited"].astype(bool), recorded.loc[part]
        for prefix, version in (("", 1 + (number > 8)), ("first_", 1)):
            said = rows[version]
            counted = (left & said).sum(), (~left & said).sum(), (left & ~said).sum()
            names = ("true_positives", "false_positives", "false_negatives")
            assert [row[f"{prefix}{name}"] for name in names] == list(counted), part


def test_without_the_first_release_a_run_goes_on_and_compares_nothing(lived, ledger, caplog):
    """What cannot be known is not made up."""
    folder = releases.release_path(lived.config.deployment_folder, 1)
    (folder / "trained_model.pkl").write_bytes(b"damaged")
    before = len(table(ledger, "first_release_outcomes"))
    lived.drop("13.csv", customers("d13_", 120, seed=13, grown=25))
    ledger.runs.start()
    ingestion.run(lived.config, ledger)

    monitoring.assess(lived.config, ledger)

    assert len(table(ledger, "first_release_outcomes")) == before
    assert "not compared with release 1" in caplog.text


def test_labels_before_the_first_comparison_are_admitted(lived, ledger):
    """As in an installation of an earlier version."""
    with ledger.database.begin() as connection:
        connection.execute(sa.text("delete from first_release_outcomes where run_id < 5"))

    gain = account.gather(lived.config, ledger).gain

    assert gain.not_known_before == gain.since > START
    assert (table(ledger, "scores")["dataset"] == REALISED).any()


def test_a_release_whose_alarms_are_followed_up_is_needed(lived, ledger):
    assert follow_up.versions_followed(ledger, START + timedelta(days=20)) >= {1}
    assert follow_up.versions_followed(ledger, START + timedelta(days=300)) == set()


@pytest.mark.parametrize(
    ("incident", "name"),
    [
        ({"subject": "age", "direction": "higher", "facts": None}, "higher"),
        ({"subject": "city", "direction": "more often", "facts": {"level": "Rome"}}, None),
        (
            {
                "subject": "(predicted risk by label)",
                "direction": "lower",
                "facts": {"metric": "f1"},
            },
            "f1",
        ),
    ],
)
def test_the_detector_knows_a_direction_by_the_level_or_score_it_is_about(incident, name):
    facts = incident["facts"] and json.dumps(incident["facts"])
    row = type("Incident", (), incident | {"facts": facts})

    assert follow_up.name_of_direction(row) == (name or "Rome more often")
