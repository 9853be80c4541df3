import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

import ingestion
from risk.admin import __main__, check
from risk.config import Config
from risk.errors import BusyError, LedgerError
from risk.ledger import migrate, tables
from risk.ledger.lease import only_writer
from risk.ledger.ledger import Ledger
from risk.ledger.tables import leases, runs
from tests import servers
from tests.factories import World, customers

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from risk.config import Config
from risk.ledger.lease import only_writer

config = Config.load(Path(sys.argv[1]))
with only_writer(config, holder="the first") as ledger:
    print("held", flush=True)
    sys.stdin.readline()
    print(ledger.runs.start(), flush=True)
"""


@pytest.fixture
def elsewhere(world, tmp_path_factory):
    """Give what another machine has: its own disk and lock, the same database."""
    folder = tmp_path_factory.mktemp("elsewhere")
    settings = (world.folder / "config.json").read_text()
    (folder / "config.json").write_text(settings)
    return type(world.config).load(folder / "config.json")


@pytest.fixture
def holder(world):
    """Give what starts a process that holds the ledger of some settings until it may end."""
    started = []

    def start(config):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, config.root / "config.json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def row_of(ledger):
    with ledger.engine.connect() as connection:
        return connection.execute(sa.select(leases)).one()


@servers.on_remote_servers_in_turn
def test_two_machines_with_one_database_do_not_run_at_once(world, elsewhere):
    """Each has a lock of its own; the second learns who is at work, and where."""
    with only_writer(world.config, holder="full_process since noon") as ledger:
        with pytest.raises(BusyError, match="held by full_process since noon on .+; nothing was"):
            with only_writer(elsewhere, holder="another"):
                pytest.fail("both were let in")
        ledger.runs.start()

    with only_writer(elsewhere, holder="another") as ledger:
        assert ledger.runs.start() == 2


@pytest.mark.on(servers.POSTGRESQL)
def test_cron_on_a_second_machine_leaves_with_75(world, elsewhere):
    """And says who is at work."""
    with only_writer(elsewhere, holder="full_process since noon"):
        late = world.command("full_process.py")

    assert late.returncode == 75
    assert "held by full_process since noon on " in late.stderr


@servers.on_remote_servers_in_turn
def test_of_many_that_come_at_once_one_is_let_in(world, tmp_path_factory):
    """Whether or not there ever was a lease: no deadlock, no two winners, the others get 75."""
    with Ledger.open(world.config):
        pass
    places = [tmp_path_factory.mktemp("machine") for _ in range(4)]
    for place in places:
        (place / "config.json").write_text((world.folder / "config.json").read_text())
    configs = [type(world.config).load(place / "config.json") for place in places]
    together, all_have_tried = Barrier(4), Barrier(4)

    def come(config):
        together.wait(timeout=30)
        try:
            with only_writer(config, holder="one of four"):
                all_have_tried.wait(timeout=30)
                return "in"
        except BusyError:
            all_have_tried.wait(timeout=30)
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert sorted(pool.map(come, configs)) == ["in", "refused", "refused", "refused"]


@servers.on_remote_servers_in_turn
def test_the_lease_of_a_dead_holder_expires(world, elsewhere, holder):
    """SIGKILL on one machine: the other waits until the server's clock says so, no longer."""
    world.set(lease_seconds=5)
    holder(world.config).send_signal(signal.SIGKILL)
    with pytest.raises(BusyError), only_writer(elsewhere, holder="next"):
        pytest.fail("the lease was not honoured")
    with Ledger.open(world.config) as ledger:
        row = row_of(ledger)

    time.sleep(5)

    with only_writer(elsewhere, holder="next") as ledger:
        taken = row_of(ledger)
    assert row.expires_at - row.renewed_at == timedelta(seconds=5)
    assert taken.holder.startswith("next on ")
    assert taken.acquired_at >= row.expires_at


@servers.on_remote_servers_in_turn
def test_on_the_machine_of_the_dead_nobody_waits(world, holder):
    """Whoever has the lock there knows that no other holds the lease it left behind."""
    holder(world.config).send_signal(signal.SIGKILL)
    time.sleep(0.2)

    with only_writer(world.config, holder="next") as ledger:
        assert ledger.runs.start() == 1


