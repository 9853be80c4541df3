import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ingestion
from risk import store
from risk.admin import check
from risk.data import staging
from risk.errors import BusyError
from risk.ledger import lease
from tests.factories import HEADER, customers

ROOT = Path(__file__).parents[3]


def rows_of(world, ledger):
    rows = store.read_parts(world.config, ledger.parts.ids())
    return sorted(rows["corporation"])


@pytest.fixture
def inbox(world):
    """Give a world whose input folder is empty and whose ledger has its tables."""
    world.take_from_inbox()
    with world.open_ledger():
        return world


def writer(world, name):
    return lease.only_writer(world.config, holder=name)


def test_a_run_whose_lock_file_was_removed_stops_and_loses_nothing(inbox):
    """Somebody deleted it to get rid of a lock; the second run has the right to write now."""
    inbox.drop("a.csv", HEADER + "a,1,2,3,0\n")
    with writer(inbox, "first") as first:
        ingestion.run(inbox.config, first)
        (inbox.folder / "db" / "run.lock").unlink()
        inbox.drop("b.csv", HEADER + "b,1,2,3,0\nbad,x,2,3,0\n")
        with writer(inbox, "second") as second:
            ingestion.run(inbox.config, second)
        inbox.drop("c.csv", HEADER + "c,1,2,3,0\nworse,x,2,3,0\n")
        with pytest.raises(BusyError, match=r"db/run\.lock was removed while this run held it"):
            ingestion.run(inbox.config, first)

    with writer(inbox, "third") as third:
        ingestion.run(inbox.config, third)
        assert rows_of(inbox, third) == ["a", "b", "c"]
        assert [row.rows_added for row in third.ingestions.after(0)] == [1, 1, 1]
    assert not list(inbox.config.ingested_folder.rglob(".*"))
    assert not list(inbox.config.quarantine_folder.glob(".*"))


@pytest.mark.torture
@pytest.mark.parametrize("seconds", [0, 0.05, 0.1, 0.2, 0.4])
def test_two_processes_at_once_lose_nothing_when_the_lock_file_is_removed(inbox, seconds, tried):
    """The first stops before its next commit, or is done; a row is in one part, once."""
    for i in range(12):
        inbox.drop(f"a{i}.csv", customers(f"a{i}_", 400, seed=i))
    command = [sys.executable, "ingestion.py", "--config", inbox.folder / "config.json"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not (holder := inbox.folder / "db" / "run.holder").exists() and first.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    holder.with_suffix(".lock").unlink()
    inbox.drop("b.csv", customers("b_", 100, seed=99))

    second = inbox.command("ingestion.py")
    _, said = first.communicate()
    third = inbox.command("ingestion.py")

    tried("lock removed, two processes ingest", "no row twice, none missing", 1)
    assert first.returncode in (0, BusyError.exit_code), said
    assert (second.returncode, third.stdout) == (0, "no new data\n")
    with inbox.open_ledger() as ledger:
        rows = rows_of(inbox, ledger)
        assert len(rows) == len({*rows}) == 4900
        assert sum(drop.rows_added for drop in ledger.ingestions.after(0)) == 4900
    assert check.check(inbox.config).exit_code == 0


def test_of_two_runs_that_evaded_the_lock_one_records_a_number(inbox):
    """The other one's files do not take the place of those that count."""
    inbox.drop("a.csv", HEADER + "a,1,2,3,0\n")
    with inbox.open_ledger() as first, inbox.open_ledger() as second:
        record = type(first.ingestions).record

        def interrupted(self, row, **options):
            if self.database is first.database:
                (inbox.config.input_folder / "a.csv").unlink()
                inbox.drop("b.csv", HEADER + "b,1,2,3,0\nb2,1,2,3,0\n")
                ingestion.run(inbox.config, second)
            record(self, row, **options)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(first.ingestions), "record", interrupted)
            with pytest.raises(BusyError, match="another run recorded ingestion 1"):
                ingestion.run(inbox.config, first)

        assert rows_of(inbox, second) == ["b", "b2"]


def test_files_of_a_run_that_is_alive_are_not_swept(inbox, ledger):
    """Its host and process stand in their names; those of a dead one are deleted."""
    parts = store.part_path(inbox.config, 0).parent
    parts.mkdir(parents=True)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    host, alive = socket.gethostname(), os.getppid()
    kept = {f".00000009.{host}.{alive}.tmp", ".00000009.another-host.17.tmp"}
    for name in {
        *kept,
        f".00000009.{host}.{dead}.tmp",
        f"..00000009.{host}.{dead}.tmp.tmp",
        f".00000009.{host}.{os.getpid()}.tmp",
        ".00000009.parquet.tmp",
    }:
        (parts / name).write_bytes(b"PAR1")
    old = parts / ".00000009.former-host.17.tmp"
    old.write_bytes(b"PAR1")
    os.utime(old, (0, 0))

    staging.sweep(inbox.config, ledger)

    assert {path.name for path in parts.iterdir()} == kept
