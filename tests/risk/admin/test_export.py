import csv
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from risk.admin.export import copy, export
from risk.errors import LedgerError, UnknownName, UsageError
from risk.ledger import views
from risk.ledger.ledger import Ledger
from risk.ledger.tables import leases, metadata
from tests import servers

TABLES = [table for table in metadata.sorted_tables if table is not leases]
TEXTS = ["=1+1;\"a\", 'b'\n", "'quoted Ünïcode ✓ 漢字", "@\tend "]
NUMBERS = [0.1, -1.7976931348623157e308, None]
START = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
OTHERS = {
    servers.SQLITE: servers.POSTGRESQL,
    servers.POSTGRESQL: servers.MARIADB,
    servers.MARIADB: servers.SQLITE,
}


def value_of(column, number):
    """Make the value of a column in row 1, 2 or 3: refer to what is there, else be extreme."""
    if column.name in ("duplicate_of", "requeued_as"):
        return {("duplicate_of", 3): 1, ("requeued_as", 1): 3}.get((column.name, number))
    if column.foreign_keys or column.primary_key and isinstance(column.type, sa.Integer):
        return number
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, sa.Integer):
        most = 2**63 if isinstance(kind, sa.BigInteger) else 2**31
        return [most - 1, -most, 0][number - 1]
    if kind.python_type is float:
        return NUMBERS[number - 1] if column.nullable else float(number)
    if kind.python_type is datetime:
        return START + timedelta(days=number)
    if kind.python_type is bool:
        return number == 2
    return TEXTS[number - 1][: getattr(kind, "length", None)]


@pytest.fixture
def full(ledger):
    """Give a ledger with three rows in every table, one referring to another of its own table."""
    with ledger.engine.begin() as connection:
        for table in TABLES:
            rows = [{c.name: value_of(c, n) for c in table.c} for n in (1, 2, 3)]
            later = [row.pop("requeued_as", None) for row in rows]
            connection.execute(table.insert(), rows)
            if any(later):
                change = table.update().where(table.c.id == 1).values(requeued_as=later[0])
                connection.execute(change)
    return ledger


@pytest.fixture
def other(server, tmp_path):
    """Give the address of an empty database on another kind of server."""
    with ExitStack() as stack:
        kind = OTHERS[server.name]
        if kind == servers.SQLITE:
            yield f"sqlite:///{tmp_path / 'copy.sqlite'}"
        else:
            yield stack.enter_context(servers.new_place(kind, "other")).url


def everything(engine):
    with engine.connect() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.c))
            ]
            for table in TABLES
        }


def opened(world, url):
    return Ledger.open(world.config.model_copy(update={"database_url": url}))


@servers.on_servers_in_turn
def test_a_copy_is_equal_row_by_row_on_another_kind_of_server(world, full, other):
    """Numbers to the last digit, moments to the microsecond, texts in any script, references."""
    before = everything(full.engine)

    copied = copy(world.config, full, other)

    with opened(world, other) as there:
        assert everything(there.engine) == before
    assert copied.rows == {table.name: 3 for table in TABLES}
    assert all(len(rows) == 3 for rows in before.values())


@servers.on_servers_in_turn
def test_a_copy_goes_on_where_the_original_ends(world, full, other):
    """The next run, decision and message get numbers nobody has."""
    copy(world.config, full, other)

    with opened(world, other) as there:
        assert there.runs.start() == 4
        assert there.decisions.record("keep", "no incident is open") == 4


@servers.on_servers_in_turn
def test_only_an_empty_database_is_copied_to(world, full, other):
    """Two ledgers are not mixed; the refusal leaves the other as it is."""
    with opened(world, other) as there:
        there.runs.start()

    with pytest.raises(UsageError, match="not empty; tables with rows: runs$"):
        copy(world.config, full, other)

    with opened(world, other) as there:
        assert {name: len(rows) for name, rows in everything(there.engine).items() if rows} == {
            "runs": 1
        }


