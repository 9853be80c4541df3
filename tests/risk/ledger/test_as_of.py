from datetime import UTC, datetime, timedelta

import pytest

from risk.errors import UnknownName
from risk.ledger.as_of import as_of
from risk.ledger.queries import Part
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

MONDAY = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
INCIDENT = {"kind": "data_drift", "subject": "x", "severity": "small", "detail": "x moved"}
SCORE = {"model_sha256": "m", "dataset": "test", "metric": "f1", "value": 0.5, "n": 50}
FINDING = {
    "check_name": "data_drift",
    "feature": "x",
    "method": "e_detector",
    "drift_score": 0.5,
    "threshold": 0.05,
    "drift_detected": True,
    "n": 100,
    "detail": "x moved",
}
MANY = Part(page_size=100)


def what_is_known(ledger):
    """Ask everything a report asks."""
    answers = {
        "runs": ledger.runs.page(MANY),
        "decisions": ledger.decisions.page(MANY),
        "open": ledger.incidents.page(MANY, is_open=True),
        "closed": ledger.incidents.page(MANY, is_open=False),
        "releases": ledger.releases.page(MANY, live=ledger.decisions.live_version()),
        "drops": ledger.ingestions.page(MANY),
    }
    known = {name: (found.items, found.total) for name, found in answers.items()}
    known["live"] = ledger.decisions.live_version()
    known["scores"] = ledger.trends.of("f1").to_dict("records")
    known["findings"] = ledger.findings.drift_matrix(2).to_dict("records")
    known["stages"] = ledger.runs.stages_of([1, 2, 3]).to_dict("records")
    return known


@pytest.fixture
def lived(world):
    """Give a ledger of three runs, a correction by hand, and what was known after each run."""
    moment, snapshots = MONDAY, {}
    with world.open_ledger(clock=lambda: moment) as ledger:
        for number in (1, 2, 3):
            run_id = ledger.runs.start()
            with ledger.runs.stage("diagnostics"):
                ledger.findings.record([FINDING | {"drift_score": number / 10}])
            ledger.scores.record([SCORE | {"version": number, "value": number / 10}])
            if number == 1:
                ledger.incidents.open({"version": 1, **INCIDENT})
            ledger.decisions.record(
                "deploy" if number == 2 else "keep", "x", version=2 * (number == 2) or None
            )
            ledger.runs.end("ok", "done")
            snapshots[run_id] = repr(what_is_known(ledger))
            ledger.database.run_id = None
            moment += timedelta(days=1)
            if number == 2:
                ledger.incidents.open({"version": 2, **INCIDENT, "subject": "by hand"})
                moment += timedelta(days=1)
        yield ledger, snapshots


@pytest.mark.parametrize("run_id", [1, 2, 3])
def test_the_past_answers_as_it_did_then(lived, run_id):
    """Every list, total, trend and the live release, as they were read after that run."""
    ledger, snapshots = lived

    assert repr(what_is_known(as_of(ledger, run_id))) == snapshots[run_id]


def test_its_clock_stands_at_the_end_of_the_run(lived):
    """Whatever the time is now."""
    ledger, _ = lived

    assert as_of(ledger, 1).now() == MONDAY


def test_the_past_cannot_be_changed(lived):
    """Nothing that writes works."""
    past = as_of(lived[0], 2)

    for write in (
        lambda: past.decisions.record("keep", "x"),
        past.runs.start,
        lambda: past.incidents.resolve(1, "x"),
    ):
        with pytest.raises(TypeError, match="read-only"):
            write()


def test_a_run_that_never_was_is_named(ledger):
    """A wrong number is the user's fault."""
    with pytest.raises(UnknownName, match="no run 7"):
        as_of(ledger, 7)
