"""The database: how the ledger connects to it, asks it and writes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from risk.config import Config
from risk.errors import LedgerError, NoLedger, RiskError
from risk.ledger import migrate
from risk.ledger.engines import Away, address_of, make_engine, on_one_line, patiently

VALUES_PER_QUERY = 500
ROWS_PER_BATCH = 20_000  # of dictionaries, which are held in memory together
ROWS_PER_STATEMENT = {"postgresql": 50_000, "sqlite": 10_000}  # each within the time of a statement
ROWS_PER_INSERT, CHARACTERS_PER_INSERT = 1000, 1_000_000  # a server takes some MB at once
Row = Mapping[str, Any]
Record = Any  # what a query returns: the columns as attributes, and in order
Values = Sequence[int | str | None]
Query = sa.Select[Any]


def utc_now() -> datetime:
    """Return the time of the machine, with its zone."""
    return datetime.now(UTC)


def _as_it_is(query: Query) -> Query:
    """Let a query read the tables as they are now."""
    return query


def _anyone_may(_: sa.Connection) -> None:
    """Let a change be committed: this ledger is not held under a lease."""


class Database:
    """An engine, a clock and the current run: what every repository of the ledger works with.

    `rewrite` changes each query before it is asked, for those who look at other rows than the
    newest; `confirm` is asked at the begin and the end of each transaction whether it may commit.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], datetime] = utc_now,
        *,
        rewrite: Callable[[Query], Query] = _as_it_is,
        read_only: bool = False,
    ) -> None:
        self.engine = engine
        self.now = clock
        self.rewrite = rewrite
        self.read_only = read_only
        self.run_id: int | None = None
        self.confirm: Callable[[sa.Connection], None] = _anyone_may

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Give a connection for one transaction: all that is done inside, or nothing."""
        if self.read_only:
            raise TypeError("this ledger is only read")
        with database_faults(), patiently(self.engine.connect) as connection, connection.begin():
            self.confirm(connection)
            yield connection
            self.confirm(connection)  # again, as what was done may have taken long

    def execute(self, change: sa.Insert | sa.Update | sa.Delete) -> int:
        """Carry out one statement, and return how many rows it changed."""
        with self.begin() as connection:
            return connection.execute(change).rowcount

    def write(self, table: sa.Table, rows: Iterable[Row], **common: Any) -> None:
        """Insert rows in one transaction; all of them have the values of `common`."""
        with self.begin() as connection:
            insert_many(connection, table, rows, **common)

    def rows(self, query: Query) -> list[Record]:
        """Return what a query finds."""
        rewritten = self.rewrite(query)

        def ask() -> list[Record]:
            with self.engine.connect() as connection:
                return list(connection.execute(rewritten))

        with database_faults():
            return patiently(ask)

    def first(self, query: Query) -> Record | None:
        """Return the first row a query finds, None if it finds none; it asks for no more."""
        found = self.rows(query.limit(1))
        return found[0] if found else None

    def scalar(self, query: Query) -> Any:
        """Return the first value of the first row, None if there is none."""
        found = self.rows(query)
        return found[0][0] if found else None

    def frame(self, query: Query) -> pd.DataFrame:
        """Return what a query finds as a table."""
        return _frame(query, self.rows(query))

    def in_chunks(
        self, query: Query, column: sa.Column[Any], values: Sequence[Any]
    ) -> Iterator[Record]:
        """Find the rows with one of these values, some values with each query."""
        for start in range(0, len(values), VALUES_PER_QUERY):
            chunk = values[start : start + VALUES_PER_QUERY]
            yield from self.rows(query.where(column.in_(chunk)))

    def frame_in_chunks(
        self, query: Query, column: sa.Column[Any], values: Sequence[Any]
    ) -> pd.DataFrame:
        """Return the rows with one of these values as a table."""
        return _frame(query, self.in_chunks(query, column, values))


@contextmanager
def connected(config: Config, *, upgrade: bool, away: Away | None = None) -> Iterator[sa.Engine]:
    """Give an engine for a while; `upgrade` an older SQLite ledger first."""
    engine = connect(config, upgrade=upgrade, away=away)
    try:
        yield engine
    finally:
        engine.dispose()


def connect(config: Config, *, upgrade: bool, away: Away | None = None) -> sa.Engine:
    """Return an engine whose schema is of this version; whoever asks disposes of it."""
    engine = open_engine(config, create=upgrade, away=away)
    try:
        with database_faults():
            patiently(lambda: migrate.require_revision(engine, upgrade=upgrade))
    except RiskError:
        engine.dispose()
        raise
    return engine


def open_engine(config: Config, *, create: bool, away: Away | None = None) -> sa.Engine:
    """Return an engine, whatever the schema is; whoever asks disposes of it."""
    address = address_of(config.sqlalchemy_url)
    if address.get_backend_name() == "sqlite" and address.database:
        _prepare_folder(Path(address.database), create=create)
    return make_engine(address, away)


@contextmanager
def database_faults() -> Iterator[None]:
    """Turn a fault of the database into an error that never shows a password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger cannot be used: {on_one_line(error)}") from error


def insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Insert one row and return its number."""
    inserted = connection.execute(table.insert().values(values)).inserted_primary_key
    return int(inserted[0]) if inserted else 0


def insert_many(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Row], **common: Any
) -> None:
    """Insert rows, many with each statement; all of them have the values of `common`."""
    rest = iter(rows)
    while batch := [{**common, **row} for row in islice(rest, ROWS_PER_BATCH)]:
        connection.execute(table.insert(), batch)


def insert_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], rows: Iterable[Values]
) -> None:
    """Insert rows by the fastest way that needs no right of its own, values as in `names`.

    It takes plain values, no dictionaries, and is for the rows of whole drops.
    """
    dialect = connection.dialect
    quote = dialect.identifier_preparer.quote_identifier
    into = f"{quote(table.name)} ({', '.join(map(quote, names))})"
    at_once = ROWS_PER_STATEMENT.get(dialect.name, ROWS_PER_INSERT)
    rest = iter(rows)
    while first := list(islice(rest, 1)):
        batch = chain(first, islice(rest, at_once - 1))
        match dialect.name:
            case "postgresql":
                _copy(connection, f"COPY {into} FROM STDIN", batch)
            case "sqlite":
                values = ", ".join("?" * len(names))
                statement = f"INSERT INTO {into} VALUES ({values})"
                connection.exec_driver_sql(statement, [tuple(row) for row in batch])
            case _:
                _insert_rows(connection, f"INSERT INTO {into} VALUES", list(batch))


def _copy(connection: sa.Connection, statement: str, rows: Iterable[Values]) -> None:
    """Write by COPY, which SQLAlchemy does not know; its faults look like any other."""
    dbapi: Any = connection.dialect.loaded_dbapi
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, dbapi.Error) from error


def _insert_rows(connection: sa.Connection, statement: str, rows: Sequence[Values]) -> None:
    """Write several rows with one INSERT; where they are long, fewer of them with each."""
    longest = max(sum(len(value) for value in row if isinstance(value, str)) for row in rows)
    at_once = max(CHARACTERS_PER_INSERT // (longest + 1), 1)
    one = f"({', '.join(['%s'] * len(rows[0]))})"
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        values = ", ".join([one] * len(some))
        connection.exec_driver_sql(f"{statement} {values}", tuple(chain.from_iterable(some)))


def _prepare_folder(path: Path, *, create: bool) -> None:
    if not create and not path.exists():
        raise NoLedger(migrate.NOTHING_YET)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"database_url cannot be used: {error}") from None


def _frame(query: Query, rows: Iterable[Record]) -> pd.DataFrame:
    names = [column.name for column in query.selected_columns]
    tuples = [tuple(row) for row in rows]  # pandas looks twice at every other kind
    return pd.DataFrame(tuples, columns=names)
