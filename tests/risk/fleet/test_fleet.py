"""A fleet of real models: what moved in many of them is told apart, one budget holds for all."""

import json
import re
import shutil

import pytest
import sqlalchemy as sa

from benchmarks import clusters
from risk.config import Config
from risk.fleet import run as fleet
from risk.fleet import verdict
from risk.fleet.verdict import Seen
from risk.ledger import tables
from risk.ledger.ledger import Ledger
from tests import factories

MODELS = ("amber", "beech", "cedar", "dogwood", "elm")
SHARED, OWN = "number_of_employees", "lastmonth_activity"


def seen(*moved, columns=("age", "use", "plan")):
    return Seen(frozenset(columns), frozenset(moved))


def test_what_two_models_share_may_be_chance():
    """Three are a pattern."""
    assert verdict.together([seen("age"), seen("age"), seen()]) == {}
    assert verdict.together([seen("age"), seen("age"), seen("age")]) == {"age": (3, 3)}


def test_three_of_very_many_have_reasons_of_their_own():
    """A quarter of those that have the column are needed, however many others there are."""
    without = [seen(columns=("other",))] * 100

    assert verdict.together([seen("age")] * 3 + [seen()] * 10) == {}
    assert verdict.together([seen("age")] * 3 + [seen()] * 9 + without) == {"age": (3, 12)}


@pytest.mark.parametrize("subject", ["(predicted risk)", "age and use"])
def test_what_is_no_column_is_had_by_all(subject):
    """Ten planted changes among 200 models move ten predicted risks; their source is not shared.

    A model that could not be run has nothing.
    """
    failed = [seen(columns=())] * 50

    assert verdict.together([seen(subject)] * 10 + [seen()] * 190) == {}
    assert verdict.together([seen(subject)] * 10 + [seen()] * 30 + failed) == {subject: (10, 40)}


def test_the_subject_that_most_moved_in_comes_first():
    """Of equally many, in alphabetical order."""
    found = verdict.together([seen("use", "age", "plan"), seen("use", "plan"), seen("use", "plan"),
                              seen("use", "age"), seen("age")])  # fmt: skip

    assert [*found] == ["use", "age", "plan"]


@pytest.mark.parametrize(
    ("budget", "models", "each"),
    [
        ("1 per 90 days", 200, "1 per 18000 days"),
        ("2 per year", 3, "1 per 547.875 days"),
        ("1 per day", 1, "1 per 1 days"),
    ],
)
def test_each_model_has_its_part_of_the_budget(budget, models, each):
    """So that all together raise no more false alarms than one model was allowed."""
    assert verdict.budget_of_each(budget, models) == each


@pytest.fixture(scope="module")
def past(tmp_path_factory, new_world):
    """Give the folder of a model with its first release, trained on 900 rows."""
    world = new_world(tmp_path_factory.mktemp("past") / "model")
    world.take_from_inbox()
    world.set(alarms__false_alarm_budget="1 per day", alarms__warning_budget="1 per day")
    world.drop("first.csv", factories.customers("a", 900, seed=1))
    world.run()
    return world.folder


@pytest.fixture
def folder(tmp_path, past):
    """Give a fleet of five such models, of which three have a change in common, and one its own."""
    folder = tmp_path / "fleet"
    for number, name in enumerate(MODELS):
        shutil.copytree(past, folder / name, symlinks=True)
        grown = 25 if number < 3 else 0
        text = factories.customers(name, 300, seed=10 + number, grown=grown)
        if name == "dogwood":
            text = re.sub(
                r"^(dogwood\d+),(\d+)", lambda m: f"{m[1]},{int(m[2]) * 6 // 10}", text, flags=re.M
            )
        (folder / name / "inbox" / "second.csv").write_text(text)
    return folder


@pytest.fixture
def untrained(tmp_path, new_world):
    """Give a fleet of two models without data."""
    folder = tmp_path / "fleet"
    for name in MODELS[:2]:
        new_world(folder / name).take_from_inbox()
    return folder


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def decisions_of(folder, name):
    """Give the action, the code and the facts of the newest decision of a model."""
    with Ledger.open(Config.load(folder / name / "config.json"), upgrade=False) as ledger:
        last = ledger.decisions.newest()
        return last.action, last.reason_code, json.loads(last.facts)


