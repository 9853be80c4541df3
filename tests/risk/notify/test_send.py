import logging
from datetime import timedelta

import pytest
import sqlalchemy as sa

from risk.config import Config
from risk.ledger import tables
from risk.ledger.database import Database
from risk.ledger.ledger import Ledger
from risk.notify import send
from tests.factories import warn
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # apprise on 3.11
SECRET = "0123456789abcdef0123456789abcdef"
INCIDENT = {
    "version": 1,
    "kind": "data_drift",
    "subject": "age",
    "severity": "small",
    "detail": "age higher",
}


@pytest.fixture
def configure(world, receiver):
    """Give a function that reads the world's settings with a webhook and other changes."""

    def configure(*command_line, **environment):
        told = {"RISK_WEBHOOK_URL": f"http://{receiver.address}/hook"}
        told |= {"RISK_WEBHOOK_SECRET": SECRET, **environment}
        path = world.folder / "config.json"
        return Config.load(path, environment=told, command_line=command_line)

    return configure


def run(config, ledger, *, incidents=0):
    """Do what a run does about messages, while some incidents are opened."""
    send.register_recipients(config, ledger)
    ledger.runs.start()
    for _ in range(incidents):
        ledger.incidents.open(INCIDENT)
    ledger.runs.end("ok", "done")
    send.send_notifications(config, ledger)


def rows_of(ledger):
    with ledger.engine.connect() as connection:
        return list(connection.execute(sa.select(tables.messages).order_by(tables.messages.c.id)))


def events(receiver):
    return [post["event"] for post in receiver.to("/hook")]


def test_without_a_target_nothing_is_written_or_asked(world, ledger):
    """Most installations begin like this."""
    asked = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    send.register_recipients(world.config, ledger)
    send.send_notifications(world.config, ledger)

    assert asked == []
    assert rows_of(ledger) == []


def test_a_quiet_run_sends_and_writes_nothing(configure, ledger, receiver):
    """After the introduction, which is the first message."""
    run(configure(), ledger)
    asked = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    send.register_recipients(configure(), ledger)
    send.send_notifications(configure(), ledger)

    assert events(receiver) == ["introduction"]
    assert {statement.split()[0] for statement in asked} == {"BEGIN", "SELECT"}
    assert len(asked) < 24


def test_people_and_machines_are_told_of_an_incident(configure, ledger, receiver):
    """Each in its own way."""
    config = configure(RISK_NOTIFY_URLS=f"json://{receiver.address}/people")

    run(config, ledger, incidents=1)

    (mail,) = receiver.to("/people")
    assert mail["title"].endswith("] Notifications enabled; Incident 1: data drift (small): age")
    assert "python diagnostics.py --acknowledge 1" in mail["message"]
    assert events(receiver) == ["introduction", "incident_opened"]
    assert receiver.to("/hook")[1]["incident"]["subject"] == "age"


def test_a_message_that_failed_is_recorded_and_tried_again_by_the_next_run(
    configure, ledger, receiver, caplog
):
    """With the same number, so that a receiver can tell."""
    run(configure(), ledger)
    receiver.answers = [500]

    run(configure(), ledger, incidents=1)
    failed = rows_of(ledger)[-1]
    run(configure(), ledger)
    run(configure(), ledger)

    assert (failed.attempts, failed.sent_at, failed.last_error) == (1, None, "HTTP status 500")
    assert events(receiver) == ["introduction", "incident_opened", "incident_opened"]
    assert len({post["id"] for post in receiver.to("/hook")}) == 2
    assert rows_of(ledger)[-1].attempts == 2
    assert "1 messages for webhook 127.0.0.1" in caplog.text


def test_a_message_nobody_takes_is_given_up_and_stays_recorded(configure, ledger, receiver, caplog):
    """It is not tried for ever, and not forgotten."""
    run(configure(), ledger)
    config = configure("messages.max_attempts=2")
    receiver.answers = [400] * 9

    for incidents in (1, 0, 0, 0):
        run(config, ledger, incidents=incidents)

    message = rows_of(ledger)[-1]
    assert (message.attempts, message.sent_at, message.last_error) == (2, None, "HTTP status 400")
    assert len(receiver.posts) == 3
    assert (
        f"delivery to {message.target} given up after too many attempts: messages {message.id}"
        in caplog.text
    )


def test_a_message_one_target_refuses_holds_up_no_other(configure, ledger, receiver):
    """What was tried least is next."""
    run(configure(), ledger)
    receiver.answers = [400]

    run(configure(), ledger, incidents=2)
    run(configure(), ledger)

    assert [post["incident"]["id"] for post in receiver.to("/hook")[1:]] == [1, 2, 1]


def test_a_target_that_hangs_costs_one_timeout_and_the_others_are_told(configure, ledger, receiver):
    """All its other messages wait without being tried."""
    config = configure(
        "messages.timeout_seconds=2", RISK_NOTIFY_URLS=f"json://{receiver.address}/people"
    )
    run(config, ledger)
    receiver.answers = [None]

    run(config, ledger, incidents=3)

    assert len(receiver.to("/people")) == 2
    assert events(receiver).count("incident_opened") == 3
    waiting = [row for row in rows_of(ledger) if row.sent_at is None]
    assert {row.attempts for row in waiting} == {1}
    assert {row.target.split()[0] for row in waiting} == {"json"}


