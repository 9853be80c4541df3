import json
import shutil
from datetime import timedelta

import pytest
import sqlalchemy as sa

import ingestion
from risk.config import Alarms
from risk.ledger import tables
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger
from risk.monitoring import run as monitoring
from risk.monitoring.backtest import Replay, policy_with, replay
from tests.factories import customers, first_release

REPLAY = ("--replay", "--budget", "1 per 90 days", "--tolerance", "0.15")
START = utc_now()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Give the folder in which the first test that needs it leaves its world for the others."""
    return tmp_path_factory.mktemp("history") / "world"


@pytest.fixture
def monitored(world, history):
    """Give a world whose release saw eight days: from the fifth on companies were larger."""
    if history.exists():
        return world.copy_of(history)
    world.take_from_inbox()
    with world.open_ledger() as ledger:
        world.drop("0.csv", customers("a", 400, seed=100))
        first_release(world.config, ledger)
        for day in range(1, 9):
            ledger.database.now = lambda day=day: START + timedelta(days=day)
            world.drop(f"{day}.csv", customers(f"d{day}_", 60, seed=day, grown=25 * (day >= 5)))
            ingestion.run(world.config, ledger)
            ledger.runs.start()
            monitoring.assess(world.config, ledger)
    shutil.copytree(world.folder, history, symlinks=True)
    return world


def counts_of(ledger):
    with ledger.engine.connect() as connection:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in tables.metadata.tables.items()
        }


def alarms(world, ledger, **changes):
    return replay(world.config, ledger, policy_with(world.config.alarms, changes)).alarms


def test_under_the_policy_in_force_the_replay_raises_the_alarms_there_were(monitored, ledger):
    """The oracle is the record: what was found when the rows came."""
    found = ledger.findings.history()
    recorded = found[found["drift_detected"].astype(bool) & (found["method"] == "e_detector")]

    told = alarms(monitored, ledger)

    assert len(told) > 0
    assert [(alarm.at, alarm.finding.feature, alarm.finding.direction) for alarm in told] == list(
        zip(recorded["found_at"], recorded["feature"], recorded["direction"], strict=True)
    )


def test_the_alarm_is_of_what_was_changed_and_after_it_was(monitored, ledger):
    """Larger companies from the fifth day on; nothing is wrong before."""
    told = alarms(monitored, ledger)

    assert "number_of_employees" in {alarm.finding.feature for alarm in told}
    assert min(alarm.at for alarm in told) >= START + timedelta(days=5)


def test_a_larger_tolerance_gives_no_more_alarms(monitored, ledger):
    """What is left at a whole standard deviation are values that no reference row had."""
    told = [alarms(monitored, ledger, tolerance=t) for t in (0.0, 0.15, 0.5, 1.0)]

    numbers = [len(alarms) for alarms in told]
    assert numbers == sorted(numbers, reverse=True)
    assert {a.finding.direction for a in told[-1]} <= {"above every reference value"}


def test_a_tighter_budget_gives_no_earlier_alarm(monitored, ledger):
    """Fewer false alarms cost time."""
    budgets = ("1 per 10 days", "1 per 90 days", "1 per 3650 days")
    first = [
        min(alarm.at for alarm in alarms(monitored, ledger, false_alarm_budget=budget))
        for budget in budgets
    ]

    assert first == sorted(first)


def test_a_history_of_nothing_has_no_alarms(world, ledger):
    """Before the first rows were seen there is nothing to replay."""
    told = replay(world.config, ledger, world.config.alarms)

    assert (told.alarms, told.n_batches, told.days) == ((), 0, 0.0)
    counted = "0 alarms of 0 causes and 0 early warnings in 0 batches over 0.0 days"
    assert str(told).endswith(counted)


def test_the_command_replays_and_writes_nothing(monitored, ledger, tree):
    """Neither a file nor a row; it may be asked while a run is at work."""
    before, counts = tree(), counts_of(ledger)

    result = monitored.command("diagnostics.py", *REPLAY)

    assert result.returncode == 0, result.stderr
    assert 'a budget of "1 per 90 days" and a tolerance of 0.15 sd' in result.stdout
    assert "in 8 batches over 7.0 days" in result.stdout
    assert (tree(), counts_of(ledger)) == (before, counts)


def test_the_command_tells_its_alarms_to_programs_too(monitored, ledger):
    """`--json`: every alarm with its moment, release and finding."""
    result = monitored.command("diagnostics.py", *REPLAY, "--json")

    told = json.loads(result.stdout)
    assert told["n_batches"] == 8
    assert len(told["alarms"]) == len(alarms(monitored, ledger, tolerance=0.15))
    assert {alarm["version"] for alarm in told["alarms"]} == {1}


@pytest.mark.parametrize(
    "wrong",
    [
        ("--budget", "often"),
        ("--budget", "0 per 90 days"),
        ("--tolerance", "-1"),
        ("--tolerance", "nan"),
    ],
)
def test_a_policy_that_makes_no_sense_is_wrong_usage(world, wrong):
    """Exit 64, and what is wrong in one line."""
    with Ledger.open(world.config):
        pass

    result = world.command("diagnostics.py", "--replay", *wrong)

    assert result.returncode == 64, result.stderr
    assert result.stderr.startswith(f"error: {wrong[0]}: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_release_without_its_reference_cannot_be_replayed(monitored, ledger):
    """It is never guessed at: exit 76."""
    (monitored.config.deployment_folder / "releases" / "1" / "reference.json.gz").write_text("{}")

    result = monitored.command("diagnostics.py", *REPLAY)

    assert result.returncode == 76, result.stderr


def test_a_policy_without_a_replay_is_wrong_usage(world):
    """Nothing would be done with it, and nobody would notice."""
    world.run()

    result = world.command("diagnostics.py", "--budget", "1 per year")

    assert result.returncode == 64
    assert "--budget and --tolerance require --replay" in result.stderr


def test_one_is_no_plural():
    """Of whatever is counted."""
    alone = Replay((), Alarms(), n_batches=1, days=1.0, n_warnings=1)

    assert str(alone).endswith("0 causes and 1 early warning in 1 batch over 1.0 days")
