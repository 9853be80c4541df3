import json
import sqlite3
import time
from contextlib import closing

import pytest
from pydantic import SecretStr

import reporting
from risk import store
from risk.admin import check, retention
from risk.models import releases
from tests.factories import once, two_releases
from web import api_keys


def two_releases_and_a_report(world):
    two_releases(world)
    api_keys.create(world.config, "ci")
    with world.open_ledger() as ledger:
        reporting.report(world.config, ledger, formats=["json"])


@pytest.fixture
def world(world, shared):
    return world.copy_of(once(shared, "two_releases_and_a_report", two_releases_and_a_report))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def part(world):
    return min(store.part_path(world.config, 0).parent.iterdir())


def release(world, version):
    return releases.release_path(world.config.deployment_folder, version)


def test_a_sound_installation_is_verified_in_seconds_and_not_changed(world, tree):
    before, began = tree(), time.monotonic()

    found = check.check(world.config)

    assert found.exit_code == 0
    assert "2 releases, " in str(found)
    assert str(found).endswith(" parts, derived files; 0 faults")
    assert time.monotonic() - began < 10
    assert tree() == before


def test_before_the_first_run_nothing_is_wrong(new_world, tmp_path, tree):
    fresh = new_world(tmp_path / "fresh")

    assert check.check(fresh.config).exit_code == 0
    assert not (fresh.folder / ".secrets").exists()
    assert not (fresh.folder / "db").exists()


def refused(world):
    return min(world.config.quarantine_folder.glob("[0-9]*"))


