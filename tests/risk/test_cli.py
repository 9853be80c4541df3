import json
import os
import subprocess
import sys

import pytest

from risk import cli
from risk.ledger import file_lock
from tests import forks
from tests.factories import ROOT

STAGES = ["ingestion", "training", "scoring", "deployment", "diagnostics", "reporting"]


@pytest.mark.parametrize("script", [*STAGES, "full_process", "api_calls", "app"])
def test_help_says_what_is_read_written_and_answered(world, script):
    """The docstring is the manual."""
    result = world.command(f"{script}.py", "--help")

    assert result.returncode == 0
    assert "Reads " in result.stdout
    assert "Exits " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--nonsense"], 64, "unrecognized arguments: --nonsense"),
        (["--config", "/nowhere.json"], 78, "configuration file not found: /nowhere.json"),
        (["--set", "random_seed"], 78, "--set requires KEY=VALUE"),
        (["--set", "random_sed=1"], 78, "random_sed: unknown setting"),
    ],
)
def test_wrong_usage_and_settings_have_their_codes(world, arguments, code, words):
    """64 and 78, one message, no traceback."""
    result = world.command("ingestion.py", *arguments)

    assert result.returncode == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_the_settings_in_force_can_be_shown(world):
    """Command line over environment over file."""
    result = world.command(
        "ingestion.py",
        "--print-config",
        *("--set", "random_seed=7"),
        RISK_RANDOM_SEED="6",
        RISK_TEST_SIZE="0.3",
    )

    shown = json.loads(result.stdout)
    assert (shown["random_seed"], shown["test_size"]) == (7, 0.3)


def test_json_is_one_object_for_machines(world):
    """`--json` on stdout, everything else on stderr."""
    result = world.command("ingestion.py", "--json")

    intakes = json.loads(result.stdout)["intakes"]
    assert [intake["rows_added"] for intake in intakes] == [17, 14]


def test_logs_can_be_json(world):
    """One record a line, with time, level and name."""
    world.drop("bad.csv", "no table")

    result = world.command("ingestion.py", RISK_LOG_FORMAT="json")

    record = json.loads(result.stderr.splitlines()[0])
    assert record["level"] == "WARNING"
    assert record["logger"] == "ingestion"
    assert "bad.csv" in record["message"]


