"""An installation made by commit f975b06 goes on working: see fixtures/make_installation.py."""

import gzip
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from risk.monitoring.reference import LABELLED
from tests import forks
from tests.fixtures import make_installation as made

ROOT = Path(__file__).parents[1]
THEN = json.loads(made.EXPECTED.read_text(encoding="utf-8"))
ABOUT = 1e-4  # processors add up in different orders


def run(folder, script, *arguments):
    """Run a stage as its user would, from another folder."""
    done = subprocess.run(
        [sys.executable, ROOT / script, "--config", folder / "config.json", *arguments],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=forks.SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(folder, script, *arguments):
    """Do the same in a fork of a process that has imported everything."""
    answer = forks.FORKS.run(
        str(ROOT / script),
        ["--config", str(folder / "config.json"), *arguments],
        {"PATH": os.environ["PATH"], **forks.threads()},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def go_on(folder, name, do=ask):
    """Let the drops of that name come, do one run, and see what the ledger has then."""
    made.arrive(folder, name)
    settings = [word for setting in made.SETTINGS.get(name, ()) for word in ("--set", setting)]
    said = do(folder, "full_process.py", *settings)
    return {"said": said, **made.recorded(folder), **made.told_by_the_newest_run(folder)}


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Give the folder of that installation, in which then the runs below take place."""
    folder = tmp_path_factory.mktemp("installation")
    made.unpack(folder)
    manifest = json.loads((folder / "deployment" / "manifest.json").read_text())["manifest"]
    trained_with = manifest["packages"]["scikit-learn"]
    renew = "see fixtures/make_installation.py on how to renew the archive"
    assert importlib.metadata.version("scikit-learn") == trained_with, renew
    return folder


@pytest.fixture(scope="module")
def quiet(installation):
    """Give what the first run of today's code did: there was no new data."""
    assert made.recorded(installation) == THEN["installation"]
    return go_on(installation, "quiet", do=run)


@pytest.fixture(scope="module")
def answers(installation, quiet):
    """Give what the stages tell of the history, before anything is added to it."""
    told = [made.understood(name, ask(installation, *q)) for name, q in made.QUESTIONS.items()]
    return {topic: answer for answers in told for topic, answer in answers.items()}


@pytest.fixture(scope="module")
def more(installation, answers):
    """Give what came of a drop of the same kind of customers, and of labels for earlier ones."""
    return go_on(installation, "more")


@pytest.fixture(scope="module")
def turned_round(installation, more):
    """Give what came of a drop in which every label is the other way."""
    return go_on(installation, "turned_round")


def told_alike(now, then):
    """Compare what models or detectors computed, subject by subject."""
    return now.keys() == then.keys() and now == pytest.approx(then, rel=ABOUT)


def test_a_run_without_new_data_says_so_and_loses_nothing(quiet):
    """Cron comes after the upgrade as before it; the drops that were taken still lie there."""
    assert quiet["said"].strip() == "No new data."
    assert {name: quiet[name] for name in THEN["installation"]} == {
        name: THEN["quiet"][name] for name in THEN["installation"]
    }


def test_its_history_can_be_asked_for(answers):
    """Releases, scores and incidents of old are told as the old code told them."""
    for topic in ("releases", "live", "trend", "incidents"):
        assert answers[topic] == THEN["answers"][topic], topic


def test_the_live_model_says_of_a_customer_what_it_said(answers):
    """The live release is the one that was deployed, whoever reads it."""
    assert told_alike(answers["predictions"], THEN["answers"]["predictions"])


@pytest.mark.parametrize("name", ["more", "turned_round"])
def test_what_comes_later_is_counted_as_before(name, request):
    """Rows known since before the upgrade are duplicates, labels find the rows that wait."""
    now = request.getfixturevalue(name)

    assert now["rows"] == THEN[name]["rows"]
    assert now["runs"] == THEN[name]["runs"]
    assert now["incidents"] == THEN[name]["incidents"]


def test_what_the_release_remembers_still_speaks(more):
    """Calibration, boosters and reconstruction were pickled under names of then."""
    assert more["chances"] and told_alike(more["chances"], THEN["more"]["chances"])
    assert more["scores"] and told_alike(more["scores"], THEN["more"]["scores"])


def test_the_detectors_go_on_from_the_evidence_they_had(more):
    """An upgrade that forgot it would give a slow drift its time again.

    That about labelled scores counts as many rows of a batch as it has, which it did not then.
    """
    evidence, then = ({**told["evidence"]} for told in (more, THEN["more"]))

    assert evidence.pop(LABELLED) > 0 < then.pop(LABELLED)
    assert "(reconstruction error)" in evidence
    assert told_alike(evidence, then)


def test_warnings_begin_and_findings_of_then_have_a_tier(installation, more):
    """The state of then has no wealth of warnings, and no finding of then was one."""
    query = "SELECT drift_detected, tier, COUNT(*) FROM findings GROUP BY 1, 2"
    tiers = made.asked(installation, query)
    states = dict(made.asked(installation, "SELECT version, state FROM detectors"))
    live = json.loads(states[2])

    assert {(alarm, tier) for alarm, tier, _ in tiers} >= {(1, "alarm"), (0, "none")}
    assert {tier for alarm, tier, _ in tiers if alarm} == {"alarm"}
    assert live["warning_wealth"] and live["warning_wealth"].keys() <= live["wealth"].keys()


def test_a_release_keeps_the_bets_it_was_made_with(installation, turned_round):
    """Four on each direction, until another release takes its place, which has six."""
    written = (installation / "deployment" / "current" / "reference.json.gz").read_bytes()
    live = json.loads(gzip.decompress(written))
    before = installation / "deployment" / "releases" / "2" / "reference.json"
    states = dict(made.asked(installation, "SELECT version, state FROM detectors"))
    bets = {
        version: {
            len(logs) for own in json.loads(state)["wealth"].values() for logs in own.values()
        }
        for version, state in states.items()
    }

    assert not (installation / "deployment" / "reference.json").is_symlink()
    assert not [*(installation / "models").rglob("reference.json")]
    assert live["method"] == 3 and "method" not in json.loads(before.read_text())
    assert bets[2] == {4}


def test_drift_leads_to_a_challenger_and_the_gate_lets_it_in(turned_round):
    """The response needs it all: old rows, the old champion, a new release beside it."""
    *_, incident = turned_round["incidents"]
    *_, release = turned_round["releases"]

    assert incident[2] == "model_drift"
    assert turned_round["runs"][-1][-2:] == ["deploy", 3]
    assert release == THEN["turned_round"]["releases"][-1]
    assert "Release 3 is live" in turned_round["said"]
