import json

import pytest

import ingestion
from risk.explain import reasons
from risk.models import releases
from risk.monitoring import run as monitoring
from tests.factories import customers, first_release, once


def learn(world):
    world.take_from_inbox()
    world.drop("history.csv", customers("h", 450, seed=0))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


@pytest.fixture
def world_of_a_release(world, shared):
    """Give a release that learnt customers of whom the inactive leave."""
    world.copy_of(once(shared, "learnt_customers", learn))
    return world


def bring(world, ledger, text):
    world.drop(f"{len(text)}.csv", text)
    ingestion.run(world.config, ledger)
    return monitoring.assess(world.config, ledger, describe=reasons.WRITER)


def test_a_relation_that_turned_round_is_named(world_of_a_release):
    """In the assessment, in the alarm, and later as long as no other labels came."""
    world = world_of_a_release
    with world.open_ledger() as ledger:
        found = bring(world, ledger, customers("t", 300, seed=5, sign=-1))
        bring(world, ledger, customers("u", 50, seed=6, labelled=False))

        change, live = found.score_change, releases.live_version(world.config.deployment_folder)
        assert ledger.assessments.score_change(live) == json.loads(json.dumps(change))
        assert ledger.assessments.score_change(None) is None

    parts = {name: part["value"] for name, part in change["parts"].items()}
    assert change["cause"] == "relation"
    assert change["n"] == 300
    assert sum(parts.values()) == pytest.approx(change["after"] - change["before"])
    alarms = [alarm for alarm in found.alarms if alarm.check_name == "model_drift"]
    assert alarms
    assert all(alarm.facts["score_change"] == change for alarm in alarms)


def test_chance_explains_more_of_the_same(world_of_a_release):
    """Too few new labels are looked at together with those before."""
    world = world_of_a_release
    with world.open_ledger() as ledger:
        bring(world, ledger, customers("a", 150, seed=7))
        change = bring(world, ledger, customers("b", 40, seed=8)).score_change

    assert (change["n"], change["cause"], change["parts"]) == (190, "chance", {})


def test_few_labels_say_nothing(world_of_a_release):
    world = world_of_a_release
    with world.open_ledger() as ledger:
        found = bring(world, ledger, customers("few", 60, seed=7, sign=-1))

    assert found.score_change is None
