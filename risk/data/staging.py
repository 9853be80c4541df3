"""Files of an ingestion before its commit, named after their owner so that no other run takes them.

They get their final names, of which the number is the ingestion's, within its transaction: two
runs that evaded the lock cannot overwrite each other's files.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

from risk import store
from risk.config import Config
from risk.data import shared_files
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger

Digests = Mapping[str, str]
OWNED = re.compile(r"\.+\d+\.(?P<host>.+)\.(?P<process>\d+)(\.tmp)+")


def part(config: Config, ingestion_id: int) -> Path:
    """Return where this process writes the rows accepted by an ingestion."""
    return _staged(store.part_path(config, ingestion_id))


@contextmanager
def writing_parts(config: Config) -> Iterator[Callable[[int, pd.DataFrame], None]]:
    """Yield what writes rows to the part of an ingestion, of one after another.

    After an error none of them stays: the next drop is given the same numbers.
    """
    writing = dict[int, Callable[["pd.DataFrame"], None]]()
    with ExitStack() as undoing:
        with ExitStack() as stack:

            def write(ingestion_id: int, rows: pd.DataFrame) -> None:
                if rows.empty:
                    return
                if ingestion_id not in writing:
                    stack.close()  # the part before is complete
                    path = part(config, ingestion_id)
                    undoing.callback(_remove, path)
                    writing_part = store.writing_part(path, config.columns)
                    writing[ingestion_id] = stack.enter_context(writing_part)
                writing[ingestion_id](rows)

            yield write
        undoing.pop_all()


def quarantine(config: Config, ingestion_id: int) -> Path:
    """Return where this process writes what an ingestion refused."""
    return _staged(store.quarantine_path(config, ingestion_id))


def quarantine_digests(config: Config, ingestion_id: int) -> dict[str, str]:
    """Return the digests of what an ingestion refused, by the final names of the files."""
    final = store.quarantine_path(config, ingestion_id)
    staged = quarantine(config, ingestion_id)
    return {config.name_of(final / path.name): store.digest(path) for path in staged.glob("*")}


def share(
    config: Config, ledger: Ledger, ingestion_id: int, *, part: str | None, refused: Digests
) -> None:
    """Put the files of an ingestion into the shared store, before its transaction names them."""
    final = store.part_path(config, ingestion_id)
    if part:
        shared_files.keep(config, ledger, final, _staged(final), part)
    final = store.quarantine_path(config, ingestion_id)
    for path in sorted(_staged(final).glob("*")):
        sha256 = refused[config.name_of(final / path.name)]
        shared_files.keep(config, ledger, final / path.name, path, sha256)


def publish(config: Config, ingestion_ids: Sequence[int]) -> None:
    """Give the files of ingestions their final names; within their transaction only."""
    for path_of, number in product((store.part_path, store.quarantine_path), ingestion_ids):
        final = path_of(config, number)
        staged = _staged(final)
        with store.storage_faults(final):
            _remove(final)  # left by a crash before the commit of this number
            if staged.exists():
                staged.replace(final)
                store.sync_folder(final.parent)


def sweep(config: Config, ledger: Ledger) -> None:
    """Delete what a crash left: temporary files, and parts and quarantine never recorded.

    Files of a run that is still alive stay, even if it has lost the lock.
    """
    parts = store.part_path(config, 0).parent
    for folder in (parts, config.quarantine_folder, config.model_folder, config.deployment_folder):
        for leftover in folder.glob(".*.tmp"):
            if not _is_owned(leftover, config.lease_seconds):
                _remove(leftover)
    if any(store.files_after(config, ledger.ingestions.last_id())):
        with ledger.ingestions.unchanging() as last_id:
            for path, _ in store.files_after(config, last_id):
                _remove(path)


def _staged(final: Path) -> Path:
    return final.with_name(f".{final.stem}.{socket.gethostname()}.{os.getpid()}.tmp")


def _is_owned(path: Path, lease_seconds: float) -> bool:
    """Return whether another process may still need a file; of another host, a recent one."""
    owner = OWNED.fullmatch(path.name)
    if owner is None:
        return False
    if owner["host"] != socket.gethostname():
        return time.time() - path.lstat().st_mtime < lease_seconds
    return int(owner["process"]) != os.getpid() and _is_alive(int(owner["process"]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
