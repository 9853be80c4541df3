"""Two machines with a disk of their own use one ledger, and one folder of an object store."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

import deployment
import ingestion
import training
from risk.admin import __main__ as admin
from risk.admin import backup, check, forget, restore, retention, sharing
from risk.errors import ConfigError, SourceError, StorageError, UsageError
from risk.models import model, releases
from tests.buckets import free_port
from tests.factories import HEADER, ROOT, World, customers, first_release, once

URL = "s3://acme/churn"
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
ROWS = HEADER + "a,1,2,3,0\nb,4,5,6,1\nc,1,2,many,0\n"


@pytest.fixture
def shared(bucket, world):
    world.take_from_inbox()
    world.set(shared_store=URL)
    return world


def another(world, folder, *, with_key=True):
    """Give a machine with the same settings, ledger and key, and an empty disk."""
    other = World(folder)
    other.settings = json.loads(json.dumps(world.settings))
    other.set(database_url=world.config.sqlalchemy_url)
    other.config.input_folder.mkdir(exist_ok=True)
    if with_key:
        shutil.copytree(world.folder / ".secrets", other.folder / ".secrets")
    return other


def with_a_release(world, tmp_path_factory):
    """Let a model go live, and all files of it be shared."""

    def build(past):
        past.take_from_inbox()
        for path in sorted((past.folder / "data/development").glob("*.csv")):
            shutil.copy(path, past.config.input_folder)
        past.run()

    world.copy_of(once(tmp_path_factory.getbasetemp(), "shared_release", build))
    world.set(shared_store=URL)
    with world.open_ledger() as ledger:
        sharing.share(world.config, ledger)


def test_a_drop_is_in_the_store_before_the_ledger_names_it(shared, bucket, monkeypatch, ledger):
    """A store that is away ends the run with 69, and nothing of the drop counts."""
    shared.drop("may.csv", ROWS)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SourceError, match=f"object store {URL}: "):
        ingestion.run(shared.config, ledger)
    assert ledger.ingestions.last_id() == 0

    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.address)
    ingestion.run(shared.config, ledger)

    digests = ledger.parts.digests([1])
    assert sorted(bucket.names())[0] == f"churn/data/ingested/parts/00000001-{digests[1]}.parquet"
    part = shared.config.ingested_folder / "parts" / "00000001.parquet"
    assert bucket.read(bucket.names()[0]) == part.read_bytes()
    kinds = [name.rpartition("-")[0].removeprefix("churn/") for name in sorted(bucket.names())]
    assert kinds[1:3] == ["data/quarantine/00000001/reasons", "data/quarantine/00000001/rows"]
    assert len(kinds) == 4


def release_four_more(config, ledger):
    """Let four more models go live, whatever they are worth."""
    for _ in range(4):
        training.run(config, ledger)
        deployment.run(config, ledger, by_force=True)


def files_of(world):
    """Give the content of all files that count, by name: data, quarantine, models, releases."""
    config, own = world.config, {}
    for folder in (config.ingested_folder, config.model_folder, config.deployment_folder):
        for path in folder.rglob("*"):
            of_machine = path.name.startswith(".") or path.name == config.api_call_filename
            if path.is_file() and not of_machine:
                own[str(path.relative_to(world.folder))] = path.read_bytes()
    return own


def test_another_machine_goes_on_where_the_first_one_stopped(shared, tmp_path_factory, tmp_path):
    """It has neither rows nor releases; its new release is then live on the first one too."""
    with_a_release(shared, tmp_path_factory)
    other = another(shared, tmp_path / "other")
    other.drop("more.csv", customers("x", 60, seed=1))

    there, here = other.run(), shared.run()

    assert (there.exit_code, here.exit_code) == (0, 0)
    assert "Release 2 is live" in there.line
    assert str(here) == "No new data."
    assert releases.live_version(shared.config.deployment_folder) == 2
    with shared.open_ledger() as ledger:
        fetched = sharing.fetch(shared.config, ledger)
        ingestion.run(shared.config, ledger)
    assert (fetched.exit_code, files_of(shared)) == (0, files_of(other))
    assert check.check(shared.config).faults == []


@pytest.mark.torture
def test_a_run_killed_at_any_moment_loses_nothing_in_the_store(shared, bucket, tmp_path):
    """Whatever the ledger names is there: another machine has the same rows afterwards."""
    command = [sys.executable, str(ROOT / "full_process.py")]
    command += ["--config", str(shared.folder / "config.json")]
    moments = np.linspace(0.9, 7.5, 10)
    for number, moment in enumerate(moments):
        grown = 60 * (number % 8 == 4)
        rows = customers(f"c{number}-", 60, seed=number, grown=grown) + "bad,1,many,3,0\n"
        shared.drop(f"{number}.csv", rows)
        with subprocess.Popen(command, env=os.environ | bucket.environment, **SILENT) as run:
            with suppress(subprocess.TimeoutExpired):
                run.wait(moment)
            run.kill()

    assert shared.run().exit_code == 0
    assert check.check(shared.config).faults == []
    other = another(shared, tmp_path / "other")
    with other.open_ledger() as ledger:
        assert sharing.fetch(other.config, ledger).missing == []
        ingestion.run(other.config, ledger)
        taken = ledger.ingestions.after(0)
    assert sum(drop.rows_added for drop in taken) == 60 * len(moments)
    assert sum(drop.rows_quarantined for drop in taken) == len(moments)
    data = [w.config.ingested_folder / "final_data.csv" for w in (shared, other)]
    assert data[0].read_bytes() == data[1].read_bytes()


def test_a_challenger_that_one_machine_trained_is_on_the_other(shared, tmp_path_factory, tmp_path):
    with_a_release(shared, tmp_path_factory)
    with shared.open_ledger() as ledger:
        training.run(shared.config, ledger)
    other = another(shared, tmp_path / "other")

    other.run()

    theirs, own = (w.config.model_folder / model.MANIFEST for w in (other, shared))
    assert theirs.read_bytes() == own.read_bytes()
    model.verify_files(theirs.parent, model.load_manifest(theirs.parent, key_of(other)))


def key_of(world):
    return (world.folder / world.config.signing_key_path).read_bytes()


def test_a_machine_without_the_key_is_told_what_to_copy(shared, tmp_path_factory, tmp_path):
    """It makes no key of its own, which would declare every release forged."""
    with_a_release(shared, tmp_path_factory)
    other = another(shared, tmp_path / "other", with_key=False)

    with pytest.raises(ConfigError, match=r"copy \.secrets/signing_key from there, or set RISK_"):
        other.run()

    assert not (other.folder / ".secrets").exists()


def test_a_part_lost_or_damaged_here_is_fetched(shared, ledger):
    shared.drop("may.csv", ROWS)
    shared.drop("june.csv", HEADER + "d,1,2,3,0\n")
    ingestion.run(shared.config, ledger)
    folder = shared.config.ingested_folder
    before = (folder / "final_data.csv").read_bytes()
    (folder / "parts" / "00000001.parquet").unlink()
    (folder / "parts" / "00000002.parquet").write_bytes(b"damaged")
    (folder / "final_data.csv").unlink()

    ingestion.run(shared.config, ledger)

    assert (folder / "final_data.csv").read_bytes() == before


def test_a_damaged_object_is_not_taken_for_the_file(shared, bucket, ledger):
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    part = shared.config.ingested_folder / "parts" / "00000001.parquet"
    bucket.write(sorted(bucket.names())[0], b"damaged")
    part.unlink()

    fetched = sharing.fetch(shared.config, ledger)

    assert fetched.exit_code == StorageError.exit_code
    assert "1 file neither here nor in the shared store, first data/ingested/parts" in str(fetched)
    assert not part.exists()


def test_a_forged_release_in_the_store_is_not_taken(shared, bucket, tmp_path_factory, tmp_path):
    """Who may write to the bucket, but does not have the key, changes nothing."""
    with_a_release(shared, tmp_path_factory)
    other = another(shared, tmp_path / "other")
    (name,) = (name for name in bucket.names() if "/1/manifest-" in name)
    signed = json.loads(bucket.read(name))
    signed["manifest"]["threshold"] = 0.01
    bucket.write(name, json.dumps(signed))

    with other.open_ledger() as ledger:
        fetched = sharing.fetch(other.config, ledger)

    assert fetched.missing == ["release 1"]
    assert releases.versions(other.config.deployment_folder) == []


def test_a_damaged_release_is_repaired_from_the_store(shared, tmp_path_factory):
    with_a_release(shared, tmp_path_factory)
    own = [shared.config.model_folder, releases.release_path(shared.config.deployment_folder, 1)]
    before = (own[1] / "trained_model.pkl").read_bytes()
    for folder in own:
        (folder / "trained_model.pkl").write_bytes(b"damaged")

    outcome = shared.run()

    assert (own[1] / "trained_model.pkl").read_bytes() == before
    assert "damaged" in outcome.line


def test_an_installation_that_had_files_before_shares_all_of_them(shared, bucket, tmp_path_factory):
    with_a_release(shared, tmp_path_factory)
    for name in bucket.names():
        if "ledger.txt" not in name:
            bucket.delete(name)
    (fault,) = check.check(shared.config).faults
    assert fault.repair == "run: python -m risk.admin share"

    with shared.open_ledger() as ledger:
        again = sharing.share(shared.config, ledger)

    assert again.missing == []
    assert check.check(shared.config).faults == []


def test_a_check_says_how_to_get_what_is_not_here(shared, ledger):
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    shutil.rmtree(shared.config.ingested_folder / "parts")
    shutil.rmtree(shared.config.quarantine_folder)

    faults = check.check(shared.config).faults

    assert len(faults) == 3
    assert all("run: python -m risk.admin fetch" in str(fault) for fault in faults)
    sharing.fetch(shared.config, ledger)
    assert check.check(shared.config).faults == []


def test_what_nobody_names_is_deleted(shared, bucket, ledger):
    """A crash left it there, before the ledger named it."""
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    named = bucket.names()
    bucket.write("churn/data/ingested/parts/00000002-0.parquet", b"left behind")

    shared_again = sharing.share(shared.config, ledger)

    assert str(shared_again) == "wrote 0 objects, deleted 1 object"
    assert bucket.names() == named


def test_a_machine_with_an_empty_disk_deletes_nothing(shared, bucket, tmp_path_factory, tmp_path):
    """Its operator may type share where fetch was meant."""
    with_a_release(shared, tmp_path_factory)
    before = bucket.names()
    other = another(shared, tmp_path / "other")

    with other.open_ledger() as ledger:
        outcome = sharing.share(other.config, ledger)

    assert str(outcome) == "wrote 0 objects, deleted 0 objects"
    assert bucket.names() == before


def test_files_of_another_folder_of_models_stay(shared, bucket, tmp_path_factory):
    """The README moves to another one at some time, and back is possible."""
    with_a_release(shared, tmp_path_factory)
    before = bucket.names()
    config = shared.set(output_model_path="models/production")

    with shared.open_ledger() as ledger:
        sharing.share(config, ledger)

    assert bucket.names() == before


def test_a_release_that_retention_deletes_goes_from_the_store(shared, bucket, tmp_path_factory):
    with_a_release(shared, tmp_path_factory)
    with shared.open_ledger() as ledger:
        release_four_more(shared.config, ledger)
        config = shared.set(keeping__keep_releases=3)

        pruned = retention.prune(config, ledger)

    left = {name.split("/")[3] for name in bucket.names() if "/releases/" in name}
    assert pruned.releases == [2]
    assert left == {"1", "3", "4", "5"}


def test_a_folder_of_another_ledger_is_refused_and_kept(shared, bucket, tmp_path):
    """Two installations that name the same folder would delete each other's files."""
    shared.drop("may.csv", ROWS)
    with shared.open_ledger() as ledger:
        ingestion.run(shared.config, ledger)
    before = bucket.names()
    stranger = World(tmp_path / "stranger")
    stranger.take_from_inbox()
    stranger.set(shared_store=URL)
    stranger.drop("may.csv", ROWS)

    with stranger.open_ledger() as ledger:
        for command in (ingestion.run, sharing.share):
            with pytest.raises(ConfigError, match="has the files of another ledger"):
                command(stranger.config, ledger)

    assert bucket.names() == before


