"""From the address of a database to an engine: drivers, pools, time limits, patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from risk.errors import LedgerError

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
CONNECT_SECONDS, STATEMENT_SECONDS, LOCK_SECONDS = 10, 300, 30
RECYCLE_SECONDS = 1800  # less than what firewalls allow an idle connection
PAUSES_SECONDS = (0.1, 0.4, 1.5)
SQLITE_PRAGMAS = ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON")
POSTGRESQL = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "risk",
    "options": f"-c timezone=UTC -c lock_timeout={LOCK_SECONDS}s "
    f"-c statement_timeout={STATEMENT_SECONDS}s",
}
MARIADB = {
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": STATEMENT_SECONDS,
    "write_timeout": STATEMENT_SECONDS,
    "charset": "utf8mb4",
    # strict: what does not fit is an error, not cut off with a warning
    "init_command": "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '+00:00', "
    f"lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}",
}
POSTGRESQL_IS_AWAY = {"57P01", "57P02", "57P03"}  # shuts down, crashed, starts
MARIADB_IS_AWAY = {1053, 1927, 2003, 2006, 2013}  # shuts down, killed, refused, gone, lost
Answer = TypeVar("Answer")


def address_of(url: str) -> sa.URL:
    """Read the address of a database; one that names no driver gets ours."""
    try:
        address = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        # neither cause nor text of the error: a password that breaks the address is in both
        raise LedgerError("database_url is not the address of a database") from None
    rest = (address.host, address.database, *address.query)
    if any("@" in (part or "") for part in rest):  # a password ends at its first @, / or ?
        raise LedgerError("database_url: write @, / and ? in the password as %40, %2F and %3F")
    return address.set(drivername=DRIVERS.get(address.drivername, address.drivername))


def make_engine(url: str | sa.URL) -> sa.Engine:
    """Return an engine, not yet connected; whoever asks disposes of it."""
    address = address_of(url) if isinstance(url, str) else url
    try:
        if address.get_backend_name() == "sqlite":
            return _sqlite(address)
        return sa.create_engine(
            address,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
            pool_use_lifo=True,
            isolation_level="READ COMMITTED",
            connect_args=_connect_args(address),
        )
    except (SQLAlchemyError, ImportError, TypeError) as error:
        raise LedgerError(f"database_url cannot be used: {error}") from None


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask, and ask again after pauses while the server is not there; only for what may be repeated.

    A server that restarts is there again after some moments.
    """
    for seconds in PAUSES_SECONDS:
        try:
            return ask()
        except DBAPIError as error:
            if not _is_away(error):
                raise
            time.sleep(seconds)
    return ask()


def _is_away(error: DBAPIError) -> bool:
    """Tell a connection that was lost or refused from a statement that is wrong."""
    if error.connection_invalidated:
        return True
    cause: Any = error.orig
    if type(cause).__module__.startswith("psycopg"):
        refused = isinstance(error, OperationalError) and cause.sqlstate is None
        return refused or cause.sqlstate in POSTGRESQL_IS_AWAY
    return bool(cause.args) and cause.args[0] in MARIADB_IS_AWAY


def _sqlite(address: sa.URL) -> sa.Engine:
    engine = sa.create_engine(address, pool_pre_ping=True)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would commit each CREATE TABLE on its own
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _connect_args(address: sa.URL) -> dict[str, Any]:
    """Choose what the address leaves open."""
    match address.get_driver_name():
        case "psycopg":
            ours: dict[str, Any] = POSTGRESQL
        case "pymysql":
            ours = MARIADB
        case _:
            ours = {}
    return {name: value for name, value in ours.items() if name not in address.query}
