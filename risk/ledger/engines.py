"""From the address of a database to an engine: drivers, pools, time limits, patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
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
REQUEST_SECONDS, AWAY_SECONDS = 2, 5
RECYCLE_SECONDS = 1800  # less than what firewalls allow an idle connection
IDLE_CONNECTIONS = 2  # fewer than threads: who takes one of a server that hangs waits long
PAUSES_SECONDS = (0.1, 0.4, 1.5)
SQLITE_PRAGMAS = ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON")
POSTGRESQL = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "risk",
    "options": f"-c timezone=UTC -c lock_timeout={LOCK_SECONDS}s "
    f"-c statement_timeout={STATEMENT_SECONDS}s",
}
MARIADB = {
    "read_timeout": STATEMENT_SECONDS,
    "write_timeout": STATEMENT_SECONDS,
    "charset": "utf8mb4",
    # strict: what does not fit is an error, not cut off with a warning
    "init_command": "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '+00:00', "
    f"lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}",
}
POSTGRESQL_IS_AWAY = {"57P01", "57P02", "57P03"}  # shuts down, crashed, starts
MARIADB_IS_AWAY = {1053, 1927, 2003, 2006, 2013}  # shuts down, killed, refused, gone, lost
ADDRESS_FAULTS = (  # what libraries raise for an option, a file or a host that is none
    SQLAlchemyError,
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
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


class Away:
    """Whether a server does not answer, known to all the requests of a worker.

    Once it was so for as long as a request may wait, all fail at once. From time to time one of
    them tries again, and the others do not wait for it.
    """

    def __init__(self) -> None:
        self._fault = ""
        self._since = self._until = 0.0

    def __enter__(self) -> None:
        now = time.monotonic()
        if not self._fault:
            self._since = now
        elif now > self._since + REQUEST_SECONDS:
            if now < self._until:
                raise LedgerError(f"the ledger was away a moment ago: {self._fault}")
            self._until = now + AWAY_SECONDS

    def __exit__(self, _kind: object, fault: object, _traceback: object) -> None:
        self._fault = on_one_line(fault) if fault else ""
        self._until = time.monotonic() + AWAY_SECONDS


def make_engine(url: str | sa.URL, away: Away | None = None) -> sa.Engine:
    """Return an engine, not yet connected; whoever asks disposes of it.

    With `away` it is for requests: these neither wait long for a server nor ask it too often.
    """
    address = address_of(url) if isinstance(url, str) else url
    is_sqlite = address.get_backend_name() == "sqlite"
    seconds = REQUEST_SECONDS if away else CONNECT_SECONDS
    with _address_faults():
        engine = _sqlite(address) if is_sqlite else _remote(address, seconds)
    sa.event.listen(engine, "do_connect", partial(_connect, away or nullcontext()))
    return engine


def on_one_line(error: object) -> str:
    """Write what is wrong, in the words of the driver if it has some."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


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


@contextmanager
def _address_faults() -> Iterator[None]:
    try:
        yield
    except ADDRESS_FAULTS as error:
        # of a letter that cannot be encoded not the letter: it may be the password's
        cause = error.reason if isinstance(error, UnicodeEncodeError) else error
        raise LedgerError(f"database_url cannot be used: {on_one_line(cause)}") from None


def _remote(address: sa.URL, connect_seconds: int) -> sa.Engine:
    return sa.create_engine(
        address,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_SECONDS,
        pool_size=IDLE_CONNECTIONS,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        connect_args=_connect_args(address, connect_seconds),
    )


def _connect(
    away: AbstractContextManager[None],
    dialect: Any,
    _record: object,
    arguments: list[Any],
    options: dict[str, Any],
) -> Any:
    """Connect within `connect_timeout`; PyMySQL by itself has no such limit for the greetings."""
    with away, _address_faults():
        if dialect.driver != "pymysql":
            return dialect.connect(*arguments, **options)
        connection = dialect.connect(*arguments, **options | {"defer_connect": True})
        later = connection._read_timeout, connection._write_timeout
        connection._read_timeout = connection._write_timeout = connection.connect_timeout
        connection.connect()
        connection._read_timeout, connection._write_timeout = later
        return connection


def _sqlite(address: sa.URL) -> sa.Engine:
    engine = sa.create_engine(address, pool_pre_ping=True)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would commit each CREATE TABLE on its own
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _connect_args(address: sa.URL, connect_seconds: int) -> dict[str, Any]:
    """Choose what the address leaves open."""
    ours: dict[str, Any] = {"connect_timeout": connect_seconds}
    match address.get_driver_name():
        case "psycopg":
            ours |= POSTGRESQL
        case "pymysql":
            ours |= MARIADB
        case _:
            ours = {}
    return {name: value for name, value in ours.items() if name not in address.query}