def test_an_erased_person_is_not_in_the_store_either(shared, bucket, ledger):
    """Nor is the challenger, the release or the refused row that remembered them."""
    shared.drop("may.csv", customers("anna", 80, seed=3) + "berta,1,2,3,0\nberta,1,2,many,0\n")
    first_release(shared.config, ledger)

    forget.forget(shared.config, ledger, "berta")

    assert check.check(shared.config).faults == []
    assert sharing.absences(shared.config, ledger) == {}
    for name in bucket.names():
        assert b"berta" not in bucket.read(name)


def test_two_machines_that_had_a_person_both_lose_them(shared, bucket, tmp_path_factory, tmp_path):
    """Each has the rows, the release and the compiled files when the other one erases somebody."""
    shared.drop("may.csv", customers("anna", 80, seed=3) + "berta,1,2,3,0\nbob,4,5,6,1\n")
    with shared.open_ledger() as ledger:
        first_release(shared.config, ledger)
        other = another(shared, tmp_path / "other")
        sharing.fetch(other.config, ledger)
        ingestion.run(other.config, ledger)

        forget.forget(shared.config, ledger, "berta")
        forget.forget(other.config, ledger, "bob")
        for world in (shared, other):
            sharing.fetch(world.config, ledger)
            ingestion.run(world.config, ledger)

    for world in (shared, other):
        text = (world.config.ingested_folder / "final_data.csv").read_text()
        assert text.count("\n") == 81 and "berta" not in text and "bob" not in text
        assert check.check(world.config).faults == []
        assert releases.versions(world.config.deployment_folder) == [1]
    assert files_of(shared) == files_of(other)
    for name in bucket.names():
        assert b"berta" not in bucket.read(name) and b"bob" not in bucket.read(name)


