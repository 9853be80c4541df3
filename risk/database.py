"""The connection to the ledger's database, and the migrations of its schema."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from risk.config import Config
from risk.errors import LedgerError
from risk.tables import REVISION

MIGRATIONS = Path(__file__).with_name("migrations")


@contextmanager
def connected(config: Config, *, upgrade: bool) -> Iterator[sa.Engine]:
    """Give an engine whose schema is of this version; `upgrade` an older SQLite one first."""
    engine = _engine(config, create=upgrade)
    try:
        with database_faults():
            _require_revision(engine, upgrade=upgrade)
        yield engine
    finally:
        engine.dispose()


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
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        if revision in ("head", REVISION):
            command.upgrade(settings, revision)
        else:
            command.downgrade(settings, revision)


def _engine(config: Config, *, create: bool) -> sa.Engine:
    try:
        url = sa.make_url(config.sqlalchemy_url)
        if url.get_backend_name() == "sqlite" and url.database:
            if create:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            elif not Path(url.database).exists():
                raise LedgerError("there is no ledger yet; run: python full_process.py")
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
    older = found is None or found < REVISION
    if not (upgrade and older and (found is None or engine.dialect.name == "sqlite")):
        raise LedgerError(
            f"the ledger is of revision {found}, this version of the project needs "
            f"{REVISION}; {'upgrade it' if older else 'update the project'}"
        )
    migrate(engine)