@servers.on_remote_servers_in_turn
def test_a_copy_of_the_folder_does_not_take_the_lease_of_a_run_that_is_alive(world, holder):
    """Its notes are of another lock file, whose holder it knows nothing of."""
    process = holder(world.config)
    copied = world.folder.with_name("copied")
    shutil.copytree(world.folder, copied)

    with pytest.raises(BusyError, match="the ledger is held by the first on"):
        with only_writer(Config.load(copied / "config.json"), holder="the copy"):
            pytest.fail("the lease was taken from a run that is alive")

    out, _ = process.communicate("\n")
    assert out == "1\n"
    with only_writer(Config.load(copied / "config.json"), holder="the copy"):
        pass


@servers.on_remote_servers_in_turn
def test_a_holder_that_slept_too_long_writes_nothing_more(world, elsewhere, holder):
    """SIGSTOP, another machine takes over, SIGCONT: the first sees that it lost the lease."""
    world.set(lease_seconds=1)
    sleeper = holder(world.config)
    sleeper.send_signal(signal.SIGSTOP)
    time.sleep(1.2)

    with only_writer(elsewhere, holder="the second") as ledger:
        ledger.runs.start()
        sleeper.send_signal(signal.SIGCONT)
        said, complaint = sleeper.communicate("go on\n", timeout=30)
        ledger.runs.end("ok", "undisturbed")
        with ledger.engine.connect() as connection:
            found = connection.execute(sa.select(runs.c.id, runs.c.status)).all()

    assert said == ""
    assert "the ledger's lease was lost to the second on" in complaint
    assert found == [(1, "ok")]


@servers.on_remote_servers_in_turn
def test_a_lease_is_renewed_while_nothing_is_written(world, elsewhere):
    """A long training commits nothing for hours."""
    with only_writer(world.set(lease_seconds=3), holder="a long run") as ledger:
        time.sleep(4)
        with pytest.raises(BusyError), only_writer(elsewhere, holder="another"):
            pytest.fail("the lease was not renewed")
        ledger.runs.start()
        assert row_of(ledger).expires_at > row_of(ledger).acquired_at + timedelta(seconds=4)


@servers.on_remote_servers_in_turn
def test_a_transaction_longer_than_the_lease_keeps_it(world, elsewhere):
    """It locks the lease's row: nobody can renew it meanwhile, nor take it afterwards."""
    with only_writer(world.set(lease_seconds=1), holder="a long drop") as ledger:
        granted = row_of(ledger)
        at_commit = []
        with ledger.database.begin() as connection:
            sa.event.listen(
                ledger.engine,
                "commit",
                lambda held: at_commit.append(held.execute(sa.select(leases)).one()),
            )
            connection.execute(runs.insert().values(started_at=ledger.now(), status="running"))
            time.sleep(2.5)
            with pytest.raises(BusyError), only_writer(elsewhere, holder="another"):
                pytest.fail("another was let in meanwhile")
        with pytest.raises(BusyError), only_writer(elsewhere, holder="another"):
            pytest.fail("another was let in afterwards")
        assert at_commit[0].expires_at >= granted.expires_at + timedelta(seconds=2.5)

        assert ledger.runs.start() == 2


@servers.on_remote_servers_in_turn
def test_a_ledger_is_not_upgraded_under_a_run_on_another_machine(
    world, elsewhere, monkeypatch, tmp_path_factory
):
    """As every writer, whoever upgrades waits for his turn."""
    with only_writer(elsewhere, holder="a run") as ledger:
        servers.require_next_revision(monkeypatch, tmp_path_factory.mktemp("later"))
        with pytest.raises(BusyError, match="held by a run on") as refusal:
            __main__.run(world.config, command="upgrade")
        assert migrate.found_revision(ledger.engine) == tables.REVISION

    assert refusal.value.exit_code == 75
    assert f"upgraded from revision {tables.REVISION} to " in str(
        __main__.run(world.config, command="upgrade")
    )


@servers.on_remote_servers_in_turn
def test_a_lease_whose_grant_was_lost_on_the_way_is_no_obstacle(world, server):
    """The server has committed, the answer never came: the next run on this machine goes on."""
    granted = []
    with only_writer(world.config, holder="the first"):
        pass
    with Ledger.open(world.config) as ledger, servers.Proxy(server) as line:
        config = world.set(database_url=line.url)
        for number in range(1, 7):
            line.lose_answer_to = line.commits + number
            with suppress(LedgerError), only_writer(config, holder="unlucky"):
                continue
            granted.append(row_of(ledger).holder.startswith("unlucky on"))
            line.lose_answer_to = None
            with only_writer(config, holder="the next") as let_in:
                assert row_of(let_in).holder.startswith("the next on")
    assert any(granted)