@servers.on_remote_servers_in_turn
def test_a_copy_that_was_cut_off_left_nothing(world, server, tmp_path):
    """The line breaks in the middle of the tables; the next attempt succeeds."""
    url = f"sqlite:///{tmp_path / 'source.sqlite'}"
    with opened(world, url) as source, servers.Proxy(server) as line:
        source.runs.start()
        config = world.config.model_copy(update={"database_url": url})

        with breaking(line, before="INSERT INTO runs"), pytest.raises(LedgerError):
            copy(config, source, line.url)

        with opened(world, server.url) as there:
            assert there.runs.page().total == 0
        assert copy(config, source, server.url).rows["runs"] == 1


@contextmanager
def breaking(line, *, before):
    """Cut the line when a statement is about to be sent."""

    def monitored(_, statement, *__):
        if before in str(statement):
            line.cut()

    sa.event.listen(sa.Engine, "before_execute", monitored)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_execute", monitored)


def test_a_password_is_not_told(world, full, tmp_path):
    """Neither when it went well nor when the server cannot be reached."""
    with pytest.raises(LedgerError) as refusal:
        copy(world.config, full, "postgresql://me:hush@127.0.0.1:1/ledger")

    assert "hush" not in str(refusal.value)


def test_a_password_among_the_options_of_an_address_is_not_told(world, full, other):
    """PostgreSQL takes it there too."""
    copied = copy(world.config, full, f"{other}?password=hush&application_name=moving")

    assert copied.to == f"{other}?password=***&application_name=moving"
    assert "hush" not in repr(copied)


@servers.on_servers_in_turn
def test_parquet_files_hold_what_the_tables_hold(full, tmp_path):
    """Read by pyarrow itself: every table, every value, every type."""
    exported = export(full, tmp_path / "out", kind="parquet")

    expected = everything(full.engine)
    for name, rows in expected.items():
        found = pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert {tuple(row.values()) for row in found} == set(rows)
        assert exported.rows[name] == 3
    assert {*views.metadata.tables} <= {*exported.rows}


@servers.on_servers_in_turn
def test_csv_files_hold_what_the_tables_hold(full, tmp_path):
    """Empty and missing are told apart; one apostrophe less gives each text again."""
    export(full, tmp_path, kind="csv", names=["incidents", "scores"])

    for name in ("incidents", "scores"):
        convert = pa_csv.ConvertOptions(
            strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        )
        parse = pa_csv.ParseOptions(newlines_in_values=True)
        found = pa_csv.read_csv(
            tmp_path / f"{name}.csv", parse_options=parse, convert_options=convert
        )
        rows = [tuple(map(_plain, row.values())) for row in found.to_pylist()]
        assert rows == everything(full.engine)[name]
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["incidents.csv", "scores.csv"]


def _plain(value):
    return value.removeprefix("'") if isinstance(value, str) else value


def test_no_cell_of_an_exported_csv_file_is_run_by_a_spreadsheet(full, tmp_path):
    """Read by Python's own reader: nothing but numbers begins with =, +, -, @ or a tab."""
    export(full, tmp_path)

    cells = []
    for path in tmp_path.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    risky = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert f"'{TEXTS[0]}" in cells
    assert all(float(cell) < 0 for cell in risky)


def test_views_are_exported_under_their_names(full, tmp_path):
    """As analysts know them."""
    exported = export(full, tmp_path, names=["v_run_summary"])

    assert exported.rows == {"v_run_summary": 3}
    assert (tmp_path / "v_run_summary.csv").read_text().startswith('"run_id","started_at"')


def test_what_is_not_there_cannot_be_exported(full, tmp_path):
    """And nothing is written."""
    with pytest.raises(UnknownName, match="unknown table or view customers; available: "):
        export(full, tmp_path / "out", names=["runs", "customers"])

    assert not (tmp_path / "out").exists()
