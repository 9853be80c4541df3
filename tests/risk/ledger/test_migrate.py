import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from risk.admin import __main__
from risk.errors import LedgerError, NoLedger
from risk.ledger import migrate, tables
from risk.ledger.engines import make_engine
from risk.ledger.ledger import Ledger
from tests.servers import on_every_server, on_remote_servers

REVISIONS = [revision for revision, _ in migrate.history()]
COMMON = {
    "runs": {"id": 1, "started_at": "2026-01-01 00:00:00.123456", "status": "ok"},
    "decisions": {
        "id": 1, "run_id": 1, "decided_at": "2026-01-01 00:00:00", "action": "keep",
        "reason": "weil 漢字",
    },
    "ingestions": {
        "id": 1, "run_id": 1, "decision_id": 1, "ingested_at": "2026-01-01 00:00:00",
        "path": "a.csv", "sha256": "abc", "taken_sha256": "abc", "status": "taken",
        "rows_read": 3, "rows_added": 2, "rows_duplicate": 0, "rows_quarantined": 1,
        "size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3, "inode": 4,
    },
    "quarantined_rows": {
        "id": 1, "ingestion_id": 1, "line": 2, "column_name": "x", "rule": "y", "value": "z"
    },
    "row_hashes": {"row_hash": -(2**63), "ingestion_id": 1},
    "findings": {
        "id": 1, "run_id": 1, "found_at": "2026-01-01 00:00:00", "check_name": "data_drift",
        "method": "psi", "drift_detected": True, "n": 17, "detail": "x: PSI 0.4", "p_value": 1e-9,
    },
    "releases": {
        "version": 1, "run_id": 1, "created_at": "2026-01-01 00:00:00", "model_sha256": "0",
        "rows_trained": 5, "proven": False, "manifest": "{}",
    },
}  # fmt: skip
LATER = {
    "0002": {
        "assessments": {
            "id": 1, "run_id": 1, "assessed_at": "2026-01-02 00:00:00", "version": 1, "n": 2,
            "profile": "{}", "summary": "", "cause": "",
        },
        "detectors": {"version": 1, "assessment_id": 1, "state": "{}"},
        "predictions": {"row_hash": 11, "version": 1, "y_pred_proba": 0.1},
    },
    "0003": {
        "messages": {
            "id": 1, "run_id": 1, "decision_id": 1, "target": "mail", "event": "deployed",
            "title": "t", "body": "b", "happened_at": "2026-01-02 00:00:00",
        },
    },
    "0004": {
        "dataset_rows": {"row_hash": -(2**63), "ingestion_id": 1, "identifier": "7", "row": "{}"},
        "watermarks": {"source": "crm", "ingestion_id": 1, "value": "5", "kind": "integer"},
    },
}  # fmt: skip


def fill(engine, rows):
    """Write with the words of SQL, as a program of that revision would have."""
    with engine.begin() as connection:
        for name, row in rows.items():
            table = sa.table(name, *map(sa.column, row))
            connection.execute(table.insert().values(row))


def content(engine, names):
    with engine.connect() as connection:
        found = {}
        for name in names:
            rows = connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()
            found[name] = [dict(row) for row in rows]
        return found


def differences(engine):
    """Return what the models say and the migrations did not do, columns' types included."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, tables.metadata)


@pytest.fixture
def spoilt(server):
    """Let a test leave tables behind that are of no use to the next one."""
    yield
    server.clear()


@pytest.fixture
def old(ledger):
    """Give a ledger of revision 0001 with rows in its tables."""
    migrate.migrate(ledger.engine, "0001")
    fill(ledger.engine, COMMON)
    return ledger


@on_every_server
def test_models_and_migrations_agree(ledger):
    """A column that is added to a table needs a migration."""
    assert differences(ledger.engine) == []


@on_every_server
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE leases ADD COLUMN surplus INTEGER",
        "ALTER TABLE leases DROP COLUMN holder",
        "DROP TABLE watermarks",
    ],
)
def test_a_difference_between_models_and_migrations_is_found(ledger, spoilt, change):
    """The test before this one can fail."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text(change))

    assert len(differences(ledger.engine)) >= 1


def test_the_revision_in_the_code_is_the_newest_migration():
    """Or every start would try to migrate."""
    assert ScriptDirectory(str(migrate.MIGRATIONS)).get_heads() == [tables.REVISION]
    assert REVISIONS[-1] == tables.REVISION


@on_every_server
def test_every_migration_goes_down_and_up_again_with_rows_in_the_tables(old):
    """One step at a time: up, each revision gets rows; down, each keeps what it knew."""
    engine, known, before = old.engine, list(COMMON), {}
    for revision in REVISIONS[1:]:
        before[revision] = content(engine, known)
        migrate.migrate(engine, revision)
        fill(engine, LATER.get(revision, {}))
        known += LATER.get(revision, {})
    newest = content(engine, known)

    for revision, lower in zip(REVISIONS[:0:-1], REVISIONS[-2::-1], strict=True):
        migrate.migrate(engine, lower)
        found = content(engine, before[revision])
        assert found == before[revision], f"down to {lower}"

    migrate.migrate(engine)
    assert differences(engine) == []
    for name in COMMON:
        again = content(engine, [name])[name]
        assert [row | old_row for row, old_row in zip(again, newest[name], strict=True)] == (
            newest[name]
        )


@on_every_server
def test_all_tables_go_and_come_back(ledger):
    """Down to nothing, up to everything."""
    migrate.migrate(ledger.engine, "base")
    with ledger.engine.connect() as connection:
        inspector = sa.inspect(connection)
        assert set(inspector.get_table_names()) == {"alembic_version"}
        assert inspector.get_view_names() == []

    migrate.migrate(ledger.engine)

    assert differences(ledger.engine) == []


