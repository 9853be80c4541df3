import json

import pytest
import sqlalchemy as sa

import full_process
from risk.explain import reasons, resolutions, sentences
from risk.ledger import file_lock, tables
from risk.ledger.ledger import Ledger
from risk.models import training_data
from tests.factories import HEADER, customers


def process(world, **options):
    with Ledger.open(world.config) as ledger:
        return full_process.run(world.config, ledger, **options)


def rows_of(world, table):
    with world.open_ledger() as ledger, ledger.engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)))


def counts_of(world):
    with world.open_ledger() as ledger, ledger.engine.connect() as connection:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in tables.metadata.tables.items()
        }


def test_the_first_run_trains_and_deploys(world):
    """A stranger's first run ends with a live model and all the seeds' files."""
    outcome = process(world)

    written = {path.name for path in world.config.model_folder.iterdir()}
    live = {path.name for path in world.config.deployment_folder.iterdir()}
    assert "Release 1 is live, the first model: F1 " in outcome.line
    assert {
        "trained_model.pkl",
        "latest_score.csv",
        "confusion_matrix.png",
        "api_returns.txt",
    } <= written
    assert {"trained_model.pkl", "latest_score.csv", "ingested_files.csv"} <= live


def test_a_second_run_changes_nothing_but_its_run_row(world, tree):
    """No new data: it says so, and leaves."""
    process(world)
    before, counts = tree(), counts_of(world)

    outcome = process(world)

    after = counts_of(world)
    assert str(outcome) == "No new data."
    assert outcome.exit_code == 0
    assert tree() == before
    assert after == counts | {"runs": counts["runs"] + 1}


def test_production_data_lead_to_a_decision_with_its_reason_in_words(deployed):
    """The seeds' switch: larger companies, other habits; 5 test rows prove nothing."""
    deployed.switch_to_production()

    outcome = process(deployed)

    decision = rows_of(deployed, tables.decisions)[-1]
    assert outcome.drift
    assert decision.action in ("keep", "deploy")
    assert decision.reason.startswith(
        "Data drift (large): number_of_employees is above every reference value"
    )
    assert "on 5 rows (5 of the newest)" in decision.reason
    assert "Shares of number_of_employees: above" in decision.reason
    assert "About 580 rows would prove a gain of 4 points" in decision.reason


def test_quiet_data_keep_the_champion_untouched(deployed):
    """More of the same customers is no reason to train."""
    text = (deployed.folder / "data/development/dataset1.csv").read_text()
    deployed.drop(
        "same.csv", text.replace("\n", "x\n").replace("exitedx", "exited").replace("x\n", "\n")
    )
    renamed = [line.replace(line[:2], "q" + line[:1], 1) for line in text.splitlines()[1:]]
    deployed.drop("more.csv", HEADER + "\n".join(renamed) + "\n")

    outcome = process(deployed)

    assert not outcome.drift
    assert outcome.line == "No incident; the live release stays. 17 new rows in 2 files."
    assert rows_of(deployed, tables.decisions)[-1].reason.startswith(
        "No incident is open. The strongest evidence is "
    )
    assert len(rows_of(deployed, tables.decisions)) == 2


def turned_round(world, *, copies):
    """Return new customers like the old ones, every label the other way."""
    lines = (world.folder / "data/development/dataset1.csv").read_text().splitlines()[1:]
    return [f"w{n}{line[1:-1]}{1 - int(line[-1])}" for n in range(copies) for line in lines]


def test_worse_is_drift_and_better_is_not(deployed):
    """The mirror's fifth mistake: it retrained when the model had got better."""
    deployed.drop("turned.csv", HEADER + "\n".join(turned_round(deployed, copies=2)) + "\n")

    outcome = process(deployed)

    finding = [row for row in rows_of(deployed, tables.findings) if row.check_name == "model_drift"]
    assert outcome.drift
    assert finding[-1].drift_detected
    assert finding[-1].e_value >= 1


def test_a_world_that_turned_round_gets_a_model_of_its_own(deployed):
    """Every label the other way: evidence on rows neither learnt, though old test data disagree."""
    deployed.drop("turned.csv", HEADER + "\n".join(turned_round(deployed, copies=9)) + "\n")

    outcome = process(deployed)

    decision = rows_of(deployed, tables.decisions)[-1]
    release = rows_of(deployed, tables.releases)[-1]
    assert outcome.drift
    assert decision.action == "deploy"
    assert decision.reason.startswith("Model drift (large): Brier score rose from ")
    assert "The challenger is not inferior beyond chance" in decision.reason
    assert release.proven


