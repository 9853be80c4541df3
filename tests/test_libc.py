"""Faults in the calls of libc, whoever makes them: Python, SQLite, Arrow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forks
from tests.factories import HEADER, customers, once
from tests.fixtures import make_installation
from tests.test_cases import ask_about_a_feed
from tests.torture import in_full

DRIVER = Path(__file__).with_name("libc_driver.py")
SOURCE = Path(__file__).parent / "torture" / "libc_faults.c"
POINTS = int(os.environ.get("LIBC_POINTS", "6"))
DOCUMENTED = {0, 69, 74, 76}


@pytest.fixture(scope="session")
def faulty(tmp_path_factory):
    """Give what forks into which faults of libc can be injected."""
    if sys.platform != "linux" or not shutil.which("cc"):
        pytest.skip("needs Linux and a C compiler: apt install gcc libc6-dev")
    library = tmp_path_factory.mktemp("libc") / "libc_faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
    faulty = forks.Forks(LD_PRELOAD=str(library))
    yield faulty
    faulty.end()


@pytest.fixture
def begin(world, shared, first_run, two_releases):
    """Give a function that makes the world in which something is to be done."""

    def nothing():
        world.set()

    def quiet():
        world.copy_of(first_run)

    def deployment():
        world.copy_of(first_run).switch_to_production()

    def labels():
        world.copy_of(first_run)
        world.take_from_inbox()
        world.drop("a.csv", customers("late", 40, seed=5, labelled=False))
        world.run()
        world.drop(
            "b.csv", "corporation,exited\n" + "".join(f"late{i},{i % 2}\n" for i in range(40))
        )

    def refused():
        world.copy_of(first_run)
        world.take_from_inbox()
        world.drop("a.csv", HEADER + "fine,1,2,3,0\nodd,-1,2,3,1\n")
        world.run()
        world.set(columns__allowed_ranges={})

    def many():
        world.copy_of(two_releases)
        world.set(keeping={"keep_runs": 1, "keep_quarantine": 0, "keep_releases": 3})

    def two():
        world.copy_of(two_releases)

    def asked():
        world.copy_of(once(shared, "asked_about_a_feed", ask_about_a_feed))

    def old():
        make_installation.unpack(world.folder)

    made = {
        "first model": nothing,
        "quiet": quiet,
        "report": quiet,
        "keys": quiet,
        "deployment": deployment,
        "late labels": labels,
        "requeue": refused,
        "prune": many,
        "rollback": two,
        "acknowledge": asked,
        "backup": two,
        "upgrade": old,
    }
    return lambda kind: made[kind]()


RUN = ["full_process.py"]
COMMANDS = {
    "quiet": RUN,
    "first model": RUN,
    "deployment": RUN,
    "late labels": RUN,
    "report": ["reporting.py"],
    "requeue": ["ingestion.py", "--requeue", "all"],
    "rollback": ["deployment.py", "--rollback"],
    "acknowledge": ["diagnostics.py", "--acknowledge", "1"],
    "keys": ["app.py", "keys", "create", "ANNA"],
    "prune": ["risk.admin", "prune"],
    "backup": ["risk.admin", "backup", "WORLD/a_backup"],
    "upgrade": ["risk.admin", "upgrade"],
}


@pytest.mark.parametrize("kind", [k if k == "quiet" else in_full(k) for k in COMMANDS])
def test_a_clean_run_heals_what_a_fault_of_libc_has_left(
    world, begin, faulty, tmp_path_factory, tried, kind
):
    """The command is killed before a call or in the middle of a write, or the disk fails it.

    Then all is as if it had not begun, or as if it had been carried out, and it said so.
    """
    begin(kind)
    words = [str(world.folder), str(tmp_path_factory.mktemp("libc")), str(POINTS), *COMMANDS[kind]]

    driver = faulty.run(str(DRIVER), words, {**os.environ}, seconds=36_000)

    assert driver.returncode == 0, driver.stderr
    calls, *faults = [json.loads(line) for line in driver.stdout.splitlines()]
    tried(f"libc fails ({kind})", "as before, or done; it says so", len(faults))
    wrong = [fault for fault in faults if fault["state"] not in calls["right"]]
    unclear = [fault for fault in faults if not is_clear(fault)]
    assert not wrong, differences(calls["right"], wrong[0])
    assert not unclear, unclear[0]
    assert len(faults) >= POINTS


def is_clear(fault):
    """Whether a command that was not killed ended with a documented code and no traceback."""
    if fault["exit_code"] == -9:
        return fault["fault"] in ("killed", "torn write")
    text = "\n".join(fault["stderr"])
    return fault["exit_code"] in DOCUMENTED and "Traceback" not in text


def differences(right, fault):
    """Return where a state differs from the nearest right one."""
    found = []
    for expected in right:
        unlike = {}
        for part, those in expected.items():
            these = fault["state"].get(part, {})
            names = [name for name in those | these if those.get(name) != these.get(name)]
            unlike |= {name: (those.get(name), these.get(name)) for name in names}
        found.append(unlike)
    return fault["point"], fault["fault"], min(found, key=len)
