import pytest
import sqlalchemy as sa

from risk.errors import LedgerError
from risk.ledger import tables
from risk.ledger.ingestions import Taken
from tests.servers import on_every_server

pytestmark = on_every_server

INTAKE = {
    "path": "a.csv",
    "sha256": "0" * 64,
    "status": "taken",
    "rows_read": 2,
    "rows_added": 2,
    "rows_duplicate": 0,
    "rows_quarantined": 0,
    "size_bytes": 1,
    "mtime_ns": 2,
    "ctime_ns": 3,
    "inode": 4,
}


def intake(number, **changes):
    return {"id": number, **INTAKE, "sha256": f"{number:064d}", **changes}


def test_an_ingestion_is_committed_whole_or_not_at_all(ledger):
    """A hash that exists already fails the transaction, and nothing of it stays."""
    ledger.record_ingestion(intake(1), taken=Taken(hashes=[11, 12]))

    with pytest.raises(LedgerError):
        ledger.record_ingestion(intake(2), taken=Taken(hashes=[13, 11]))

    assert ledger.last_ingestion_id() == 1
    assert ledger.known_hashes([11, 12, 13]) == [11, 12]


def test_the_same_bytes_cannot_be_taken_twice(ledger):
    """Even two writers without a lock meet the constraint."""
    ledger.record_ingestion(intake(1))

    with pytest.raises(LedgerError):
        ledger.record_ingestion(intake(2, sha256=f"{1:064d}"))


def test_hashes_are_looked_up_beyond_the_limit_of_one_statement(ledger):
    """5,000 of them, every second one known."""
    ledger.record_ingestion(intake(1), taken=Taken(hashes=range(0, 5000, 2)))

    assert sorted(ledger.known_hashes(range(5000))) == list(range(0, 5000, 2))


def test_a_decision_covers_the_ingestions_it_looked_at(ledger):
    """The third came after it was made."""
    for number in (1, 2, 3):
        ledger.record_ingestion(intake(number))

    ledger.decide("keep", "quiet", through=2)

    assert ledger.pending() == [3]


def test_a_switch_stays_open_until_it_is_carried_out(ledger):
    """A crash in between is what the next run looks for."""
    decision_id = ledger.decide("rollback", "by hand", version=4)

    assert ledger.open_decision().id == decision_id
    ledger.complete(decision_id)
    assert ledger.open_decision() is None
    assert ledger.champion_version() == 4


def test_a_failed_stage_is_no_timing(ledger):
    """Timings are of real, whole runs."""
    with pytest.raises(ZeroDivisionError), ledger.stage("training"):
        1 / 0  # noqa: B018
    with ledger.stage("training"):
        pass

    assert len(ledger.timings()) == 1


def test_a_run_cut_off_is_aborted_by_the_next(ledger):
    """It cannot say so itself."""
    ledger.start_run()
    ledger.start_run()

    with ledger.engine.connect() as connection:
        statuses = list(connection.scalars(sa.select(tables.runs.c.status)))
    assert statuses == ["aborted", "running"]