def test_an_incident_is_opened_once_and_closed_by_the_release_that_answers_it(deployed):
    """A person is told of one cause, not of every run that sees it."""
    deployed.switch_to_production()

    outcome = process(deployed)

    (incident,) = rows_of(deployed, tables.incidents)
    assert (incident.kind, incident.subject) == ("data_drift", "number_of_employees")
    assert "Release 2 is live" in str(outcome)
    assert resolutions.of_resolution(incident._mapping) == "Release 2 was deployed."


def test_every_prediction_of_the_live_model_is_remembered(deployed):
    """Labels may come in two months; the score must be of what was said today."""
    deployed.switch_to_production()
    process(deployed)

    predictions = rows_of(deployed, tables.predictions)

    assert len(predictions) == 26
    assert {row.version for row in predictions} == {1}


def test_a_feed_that_breaks_asks_a_person_and_is_not_learnt(world):
    """Nine of ten values missing at once: no new model cures that."""
    world.set(training__minimum_held_out_per_class=1)
    process(world)
    broken = [line.split(",") for line in turned_round(world, copies=2)]
    rows = [",".join([name, "", *rest]) for name, _, *rest in broken]
    world.drop("broken.csv", HEADER + "\n".join(rows) + "\n")

    outcome = process(world)

    decision = rows_of(world, tables.decisions)[-1]
    assert decision.action == "ask"
    assert outcome.line.startswith(
        "Action needed: the new data may be broken; no model was trained"
    )
    assert "lastmonth_activity is missing in all 34 rows" in decision.reason
    assert "No model is trained on data that may be broken" in decision.reason
    assert len(rows_of(world, tables.releases)) == 1


def test_labels_of_one_class_are_not_learnt(deployed):
    """They came before they were known: a person is asked, and no later run learns them."""
    deployed.take_from_inbox()
    deployed.drop("early.csv", customers("early", 200, seed=1).replace(",1\n", ",0\n"))

    process(deployed)
    with deployed.open_ledger() as ledger:
        learnt = training_data.split(deployed.config, ledger)

    decision = rows_of(deployed, tables.decisions)[-1]
    assert decision.action == "ask"
    assert "all 200 labels that came together are 0" in decision.reason
    assert not learnt.rows["corporation"].str.startswith("early").any()


def test_late_labels_of_one_class_are_not_learnt(deployed):
    """Nor where their rows came before, in a drop that is sound."""
    deployed.take_from_inbox()
    deployed.drop("rows.csv", customers("late", 200, seed=1, labelled=False))
    process(deployed)
    deployed.drop(
        "labels.csv", "corporation,exited\n" + "".join(f"late{i},0\n" for i in range(200))
    )

    process(deployed)
    with deployed.open_ledger() as ledger:
        learnt = training_data.split(deployed.config, ledger)

    decision = rows_of(deployed, tables.decisions)[-1]
    assert "all 200 labels that came together are 0" in decision.reason
    assert not learnt.rows["corporation"].str.startswith("late").any()


def test_a_refused_file_is_not_resolved_by_a_release(deployed):
    """No model can answer it."""
    deployed.drop("broken.csv", "corporation,lastmonth_activity\nx,1\n")
    process(deployed)
    deployed.switch_to_production()

    outcome = process(deployed)

    resolved = {row.kind: row.resolution_code for row in rows_of(deployed, tables.incidents)}
    assert "Release 2 is live" in str(outcome)
    assert resolved == {"data_drift": "deployed", "data_quality": None}


@pytest.mark.parametrize(
    ("rows", "settings", "why"),
    [
        (1, {}, "1 labelled rows are too few"),
        (30, {"training__parameters": {"C": -1}}, "training.parameters"),
        (30, {"test_data_filename": "none.csv"}, "none.csv"),
    ],
    ids=["one row", "impossible parameters", "no test data"],
)
def test_a_rehearsal_says_that_no_first_model_would_be_trained(world, tree, rows, settings, why):
    """And why: what the run would fail for."""
    world.take_from_inbox()
    world.drop("few.csv", customers("f", rows, seed=1))
    world.set(**settings)
    before = tree()

    outcome = process(world, dry_run=True)

    assert "would not train the first model" in str(outcome)
    assert why in str(outcome)
    assert tree() == before


def test_a_rehearsal_says_that_rows_of_one_class_train_nothing(world):
    """At least two of each are needed."""
    world.take_from_inbox()
    world.drop("one.csv", customers("f", 60, seed=1).replace(",1\n", ",0\n"))

    assert "would not train the first model: of 60 labelled rows, 0" in str(
        process(world, dry_run=True)
    )


def test_a_rehearsal_of_a_first_run_says_what_it_would_train_on(world):
    """As it is with the README's data."""
    assert "would train the first model, on 31 labelled rows" in str(process(world, dry_run=True))