def test_an_older_file_is_upgraded_when_it_is_opened(world, old):
    """Nobody runs a migration by hand; every old row is there, and what is new is empty."""
    before = content(old.engine, COMMON)

    with Ledger.open(world.config) as upgraded:
        after = content(upgraded.engine, COMMON)

    for name in COMMON:
        assert [row | old_row for row, old_row in zip(after[name], before[name], strict=True)] == (
            after[name]
        )
    assert after["ingestions"][0]["kind"] == "rows"
    assert after["ingestions"][0]["assessment_id"] is None


def test_an_upgraded_file_still_watches_over_its_references(world, old):
    """Tables are copied to be changed; none may be left that refers to nothing."""
    with Ledger.open(world.config) as upgraded, upgraded.engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1
        assert list(connection.execute(sa.text("PRAGMA foreign_key_check"))) == []
    assert differences(old.engine) == []


def test_before_an_upgrade_the_file_is_copied_beside_itself(world, old):
    """Whole, and of the older revision: who goes back to the older program takes it."""
    before = content(old.engine, COMMON)

    with Ledger.open(world.config):
        pass

    copy = world.folder / "db" / "monitoring.0001.sqlite"
    engine = make_engine(f"sqlite:///{copy}")
    assert migrate.found_revision(engine) == "0001"
    assert content(engine, COMMON) == before
    engine.dispose()
    assert not list(copy.parent.glob(".*.tmp"))


def test_without_room_for_the_copy_nothing_is_upgraded(world, old):
    """The copy is what makes an upgrade safe."""
    (world.folder / "db" / "monitoring.0001.sqlite").mkdir()

    with pytest.raises(Exception, match="monitoring.0001.sqlite"), Ledger.open(world.config):
        pass

    assert migrate.found_revision(old.engine) == "0001"


def test_an_older_ledger_is_not_upgraded_by_a_question(world, old):
    """A GET never writes."""
    with (
        pytest.raises(LedgerError, match="upgrade it: python -m risk.admin upgrade"),
        Ledger.open(world.config, upgrade=False),
    ):
        pass

    assert migrate.found_revision(old.engine) == "0001"


@on_remote_servers
def test_an_older_ledger_on_a_server_is_refused_with_the_command(world, old):
    """Other machines may be at work with the older program: a person says when."""
    with (
        pytest.raises(LedgerError, match="revision 0001.*needs .*python -m risk.admin upgrade"),
        Ledger.open(world.config),
    ):
        pass

    assert migrate.found_revision(old.engine) == "0001"
    assert migrate.back_up(old.engine) is None


@on_every_server
def test_a_newer_ledger_is_refused(world, ledger):
    """An old program must not write into a schema it does not know."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with (
        pytest.raises(LedgerError, match="of revision 9999.*update the project"),
        Ledger.open(world.config),
    ):
        pass


@on_every_server
def test_a_newer_ledger_is_not_upgraded_either(world, ledger):
    """The command refuses it with the same words, and before it copies anything."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(LedgerError, match="of revision 9999.*update the project"):
        __main__.upgrade(world.config)

    assert not list(world.folder.rglob("*9999*"))


@on_remote_servers
def test_a_new_ledger_is_made_by_a_run_and_not_by_a_question(world, server):
    """The first run prepares a database that is empty."""
    server.clear()

    with pytest.raises(NoLedger), Ledger.open(world.config, upgrade=False):
        pass
    with Ledger.open(world.config) as ledger:
        assert differences(ledger.engine) == []


@on_every_server
def test_a_database_of_others_is_left_alone(world, server, spoilt):
    """Their table has the name of one of ours."""
    server.clear()
    engine = make_engine(server.url or world.config.sqlalchemy_url)
    (world.folder / "db").mkdir(exist_ok=True)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE runs (distance INTEGER)"))

    with (
        pytest.raises(LedgerError, match="runs that is not of a ledger"),
        Ledger.open(world.config),
    ):
        pass

    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["runs"]
    engine.dispose()


@on_every_server
def test_a_migration_that_was_cut_off_goes_on_when_it_is_asked_for_again(world, server):
    """At every statement: MariaDB has committed those before it, the others none of them."""
    (world.folder / "db").mkdir()
    engine = make_engine(server.url or world.config.sqlalchemy_url)
    count = at = 0

    @sa.event.listens_for(engine, "before_cursor_execute")
    def cut(_connection, _cursor, statement, *_):
        nonlocal count
        count += statement.split()[0].upper() in ("CREATE", "ALTER", "UPDATE", "INSERT")
        if count == at:
            raise ConnectionAbortedError

    for at in range(1, 200, int(os.environ.get("CUT_EVERY", "9"))):
        empty_wholly(world, server, engine)
        count = 0
        try:
            migrate.migrate(engine)
            break
        except ConnectionAbortedError:
            at = 0
            migrate.migrate(engine)
        assert differences(engine) == []
    engine.dispose()

    assert count > 50


def empty_wholly(world, server, engine):
    engine.dispose()
    server.clear()
    for file in (world.folder / "db").iterdir():
        file.unlink()


def test_alembic_says_nothing_on_the_way(tmp_path):
    """What cron mails is what happened."""
    run = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from risk.ledger import engines, migrate\n"
        f"engine = engines.make_engine('sqlite:///{tmp_path}/x.sqlite')\n"
        "migrate.migrate(engine); print(len(migrate.history()))"
    )

    said = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True)

    assert (said.stdout, said.stderr) == (f"{len(REVISIONS)}\n", "")
