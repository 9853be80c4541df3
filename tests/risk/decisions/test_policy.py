from types import SimpleNamespace

import numpy as np
import pytest

from risk.config import Policy
from risk.decisions import policy
from risk.models.dating import Change
from risk.models.recalibration import Offer

THROUGH = 9


def incident(kind, *, subject="a", since=5, last=THROUGH, seen=1, severity="large", **more):
    return SimpleNamespace(
        id=more.get("number", 7),
        version=more.get("version", 2),
        kind=kind,
        subject=subject,
        severity=severity,
        detail=f"{subject} moved",
        direction="higher",
        value_before=1.0,
        value_after=2.0,
        facts="{}",
        method="e_detector",
        effect=0.5,
        n=100,
        e_value=2.0,
        since_ingestion_id=since,
        last_ingestion_id=last,
        times_seen=seen,
        case_state=more.get("case_state"),
        case_severity=more.get("case_severity"),
        case_snoozed_until=more.get("case_snoozed_until"),
    )


def chosen(*known, offers=(), growth=1.0, **settings):
    return policy.choose(known, offers, Policy(**settings), growth=growth, through=THROUGH)


def test_without_incidents_nothing_is_done():
    """However good an offer is."""
    choice = chosen(offers=[Offer("recalibrate", 0.5, "f1")])

    assert (choice.action, choice.grounds.code) == ("nothing", "no_incident")


@pytest.mark.parametrize(
    "kind", ["data_drift", "joint_drift", "prediction_drift", "label_drift", "model_drift"]
)
def test_drift_leads_to_a_challenger(kind):
    """Training is cheap; it is the deployment that needs evidence."""
    choice = chosen(incident(kind))

    assert (choice.action, choice.since) == ("retrain", Change(5))
    assert choice.grounds.code == "drift"
    assert [i["kind"] for i in choice.grounds.facts["incidents"]] == [kind]


@pytest.mark.parametrize(
    ("kind", "retrain_on", "action"),
    [
        ("data_drift", ["model_drift"], "ask"),
        ("joint_drift", ["model_drift"], "ask"),
        ("model_drift", ["data_drift"], "ask"),
        ("model_drift", ["model_drift"], "retrain"),
        ("label_drift", ["data_drift"], "retrain"),
        ("data_drift", [], "ask"),
    ],
)
def test_the_settings_say_which_drift_retrains(kind, retrain_on, action):
    """The rest is for a person."""
    assert chosen(incident(kind), retrain_on=retrain_on).action == action


def test_the_cause_is_dated_to_the_oldest_incident_that_has_a_date():
    """What rests on no rows has none."""
    known = [
        incident("data_drift", since=None),
        incident("model_drift", subject="", since=7),
        incident("data_drift", subject="b", since=6),
        incident("calibration_drift", subject="", since=2),
    ]

    assert chosen(*known).since == Change(6)
    assert chosen(known[0]).since is None


@pytest.mark.parametrize(
    ("growth", "action"), [(0.049, "judge"), (0.05, "retrain"), (np.inf, "retrain")]
)
def test_until_there_are_enough_new_rows_the_challenger_is_judged_again(growth, action):
    """It goes on collecting evidence; another one would be the same."""
    choice = chosen(incident("data_drift"), growth=growth)

    assert (choice.action, choice.since) == (action, Change(5))
    assert choice.grounds.facts.get("growth") == (growth if action == "judge" else None)


@pytest.mark.parametrize("others", [[], ["data_drift"], ["model_drift", "calibration_drift"]])
def test_nothing_is_learnt_from_a_feed_that_may_be_broken(others):
    """A person is asked first, whatever else moved."""
    choice = chosen(incident("data_quality"), *(incident(kind, subject="b") for kind in others))

    assert choice.action == "ask"
    assert choice.grounds.code == "broken_feed"


@pytest.mark.parametrize(("seen", "action"), [(1, "ask"), (3, "ask"), (4, "retrain")])
def test_what_was_seen_often_in_a_row_is_the_new_normal(seen, action):
    """A person was asked three times and mended nothing."""
    choice = chosen(incident("data_quality", seen=seen, since=6), ask_first_batches=3)

    assert (choice.action, choice.since) == (action, Change(6) if action == "retrain" else None)


def test_what_was_broken_and_is_sound_again_needs_nothing():
    """The incident stays open until it was quiet for long enough."""
    choice = chosen(incident("data_quality", last=8, seen=9))

    assert choice.action == "nothing"
    assert choice.grounds.code == "sound_again"


def test_drift_in_rows_that_are_sound_again_retrains():
    """The damaged rows themselves are left out of the training."""
    choice = chosen(incident("data_quality", last=8), incident("data_drift", subject="b", since=9))

    assert (choice.action, choice.since) == ("retrain", Change(9))


def test_probabilities_that_are_off_are_adjusted_where_that_pays_most():
    """The best offer wins."""
    offered = [Offer("recalibrate", 0.02, "f1"), Offer("move_threshold", 0.03, "f1")]

    choice = chosen(incident("calibration_drift", subject=""), offers=offered)

    assert choice.action == "move_threshold"
    assert choice.grounds.facts["offer"] == {
        "action": "move_threshold",
        "gain": 0.03,
        "unit": "f1",
    }


@pytest.mark.parametrize("offered", [[], [Offer("recalibrate", 0.0, "f1")]])
def test_an_adjustment_that_does_not_pay_is_for_a_person(offered):
    """Too few labels offer none."""
    choice = chosen(incident("calibration_drift", subject=""), offers=offered)

    assert choice.action == "ask"
    assert choice.grounds.code == "no_adjustment"


