"""Database access of the ledger: connections, queries and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from risk.config import Config
from risk.errors import LedgerError, NoLedger, RiskError
from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc
from risk.ledger import migrate
from risk.ledger.engines import Away, address_of, make_engine, on_one_line, patiently

VALUES_PER_QUERY = 500
NUMBERS_PER_QUERY = 50_000
# Whole numbers of a list as a column of a table, in order; of SQLite only. The list is a parameter:
# a statement that held it would keep it until garbage is collected.
EACH_NUMBER = (
    sa.func.json_each(sa.bindparam("numbers", type_=sa.Text)).table_valued("value").c.value
)
ROWS_PER_BATCH = 20_000  # dictionaries held in memory at the same time
ROWS_PER_STATEMENT = {"postgresql": 50_000, "sqlite": 10_000}  # each within the statement timeout
ROWS_PER_INSERT, CHARACTERS_PER_INSERT = 1000, 1_000_000  # servers accept a few MB per statement
Row = Mapping[str, Any]
Record = Any  # a row returned by a query: its columns as attributes, and in order
Values = Sequence[int | str | None]
Numbers = Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]
Query = sa.Select[Any]


def utc_now() -> datetime:
    """Return the current time of this machine, in UTC."""
    return datetime.now(UTC)


def _unchanged(query: Query) -> Query:
    """Return the query unchanged, to read the tables as they are now."""
    return query


def _always_allowed(_: sa.Connection) -> None:
    """Allow every commit: this ledger is not held under a lease."""


class Database:
    """An engine, a clock and the current run: what every repository of the ledger works with.

    `rewrite` changes each query before it is executed, to read earlier states of the tables;
    `confirm` is called at the start and end of each transaction and raises if it may not commit.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], datetime] = utc_now,
        *,
        rewrite: Callable[[Query], Query] = _unchanged,
        read_only: bool = False,
    ) -> None:
        self.engine = engine
        self.now = clock
        self.rewrite = rewrite
        self.read_only = read_only
        self.run_id: int | None = None
        self.confirm: Callable[[sa.Connection], None] = _always_allowed

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Yield a connection for one transaction, committed as a whole or not at all."""
        if self.read_only:
            raise TypeError("this ledger is read-only")
        with database_faults(), patiently(self.engine.connect) as connection, connection.begin():
            self.confirm(connection)
            yield connection
            self.confirm(connection)  # again, as the transaction may have taken long

    def execute(self, change: sa.Insert | sa.Update | sa.Delete) -> int:
        """Execute one statement and return the number of rows it changed."""
        with self.begin() as connection:
            return connection.execute(change).rowcount

    def write(self, table: sa.Table, rows: Iterable[Row], **common: Any) -> None:
        """Insert rows in one transaction, each with the values in `common`."""
        with self.begin() as connection:
            insert_many(connection, table, rows, **common)

    def rows(self, query: Query, parameters: Row | None = None) -> list[Record]:
        """Return the rows of a query."""
        rewritten = self.rewrite(query)

        def execute() -> list[Record]:
            with self.engine.connect() as connection:
                return list(connection.execute(rewritten, parameters))

        with database_faults():
            return patiently(execute)

    def first(self, query: Query) -> Record | None:
        """Return the first row of a query, None if there is none; fetch no others."""
        found = self.rows(query.limit(1))
        return found[0] if found else None

    def scalar(self, query: Query) -> Any:
        """Return the first value of the first row, None if there is none."""
        found = self.rows(query)
        return found[0][0] if found else None

    def inconsistency(self) -> str | None:
        """Return what is inconsistent in a SQLite file; None also for a server, which checks."""
        if self.engine.dialect.name != "sqlite":
            return None
        with database_faults(), self.engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        return None if found == "ok" else str(found)

    def frame(self, query: Query) -> pd.DataFrame:
        """Return the rows of a query as a data frame."""
        return _frame(query, self.rows(query))

    def in_chunks(
        self, query: Query, column: sa.Column[Any], values: Sequence[Any]
    ) -> Iterator[Record]:
        """Yield the rows with one of these values, querying for some values at a time."""
        for start in range(0, len(values), VALUES_PER_QUERY):
            chunk = values[start : start + VALUES_PER_QUERY]
            yield from self.rows(query.where(column.in_(chunk)))

    def among(self, column: sa.Column[Any], numbers: Numbers) -> Iterator[int]:
        """Yield the whole numbers that are in a column; SQLite takes thousands in one query."""
        if self.engine.dialect.name != "sqlite":
            whole = np.asarray(numbers, "int64").tolist()  # drivers know no numbers of numpy
            yield from (row[0] for row in self.in_chunks(sa.select(column), column, whole))
            return
        # not a join, in which the whole table might come first
        chosen = sa.select(EACH_NUMBER).where(sa.exists().where(column == EACH_NUMBER))
        for some in _listed(numbers):
            yield from (row[0] for row in self.rows(chosen, some))

    def frame_in_chunks(
        self, query: Query, column: sa.Column[Any], values: Sequence[Any]
    ) -> pd.DataFrame:
        """Return the rows with one of these values as a data frame."""
        return _frame(query, self.in_chunks(query, column, values))


@contextmanager
def connected(config: Config, *, upgrade: bool, away: Away | None = None) -> Iterator[sa.Engine]:
    """Yield an engine, disposed of on exit; `upgrade` an older SQLite ledger first."""
    engine = connect(config, upgrade=upgrade, away=away)
    try:
        yield engine
    finally:
        engine.dispose()


def connect(config: Config, *, upgrade: bool, away: Away | None = None) -> sa.Engine:
    """Return an engine with the schema this version needs; the caller disposes of it."""
    engine = open_engine(config, create=upgrade, away=away)
    try:
        with database_faults():
            patiently(lambda: migrate.require_revision(engine, upgrade=upgrade))
    except RiskError:
        engine.dispose()
        raise
    return engine


def open_engine(config: Config, *, create: bool, away: Away | None = None) -> sa.Engine:
    """Return an engine without checking the schema; the caller disposes of it."""
    address = address_of(config.sqlalchemy_url)
    if address.get_backend_name() == "sqlite" and address.database:
        _prepare_folder(Path(address.database), create=create)
    if address.get_backend_name() in ("mysql", "mariadb") and not address.database:
        raise LedgerError(
            "database_url names no database: write it after the host, as in HOST/risk"
        )
    return make_engine(address, away)


@contextmanager
def database_faults() -> Iterator[None]:
    """Convert database errors to LedgerError, which never shows a password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger cannot be used: {on_one_line(error)}") from error


def insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Insert one row and return its ID."""
    inserted = connection.execute(table.insert().values(values)).inserted_primary_key
    return int(inserted[0]) if inserted else 0


def insert_many(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Row], **common: Any
) -> None:
    """Insert rows in batches, each with the values in `common`."""
    rest = iter(rows)
    while batch := [{**common, **row} for row in islice(rest, ROWS_PER_BATCH)]:
        connection.execute(table.insert(), batch)


def insert_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], rows: Iterable[Values]
) -> None:
    """Insert rows, with values in the order of `names`, the fastest way without extra rights.

    It takes tuples rather than dictionaries, and is meant for the rows of whole drops.
    """
    dialect = connection.dialect
    quote = dialect.identifier_preparer.quote_identifier
    into = f"{quote(table.name)} ({', '.join(map(quote, names))})"
    n_rows = ROWS_PER_STATEMENT.get(dialect.name, ROWS_PER_INSERT)
    rest = iter(rows)
    while first := list(islice(rest, 1)):
        batch = chain(first, islice(rest, n_rows - 1))
        match dialect.name:
            case "postgresql":
                _copy(connection, f"COPY {into} FROM STDIN", batch)
            case "sqlite":
                values = ", ".join("?" * len(names))
                statement = f"INSERT INTO {into} VALUES ({values})"
                connection.exec_driver_sql(statement, [tuple(row) for row in batch])
            case _:
                _insert_rows(connection, f"INSERT INTO {into} VALUES", list(batch))


def insert_numbers(
    connection: sa.Connection, column: sa.Column[Any], numbers: Numbers, **common: int
) -> None:
    """Insert a row for each of many whole numbers, which SQLite takes by thousands at once.

    A statement that fails is not undone by itself: who calls must undo the transaction.
    """
    table, names = column.table, (column.name, *common)
    if connection.dialect.name != "sqlite":
        rows = ((number, *common.values()) for number in np.asarray(numbers, "int64").tolist())
        insert_rows(connection, table, names, rows)
        return
    chosen = sa.select(EACH_NUMBER, *(sa.literal(number) for number in common.values()))
    # to be able to undo it alone, SQLite would first copy each page that it changes
    insert = table.insert().prefix_with("OR FAIL").from_select(names, chosen)
    for some in _listed(numbers):
        connection.execute(insert, some)


def _listed(numbers: Numbers) -> Iterator[Row]:
    """Yield whole numbers, some at a time, as the parameter of EACH_NUMBER."""
    for start in range(0, len(numbers), NUMBERS_PER_QUERY):
        some = pa.array(numbers[start : start + NUMBERS_PER_QUERY], pa.int64())
        texts = pc.cast(some, pa.string())
        joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), ",")[0]
        yield {"numbers": f"[{joined}]"}


def _copy(connection: sa.Connection, statement: str, rows: Iterable[Values]) -> None:
    """Insert by COPY, which SQLAlchemy does not support; errors are wrapped as SQLAlchemy's."""
    dbapi: Any = connection.dialect.loaded_dbapi
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, dbapi.Error) from error


def _insert_rows(connection: sa.Connection, statement: str, rows: Sequence[Values]) -> None:
    """Insert several rows per statement, fewer if they are long."""
    longest = max(sum(len(value) for value in row if isinstance(value, str)) for row in rows)
    n_rows = max(CHARACTERS_PER_INSERT // (longest + 1), 1)
    one = f"({', '.join(['%s'] * len(rows[0]))})"
    for start in range(0, len(rows), n_rows):
        some = rows[start : start + n_rows]
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
    tuples = [tuple(row) for row in rows]  # pandas is slower with any other kind of row
    return pd.DataFrame(tuples, columns=names)
