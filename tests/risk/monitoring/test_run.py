from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa
from scipy.special import expit
from threadpoolctl import threadpool_info, threadpool_limits

import ingestion
from risk.data import drops, portions
from risk.ledger import tables
from risk.monitoring import run as monitoring
from risk.monitoring import score_changes
from tests.factories import HEADER, World, customers, first_release

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_look_at_new_rows_takes_one_thread(world):
    """Threads that wait for each other at every tree make a drop of 100 rows take seconds."""
    config, threads = world.take_from_inbox(), set()

    def summary(_facts):
        threads.update(library["num_threads"] for library in threadpool_info())
        return ""

    with world.open_ledger() as ledger, threadpool_limits(2):
        world.drop("history.csv", customers("h", 300, seed=0))
        first_release(config, ledger)
        world.drop("new.csv", customers("n", 100, seed=1))
        ingestion.run(config, ledger)
        monitoring.assess(config, ledger, describe=replace(monitoring.SILENT, summary=summary))

    assert threads == {1}


def labels_of(name, n, *, seed):
    """Write the labels of some customers, a drop of their own."""
    lines = customers(name, n, seed=seed).splitlines()[1:]
    told = (f"{line.split(',')[0]},{line.split(',')[-1]}\n" for line in lines)
    return "corporation,exited\n" + "".join(told)


DROPS = {
    "1-rows.csv": customers("a", 150, seed=1),
    "2-unlabelled.csv": customers("b", 200, seed=2, labelled=False),
    "3-early-labels.csv": labels_of("d", 80, seed=4),
    "4-late-labels.csv": labels_of("b", 200, seed=2),
    "5-turned.csv": customers("c", 300, seed=3, sign=-1),
    "6-unlabelled.csv": customers("d", 80, seed=4, labelled=False),
    "7-grown.csv": customers("e", 250, seed=5, grown=90),
}


def what_was_found(ledger):
    """Return what the ledger keeps of its assessments, but for when and in which run."""
    found = {}
    for table in (tables.assessments, tables.findings, tables.scores, tables.predictions):
        left_out = {"id", "run_id"}
        columns = [column for column in table.c if column.name not in left_out]
        rows = ledger.database.rows(sa.select(*columns).order_by(*table.primary_key.columns))
        found[table.name] = [tuple(row) for row in rows]
    opened = sa.select(tables.incidents.c.subject, tables.incidents.c.opened_at)
    return found | {"incidents": [tuple(row) for row in ledger.database.rows(opened)]}


@pytest.fixture
def learnt(world):
    """Give a world with a release."""
    world.take_from_inbox()
    world.drop("history.csv", customers("h", 450, seed=0))
    with world.open_ledger(clock=lambda: NOW) as ledger:
        first_release(world.config, ledger)
    return world


@pytest.mark.parametrize("max_drops", [20, 2])
def test_drops_that_come_at_once_are_assessed_as_if_each_had_come_alone(
    learnt, tmp_path, monkeypatch, max_drops
):
    """Also where the labels of some come with others, before or after their rows.

    Nor does it matter how many drops are looked back to for the change of the score.
    """
    monkeypatch.setattr(score_changes, "MAX_DROPS", max_drops)
    other = World(tmp_path / "other").copy_of(learnt.folder)
    for name, text in DROPS.items():
        learnt.drop(name, text)
    with learnt.open_ledger(clock=lambda: NOW) as ledger:
        ingestion.run(learnt.config, ledger)
        found = monitoring.assess(learnt.config, ledger, at_once=1)
        at_once = what_was_found(ledger)
    alarms = []
    with other.open_ledger(clock=lambda: NOW) as ledger:
        for name, text in DROPS.items():
            other.drop(name, text)
            ingestion.run(other.config, ledger)
            alarms += monitoring.assess(other.config, ledger).alarms

        assert at_once == what_was_found(ledger)

    assert len(at_once["assessments"]) == len(DROPS)
    assert {alarm.feature for alarm in found.alarms} == {alarm.feature for alarm in alarms}
    assert "number_of_employees" in {alarm.feature for alarm in alarms}


def test_a_drop_in_portions_is_assessed_as_if_each_had_come_alone(learnt, tmp_path, monkeypatch):
    header, *lines = customers("c", 300, seed=3, grown=90).splitlines(keepends=True)
    others = World(tmp_path / "other").copy_of(learnt.folder)
    for i in range(3):
        others.drop(f"{i}.csv", "".join([header, *lines[100 * i : 100 * (i + 1)]]))
    with others.open_ledger(clock=lambda: NOW) as ledger:
        ingestion.run(others.config, ledger)
        monitoring.assess(others.config, ledger, at_once=100)
        alone = what_was_found(ledger)

    monkeypatch.setattr(drops, "ROWS_PER_PIECE", 50)
    monkeypatch.setattr(portions, "MAX_ROWS", 100)
    learnt.drop("big.csv", "".join([header, *lines]))
    with learnt.open_ledger(clock=lambda: NOW) as ledger:
        (intake,) = ingestion.run(learnt.config, ledger).intakes
        monitoring.assess(learnt.config, ledger)

        assert what_was_found(ledger) == alone
        assert [look.n for look in ledger.assessments.history()] == [100, 100, 100]
    assert intake.rows_added == 300
    assert "number_of_employees" in {subject for subject, _ in alone["incidents"]}


def unchanging(name, n, *, seed, values):
    """Write customers whose two features, of so few values or none, say who leaves."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, max(values, 1), (2, n))
    leaves = rng.random(n) < expit((3 * one - 2 * other) / max(values, 1) - 1)
    cells = [f"{a},{b},{a}" if values else ",," for a, b in zip(one, other, strict=True)]
    lines = zip(range(n), cells, leaves.astype(int), strict=True)
    return HEADER + "".join(f"{name}{i},{cell},{y}\n" for i, cell, y in lines)


@pytest.mark.parametrize(
    ("estimator", "parameters", "values"),
    [
        ("LogisticRegression", {}, 0),
        ("LogisticRegression", {}, 3),
        ("DecisionTreeClassifier", {}, 3),
        ("DecisionTreeClassifier", {"max_depth": 3}, 1000),
        ("DecisionTreeClassifier", {}, 1000),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_model_of_few_probabilities_raises_no_alarm_where_nothing_changed(
    world, estimator, parameters, values, seed
):
    """Models of the folds give rows other probabilities than the one that is deployed."""
    world.take_from_inbox()
    config = world.set(training__estimator=estimator, training__parameters=parameters)
    world.drop("history.csv", unchanging("h", 1500, seed=seed, values=values))
    with world.open_ledger() as ledger:
        first_release(config, ledger)
        world.drop("new.csv", unchanging("n", 10_000, seed=100 + seed, values=values))
        ingestion.run(config, ledger)

        assert monitoring.assess(config, ledger).alarms == []


def test_few_rows_are_assessed_together_whatever_the_number_of_drops(learnt):
    for name, text in DROPS.items():
        learnt.drop(name, text)
    with learnt.open_ledger(clock=lambda: NOW) as ledger:
        ingestion.run(learnt.config, ledger)
        monitoring.assess(learnt.config, ledger, at_once=600)

        assert [look.n for look in ledger.assessments.history()] == [350, 380, 250]
