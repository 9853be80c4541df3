"""Files whose digest the ledger keeps by name: quarantine, reports, charts and scores."""

from __future__ import annotations

import hashlib
from pathlib import Path

from risk import store
from risk.config import Config
from risk.errors import StorageError
from risk.ledger.ledger import Ledger

DAMAGED = "is damaged: it is not the file that was written"


def write(config: Config, ledger: Ledger, path: Path, content: str | bytes) -> None:
    """Write a file once its digest is recorded.

    If the write is interrupted, the file before it is still one that was recorded.
    """
    content = content.encode() if isinstance(content, str) else content
    name, before = config.name_of(path), store.digest(path) if path.is_file() else None
    replaced = before if before in ledger.file_digests.expected([name]).get(name, ()) else None
    digest = hashlib.sha256(content).hexdigest()
    ledger.file_digests.record(name, digest, replaced=replaced)
    store.write(path, content)


def verify(config: Config, ledger: Ledger, path: Path) -> None:
    """Raise StorageError if a file is not the one that was recorded; some were not recorded."""
    if is_damaged(config, ledger, path):
        raise StorageError(f"{config.name_of(path)} {DAMAGED}; restore it from a backup")


def is_damaged(config: Config, ledger: Ledger, path: Path) -> bool:
    """Return whether a file is not the one that was recorded."""
    name = config.name_of(path)
    expected = ledger.file_digests.expected([name]).get(name)
    return expected is not None and store.digest(path) not in expected
