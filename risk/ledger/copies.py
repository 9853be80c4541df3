"""A SQLite ledger as one file: a consistent copy of it while it is written, and its replacement."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk import store
from risk.errors import StorageError


def to_file(engine: sa.Engine, path: Path) -> None:
    """Copy a SQLite ledger to a file, which appears once it is complete."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with store.storage_faults(path), _sqlite_faults(path):
        unfinished.unlink(missing_ok=True)
        with engine.connect() as connection, closing(sqlite3.connect(unfinished)) as target:
            source: Any = connection.connection.driver_connection
            source.backup(target)
        as_one_file(unfinished)
        shutil.copymode(str(engine.url.database), unfinished)
        unfinished.replace(path)
        store.sync_folder(path.parent)


def as_one_file(path: Path) -> None:
    """Leave nothing of a closed SQLite ledger in files beside it, so that it can be copied."""
    with _sqlite_faults(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def replace(path: Path, source: Path) -> None:
    """Replace the content of a SQLite ledger, which other processes may have open, by another's.

    A file that is no database any more is deleted first.
    """
    with store.storage_faults(path), _sqlite_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _replace(path, source)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
                path.with_name(name).unlink(missing_ok=True)
            _replace(path, source)
        store.sync_folder(path.parent)


def _replace(path: Path, source: Path) -> None:
    with closing(sqlite3.connect(path)) as target, closing(sqlite3.connect(source)) as origin:
        target.execute("PRAGMA journal_mode=WAL")  # readers are not disturbed
        origin.backup(target)


@contextmanager
def _sqlite_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}") from error