def test_what_one_machine_pruned_is_no_fault_of_the_other(shared, tmp_path_factory, tmp_path):
    with_a_release(shared, tmp_path_factory)
    with shared.open_ledger() as ledger:
        release_four_more(shared.config, ledger)
        other = another(shared, tmp_path / "other")
        sharing.fetch(other.config, ledger)
        ingestion.run(other.config, ledger)
        retention.prune(shared.set(keeping__keep_releases=3), ledger)

        assert check.check(other.config).faults == []
        assert str(sharing.share(other.config, ledger)) == "wrote 0 objects, deleted 0 objects"
        sharing.fetch(shared.config, ledger)
    assert releases.versions(shared.config.deployment_folder) == [1, 3, 4, 5]


def test_an_object_that_lost_its_content_is_written_again(shared, bucket, ledger):
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    (name,) = (name for name in bucket.names() if "parts" in name)
    before = bucket.read(name)
    bucket.write(name, b"")

    assert len(check.check(shared.config).faults) == 1
    again = sharing.share(shared.config, ledger)

    assert str(again) == "wrote 1 object, deleted 0 objects"
    assert bucket.read(name) == before


def test_one_folder_may_be_written_in_several_ways(shared, ledger):
    """With a slash at its end, or with settings of the connection."""
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)

    for url in (f"{URL}/", f"{URL}?region=us-east-1"):
        assert sharing.share(shared.set(shared_store=url), ledger).missing == []