def test_a_run_sends_so_many_messages_and_no_more(configure, ledger, receiver, caplog):
    """A flood becomes a stream."""
    run(configure(), ledger)

    run(configure(), ledger, incidents=25)
    first = len(receiver.posts)
    run(configure(), ledger)

    assert first == 1 + send.MAX_PER_RUN
    assert len(receiver.posts) == 26
    assert "5 messages for webhook" in caplog.text


def test_a_changed_address_is_introduced_and_gets_no_history(configure, ledger, receiver):
    """Whoever it is, it is somebody else."""
    run(configure(), ledger, incidents=1)
    ledger.incidents.resolve(1, "by a person")
    run(configure(), ledger)

    run(configure(RISK_WEBHOOK_URL=f"http://{receiver.address}/new"), ledger)

    assert [post["event"] for post in receiver.to("/new")] == ["introduction"]


def test_an_address_that_comes_back_is_told_what_it_missed(configure, ledger, receiver):
    """A run by hand may not have had the variable."""
    run(configure(), ledger)
    run(configure(RISK_WEBHOOK_URL=""), ledger, incidents=1)

    run(configure(), ledger)

    assert events(receiver) == ["introduction", "incident_opened"]


def test_a_ledger_that_fails_is_logged_and_fails_no_run(configure, ledger, receiver, caplog):
    """How the run ended is recorded already."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE messages"))

    send.send_notifications(configure(), ledger)

    assert "messages not sent, the next run tries again: the ledger cannot be used" in caplog.text


def test_no_log_and_no_row_tells_a_secret(configure, ledger, receiver, caplog):
    """Neither where all is well nor where nothing is."""
    urls = f"json://me:geheim@{receiver.address}/geheim json://geheim@127.0.0.1:1 nonsense://geheim"
    hook = f"http://me:geheim@{receiver.address}/geheim?token=geheim"
    receiver.answers = [200, 500, 200, 500]
    config = configure(RISK_NOTIFY_URLS=urls, RISK_WEBHOOK_URL=hook)

    with caplog.at_level(logging.INFO):
        run(config, ledger, incidents=1)
        run(config, ledger)

    assert len(rows_of(ledger)) == 8
    assert "geheim" not in caplog.text + str(rows_of(ledger))
    assert SECRET not in caplog.text + str(rows_of(ledger))


def warned_run(config, ledger, feature, at):
    """Do what a run does that warns early, at that time."""
    later = Ledger(Database(ledger.engine, lambda: at))
    send.register_recipients(config, later)
    later.runs.start()
    warn(later, feature)
    later.runs.end("ok", "done")
    send.send_notifications(config, later)


def test_early_warnings_come_once_a_day_together(configure, ledger, receiver):
    """The second of a day waits for the next one; nobody is asked to do anything."""
    start = ledger.now()
    for hours, feature in ((0, "age"), (1, "tenure"), (23, "spend"), (25, "visits")):
        warned_run(configure(), ledger, feature, start + timedelta(hours=hours))

    first, second = [p for p in receiver.to("/hook") if p["event"] == "warnings"]

    assert [warning["feature"] for warning in first["warnings"]] == ["age"]
    assert [w["feature"] for w in second["warnings"]] == ["tenure", "spend", "visits"]
    assert second["title"] == "3 early warnings, may be nothing"
    assert "Early, may be nothing: column tenure is higher by 0.30" in second["detail"]


def test_a_channel_that_pages_receives_no_warnings(configure, ledger, receiver):
    """Mail and webhook do unless the settings say otherwise."""
    pager = {"RISK_NOTIFY_URLS": f"json://{receiver.address}/people"}
    warned_run(configure(**pager), ledger, "age", ledger.now())
    assert "warning" not in str(receiver.to("/people"))

    wanted = configure('messages.warnings_to=["json"]', **pager)
    send.send_notifications(wanted, ledger)

    (digest,) = [post for post in receiver.to("/people") if "warning" in post["title"]]
    assert "To do: nothing." in digest["message"]


def test_what_became_an_incident_is_no_early_warning(configure, ledger, receiver):
    """It is reported as that, and says since when it was warned of."""
    ledger.incidents.open(INCIDENT)

    warned_run(configure(), ledger, INCIDENT["subject"], ledger.now())

    assert "warnings" not in events(receiver)


def test_a_digest_hides_no_failure(configure, ledger, receiver):
    """A run that was killed after its digest is reported by the next one."""
    config = configure()
    warned_run(config, ledger, "age", ledger.now())
    with ledger.database.begin() as connection:
        connection.execute(tables.runs.update().values(status="aborted", outcome="killed"))

    send.send_notifications(config, ledger)

    assert events(receiver) == ["introduction", "warnings", "run_failed"]
