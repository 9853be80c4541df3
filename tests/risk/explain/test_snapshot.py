import pytest

from risk.explain import health, snapshot
from risk.ledger.ledger import Ledger

INCIDENT = {"kind": "data_drift", "subject": "x", "severity": "small", "detail": "x moved"}


def test_the_ledger_is_read_as_it_is(deployed):
    """The live release, its score on the test data, the run and the decision."""
    with deployed.open_ledger() as ledger:
        seen = snapshot.look(deployed.config, ledger)
        promised = ledger.trends.of("f1").iloc[-1]

    assert (seen.release["version"], len(seen.runs), len(seen.decisions)) == (1, 1, 1)
    assert seen.newest_scores["promised"]["value"] == promised["value"]
    assert (seen.evidence_needed, seen.metric) == (pytest.approx(20), "f1")
    assert health.assess(seen).fitness == "too little data"


def test_every_open_incident_is_seen_however_many_came_later(deployed):
    """A model is not fit because 300 younger incidents hide an old one."""
    with deployed.open_ledger() as ledger:
        ledger.incidents.open({"version": 1, **INCIDENT, "kind": "model_drift"})
        for number in range(300):
            ledger.incidents.open({"version": 1, **INCIDENT, "subject": str(number)})
        ledger.incidents.resolve(2, "over")
        seen = snapshot.look(deployed.config, ledger)

    assert len(seen.open_incidents) == 300
    assert health.assess(seen).fitness == "not fit"


def test_an_empty_ledger_is_no_fault(world, ledger):
    """Before the first run there is nothing, and that can be told."""
    seen = snapshot.look(world.config, ledger, fault="no release is live")

    assert (seen.release, seen.runs, seen.newest_scores) == (None, [], {})
    assert health.assess(seen).fitness == "not fit"


def test_the_worst_incident_comes_first():
    """Of equally bad ones, one column says more than two taken together."""
    incidents = [
        INCIDENT | {"subject": subject, "severity": severity, "kind": kind}
        for subject, severity, kind in (
            ("small", "small", "data_drift"),
            ("a and b", "large", "joint_drift"),
            ("large", "large", "data_drift"),
        )
    ]

    found = [incident["subject"] for incident in snapshot.worst_first(incidents)]

    assert found == ["large", "a and b", "small"]


def test_questions_write_nothing(deployed, tree):
    """Looking is free."""
    with Ledger.open(deployed.config, upgrade=False) as ledger:
        before = tree()
        snapshot.look(deployed.config, ledger)

    assert tree() == before