def change(world, statement):
    with closing(sqlite3.connect(world.folder / "db" / "monitoring.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def damage_a_page(world):
    """Clear the page of an index, which is noticed only if somebody looks for it."""
    path = world.folder / "db" / "monitoring.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_findings_run_id'"
        ((page,),) = connection.execute(query)
        ((size,),) = connection.execute("PRAGMA page_size")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[(page - 1) * size + 3 : (page - 1) * size + 5] = bytes(2)  # it has no entry
    path.write_bytes(content)


def copy_an_older_file(world):
    """Put the model of release 1 where programs of others read that of the live one."""
    path = world.config.deployment_folder / "trained_model.pkl"
    path.unlink()
    path.write_bytes((release(world, 1) / path.name).read_bytes())


def exchange_ledger(world):
    """Leave an empty one, as a run with a wrong database_url does."""
    for path in (world.folder / "db").glob("monitoring.sqlite*"):
        path.unlink()
    with world.open_ledger():
        pass


HARMS = {
    "live model": (lambda w: flip_a_bit(release(w, 2) / "trained_model.pkl"), 76, "release 2"),
    "live score": (lambda w: flip_a_bit(release(w, 2) / "latest_score.csv"), 76, "release 2"),
    "older release": (lambda w: flip_a_bit(release(w, 1) / "reference.json.gz"), 76, "release 1"),
    "live link": (
        lambda w: releases.switch(w.config.deployment_folder, 1),
        76,
        "release 2 should be live",
    ),
    "copy in place of a link": (copy_an_older_file, 76, "are no links to those of release 2"),
    "part": (lambda w: flip_a_bit(part(w)), 74, ".parquet is damaged"),
    "missing part": (lambda w: part(w).unlink(), 74, ".parquet is missing; restore"),
    "derived file": (
        lambda w: (w.config.ingested_folder / "final_data.csv").write_text("x"),
        74,
        "final_data.csv has 1 bytes",
    ),
    "cell of a derived file": (
        lambda w: flip_a_bit(w.config.ingested_folder / "final_data.csv"),
        74,
        "final_data.csv differs from the accepted data; delete it and run: python ingestion.py",
    ),
    "record of drops": (
        lambda w: flip_a_bit(w.config.ingested_folder / "ingested_files.csv"),
        74,
        "ingested_files.csv differs from the accepted data",
    ),
    "refused rows": (
        lambda w: flip_a_bit(refused(w) / "rows.csv"),
        74,
        "rows.csv is damaged: it is not the file that was written; restore it from a backup",
    ),
    "reasons": (lambda w: flip_a_bit(refused(w) / "reasons.csv"), 74, "reasons.csv is damaged"),
    "lost reasons": (lambda w: (refused(w) / "reasons.csv").unlink(), 74, "reasons.csv: No such"),
    "report": (
        lambda w: flip_a_bit(w.config.report_folder / "00000002" / "report.json"),
        74,
        "report.json is damaged: it is not the file that was written; "
        "run: python reporting.py --run 2 --format json",
    ),
    "newest report": (
        lambda w: flip_a_bit(w.config.model_folder / "report.json"),
        74,
        "report.json is damaged",
    ),
    "chart": (
        lambda w: flip_a_bit(w.config.model_folder / "confusion_matrix.png"),
        74,
        "confusion_matrix.png is damaged",
    ),
    "predictions for reports": (
        lambda w: flip_a_bit(w.config.model_folder / "report_predictions.npz"),
        74,
        "report_predictions.npz is damaged: it is not the file that was written; "
        "run: python reporting.py",
    ),
    "scores": (
        lambda w: flip_a_bit(w.config.model_folder / "latest_score.csv"),
        74,
        "latest_score.csv is damaged: it is not the file that was written; run: python scoring.py",
    ),
    "page of the ledger": (damage_a_page, 69, "the ledger is damaged: "),
    "counts of the ledger": (
        lambda w: change(w, "UPDATE ingestions SET rows_read = rows_read + 1 WHERE id = 1"),
        74,  # the record of drops is no longer as it would be
        "the counts of ingestion 1 in the ledger do not add up",
    ),
    "challenger": (
        lambda w: flip_a_bit(w.config.model_folder / "trained_model.pkl"),
        76,
        "models/",
    ),
    "reference of the challenger": (
        lambda w: flip_a_bit(w.config.model_folder / "reference.json.gz"),
        76,
        "models/production/reference.json.gz is not the file",
    ),
    "missing derived file": (
        lambda w: (w.config.ingested_folder / "ingested_files.csv").unlink(),
        74,
        "ingested_files.csv",
    ),
    "API keys": (
        lambda w: flip_a_bit(w.folder / ".secrets" / "api_keys.json"),
        78,
        "api_keys.json",
    ),
    "lost key": (lambda w: (w.folder / ".secrets" / "signing_key").unlink(), 78, "signing key"),
    "empty key": (
        lambda w: (w.folder / ".secrets" / "signing_key").write_text(""),
        78,
        "signing key",
    ),
    "estimator": (lambda w: w.set(training__parameters={"depth": 1}), 78, "has no ['depth']"),
    "input folder": (lambda w: w.set(input_folder_path="nowhere"), 78, "nowhere does not exist"),
    "other ledger": (exchange_ledger, 69, "ends at ingestion 6, the ledger at 0: is database_url"),
    "ledger": (lambda w: (w.folder / "db" / "monitoring.sqlite").write_text("x"), 69, "ledger"),
}


@pytest.mark.parametrize("name", HARMS)
def test_each_fault_is_named_with_its_repair_and_exit_code(world, tried, name):
    harm, exit_code, said = HARMS[name]
    harm(world)

    found = check.check(world.config)

    tried("file damaged, lost or exchanged", "`check` names it and its repair", 1)
    assert found.exit_code == exit_code, str(found)
    assert said in str(found)
    assert str(found).count("restore it from a backup") <= 1


@pytest.mark.parametrize(
    "name",
    ["derived file", "missing derived file", "live model", "live link", "copy in place of a link"],
)
def test_the_repair_that_is_advised_works(world, name):
    HARMS[name][0](world)
    (fault,) = check.check(world.config).faults[:1]
    script = next(s for s in ("ingestion.py", "full_process.py") if s in str(fault))

    assert world.command(script).returncode == 0

    assert check.check(world.config).exit_code == 0


def test_a_derived_file_that_differs_is_made_again_once_it_is_deleted(world):
    """As the check advises."""
    path = world.config.ingested_folder / "final_data.csv"
    content = path.read_bytes()
    flip_a_bit(path)
    path.unlink()

    assert world.command("ingestion.py").returncode == 0

    assert path.read_bytes() == content
    assert check.check(world.config).exit_code == 0


def test_what_is_pruned_is_not_missed(world):
    """The digests of quarantine and reports go with them."""
    world.set(keeping={"keep_runs": 1, "keep_quarantine": 0})

    with world.open_ledger() as ledger:
        retention.prune(world.config, ledger)

    assert not [*world.config.quarantine_folder.glob("[0-9]*")]
    found = check.check(world.config)
    assert found.exit_code == 0, str(found)


def test_rows_compiled_by_an_earlier_version_are_compared_with_their_parts(world):
    """It recorded no digests of them."""
    change(world, "UPDATE ingestions SET compiled_bytes = NULL, compiled_sha256 = NULL")
    assert check.check(world.config).exit_code == 0

    flip_a_bit(world.config.ingested_folder / "final_data.csv")

    assert "final_data.csv differs from the accepted data" in str(check.check(world.config))


def test_a_source_out_of_reach_and_an_unusable_address_are_found(world):
    config = world.set(sources={"crm": {"table": "nothing", "high_water_mark": "id"}})
    hook = {"webhook_url": SecretStr("ftp://x"), "webhook_secret": SecretStr("s" * 32)}
    config = config.model_copy(update=hook)

    found = check.check(config)

    assert "source crm: " in str(found)
    assert "messages cannot be sent to webhook" in str(found)
    assert found.exit_code == 78


def test_the_command_answers_in_words_and_in_json(world):
    flip_a_bit(part(world))
    words = ["--config", str(world.folder / "config.json")]

    from tests import forks

    plain = forks.FORKS.run("risk.admin", [*words, "check"], forks.threads())
    as_json = forks.FORKS.run("risk.admin", [*words, "check", "--json"], forks.threads())

    assert plain.returncode == as_json.returncode == 74
    assert plain.stdout.startswith("wrong: ")
    assert json.loads(as_json.stdout)["faults"][0]["exit_code"] == 74