def test_too_few_rows_for_a_first_model_fail_clearly_and_are_tried_again(world):
    """Nothing is trained; when more rows come, the waiting ones count."""
    text = (world.folder / "data/development/dataset1.csv").read_text()
    lines = text.splitlines(keepends=True)
    world.take_from_inbox()
    world.drop("one.csv", "".join(lines[:9]))

    first = world.command("full_process.py")
    world.drop("two.csv", lines[0] + "".join(lines[9:]))
    world.set(training__minimum_rows=17)
    second = world.command("full_process.py")

    assert first.returncode == 65
    assert "error: 8 labelled rows are too few to train on" in first.stderr
    assert second.returncode == 0, second.stderr
    assert [row.status for row in rows_of(world, tables.runs)] == ["failed", "ok"]
    assert [row.error for row in rows_of(world, tables.runs)] == ["DataError", None]


def test_a_rehearsal_decides_and_does_nothing(deployed, tree):
    """`--dry-run` tells the decision of the run that follows."""
    deployed.switch_to_production()
    before, counts = tree(), counts_of(deployed)

    outcome = process(deployed, dry_run=True)

    assert "would act on: Column number_of_employees is above" in str(outcome)
    assert tree() == before
    assert counts_of(deployed) == counts


def test_labels_that_wait_for_a_decision_can_be_rehearsed(deployed):
    """They were taken by hand, and have no rows of their own."""
    deployed.take_from_inbox()
    deployed.drop("rows.csv", HEADER.replace(",exited", "") + "x,1,2,3\n")
    process(deployed)
    deployed.drop("labels.csv", "corporation,exited\nx,1\n")
    deployed.command("ingestion.py")

    outcome = process(deployed, dry_run=True)

    assert str(outcome).startswith("would do nothing: no new data")


def test_fail_on_drift_exits_3(deployed):
    """For pipelines that want a red light."""
    deployed.switch_to_production()

    assert process(deployed, fail_on="drift").exit_code == 3


@pytest.mark.parametrize(
    "question",
    [
        ("deployment.py", "--list"),
        ("full_process.py", "--dry-run"),
        ("diagnostics.py",),
        ("reporting.py", "--trend", "f1"),
    ],
    ids=" ".join,
)
def test_a_question_is_answered_while_a_run_holds_the_lock(deployed, question):
    """It reads what is there; it need not wait for an hour of training."""
    with file_lock.lock(deployed.config, holder="a run"):
        answer = deployed.command(*question)

    assert answer.returncode == 0, answer.stderr


def test_only_one_run_is_at_work(world):
    """The second one is told who holds the lock, and leaves with 75."""
    with file_lock.lock(world.config, holder="the first since noon"):
        late = world.command("full_process.py")

    assert late.returncode == 75
    assert "held by the first since noon" in late.stderr


def test_a_run_lets_go_what_is_not_to_be_kept(world):
    """At its end, when everything that is built on it is done; the drop itself stays known."""
    world.set(keeping__keep_quarantine=0)
    world.drop("bad.csv", "corporation,exited\nA,no label\n")

    process(world)

    assert list(world.config.quarantine_folder.glob("0*")) == []
    assert [row for row in rows_of(world, tables.ingestions) if row.path.endswith("bad.csv")]
    assert rows_of(world, tables.quarantined_rows) == []


def test_a_run_that_was_cut_off_is_called_aborted(world):
    """It is never missing, and never ok."""
    with world.open_ledger() as ledger:
        ledger.runs.start()

    process(world)

    assert [row.status for row in rows_of(world, tables.runs)] == ["aborted", "ok"]


def test_a_pointer_that_was_moved_by_hand_is_put_right(deployed):
    """Going back is a command with a record, not a link somebody changed."""
    (deployed.config.deployment_folder / "current").unlink()

    process(deployed)

    assert (deployed.config.deployment_folder / "current" / "trained_model.pkl").exists()


def test_it_works_from_another_folder_with_a_bare_environment(world):
    """Cron starts in $HOME without a profile."""
    result = world.command("full_process.py", fresh=True)

    assert result.returncode == 0, result.stderr
    assert "Release 1 is live" in result.stdout


def test_the_running_server_is_asked_if_it_is_ours(world):
    """The diagnosis goes through the API that stakeholders use."""
    import app

    process(world)
    with app.answering(world.config) as (url, _):
        port = int(url.rsplit(":", 1)[1])
        config = world.set(api__port=port)
        with app.answering(config) as (again, _):
            assert again == url


