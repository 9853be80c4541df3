"""The lock of a machine: one run writes, and notices if the file it holds is removed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from risk import store
from risk.config import Config
from risk.errors import BusyError, StorageError

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # of a file system without locks


@contextmanager
def lock(config: Config, *, holder: str, restores: bool = False) -> Iterator[Callable[[], None]]:
    """Hold the file lock for writing; raise BusyError naming its holder if it is taken.

    What is yielded raises BusyError if the lock file was removed or replaced since, so that
    another run may have locked the new one. After an interrupted restore only one that `restores`
    gets the lock.
    """
    path = config.root / config.lock_path
    notice = path.with_suffix(".holder")
    with store.storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))  # FileLock would wait for permission
    kernel_lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        kernel_lock.acquire(timeout=0)
    except filelock.Timeout:
        held_by = _holder(notice)
        raise BusyError(f"{config.name_of(path)} is held by {held_by}; nothing was done") from None
    except OSError as error:
        advice = "; lock_path may be on another disk" if error.errno in NO_LOCKS else ""
        raise StorageError(f"{path} cannot be locked: {error.strerror or error}{advice}") from error
    try:
        locked = _inode(path)

        def require_held() -> None:
            if locked is None or _inode(path) != locked:
                raise BusyError(
                    f"{config.name_of(path)} was removed while this run held it; nothing more is "
                    "written. Leave that file alone: a run that has ended does not hold it"
                )

        if not restores:
            _refuse_half_restored(config)
        store.write(notice, f"{holder}, process {os.getpid()}")
        yield require_held
    finally:
        kernel_lock.release()


def restore_note(config: Config) -> Path:
    """Return the file that exists while a restore is unfinished; it names the backup."""
    return (config.root / config.lock_path).with_suffix(".restore")


def _refuse_half_restored(config: Config) -> None:
    note = restore_note(config)
    if note.exists():
        source = store.read(note).decode("utf-8", "replace")
        raise StorageError(
            f"a restore was interrupted; complete it: python -m risk.admin restore {source}"
        )


def _holder(notice: Path) -> str:
    """Return who holds a lock; the notice may be missing, or written by something else."""
    try:
        text = notice.read_bytes()[:500].decode("utf-8", "replace")
    except OSError:
        return "another run"
    return "".join(character if character.isprintable() else "?" for character in text)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