def lines_of(output):
    return dict(line.split(": ", 1) for line in output.splitlines() if re.match(r"^[a-z]+: ", line))


@pytest.mark.parametrize("engine", ["local", pytest.param("processes", marks=pytest.mark.torture)])
def test_what_moved_in_many_models_trains_none_of_them(world, folder, engine):
    """A person is asked to look at the source; a change of one model's own trains that one."""
    world.set(engine=engine)

    result = world.command("full_process.py", "--fleet", str(folder), fresh=True)

    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()[:2]
    assert first == (
        f"3 of 5 models moved together in {SHARED}: look at the shared source, retrain none."
    )
    assert "5 models with a false-alarm budget of 1 per 90 days together" in second
    assert "each has 1 per 450 days, whatever its own settings say" in second
    for name in MODELS[:3]:
        action, code, facts = decisions_of(folder, name)
        assert (action, code, facts["together"]) == ("ask", "together", [SHARED, [3, 5]])
        assert not (folder / name / "deployment" / "releases" / "2").exists()
    assert decisions_of(folder, "dogwood")[1] == "drift"
    assert decisions_of(folder, "elm")[:2] == ("keep", "no_incident")
    lines = lines_of(result.stdout)
    assert [*lines] == [*MODELS]  # the worst first: who needs a person, what drifted, the quiet
    assert "No incident" in lines["elm"]
    assert (folder / fleet.PAGE).read_text().count("\n| ") == 2 + len(MODELS)


def test_each_model_has_one_run_of_both_phases(world, folder):
    """Its findings and its decision belong together, and the next run finds nothing new."""
    for _ in range(2):
        world.command("full_process.py", "--fleet", str(folder))

    with Ledger.open(Config.load(folder / "elm" / "config.json"), upgrade=False) as ledger:
        runs = ledger.database.rows(sa.select(tables.runs).order_by(tables.runs.c.id))
        found = ledger.database.rows(sa.select(tables.findings.c.run_id).distinct())
    assert [row.status for row in runs] == ["ok"] * 3
    assert runs[2].id not in {row.run_id for row in found}
    assert runs[1].id in {row.run_id for row in found}


def test_a_model_that_fails_keeps_no_other_from_its_run(world, folder):
    """Its line comes first, and its exit code is that of the fleet."""
    (folder / "beech" / "config.json").write_text("{}")
    (folder / "cedar" / "db" / "monitoring.sqlite").write_bytes(b"no database" * 1000)

    result = world.command("full_process.py", "--fleet", str(folder))

    lines = lines_of(result.stdout)
    assert set([*lines][:2]) == {"beech", "cedar"}
    assert "invalid settings" in lines["beech"]
    assert result.returncode in (69, 78)
    assert decisions_of(folder, "elm")[:2] == ("keep", "no_incident")


def test_a_folder_without_settings_is_wrong_usage(world, tmp_path):
    """Nothing was run."""
    result = world.command("full_process.py", "--fleet", str(tmp_path / "nothing"))

    assert result.returncode == 64
    assert "neither *.json nor */config.json" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--dry-run"],
        ["--cases"],
        ["--approve", "1"],
        ["--decline", "1"],
        ["--snooze", "1"],
        ["--until", ""],
        ["--because", "planned"],
    ],
    ids=lambda words: words[0],
)
def test_an_option_about_one_model_is_refused_beside_a_fleet(world, untrained, words):
    """It was ignored: a rehearsal changed all models. What to do instead is in the message."""
    before = contents(untrained)

    result = world.command("full_process.py", "--fleet", str(untrained), *words)

    assert result.returncode == 64
    assert f"--fleet cannot be combined with {words[0]}: " in result.stderr
    assert "--config MODEL" in result.stderr
    assert contents(untrained) == before


@pytest.mark.parametrize("name", ["", " "])
def test_an_unset_variable_is_not_the_current_folder(world, name):
    """`--fleet "$MODELS"` without MODELS would run whatever is here."""
    result = world.command("full_process.py", "--fleet", name)

    assert result.returncode == 64
    assert "--fleet: must be a folder, got an empty text" in result.stderr


