import hashlib
import random

import pytest
import sqlalchemy as sa

import ingestion
from risk import store
from risk.data import part_files
from risk.errors import StorageError
from risk.ledger import tables
from tests.factories import customers


@pytest.fixture
def part(world, ledger):
    """Give a part of 300 rows."""
    world.drop("many.csv", customers("many", 300, seed=1))
    ingestion.run(world.config, ledger)
    return store.part_path(world.config, ledger.ingestions.last_id())


def test_the_ledger_has_the_digest_of_each_part(world, ledger, part):
    """Recomputed with hashlib; a drop without a row has no part and no digest."""
    world.drop("again.csv", customers("many", 300, seed=1) + "\n")
    ingestion.run(world.config, ledger)
    numbers = [*range(1, ledger.ingestions.last_id() + 1)]

    digests = ledger.parts.digests(numbers)

    assert sorted(digests) == ledger.parts.ids()
    for number, digest in digests.items():
        content = store.part_path(world.config, number).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_no_flipped_bit_is_read_as_other_data(world, ledger, part):
    """Of a hundred anywhere in the file, each is found."""
    content, numbers = part.read_bytes(), ledger.parts.ids()
    part_files.read(world.config, ledger, numbers)

    for position in random.Random(0).sample(range(len(content)), 100):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        part.write_bytes(damaged)
        with pytest.raises(StorageError, match=f"{part.name} is damaged.*restore it from a backup"):
            part_files.read(world.config, ledger, numbers)


def test_a_part_from_before_there_were_digests_is_read(world, ledger, part):
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(tables.ingestions).values(part_sha256=None))

    assert len(part_files.read(world.config, ledger, ledger.parts.ids())) > 300


@pytest.mark.parametrize("script", ["training.py", "diagnostics.py"])
def test_a_damaged_part_ends_a_stage_with_the_name_of_the_file(deployed, script):
    path = store.part_path(deployed.config, 1)
    path.write_bytes(path.read_bytes()[:-1])

    result = deployed.command(script)

    assert result.returncode == 74
    assert "00000001.parquet is damaged" in result.stderr
