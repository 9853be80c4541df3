"""The connection to the ledger's database, and how it is asked and written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from risk.config import Config
from risk.errors import LedgerError, NoLedger, RiskError
from risk.ledger import migrate
from risk.ledger.engines import Away, address_of, make_engine, on_one_line, patiently

VALUES_PER_STATEMENT = 500
ROWS_PER_STATEMENT = 20_000
Row = Mapping[str, Any]
Record = Any  # what a query returns: the columns as attributes, and in order


class Connected:
    """An engine, a clock and the current run: what every kind of record needs."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self.engine = engine
        self.now = clock
        self.run_id: int | None = None
        self.confirm: Callable[[sa.Connection], None] = _anyone_may

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with database_faults(), patiently(self.engine.connect) as connection, connection.begin():
            self.confirm(connection)
            yield connection
            self.confirm(connection)  # again, as what was done may have taken long

    def _rows(self, query: sa.Select[Any]) -> list[Record]:
        def ask() -> list[Record]:
            with self.engine.connect() as connection:
                return list(connection.execute(query))

        with database_faults():
            return patiently(ask)

    def _scalar(self, query: sa.Select[Any]) -> Any:
        rows = self._rows(query)
        return rows[0][0] if rows else None

    def _frame(self, query: sa.Select[Any]) -> pd.DataFrame:
        names = [column.name for column in query.selected_columns]
        rows = [tuple(row) for row in self._rows(query)]  # pandas looks twice at every other kind
        return pd.DataFrame(rows, columns=names)

    def _in_chunks(
        self, query: sa.Select[Any], column: sa.Column[Any], values: Sequence[Any]
    ) -> Iterator[Record]:
        for start in range(0, len(values), VALUES_PER_STATEMENT):
            chunk = values[start : start + VALUES_PER_STATEMENT]
            yield from self._rows(query.where(column.in_(chunk)))

    def _write(self, table: sa.Table, rows: Sequence[Row]) -> None:
        with self._begin() as connection:
            insert_many(connection, table, rows)


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


def _anyone_may(_: sa.Connection) -> None:
    """Let a change be committed: this ledger is not held under a lease."""


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


def insert_many(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """Insert rows, many with each statement."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_PER_STATEMENT:
            connection.execute(table.insert(), batch)
            batch = []
    if batch:
        connection.execute(table.insert(), batch)


def _prepare_folder(path: Path, *, create: bool) -> None:
    if not create and not path.exists():
        raise NoLedger(migrate.NOTHING_YET)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"database_url cannot be used: {error}") from None