def test_a_fleet_fails_on_what_was_found_in_any_model_unless_one_failed(world, folder):
    """The same exit codes as those of one model; a failure is worse than a finding."""
    for name in MODELS[:3]:
        shutil.rmtree(folder / name)
    refused = folder / "elm" / "inbox" / "third.csv"

    drifted = world.command("full_process.py", "--fleet", str(folder), "--fail-on", "drift")
    quiet = world.command("full_process.py", "--fleet", str(folder), "--fail-on", "quarantine")
    refused.write_text(factories.HEADER + "e1,not a number,1,1,0\n" + "e2,1,1,1,0\n" * 2)
    found = world.command("full_process.py", "--fleet", str(folder), "--fail-on", "quarantine")
    refused.write_text(factories.HEADER + "e3,not a number,1,1,0\n" + "e4,1,1,1,0\n" * 2)
    (folder / "dogwood" / "config.json").write_text("{}")
    failed = world.command("full_process.py", "--fleet", str(folder), "--fail-on", "quarantine")

    assert [each.returncode for each in (drifted, quiet, found, failed)] == [3, 0, 3, 78]


def test_models_of_the_same_name_each_have_a_line(world, untrained):
    """Their paths tell them apart; a line for one of two would hide the other."""
    settings = json.loads((untrained / "amber" / "config.json").read_text())
    (untrained / "amber.json").write_text(json.dumps(settings))
    (untrained / "inbox").mkdir()

    result = world.command("full_process.py", "--fleet", str(untrained))

    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 models with a false-alarm budget")
    assert {line.split(": ")[0] for line in lines[1:]} == {
        "amber.json",
        "amber/config.json",
        "beech",
    }
    assert (untrained / fleet.PAGE).read_text().count("\n| ") == 2 + 3


def test_a_path_in_the_folder_is_never_the_name_of_another_model(tmp_path):
    """`amber.json.json` would be called amber.json, like the path of another."""
    paths = [tmp_path / name for name in ("amber.json", "amber.json.json", "amber/config.json")]

    assert fleet.names(tmp_path, paths) == [str(path.relative_to(tmp_path)) for path in paths]


@pytest.mark.parametrize("setting", ["prod_deployment_path", "database_url", "all"])
def test_a_model_that_writes_what_another_writes_is_refused(world, untrained, setting):
    """Its changes would count twice in what moved together. The other runs."""
    beech, ledger = untrained / "beech" / "config.json", "db/monitoring.sqlite"
    settings = json.loads(beech.read_text())
    if setting == "all":
        beech.unlink()
        beech.symlink_to(untrained / "amber" / "config.json")
    else:
        before, place = ("sqlite:///", ledger) if "url" in setting else ("", settings[setting])
        settings[setting] = f"{before}{untrained / 'beech' / '..' / 'amber' / place}"
        beech.write_text(json.dumps(settings))

    result = world.command("full_process.py", "--fleet", str(untrained))

    lines = lines_of(result.stdout)
    named = "database_url and output_folder_path" if setting == "all" else setting
    assert result.returncode == 78
    assert [*lines] == ["beech", "amber"]
    assert lines["beech"].startswith(f"amber writes to the same {named}")
    assert (untrained / "amber" / ledger).exists()
    assert not (untrained / "beech" / ledger).exists()


def test_models_may_read_the_same_drops(world, untrained):
    """Nothing is written into an input folder."""
    settings = json.loads((untrained / "beech" / "config.json").read_text())
    settings["input_folder_path"] = str(untrained / "amber" / "inbox")
    (untrained / "beech" / "config.json").write_text(json.dumps(settings))

    result = world.command("full_process.py", "--fleet", str(untrained))

    assert result.returncode == 0, result.stdout
    assert set(lines_of(result.stdout).values()) == {"No new data."}


@pytest.mark.torture
def test_a_fleet_runs_on_a_cluster(world, folder, tmp_path):
    """With the same outcome as here, by workers that share the folders."""
    with clusters.running(tmp_path, workers=2) as cluster:
        world.set(engine="dask", engine_address=cluster.address)

        result = world.command("full_process.py", "--fleet", str(folder), fresh=True)

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3 of 5 models moved together")
    assert decisions_of(folder, "dogwood")[1] == "drift"
