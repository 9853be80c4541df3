import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from risk.ledger.findings import BESIDE_A_FAULT
from risk.monitoring import incidents
from risk.monitoring.findings import CONSTANT, METHOD, Finding
from risk.monitoring.incidents import Limits, Span, Spans
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def alarm(feature="a", *, check="data_drift", score=0.2, method=METHOD, detail="it moved"):
    moved = {"direction": "higher", "value_before": 1.0, "value_after": 2.0, "e_value": 3.0}
    return Finding(check, feature, method, True, 100, detail, drift_score=score, **moved)


def incident(
    number=1,
    *,
    kind="data_drift",
    subject="a",
    severity="small",
    seen=1,
    last=8,
    ago=1,
    facts=None,
):
    return SimpleNamespace(
        id=number,
        kind=kind,
        subject=subject,
        severity=severity,
        detail=f"{subject} moved",
        times_seen=seen,
        last_ingestion_id=last,
        last_seen_at=NOW - timedelta(days=ago),
        facts=facts,
    )


BATCH = Span(9, 10, before=8)


def updated(known, alarms, *, batch=BATCH, labels=None, days=7.0):
    return incidents.update(
        known,
        alarms,
        now=NOW,
        limits=Limits(days, 3),
        spans=Spans(batch, labels or batch),
    )


def test_each_cause_opens_one_incident():
    """The strongest evidence comes first and tells the story."""
    found = [alarm("b", detail="strong"), alarm("a"), alarm("b", detail="weak")]

    changes = updated([], found)

    assert [(i["subject"], i["detail"]) for i in changes.opened] == [
        ("b", "strong"),
        ("a", "it moved"),
    ]
    assert (changes.seen_again, changes.resolved) == ((), ())


def test_of_two_alarms_of_one_cause_the_more_severe_counts():
    """A column may be missing more often by the detector and entirely by plain counting."""
    found = [
        alarm(check="data_quality", score=0.1, detail="a missing more often"),
        alarm(check="data_quality", score=None, method=CONSTANT, detail="a is missing"),
    ]

    (opened,) = updated([], found).opened

    assert (opened["severity"], opened["detail"]) == ("large", "a is missing")


def test_of_two_alarms_equally_severe_the_plain_count_is_named():
    """That all values are the same says more than that they are skewed."""
    found = [
        alarm(check="data_quality", score=1.1, detail="a is skewed"),
        alarm(check="data_quality", score=None, method=CONSTANT, detail="a is 92.5 in all rows"),
    ]

    (opened,) = updated([], found).opened

    assert opened["detail"] == "a is 92.5 in all rows"


def test_an_incident_knows_what_and_since_when():
    """A later challenger learns from the rows since then."""
    (opened,) = updated([], [alarm(score=-0.4)], batch=Span(5, 7, before=4)).opened

    assert opened == {
        "kind": "data_drift",
        "subject": "a",
        "severity": "moderate",
        "detail": "it moved",
        "direction": "higher",
        "value_before": 1.0,
        "value_after": 2.0,
        "facts": "{}",
        "method": METHOD,
        "effect": -0.4,
        "n": 100,
        "e_value": 3.0,
        "since_ingestion_id": 5,
        "last_ingestion_id": 7,
    }


@pytest.mark.parametrize(
    ("check", "first"),
    [("model_drift", 3), ("calibration_drift", 3), ("label_drift", 3), ("data_drift", 9)],
)
def test_what_labels_say_is_dated_by_the_rows_they_belong_to(check, first):
    """They came days after the rows, in one drop with today's rows."""
    (opened,) = updated([], [alarm(check=check)], labels=Span(3, 10, before=2)).opened

    assert opened["since_ingestion_id"] == first


def test_what_concerns_no_feature_has_an_empty_subject():
    """The ledger's column allows no nothing."""
    (opened,) = updated([], [alarm(None, check="model_drift")]).opened

    assert opened["subject"] == ""


