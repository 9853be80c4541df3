"""The servers a ledger may live on, each emptied before it is given to a test; and a bad line."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from zlib import crc32

import pytest
import sqlalchemy as sa

from risk.admin import __main__ as admin
from risk.ledger import migrate, tables
from risk.ledger.engines import make_engine
from tests.torture import in_full

SQLITE, POSTGRESQL, MARIADB = "sqlite", "postgresql", "mariadb"
COMMIT = re.compile(
    rb"(?:^|[\x00\x03\x0b])COMMIT\b"
)  # as the first word of a message of either protocol
REMOTE = {
    POSTGRESQL: ("postgresql://postgres@127.0.0.1:5432", "postgres"),
    MARIADB: ("mariadb://root@127.0.0.1:3306", "mysql"),
}
MYSQL_CONNECTOR = "mysqlconnector"
OPTIONAL = {MYSQL_CONNECTOR: ("mysql+mysqlconnector://root@127.0.0.1:3306", "mysql")}
NEXT = "0013"
NEXT_REVISION = Path(__file__).parent / "fixtures" / "next_revision.py"
on_every_server = pytest.mark.on(SQLITE, *REMOTE)
on_servers_in_turn = pytest.mark.on(SQLITE, *REMOTE, in_turn=True)
on_remote_servers = pytest.mark.on(*REMOTE)
on_remote_servers_in_turn = pytest.mark.on(*REMOTE, in_turn=True)


def parameters(mark: pytest.Mark, test: str) -> list[Any]:
    """Return the servers for a test; of those it takes in turn `make torture` tries the others.

    In turn is for what one statement of SQLAlchemy does on all of them; on every server, always,
    is for what they do differently: types, locks, migrations, lost connections.
    """
    names = [*mark.args]
    if not mark.kwargs.get("in_turn"):
        return names
    its_turn = sorted(REMOTE)[crc32(test.encode()) % len(REMOTE)]
    return [name if name in (SQLITE, its_turn) else in_full(name) for name in names]


@dataclass(frozen=True)
class Place:
    """Where a ledger is; `url` is None for SQLite, whose file lies where the settings say."""

    name: str
    url: str | None = None

    def empty(self) -> None:
        """Leave nothing but the tables of the newest revision; numbers begin at 1 again."""
        if not self.url:
            return
        engine = make_engine(self.url)
        try:
            if not _is_whole(engine):
                _drop_everything(engine)
                migrate.migrate(engine)
            with engine.begin() as connection:
                _delete_rows(connection)
        finally:
            engine.dispose()

    def clear(self) -> None:
        """Leave no table either."""
        if self.url:
            engine = make_engine(self.url)
            _drop_everything(engine)
            engine.dispose()


@contextmanager
def new_place(name: str, purpose: str) -> Iterator[Place]:
    """Give a database nobody used before; skip the test where its server does not answer."""
    if name == SQLITE:
        yield Place(name)
        return
    if name == MYSQL_CONNECTOR:
        pytest.importorskip("mysql.connector", reason="needs mysql-connector-python")
    address, own = (REMOTE | OPTIONAL)[name]
    database = f"test_{purpose}_{os.getpid()}"
    force = " WITH (FORCE)" if name == POSTGRESQL else ""
    drop = f"DROP DATABASE IF EXISTS {database}{force}"
    try:
        _say(f"{address}/{own}", drop, f"CREATE DATABASE {database}")
        if name == POSTGRESQL:  # no test pulls the plug of the server
            _say(f"{address}/{own}", f"ALTER DATABASE {database} SET synchronous_commit = off")
    except sa.exc.OperationalError as error:
        pytest.skip(f"{name} does not answer at {address}: {error.orig}")
    try:
        yield Place(name, f"{address}/{database}")
    finally:
        _say(f"{address}/{own}", drop)


def _is_whole(engine: sa.Engine) -> bool:
    """Tell whether a test left every table of the newest revision in place."""
    there = {*sa.inspect(engine).get_table_names()}
    return {*tables.metadata.tables} <= there and (
        migrate.found_revision(engine) == tables.REVISION
    )


def _delete_rows(connection: sa.Connection) -> None:
    filled = _with_rows(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET lock_timeout = '20s'"))
        if filled:
            connection.execute(sa.text(f"TRUNCATE {', '.join(filled)} CASCADE"))
        connection.execute(
            sa.text("SELECT setval(seqrelid, 1, false) FROM pg_sequence JOIN pg_class ON "
                    "pg_class.oid = seqrelid WHERE relname LIKE '%_id_seq'")
        )  # fmt: skip
        return
    used = connection.execute(
        sa.text("SELECT table_name FROM information_schema.tables WHERE auto_increment > 1 "
                "AND table_schema = database()")
    )  # fmt: skip
    dirty = {row[0] for row in used}
    connection.execute(sa.text("SET lock_wait_timeout = 20, foreign_key_checks = 0"))
    for name in tables.metadata.tables:
        if name in filled:
            connection.execute(sa.text(f"DELETE FROM {name}"))
        if name in dirty:
            connection.execute(sa.text(f"ALTER TABLE {name} AUTO_INCREMENT = 1"))


def _with_rows(connection: sa.Connection) -> list[str]:
    """Return the tables that are not empty, with one question for all."""
    each = (f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM {t})" for t in tables.metadata.tables)
    return list(connection.scalars(sa.text(" UNION ALL ".join(each))))


def _drop_everything(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
            return
        inspector = sa.inspect(connection)
        connection.execute(sa.text("SET foreign_key_checks = 0"))
        for name in inspector.get_view_names():
            connection.execute(sa.text(f"DROP VIEW {name}"))
        for name in inspector.get_table_names():
            connection.execute(sa.text(f"DROP TABLE {name}"))


def _say(url: str, *statements: str) -> None:
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def require_next_revision(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the project need a revision after its newest, so that today's ledgers are older ones."""
    migrations = folder / "migrations"
    shutil.copytree(migrate.MIGRATIONS, migrations)
    shutil.copy(NEXT_REVISION, migrations / "versions" / f"{NEXT}_next.py")
    monkeypatch.setattr(migrate, "MIGRATIONS", migrations)
    monkeypatch.setattr(migrate, "REVISION", NEXT)
    monkeypatch.setattr(admin, "REVISION", NEXT)


