import hashlib
import html
import json
import subprocess

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

import full_process
import reporting
from risk.ledger.ledger import Ledger


def test_outcomes_are_counted_as_scikit_learn_counts():
    """True class down, predicted across."""
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, 99), rng.integers(0, 2, 99)

    assert (reporting.count_outcomes(y_true, y_pred) == confusion_matrix(y_true, y_pred)).all()


def test_a_missing_class_counts_as_zero():
    """Five rows may hold one class only."""
    counts = reporting.count_outcomes(np.array([1, 1]), np.array([1, 0]))

    assert counts.tolist() == [[0, 0], [1, 1]]


def test_the_picture_is_a_png_one_can_show(deployed):
    """Large enough, and of the live model."""
    content = (deployed.config.model_folder / "confusion_matrix.png").read_bytes()
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(width, height) >= 600


@pytest.fixture(scope="module")
def told(new_world, tmp_path_factory):
    """Give a world with two runs that decided something, and one that did not, all formats made."""
    world = new_world(tmp_path_factory.mktemp("told"))
    world.set(report_formats=["json", "pdf", "html"])
    outcomes = []
    for switch in (lambda: None, lambda: None, world.switch_to_production):
        switch()
        with world.open_ledger() as ledger:
            outcomes.append(full_process.run(world.config, ledger))
    return world, outcomes


def test_every_run_that_decided_something_is_reported_on(told):
    """A run without new data is not."""
    world, (first, quiet, second) = told
    folders = sorted(path.name for path in world.config.report_folder.iterdir())

    assert folders == ["00000001", "00000003"]
    assert str(first).startswith("Release 1 is live")
    assert str(second).startswith("Release 2 is live")
    assert str(quiet) == "No new data."


def test_the_ledger_can_prove_each_report(told):
    """Name, size and hash are those of the file."""
    world, _ = told
    with world.open_ledger() as ledger:
        rows = ledger.reports.page().items

    assert len(rows) == 8
    for row in rows:
        content = (world.folder / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["size_bytes"] == len(content)


def test_the_forms_say_the_same(told):
    """Each heading and each verdict of the JSON is in the PDF and on the page."""
    world, _ = told
    folder = world.config.report_folder / "00000003"
    document = json.loads((folder / "report.json").read_text())
    paper = subprocess.run(
        ["pdftotext", folder / "report.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    page = html.unescape((folder / "report.html").read_text())
    answers = document["sections"][0]

    assert len(document["details"]) >= 7
    for section in document["sections"]:
        assert section["title"] in paper
        assert section["title"] in page
    for block in answers["blocks"]:
        for words in block.get("items", []):
            assert "".join(words.split()) in "".join(paper.split())
            assert words in page


def test_a_report_has_two_pages_and_an_appendix(told):
    """The answers with the trend, then what changed; the details only where they are asked for."""
    world, _ = told
    folder = world.config.report_folder / "00000003"
    first, second = pages(folder / "report.pdf")
    (only,) = pages(world.config.report_folder / "00000001" / "report.pdf")
    contents, *details = pages(folder / "report-appendix.pdf")

    assert "Is the model fit to use?" in first
    assert "What did the system do, and why?" in second
    assert "It was the first model" in only  # too little to fill a second page
    assert "How good is the model?" in contents
    assert min(len(page.split()) for page in details) > 30

    done = world.command("reporting.py", "--full", "--since", "2020-01-01")

    assert done.returncode == 0, done.stderr
    assert len(pages(folder / "report-full-since-2020-01-01.pdf")) == 3 + len(details)


def pages(path):
    told = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    return told.stdout.split("\f")[:-1]


def test_a_report_can_be_made_again_of_an_earlier_run(told):
    """With the same bytes, for nothing about that run has changed; the newest stays the newest."""
    world, _ = told
    own = world.config.report_folder / "00000001" / "report.html"
    newest = world.config.model_folder / "report.html"
    before = newest.read_bytes()

    done = world.command("reporting.py", "--run", "1", "--format", "html")

    assert (done.returncode, done.stdout) == (0, "wrote reports/00000001/report.html\n")
    assert b"run 1" in own.read_bytes()
    assert newest.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--run", "99"], "run 99"),
        (["--run", "9" * 23], "number out of range"),
        (["--run", "1.5"], "must be a whole number, got '1.5'"),
        (["--since", "soon"], "--since takes"),
        (["--csv"], "--csv requires --trend"),
        (["--format", "docx"], "invalid choice"),
    ],
)
def test_what_cannot_be_reported_is_wrong_usage(told, arguments, complaint):
    """64, and what would be right."""
    world, _ = told
    done = world.command("reporting.py", *arguments)

    assert done.returncode == 64
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_fails_is_made_by_the_next_run(world, caplog):
    """The release is live all the same, the run is no failed one, and the exit code tells."""
    config = world.set(report_formats=["json"])
    config.report_folder.write_text("a file where a folder should be")
    with Ledger.open(config) as ledger:
        outcome = full_process.run(config, ledger)
        assert ledger.runs.page().items[0]["status"] == "ok"
        assert ledger.decisions.unfinished() is None
    assert "Release 1 is live" in str(outcome)
    assert "A report could not be written" in str(outcome)
    assert "no report on run 1: " in caplog.text
    assert outcome.exit_code == 74

    config.report_folder.unlink()
    with Ledger.open(config) as ledger:
        outcome = full_process.run(config, ledger)

    assert outcome.exit_code == 0
    assert (config.report_folder / "00000001" / "report.json").exists()


def test_before_the_first_run_there_is_a_report_that_says_so(world):
    """Stages by hand are no run; nothing crashes for want of something."""
    for script in ("ingestion.py", "training.py"):
        assert world.command(script).returncode == 0
    assert world.command("deployment.py").returncode == 0

    done = world.command("reporting.py", "--format", "json")

    assert (done.returncode, done.stdout) == (0, "wrote models/development/report.json\n")
    assert json.loads((world.config.model_folder / "report.json").read_text())["sections"]
