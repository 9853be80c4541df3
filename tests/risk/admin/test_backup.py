import os
import shutil
import signal
from pathlib import Path
from threading import Thread

import pytest

import ingestion
from risk.admin import backup, check, restore
from risk.config import Config
from risk.errors import StorageError, UsageError
from risk.ledger import file_lock, lease
from risk.ledger.ledger import Ledger
from tests import forks, servers
from tests.factories import World, customers, first_release, once, two_releases
from tests.torture import EVERY, in_full

DRIVER = Path(__file__).parents[2] / "admin_driver.py"


@pytest.fixture
def past(shared):
    """Give the folder of a world with two releases, parts and refused rows; it is only read."""
    return once(shared, "two_releases", two_releases)


@pytest.fixture
def saved(shared, past):
    """Give the backup of that world; it is only read."""
    return once(shared, "backup", lambda world: back_up(past, world.folder / "backup")) / "backup"


@pytest.fixture
def fresh(world, past):
    """Give an installation with the same settings in which nothing happened yet."""
    world.switch_to_production()
    shutil.copytree(past / "data", world.folder / "data", dirs_exist_ok=True)
    for name in ("ingested", "quarantine"):
        shutil.rmtree(world.folder / "data" / name)
    return world


def back_up(folder, to):
    config = Config.load(folder / "config.json")
    with Ledger.open(config, upgrade=False) as ledger:
        return backup.back_up(config, ledger, to)


def put_back(world, source, **options):
    return restore.restore(world.config, source, holder="test", **options)