def test_changed_columns_ask_for_a_new_model(deployed):
    """A champion that does not know the declared features is not used in silence."""
    deployed.set(columns__numeric=["lastmonth_activity"], columns__allowed_ranges={})
    deployed.set(columns__other=["lastyear_activity", "number_of_employees"])
    deployed.drop("new.csv", HEADER + "new,1,2,3,0\n")

    result = deployed.command("full_process.py")

    assert result.returncode == 76
    assert "run: python training.py, then python deployment.py --force" in result.stderr
    assert deployed.command("training.py").returncode == 0
    assert deployed.command("deployment.py", "--force").returncode == 0
    assert deployed.command("full_process.py").returncode == 0


def test_an_api_that_fails_is_not_a_success(world, monkeypatch):
    """The release stays live and recorded; the exit code tells that the diagnosis is missing."""
    import api_calls

    monkeypatch.setattr(api_calls, "PAGES", ("/docs", "/nowhere"))
    import pytest

    from risk.errors import ApiError

    with pytest.raises(
        ApiError, match="release 1 is live, but the API check failed: .* failed: GET /nowhere"
    ):
        process(world)

    assert str(process(world)) == "No new data."


def test_labels_that_lead_to_a_deployment_are_decided_about(deployed):
    """The next run has nothing left to look at, though the labels came after the rows."""
    rows = turned_round(deployed, copies=9)
    unlabelled = HEADER.replace(",exited", "") + "\n".join(row.rpartition(",")[0] for row in rows)
    labels = "\n".join(f"{row.partition(',')[0]},{row[-1]}" for row in rows)
    deployed.drop("rows.csv", f"{unlabelled}\n")
    process(deployed)
    deployed.drop("labels.csv", f"corporation,exited\n{labels}\n")

    outcome = process(deployed)

    assert "Release 2 is live" in str(outcome)
    with deployed.open_ledger() as ledger:
        assert ledger.ingestions.pending() == []
    assert str(process(deployed)) == "No new data."


TEXTS = ("detail", "reason", "summary", "cause", "resolution", "outcome")


def facts_of(world, table):
    """Return the rows of a table without any text column."""
    rows = [dict(row._mapping) for row in rows_of(world, table)]
    return [{name: value for name, value in row.items() if name not in TEXTS} for row in rows]


def test_the_ledger_alone_answers_what_was_found_decided_and_why(deployed):
    """From fields only; the texts that SQL readers have are made of the same."""
    deployed.drop("turned.csv", HEADER + "\n".join(turned_round(deployed, copies=9)) + "\n")
    process(deployed)

    alarms = [row for row in facts_of(deployed, tables.findings) if row["drift_detected"]]
    decision = facts_of(deployed, tables.decisions)[-1]
    facts, comparison = json.loads(decision["facts"]), json.loads(decision["comparison"])
    worse = next(row for row in alarms if row["check_name"] == "model_drift")
    assert worse["direction"] == "higher" and worse["value_after"] > worse["value_before"]
    assert json.loads(worse["facts"])["metric"] == "brier"
    assert (decision["action"], decision["reason_code"]) == ("deploy", "drift")
    assert "model_drift" in {incident["kind"] for incident in facts["incidents"]}
    (resolved, *_) = facts_of(deployed, tables.incidents)
    assert resolved["resolution_code"] == "deployed"
    answered = {"version": decision["version"], "decision_id": decision["id"]}
    assert json.loads(resolved["resolution_facts"]) == answered
    assert comparison["verdict"] == "not_inferior" and comparison["wins"] > comparison["losses"]

    for table, told in (
        (tables.findings, sentences.of_finding),
        (tables.incidents, sentences.of_incident),
    ):
        stored = [row.detail for row in rows_of(deployed, table)]
        assert [told(row) for row in facts_of(deployed, table)] == stored
    for row, known in zip(
        rows_of(deployed, tables.decisions), facts_of(deployed, tables.decisions), strict=True
    ):
        assert " ".join(reasons.reasons_of(known)) == row.reason


def test_cron_mails_a_source_out_of_reach_once_and_that_it_is_back(deployed):
    """The exit code tells of it at each run, whatever else came."""
    sources = {"crm": {"table": "crm", "high_water_mark": "id", "url_env": "CRM"}}
    deployed.set(sources=sources)
    words = ("full_process.py", "--log", "logs/cron.log")

    first = deployed.command(*words, CRM="sqlite:///nowhere.sqlite")
    deployed.drop("more.csv", customers("m", 30, seed=3))
    second = deployed.command(*words, CRM="sqlite:///nowhere.sqlite")
    deployed.set(sources={})
    third, fourth = (deployed.command(*words) for _ in range(2))

    assert [each.returncode for each in (first, second, third, fourth)] == [69, 69, 0, 0]
    assert first.stdout.startswith("Source crm: ") and second.stdout == ""
    assert third.stdout.startswith("no longer, since ") and "Source crm: " in third.stdout
    assert fourth.stdout == ""
