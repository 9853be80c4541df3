from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from risk.config import Policy
from risk.decisions import answers, cases
from risk.decisions.cases import Situation
from risk.errors import NotPending, UnknownName, UsageError
from risk.ledger.cases import Answer, CaseState

NOW = datetime(2026, 12, 20, 12, tzinfo=UTC)


def a_case(**known):
    usual = {"id": 1, "kind": "broken_feed", "state": "open", "severity": "moderate", "version": 1}
    usual |= {"incident_id": 7, "decision_id": 3, "challenger": None, "snoozed_until": None}
    usual |= {"severity_now": "moderate", "resolved_at": None, "resolution_code": None}
    return SimpleNamespace(**{**usual, "answered_at": None, **known})


def an_incident(**known):
    usual = {"id": 7, "subject": "age", "severity": "moderate", "times_seen": 1}
    usual |= {"case_state": "open", "case_severity": "moderate", "case_snoozed_until": None}
    return SimpleNamespace(**{**usual, **known})


def a_decision(number=3, action="ask", facts='{"asked": [7]}', comparison=None):
    at = NOW - timedelta(hours=1)
    return SimpleNamespace(
        id=number,
        action=action,
        facts=facts,
        comparison=comparison,
        decided_at=at,
        reason_code="broken_feed",
    )


def changes(case, *, newest=None, judged=None, incidents=(), live=1, **rules):
    situation = Situation(NOW, live, newest or a_decision(), judged, incidents)
    return [(c.before, c.values) for c in cases.changes(situation, [case], Policy(**rules))]


def test_a_question_without_a_case_gets_one_and_only_one():
    """However often it is asked."""
    known = Situation(NOW, 1, a_decision(), None, [an_incident(), an_incident(id=8)])

    (question,) = cases.asked(known, [])

    assert (question.kind, question.incident.id) == ("broken_feed", 7)
    assert cases.asked(known, [a_case()]) == []


@pytest.mark.parametrize(
    ("until", "now", "comes_back"),
    [
        (NOW + timedelta(seconds=1), "moderate", False),
        (NOW, "moderate", True),
        (NOW + timedelta(days=9), "small", False),
        (NOW + timedelta(days=9), "large", True),
    ],
)
def test_a_snoozed_case_comes_back_on_its_date_or_when_it_is_worse(until, now, comes_back):
    """By a severity."""
    found = changes(a_case(state="snoozed", snoozed_until=until, severity_now=now))

    assert bool(found) is comes_back
    if comes_back:
        assert found == [("snoozed", {"state": "open", "asked_at": NOW, "severity": now})]


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"resolved_at": NOW, "resolution_code": "passed"}, "passed"),
        ({"resolved_at": NOW, "resolution_code": "by_person"}, "by_person"),
        ({}, None),
    ],
)
def test_a_case_closes_when_its_incident_is_resolved(about, code):
    """And says why."""
    found = changes(a_case(**about), incidents=[an_incident()])

    closed = {"closed_at": NOW, "closed_because": code, "state": "closed"}
    assert found == ([("open", closed)] if code else [])


def test_a_feed_that_became_normal_is_no_longer_asked_about():
    """Unless a person has taken it in hand, or it is asked about all the same."""
    seen = an_incident(times_seen=4)
    in_hand = an_incident(times_seen=4, case_snoozed_until=NOW)

    def left(incident, newest):
        return changes(a_case(), incidents=[incident], newest=newest)

    learnt, asks_on = a_decision(4, "deploy", "{}"), a_decision(4)
    assert left(seen, learnt)[0][1]["closed_because"] == "became_normal"
    assert left(in_hand, learnt) == []
    assert left(seen, asks_on) == [("open", {"decision_id": 4})]  # nothing is trained here


@pytest.mark.parametrize(
    ("judged", "live", "code"),
    [
        (a_decision(3, facts='{"challenger": "a"}'), 1, None),
        (a_decision(4, facts='{"challenger": "a"}'), 1, None),
        (a_decision(4, "keep", '{"challenger": "a", "held_case": {"id": 1}}'), 1, None),
        (a_decision(4, "keep", '{"challenger": "a"}'), 1, "refused"),
        (a_decision(4, "keep", "{}"), 1, "refused"),
        (a_decision(4, facts='{"challenger": "b"}'), 1, "superseded"),
        (a_decision(3, facts='{"challenger": "a"}'), 2, "superseded"),
    ],
)
def test_a_deployment_is_asked_about_as_long_as_it_is_proposed(judged, live, code):
    """Not once the gate refuses it, or another release or challenger took its place."""
    case = a_case(kind="deployment", challenger="a", incident_id=None, severity_now=None)
    quiet = a_decision(5, "keep", "{}")

    found = changes(case, newest=quiet, judged=judged, live=live)

    assert [values["closed_because"] for _, values in found] == ([code] if code else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
        ("2026-12-24T08:00+13:00", datetime(2026, 12, 23, 19, tzinfo=UTC)),
        ("2026-12-24T08:00-08:00", datetime(2026, 12, 24, 16, tzinfo=UTC)),
        ("2026-12-24T08:00Z", datetime(2026, 12, 24, 8, tzinfo=UTC)),
        ("0001-01-01T00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),  # UTC has no earlier year
    ],
)
def test_a_snooze_ends_at_the_same_moment_wherever_it_is_asked_for(text, expected, monkeypatch):
    """A date alone is in UTC, as all times of the ledger are, whatever zone a machine is in."""
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)

        assert answers.moment(text) == expected


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "2026-12-24T08:00", ""])
def test_a_date_that_says_no_moment_is_refused(text):
    """With what would be right."""
    with pytest.raises(UsageError):
        answers.moment(text)


