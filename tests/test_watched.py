"""A model that lives elsewhere, whose predictions are watched from the first drop on."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
import requests
import sqlalchemy as sa
from sklearn.metrics import f1_score

from app import create_app
from risk.decisions import account
from risk.explain import health, snapshot
from risk.explain.account import in_words
from risk.ledger.outbox import News
from risk.ledger.queries import Part
from risk.ledger.tables import decisions
from risk.monitoring import drill, monitored_release
from risk.monitoring.backtest import replay
from risk.notify import announcements
from risk.report import compose
from risk.report.context import gather
from tests import factories

CUT = 0.4
OF_TRAINING = re.compile(
    r"(?i)\b(re)?train(s|ed|ing)?\b|challenger|champion|deploy(s|ed)?\b|\bgate\b|deserve|new model"
)
SETTINGS = re.compile(  # names of settings, fields and files, which are what they are
    r"<svg.*?</svg>|<style.*?</style>|<[^>]+>|training\.cost\.\w+|trained_through|rows_trained"
    r"|trained elsewhere|prod_deployment_path|\"challengers\": null",
    re.DOTALL,
)
OF_TRAINED_MODELS = ("training data", "training row", "test data cannot be", "When one is trained")
BY_ID = ["corporation", "exited"]


def scored(name, n, *, seed, shift=0.0):
    """Make rows with the probability and the decision of a model elsewhere, and their labels."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(50 + 20 * shift, 20, n).round(1)
    proba = (1 / (1 + np.exp((activity - 40) / 15))).round(4)
    return pd.DataFrame(
        {
            "corporation": [f"{name}{i}" for i in range(n)],
            "lastmonth_activity": activity,
            "lastyear_activity": (10 * activity).round(),
            "number_of_employees": rng.integers(1, 99, n),
            "score": proba,
            "flagged": (proba >= CUT).astype(int),
            "exited": (rng.random(n) < proba).astype(int),
        }
    )


def watch(world, **settings):
    """Let predictions come into an empty inbox."""
    world.settings["columns"] |= {"probability": "score", "decision": "flagged"}
    world.settings["columns"]["allowed_ranges"] = {}
    world.settings["model"] = {"source": "predictions", "reference_rows": 400} | settings
    world.settings["test_data_filename"] = "there_is_none.csv"
    world.take_from_inbox()
    return world


def bring(world, name, rows):
    """Let a drop come, and run."""
    world.drop(f"{name}.csv", rows.to_csv(index=False))
    return world.run().line


def words_of_training(texts):
    """Return the words of texts that make no sense where nothing is trained."""
    return {
        (name, word[0])
        for name, text in texts.items()
        for word in OF_TRAINING.finditer(SETTINGS.sub("", html.unescape(text)))
    }


def page_of(world):
    return create_app(world.config).test_client().get("/").get_data(as_text=True)


def a_decision(ledger, number):
    """Return a decision as an event."""
    (fact,) = ledger.database.rows(sa.select(decisions).where(decisions.c.id == number))
    return News("release_deployed", fact.decided_at, "decision_id", fact)


def past(world):
    """Let a reference, two quiet drops with later labels, and a drifted drop come."""
    watch(world)
    bring(world, "first", scored("a", 500, seed=1))
    for number in (1, 2):
        rows = scored(f"b{number}_", 300, seed=10 + number)
        bring(world, f"quiet{number}", rows.drop(columns="exited"))
        bring(world, f"labels{number}", rows[BY_ID])
    bring(world, "drifted", scored("c", 300, seed=20, shift=-1).drop(columns="exited"))


@pytest.fixture(scope="module")
def watched_past(shared):
    return factories.once(shared, "watched", past)


@pytest.fixture
def watched(world, watched_past):
    return world.copy_of(watched_past)


@pytest.fixture
def of_watched(watched):
    with watched.open_ledger() as opened:
        yield opened