def content(folder):
    """Return the links and files of an installation, but the ledger and an earlier stage's."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink())
        if path.parent.name not in ("db", "development")
    }


def drops(config):
    with Ledger.open(config, upgrade=False) as ledger:
        return ledger.ingestions.history(newest=99).astype("str").to_dict("records")


def test_a_backup_restores_the_whole_installation_elsewhere(fresh, past, saved):
    """Files and links are the same, the ledger has the same rows, and nothing is wrong."""
    restored = put_back(fresh, saved)

    assert restored.live == 2
    assert content(fresh.folder) == content(past)
    assert drops(fresh.config) == drops(Config.load(past / "config.json"))
    assert check.check(fresh.config).exit_code == 0


def test_a_backup_is_secret_and_names_its_files(saved):
    """It has the signing key; others may not read it."""
    assert saved.stat().st_mode & 0o077 == 0
    assert (saved / "keys" / "signing_key").stat().st_mode & 0o077 == 0
    assert not (saved / "ledger.sqlite-wal").exists()


def test_each_backup_made_while_drops_are_ingested_is_consistent(world, tmp_path_factory):
    """What the ledger of a backup names is in the backup, whenever it was made."""
    config = world.take_from_inbox()
    folder, backups = tmp_path_factory.mktemp("backups"), []

    def ingest():
        for number in range(8):
            world.drop(f"{number}.csv", customers(f"c{number}_", 5, seed=number))
            with lease.only_writer(config, holder="test") as ledger:
                ingestion.run(config, ledger)

    with world.open_ledger():
        pass
    writer = Thread(target=ingest)
    writer.start()
    while writer.is_alive():
        backups.append(folder / str(len(backups)))
        back_up(world.folder, backups[-1])
    writer.join()

    assert len(backups) > 1
    for source in backups:
        other = World(source.with_suffix(".restored"))
        other.take_from_inbox()
        put_back(other, source)
        assert check.check(other.config).exit_code == 0, source


def test_an_installation_with_data_is_replaced_only_on_demand(deployed, saved, tree):
    """The refusal says how; afterwards nothing of the other history is left."""
    before = tree()
    with pytest.raises(UsageError, match="has data, such as .*; .* add --force"):
        put_back(deployed, saved)
    assert tree() == before

    deployed.switch_to_production()
    put_back(deployed, saved, force=True)

    assert check.check(deployed.config).exit_code == 0
    assert len(drops(deployed.config)) == 6


def test_a_ledger_that_others_have_open_is_replaced_for_them_too(deployed, saved):
    """The API goes on with what was restored, rather than with a deleted file."""
    deployed.switch_to_production()
    with Ledger.open(deployed.config, upgrade=False) as ledger:
        put_back(deployed, saved, force=True)

        assert ledger.decisions.live_version() == 2


def test_a_ledger_that_is_no_database_any_more_is_replaced(deployed, saved):
    deployed.switch_to_production()
    (deployed.folder / "db" / "monitoring.sqlite").write_text("no database at all" * 500)

    put_back(deployed, saved, force=True)

    assert check.check(deployed.config).exit_code == 0


@pytest.mark.parametrize(
    "name", ["parts/00000002.parquet", "ledger.sqlite", "keys/signing_key", "backup.json"]
)
def test_a_damaged_backup_replaces_nothing(fresh, saved, tmp_path_factory, tree, name):
    """Every file is verified first; the error names it."""
    damaged = shutil.copytree(saved, tmp_path_factory.mktemp("damaged") / "backup")
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 255
    (damaged / name).write_bytes(content)
    before = tree()

    with pytest.raises(StorageError, match="is damaged"):
        put_back(fresh, damaged)

    assert {k: v for k, v in tree().items() if ".restored.tmp" not in k} == before
    assert not file_lock.restore_note(fresh.config).exists()


def test_a_damaged_part_is_never_backed_up_silently(past, tmp_path):
    """The backup fails, and names the part that an earlier one may still have."""
    world = shutil.copytree(past, tmp_path / "world", symlinks=True)
    part = min((world / "data" / "ingested" / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-1])

    with pytest.raises(StorageError, match="00000002.parquet is damaged"):
        back_up(world, tmp_path / "backup")

    assert not (tmp_path / "backup").exists()


def test_folders_that_are_no_place_for_a_backup_are_refused(past, fresh, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taken")

    with pytest.raises(UsageError, match="exists already"):
        back_up(past, folder)
    with pytest.raises(UsageError, match="is not a backup"):
        put_back(fresh, folder)


def test_a_backup_is_never_made_where_a_run_deletes_files(past):
    """As of reports, quarantine and releases; nor is one part of the next."""
    for name in ("reports/00000009", "data/quarantine/9", "deployment/releases/9"):
        with pytest.raises(UsageError, match="is within .*; name a folder elsewhere"):
            back_up(past, past / name)


def killed(world, point, *arguments):
    """Run an administration command that is killed at a point; say whether it was."""
    words = [str(world.folder), str(point), "--config", str(world.folder / "config.json")]
    ended = forks.FORKS.run(str(DRIVER), [*words, *map(str, arguments)], {**os.environ})
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


ALL_POINTS = in_full(1, 3 * EVERY)


@pytest.mark.parametrize(("first", "every"), [(100, 100), ALL_POINTS])
def test_a_backup_that_is_killed_leaves_none_and_the_next_is_whole(
    fresh, past, tmp_path_factory, tried, first, every
):
    """A folder of the name that was given is always a complete backup."""
    world = World(tmp_path_factory.mktemp("past")).copy_of(past)
    point, to = first, world.folder / "backup"

    while killed(world, point, "backup", to):
        assert not to.exists(), point
        point += every

    n = (point - first) // every
    tried("backup killed", "no half of a backup; the next is whole", n)
    assert n
    shutil.rmtree(fresh.folder / "db", ignore_errors=True)
    put_back(fresh, to)
    assert check.check(fresh.config).exit_code == 0


@pytest.mark.parametrize(("first", "every"), [(110, 120), ALL_POINTS])
def test_a_restore_that_is_killed_is_completed_before_any_run(
    new_world, tmp_path_factory, first_run, past, saved, tried, first, every
):
    """Until then a run is refused and says so; earlier nothing was replaced, later everything."""
    point, refused = first, 0
    while True:
        world = new_world(tmp_path_factory.mktemp("killed")).copy_of(first_run)
        world.switch_to_production()
        before = content(world.folder)
        if not killed(world, point, "restore", saved, "--force"):
            break
        if file_lock.restore_note(world.config).exists():
            refused += 1
            run = world.command("full_process.py")
            assert run.returncode == 74 and "a restore was interrupted" in run.stderr, point
            assert not killed(world, 0, "restore", saved)
        else:
            now = {k: v for k, v in content(world.folder).items() if ".restored.tmp" not in k}
            assert now in (before, content(past)), point
            put_back(world, saved, force=True)
        assert content(world.folder) == content(past), point
        assert check.check(world.config).exit_code == 0, point
        shutil.rmtree(world.folder)
        point += every

    n = (point - first) // every
    tried("restore killed", "no run before it is completed", n)
    assert refused


@servers.on_remote_servers
def test_a_ledger_on_a_server_is_backed_up_and_restored(world, tmp_path_factory, new_world):
    """To the same server, whose rows are replaced as a whole; and to a file elsewhere."""
    config, to = world.config, tmp_path_factory.mktemp("backups") / "backup"
    with Ledger.open(config) as ledger:
        first_release(config, ledger)
    before = drops(config)
    back_up(world.folder, to)
    world.drop("later.csv", customers("later", 9, seed=1))
    with Ledger.open(config) as ledger:
        ingestion.run(config, ledger)
    elsewhere = new_world(tmp_path_factory.mktemp("elsewhere"))

    put_back(world, to, force=True)
    put_back(elsewhere, to)

    assert drops(config) == drops(elsewhere.config) == before
    assert check.check(config).exit_code == check.check(elsewhere.config).exit_code == 0
    with Ledger.open(config) as ledger:  # IDs continue
        ingestion.run(config, ledger)
        assert ledger.ingestions.last_id() == len(before) + 1