def test_a_restored_copy_leaves_the_files_of_the_original_alone(shared, bucket, tmp_path):
    shared.drop("may.csv", ROWS)
    with shared.open_ledger() as ledger:
        ingestion.run(shared.config, ledger)
        backup.back_up(shared.config, ledger, tmp_path / "backup")
        shared.drop("june.csv", HEADER + "d,1,2,3,0\n")
        ingestion.run(shared.config, ledger)
    before = bucket.names()
    copied = World(tmp_path / "copied")
    copied.settings = json.loads(json.dumps(shared.settings))
    copied.set()

    restore.restore(copied.config, tmp_path / "backup", holder="test")

    with copied.open_ledger() as ledger, pytest.raises(ConfigError, match=r"delete ledger\.txt"):
        sharing.share(copied.config, ledger)
    assert bucket.names() == before


def test_what_retention_deletes_goes_from_the_store(shared, bucket, ledger):
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    config = shared.set(keeping__keep_quarantine=0)

    retention.prune(config, ledger)

    assert not any("quarantine" in name for name in bucket.names())


def test_a_backup_has_the_files_that_are_only_in_the_store(shared, ledger, tmp_path):
    shared.drop("may.csv", ROWS)
    ingestion.run(shared.config, ledger)
    shutil.rmtree(shared.config.ingested_folder / "parts")

    done = backup.back_up(shared.config, ledger, tmp_path / "backup")

    assert (tmp_path / "backup/parts/00000001.parquet").exists()
    assert done.files > 0


@pytest.mark.parametrize("command", ["share", "fetch"])
def test_without_a_shared_store_there_is_nothing_to_do(world, ledger, command):
    with pytest.raises(UsageError, match="shared_store is not set"):
        admin.run(world.config, ledger, command=command)


def test_both_commands_say_what_they_did(shared, bucket):
    shared.drop("may.csv", ROWS)
    first = shared.command("ingestion.py", **bucket.environment)
    (shared.config.ingested_folder / "parts" / "00000001.parquet").unlink()

    fetched, written = (
        shared.command("risk/admin/__main__.py", word, **bucket.environment)
        for word in ("fetch", "share")
    )

    assert first.returncode == 0
    assert (fetched.returncode, fetched.stdout) == (0, "fetched 1 file and 0 releases\n")
    assert (written.returncode, written.stdout) == (0, "wrote 0 objects, deleted 0 objects\n")