def test_the_same_cause_is_not_reported_again_while_open():
    """It is seen again instead."""
    changes = updated([incident(4)], [alarm()])

    assert changes.opened == ()
    assert [again["id"] for again in changes.seen_again] == [4]
    assert changes.seen_again[0]["last_ingestion_id"] == 10


@pytest.mark.parametrize(
    "other", [alarm("b"), alarm("a", check="data_quality"), alarm("a", check="joint_drift")]
)
def test_another_kind_or_subject_is_another_cause(other):
    """Drift of a column and a fault of its feed are two things."""
    changes = updated([incident()], [alarm(), other])

    assert [i["kind"] for i in changes.opened] == [other.check_name]


@pytest.mark.parametrize(
    ("before", "score", "after"),
    [
        ("small", 0.5, "large"),
        ("small", 0.35, "moderate"),
        ("large", 0.2, "large"),
        ("moderate", 0.01, "moderate"),
        ("negligible", 0.01, "negligible"),
    ],
)
def test_severity_only_grows(before, score, after):
    """What was once large is no less urgent for a quiet batch."""
    (again,) = updated([incident(severity=before)], [alarm(score=score)]).seen_again

    assert again["severity"] == after


@pytest.mark.parametrize(("last", "times"), [(8, 4), (7, 1), (None, 1)])
def test_only_batches_in_a_row_count_up(last, times):
    """Seen three times, then in ingestions 9 to 10: a gap starts the count again."""
    (again,) = updated([incident(seen=3, last=last)], [alarm()]).seen_again

    assert again["times_seen"] == times


def test_a_drop_without_rows_in_between_is_no_gap():
    """Ingestion 8 brought labels only; the feature was broken in 7 and is in 9."""
    (again,) = updated([incident(seen=3, last=7)], [alarm()], batch=Span(9, 9, before=7)).seen_again

    assert again["times_seen"] == 4


def test_the_latest_words_are_shown():
    """A cause that is seen again may look different by now."""
    (again,) = updated([incident(seen=3, last=7)], [alarm()]).seen_again

    assert again["detail"] == alarm().detail


@pytest.mark.parametrize(("ago", "over"), [(6.99, ()), (7, (1,)), (30, (1,))])
def test_an_incident_is_over_after_the_quiet_time(ago, over):
    """A week, and not a minute less."""
    assert updated([incident(ago=ago)], []).resolved == over


def test_what_is_seen_again_is_not_over_however_long_ago_it_was():
    """No drops for a month, and the first shows it again."""
    changes = updated([incident(ago=30)], [alarm()])

    assert changes.resolved == ()
    assert len(changes.seen_again) == 1


@pytest.mark.parametrize(
    "broken",
    [
        alarm("b", check="data_quality", score=6.0),
        alarm("b", check="data_quality", score=None, method=CONSTANT),
    ],
)
def test_a_broken_feed_is_the_one_cause(broken):
    """Predictions, pairs and scores of these rows moved because of it."""
    found = [
        alarm("(predicted risk)", check="prediction_drift", score=2.0),
        broken,
        alarm(None, check="model_drift"),
        alarm("a and b", check="joint_drift"),
    ]

    changes = updated([], found)

    assert [(i["kind"], i["subject"]) for i in changes.opened] == [("data_quality", "b")]


@pytest.mark.parametrize(
    ("seen", "last", "kinds"),
    [
        (2, 8, set()),
        (3, 8, {"model_drift", "data_drift"}),
        (3, 6, set()),
        (30, 8, {"model_drift", "data_drift"}),
    ],
)
def test_what_became_normal_hides_nothing(seen, last, kinds):
    """Values beyond the reference for the fourth batch in a row are no broken feed any more.

    Else a model that does worse on them, as labels say, would go unnoticed until somebody looks.
    """
    known = [incident(kind="data_quality", severity="large", seen=seen, last=last)]
    found = [alarm(check="data_quality", score=6.0), alarm("(errors)", check="model_drift")]

    changes = updated(known, [*found, alarm("b")])

    assert {opened["kind"] for opened in changes.opened} == kinds
    assert [again["id"] for again in changes.seen_again] == [1]