def test_the_first_drops_become_a_release_without_a_model(watched):
    """It has a reference, a promise, the threshold of the decisions and a signed manifest."""
    live = monitored_release.load(watched.config)
    folder = watched.config.deployment_folder / "releases" / "1"
    first, manifest = scored("a", 500, seed=1), live.champion.manifest

    assert manifest.is_watched
    assert not list(folder.glob("*model*"))
    assert (manifest.rows_trained, manifest.trained_through) == (500, 1)
    below, above = first["score"][first["score"] < CUT], first["score"][first["score"] >= CUT]
    assert below.max() < manifest.threshold <= above.min()
    promised = manifest.held_out_scores["f1"]
    assert promised.value == pytest.approx(f1_score(first["exited"], first["flagged"]))
    assert promised.n == 500


def test_labels_by_identifier_score_the_predictions_that_were_made(of_watched):
    """They come after their rows, in a file of two columns."""
    found = of_watched.trends.of("f1")
    realised = found[found["dataset"] == "realised on new rows"]

    expected = []
    for number in (1, 2):
        rows = scored(f"b{number}_", 300, seed=10 + number)
        expected.append(f1_score(rows["exited"], rows["flagged"]))
    assert realised["value"].tolist() == pytest.approx(expected)
    estimated = found[found["dataset"] == "estimated on new rows"]
    quiet = estimated["value"].iloc[0]
    assert quiet == pytest.approx(expected[0], abs=0.1)


def test_references_gain_nothing(watched, of_watched):
    """They predict nothing, however many of their labels are known."""
    found = account.gather(watched.config, of_watched)

    assert {alarm.why for alarm in found.alarms} == {"few_drops"}  # they are from the last one
    assert (found.gain, found.challengers) == (None, None)
    assert in_words(found)[-1] == "0 references after the first, 0 rolled back."


def test_a_drift_asks_a_person_instead_of_training(watched, of_watched):
    """Quiet drops opened nothing; the policy has no model to train."""
    opened = of_watched.incidents.unresolved()
    drifted = of_watched.ingestions.last_id()
    decision = of_watched.decisions.page().items[0]

    assert {incident.since_ingestion_id for incident in opened} == {drifted}
    subjects = {incident.subject for incident in opened}
    assert {"lastmonth_activity", "(predicted risk)"} <= subjects
    assert (decision["action"], decision["reason_code"]) == ("ask", "watched")
    assert "trained elsewhere" in decision["reason"]
    assert not (watched.config.model_folder / watched.config.model_filename).exists()


@pytest.mark.parametrize(
    "command",
    [
        ("training.py",),
        ("scoring.py",),
        ("deployment.py",),
        ("deployment.py", "--force"),
        ("diagnostics.py", "--explain", "a1"),
    ],
    ids=" ".join,
)
def test_what_needs_a_model_says_so_in_one_sentence(watched, command):
    result = watched.command(*command)

    assert result.returncode == 64
    assert len(result.stderr.splitlines()) == 1
    assert "the model is elsewhere" in result.stderr


def test_what_needs_no_model_answers_as_ever(watched):
    file = watched.config.input_folder / "first.csv"
    scored = watched.command("scoring.py", "--data", str(file))

    assert scored.stdout.startswith("predictions on ")
    assert "f1" in scored.stdout
    assert "c299" in watched.command("diagnostics.py").stdout
    assert watched.command("deployment.py", "--list").returncode == 0
    checked = watched.command("ingestion.py", "--check")
    assert checked.stdout.startswith("checked the settings, 6 new files; nothing was written")