def test_a_database_file_needs_no_lease(world):
    """The kernel's lock keeps others away, and is free as soon as its holder is dead."""
    with only_writer(world.config, holder="a run") as ledger:
        ledger.runs.start()
        with ledger.engine.connect() as connection:
            assert connection.execute(sa.select(leases)).all() == []


def test_a_ledger_that_knows_less_than_the_files_beside_it_is_refused(world, tmp_path):
    """An older copy was put back: the part of the drop it lacks is not swept away."""
    database = sa.make_url(world.config.sqlalchemy_url).database
    with only_writer(world.config, holder="two drops") as ledger:
        ingestion.run(world.config, ledger)
    shutil.copy(database, tmp_path / "older")
    world.drop("later.csv", (world.config.input_folder / "dataset1.csv").read_text() + "\n")
    with only_writer(world.config, holder="a third") as ledger:
        ingestion.run(world.config, ledger)
    shutil.copy(tmp_path / "older", database)
    parts = sorted(world.folder.rglob("*.parquet"))

    late = world.command("ingestion.py")

    assert late.returncode == LedgerError.exit_code
    assert "ingested_files.csv ends at ingestion 3, the ledger at 2: " in late.stderr
    assert sorted(world.folder.rglob("*.parquet")) == parts
    assert parts


@pytest.mark.parametrize("name", ["ingested/parts/00000003.parquet", "quarantine/00000003"])
def test_files_of_ingestions_that_the_ledger_does_not_know_are_not_swept_away(world, name):
    """The folder of the ledger was moved during a run; one file ahead is what a crash leaves."""
    with only_writer(world.config, holder="a run"):
        pass
    path = world.folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")

    refused = world.command("ingestion.py")
    path.rename(path.with_stem("00000001"))
    swept = world.command("ingestion.py")

    assert refused.returncode == LedgerError.exit_code
    assert f"data/{name} ends at ingestion 3, the ledger at 0: is database_url" in refused.stderr
    assert swept.returncode == 0
    assert not path.exists()


def shared_ledger(world, folder):
    """Give another host's installation that uses the same ledger, with a disk of its own."""
    other = World(folder)
    url = world.config.sqlalchemy_url
    world.set(database_url=url)
    other.set(database_url=url)
    return other


def test_a_second_host_with_a_disk_of_its_own_is_refused_at_once(world, tmp_path_factory):
    """It says what must be shared; the first host goes on."""
    other = shared_ledger(world, tmp_path_factory.mktemp("other"))
    first = world.command("ingestion.py")
    other.drop("later.csv", customers("later", 9, seed=1))
    before = content(other.folder)

    for script in ("ingestion.py", "full_process.py"):
        refused = other.command(script)
        assert refused.returncode == 74
        (line,) = refused.stderr.splitlines()
        assert "00000002.parquet, which is missing on" in line
        assert "hosts that use the same ledger must share the folder of the data" in line

    assert content(other.folder) == before
    assert (first.returncode, world.command("ingestion.py").stdout) == (0, "no new data\n")


def test_two_hosts_that_share_a_disk_take_turns(world, tmp_path_factory):
    """Each continues where the other stopped."""
    other = shared_ledger(world, tmp_path_factory.mktemp("other"))
    for name in ("data", "deployment", "models", ".secrets"):
        (world.folder / name).mkdir(exist_ok=True)
        shutil.rmtree(other.folder / name, ignore_errors=True)
        (other.folder / name).symlink_to(world.folder / name)

    for number, host in enumerate((world, other, world, other)):
        host.drop(f"{number}.csv", customers(f"c{number}_", 9, seed=number))
        assert host.command("ingestion.py").returncode == 0

    with Ledger.open(world.config, upgrade=False) as ledger:
        assert len(ledger.parts.ids()) == 6
    assert check.check(world.config).exit_code == check.check(other.config).exit_code == 0


def content(folder):
    """Return the files of an installation but its lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "db"]
    return {path: path.read_bytes() for path in paths}
