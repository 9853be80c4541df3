import json
import os
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from risk import store
from risk.admin.__main__ import run
from risk.errors import BusyError, NoLedger, UsageError
from risk.ledger import file_lock, migrate
from risk.ledger.engines import make_engine
from risk.ledger.ledger import Ledger
from risk.ledger.tables import REVISION
from tests import forks, servers

ROOT = Path(__file__).parents[3]


@pytest.fixture
def upkeep(world):
    """Give what runs `python -m risk.admin`, as its user would."""

    def call(*arguments):
        environment = {
            "PATH": os.environ["PATH"],
            "RISK_CONFIG": str(world.folder / "config.json"),
        }
        return forks.FORKS.run("risk.admin", [*arguments], forks.threads() | environment)

    return call


@servers.on_every_server
def test_an_older_ledger_is_upgraded(world, monkeypatch, tmp_path_factory):
    """Its rows stay; `current` says so before and after."""
    with Ledger.open(world.config) as ledger:
        ledger.runs.start()
    servers.require_next_revision(monkeypatch, tmp_path_factory.mktemp("later"))

    said = [run(world.config, command=command) for command in ("current", "upgrade", "current")]

    assert (
        said[0] == f"ledger schema is at revision {REVISION} (revision {servers.NEXT} is required)"
    )
    upgraded = f"ledger schema upgraded from revision {REVISION} to {servers.NEXT}"
    assert said[1].startswith(upgraded)
    assert said[2] == f"ledger schema is at revision {servers.NEXT} (up to date)"
    with Ledger.open(world.config, upgrade=False) as ledger:
        assert ledger.runs.page().total == 1


def test_an_upgraded_database_file_is_kept_as_it_was(world, monkeypatch, tmp_path_factory):
    """The command names the copy; the copy is of the old revision."""
    with Ledger.open(world.config):
        pass
    servers.require_next_revision(monkeypatch, tmp_path_factory.mktemp("later"))

    said = run(world.config, command="upgrade")

    (name,) = re.findall(r"; backup: (\S+)$", said)
    engine = make_engine(f"sqlite:///{world.folder / name}")
    assert migrate.found_revision(engine) == REVISION
    engine.dispose()


def test_a_ledger_from_before_the_first_release_is_refused_with_69(world, upkeep):
    """One sentence says what to do, and no trace of a stack."""
    with Ledger.open(world.config) as ledger, ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))

    result = upkeep("upgrade")

    assert (result.returncode, result.stdout) == (69, "")
    assert result.stderr.startswith("error: ledger schema is at revision 0003, of a development")
    assert "start with an empty database" in result.stderr
    assert upkeep("current").stdout.startswith("ledger schema is at revision 0003 (revision ")


def test_an_upgrade_of_what_is_right_changes_nothing(world, ledger):
    """Asked twice is asked once."""
    said = run(world.config, command="upgrade")

    assert said == f"ledger schema is already at revision {REVISION}"


def test_where_there_is_no_ledger_nothing_is_made_by_asking(world, upkeep):
    """69, and what to do; no empty file stays behind."""
    with pytest.raises(NoLedger):
        run(world.config, command="current")
    result = upkeep("export", "--to", "out")

    assert result.returncode == 69
    assert "there is no ledger yet" in result.stderr
    assert not (world.folder / "db").exists()


def test_the_history_of_the_schema_is_listed(world):
    """Every migration, oldest first, the last being the one that is needed."""
    lines = run(world.config, command="history").splitlines()

    files = sorted(path.name for path in (ROOT / "risk/ledger/migrations/versions").glob("0*.py"))
    assert [line[:4] for line in lines] == [name[:4] for name in files]
    assert lines[-1][:4] == REVISION


