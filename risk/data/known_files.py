"""Files whose digest the ledger keeps by name: quarantine, challenger, reports, charts, scores."""

from __future__ import annotations

import hashlib
from pathlib import Path

from risk import store
from risk.config import Config
from risk.data import shared_files
from risk.errors import StorageError
from risk.ledger.ledger import Ledger

DAMAGED = "is damaged: it is not the file that was written"


def write(
    config: Config, ledger: Ledger, path: Path, content: str | bytes, *, share: bool = True
) -> None:
    """Write a file once its digest is recorded and its object, if files are shared, is there.

    If the write is interrupted, the file before it is still one that was recorded. A file of this
    machine alone is not to `share`.
    """
    content = content.encode() if isinstance(content, str) else content
    sha256 = hashlib.sha256(content).hexdigest()
    if share:
        shared_files.keep(config, ledger, path, content, sha256)
    before = store.digest(path) if path.is_file() else None
    replaced = before if before in (_expected(config, ledger, path) or ()) else None
    ledger.file_digests.record(config.name_of(path), sha256, replaced=replaced)
    store.write(path, content)


def remove(config: Config, ledger: Ledger, path: Path) -> None:
    """Delete a file, then its digest."""
    store.remove(path)
    ledger.file_digests.remove([config.name_of(path)])


def shared(config: Config, ledger: Ledger) -> dict[Path, str]:
    """Return the recorded files that are in the folders of today's settings, with their digests."""
    recorded = ledger.file_digests.expected()
    paths = {config.root / name: digests[0] for name, digests in recorded.items() if digests}
    numbered = (config.quarantine_folder, config.report_folder)
    return {
        path: sha256
        for path, sha256 in paths.items()
        if ".." not in path.parts
        and (path.parent == config.model_folder or path.parent.parent in numbered)
    }


def is_there(config: Config, ledger: Ledger, path: Path) -> bool:
    """Return whether a file exists, after fetching it if it is shared and not here yet."""
    if path.is_file():
        return True
    recorded = _expected(config, ledger, path) if config.shared_store else None
    return recorded is not None and shared_files.fetch(config, path, recorded[0])


def read(config: Config, ledger: Ledger, path: Path) -> bytes | None:
    """Return the content of a file; None if there is none, or another than was recorded."""
    if not path.is_file():
        return None
    content, expected = store.read(path), _expected(config, ledger, path) or ()
    return content if hashlib.sha256(content).hexdigest() in expected else None


def verify(config: Config, ledger: Ledger, path: Path) -> None:
    """Raise StorageError if a file is not the one that was recorded; some were not recorded."""
    if is_damaged(config, ledger, path):
        raise StorageError(f"{config.name_of(path)} {DAMAGED}; restore it from a backup")


def is_damaged(config: Config, ledger: Ledger, path: Path) -> bool:
    """Return whether a file is not the one that was recorded."""
    expected = _expected(config, ledger, path)
    return expected is not None and store.digest(path) not in expected


def _expected(config: Config, ledger: Ledger, path: Path) -> tuple[str, ...] | None:
    """Return the digests a file may have, None if none was recorded."""
    name = config.name_of(path)
    return ledger.file_digests.expected([name]).get(name)