def ask_about(ledger, subject):
    """Open a case about an incident; return its number."""
    about = {"kind": "data_quality", "subject": subject, "severity": "large"}
    ledger.incidents.open({"version": 1, "detail": "it moved", **about})
    decision = ledger.decisions.record("ask", "because")
    (incident,) = [i.id for i in ledger.incidents.unresolved() if i.subject == subject]
    known = {"kind": "broken_feed", "subject": subject, "severity": "large", "version": 1}
    known |= {"challenger": None, "incident_id": incident, "decision_id": decision}
    ledger.cases.apply([known | {"facts": '{"since": null, "expected": [], "drill": []}'}], [])
    return ledger.cases.about(incident_id=incident)[0]


@pytest.fixture
def asked(ledger):
    """Give the number of a case about an incident."""
    return ask_about(ledger, "age")


def by(state, **more):
    return Answer(state, "anna", "command line", **{"because": "no-harm", **more})


def test_every_answer_is_recorded_with_its_giver(asked, ledger):
    """What was answered, why, by whom; the newest counts."""
    until = ledger.now() + timedelta(days=3)
    answers.give(ledger, by(CaseState.SNOOZED, until=until, because="planned", note="x"), asked)
    answers.give(ledger, by(CaseState.DECLINED), asked)

    (case,) = answers.give(ledger, by(CaseState.APPROVED, because=None), asked)

    given = [(a["answer"], a["because"], a["note"], a["answered_by"]) for a in case["answers"]]
    assert given == [
        ("snoozed", "planned", "x", "anna"),
        ("declined", "no-harm", None, "anna"),
        ("approved", None, None, "anna"),
    ]
    assert (case["state"], case["closed_at"], case["snoozed_until"]) == ("approved", None, until)


def test_what_was_answered_is_not_answered_again(asked, ledger):
    """A second decline, and what does not exist, are errors with a code of their own."""
    answers.give(ledger, by(CaseState.DECLINED), asked)

    with pytest.raises(NotPending, match=f"case {asked} was declined by anna") as refused:
        answers.give(ledger, by(CaseState.DECLINED), asked)
    with pytest.raises(UnknownName) as unknown:
        answers.give(ledger, by(CaseState.DECLINED), 99)

    assert (refused.value.exit_code, refused.value.http_status) == (64, 409)
    assert (unknown.value.exit_code, unknown.value.http_status) == (64, 404)


def test_several_cases_get_the_same_answer_or_none_does(asked, ledger):
    """One feed broke in three columns; the last number is of no case that waits."""
    more = [ask_about(ledger, "tenure"), ask_about(ledger, "plan")]
    answers.give(ledger, by(CaseState.DECLINED), more[1])

    with pytest.raises(NotPending, match=f"case {more[1]} was declined"):
        answers.give(ledger, by(CaseState.DECLINED), asked, *more)
    untouched = [ledger.cases.read(number)["answers"] for number in (asked, more[0])]
    given = answers.give(ledger, by(CaseState.DECLINED), asked, more[0])

    assert untouched == [[], []]
    assert [(case["id"], case["state"]) for case in given] == [
        (asked, "declined"),
        (more[0], "declined"),
    ]


def test_nothing_is_answered_about_a_resolved_incident(asked, ledger):
    """The next run closes its case."""
    ledger.incidents.resolve(ledger.cases.read(asked)["incident_id"])

    with pytest.raises(NotPending, match="resolved"):
        answers.give(ledger, by(CaseState.APPROVED), asked)


@pytest.mark.parametrize(
    "answer",
    [
        by(CaseState.DECLINED, because=None),
        by(CaseState.SNOOZED),
        by(CaseState.SNOOZED, until=datetime(2020, 1, 1, tzinfo=UTC)),
        by(CaseState.APPROVED, note="x" * 501),
    ],
)
def test_an_answer_that_lacks_something_is_refused(asked, ledger, answer):
    """And changes nothing."""
    with pytest.raises(UsageError):
        answers.give(ledger, answer, asked)

    assert (ledger.cases.read(asked)["state"], ledger.cases.read(asked)["answers"]) == ("open", [])


def test_a_change_while_a_person_answers_loses_nothing(asked, ledger):
    """The run wanted to ask again what was declined just now."""
    answers.give(ledger, by(CaseState.DECLINED), asked)

    ledger.cases.apply([], [cases.Change(asked, "open", {"state": "closed"})])

    assert ledger.cases.read(asked)["state"] == "declined"


def test_a_question_that_is_asked_again_stays_one_case():
    """Of the newest decision, whose comparison it shows."""
    again = a_decision(4)

    assert changes(a_case(), newest=again, incidents=[an_incident()]) == [
        ("open", {"decision_id": 4})
    ]


def test_to_approve_what_no_model_can_learn_resolves_the_incident(ledger):
    """A late or oversized drop that is right needs no challenger."""
    number = ask_about(ledger, "(rows per drop)")

    (case,) = answers.give(ledger, by(CaseState.APPROVED, note="a merger"), number)

    assert (case["state"], case["closed_because"]) == ("approved", "carried_out")
    assert ledger.incidents.read(case["incident_id"])["resolution"] == "a merger"
    assert cases.has_approval(ledger) is False