def test_drift_comes_before_adjustment():
    """A new model is calibrated anyway."""
    offered = [Offer("recalibrate", 0.5, "f1")]

    choice = chosen(incident("calibration_drift"), incident("data_drift"), offers=offered)

    assert choice.action == "retrain"


def test_suspected_harm_is_for_a_person():
    """Labels have to be fetched; an estimate retrains nothing."""
    choice = chosen(incident("suspected_harm", subject="(expected loss)"))

    assert choice.action == "ask"
    assert choice.grounds.code == "no_remedy"
    assert choice.grounds.facts["incidents"][0]["subject"] == "(expected loss)"


def test_what_was_known_of_the_incidents_is_kept_with_the_decision():
    """They change later; of very many, the ledger keeps which they were."""
    known = [incident("data_drift", subject=f"x{n}") for n in range(12)]

    found = chosen(*known).grounds.facts["incidents"]

    assert found[0] == {
        "id": 7,
        "kind": "data_drift",
        "subject": "x0",
        "severity": "large",
        "direction": "higher",
        "value_before": 1.0,
        "value_after": 2.0,
        "method": "e_detector",
        "effect": 0.5,
        "n": 100,
        "e_value": 2.0,
        "facts": {},
    }
    assert found[11] == {"id": 7, "kind": "data_drift", "subject": "x11"}


def test_an_incident_from_before_there_were_facts_keeps_its_text():
    """The sentence of then is all there is."""
    old = incident("data_drift")
    old.facts = None

    assert chosen(old).grounds.facts["incidents"][0]["detail"] == "a moved"


def test_a_new_model_answers_drift_it_may_have_learnt():
    """A file that was refused, a feed that seems broken and what came later stay open."""
    known = [
        incident("data_drift", number=1),
        incident("model_drift", number=2),
        incident("calibration_drift", number=3),
        incident("suspected_harm", number=4),
        incident("data_quality", number=5, subject="(columns of drops)", seen=9),
        incident("data_quality", number=6, seen=3),
        incident("data_quality", number=7, seen=4),
        incident("data_quality", number=8, subject="(arrival of drops)", since=None),
        incident("data_drift", number=9, since=THROUGH + 1),
        incident("joint_drift", number=10, since=None),
    ]
    challenger = SimpleNamespace(made_by="retrain", trained_through=THROUGH)

    assert sorted(policy.answered(known, challenger, Policy())) == [1, 2, 3, 4, 7, 10]


@pytest.mark.parametrize("how", ["recalibrate", "move_threshold"])
def test_an_adjusted_model_answers_its_calibration_alone(how):
    """The data are as different from what it learnt as before."""
    known = [incident("data_drift", number=1), incident("calibration_drift", number=2)]
    challenger = SimpleNamespace(made_by=how, trained_through=THROUGH)

    assert policy.answered(known, challenger, Policy()) == [2]


def test_going_back_answers_what_the_failed_release_did():
    """The data are as they are, whichever model is live."""
    known = [
        incident("model_drift", number=1),
        incident("model_drift", number=2, version=1),
        incident("data_drift", number=3),
        incident("data_quality", number=4),
    ]

    assert policy.answered_by_rollback(known, 2) == [1]


def test_a_column_suspected_beside_another_asks_nobody_once_that_one_is_normal():
    """Each month another column moves beside the one that is beyond its range for good."""
    normal = incident("data_quality", subject="price", seen=4)
    beside = incident("data_quality", subject="age")
    beside.facts = '{"beside_a_fault": true}'

    assert chosen(normal, beside).action == "retrain"
    assert chosen(incident("data_quality", subject="price"), beside).action == "ask"
    assert chosen(normal, incident("data_quality", subject="age")).action == "ask"


@pytest.mark.parametrize("kind", ["data_quality", "suspected_harm", "calibration_drift"])
def test_what_a_person_approved_is_a_cause_like_drift(kind):
    """A challenger is trained, without waiting for the cool-down, and answers the incident."""
    approved = incident(kind, case_state="approved", case_severity="large")

    choice = chosen(approved, growth=0.0)

    assert (choice.action, choice.since) == ("retrain", Change(5))
    manifest = SimpleNamespace(made_by="retrain", trained_through=THROUGH)
    assert policy.answered([approved], manifest, Policy()) == [7]


@pytest.mark.parametrize("kind", ["data_quality", "suspected_harm", "calibration_drift"])
@pytest.mark.parametrize("state", ["snoozed", "declined"])
def test_what_a_person_snoozed_or_declined_is_asked_again_only_if_it_is_worse(kind, state):
    """By a severity, however often it was seen: it no longer becomes normal."""
    same = incident(kind, seen=99, case_state=state, case_severity="large")
    worse = incident(kind, seen=99, case_state=state, case_severity="moderate")

    assert (chosen(same).action, chosen(same).grounds.code) == ("nothing", "held")
    assert (chosen(worse).action, chosen(worse).grounds.facts["asked"]) == ("ask", [7])


def test_a_column_beside_a_declined_one_is_still_asked_about():
    """An answer is about one subject."""
    declined = incident("data_quality", case_state="declined", case_severity="large")
    other = incident("data_quality", subject="b", number=8)

    assert chosen(declined, other).grounds.facts["asked"] == [8]


def test_what_came_back_from_a_snooze_does_not_become_normal_by_itself():
    """A person has it in hand."""
    back = incident("data_quality", seen=99, case_state="open", case_snoozed_until="yesterday")

    assert chosen(back).action == "ask"
    assert chosen(incident("data_quality", seen=99, case_state="open")).action == "retrain"