def test_beside_what_became_normal_another_fault_still_hides_what_follows_from_it():
    """It is the fourth batch of one column and the first of another."""
    known = [incident(kind="data_quality", severity="large", seen=9)]
    found = [alarm(name, check="data_quality", score=6.0) for name in ("a", "b")]

    opened = updated(known, [*found, alarm("(errors)", check="model_drift")]).opened

    assert [(each["kind"], each["subject"]) for each in opened] == [("data_quality", "b")]


def test_a_column_suspected_only_beside_another_hides_nothing_of_its_own():
    """The other one is normal by now."""
    known = [incident(kind="data_quality", severity="large", seen=9)]
    beside = replace(alarm("b", check="data_quality", score=6.0), facts={BESIDE_A_FAULT: True})
    found = [alarm(check="data_quality", score=6.0), beside, alarm(None, check="model_drift")]

    opened = updated(known, found).opened

    assert {each["kind"] for each in opened} == {"data_quality", "model_drift"}


def test_other_faults_of_the_feed_are_told_beside_a_broken_one():
    """Half of the rows are missing too, and a person has to mend both."""
    rows = alarm("(rows per drop)", check="data_quality", score=0.5, method="usual_before")
    broken = alarm("b", check="data_quality", score=6.0)

    opened = updated([], [broken, alarm("c"), rows]).opened

    assert [i["subject"] for i in opened] == ["b", "(rows per drop)"]


def test_too_few_rows_explain_no_drift():
    """Only a damaged feature does."""
    rows = alarm("(rows per drop)", check="data_quality", score=0.5, method="usual_before")

    opened = updated([], [alarm("c"), rows]).opened

    assert {i["subject"] for i in opened} == {"c", "(rows per drop)"}


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (["data_drift"], ["data_drift", "joint_drift", "prediction_drift", "label_drift"]),
        (["model_drift"], ["model_drift"]),
        (["calibration_drift"], ["calibration_drift"]),
        (
            ["data_drift", "model_drift"],
            ["data_drift", "joint_drift", "prediction_drift", "label_drift", "model_drift"],
        ),
        ([], []),
    ],
)
def test_all_drift_of_data_is_one_kind(wanted, kinds):
    """As `policy.retrain_on` has it."""
    every = (
        "data_drift",
        "joint_drift",
        "prediction_drift",
        "label_drift",
        "model_drift",
        "calibration_drift",
        "suspected_harm",
        "data_quality",
    )
    known = [incident(kind=kind) for kind in every]

    assert [i.kind for i in incidents.of_kind(known, wanted)] == kinds


def test_the_worst_come_first():
    """Equally bad ones stay in order of their age, but a broken column may be why others moved."""
    known = [
        incident(subject="pair", severity="large", kind="joint_drift"),
        incident(subject="a", severity="small"),
        incident(subject="b", severity="large"),
        incident(subject="c", severity="negligible"),
        incident(subject="d", severity="small"),
        incident(subject="broken", severity="large", kind="data_quality"),
    ]

    found = [i.subject for i in incidents.worst_first(known)]

    assert found == ["broken", "b", "pair", "a", "d", "c"]


def test_an_incident_keeps_since_when_it_was_warned_of():
    """Once it is open, a warning says nothing new, and the next alarm may have had another."""
    first, later = ({"warned_since": f"2026-03-0{day}T12:00:00+00:00"} for day in (1, 9))
    again = replace(alarm(), facts=later)

    (dated,) = updated([incident(facts=json.dumps(first))], [again]).seen_again
    (undated,) = updated([incident()], [again]).seen_again
    (opened,) = updated([], [again]).opened

    assert (json.loads(dated["facts"]), undated["facts"]) == (first, "{}")
    assert json.loads(opened["facts"]) == later
