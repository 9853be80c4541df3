import pytest

from risk.errors import BusyError, LedgerError
from risk.ledger.ingestions import Taken
from risk.schema import LaterLabel, UnripeRow
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

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
    """A hash that exists already fails the transaction; also those inserted before it are gone."""
    ledger.ingestions.record(intake(1), taken=Taken(hashes=[11, 12]))

    with pytest.raises(LedgerError):
        ledger.ingestions.record(intake(2), taken=Taken(hashes=[10, 13, 11]))

    assert ledger.ingestions.last_id() == 1
    assert ledger.ingestions.known_hashes([10, 11, 12, 13]) == [11, 12]


def test_the_same_bytes_cannot_be_taken_twice(ledger):
    """Even two writers without a lock meet the constraint."""
    ledger.ingestions.record(intake(1))

    with pytest.raises(BusyError):
        ledger.ingestions.record(intake(2, sha256=f"{1:064d}"))


def test_hashes_are_looked_up_beyond_the_limit_of_one_statement(ledger):
    """5,000 of them, every second one known."""
    ledger.ingestions.record(intake(1), taken=Taken(hashes=range(0, 5000, 2)))

    assert sorted(ledger.ingestions.known_hashes(range(5000))) == list(range(0, 5000, 2))


def test_a_row_without_its_label_is_remembered_even_once_it_has_one(ledger):
    """A row that comes again with its label is asked for by the hash it had without."""
    assert not ledger.labels.came_late()
    ledger.ingestions.record(intake(1), taken=Taken([11, 12], [UnripeRow(12, 5)]))
    assert ledger.labels.came_late()

    ledger.ingestions.record(intake(2), taken=Taken(labels=[LaterLabel(12, 5, 1, 1)]))

    assert ledger.labels.came_late()


def test_a_superseded_row_without_its_label_is_remembered(ledger):
    """Its hash stays known."""
    ledger.ingestions.record(intake(1), taken=Taken([11], [UnripeRow(11, 5)]))

    ledger.ingestions.record(intake(2), taken=Taken([12], superseded=[(11, 1)]))

    assert ledger.labels.came_late()
