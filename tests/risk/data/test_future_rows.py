"""Rows whose event time lies in the future: refused and told, and taken once it has come."""

import time as clock
from datetime import UTC, datetime, timedelta

import pytest

import ingestion
from risk.admin import input_check
from risk.data.drops import FUTURE
from tests.factories import FEATURES, counts

HEADER = f"corporation,day,{','.join(FEATURES)},exited\n"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def inbox(world):
    """Give a world whose rows have times."""
    world.take_from_inbox()
    world.set(columns__event_time="day")
    return world


@pytest.fixture
def ingest_at(inbox):
    """Give a function that ingests at some time, with options."""

    def ingest(now=NOW, **options):
        with inbox.open_ledger(clock=lambda: now) as ledger:
            return ingestion.run(inbox.config, ledger, **options)

    return ingest


@pytest.fixture
def local_zone(monkeypatch):
    """Give a function that sets the zone of this machine, until the end of a test."""

    def choose(name):
        monkeypatch.setenv("TZ", name)
        clock.tzset()

    yield choose
    monkeypatch.undo()
    clock.tzset()


def drop(world, name, *times):
    rows = [f"{name}{i},{time},{i},2,3,0\n" for i, time in enumerate(times)]
    world.drop(f"{name}.csv", HEADER + "".join(rows))


def taken(result):
    return [counts(intake) for intake in result.intakes]


@pytest.mark.parametrize(
    ("time", "is_ahead"),
    [
        ("9999-12-31", True),
        ("2026-03-01T21:00:00Z", True),
        ("2026-03-02", True),
        ("2026-03-01 13:00:01", True),
        ("2026-03-01T17:30:00+05:00", False),
        ("2026-03-01T12:30:00-05:00", True),
        ("20260301T130000Z", False),
        ("20260301T130001Z", True),
        ("2026-03-01 13:00:00", False),
        ("2026-03-01", False),
        ("0001-01-01", False),
    ],
)
def test_a_time_beyond_now_and_the_tolerance_is_refused(inbox, ingest_at, time, is_ahead):
    """However it is written; the other rows of the drop are taken."""
    drop(inbox, "a", time, "2026-03-01 10:00:00")

    result = ingest_at()

    assert taken(result) == [(2, 1, 0, 1) if is_ahead else (2, 2, 0, 0)]
    with inbox.open_ledger() as ledger:
        refused = ledger.quarantine.page().items
    found = [(row["column_name"], row["rule"], row["value"]) for row in refused]
    assert found == ([("day", FUTURE, time)] if is_ahead else [])


@pytest.mark.parametrize(("zone", "is_ahead"), [("Asia/Tokyo", False), ("America/Lima", True)])
def test_a_time_without_a_zone_may_be_local(inbox, ingest_at, local_zone, zone, is_ahead):
    """Noon in UTC is nine in the evening in Tokyo; in Lima it is the morning."""
    local_zone(zone)
    drop(inbox, "a", "2026-03-01 21:00:00", "2026-03-01 12:00:00")

    assert taken(ingest_at()) == [(2, 1, 0, 1) if is_ahead else (2, 2, 0, 0)]


def test_the_tolerance_is_a_setting_that_brings_in_what_it_refused(inbox, ingest_at):
    """For a feed that writes the local time of another zone."""
    drop(inbox, "a", "2026-03-01 21:00:00")
    refused = ingest_at()

    inbox.set(ingestion__seconds_ahead=9 * 3600)

    assert refused.exit_code == 65
    assert taken(ingest_at()) == [(1, 1, 0, 0)]


def test_a_row_is_taken_by_the_first_run_after_its_time_has_come(inbox, ingest_at):
    """Once, without a command; what is still in the future goes on waiting."""
    drop(inbox, "a", "2026-03-01 21:00:00", "2026-03-03", "9999-12-31", "2026-03-01")
    hours = [0, 1, 8, 9, 20, 36, 60]

    results = [taken(ingest_at(NOW + timedelta(hours=hour))) for hour in hours]

    assert results == [[(4, 1, 0, 3)], [], [(3, 1, 0, 2)], [], [], [(2, 1, 0, 1)], []]


def test_a_row_that_came_again_by_then_is_a_duplicate_once(inbox, ingest_at):
    """As in a feed that always sends all its rows; nothing is read again for ever."""
    drop(inbox, "a", "2026-03-01 21:00:00")
    ingest_at()
    drop(inbox, "a", "2026-03-01 21:00:00", "2026-03-01 22:00:00")
    later = NOW + timedelta(days=1)

    assert taken(ingest_at(later)) == [(1, 1, 0, 0), (2, 1, 1, 0)]
    assert taken(ingest_at(later)) == []


def test_it_can_be_requeued_by_hand_too(inbox, ingest_at):
    """Before its time nothing is accepted, and nothing is lost."""
    drop(inbox, "a", "2026-03-01 21:00:00")
    ingest_at()

    assert taken(ingest_at(requeue="all")) == []
    assert taken(ingest_at(NOW + timedelta(days=1), requeue="all")) == [(1, 1, 0, 0)]


def test_a_rehearsal_and_the_check_know_such_rows(inbox):
    """Both say beforehand what the run will refuse."""
    drop(inbox, "a", "9999-12-31", "2026-03-01")

    checked = input_check.check(inbox.config)
    with inbox.open_ledger() as ledger:
        would, rows = ingestion.rehearse(inbox.config, ledger)

    assert f"day: {FUTURE}, such as '9999-12-31' in line 2: 1 cell in 1 file" in str(checked)
    assert taken(would) == [(2, 1, 0, 1)]
    assert rows["corporation"].tolist() == ["a1"]


def test_a_drop_without_times_has_no_future(world, ledger):
    """A text of such a form in another column is none."""
    world.take_from_inbox()
    header = f"corporation,{','.join(FEATURES)},exited\n"
    world.drop("a.csv", f"{header}9999-12-31,1,2,3,0\n")

    assert taken(ingestion.run(world.config, ledger)) == [(1, 1, 0, 0)]
