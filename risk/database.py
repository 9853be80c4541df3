"""The connection to the ledger's database, and the migrations of its schema."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from risk.config import Config
from risk.errors import LedgerError, NoLedger
from risk.tables import REVISION

NOTHING_YET = "there is no ledger yet; run: python full_process.py"
MIGRATIONS = Path(__file__).with_name("migrations")
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

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with database_faults(), self.engine.begin() as connection:
            yield connection

    def _rows(self, query: sa.Select[Any]) -> list[Record]:
        with database_faults(), self.engine.connect() as connection:
            return list(connection.execute(query))

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
        with database_faults(), self.engine.connect() as connection:
            for start in range(0, len(values), VALUES_PER_STATEMENT):
                chunk = values[start : start + VALUES_PER_STATEMENT]
                yield from connection.execute(query.where(column.in_(chunk)))

    def _write(self, table: sa.Table, rows: Sequence[Row]) -> None:
        with self._begin() as connection:
            insert_many(connection, table, rows)


@contextmanager
def connected(config: Config, *, upgrade: bool) -> Iterator[sa.Engine]:
    """Give an engine for a while; `upgrade` an older SQLite ledger first."""
    engine = connect(config, upgrade=upgrade)
    try:
        yield engine
    finally:
        engine.dispose()


def connect(config: Config, *, upgrade: bool) -> sa.Engine:
    """Return an engine whose schema is of this version; whoever asks disposes of it."""
    engine = _engine(config, create=upgrade)
    try:
        with database_faults():
            _require_revision(engine, upgrade=upgrade)
    except LedgerError:
        engine.dispose()
        raise
    return engine


@contextmanager
def database_faults() -> Iterator[None]:
    """Turn a fault of the database into an error that never shows a password."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise LedgerError(f"the ledger cannot be used: {cause}") from error


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the database to `revision`, up or down, in one transaction where the server can."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    step = command.upgrade if revision in ("head", REVISION) else command.downgrade
    with engine.connect() as connection, _tables_may_be_replaced(connection), connection.begin():
        settings.attributes["connection"] = connection
        step(settings, revision)


@contextmanager
def _tables_may_be_replaced(connection: sa.Connection) -> Iterator[None]:
    """Let SQLite drop a table others refer to, which a change of its columns does to rebuild it."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


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


def _engine(config: Config, *, create: bool) -> sa.Engine:
    try:
        url = sa.make_url(config.sqlalchemy_url)
        if url.get_backend_name() == "sqlite" and url.database:
            if create:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            elif not Path(url.database).exists():
                raise NoLedger(NOTHING_YET)
        engine = sa.create_engine(url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise LedgerError(f"database_url cannot be used: {error}") from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would commit each CREATE TABLE on its own
    for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _require_revision(engine: sa.Engine, *, upgrade: bool) -> None:
    found = None
    with engine.connect() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if found == REVISION:
        return
    if found is None and not upgrade:
        raise NoLedger(NOTHING_YET)
    older = found is None or found < REVISION
    if not (upgrade and older and (found is None or engine.dialect.name == "sqlite")):
        raise LedgerError(
            f"the ledger is of revision {found}, this version of the project needs "
            f"{REVISION}; {'upgrade it' if older else 'update the project'}"
        )
    migrate(engine)
