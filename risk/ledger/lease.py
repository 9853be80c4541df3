"""Single-writer locking: file lock per machine, database lease between machines."""

from __future__ import annotations

import csv
import io
import logging
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from risk import store
from risk.config import Config
from risk.errors import BusyError, LedgerError, StorageError
from risk.ledger import file_lock
from risk.ledger.column_types import UtcDateTime
from risk.ledger.database import database_faults, utc_now
from risk.ledger.ledger import Ledger
from risk.ledger.tables import leases

log = logging.getLogger(__name__)
NAME = "run"
RENEWALS = 3  # within the duration of a lease: two may fail
MAX_HOLDER_LENGTH = 255
MAX_LENGTH = 20  # digits of an ID in the ledger
CLOCKS = {
    "postgresql": "timezone('UTC', clock_timestamp())",
    "mysql": "utc_timestamp(6)",
    "mariadb": "utc_timestamp(6)",
}
IS_OURS = leases.c.name == NAME


@contextmanager
def only_writer(
    config: Config,
    *,
    holder: str,
    clock: Callable[[], datetime] = utc_now,
    upgrade: bool = True,
) -> Iterator[Ledger]:
    """Yield the ledger to its only writer; raise BusyError naming that writer if there is one.

    A database file is used from one machine, where the kernel's lock is enough.
    """
    opened = Ledger.open(config, clock=clock, upgrade=upgrade)
    with file_lock.lock(config, holder=holder) as require_held, opened as ledger:
        with among_machines(config, ledger.engine, holder=holder) as lease:

            def confirm(connection: sa.Connection) -> None:
                require_held()
                if lease:
                    lease.confirm(connection)

            ledger.database.confirm = confirm
            require_own_ledger(config, ledger)
            require_own_folder(config, ledger)
            yield ledger


@contextmanager
def among_machines(config: Config, engine: sa.Engine, *, holder: str) -> Iterator[Lease | None]:
    """Hold the lease if the ledger is on a server and its schema has leases; yield it or None."""
    if engine.dialect.name not in CLOCKS or not sa.inspect(engine).has_table(leases.name):
        yield None
        return
    lease = Lease(engine, holder=holder, seconds=config.lease_seconds)
    lock = config.root / config.lock_path
    with lease.held(note=lock.with_suffix(".lease"), lock=lock):
        yield lease


def require_own_ledger(config: Config, ledger: Ledger) -> None:
    """Raise LedgerError if the ledger is behind the files beside it, which it would delete."""
    name = config.compilation_record_filename
    _, size = ledger.derived_files.state(name)
    record, known = config.ingested_folder / name, ledger.ingestions.last_id()
    files = (f for f in store.files_after(config, known) if len(f[0].stem) < MAX_LENGTH)
    newest_file = max(files, key=lambda found: found[1], default=(config.ingested_folder, 0))
    # an interrupted run leaves files of the next ingestion, but not of others
    behind = [(record, _newest_number(record, after=size), 0), (*newest_file, 1)]
    for path, newest, n_interrupted in behind:
        if newest > known + n_interrupted:
            folders = map(config.name_of, (config.ingested_folder, config.quarantine_folder))
            raise LedgerError(
                f"{config.name_of(path)} ends at ingestion {newest}, the ledger at {known}: is "
                "database_url, or DATABASE_URL, the right database? To start afresh, move "
                f"{' and '.join(folders)} away"
            )


def require_own_folder(config: Config, ledger: Ledger) -> None:
    """Raise StorageError if the newest rows of the ledger are not in the folder of this host.

    With a shared store they are fetched when they are needed.
    """
    newest = None if config.shared_store else ledger.parts.newest()
    if newest and not (part := store.part_path(config, newest)).exists():
        raise StorageError(
            f"the ledger's newest rows are in {config.name_of(part)}, which is missing on "
            f"{socket.gethostname()}: hosts that use the same ledger must share "
            "the folder of the data and of the releases, or set shared_store"
            "; if the file was lost, restore a backup"
        )


