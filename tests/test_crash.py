import json
import os
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

import ingestion
from risk.config import Config
from risk.decisions import answers
from risk.errors import LedgerError
from risk.ledger.cases import Answer, CaseState
from risk.ledger.engines import make_engine
from risk.ledger.ledger import Ledger
from tests import forks
from tests.crash_driver import data_set
from tests.factories import once
from tests.servers import Proxy, on_remote_servers_in_turn, on_servers_in_turn
from tests.test_cases import propose_a_challenger
from tests.torture import EVERY, in_full

DRIVER = Path(__file__).with_name("crash_driver.py")
SAMPLE = (53, 53)  # the first point at which a run is killed, and every which after it
PARTS = 4 if EVERY < 4 else 1  # of which each may be tried by another process
POINTS = [(1 + part * EVERY, PARTS * EVERY) for part in range(PARTS)]
STAGES = ("first model", "new data and drift")
FEATURES = "lastmonth_activity,lastyear_activity,number_of_employees"


def survive(world, workshop, *, work, first, every):
    """Return the end of a run without a crash, and those of runs with one, each repaired."""
    driver = forks.FORKS.run(
        str(DRIVER),
        [str(world.folder), str(workshop), str(first), str(every), work],
        {**os.environ},
        seconds=3600,
    )
    assert driver.returncode == 0, driver.stderr
    whole, *crashes = [json.loads(line) for line in driver.stdout.splitlines()]
    assert whole["exit_code"] == 0, driver.stderr
    for crash in crashes:
        assert crash["killed"], crash["point"]
        assert crash["exit_code"] == 0, (crash["point"], driver.stderr)
        assert crash["state"] == whole["state"], crash["point"]
    return whole["state"], len(crashes)


@pytest.mark.parametrize(
    ("stage", "first", "every"),
    [
        ("new data and drift", *SAMPLE),
        in_full("first model", *SAMPLE),
        *(in_full(stage, *points) for stage in STAGES for points in POINTS),
    ],
)
def test_the_next_run_repairs_a_crash_at_any_point(
    world, first_run, tmp_path_factory, tried, stage, first, every
):
    """SIGKILL before every change of a file and every commit; the end is always the same."""
    if stage == "new data and drift":
        world.copy_of(first_run).switch_to_production()
        if (first, every) != SAMPLE:
            world.set(training__estimator="RandomForestClassifier", checks__metric="brier")
            world.set(gate__alpha=0.9)  # so that it goes live
    if (first, every) != SAMPLE:
        world.set(report_formats=["json"])  # it is kept as a PDF is, and written sooner

    state, n_crashes = survive(
        world,
        tmp_path_factory.mktemp("crashes"),
        work="full_process",
        first=first,
        every=every,
    )

    tried(f"run killed ({stage})", "the next run completes it", n_crashes)
    assert state["live"] == (1 if stage == "first model" else 2)
    assert n_crashes >= len(range(first, 143, every))


@pytest.mark.parametrize(("first", "every"), [(29, 29), *(in_full(*points) for points in POINTS)])
def test_an_approved_deployment_is_carried_out_once_whatever_is_interrupted(
    world, shared, tmp_path_factory, tried, first, every
):
    """Neither twice nor never, and the case is closed with it."""
    world.copy_of(once(shared, "proposed_a_challenger", propose_a_challenger))
    with world.open_ledger() as ledger:
        answers.give(ledger, Answer(CaseState.APPROVED, "anna", "command line"), 1)

    state, n_crashes = survive(
        world,
        tmp_path_factory.mktemp("crashes"),
        work="full_process",
        first=first,
        every=every,
    )

    tried("run killed (approved deployment)", "the next run completes it", n_crashes)
    assert state["live"] == 2
    assert [action for action, *_ in state["decisions"]] == ["deploy", "ask", "deploy"]
    assert state["cases"] == [["approved", "carried_out"]]
    assert n_crashes >= len(range(first, 80, every))


@pytest.fixture
def data_in_sql(world):
    """Give a world of unripe rows, late labels, refused rows and a source of two fetches."""
    world.set(
        input_folder_path="inbox",
        store_dataset_in_sql=True,
        sources={"crm": {"table": "crm", "high_water_mark": "mark", "max_rows": 3}},
    )
    world.config.input_folder.mkdir()
    world.drop("a.csv", f"corporation,{FEATURES}\na,1,2,3\nb,1,2,3\nbroken,-1,2,3\n")
    world.drop("b.csv", "corporation,exited\na,1\nnobody,1\n")
    (world.folder / "db").mkdir()
    names = f"corporation,{FEATURES},exited".split(",")
    columns = ", ".join(f"{name} VARCHAR(20)" for name in names)
    rows = ", ".join(f"({i // 2}, 'firm {i}', '1', '2', '3', '0')" for i in range(5))
    engine = make_engine(world.config.sqlalchemy_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE crm (mark INTEGER, {columns})"))
        connection.execute(sa.text(f"INSERT INTO crm VALUES {rows}"))
    yield world
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE crm"))
    engine.dispose()


@on_servers_in_turn
@pytest.mark.parametrize(("first", "every"), [(13, 13), *(in_full(*points) for points in POINTS)])
def test_the_data_set_in_sql_survives_a_crash_at_any_point(
    data_in_sql, server, tmp_path_factory, tried, first, every
):
    """Nothing twice, nothing lost; the mark of the source moves with its rows."""
    workshop = tmp_path_factory.mktemp("crashes")

    state, n_crashes = survive(data_in_sql, workshop, work="ingestion", first=first, every=every)

    tried(f"ingestion killed ({server.name})", "the next one completes it", n_crashes)
    assert [drop[1] for drop in state["drops"]] == [
        "inbox/a.csv",
        "inbox/b.csv",
        "sql:crm/00000003",
        "sql:crm/00000004",
    ]
    labels = [row[3:] for row in sorted(state["rows"], key=lambda row: row[2])]
    assert labels == [[1, 2], [None, None], *[[0, None]] * 5]
    assert n_crashes >= len(range(first, 33, every))


@on_remote_servers_in_turn
@pytest.mark.parametrize("every", [3, in_full(1)])
def test_the_data_set_in_sql_survives_lost_answers_to_commit(
    data_in_sql, server, tmp_path, tried, every
):
    """Committed or not, nobody knows; the source is read through the same bad line."""
    expected, lost = None, 0
    for at in range(0, 100, every):
        folder = tmp_path / f"{at}"
        shutil.copytree(data_in_sql.folder, folder, ignore=shutil.ignore_patterns("[0-9]*"))
        server.empty()
        with Proxy(server) as proxy:
            config = Config.load(folder / "config.json", environment={"DATABASE_URL": proxy.url})
            proxy.lose_answer_to = at
            try:
                ingest(config)
            except LedgerError:
                lost += 1
            if proxy.commits < at:
                break
            proxy.lose_answer_to = None
            ingest(config)
            found = data_set(folder)
        expected = expected or found
        assert found == expected, f"lost the answer to commit {at}"

    tried(f"answer to COMMIT lost ({server.name})", "no row twice, none missing", lost)
    assert lost > 2


def ingest(config):
    with Ledger.open(config) as ledger:
        ingestion.run(config, ledger)