def test_what_is_kept_is_told_and_done(world, upkeep, ledger):
    """First the rehearsal, then the deed."""
    world.set(keeping__keep_quarantine=0)
    store.quarantine_rows(
        store.quarantine_path(world.config, 1),
        [["age"], ["old"]],
        [],
        separator=",",
        encoding="utf-8",
    )
    ledger.ingestions.record(
        {
            **dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 1),
            **dict.fromkeys(("rows_added", "rows_duplicate"), 0),
            **{"id": 1, "path": "a.csv", "sha256": "0" * 64, "status": "refused"},
            **{"rows_read": 1, "rows_quarantined": 1},
        }
    )

    said = [upkeep("prune", "--dry-run").stdout, upkeep("prune").stdout]

    assert said == [
        "would prune: quarantine of drop 1\n",
        "pruned: quarantine of drop 1\n",
    ]
    assert not store.quarantine_path(world.config, 1).exists()


def test_a_run_is_not_disturbed(world, upkeep, ledger):
    """Whoever changes something waits for his turn: 75."""
    with file_lock.lock(world.config, holder="full_process since noon"):
        with pytest.raises(BusyError):
            run(world.config, command="upgrade")
        result = upkeep("copy", "--to", "sqlite:///x")

    assert result.returncode == 75
    assert "held by full_process since noon" in result.stderr


@pytest.mark.on(servers.POSTGRESQL)
def test_a_ledger_moves_to_a_server_and_runs_go_on_there(
    tmp_path_factory, new_world, first_run, server
):
    """The README's three lines: copy, DATABASE_URL, run."""
    world = new_world(tmp_path_factory.mktemp("moving")).copy_of(first_run)

    copied = world.command("risk/admin/__main__.py", "copy", "--to", server.url)
    ran = world.command("full_process.py", DATABASE_URL=server.url)

    assert copied.stdout.splitlines()[-1].endswith(f"rows in total, to {server.url}"), copied.stderr
    assert "No new data" in ran.stdout, ran.stderr
    with Ledger.open(world.set(database_url=server.url), upgrade=False) as ledger:
        assert ledger.runs.page().total == 2
        assert ledger.decisions.live_version() == 1


def test_an_export_tells_what_it_wrote(world, upkeep, ledger, tmp_path):
    """For programs too."""
    ledger.runs.start()

    result = upkeep(
        "export", "--to", str(tmp_path / "out"), "--table", "runs", "--format", "parquet", "--json"
    )

    assert json.loads(result.stdout) == {"rows": {"runs": 1}, "to": str(tmp_path / "out")}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs.parquet"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["delete"], "invalid choice: 'delete'"),
        (["copy", "--to", "x", "--dry-run"], "copy does not accept --dry-run"),
        (["forget", os.fsdecode(b"M\xfcller")], "the ID is not UTF-8 text"),
    ],
)
def test_wrong_usage_is_told_as_such(ledger, upkeep, arguments, words):
    """64, one message, no traceback, nothing done."""
    result = upkeep(*arguments)

    assert result.returncode == 64
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": "export"}, "export requires --to FOLDER"),
        ({"command": "copy"}, "copy requires --to URL"),
        ({"command": "prune", "to": "x"}, "prune does not accept --to"),
        ({"command": "copy", "to": "x", "format": "csv"}, "copy does not accept --format"),
    ],
)
def test_an_option_belongs_to_its_command(world, ledger, options, words):
    """It is not silently ignored."""
    with pytest.raises(UsageError, match=words):
        run(world.config, ledger, **options)


def test_a_password_in_an_address_is_never_told(world, ledger, upkeep):
    """Neither in the error nor in the settings in force."""
    refused = upkeep("copy", "--to", "postgresql://me:hush@127.0.0.1:1/ledger")
    shown = upkeep("current", "--set", "database_url=mysql://me:hush@db/x", "--print-config")

    assert refused.returncode == 69
    assert shown.returncode == 0
    assert "hush" not in refused.stdout + refused.stderr + shown.stdout + shown.stderr


def test_help_tells_what_each_command_does(upkeep):
    """The docstring is the manual, under the name it is called by."""
    said = upkeep("--help").stdout

    assert said.startswith("usage: python -m risk.admin ")
    for command in ("upgrade", "current", "history", "prune", "export", "copy"):
        assert f"python -m risk.admin {command} " in said
