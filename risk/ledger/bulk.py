"""Many rows into one table, by the fastest way its server has that needs no right of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa

ROWS_PER_STATEMENT = {"postgresql": 50_000, "sqlite": 10_000}  # each within the time of a statement
ROWS_PER_INSERT, CHARACTERS_PER_INSERT = 1000, 1_000_000  # a server takes some MB at once
Values = Sequence[int | str | None]


def insert_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], rows: Iterable[Values]
) -> None:
    """Insert rows, the values of each in the order of `names`, in the transaction there is."""
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
                _insert(connection, f"INSERT INTO {into} VALUES", list(batch))


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


def _insert(connection: sa.Connection, statement: str, rows: Sequence[Values]) -> None:
    """Write several rows with one INSERT; where they are long, fewer of them with each."""
    longest = max(sum(len(value) for value in row if isinstance(value, str)) for row in rows)
    at_once = max(CHARACTERS_PER_INSERT // (longest + 1), 1)
    one = f"({', '.join(['%s'] * len(rows[0]))})"
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        values = ", ".join([one] * len(some))
        connection.exec_driver_sql(f"{statement} {values}", tuple(chain.from_iterable(some)))
