import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from risk import database, tables
from risk.errors import LedgerError
from risk.ledger import Ledger, Taken

INTAKE = {
    "path": "a.csv",
    "sha256": "0" * 64,
    "status": "taken",
    "rows_read": 2,
    "rows_added": 2,
    "rows_duplicate": 0,
    "rows_quarantined": 0,
    "size_bytes": 1,
    "mtime_ns": 2,
    "ctime_ns": 3,
    "inode": 4,
}


def intake(number, **changes):
    return {"id": number, **INTAKE, "sha256": f"{number:064d}", **changes}


def test_models_and_migrations_agree(ledger):
    """A column that is added to a table needs a migration."""
    with ledger.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)

    assert differences == []


def test_the_revision_in_the_code_is_the_newest_migration():
    """Or every start would try to migrate."""
    scripts = ScriptDirectory(str(database.MIGRATIONS))

    assert scripts.get_current_head() == tables.REVISION


def test_migrations_go_down_and_up_again(ledger):
    """All tables go, all tables come back."""
    database.migrate(ledger.engine, "base")
    with ledger.engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}

    database.migrate(ledger.engine)

    with ledger.engine.connect() as connection:
        assert set(tables.metadata.tables) <= set(sa.inspect(connection).get_table_names())


FIRST = """
INSERT INTO runs (id, started_at, status) VALUES (1, '2026-01-01 00:00:00', 'ok');
INSERT INTO decisions (id, run_id, decided_at, action, reason)
VALUES (1, 1, '2026-01-01 00:00:00', 'keep', 'because');
INSERT INTO ingestions (id, run_id, decision_id, ingested_at, path, sha256, status, rows_read,
rows_added, rows_duplicate, rows_quarantined, size_bytes, mtime_ns, ctime_ns, inode)
VALUES (1, 1, 1, '2026-01-01 00:00:00', 'a.csv', 'abc', 'taken', 3, 2, 0, 1, 1, 2, 3, 4);
INSERT INTO quarantined_rows (id, ingestion_id, line, column_name, rule, value)
VALUES (1, 1, 2, 'x', 'y', 'z');
INSERT INTO row_hashes (row_hash, ingestion_id) VALUES (11, 1), (12, 1);
INSERT INTO findings (id, run_id, found_at, check_name, method, drift_detected, n, detail)
VALUES (1, 1, '2026-01-01 00:00:00', 'data_drift', 'psi', 1, 17, 'x: PSI 0.4')
"""
OLD_TABLES = ("runs", "decisions", "ingestions", "quarantined_rows", "row_hashes", "findings")


def read_table(ledger, name):
    with ledger.engine.connect() as connection:
        rows = connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()
        return [dict(row) for row in rows]


@pytest.fixture
def old(ledger):
    """Give a ledger of revision 0001 with rows in its tables."""
    database.migrate(ledger.engine, "0001")
    with ledger.engine.begin() as connection:
        for statement in FIRST.split(";"):
            connection.execute(sa.text(statement))
    return ledger


def test_a_ledger_with_a_past_is_upgraded_when_it_is_opened(world, old):
    """Nobody runs a migration by hand; every old row is there, and what is new is empty."""
    before = {name: read_table(old, name) for name in OLD_TABLES}

    with Ledger.open(world.config) as upgraded:
        after = {name: read_table(upgraded, name) for name in OLD_TABLES}

    for name in OLD_TABLES:
        assert [row | old_row for row, old_row in zip(after[name], before[name], strict=True)] == (
            after[name]
        )
    assert after["ingestions"][0]["kind"] == "rows"
    assert after["ingestions"][0]["assessment_id"] is None


def test_an_upgraded_ledger_still_watches_over_its_references(world, old):
    """Tables are copied to be changed; none may be left that refers to nothing."""
    with Ledger.open(world.config) as upgraded, upgraded.engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1
        assert list(connection.execute(sa.text("PRAGMA foreign_key_check"))) == []
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_going_back_keeps_what_the_older_revision_knew(old):
    """What is lost is what it had no place for."""
    before = {name: read_table(old, name) for name in OLD_TABLES}
    database.migrate(old.engine)

    database.migrate(old.engine, "0001")

    assert {name: read_table(old, name) for name in OLD_TABLES} == before


