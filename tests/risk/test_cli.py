import json

import pytest

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


def test_there_is_no_progress_bar_without_a_terminal(world):
    """Cron mails what is printed."""
    assert world.command("ingestion.py").stderr == ""


def test_the_settings_file_can_come_from_the_environment(world):
    """RISK_CONFIG chooses development or production for cron and gunicorn alike."""
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).parents[2] / "ingestion.py"

    result = subprocess.run(
        [sys.executable, script],
        env={"RISK_CONFIG": str(world.folder / "config.json")},
        capture_output=True,
        text=True,
    )

    assert result.stdout.startswith("2 drops ingested")