def test_the_api_is_ready_and_refuses_to_predict(watched, serve_world):
    """Predictions that came in a drop are shown; others nobody here can make."""
    rows = scored("b1_", 300, seed=11)
    row = {name: 1.0 for name in factories.FEATURES}
    with serve_world(watched) as url:
        ready = requests.get(f"{url}/ready", timeout=20)
        asked = [
            requests.post(f"{url}/prediction", json=[row], timeout=20),
            requests.post(f"{url}/invocations", json={"inputs": [row]}, timeout=20),
            requests.get(f"{url}/prediction", timeout=20),
            requests.get(f"{url}/scoring", timeout=20),
            requests.get(f"{url}/explanation", {"identifier": "a1"}, timeout=20),
        ]
        seen = requests.get(
            f"{url}/prediction",
            {"filename": "inbox/quiet1.csv"},
            headers={"Accept": "application/json"},
            timeout=20,
        )
        unknown = requests.get(f"{url}/prediction", {"filename": "x.csv"}, timeout=20)
        page = requests.get(url, timeout=20)

    assert "test_data.csv" not in unknown.json()["detail"]
    assert ready.status_code == 200
    assert [answer.status_code for answer in asked] == [409] * 5
    assert all("the model is elsewhere" in answer.json()["detail"] for answer in asked)
    shown = pd.DataFrame(seen.json()["predictions"])
    assert shown["y_pred_proba"].tolist() == rows["score"].tolist()
    assert shown["y_pred"].tolist() == rows["flagged"].tolist()
    assert page.status_code == 200
    assert "reference made" in page.text
    assert not [words for words in (*OF_TRAINED_MODELS, "hallenger") if words in page.text]


def test_the_report_speaks_of_the_reference(watched, of_watched):
    """There are no test data, and no model had to beat another."""
    told = health.assess(snapshot.look(watched.config, of_watched))
    document = compose.compose(gather(watched.config, of_watched, run_id=of_watched.runs.newest()))
    text = compose.written(document, "html").decode()

    assert any("differ from the reference" in reason for reason in told.reasons)
    assert any("500 rows of the reference" in reason for reason in told.reasons)
    assert "trained elsewhere" in " ".join(told.done)
    assert not [words for words in OF_TRAINED_MODELS if words in text]
    assert "On rows after the reference: of 100 rows with" in text


def test_no_text_speaks_of_training(watched, of_watched, serve_world):
    """Nothing is trained, challenged or deployed: not in reports, pages, messages or commands."""
    newest, config = of_watched.runs.newest(), watched.config
    document = compose.compose(gather(config, of_watched, run_id=newest))
    texts = {"report": compose.written(document, "html").decode()}
    with serve_world(watched) as url:
        for page in ("/", "/feature?name=lastmonth_activity", "/incidents", "/account", "/drops"):
            texts[page] = requests.get(f"{url}{page}", timeout=20).text
    for command in (
        ("full_process.py", "--cases"),
        ("full_process.py", "--dry-run"),
        ("deployment.py", "--list"),
        ("reporting.py", "--trend", "f1"),
        ("scoring.py", "--data", str(config.input_folder / "first.csv")),
    ):
        result = watched.command(*command)
        assert result.returncode == 0, result.stderr
        texts[" ".join(command)] = result.stdout + result.stderr
    news = of_watched.outbox.news("https://example.com")
    texts["messages"] = "\n".join(announcements.announce(config, each).text for each in news)
    texts["introduction"] = announcements.introduction(config, of_watched.now()).text

    assert len(news) > 4
    assert not words_of_training(texts)


def test_drill_and_backtest_need_no_model(watched, of_watched):
    """A prediction does not move with a feature, as nobody here can predict again."""
    found = drill.run(watched.config, of_watched)
    alarms = replay(watched.config, of_watched, watched.config.alarms).alarms

    by_kind = {(each.subject, each.kind, each.size): each for each in found.results}
    assert by_kind["lastmonth_activity", "shift", 0.5].drops
    assert ("(predicted risk by label)", "errors", 0.08) in by_kind
    assert {alarm.finding.feature for alarm in alarms} >= {"lastmonth_activity"}


