from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from risk.errors import LedgerError
from risk.ledger import tables
from risk.ledger.cases import Change
from risk.ledger.decisions import Judgement
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

INCIDENT = {
    "version": 1,
    "kind": "data_drift",
    "subject": "age",
    "severity": "small",
    "detail": "age higher",
}
TRIED = Judgement('{"n": 5}')


def open_incident(ledger, **changes):
    ledger.incidents.open(INCIDENT | changes)
    return ledger.incidents.unresolved()[-1].id


def run(ledger, status, outcome=""):
    number = ledger.runs.start()
    ledger.runs.end(status, outcome)
    return number


def introduce(ledger, target="mail"):
    ledger.outbox.introduce(target, title="hello", body="here I am")


def send(ledger, target="mail"):
    """Take the news of a target down as messages, and return what they are about."""
    news = ledger.outbox.news(target)
    nothing = dict.fromkeys(("run_id", "incident_id", "decision_id", "case_id"))
    common = {"target": target, "title": "", "body": ""}
    ledger.outbox.record(
        [
            nothing | common | {"event": n.event, n.about: n.fact.id, "happened_at": n.happened_at}
            for n in news
        ]
    )
    return [(n.event, n.fact.id) for n in news]


def test_what_was_before_the_introduction_is_no_news(ledger):
    """A new address is not flooded with a year of history."""
    ledger.incidents.resolve(open_incident(ledger), "by a person")
    ledger.decisions.record("deploy", "first")
    run(ledger, "failed", "disk full")

    introduce(ledger)

    assert ledger.outbox.introduced() == {"mail"}
    assert send(ledger) == []


def test_what_is_still_open_at_the_introduction_is_news(ledger):
    """It is no history; and whoever heard of its opening hears of its end."""
    number = open_incident(ledger)
    introduce(ledger)

    assert send(ledger) == [("incident_opened", number)]
    ledger.incidents.resolve(number, "by a person")
    assert send(ledger) == [("incident_resolved", number)]


def test_what_was_open_but_over_before_it_could_be_told_is_no_news(ledger):
    """Its end would be a riddle to whoever never heard of it."""
    number = open_incident(ledger)
    introduce(ledger)
    ledger.incidents.resolve(number, "by a person")

    assert send(ledger) == []


def test_everything_is_told_once(ledger):
    """An incident that opened and ended in one run is sent as both, in the order of a run."""
    introduce(ledger)
    number = open_incident(ledger)
    answered = Judgement(answered=[number])
    decided = ledger.decisions.record("deploy", "better", version=2, judgement=answered)
    ledger.decisions.complete(decided)

    first, second = send(ledger), send(ledger)

    assert first == [
        ("incident_opened", number),
        ("deployed", decided),
        ("incident_resolved", number),
    ]
    assert second == []


def test_targets_are_told_independently(ledger):
    """One was informed before the other was known."""
    introduce(ledger)
    number = open_incident(ledger)
    assert send(ledger) == [("incident_opened", number)]

    introduce(ledger, "chat")
    later = open_incident(ledger, subject="income")

    assert send(ledger) == [("incident_opened", later)]
    assert send(ledger, "chat") == [("incident_opened", number), ("incident_opened", later)]


def test_the_clock_does_not_matter(ledger):
    """What is new follows from the order of the rows, also if the clock was set back."""
    introduce(ledger)
    now = ledger.now()
    ledger.database.now = lambda: now.replace(year=1970)

    number = open_incident(ledger)
    decided = ledger.decisions.record("rollback", "by hand")

    assert send(ledger) == [("incident_opened", number), ("rolled_back", decided)]


def test_a_deployment_is_told_when_it_was_carried_out(ledger):
    """Until then the release is not live."""
    introduce(ledger)
    decided = ledger.decisions.record("deploy", "better", version=2)

    assert send(ledger) == []
    ledger.decisions.complete(decided)
    assert send(ledger) == [("deployed", decided)]


