"""Files that the ledger names, kept in an object store as well, where every machine finds them.

An object is named after its file and the SHA-256 of its content, and never replaced by another. It
is written before the transaction that names the file. So whatever the ledger names is there, and
only the ledger says what counts.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from risk import store
from risk.config import Config
from risk.data.object_folder import ObjectFolder
from risk.errors import ConfigError
from risk.ledger.ledger import Ledger

OWNER = "ledger.txt"


def keep(config: Config, ledger: Ledger, path: Path, content: bytes | Path, sha256: str) -> None:
    """Write the object of a file, from its content or from a file that has it."""
    if not config.shared_store:
        return
    folder, name = ObjectFolder(config.shared_store), name_of(config, path, sha256)
    if not _marks(folder, ledger):
        _require_own(folder, ledger)
    with store.storage_faults(path):
        source = open(content, "rb") if isinstance(content, Path) else io.BytesIO(content)
    with source:
        folder.write(folder.path_of(name), source)


def read(config: Config, path: Path, sha256: str) -> bytes | None:
    """Return the content of the object of a file; None if there is none."""
    if not config.shared_store:
        return None
    folder, content = ObjectFolder(config.shared_store), io.BytesIO()
    try:
        folder.read(folder.path_of(name_of(config, path, sha256)), content)
    except FileNotFoundError:
        return None
    return content.getvalue()


def fetch(config: Config, path: Path, sha256: str) -> bool:
    """Put a file in place from its object; return whether there was one with that content."""
    if not config.shared_store:
        return False
    folder = ObjectFolder(config.shared_store)
    with store.spooling() as content:
        try:
            folder.read(folder.path_of(name_of(config, path, sha256)), content)
        except FileNotFoundError:
            return False
        content.seek(0)
        if hashlib.file_digest(content, "sha256").hexdigest() != sha256:
            return False
        content.seek(0)
        with store.replacing(path) as file:
            shutil.copyfileobj(content, file)
    return True


def names(config: Config) -> set[str]:
    """Return the names of all objects."""
    folder = ObjectFolder(config.shared_store or "")
    try:
        found = folder.entries(recursive=True)
    except FileNotFoundError:
        return set()
    paths = {entry.path.removeprefix(folder.path_of("")) for entry in found if entry.is_file}
    return paths - {OWNER}


def name_of(config: Config, path: Path, sha256: str) -> str:
    """Return the name of the object of a file."""
    name = PurePosixPath(place_of(config, path))
    return str(name.with_stem(f"{name.stem}-{sha256}"))


def place_of(config: Config, path: Path) -> str:
    """Return the place of a file or folder within the shared store."""
    return config.name_of(path).lstrip("/")


def remove(config: Config, ledger: Ledger, unnamed: Iterable[str]) -> None:
    """Delete objects that the ledger does not name; refuse to delete those of another ledger."""
    folder = ObjectFolder(config.shared_store or "")
    _require_own(folder, ledger)
    for name in unnamed:
        folder.delete(folder.path_of(name))


def _require_own(folder: ObjectFolder, ledger: Ledger) -> None:
    """Mark the folder as that of this ledger; raise ConfigError if it is that of another."""
    mark = io.BytesIO()
    try:
        folder.read(folder.path_of(OWNER), mark)
    except FileNotFoundError:
        mark.write(secrets.token_hex(32).encode())
        ledger.file_digests.record(f"{folder.url}/{OWNER}", _sha256(mark))
        mark.seek(0)
        folder.write(folder.path_of(OWNER), mark)
    if _sha256(mark) not in _marks(folder, ledger):
        raise ConfigError(
            f"shared_store {folder.url} has the files of another ledger; give each installation a "
            "folder of its own"
        )


def _marks(folder: ObjectFolder, ledger: Ledger) -> tuple[str, ...]:
    name = f"{folder.url}/{OWNER}"
    return ledger.file_digests.expected([name]).get(name, ())


def _sha256(content: io.BytesIO) -> str:
    return hashlib.sha256(content.getvalue()).hexdigest()
