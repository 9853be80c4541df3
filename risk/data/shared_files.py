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
    folder = ObjectFolder(config.shared_store)
    _require_own(folder, ledger)
    place = folder.path_of(name_of(config, path, sha256))
    n_bytes = content.stat().st_size if isinstance(content, Path) else len(content)
    if folder.entry(place).size == n_bytes:
        return  # the same content; another would have another name
    with store.storage_faults(path):
        source = open(content, "rb") if isinstance(content, Path) else io.BytesIO(content)
    with source:
        folder.write(place, source)


def read(config: Config, path: Path, sha256: str) -> bytes | None:
    """Return the content of the object of a file; None if there is none."""
    if not config.shared_store:
        return None
    folder, content = ObjectFolder(config.shared_store), io.BytesIO()
    is_there = folder.read(folder.path_of(name_of(config, path, sha256)), content)
    return content.getvalue() if is_there else None


def fetch(config: Config, path: Path, sha256: str) -> bool:
    """Put a file in place from its object; return whether there was one with that content."""
    if not config.shared_store:
        return False
    folder = ObjectFolder(config.shared_store)
    with store.spooling() as content:
        if not folder.read(folder.path_of(name_of(config, path, sha256)), content):
            return False
        content.seek(0)
        if hashlib.file_digest(content, "sha256").hexdigest() != sha256:
            return False
        content.seek(0)
        with store.replacing(path) as file:
            shutil.copyfileobj(content, file)
    return True


def is_here(path: Path, sha256: str) -> bool:
    """Return whether a file is on this machine, with that content."""
    return path.is_file() and store.digest(path) == sha256


def sizes(config: Config) -> dict[str, int]:
    """Return the names of all objects, and their sizes in bytes."""
    folder = ObjectFolder(config.shared_store or "")
    try:
        found = folder.entries(recursive=True)
    except FileNotFoundError:
        return {}
    begins = folder.path_of("")
    own = {entry.path.removeprefix(begins): entry.size for entry in found if entry.is_file}
    return {name: n_bytes for name, n_bytes in own.items() if name != OWNER}


def name_of(config: Config, path: Path, sha256: str) -> str:
    """Return the name of the object of a file."""
    name = PurePosixPath(config.name_of(path).lstrip("/"))
    return str(name.with_stem(f"{name.stem}-{sha256}"))


def remove(config: Config, ledger: Ledger, unnamed: Iterable[str]) -> None:
    """Delete objects that the ledger does not name; refuse to delete those of another ledger."""
    folder = ObjectFolder(config.shared_store or "")
    _require_own(folder, ledger)
    for name in unnamed:
        folder.delete(folder.path_of(name))


def _require_own(folder: ObjectFolder, ledger: Ledger) -> None:
    """Mark the folder as that of this ledger; raise ConfigError if it is that of another."""
    mark = _mark_in(folder)
    if mark is None:
        content = secrets.token_hex(32).encode()
        ledger.file_digests.record(mark_of(folder.url), hashlib.sha256(content).hexdigest())
        folder.write(folder.path_of(OWNER), io.BytesIO(content))
        mark = _mark_in(folder)  # which another ledger may have written at the same moment
    name = mark_of(folder.url)
    if mark not in ledger.file_digests.expected([name]).get(name, ()):
        raise ConfigError(
            f"shared_store {folder.url} has the files of another ledger; give each installation a "
            f"folder of its own, or delete {OWNER} there if this one takes it over"
        )


def mark_of(url: str) -> str:
    """Return under which name the ledger has the digest of the mark of a folder."""
    return f"{url.partition('?')[0].rstrip('/')}/{OWNER}"


def _mark_in(folder: ObjectFolder) -> str | None:
    content = io.BytesIO()
    is_there = folder.read(folder.path_of(OWNER), content)
    return hashlib.sha256(content.getvalue()).hexdigest() if is_there else None
