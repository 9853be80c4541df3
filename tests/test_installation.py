import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ["risk", "web", "tests", "docs"]


def ignored(paths):
    """Return those of the paths that git would ignore if it did not know them yet."""
    asked = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
    )
    assert asked.returncode in (0, 1), asked.stderr
    return asked.stdout.splitlines()


@pytest.fixture(autouse=True)
def _needs_a_clone():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone of the repository")


def test_git_ignores_nothing_a_developer_writes():
    """A folder of sources may bear the name of one that a run writes at the top level."""
    entries = (ROOT / ".gitignore").read_text().split()
    names = {entry.strip("/!*").split("/")[0] for entry in entries} - {"__pycache__"}
    present = [
        path.relative_to(ROOT)
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    possible = [f"{folder}/{name}/new.py" for folder in SOURCES for name in names]

    assert names >= {"models", "db", "reports"}
    assert ignored([*present, *possible]) == []


def test_git_ignores_what_a_run_writes():
    """After a run the tree is as clean as before."""
    written = [
        "data/ingested/final_data.csv",
        "db/monitoring.sqlite",
        "deployment/current",
        "models/development/trained_model.pkl",
        "reports/1.pdf",
        ".secrets/signing_key",
    ]

    assert ignored(written) == written
    assert ignored(["models/README.md"]) == []


@pytest.mark.parametrize("kind", ["", "-messages", "-dev"])
def test_a_package_asked_for_with_extras_is_locked_with_them(kind):
    """An older pip does not know that a locked `name` answers a wish for `name[extra]`."""
    asked = (ROOT / f"requirements{kind}.txt").read_text()
    lock = (ROOT / f"requirements{kind}.lock").read_text()

    for name in re.findall(r"^[\w-]+\[[\w,-]+\]", asked, re.MULTILINE):
        assert re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE), name


def test_the_set_up_resolves_nothing():
    """What is released after the locks were made cannot disturb it."""
    makefile = (ROOT / "Makefile").read_text()

    assert re.search(r"^INSTALL := .* --no-deps --require-hashes -r$", makefile, re.MULTILINE)
    assert makefile.count("\t$(INSTALL) $<\n") == 3
