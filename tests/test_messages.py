import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import forks

DRIVER = Path(__file__).with_name("messages_driver.py")
ROOT = DRIVER.parents[1]
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def process(world, receiver):
    """Give a function that does a run as cron does, with a person and a machine to be told."""
    told = {
        "RISK_NOTIFY_URLS": f"json://{receiver.address}/people",
        "RISK_WEBHOOK_URL": f"http://{receiver.address}/machine",
        "RISK_WEBHOOK_SECRET": SECRET,
    }
    return lambda *arguments, **more: world.command("full_process.py", *arguments, **told, **more)


def events(receiver):
    """Return what the machine was told since it was asked last."""
    posts = [post["event"] for post in receiver.to("/machine")]
    receiver.posts.clear()
    return posts


def test_a_person_lives_through_a_model_s_life(world, process, receiver):
    """A drift that is answered, a run that fails; each told by its own run."""
    process()
    receiver.posts.clear()

    world.switch_to_production()
    assert "Release 2 is live" in process().stdout
    (mail,) = receiver.to("/people")
    assert "] Release 2 is live; Incident 1: data drift (large): number_of_" in mail["title"]
    assert events(receiver) == ["incident_opened", "deployed", "incident_resolved"]

    world.set(input_folder_path="nowhere")
    failed = process()
    assert failed.returncode == 74
    (mail,) = receiver.to("/people")
    assert mail["title"].endswith("] Run 3 failed")
    assert "input_folder_path cannot be listed" in mail["message"]
    assert events(receiver) == ["run_failed"]


def test_what_a_person_did_is_told_by_the_next_run(world, process, receiver):
    """By hand or over the API: it is in the ledger."""
    process()
    incident = {"version": 1, "kind": "data_drift", "subject": "age", "severity": "small"}
    with world.open_ledger() as ledger:
        ledger.incidents.open(incident | {"detail": "age higher"})
    process()
    assert events(receiver) == ["introduction", "deployed", "incident_opened"]

    assert world.command("diagnostics.py", "--resolve", "1").returncode == 0
    process()

    assert events(receiver) == ["incident_resolved"]


def test_nobody_there_changes_neither_outcome_nor_exit_code(world, receiver):
    """It is a matter of the log."""
    nowhere = {"RISK_NOTIFY_URLS": "json://geheim@127.0.0.1:1"}

    result = world.command("full_process.py", "--fail-on", "drift", **nowhere)
    again = world.command("full_process.py", **nowhere)

    assert result.returncode == again.returncode == 0
    assert "Release 1 is live" in result.stdout
    assert again.stdout == "No new data.\n"
    assert "2 messages for json" in again.stderr
    assert "geheim" not in again.stderr


def test_a_rehearsal_tells_nobody(process, receiver):
    """It is about what would be."""
    assert process("--dry-run").returncode == 0

    assert receiver.posts == []


def test_a_quiet_run_imports_neither_what_sends_nor_what_serves_nor_data_frames(world, receiver):
    """Cron comes 144 times a day."""
    heavy = {"apprise", "flask", "matplotlib", "pandas", "pyarrow"}
    config = world.folder / "config.json"
    told = {"RISK_NOTIFY_URLS": f"json://{receiver.address}/people"}
    world.command("full_process.py", **told)
    sent = len(receiver.posts)
    code = (
        "import atexit, sys, full_process\n"
        "from risk import cli\n"
        f"atexit.register(lambda: print({heavy} & sys.modules.keys()))\n"
        f"sys.argv[1:] = ['--config', {str(config)!r}]\n"
        "cli.main(full_process.from_options, '', add_options=full_process.add_options)\n"
    )

    quiet = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | told,
        capture_output=True,
        text=True,
    )

    assert quiet.stdout == "No new data.\nset()\n", quiet.stderr
    assert len(receiver.posts) == sent


def test_a_webhook_without_a_secret_is_refused(world):
    """Nobody could tell our messages from another's."""
    result = world.command("full_process.py", RISK_WEBHOOK_URL="https://hooks.example.org/geheim")

    assert result.returncode == 78
    assert "webhook_url requires webhook_secret; set RISK_WEBHOOK_SECRET" in result.stderr
    assert "geheim" not in result.stderr


def test_no_crash_loses_a_message_or_makes_two_of_one(world, receiver):
    """SIGKILL before every commit and every connection; the next run tells what is missing.

    Only a kill between the answer and its record sends again, under the same number.
    """
    driver = forks.FORKS.run(
        str(DRIVER),
        [str(world.folder), receiver.address],
        {**os.environ, "RISK_WEBHOOK_SECRET": SECRET},
    )

    crashes = [json.loads(line) for line in driver.stdout.splitlines()]
    assert driver.returncode == 0, driver.stderr
    assert len(crashes) > 15
    for crash in crashes:
        posts = receiver.to(f"/{crash['point']}/machine")
        told = {(post["event"], post["id"]) for post in posts}
        due = Counter({event: len(numbers) for event, numbers in crash["facts"].items()})
        assert Counter(event for event, _ in told) == due + Counter(["introduction"]), crash
        assert len(posts) - len(told) <= 1, crash
        assert receiver.to(f"/{crash['point']}/people")
        assert crash["unsent"] == 0