def test_a_person_declares_a_new_reference(watched):
    """The drift is what is compared with from then on, so its incidents are over."""
    watched.set(model__reference_rows=300)

    result = watched.command("deployment.py", "--new-reference")
    line = bring(watched, "same", scored("d", 300, seed=21, shift=-1).drop(columns="exited"))

    assert result.returncode == 0, result.stderr
    assert "Release 2 is live, a reference of 300 rows" in result.stdout
    live = monitored_release.load(watched.config).champion.manifest
    assert (live.version, live.rows_chosen) == (2, "the newest drops")
    with watched.open_ledger() as ledger:
        assert ledger.incidents.unresolved() == []
    assert line.startswith("No incident")


def test_a_drift_is_a_case_and_its_approval_makes_the_newest_rows_the_reference(watched):
    """Nothing is trained; the drift is the new normal, and every question about it is over."""
    watched.set(model__reference_rows=300)
    asked = json.loads(watched.command("full_process.py", "--cases", "--json").stdout)["cases"]
    case = next(case for case in asked if case["subject"] == "lastmonth_activity")
    watched.command("full_process.py", "--approve", str(case["id"]))

    outcome = watched.run()

    assert {case["kind"] for case in asked} == {"watched"}
    assert "Is this the new normal?" in case["words"]["question"]
    assert case["words"]["expected"][0] == (  # 300 rows came since
        "Approve: the newest drops with 400 rows become the reference, older ones than the change "
        "too."
    )
    assert outcome.line.startswith("Release 2 is live, a reference of 300 rows")
    with watched.open_ledger() as ledger:
        assert (ledger.cases.waiting(), ledger.incidents.unresolved()) == ([], [])
        (decision,) = ledger.decisions.page(Part(page_size=1)).items
        closed = {case["closed_because"] for case in ledger.cases.page().items}
        told = announcements.announce(watched.config, a_decision(ledger, decision["id"])).text
    assert decision["reason_code"] == "new_reference"
    assert closed == {"carried_out", "deployed"}
    assert "rolled back automatically" not in told  # a reference is not on probation


def test_a_declined_drift_of_a_watched_model_is_not_asked_about_again(watched):
    with watched.open_ledger() as ledger:
        numbers = [str(case.id) for case in ledger.cases.waiting()]
    for number in numbers:
        watched.command("full_process.py", "--decline", number, "--because", "seasonal")

    line = bring(watched, "same", scored("d", 300, seed=21, shift=-1).drop(columns="exited"))

    assert line.startswith("The live release stays. A person snoozed or declined this")


def test_an_approved_reference_that_cannot_be_made_keeps_the_live_one(watched):
    """The run goes on, and the reason names what to set."""
    rows = scored("d", 300, seed=21, shift=-1).drop(columns="exited")
    rows["flagged"] = np.arange(len(rows)) % 2
    bring(watched, "undecided", rows)
    watched.set(model__reference_rows=300)
    with watched.open_ledger() as ledger:
        number = ledger.cases.waiting()[0].id
    watched.command("full_process.py", "--approve", str(number))

    outcome = watched.run()

    assert "No reference was made: flagged follows no threshold of score" in outcome.line
    assert monitored_release.load(watched.config).champion.manifest.version == 1


def test_labels_that_come_later_complete_the_reference(world):
    """Without them there is no promise and no estimate, and drift is watched all the same."""
    watch(world)
    rows, more = scored("a", 400, seed=1), scored("b", 300, seed=2, shift=-1)
    bring(world, "first", rows.drop(columns="exited"))
    bring(world, "drifted", more.drop(columns="exited"))
    before = monitored_release.load(world.config)

    line = bring(world, "labels", rows[BY_ID])

    after = monitored_release.load(world.config)
    assert (before.champion.manifest.held_out_scores, before.calibration) == ({}, None)
    assert line.startswith("Release 2 is live, a reference of 400 rows")
    assert after.champion.manifest.reference_of == 1
    promised = after.champion.manifest.held_out_scores["f1"].value
    assert promised == pytest.approx(f1_score(rows["exited"], rows["flagged"]))
    assert after.calibration is not None
    with world.open_ledger() as ledger:  # labels are no answer to the drift
        assert "lastmonth_activity" in {i.subject for i in ledger.incidents.unresolved()}


