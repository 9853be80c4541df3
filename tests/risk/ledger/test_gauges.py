from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from risk.errors import LedgerError
from risk.ledger.assessments import Case
from risk.ledger.decisions import Judgement
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINDING = {"check_name": "data_drift", "method": "e_detector", "n": 17, "detail": "it moved"}
SCORE = {"dataset": "test", "metric": "f1", "lower": 0.1, "upper": 0.9, "n": 17}


@pytest.fixture
def newest(ledger):
    """Give the gauges of a ledger in which nothing happened."""
    return ledger.gauges


def ingest(ledger, number, *, kind="rows", added=0, duplicate=0, quarantined=0):
    rows = {"rows_added": added, "rows_duplicate": duplicate, "rows_quarantined": quarantined}
    rows["rows_read"] = sum(rows.values())
    signature = {"size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3, "inode": 4}
    drop = {"id": number, "path": f"{number}.csv", "sha256": str(number), "kind": kind}
    ledger.ingestions.record({**drop, "status": "taken", **rows, **signature})


def assess(ledger, number, *findings):
    ledger.runs.start()
    ingest(ledger, number, added=1)
    found = [FINDING | dict(zip(("feature", "drift_detected"), f, strict=True)) for f in findings]
    ledger.assessments.record(Case(1, 17, "{}", "{}", None, [number], findings=found))


def release(ledger, version, sha256):
    row = {"model_sha256": sha256, "rows_trained": 17, "proven": True, "manifest": "{}"}
    ledger.decisions.record("deploy", "why", version=version, judgement=Judgement(release=row))


def test_of_an_empty_ledger_nothing_is_told(newest):
    """Zeros are counted, what never was is missing."""
    assert newest.last_run() is None
    assert newest.last_success() is None
    assert newest.stage_duration("training") is None
    assert newest.rows_by_outcome() == {"accepted": 0, "duplicate": 0, "quarantined": 0}
    assert newest.alarms_by_check() == {}
    assert newest.messages_unsent() == 0
    assert not (newest.drift(["x"]) or newest.missing(["x"]) or newest.scores("test"))


def test_a_failed_run_is_the_last_but_no_success(ledger, newest):
    """The alert on stale runs rests on this difference."""
    for hours, status in ((0, "ok"), (1, "failed")):
        ledger.database.now = lambda moment=NOON + timedelta(hours=hours): moment
        ledger.runs.start()
        ledger.runs.end(status, "done")

    assert newest.last_run() == NOON + timedelta(hours=1)
    assert newest.last_success() == NOON


def test_the_duration_of_a_stage_is_that_of_its_last_success(ledger, newest):
    """How long it took to fail says nothing."""
    with ledger.runs.stage("training"):
        pass
    known = newest.stage_duration("training")
    with pytest.raises(ValueError), ledger.runs.stage("training"):
        raise ValueError

    assert known is not None
    assert newest.stage_duration("training") == known


def test_rows_are_counted_by_outcome_and_labels_are_no_rows(ledger, newest):
    """Sums over all drops: 17 + 4, 5 and 1."""
    ingest(ledger, 1, added=17, duplicate=5)
    ingest(ledger, 2, added=4, quarantined=1)
    ingest(ledger, 3, kind="labels", added=9)

    assert newest.rows_by_outcome() == {"accepted": 21, "duplicate": 5, "quarantined": 1}


def test_drift_is_that_of_the_newest_assessment(ledger, newest):
    """An earlier alarm is over when it is not found again; other subjects are left out."""
    assess(ledger, 1, ("x", True), ("y", True))
    assess(ledger, 2, ("x", False), ("z", True))

    found = [(row.feature, row.drift_detected) for row in newest.drift(["x", "y"])]

    assert found == [("x", False)]
    assert newest.alarms_by_check() == {"data_drift": 3}


def test_missing_values_are_those_of_the_newest_batch(ledger, newest):
    """Of the features asked for."""
    for missing in (5, 1):
        ledger.runs.start()
        common = {"row_count": 10, "missing_count": missing}
        ledger.column_statistics.record([{"column_name": n, **common} for n in ("x", "y")])

    assert [tuple(row) for row in newest.missing(["x"])] == [("x", 10, 1)]


def test_scores_are_the_newest_of_the_live_model(ledger, newest):
    """A challenger that was refused has scores, too."""
    release(ledger, 1, "old")
    release(ledger, 2, "live")
    for model, value in (("old", 0.5), ("live", 0.6), ("live", 0.7), ("refused", 0.8)):
        ledger.scores.record([SCORE | {"model_sha256": model, "value": value}])

    assert [tuple(row) for row in newest.scores("test")] == [("f1", 0.7, 0.1, 0.9)]
    release(ledger, 3, "old")
    assert newest.scores("test")[0].value == 0.5
    assert newest.scores("production") == []


def test_open_incidents_are_counted_by_kind_and_severity(ledger, newest):
    """A resolved one counts no longer."""
    row = {"version": 1, "kind": "data_drift", "subject": "x", "detail": "x moved"}
    for severity in ("large", "large", "small"):
        ledger.incidents.open(row | {"severity": severity})
    ledger.incidents.resolve(ledger.incidents.unresolved()[0].id, "mended")

    found = sorted((row.severity, row.number) for row in newest.open_incidents())

    assert found == [("large", 1), ("small", 1)]


def test_a_ledger_out_of_reach_is_said_to_be(ledger, newest):
    """As one typed error, whatever the database says."""
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE messages"))

    with pytest.raises(LedgerError, match="messages"):
        newest.messages_unsent()