def test_a_newer_ledger_is_refused(world, ledger):
    """An old program must not write into a schema it does not know."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with (
        pytest.raises(LedgerError, match="of revision 9999.*update the project"),
        Ledger.open(world.config),
    ):
        pass


def test_times_come_back_aware_and_exact(ledger):
    """Written in any zone, read as UTC with microseconds."""
    moment = datetime(
        2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30))
    )
    ledger.now = lambda: moment

    ledger.decide("keep", "because")

    with ledger.engine.connect() as connection:
        found = connection.scalar(sa.select(tables.decisions.c.decided_at))
    assert found == moment
    assert found.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(ledger):
    """Nobody could tell what it means."""
    ledger.now = lambda: datetime(2026, 1, 1)  # noqa: DTZ001

    with pytest.raises(LedgerError, match="naive time"):
        ledger.decide("keep", "because")


@pytest.mark.parametrize("value", [0.1, 1e-300, 1.7976931348623157e308, None])
def test_floats_come_back_exactly(ledger, value):
    """A score is not rounded by being stored."""
    row = {"model_sha256": "0", "dataset": "Ünï/côdé 漢字.csv", "metric": "f1", "n": 5}
    ledger.record_scores([row | {"value": value, "lower": value, "upper": value}])

    with ledger.engine.connect() as connection:
        found = connection.execute(sa.select(tables.scores)).one()
    assert found.value == value or (value is not None and math.isclose(found.value, value))
    assert found.dataset == row["dataset"]


def test_an_ingestion_is_committed_whole_or_not_at_all(ledger):
    """A hash that exists already fails the transaction, and nothing of it stays."""
    ledger.record_ingestion(intake(1), taken=Taken(hashes=[11, 12]))

    with pytest.raises(LedgerError):
        ledger.record_ingestion(intake(2), taken=Taken(hashes=[13, 11]))

    assert ledger.last_ingestion_id() == 1
    assert ledger.known_hashes([11, 12, 13]) == [11, 12]


def test_the_same_bytes_cannot_be_taken_twice(ledger):
    """Even two writers without a lock meet the constraint."""
    ledger.record_ingestion(intake(1))

    with pytest.raises(LedgerError):
        ledger.record_ingestion(intake(2, sha256=f"{1:064d}"))


def test_hashes_are_looked_up_beyond_the_limit_of_one_statement(ledger):
    """5,000 of them, every second one known."""
    ledger.record_ingestion(intake(1), taken=Taken(hashes=range(0, 5000, 2)))

    assert sorted(ledger.known_hashes(range(5000))) == list(range(0, 5000, 2))


def test_a_decision_covers_the_ingestions_it_looked_at(ledger):
    """The third came after it was made."""
    for number in (1, 2, 3):
        ledger.record_ingestion(intake(number))

    ledger.decide("keep", "quiet", through=2)

    assert ledger.pending() == [3]


def test_a_switch_stays_open_until_it_is_carried_out(ledger):
    """A crash in between is what the next run looks for."""
    decision_id = ledger.decide("rollback", "by hand", version=4)

    assert ledger.open_decision().id == decision_id
    ledger.complete(decision_id)
    assert ledger.open_decision() is None
    assert ledger.champion_version() == 4


def test_a_failed_stage_is_no_timing(ledger):
    """Timings are of real, whole runs."""
    with pytest.raises(ZeroDivisionError), ledger.stage("training"):
        1 / 0  # noqa: B018
    with ledger.stage("training"):
        pass

    assert len(ledger.timings()) == 1


def test_a_run_cut_off_is_aborted_by_the_next(ledger):
    """It cannot say so itself."""
    ledger.start_run()
    ledger.start_run()

    with ledger.engine.connect() as connection:
        statuses = list(connection.scalars(sa.select(tables.runs.c.status)))
    assert statuses == ["aborted", "running"]


def test_a_database_that_cannot_be_reached_is_a_ledger_error_without_the_password(world):
    """Exit 69, and nothing secret in the message."""
    config = world.set(database_url="sqlite:////proc/no/ledger?password=geheim")

    with pytest.raises(LedgerError) as caught, Ledger.open(config):
        pass

    assert caught.value.exit_code == 69
    assert "geheim" not in str(caught.value)


def test_a_file_that_is_no_database_is_not_overwritten(world):
    """It may be somebody's."""
    path = world.folder / "db" / "monitoring.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, but it is somebody's file" * 30)

    with pytest.raises(LedgerError, match="not a database"), Ledger.open(world.config):
        pass

    assert path.read_bytes().startswith(b"this is not a database")
