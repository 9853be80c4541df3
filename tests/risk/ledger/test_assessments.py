import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from risk.errors import LedgerError, UnknownName
from risk.ledger import tables
from risk.ledger.assessments import Case
from risk.ledger.decisions import Judgement
from risk.ledger.ingestions import Taken
from risk.schema import LaterLabel, Problem, UnripeRow
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINDING = {
    "check_name": "data_drift",
    "feature": "number_of_employees",
    "method": "e_detector",
    "drift_detected": True,
    "n": 17,
    "detail": "number_of_employees higher",
}
INCIDENT = {
    "kind": "data_drift",
    "subject": "number_of_employees",
    "severity": "small",
    "detail": "number_of_employees higher",
    "since_ingestion_id": 1,
    "last_ingestion_id": 1,
}
SCORE = {"model_sha256": "0", "dataset": "new rows", "metric": "f1", "value": 0.5, "n": 17}
EVIDENCE = ("assessments", "detectors", "findings", "scores", "predictions", "incidents")


def ingest(ledger, number, *, kind="rows", unripe=(), labels=()):
    """Record that a drop added rows, or labels."""
    counts = {"rows_read": 2, "rows_added": 2, "rows_duplicate": 0, "rows_quarantined": 0}
    signature = {"size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3, "inode": 4}
    drop = {"id": number, "path": f"{number}.csv", "sha256": f"{number:064d}", "kind": kind}
    waiting = [UnripeRow(*row) for row in unripe]
    taken = Taken(hashes=[row.row_hash for row in waiting], unripe=waiting, labels=labels)
    ledger.ingestions.record({**drop, "status": "taken", **counts, **signature}, taken=taken)


def case(*numbers, version=1, state="{}", **more):
    return Case(version, 17, '{"n": 17}', state, None, numbers, **more)


def prediction(row_hash, proba):
    return {"row_hash": row_hash, "y_pred_proba": proba, "expected_proba": proba / 2}


def counts_of(ledger):
    with ledger.engine.connect() as connection:
        return {
            name: connection.scalar(
                sa.select(sa.func.count()).select_from(tables.metadata.tables[name])
            )
            for name in EVIDENCE
        }


def pass_time(ledger, **elapsed):
    moment = NOON + timedelta(**elapsed)
    ledger.database.now = lambda: moment


@pytest.fixture
def incident(ledger):
    """Give a ledger in which one assessment opened one incident at noon."""
    pass_time(ledger)
    ingest(ledger, 1)
    ledger.assessments.record(case(1, opened=[INCIDENT]))
    return ledger.incidents.unresolved()[0]


def test_an_assessment_is_committed_with_everything_it_found(ledger):
    """Findings, scores, predictions, detectors, incidents: one look, one transaction."""
    ingest(ledger, 1)
    found = {"findings": [FINDING], "scores": [SCORE], "opened": [INCIDENT]}

    ledger.assessments.record(case(1, predictions=[prediction(5, 0.25)], **found))

    assert counts_of(ledger) == dict.fromkeys(EVIDENCE, 1)
    assert ledger.ingestions.unassessed() == []


def test_an_assessment_is_committed_whole_or_not_at_all(ledger):
    """Two predictions of one row fail it: nothing was looked at, nothing was found."""
    ingest(ledger, 1)
    ledger.assessments.record(case(1, state="before"))
    ingest(ledger, 2)
    found = {"findings": [FINDING], "scores": [SCORE], "opened": [INCIDENT]}
    twice = [prediction(5, 0.25), prediction(5, 0.5)]
    before = counts_of(ledger)

    with pytest.raises(LedgerError):
        ledger.assessments.record(case(2, state="after", predictions=twice, **found))

    assert counts_of(ledger) == before
    assert ledger.assessments.detector_state(1) == "before"
    assert [ingestion.id for ingestion in ledger.ingestions.unassessed()] == [2]


def test_a_state_replaces_the_one_before_of_its_own_release(ledger):
    """Where detectors stand is one state per release, after a rollback as well."""
    for number, (version, state) in enumerate([(1, "a"), (2, "b"), (1, "c")], start=1):
        ingest(ledger, number)
        ledger.assessments.record(case(number, version=version, state=state))

    assert (ledger.assessments.detector_state(1), ledger.assessments.detector_state(2)) == (
        "c",
        "b",
    )
    assert ledger.assessments.detector_state(3) is None


def test_assessments_are_listed_oldest_first_by_release_and_at_most_so_many(ledger):
    """The replay reads them all, the next assessment only the newest of its release."""
    for number, version in enumerate([1, 1, 2, 1], start=1):
        ingest(ledger, number)
        ledger.assessments.record(case(number, version=version))

    assert [a.id for a in ledger.assessments.history()] == [1, 2, 3, 4]
    assert [a.id for a in ledger.assessments.history(1)] == [1, 2, 4]
    assert [a.id for a in ledger.assessments.history(1, newest=2)] == [2, 4]


def test_what_was_looked_at_is_not_new_though_no_decision_was_made(ledger):
    """A crash between both must not feed the same rows to the detectors twice."""
    ingest(ledger, 1)
    ingest(ledger, 2)

    ledger.assessments.record(case(1))

    assert [ingestion.id for ingestion in ledger.ingestions.unassessed()] == [2]
    assert ledger.ingestions.pending() == [1, 2]


def test_what_was_decided_on_before_there_was_a_release_is_not_assessed(ledger):
    """The first model has learnt these rows: they are its past."""
    ingest(ledger, 1)

    ledger.decisions.record("deploy", "the first", version=1, through=1)

    assert (ledger.ingestions.unassessed(), ledger.ingestions.pending()) == ([], [])


def test_labels_are_pending_and_unassessed_but_no_rows(ledger):
    """They are news about the model, and no part to read."""
    ingest(ledger, 1)
    ingest(ledger, 2, kind="labels")

    assert ledger.parts.ids() == [1]
    assert ledger.ingestions.rows_after(0) == 2
    assert ledger.ingestions.pending() == [1, 2]
    assert [ingestion.kind for ingestion in ledger.ingestions.unassessed()] == ["rows", "labels"]


def test_an_incident_seen_again_stays_one_and_keeps_its_beginning(ledger, incident):
    """A person hears once of a cause, and can see how long it lasts."""
    pass_time(ledger, hours=1)
    ingest(ledger, 2)
    again = {"id": incident.id, "severity": "large", "times_seen": 2, "last_ingestion_id": 2}

    ledger.assessments.record(case(2, seen_again=[again]))

    (found,) = ledger.incidents.unresolved()
    assert (found.severity, found.times_seen) == ("large", 2)
    assert (found.since_ingestion_id, found.last_ingestion_id) == (1, 2)
    assert (found.opened_at, found.last_seen_at) == (NOON, NOON + timedelta(hours=1))


def test_an_incident_that_is_over_is_resolved_with_its_reason(ledger, incident):
    """It is not open any more, and not forgotten."""
    pass_time(ledger, days=8)
    ingest(ledger, 2)

    ledger.assessments.record(case(2, resolved=[incident.id]))

    (closed,) = ledger.incidents.history().to_dict("records")
    assert ledger.incidents.unresolved() == []
    assert closed["resolution_code"] == "passed"
    assert (closed["resolution_code"], closed["resolution_facts"]) == ("passed", "{}")
    assert closed["resolved_at"] == NOON + timedelta(days=8)


def test_an_acknowledged_incident_is_still_open(ledger, incident):
    """Somebody knows; it goes on."""
    pass_time(ledger, hours=2)

    ledger.incidents.acknowledge(incident.id)

    (found,) = ledger.incidents.unresolved()
    assert found.acknowledged_at == NOON + timedelta(hours=2)


def test_a_person_can_close_an_incident_once(ledger, incident):
    """What is closed stays as it was closed."""
    ledger.incidents.resolve(incident.id, "mended at the source")

    assert ledger.incidents.unresolved() == []
    (closed,) = ledger.incidents.history().to_dict("records")
    assert (closed["resolution"], closed["resolution_code"]) == (
        "mended at the source",
        "by_person",
    )
    for again in (
        ledger.incidents.acknowledge,
        lambda number: ledger.incidents.resolve(number, "again"),
    ):
        with pytest.raises(UnknownName, match=f"no open incident {incident.id}"):
            again(incident.id)


def test_an_incident_nobody_opened_cannot_be_handled(ledger):
    """A wrong number is the user's mistake: exit 64."""
    with pytest.raises(UnknownName, match="there is no open incident 7") as caught:
        ledger.incidents.acknowledge(7)

    assert caught.value.exit_code == 64


@pytest.mark.parametrize(
    ("version", "answered", "n_open"), [(2, [1], 0), (2, [], 1), (None, [], 1)]
)
def test_a_new_release_resolves_what_it_answers_and_nothing_else(
    ledger, incident, version, answered, n_open
):
    """In the transaction of the decision, so that a crash leaves no answered alarm open."""
    action, judgement = "deploy" if version else "keep", Judgement(answered=answered)
    ledger.decisions.record(action, "because", version=version, judgement=judgement)

    assert len(ledger.incidents.unresolved()) == n_open


def test_predictions_are_joined_with_the_labels_that_ripened_by_release(ledger):
    """Two releases had predicted row 5; nobody had predicted row 7."""
    ingest(ledger, 1, unripe=[(5, 50), (6, 60), (7, 70)])
    ledger.assessments.record(case(1, predictions=[prediction(5, 0.25), prediction(6, 0.75)]))
    ingest(ledger, 2)
    ledger.assessments.record(case(2, version=2, predictions=[prediction(5, 0.5)]))
    came = [LaterLabel(5, 50, 1, 1), LaterLabel(7, 70, 0, 1)]
    ingest(ledger, 3, kind="labels", labels=came)

    found = ledger.labels.with_predictions([3]).sort_values("version").to_dict("records")

    shared = {"row_hash": 5, "y_true": 1}
    assert found == [
        shared | {"version": 1, "y_pred_proba": 0.25, "expected_proba": 0.125},
        shared | {"version": 2, "y_pred_proba": 0.5, "expected_proba": 0.25},
    ]


def test_a_label_counts_in_the_batch_it_came_with_only(ledger):
    """Each ripened prediction is fed to the detectors once."""
    ingest(ledger, 1, unripe=[(5, 50), (6, 60)])
    ledger.assessments.record(case(1, predictions=[prediction(5, 0.25), prediction(6, 0.75)]))
    ingest(ledger, 2, kind="labels", labels=[LaterLabel(5, 50, 1, 1)])
    ingest(ledger, 3, kind="labels", labels=[LaterLabel(6, 60, 0, 1)])

    assert ledger.labels.with_predictions([3])["row_hash"].tolist() == [6]
    assert ledger.labels.with_predictions([]).empty
    assert list(ledger.labels.with_predictions([])) == list(ledger.labels.with_predictions([2]))


def test_waiting_rows_come_oldest_first_beyond_one_statement(ledger):
    """1,200 names are asked for; two of them wait, one of these twice."""
    ingest(ledger, 1, unripe=[(9, 1199)])
    ingest(ledger, 2, unripe=[(8, 0), (7, 1199)])

    found = ledger.labels.waiting(range(1200))

    assert [(row.key_hash, row.row_hash) for row in found] == [(1199, 9), (1199, 7), (0, 8)]


def test_the_same_row_cannot_be_ripened_twice(ledger):
    """A second label for it fails the whole ingestion, whoever wrote it."""
    ingest(ledger, 1, unripe=[(5, 50)])
    ingest(ledger, 2, kind="labels", labels=[LaterLabel(5, 50, 1, 1)])

    with pytest.raises(LedgerError):
        ingest(ledger, 3, kind="labels", labels=[LaterLabel(5, 50, 0, 1)])

    assert ledger.ingestions.last_id() == 2
    assert ledger.labels.of_parts([1]).to_dict("records") == [
        {"row_hash": 5, "y_true": 1, "ingestion_id": 2}
    ]
    assert ledger.labels.labelled_parts([2, 3]) == [1]


def test_findings_of_a_run_are_kept_apart_from_those_of_others(ledger):
    """The report is about one run."""
    for detail in ("first", "second"):
        ledger.runs.start()
        ledger.findings.record([FINDING | {"detail": detail}])

    assert ledger.findings.history(run_id=2)["detail"].tolist() == ["second"]
    assert ledger.findings.history()["detail"].tolist() == ["first", "second"]


def test_an_assessment_is_quiet_unless_it_raised_an_alarm(ledger):
    """Also one made by hand, which belongs to no run."""
    for number, found in enumerate(([], [FINDING], [], [FINDING | {"drift_detected": False}])):
        pass_time(ledger, hours=number)
        ledger.assessments.record(case(findings=found))
    ledger.runs.start()
    ledger.assessments.record(case(findings=[FINDING]))
    ledger.assessments.record(case(version=2))

    assert [seen.id for seen in ledger.assessments.quiet(1, newest=10)] == [1, 3, 4]
    assert [ledger.assessments.count_quiet(1, most=most) for most in (2, 3, 9)] == [2, 3, 3]


def test_an_incident_without_rows_knows_no_ingestion(ledger):
    """Drops that stay away are a cause too."""
    late = {"kind": "data_quality", "subject": "arrival", "severity": "large", "detail": "late"}

    ledger.incidents.open({"version": 1, **late})

    (found,) = ledger.incidents.unresolved()
    assert (found.since_ingestion_id, found.last_ingestion_id, found.times_seen) == (None, None, 1)


def test_a_profile_of_a_megabyte_comes_back_as_it_was(ledger):
    """Many wide columns make a long text; MariaDB would cut it at 64 KiB without its own type."""
    profile = json.dumps({"counts": list(range(200_000))})
    ingest(ledger, 1)

    ledger.assessments.record(Case(1, 17, profile, profile, None, [1]))

    assert ledger.assessments.history()[0].profile == profile
    assert ledger.assessments.detector_state(1) == profile
    assert isinstance(ledger.incidents.history(), pd.DataFrame)


def test_who_asked_for_a_change_is_known_before_it_is_made(ledger):
    """Without a status it was cut off; with one it ended so."""
    first = ledger.change_requests.record(
        key_name="ops", method="POST", path="/incidents/1/resolve"
    )
    second = ledger.change_requests.record(key_name="Zoë", method="POST", path="/models/champion")
    ledger.change_requests.close(second, 403)

    table = ledger.change_requests.history()

    assert table["id"].tolist() == [first, second]
    assert table["key_name"].tolist() == ["ops", "Zoë"]
    assert table["status"].isna().tolist() == [True, False]
    assert table["requested_at"].dt.tz is not None


def test_refusals_are_counted_by_column_and_rule_over_many_drops(ledger):
    """The commonest first; those of other drops do not count."""
    drop = {"duplicate_of": None, "status": "taken", "kind": "rows"}
    counts = dict.fromkeys(("rows_read", "rows_added", "rows_duplicate", "rows_quarantined"), 2)
    signature = dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 1)
    for number in range(1, 602):
        broken = [Problem(2, "age", "not a number", "x"), Problem(3, "age", "not a number", "y")]
        broken += [Problem(2, "region", "missing", "")]
        row = {"id": number, "path": f"{number}.csv", "sha256": f"{number:064d}"}
        ledger.ingestions.record(
            {**drop, **counts, **signature, **row}, taken=Taken(problems=broken)
        )

    found = ledger.quarantine.by_rule([*range(1, 601)])

    assert found == [("age", "not a number", 1200), ("region", "missing", 600)]
    assert ledger.quarantine.by_rule([]) == []


def test_the_usual_delay_of_labels_is_the_median(ledger):
    """Of the drops of labels and the drops of their rows; None where none came late."""
    never = ledger.labels.usual_delay()
    ingest(ledger, 1, unripe=[(5, 50), (6, 60)])
    ingest(ledger, 2, kind="labels", labels=[LaterLabel(5, 50, 1, 1), LaterLabel(6, 60, 0, 1)])

    delay = ledger.labels.usual_delay()

    assert never is None
    assert timedelta(0) <= delay < timedelta(minutes=1)
