import json

import pytest

from risk.ledger.decisions import Judgement, Reason
from risk.notify import announcements
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

INCIDENT = {
    "version": 3,
    "kind": "data_quality",
    "subject": "(duplicate rows)",
    "severity": "large",
    "detail": "40 of 962 rows were known already",
}
MISSING = {
    "kind": "data_quality",
    "subject": "age",
    "severity": "large",
    "direction": "missing more often",
    "value_before": 0.01,
    "value_after": 0.3,
    "method": "e_detector",
    "effect": 0.9,
    "n": 200,
    "facts": {},
}
TRIED = Judgement('{"n": 5, "p_value": NaN}')


@pytest.fixture
def announce(world, ledger):
    """Give a function that puts the newest news in words, as the first target would get them."""
    ledger.outbox.introduce("mail", title="", body="")

    def newest():
        news = ledger.outbox.news("mail")[-1]
        run_id = getattr(news.fact, "run_id", None)
        return announcements.announce(world.config, news, ledger.decisions.of_run(run_id))

    return newest


def test_an_open_incident_says_what_since_when_what_was_done_and_what_to_do(ledger, announce):
    """With the very command."""
    ledger.runs.start()
    ledger.incidents.open(INCIDENT)
    ledger.decisions.record("keep", "no other model would do better")

    said = announce()

    assert said.title == "Incident 1: data quality (large): duplicate rows"
    assert said.text.startswith("40 of 962 rows were known already\nSince: 20")
    assert (
        "while release 3 was live.\nDone: the live release was kept.\nTo do: Ask who" in said.text
    )
    assert "\n  python diagnostics.py --acknowledge 1 " in said.text
    assert "\n  python diagnostics.py --resolve 1 " in said.text


def test_an_incident_that_is_over_asks_for_nothing(ledger, announce):
    """Nobody shall type a command that is refused."""
    ledger.runs.start()
    ledger.incidents.open(INCIDENT)
    ledger.incidents.resolve(1, "deploy: release 4 went live")

    said = announce()

    assert said.title == "Incident 1 resolved: data quality: duplicate rows"
    assert said.text.startswith("deploy: release 4 went live\nIt was: 40 of 962 rows")
    assert "diagnostics.py" not in said.text


@pytest.mark.parametrize(
    ("action", "options", "said"),
    [
        ("deploy", {"version": 1}, ("Release 1 is live", "To do: nothing.")),
        ("deploy", {"version": 2}, ("Release 2 is live", "python deployment.py --rollback ")),
        ("rollback", {"version": 1}, ("Rolled back to release 1", "python deployment.py --list ")),
        ("ask", {}, ("Attention needed: the", "python diagnostics.py --resolve ID ")),
        ("ask", {"judgement": TRIED}, ("Approval needed: depl", "python deployment.py --force ")),
        ("keep", {"judgement": TRIED}, ("Challenger refused", "python deployment.py --force ")),
    ],
)
def test_a_decision_says_why_and_what_a_person_can_do(ledger, announce, action, options, said):
    """Each reason is a line of its own."""
    reason = Reason("not looked at", "broken_feed", {"incidents": [MISSING]})
    decided = ledger.decisions.record(action, reason, **options)
    ledger.decisions.complete(decided)

    told = announce()

    title, command = said
    assert told.title.startswith(title)
    why = (
        "- Data quality (large): age is missing in 30.0% of 200 rows, up from 1.0%.\n"
        "- No model is trained on data that may be broken."
    )
    assert f"\nWhy:\n{why}\nTo do: " in told.text
    assert command in told.text


@pytest.mark.parametrize(
    ("status", "title", "to_do"),
    [
        ("failed", "Run 1 failed", "fix the cause named in the first line"),
        ("aborted", "Run 1 was interrupted", "the next run continues"),
    ],
)
def test_a_run_that_failed_says_why(ledger, announce, status, title, to_do):
    """The errors of this project name what is to be done."""
    ledger.runs.start()
    ledger.runs.end(status, "disk full: make room")

    said = announce()

    assert said.title == title
    assert said.text.startswith("disk full: make room\n")
    assert to_do in said.text


def test_a_title_is_one_line_of_bounded_length(ledger, announce):
    """A column may be called as it likes."""
    ledger.runs.start()
    ledger.incidents.open(INCIDENT | {"subject": "two\r\nlines " + "long " * 99})

    title = announce().title

    assert title.isprintable()
    assert len(title) <= announcements.MAX_TITLE_LENGTH


def test_a_program_gets_the_row_as_strict_json(ledger, announce):
    """Times in UTC with a Z, the comparison as an object, no NaN."""
    ledger.runs.start()
    ledger.decisions.record("keep", "no better", judgement=TRIED)

    content = announce().content

    again = json.loads(json.dumps(content, allow_nan=False))
    assert again == content
    assert content["event"] == "challenger_refused"
    assert content["detail"] == content["decision"]["reason"] == "no better"
    assert content["decision"]["comparison"] == {"n": 5, "p_value": None}
    assert content["happened_at"] == content["decision"]["decided_at"]
    assert content["happened_at"].endswith("Z")
    assert content["run_id"] == 1


def test_the_installation_is_named_as_by_its_api(world):
    """So that a receiver of several can tell them apart."""
    from app import create_app

    client = create_app(world.config).test_client()
    health = client.get("/health", headers={"Accept": "application/json"}).json

    assert world.config.installation_id == health["installation"]


def test_the_introduction_says_what_will_come(world, ledger):
    """The first message proves that the address is right."""
    said = announcements.introduction(world.config, ledger.now())

    assert said.title == "Notifications enabled"
    assert said.content["event"] == "introduction"


def test_the_dashboard_is_named_as_it_can_be_reached(world):
    """On loopback only from the machine itself, which is named."""
    near = announcements.footer(world.config)
    far = announcements.footer(world.set(api__host="0.0.0.0"))

    machine = near.rpartition(" ")[2]
    assert "http://localhost:8765/ on " in near
    assert f"http://{machine}:8765/ on {machine}" in far
