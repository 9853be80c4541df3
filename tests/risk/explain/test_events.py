from datetime import UTC, datetime, timedelta

import pytest

from risk.explain import events
from risk.explain.snapshot import Snapshot

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
A_DAY = timedelta(days=1)
OLD = {"value": 0.533, "lower": 0.449, "upper": 0.615, "n": 345}
NEW = {"value": 0.742, "lower": 0.673, "upper": 0.801, "n": 345}
COMPARED = {
    "proven": True,
    "champion": OLD,
    "challenger": NEW,
    "e_value": 56265.0,
    "metric": "f1",
    "n": 345,
}


def decision(action="keep", *, version=None, comparison=None, ago=0, reason="because", **more):
    return {
        "decided_at": NOW - ago * A_DAY,
        "action": action,
        "version": version,
        "reason": reason,
        "comparison": comparison,
        "reason_code": None,
        "facts": None,
    } | more


def incident(subject="tenure", *, opened=0, resolved=None):
    return {
        "kind": "data_drift",
        "subject": subject,
        "severity": "large",
        "detail": "not looked at",
        "direction": "lower",
        "value_before": 29.0,
        "value_after": 17.0,
        "facts": {"rows": 300},
        "method": "e_detector",
        "effect": 0.57,
        "n": 300,
        "opened_at": NOW - opened * A_DAY,
        "resolved_at": None if resolved is None else NOW - resolved * A_DAY,
    }


def snapshot(*decisions, incidents=(), risk=None):
    return Snapshot(now=NOW, decisions=decisions, incidents=incidents, risk=risk)


def test_open_incidents_are_what_changed():
    """The first three in full; the mean risk with the features that moved it."""
    risk = {"before": 0.45, "after": 0.12, "parts": {"a": -0.3, "b": -0.03, "c": 0.001}}

    told = events.changed(
        snapshot(decision("ask"), incidents=[incident(n) for n in "abcd"], risk=risk)
    )

    assert (
        told[0] == "Column a is lower: its median fell from about 29 to 17 in the newest 300 rows."
    )
    assert told[3:] == [
        "1 more incident below.",
        "The mean predicted risk fell from 0.45 to 0.12, mostly by a (-0.30) and b (-0.03).",
    ]


def test_when_nothing_is_open_the_last_change_is_told():
    """With what had led to it, and how much was seen since."""
    switch = decision("deploy", version=4, ago=2)
    past = incident("tenure", opened=3, resolved=2)

    told = events.changed(snapshot(decision(), decision(ago=1), switch, incidents=[past]))

    assert told == [
        "Nothing that matters since release 4 went live on 27 February 2026: "
        "2 batches, no incident open.",
        "What had changed before that: tenure.",
    ]


def test_a_deployment_is_told_with_its_cause_and_its_evidence():
    """Values with intervals on the same rows, and what evidence was needed."""
    made = decision("deploy", version=3, comparison=COMPARED)

    told = events.done(snapshot(made, incidents=[incident(opened=1, resolved=0)]))

    assert told == [
        "On 1 March 2026 it made release 3 live. "
        "The cause: tenure is lower: its median fell from about 29 to 17 in the newest 300 rows.",
        "F1 was 0.742 [0.673, 0.801] for the new one and 0.533 [0.449, 0.615] for the old one, "
        "on the same 345 rows; chance alone would do as well in up to 1 in 56,265 of all "
        "comparisons, so it is proven.",
    ]


def test_a_cause_is_told_with_the_numbers_of_then():
    """The incident went on afterwards, and its numbers with it."""
    known = incident() | {"id": 7}
    then = {name: known[name] for name in ("id", "kind", "subject")} | {"value_after": 20.0}
    made = decision("ask", reason_code="no_remedy", facts={"incidents": [then]})

    (told,) = events.decided(made, snapshot(made, incidents=[known]))

    assert "its median fell from about 29 to 20 in" in told


def test_waiting_is_told_in_one_sentence_before_the_last_deed():
    """Ten quiet days are one line."""
    quiet = [decision(ago=ago) for ago in range(10)]
    asked = decision("ask", ago=12)

    told = events.done(snapshot(*quiet, asked, incidents=[incident(opened=13, resolved=11)]))

    assert told[0].startswith("It checked each of the last 10 batches")
    assert told[1].startswith("On 17 February 2026 it asked for a decision")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (decision("rollback", version=2, reason="release 3 did worse"), "release 3 did worse"),
        (decision("deploy", version=5, reason="forced by hand"), "forced by hand"),
        (
            decision(reason_code="training_failed", facts={"error": "too few rows"}),
            "No challenger was trained: too few rows.",
        ),
        (decision(reason_code="sound_again", facts={}), "The latest rows are sound again; what"),
        (
            decision("rollback", reason_code="rolled_back_by_hand", facts={"from": 3}),
            "A person went back from release 3.",
        ),
        (
            decision("ask", comparison=COMPARED | {"proven": False}),
            "where 5% is allowed, so it is not proven",
        ),
        (decision(comparison=COMPARED | {"challenger": OLD, "champion": NEW}), "worse on these."),
        (decision("deploy", version=1, comparison=COMPARED | {"champion": None}), "first model"),
        (
            decision("deploy", version=4, comparison=COMPARED | {"proven": False}),
            "it went live because the old one had drifted.",
        ),
    ],
    ids=[
        "old rollback",
        "old force",
        "no challenger",
        "sound",
        "rollback",
        "unsure",
        "worse",
        "first",
        "unproven",
    ],
)
def test_each_kind_of_decision_says_why(made, words):
    """In the words of the gate, the policy or a person."""
    told = events.decided(made, snapshot(made, incidents=[incident(opened=1)]))

    assert words in " ".join(told)
    assert "because." not in " ".join(told)


def test_smaller_is_better_for_losses():
    """A Brier score that fell is no fault."""
    loss = COMPARED | {"metric": "brier", "challenger": OLD, "champion": NEW}

    assert "did worse" not in events.judged(decision(comparison=loss), snapshot())
    assert "did worse" in events.judged(
        decision(comparison=COMPARED | {"metric": "brier"}), snapshot()
    )


def test_a_release_that_went_live_long_ago_is_not_missed():
    """When it is not among the decisions at hand, no date is invented."""
    told = events.changed(snapshot(*[decision(ago=ago) for ago in range(100)]))

    assert told == ["Nothing that matters: 100 batches, no incident open."]
