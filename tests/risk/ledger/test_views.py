import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from risk.ledger import views
from risk.ledger.assessments import Case
from risk.ledger.ingestions import Taken
from tests.servers import on_every_server

ROOT = Path(__file__).parents[3]
START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
DROP = {
    "status": "taken",
    "rows_duplicate": 2,
    "rows_quarantined": 1,
    **dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 1),
}
ALARM = {
    "check_name": "data_drift",
    "feature": "größe",
    "method": "e_detector",
    "drift_score": -0.3,
    "threshold": 0.05,
    "e_value": 1.5,
    "drift_detected": True,
    "n": 40,
    "detail": "größe lower by 0.30 sd",
}
QUIET = ALARM | {"feature": "age", "e_value": 0.1, "drift_detected": False}
FACT = ALARM | {"method": "fact", "feature": "(columns of drops)"}
SCORE = {"dataset": "realised on new rows", "metric": "f1", "value": 0.1, "n": 40}


def documented():
    """Read the names of the columns of each view out of docs/views.md."""
    text = (ROOT / "docs" / "views.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (v_\w+)$(.*?)(?=^## )", text, flags=re.MULTILINE | re.DOTALL)
    return {
        name: re.findall(r"^\| `(\w+)` \| ", body, flags=re.MULTILINE) for name, body in sections
    }


def test_every_column_of_every_view_is_documented():
    """In the order in which `SELECT *` gives them."""
    declared = {name: list(view.c.keys()) for name, view in views.metadata.tables.items()}

    assert documented() == declared
    assert len(declared) == 5


@on_every_server
def test_the_views_of_the_database_are_those_that_are_declared(ledger):
    """No more, no fewer, and their columns too."""
    with ledger.engine.connect() as connection:
        assert set(sa.inspect(connection).get_view_names()) == {*views.metadata.tables}
        for name, view in views.metadata.tables.items():
            found = connection.execute(sa.text(f"SELECT * FROM {name}")).keys()
            assert list(found) == list(view.c.keys())


@pytest.fixture
def seen(ledger):
    """Live through four runs, and return what every view has then."""
    passed = [START]
    ledger.database.now = lambda: passed[0]

    def later(**time):
        passed[0] += timedelta(**time)

    ledger.runs.start()
    for number, kind in ((1, "rows"), (2, "rows"), (3, "labels")):
        drop = {"id": number, "path": f"{number}.csv", "sha256": str(number), "kind": kind}
        taken = Taken(hashes=[number] if kind == "rows" else [])
        ledger.ingestions.record(DROP | drop | {"rows_read": 43, "rows_added": 40}, taken=taken)
    ledger.column_statistics.record(
        [{"column_name": "plan", "row_count": 80, "missing_count": 20, "missing_percent": 25.0}]
    )
    opened = {"kind": "data_drift", "subject": "größe", "severity": "moderate", "detail": "lower"}
    case = Case(1, 80, "{}", "{}", None, [1, 2], findings=[ALARM, QUIET, FACT], predictions=[])
    incident = opened | {"since_ingestion_id": 2, "last_ingestion_id": 2}
    ledger.assessments.record(
        Case(**vars(case) | {"opened": [incident, incident | {"since_ingestion_id": None}]})
    )
    ledger.scores.record([SCORE | {"model_sha256": "0" * 64, "version": 1, "lower": 0.05}])
    ledger.decisions.record("ask", "first words")
    ledger.decisions.record("keep", "last words")
    later(minutes=1, microseconds=500_000)
    ledger.runs.end("ok", "three drops")
    ledger.incidents.resolve(1, "it was winter")
    later(hours=1)
    ledger.incidents.acknowledge(2)
    ledger.runs.start()
    later(seconds=2)
    ledger.runs.end("failed", "no space")
    ledger.runs.start()
    later(days=1)
    ledger.runs.start()
    return {name: rows_of(ledger, view) for name, view in views.metadata.tables.items()}


def rows_of(ledger, view):
    with ledger.engine.connect() as connection:
        query = sa.select(view).order_by(next(iter(view.c)))
        return [dict(row) for row in connection.execute(query).mappings()]


def only(row, *names):
    return tuple(row[name] for name in names)


@on_every_server
def test_a_run_is_summed_up(seen):
    """80 rows of two drops, the labels of the third are no rows; the last decision counts."""
    first = seen["v_run_summary"][0]

    assert first == {
        "run_id": 1,
        "started_at": START,
        "ended_at": START + timedelta(seconds=60.5),
        "duration_seconds": 60.5,
        "status": "ok",
        "drops": 3,
        "rows_accepted": 80,
        "rows_duplicate": 6,
        "rows_quarantined": 3,
        "alarms": 2,
        "action": "keep",
        "version": None,
        "reason": "last words",
        "outcome": "three drops",
    }
    assert {type(first[name]) for name in ("drops", "rows_accepted", "alarms")} == {int}


@on_every_server
def test_runs_that_brought_nothing_or_were_cut_off_are_listed_too(seen):
    """How long a run took that was cut off, nobody knows."""
    rows = seen["v_run_summary"][1:]

    assert [only(row, "status", "duration_seconds", "drops", "rows_accepted") for row in rows] == [
        ("failed", 2.0, 0, 0),
        ("aborted", None, 0, 0),
        ("running", None, 0, 0),
    ]


@on_every_server
def test_drift_is_listed_by_subject_and_batch(seen):
    """What the detectors measured, alarm or not; facts have no trend."""
    rows = seen["v_drift_trend"]

    names = ("feature", "drift_score", "e_value", "drift_detected", "found_at", "run_id")
    assert [only(row, *names) for row in rows] == [
        ("größe", -0.3, 1.5, True, START, 1),
        ("age", -0.3, 0.1, False, START, 1),
    ]


@on_every_server
def test_scores_and_columns_are_listed_as_they_were_recorded(seen):
    """To the last digit; what was not recorded is unknown."""
    (score,), (column,) = seen["v_score_trend"], seen["v_column_trend"]

    names = ("version", "dataset", "metric", "value", "lower", "upper", "n", "scored_at")
    assert only(score, *names) == (1, SCORE["dataset"], "f1", 0.1, 0.05, None, 40, START)
    names = ("column_name", "row_count", "missing_count", "missing_percent", "mean")
    assert only(column, *names) == ("plan", 80, 20, 25.0, None)


@on_every_server
def test_an_incident_has_a_state_and_a_beginning(seen):
    """Resolved and acknowledged; dated to a drop, or to none."""
    rows = seen["v_incidents"]

    names = ("subject", "state", "since_drop", "resolved_at", "acknowledged_at", "resolution")
    ended = START + timedelta(seconds=60.5)
    assert [only(row, *names) for row in rows] == [
        ("größe", "resolved", "2.csv", ended, None, "it was winter"),
        ("größe", "acknowledged", None, None, ended + timedelta(hours=1), None),
    ]
