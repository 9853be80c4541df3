import gc
import tracemalloc

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from risk.errors import LedgerError
from risk.ledger import database
from risk.ledger.database import database_faults, insert_numbers, insert_rows
from risk.ledger.tables import later_labels, watermarks
from tests.servers import POSTGRESQL, Proxy, on_remote_servers, on_servers_in_turn

NAMES = ("source", "kind", "value", "ingestion_id")
WHOLE_NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture
def table(ledger):
    """Give a table of numbers and texts that nothing refers to, and take it away again."""
    table = sa.Table(
        'loaded "by" `us\'',
        sa.MetaData(),
        sa.Column("a key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("row", later_labels.c.y_true.type),
        sa.Column("value", watermarks.c.value.type),
    )
    table.create(ledger.engine)
    yield table
    table.drop(ledger.engine)


def load(ledger, table, rows):
    with database_faults(), ledger.engine.begin() as connection:
        insert_rows(connection, table, table.c.keys(), rows)


def stored(ledger, table):
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(sa.text("1")))]


@on_servers_in_turn
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        WHOLE_NUMBERS,
        st.tuples(st.none() | st.integers(-(2**31), 2**31 - 1), st.none() | TEXTS),
        max_size=20,
    )
)
def test_numbers_and_texts_come_back_as_they_were(ledger, table, rows):
    """Quotes, tabs, backslashes, percent signs, emoji, NULL: none of them means anything."""
    expected = sorted((key, *values) for key, values in rows.items())
    special = [(0, None, "\\N"), (1, None, ""), (2, 7, "%s %(a)s :b ? \\.\n'\"\t\r")]
    expected = sorted({row[0]: row for row in [*special, *expected]}.values())

    with ledger.engine.begin() as connection:
        connection.execute(table.delete())
    load(ledger, table, iter(expected))

    assert stored(ledger, table) == expected


@on_servers_in_turn
def test_more_rows_than_one_statement_takes(ledger, table, monkeypatch):
    """Several statements of one transaction, the last one not full."""
    monkeypatch.setattr(database, "ROWS_PER_STATEMENT", {"postgresql": 7, "sqlite": 7})
    monkeypatch.setattr(database, "ROWS_PER_INSERT", 7)
    rows = [(number, None, str(number)) for number in range(30)]

    load(ledger, table, rows)

    assert stored(ledger, table) == rows


@on_servers_in_turn
def test_long_texts_are_spread_over_statements(ledger, table):
    """Twelve rows of 2 MB, more than a server takes at once."""
    rows = [(number, None, str(number % 10) * 2_000_000) for number in range(12)]

    load(ledger, table, rows)

    assert stored(ledger, table) == rows


@on_servers_in_turn
def test_a_key_that_is_there_undoes_all_of_it(ledger, table):
    """The fault is a LedgerError like any other, whichever way the rows took."""
    with pytest.raises(LedgerError):
        load(ledger, table, [(1, None, "first"), (2, None, "second"), (1, None, "again")])

    assert stored(ledger, table) == []


@on_remote_servers
def test_a_line_that_is_cut_midway_leaves_nothing(world, ledger, table, server):
    """The server forgets what it was sent; the next transaction finds it well."""
    with Proxy(server) as proxy:
        engine = sa.create_engine(
            sa.make_url(proxy.url).set(drivername=ledger.engine.url.drivername),
            pool_pre_ping=True,
        )

        def rows():
            for number in range(200_000):
                if number == 150_000:
                    proxy.break_lines()
                yield number, None, "text"

        with pytest.raises(LedgerError), database_faults(), engine.begin() as connection:
            insert_rows(connection, table, table.c.keys(), rows())
        assert stored(ledger, table) == []

        with engine.begin() as connection:
            insert_rows(connection, table, table.c.keys(), [(1, 2, "text")])
        engine.dispose()

    assert stored(ledger, table) == [(1, 2, "text")]


@pytest.mark.on(POSTGRESQL)
def test_rows_go_by_copy_where_there_is_one(ledger, table):
    """The server itself says by which statement they came."""
    seen = []

    def rows():
        yield 1, None, "text"
        with ledger.engine.connect() as other:
            query = "SELECT query FROM pg_stat_activity WHERE query LIKE 'COPY %'"
            seen.extend(other.execute(sa.text(query)))
        yield 2, None, "text"

    with ledger.engine.begin() as connection:
        insert_rows(connection, table, table.c.keys(), [(0, None, "")])
        insert_rows(connection, table, table.c.keys(), rows())

    assert seen
    assert len(stored(ledger, table)) == 3


def test_numbers_that_were_inserted_and_looked_for_leave_memory(ledger, table):
    """At once, not when garbage is collected: a run may look for millions."""
    numbers = np.arange(10**12, 10**12 + 200_000)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with ledger.database.begin() as connection:
            insert_numbers(connection, table.c["a key"], numbers[::2])
        n_found = sum(1 for _ in ledger.database.among(table.c["a key"], numbers))
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    assert n_found == 100_000
    assert left < numbers.nbytes
