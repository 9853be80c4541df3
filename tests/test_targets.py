"""What `make quick`, `make test` and `make torture` run: together everything, nothing twice."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
OF_EACH = ["--numprocesses", "auto", "--no-loadscope-reorder", "--dist"]


def selection(target):
    """Return what a target adds to `pytest` that decides which tests are run."""
    shown = subprocess.run(
        ["make", "--dry-run", target],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # not the options this run of the tests was started with
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in shown.stdout.splitlines() if "-m pytest" in line]
    words = shlex.split(line.partition("-m pytest")[2])
    assert words[:4] == OF_EACH
    return words[5:]


def test_what_is_no_torture_is_run_by_test():
    """Without a mark, an option or a path of its own: whatever is there and bears no mark."""
    at = SETTINGS["addopts"].index("-m")

    assert SETTINGS["addopts"][at + 1] == "not torture"
    assert SETTINGS["addopts"].count("-m") == 1
    assert selection("test") == []


def test_torture_runs_the_rest():
    """The last -m counts."""
    assert selection("torture") == ["-m", "torture"]


def test_quick_is_a_part_of_test():
    """It only names paths, below those that are tested; the mark that test leaves out holds."""
    paths = [Path(word.partition("::")[0]) for word in selection("quick")]

    assert all((ROOT / path).exists() for path in paths)
    assert {path.parts[0] for path in paths} <= {*SETTINGS["testpaths"]}


@pytest.mark.parametrize("target", ["test", "torture"])
def test_ci_runs_both(target):
    """As far as its time goes; what is left out is said there."""
    commands = (ROOT / ".ci" / "run").read_text().splitlines()

    assert [line for line in commands if f"make {target}" in line and not line.startswith("#")]


def test_ci_awaits_whatever_it_begins():
    """What goes on beside the tests fails CI as they do."""
    commands = (ROOT / ".ci" / "run").read_text()
    begun, awaited = (re.findall(rf"\b{word} (\w+)", commands) for word in ("begin", "await"))

    assert {"check", "oldest_pip", "packages", "s3"} == {*begun} == {*awaited}
