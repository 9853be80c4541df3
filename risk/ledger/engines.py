"""Database engines: drivers, connection pools, timeouts and retries."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeGuard, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from risk.errors import LedgerError

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
INSTALL = "python -m pip install -r requirements-drivers.lock"
CONNECT_SECONDS, STATEMENT_SECONDS, LOCK_SECONDS = 10, 300, 30
REQUEST_SECONDS, AWAY_SECONDS = 2, 5
RECYCLE_SECONDS = 1800  # less than the idle timeout of common firewalls
IDLE_CONNECTIONS = 2  # fewer than threads: a pooled one of a hanging server blocks its user long
PAUSES_SECONDS = (0.1, 0.4, 1.5)
SQLITE_PRAGMAS = ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON")
# A drop changes most pages of the index of row hashes: keep 32 MB, write back 16,000 at once
OF_STAGES = ("cache_size=-32000", "wal_autocheckpoint=16000")
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
    # strict: an oversized value is an error, not truncated with a warning
    "init_command": "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '+00:00', "
    f"lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}",
}
POSTGRESQL_IS_AWAY = {"57P01", "57P02", "57P03"}  # shutting down, crashed, starting
MARIADB_IS_AWAY = {1053, 1927, 2003, 2006, 2013, 2055}  # ends, killed, refused, gone, lost
NAMES_IN_ADDRESS = ("user", "password", "passwd", "dbname", "database", "db")
ADDRESS_FAULTS = (  # raised by drivers for an invalid option, file or host
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
    """Parse a database URL, and set the default driver if it names none."""
    try:
        address = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        # omit cause and text of the error: both may contain the password that broke the URL
        raise LedgerError("database_url is not a valid database URL") from None
    rest = (address.host, address.database, *address.query)
    is_remote = address.get_backend_name() != "sqlite"
    # a password ends at its first @, / or ?: the rest would be printed as the host
    if is_remote and (url.count("@") > 1 or any("@" in (part or "") for part in rest)):
        raise LedgerError("database_url: write @, / and ? in the password as %40, %2F and %3F")
    return address.set(drivername=DRIVERS.get(address.drivername, address.drivername))


class Away:
    """Circuit breaker shared by the requests of a worker: whether the server is unreachable.

    Once it has been so for as long as a request may wait, requests fail immediately. From time
    to time one of them tries again, and the others do not wait for it.
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
                raise LedgerError(f"the ledger was unreachable a moment ago: {self._fault}")
            self._until = now + AWAY_SECONDS

    def __exit__(self, _kind: object, fault: object, _traceback: object) -> None:
        self._fault = on_one_line(fault) if fault else ""
        self._until = time.monotonic() + AWAY_SECONDS


def make_engine(url: str | sa.URL, away: Away | None = None) -> sa.Engine:
    """Return an engine, not yet connected; the caller disposes of it.

    With `away`, for HTTP requests, it neither waits long for a server nor retries too often.
    """
    address = address_of(url) if isinstance(url, str) else url
    is_sqlite = address.get_backend_name() == "sqlite"
    seconds = REQUEST_SECONDS if away else CONNECT_SECONDS
    with _address_faults():
        engine = _sqlite(address, away) if is_sqlite else _remote(address, seconds)
    sa.event.listen(engine, "do_connect", partial(_connect, away or nullcontext()))
    return engine


def on_one_line(error: object) -> str:
    """Return the text of an error on one line, that of the driver if there is one."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def patiently(query: Callable[[], Answer]) -> Answer:
    """Call `query`, retrying after pauses while the server is unreachable.

    It must be safe to repeat. A server that restarts is reachable again after some moments.
    """
    for seconds in PAUSES_SECONDS:
        try:
            return query()
        except DBAPIError as error:
            if not _is_away(error):
                raise
            time.sleep(seconds)
    return query()


def _is_away(error: DBAPIError) -> bool:
    """Return whether a connection was lost or refused, rather than a statement wrong."""
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
        if _is_missing_driver(error):
            raise LedgerError(
                f"database_url needs the package {error.name}; run: {INSTALL}"
            ) from None
        # omit a character that cannot be encoded: it may be part of the password
        cause = error.reason if isinstance(error, UnicodeEncodeError) else error
        raise LedgerError(f"database_url cannot be used: {on_one_line(cause)}") from None


def _is_missing_driver(error: Exception) -> TypeGuard[ModuleNotFoundError]:
    drivers = {name.partition("+")[2] for name in DRIVERS.values()}
    return isinstance(error, ModuleNotFoundError) and error.name in drivers


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
    """Connect within `connect_timeout`, which PyMySQL does not apply to the handshake."""
    with away, _address_faults(), _without_names(dialect, options):
        if dialect.driver != "pymysql":
            return dialect.connect(*arguments, **options)
        connection = dialect.connect(*arguments, **options | {"defer_connect": True})
        later = connection._read_timeout, connection._write_timeout
        connection._read_timeout = connection._write_timeout = connection.connect_timeout
        connection.connect()
        connection._read_timeout, connection._write_timeout = later
        return connection


@contextmanager
def _without_names(dialect: Any, options: dict[str, Any]) -> Iterator[None]:
    """Mask user, password and database in the error of a driver, which goes to logs and mails."""
    try:
        yield
    except dialect.loaded_dbapi.Error as error:
        names = {options.get(key) for key in NAMES_IN_ADDRESS} - {None, ""}
        for name in sorted(map(str, names), key=len, reverse=True):
            word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
            error.args = tuple(_masked(word, text) for text in error.args)
            for attribute in {"msg", "_full_msg"} & vars(error).keys():  # of mysqlconnector
                setattr(error, attribute, _masked(word, getattr(error, attribute)))
        raise


def _masked(word: re.Pattern[str], text: Any) -> Any:
    return word.sub("***", text) if isinstance(text, str) else text


def _sqlite(address: sa.URL, away: Away | None) -> sa.Engine:
    engine = sa.create_engine(address, pool_pre_ping=True)
    pragmas = SQLITE_PRAGMAS if away else (*SQLITE_PRAGMAS, *OF_STAGES)
    sa.event.listen(engine, "connect", partial(_configure_sqlite, pragmas))
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _configure_sqlite(pragmas: Sequence[str], connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would commit each CREATE TABLE on its own
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _connect_args(address: sa.URL, connect_seconds: int) -> dict[str, Any]:
    """Return our connection options, except those set in the URL."""
    ours: dict[str, Any] = {"connect_timeout": connect_seconds}
    match address.get_driver_name():
        case "psycopg":
            ours |= POSTGRESQL
        case "pymysql":
            ours |= MARIADB
        case "mysqlconnector":
            ours = {"connection_timeout": connect_seconds, **MARIADB}
            if "ssl_ca" in address.query:  # else it would do without TLS where a server has none
                ours["ssl_verify_cert"] = True
        case _:
            ours = {}
    return {name: value for name, value in ours.items() if name not in address.query}