def test_a_reader_that_has_had_enough_is_no_bug(world):
    """Such as head; the exit code is that of the stage."""
    reading, writing = os.pipe()
    os.close(reading)
    options = ["--config", world.folder / "config.json", "--print-config"]
    command = [sys.executable, "diagnostics.py", *options]
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(command, cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_no_progress_bar_without_a_terminal(world):
    """Cron mails what is printed."""
    assert world.command("ingestion.py").stderr == ""


def test_the_settings_file_can_come_from_the_environment(world):
    """RISK_CONFIG chooses development or production for cron and gunicorn alike."""
    result = subprocess.run(
        [sys.executable, ROOT / "ingestion.py"],
        env={"RISK_CONFIG": str(world.folder / "config.json")},
        capture_output=True,
        text=True,
    )

    assert result.stdout.startswith("2 drops ingested")


def log_of(world):
    return (world.folder / "logs" / "cron.log").read_text()


def test_with_a_log_nothing_is_printed_that_needs_no_person(world):
    """Neither an ordinary outcome nor a run that another one keeps from starting."""
    quiet = world.command("ingestion.py", "--log", "logs/cron.log")
    with file_lock.lock(world.config, holder="full_process"):
        busy = world.command("ingestion.py", "--log", "logs/cron.log")

    assert (quiet.stdout, quiet.stderr, busy.stdout, busy.stderr) == ("", "", "", "")
    assert busy.returncode == 75
    assert "drops ingested" in log_of(world) and "is held by full_process" in log_of(world)


def test_with_a_log_an_error_is_printed_too(world):
    """Cron mails it."""
    for path in world.config.input_folder.iterdir():
        path.write_text("no table")

    refused = world.command("ingestion.py", "--log", "logs/cron.log")
    lost = world.command("scoring.py", "--log", "logs/cron.log")

    assert refused.returncode == 65 and "refused" in refused.stdout
    assert lost.returncode == 76 and lost.stderr.startswith("error: ")
    assert len(lost.stderr.splitlines()) == 1
    assert lost.stderr.removeprefix("error: ") in log_of(world)


def test_with_a_log_warnings_of_libraries_are_in_it_only(world):
    """Such as what scikit-learn says of a parameter that will be gone one day."""
    options = ("--set", 'training.parameters={"penalty":"l2"}', "--log", "logs/cron.log")
    world.command("ingestion.py")

    trained = world.command("training.py", *options)

    assert (trained.returncode, trained.stdout, trained.stderr) == (0, "", "")
    assert "FutureWarning" in log_of(world)


def test_with_a_log_a_lasting_error_is_printed_once_and_its_end(world):
    """Even of settings that are invalid."""
    said = []
    for value in (7, 7, 8, 9):
        failed = world.command(
            "scoring.py", "--log", "logs/cron.log", "--set", f"test_size={value}"
        )
        said.append((failed.returncode, failed.stdout, failed.stderr.partition(": ")[0]))
    trained = world.command("full_process.py", "--log", "logs/cron.log")
    scored = world.command("scoring.py", "--log", "logs/cron.log")

    assert said == [(78, "", "error"), (78, "", ""), (78, "", ""), (78, "", "")]
    assert (trained.returncode, trained.stdout) == (0, "")
    assert scored.stdout.startswith("no longer, since ") and "1 invalid setting" in scored.stdout
    assert log_of(world).count("1 invalid setting") == 4


def test_with_a_log_a_bug_is_printed_once_with_its_traceback(world):
    """Every run after it has the same one; the log has them all."""
    script = world.folder / "script.py"
    script.write_text(
        "from risk import cli\n"
        "def run(config):\n"
        "    raise ZeroDivisionError('a bug')\n"
        "cli.main(run, '', access='none')\n"
    )
    words = ["--config", str(world.folder / "config.json"), "--log", "logs/cron.log"]

    first, second = (
        subprocess.run(
            [sys.executable, script, *words],
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        for _ in range(2)
    )

    assert (first.returncode, second.returncode) == (1, 1)
    assert first.stderr.startswith("Traceback") and "ZeroDivisionError: a bug" in first.stderr
    assert (second.stdout, second.stderr) == ("", "")
    assert log_of(world).count("ZeroDivisionError: a bug") == 2


def test_a_decision_that_awaits_approval_is_printed(world):
    """Whatever has `needs_a_person` is."""
    script = world.folder / "script.py"
    script.write_text(
        "from full_process import Outcome\n"
        "from risk import cli\n"
        "def run(config):\n"
        "    return Outcome('A model.', needs_a_person=config.random_seed > 0)\n"
        "cli.main(run, '', access='none')\n"
    )
    words = ["--config", str(world.folder / "config.json"), "--log", "logs/cron.log"]

    said = [
        forks.FORKS.run(str(script), [*words, "--set", f"random_seed={seed}"], {}).stdout
        for seed in (0, 1)
    ]

    assert said == ["", "A model.\n"]
    assert log_of(world).count("A model.") == 2


def test_a_large_log_is_renamed_and_some_are_kept(world):
    logs = world.folder / "logs"
    logs.mkdir()
    for number in range(8):
        (logs / "cron.log").write_text(f"{number}" * (cli.MAX_LOG_BYTES + 1))
        cli.load(world.folder / "config.json", [], logs / "cron.log")

    kept = sorted(path.name for path in logs.glob("cron.log*"))
    assert kept == ["cron.log", *(f"cron.log.{n}" for n in range(1, cli.KEPT_LOGS + 1))]
    assert (logs / "cron.log.1").read_text()[0] == "7"