def test_a_reference_that_a_person_went_back_to_stays(world):
    """It is not completed with the same labels again."""
    watch(world)
    rows = scored("a", 400, seed=1)
    bring(world, "first", rows.drop(columns="exited"))
    completed = bring(world, "labels", rows[BY_ID])
    world.command("deployment.py", "--rollback")

    line = bring(world, "quiet", scored("b", 200, seed=2).drop(columns="exited"))

    assert completed.startswith("Release 2 is live")
    assert line.startswith("No incident")
    assert monitored_release.load(world.config).champion.manifest.version == 1


def test_a_reference_waits_for_enough_rows(world):
    """Nothing is compared before, and no drop is lost."""
    watch(world)
    before = page_of(world)
    first = bring(world, "one", scored("a", 150, seed=1))
    waiting = page_of(world)
    with world.open_ledger() as ledger:
        document = compose.compose(gather(world.config, ledger, run_id=ledger.runs.newest()))
    report = compose.written(document, "html").decode()
    second = bring(world, "two", scored("b", 250, seed=2))
    third = bring(world, "three", scored("c", 250, seed=3))

    assert first.startswith("Waiting for the reference: 150 of 400 rows are there.")
    assert second.startswith("Release 1 is live, a reference of 400 rows")
    assert third.startswith("No incident")
    assert "the first rows become the reference" in before
    for text in (waiting, report):
        assert "Too little data to say whether the model is fit to use" in text
        assert "Waiting for the reference: 150 of 400 rows are there." in text
    assert not words_of_training({"before": before, "waiting": waiting, "report": report})


def test_a_reference_can_be_a_file(world):
    """Then the first drops are compared with it at once."""
    scored("r", 400, seed=1).to_csv(world.folder / "reference.csv", index=False)
    watch(world, reference_file="reference.csv")

    line = bring(world, "first", scored("a", 300, seed=2, shift=-1))

    manifest = monitored_release.load(world.config).champion.manifest
    assert (manifest.rows_trained, manifest.rows_chosen) == (400, "the reference file")
    assert "Release 1 is live, a reference of 400 rows" in line
    with world.open_ledger() as ledger:
        assert "lastmonth_activity" in {i.subject for i in ledger.incidents.unresolved()}


def test_rows_without_a_usable_prediction_are_quarantined(world):
    watch(world)
    rows = scored("a", 404, seed=1).astype({"score": object, "flagged": object})
    rows.loc[0, "score"], rows.loc[1, "score"] = "", "1.2"
    rows.loc[2, "score"], rows.loc[3, "flagged"] = "high", "maybe"

    bring(world, "first", rows)

    with world.open_ledger() as ledger:
        taken = ledger.ingestions.page().items[0]
    kept = sorted((world.folder / "data" / "quarantine").rglob("*.csv"))
    rules = " ".join(path.read_text() for path in kept)
    assert (taken["rows_added"], taken["rows_quarantined"]) == (400, 4)
    for rule in ("empty", "more than 1", "not a number", "decision other than 0 or 1"):
        assert rule in rules


def test_init_writes_settings_that_only_watch(tmp_path, world):
    """Three commands lead to a first release, as with a model of one's own."""
    csv = tmp_path / "export.csv"
    scored("a", 300, seed=1).to_csv(csv, index=False)

    options = ("--predictions", "score", "--decision", "flagged", "--folder", str(tmp_path / "in"))
    result = world.command("ingestion.py", "--init", str(csv), *options)

    settings = json.loads((tmp_path / "in" / "config.json").read_text())
    assert result.returncode == 0, result.stderr
    assert settings["model"]["source"] == "predictions"
    assert settings["model"]["reference_rows"] == 300
    columns = settings["columns"]
    assert (columns["probability"], columns["decision"]) == ("score", "flagged")
    assert "score" not in [*columns["numeric"], *columns["categorical"], *columns["other"]]
    assert len((tmp_path / "in" / "inbox" / "export.csv").read_text().splitlines()) == 301