@contextmanager
def hanging_server() -> Iterator[str]:
    """Give the host and port of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class Proxy:
    """A line to a server that can be cut, and that can lose the answer to a COMMIT.

    Counts the commits it saw; the connection that asked for number `lose_answer_to` is cut after
    the server has answered and before the answer is passed on.
    """

    def __init__(self, place: Place) -> None:
        assert place.url
        self.target = sa.make_url(place.url)
        self.commits = 0
        self.lose_answer_to: int | None = None
        self._lines: list[socket.socket] = []
        self._counting = Lock()
        self._listener: socket.socket | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the server behind this line."""
        through = self.target.set(host="127.0.0.1", port=self.port)
        if through.drivername == POSTGRESQL:
            through = through.update_query_dict({"sslmode": "disable"})
        return through.render_as_string(hide_password=False)

    def __enter__(self) -> Proxy:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def connect(self) -> None:
        """Begin to listen, at the same port each time."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._listen, args=[self._listener], daemon=True).start()

    def cut(self) -> None:
        """Be gone: refuse new connections and break those there are."""
        if self._listener:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.break_lines()

    def break_lines(self) -> None:
        """Break the connections there are, as a server does that restarts."""
        for line in self._lines:
            _close(line)
        self._lines = []

    def _listen(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((self.target.host, self.target.port))
                self._lines += [client, server]
                line = _Line(self, client, server)
                for work in (line.ask, line.answer):
                    Thread(target=work, daemon=True).start()

    def counts(self, request: bytes) -> bool:
        """Count a commit, and tell whether its answer is to be lost."""
        if not COMMIT.search(request):
            return False
        with self._counting:
            self.commits += 1
            return self.commits == self.lose_answer_to


class _Line:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.loses_answer = False

    def ask(self) -> None:
        with suppress(OSError):
            while request := self.client.recv(65536):
                self.loses_answer |= self.proxy.counts(request)
                self.server.sendall(request)
        _close(self.client), _close(self.server)

    def answer(self) -> None:
        with suppress(OSError):
            while answer := self.server.recv(65536):
                if self.loses_answer:
                    break
                self.client.sendall(answer)
        _close(self.client), _close(self.server)


def _close(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