class Lease:
    """The exclusive right to write for some seconds of the server's clock, renewed while held."""

    def __init__(self, engine: sa.Engine, *, holder: str, seconds: float) -> None:
        self.engine = engine
        self.holder = f"{holder} on {socket.gethostname()}"[:MAX_HOLDER_LENGTH]
        self.lasts = timedelta(seconds=seconds)
        self.token = secrets.token_hex(16)

    @contextmanager
    def held(self, *, note: Path, lock: Path) -> Iterator[None]:
        """Hold the lease within the context, renewed by a thread.

        `note` is a file beside the lock with the lease tokens of this installation. A process that
        has the lock and finds the lease's token there knows that its holder is dead, and need not
        wait. The tokens are those of holders of this very lock file: in a copy of the folder, the
        holder may be alive.
        """
        with store.storage_faults(lock):
            of_lock = f"@{lock.stat().st_ino}"
        noted = store.read(note).decode("utf-8", "replace").split() if note.exists() else []
        own = [token for token in noted if token.endswith(of_lock)]
        store.write(note, " ".join([*own, self.token + of_lock]))
        self._acquire(left_behind=[token.removesuffix(of_lock) for token in own])
        stop = Event()
        renewal = Thread(target=self._renew, args=(stop,), name="lease", daemon=True)
        renewal.start()
        try:
            store.write(note, self.token + of_lock)
            yield
        finally:
            stop.set()
            renewal.join()
            self._release()

    def confirm(self, connection: sa.Connection) -> None:
        """Renew the lease within a transaction; raise BusyError, before the commit, if lost."""
        connection.execute(sa.select(leases.c.token).where(IS_OURS).with_for_update())
        now = _time_of(connection)  # only now: locking the row may have taken time
        renewed = _set(self.token).values(renewed_at=now, expires_at=now + self.lasts)
        if not connection.execute(renewed).rowcount:
            holder = _holder(connection)
            raise BusyError(f"the ledger's lease was lost to {holder}; nothing more is written")

    def _acquire(self, *, left_behind: Sequence[str]) -> None:
        with database_faults():
            self._ensure_row()
            with self.engine.begin() as connection:
                query = sa.select(leases).where(IS_OURS).with_for_update(skip_locked=True)
                found = connection.execute(query).one_or_none()
                now = _time_of(connection)
                if found is None or (found.expires_at > now and found.token not in left_behind):
                    holder = _holder(connection)
                    raise BusyError(f"the ledger is held by {holder}; nothing was done")
                times = {"acquired_at": now, "renewed_at": now, "expires_at": now + self.lasts}
                own = {"holder": self.holder, "token": self.token}
                connection.execute(leases.update().where(IS_OURS).values(own | times))

    def _ensure_row(self) -> None:
        """Create an expired lease if there is none, so that there is a row to lock."""
        with self.engine.connect() as connection:
            if connection.scalar(sa.select(leases.c.name).where(IS_OURS)):
                return
            now = _time_of(connection)
        times = dict.fromkeys(("acquired_at", "renewed_at", "expires_at"), now)
        try:
            with self.engine.begin() as connection:
                row: dict[str, Any] = {"name": NAME, "holder": "nobody", "token": ""}
                connection.execute(leases.insert().values(row | times))
        except IntegrityError:
            log.debug("another host created the lease's row at the same moment")

    def _renew(self, stop: Event) -> None:
        while not stop.wait(self.lasts.total_seconds() / RENEWALS):
            try:
                with database_faults(), self.engine.begin() as connection:
                    self.confirm(connection)
            except LedgerError as error:
                log.warning("the lease could not be renewed, retrying: %s", error)
            except BusyError as error:
                log.warning("%s", error)
                return

    def _release(self) -> None:
        """Expire the lease now, for the next writer; if that fails, it expires by itself."""
        try:
            with database_faults(), self.engine.begin() as connection:
                now = _time_of(connection)
                connection.execute(_set(self.token).values(expires_at=now))
        except LedgerError as error:
            log.warning("the lease could not be released and will expire: %s", error)


def _set(token: str) -> sa.Update:
    return leases.update().where(IS_OURS & (leases.c.token == token))


def _holder(connection: sa.Connection) -> str:
    holder: str = connection.scalar(sa.select(leases.c.holder).where(IS_OURS)) or "nobody"
    return holder


def _time_of(connection: sa.Connection) -> datetime:
    """Return the time of the server's clock, shared by all its clients."""
    clock = sa.literal_column(CLOCKS[connection.dialect.name], UtcDateTime())
    now: datetime = connection.execute(sa.select(clock)).scalar_one()
    return now


def _newest_number(path: Path, *, after: int) -> int:
    """Return the greatest number in the first CSV column beyond byte `after`, else 0."""
    try:
        with open(path, "rb") as file:
            file.seek(after)
            text = file.read().decode("utf-8", "replace")
        first = [record[0] for record in csv.reader(io.StringIO(text)) if record]
    except (FileNotFoundError, csv.Error):
        return 0
    return max(
        (int(cell) for cell in first if cell.isdecimal() and len(cell) < MAX_LENGTH), default=0
    )
