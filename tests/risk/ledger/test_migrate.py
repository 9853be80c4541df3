import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from risk.admin import __main__ as admin
from risk.errors import LedgerError, NoLedger
from risk.ledger import migrate, tables
from risk.ledger.decisions import Reason
from risk.ledger.engines import make_engine
from risk.ledger.ledger import Ledger
from tests.servers import (
    NEXT,
    on_every_server,
    on_remote_servers,
    on_servers_in_turn,
    require_next_revision,
)
from tests.torture import in_full, sampled

ROWS = {
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
    "assessments": {
        "id": 1, "run_id": 1, "assessed_at": "2026-01-02 00:00:00", "version": 1, "n": 2,
        "profile": "{}", "summary": "", "cause": "",
    },
    "detectors": {"version": 1, "assessment_id": 1, "state": "{}"},
    "messages": {
        "id": 1, "run_id": 1, "decision_id": 1, "target": "mail", "event": "deployed",
        "title": "t", "body": "b", "happened_at": "2026-01-02 00:00:00",
    },
    "dataset_rows": {"row_hash": -(2**63), "ingestion_id": 1, "identifier": "7", "row": "{}"},
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


def references(engine):
    return sa.inspect(engine).get_foreign_keys("row_hashes")


def at_revision(engine, revision):
    """Let a ledger say that it is of another revision."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{revision}'"))


@pytest.fixture
def spoilt(server):
    """Let a test leave tables behind that are of no use to the next one."""
    yield
    server.clear()


@pytest.fixture
def old(ledger, tmp_path_factory, monkeypatch):
    """Give a ledger with rows in its tables, and a project that needs a later revision."""
    fill(ledger.engine, ROWS)
    require_next_revision(monkeypatch, tmp_path_factory.mktemp("later"))
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
    assert migrate.history()[-1][0] == tables.REVISION


@on_every_server
def test_a_migration_goes_up_and_down_again_with_rows_in_the_tables(old):
    """Up, every row is there with what is new; down, it is as it was."""
    before = content(old.engine, ROWS)

    migrate.migrate(old.engine)
    after = content(old.engine, ROWS)
    migrate.migrate(old.engine, tables.REVISION)

    assert after["assessments"] == [before["assessments"][0] | {"seconds": None}]
    assert after == before | {"assessments": after["assessments"]}
    assert content(old.engine, ROWS) == before
    assert differences(old.engine) == []


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


@on_every_server
def test_known_rows_stay_known_when_their_reference_goes(ledger):
    """Their table is copied by SQLite, changed in place by servers, and so back again."""
    fill(ledger.engine, ROWS)

    migrate.migrate(ledger.engine, "0017")
    assert [key["referred_table"] for key in references(ledger.engine)] == ["ingestions"]
    assert content(ledger.engine, ["row_hashes"]) == {"row_hashes": [ROWS["row_hashes"]]}
    migrate.migrate(ledger.engine)

    assert references(ledger.engine) == []
    assert content(ledger.engine, ["row_hashes"]) == {"row_hashes": [ROWS["row_hashes"]]}
    assert differences(ledger.engine) == []


def test_an_older_file_is_upgraded_when_it_is_opened(world, old):
    """Nobody runs a migration by hand; every old row is there, and what is new is empty."""
    before = content(old.engine, ROWS)

    with Ledger.open(world.config) as upgraded:
        after = content(upgraded.engine, ROWS)
        assert migrate.found_revision(upgraded.engine) == NEXT

    assert after == before | {"assessments": [before["assessments"][0] | {"seconds": None}]}


def test_an_upgraded_file_still_watches_over_its_references(world, old):
    """Tables are copied to be changed; none may be left that refers to nothing."""
    with Ledger.open(world.config) as upgraded, upgraded.engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1
        assert list(connection.execute(sa.text("PRAGMA foreign_key_check"))) == []


def test_before_an_upgrade_the_file_is_copied_beside_itself(world, old):
    """Whole, and of the older revision: who goes back to the older program takes it."""
    before = content(old.engine, ROWS)

    with Ledger.open(world.config):
        pass

    copy = world.folder / "db" / f"monitoring.{tables.REVISION}.sqlite"
    engine = make_engine(f"sqlite:///{copy}")
    assert migrate.found_revision(engine) == tables.REVISION
    assert content(engine, ROWS) == before
    engine.dispose()
    assert not list(copy.parent.glob(".*.tmp"))


def test_without_room_for_the_copy_nothing_is_upgraded(world, old):
    """The copy is what makes an upgrade safe."""
    (world.folder / "db" / f"monitoring.{tables.REVISION}.sqlite").mkdir()

    with (
        pytest.raises(Exception, match=f"monitoring.{tables.REVISION}.sqlite"),
        Ledger.open(world.config),
    ):
        pass

    assert migrate.found_revision(old.engine) == tables.REVISION


def test_an_older_ledger_is_not_upgraded_by_a_question(world, old):
    """A GET never writes."""
    with (
        pytest.raises(LedgerError, match="upgrade it: python -m risk.admin upgrade"),
        Ledger.open(world.config, upgrade=False),
    ):
        pass

    assert migrate.found_revision(old.engine) == tables.REVISION


@on_remote_servers
def test_an_older_ledger_on_a_server_is_refused_with_the_command(world, old):
    """Other machines may be at work with the older program: a person says when."""
    refused = f"revision {tables.REVISION}.*needs {NEXT}.*python -m risk.admin upgrade"
    with (
        pytest.raises(LedgerError, match=refused),
        Ledger.open(world.config),
    ):
        pass

    assert migrate.found_revision(old.engine) == tables.REVISION
    assert migrate.back_up(old.engine) is None


@on_servers_in_turn
@pytest.mark.parametrize("revision", sampled(["0001", "0002", "0003", "0004", "0005"], every=4))
def test_a_ledger_from_before_the_first_release_is_refused(world, ledger, revision):
    """Whoever opens it learns what to do; nothing is changed, nothing copied."""
    at_revision(ledger.engine, revision)

    for ask in (lambda: Ledger.open(world.config).__enter__(), lambda: admin.upgrade(world.config)):
        with pytest.raises(
            LedgerError, match=f"at revision {revision}.*start with an empty database"
        ) as refusal:
            ask()
        assert refusal.value.exit_code == 69

    assert migrate.found_revision(ledger.engine) == revision
    assert not list(world.folder.rglob(f"*{revision}*"))


@on_servers_in_turn
def test_a_newer_ledger_is_refused(world, ledger):
    """An old program must not write into a schema it does not know."""
    at_revision(ledger.engine, "9999")

    with (
        pytest.raises(LedgerError, match="at revision 9999.*update the project"),
        Ledger.open(world.config),
    ):
        pass


@on_servers_in_turn
def test_a_newer_ledger_is_not_upgraded_either(world, ledger):
    """The command refuses it with the same words, and before it copies anything."""
    at_revision(ledger.engine, "9999")

    with pytest.raises(LedgerError, match="at revision 9999.*update the project"):
        admin.upgrade(world.config)

    assert not list(world.folder.rglob("*9999*"))


@on_remote_servers
def test_a_new_ledger_is_made_by_a_run_and_not_by_a_question(world, server):
    """The first run prepares a database that is empty."""
    server.clear()

    with pytest.raises(NoLedger), Ledger.open(world.config, upgrade=False):
        pass
    with Ledger.open(world.config) as ledger:
        assert differences(ledger.engine) == []


@on_servers_in_turn
def test_a_database_of_others_is_left_alone(world, server, spoilt):
    """Their table has the name of one of ours."""
    server.clear()
    engine = make_engine(server.url or world.config.sqlalchemy_url)
    (world.folder / "db").mkdir(exist_ok=True)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE runs (distance INTEGER)"))

    with (
        pytest.raises(LedgerError, match="runs that does not belong to a ledger"),
        Ledger.open(world.config),
    ):
        pass

    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["runs"]
    engine.dispose()


@on_every_server
@pytest.mark.parametrize("every", [29, in_full(9)])
def test_a_first_migration_that_was_cut_off_goes_on_when_it_is_asked_for_again(
    world, server, every
):
    """At any statement: MariaDB has committed those before it, the others none of them."""
    (world.folder / "db").mkdir()
    engine = make_engine(server.url or world.config.sqlalchemy_url)

    for at in range(1, 200, every):
        empty_wholly(world, server, engine)
        with cut_off(engine, at) as begun:
            migrate.migrate(engine)
        if len(begun) < at:
            break
        migrate.migrate(engine)
        assert differences(engine) == []
    engine.dispose()

    assert len(begun) > 50


@on_every_server
def test_an_upgrade_that_was_cut_off_goes_on_when_it_is_asked_for_again(old):
    """Also where a table was changed already and the revision not yet noted; no row is lost."""
    before = content(old.engine, ROWS)

    for at in range(1, 20):
        with cut_off(old.engine, at) as begun:
            migrate.migrate(old.engine)
        migrate.migrate(old.engine)
        assert migrate.found_revision(old.engine) == NEXT
        migrate.migrate(old.engine, tables.REVISION)
        assert content(old.engine, ROWS) == before
        assert differences(old.engine) == []
        if len(begun) < at:
            break

    assert len(begun) > 4


@contextmanager
def cut_off(engine, at):
    """Break off at that change of the database; give the changes that were begun."""
    begun = []

    def cut(_connection, _cursor, statement, *_):
        if statement.split()[0].upper() in ("CREATE", "ALTER", "UPDATE", "INSERT"):
            begun.append(statement)
            if len(begun) == at:
                raise ConnectionAbortedError

    sa.event.listen(engine, "before_cursor_execute", cut)
    try:
        with suppress(ConnectionAbortedError):
            yield begun
    finally:
        sa.event.remove(engine, "before_cursor_execute", cut)


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

    assert (said.stdout, said.stderr) == (f"{len(migrate.history())}\n", "")


@on_every_server
def test_texts_recorded_before_the_facts_were_stay_as_they_are(ledger):
    """Down to the revision without facts and up again: each row has its text and no facts."""
    incident = {"version": 1, "kind": "data_drift", "subject": "x", "severity": "small"}
    ledger.incidents.open(incident | {"detail": "x moved", "direction": "higher", "n": 9})
    ledger.decisions.record("keep", Reason("quiet", "no_incident", {}))

    migrate.migrate(ledger.engine, "0006")
    views = content(ledger.engine, ["v_incidents"])
    migrate.migrate(ledger.engine)

    (known,), (decided,) = ledger.incidents.unresolved(), ledger.decisions.page().items
    assert "direction" not in views["v_incidents"][0]
    assert (known.detail, known.direction, known.n, known.facts) == ("x moved", None, None, None)
    assert (decided["reason"], decided["reason_code"]) == ("quiet", None)
    assert differences(ledger.engine) == []
