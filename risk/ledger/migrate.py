"""Schema revisions of the ledger: detection, migration and backup."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk.errors import LedgerError, NoLedger
from risk.ledger import copies
from risk.ledger.tables import REVISION, metadata

OLDEST = "0006"  # revisions of development versions before the first release are older
NOTHING_YET = "there is no ledger yet; run: python full_process.py"
UPGRADE = "python -m risk.admin upgrade"
MIGRATIONS = Path(__file__).with_name("migrations")
VERSIONS = "alembic_version"


def require_revision(engine: sa.Engine, *, upgrade: bool) -> None:
    """Raise LedgerError unless the schema is up to date; `upgrade` creates or migrates it.

    Only SQLite files are migrated: a server may have users of the older schema, so a person
    decides when to upgrade it.
    """
    found = found_revision(engine)
    if found == REVISION:
        return
    if found is None and not upgrade:
        raise NoLedger(NOTHING_YET)
    refuse_unknown(found)
    if found and not (upgrade and engine.dialect.name == "sqlite"):
        raise _unfit(found, f"upgrade it: {UPGRADE}")
    back_up(engine)
    migrate(engine)


def refuse_unknown(found: str | None) -> None:
    """Raise LedgerError if a revision cannot be migrated: newer, or before the first release."""
    if found and found > REVISION:
        raise _unfit(found, "update the project")
    if found and found < OLDEST:
        raise LedgerError(
            f"ledger schema is at revision {found}, of a development version before the first "
            "release; keep a copy of it and start with an empty database, or upgrade it "
            f"to {OLDEST} with commit f975b06 first"
        )


def found_revision(engine: sa.Engine) -> str | None:
    """Return the schema revision of a database, None if it has no ledger."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSIONS):
            return None
        found: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSIONS}"))
        return found


def history() -> list[tuple[str, str]]:
    """Return every revision with its description, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return [(script.revision, script.doc) for script in scripts][::-1]


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Migrate the database to `revision`, up or down, in one transaction where supported.

    MariaDB commits each change of a table separately; there an interrupted migration resumes
    where it stopped when it is run again.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    forward = revision == "head" or (
        revision != "base" and (found_revision(engine) or "") < revision
    )
    step = command.upgrade if forward else command.downgrade
    with engine.connect() as connection, _tables_may_be_replaced(connection), connection.begin():
        _refuse_tables_of_others(connection)
        settings.attributes["connection"] = connection
        step(settings, revision)


def back_up(engine: sa.Engine) -> Path | None:
    """Copy a SQLite ledger to a file beside it, named after its revision; return its path.

    A ledger on a server is not copied: use the server's own backup tools.
    """
    found, database = found_revision(engine), engine.url.database
    if found is None or engine.dialect.name != "sqlite" or not database:
        return None
    path = Path(database)
    copy = path.with_name(f"{path.stem}.{found}{path.suffix}")
    copies.to_file(engine, copy)
    return copy


def _unfit(found: str, remedy: str) -> LedgerError:
    needed = f"this version of the project needs {REVISION}"
    return LedgerError(f"ledger schema is at revision {found}, {needed}; {remedy}")


@contextmanager
def _tables_may_be_replaced(connection: sa.Connection) -> Iterator[None]:
    """Suspend SQLite's foreign keys, as changing a table's columns drops and recreates it."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def _refuse_tables_of_others(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    existing = set(inspector.get_table_names()) & set(metadata.tables)
    if existing and not inspector.has_table(VERSIONS):
        raise LedgerError(
            f"the database has a table {min(existing)} that does not belong to a ledger; "
            "use a separate database for the ledger"
        )