@pytest.mark.parametrize(
    ("decisions", "sent"),
    [
        ([("keep", None)], []),
        ([("keep", TRIED)], ["challenger_refused"]),
        ([("keep", TRIED), ("keep", TRIED)], ["challenger_refused"]),
        ([("ask", None), ("ask", None), ("ask", None)], ["person_asked"]),
        ([("ask", None), ("ask", TRIED)], ["person_asked", "person_asked"]),
        ([("keep", TRIED), ("keep", None), ("keep", TRIED)], ["challenger_refused"] * 2),
        ([("deploy", TRIED), ("keep", TRIED)], ["deployed", "challenger_refused"]),
        ([("deploy", TRIED), ("deploy", TRIED)], ["deployed", "deployed"]),
        ([("rollback", None), ("rollback", None)], ["rolled_back", "rolled_back"]),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_of_decisions_those_are_sent_that_change_something(ledger, decisions, sent, at_once):
    """A question that stays open is not repeated with every batch, nor is a refusal."""
    introduce(ledger)
    found = []
    for action, judgement in decisions:
        ledger.decisions.record(
            action, "because", **({"judgement": judgement} if judgement else {})
        )
        found += [] if at_once else send(ledger)

    found += send(ledger)

    assert [event for event, _ in found] == sent


@pytest.mark.parametrize(
    ("outcomes", "sent"),
    [
        ([("ok", "no new data")], []),
        ([("failed", "disk full")], [0]),
        ([("failed", "disk full")] * 3, [0]),
        ([("failed", "disk full"), ("failed", "no database")], [0, 1]),
        ([("failed", "disk full"), ("ok", ""), ("failed", "disk full")], [0, 2]),
        ([("aborted", "cut off"), ("failed", "disk full"), ("failed", "disk full")], [0, 1]),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_of_runs_that_fail_the_same_way_the_first_is_sent(ledger, outcomes, sent, at_once):
    """Cron comes 144 times a day."""
    introduce(ledger)
    numbers, found = [], []
    for status, outcome in outcomes:
        numbers.append(run(ledger, status, outcome))
        found += [] if at_once else send(ledger)

    found += send(ledger)

    assert found == [("run_failed", numbers[index]) for index in sent]


def test_a_run_that_was_cut_off_is_told_by_the_next(ledger):
    """It cannot do so itself."""
    introduce(ledger)
    number = ledger.runs.start()
    ledger.runs.start()

    assert send(ledger) == [("run_failed", number)]


def test_an_opening_is_told_with_the_drop_and_the_answer(ledger):
    """What a reader wants to know next: since which file, and what was done."""
    introduce(ledger)
    run_id = ledger.runs.start()
    open_incident(ledger)
    ledger.decisions.record("keep", "why not", version=None)
    (news,) = ledger.outbox.news("mail")

    assert news.fact.since_path is None
    assert ledger.decisions.of_run(run_id).reason == "why not"
    assert ledger.decisions.of_run(run_id + 1) is None


def test_the_same_thing_cannot_be_told_twice(ledger):
    """Not even by two writers without a lock."""
    introduce(ledger)
    open_incident(ledger)
    (news,) = ledger.outbox.news("mail")
    row = {"target": "mail", "event": news.event, "incident_id": news.fact.id}
    row |= {"title": "", "body": "", "happened_at": news.happened_at}
    ledger.outbox.record([row])

    with pytest.raises(LedgerError):
        ledger.outbox.record([row])


def test_messages_wait_until_they_are_taken_or_given_up(ledger):
    """What was tried least comes first, so that one nobody takes holds up no other."""
    introduce(ledger)
    open_incident(ledger)
    send(ledger)
    first, second = (message.id for message in ledger.outbox.unsent("mail", max_attempts=2))

    ledger.outbox.note_failure([first], "it answers 500")
    assert [m.id for m in ledger.outbox.unsent("mail", max_attempts=2)] == [second, first]
    ledger.outbox.note_sent([second])
    ledger.outbox.note_failure([first], "it answers 500")

    assert ledger.outbox.unsent("mail", max_attempts=2) == []
    with ledger.engine.connect() as connection:
        rows = list(connection.execute(sa.select(tables.messages).order_by(tables.messages.c.id)))
    assert [(row.attempts, row.last_error) for row in rows] == [(2, "it answers 500"), (1, None)]
    assert [row.sent_at is None for row in rows] == [True, False]


def test_a_case_is_reminded_of_daily_and_after_a_week_weekly(world):
    """And at once when it comes back from a snooze; runs come every six hours."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    clock = [start]
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        introduce(ledger)
        row = {"kind": "deployment", "subject": "", "version": 1, "facts": "{}"}
        decision = ledger.decisions.record("ask", "because", judgement=TRIED)
        ledger.cases.apply([row | {"decision_id": decision}], [])
        send(ledger)
        days = []
        for hour in range(0, 24 * 30, 6):
            clock[0] = start + timedelta(hours=hour)
            if "case_reminder" in [event for event, *_ in send(ledger)]:
                days.append((clock[0] - start).days)
        back = {"state": "open", "asked_at": clock[0]}
        ledger.cases.apply([], [Change(1, "open", back)])
        at_once = send(ledger)

    assert days == [1, 2, 3, 4, 5, 6, 13, 20, 27]
    assert len(at_once) == 1


def test_a_new_case_is_reported_even_if_a_question_like_it_was_asked_before(ledger):
    """Once: with the decision that asks, or alone if that is a repetition."""
    introduce(ledger)
    row = {"kind": "deployment", "subject": "", "version": 1, "facts": "{}"}
    told = []
    for _ in range(2):
        ledger.runs.start()
        decision = ledger.decisions.record("ask", "because", judgement=TRIED)
        ledger.cases.apply([row | {"decision_id": decision}], [])
        told.append(send(ledger) + send(ledger))
        ledger.runs.end("ok", "")

    assert told == [[("person_asked", 1)], [("case_reminder", 2)]]
