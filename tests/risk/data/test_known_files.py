import hashlib

import pytest

import ingestion
from risk import store
from risk.data import known_files, requeueing
from risk.errors import StorageError
from tests.factories import HEADER


@pytest.fixture
def path(world):
    return world.config.model_folder / "latest_score.csv"


@pytest.fixture
def refused(world, ledger):
    """Give the folder of a drop of which a row was refused by a range."""
    world.take_from_inbox()
    world.drop("a.csv", HEADER + "a,1,2,3,0\nb,-1,2,3,1\n")
    ingestion.run(world.config, ledger)
    return store.quarantine_path(world.config, ledger.ingestions.last_id())


def damage(path):
    path.write_bytes(path.read_bytes().replace(b"-1", b"-3"))


def test_the_ledger_has_the_digests_of_what_was_refused(world, ledger, refused):
    """Recomputed with hashlib."""
    expected = ledger.file_digests.expected()

    assert len(expected) == 2
    for name, digests in expected.items():
        assert (hashlib.sha256((world.folder / name).read_bytes()).hexdigest(),) == digests


def test_an_interrupted_write_leaves_a_file_that_is_not_damaged(world, ledger, path):
    """The one before is there, as what replaces it could not be written."""
    known_files.write(world.config, ledger, path, "before")
    (path.parent / f".{path.name}.tmp").mkdir()

    for content in ("after", "later"):
        with pytest.raises(StorageError):
            known_files.write(world.config, ledger, path, content)

    known_files.verify(world.config, ledger, path)
    path.write_text("other")
    with pytest.raises(StorageError, match="latest_score.csv is damaged.*from a backup"):
        known_files.verify(world.config, ledger, path)


def test_damaged_refused_rows_are_never_read_again(world, ledger, refused, caplog):
    """-3 would be another customer's number; the drops after it go in."""
    damage(refused / "rows.csv")
    world.drop("c.csv", HEADER + "c,1,2,3,0\n")
    config = world.set(columns__allowed_ranges={})

    result = ingestion.run(config, ledger)

    assert [(intake.requeued, intake.rows_added) for intake in result.intakes] == [(False, 1)]
    assert "rows.csv is damaged" in caplog.text
    with pytest.raises(StorageError, match=r"rows.csv is damaged"):
        [*requeueing.named(1, config, ledger)]
