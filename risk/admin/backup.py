"""Backups: the ledger and all files it refers to, consistent while runs go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from risk import store
from risk.addresses import sqlite_url
from risk.admin import export, sharing
from risk.config import Config, ReportKind
from risk.data import part_files, requeueing
from risk.errors import BusyError, StorageError, UsageError
from risk.explain.plain_words import counted
from risk.ledger import copies
from risk.ledger.ledger import Ledger
from risk.ledger.tables import REVISION
from risk.models import model
from risk.progress import track
from risk.report import predicted

LEDGER = "ledger.sqlite"
MANIFEST = "backup.json"
SETTINGS = "settings.json"
KEYS = ("keys/signing_key", "keys/api_keys.json")
TEST_DATA = "test_data/"
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class BackedUp:
    """Where a backup is, and how much it contains."""

    folder: str
    files: int
    size_bytes: int
    with_signing_key: bool

    def __str__(self) -> str:
        key = "the signing key and the API keys: keep it secret"
        if not self.with_signing_key:
            key = "no signing key, which is RISK_SIGNING_KEY: keep that too"
        size = f"{counted(self.files, 'file')}, {self.size_bytes / 1e6:,.1f} MB"
        return f"backed up to {self.folder}: {size}; it contains {key}"


def back_up(config: Config, ledger: Ledger, to: Path) -> BackedUp:
    """Copy the ledger, then the files it refers to, into a new folder.

    Files are replaced as a whole and never changed in place. If one was replaced or deleted since
    the ledger was copied, both are copied again.
    """
    folder = to.absolute()
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{to} exists already; name a folder that does not")
    parts = store.part_path(config, 0).parent
    for own in (parts, config.model_folder, *numbered_folders(config).values()):
        if folder.resolve().is_relative_to(own.resolve()):
            raise UsageError(f"{to} is within {config.name_of(own)}; name a folder elsewhere")
    if config.shared_store:
        sharing.fetch(config, ledger, only_absent=True)
    unfinished = folder.with_name(f".{folder.name}.tmp")
    for _ in range(MAX_ATTEMPTS):
        store.remove(unfinished)
        with store.storage_faults(unfinished):
            unfinished.mkdir(parents=True, mode=0o700)
        if (digests := _attempt(config, ledger, unfinished)) is not None:
            break
    else:
        store.remove(unfinished)
        raise BusyError("files changed each time they were copied; try again between two runs")
    manifest = {
        "made_at": ledger.now().isoformat(timespec="seconds"),
        "revision": REVISION,
        "files": digests,
    }
    store.write(unfinished / MANIFEST, json.dumps(manifest, indent=1))
    size = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
    with store.storage_faults(folder):
        unfinished.rename(folder)
        store.sync_folder(folder.parent)
    return BackedUp(str(to), len(digests), size, KEYS[0] in digests)


def state(config: Config, numbers: list[int] | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the files that make up the state of an installation: name in a backup, and path.

    With `numbers` only the parts of these ingestions.
    """
    parts = store.part_path(config, 0).parent
    for path in sorted(parts.glob("[0-9]*.parquet")):
        if numbers is None or int(path.stem) in numbers:
            yield f"parts/{path.name}", path
    for name, folder in numbered_folders(config).items():
        for path in sorted(folder.glob("[0-9]*/[!.]*")):
            yield f"{name}/{path.parent.name}/{path.name}", path
    if (path := config.quarantine_folder / requeueing.RULES).exists():
        yield f"quarantine/{path.name}", path
    for name in model_files(config):
        if (path := config.model_folder / name).exists():
            yield f"models/{name}", path
    for name, path in zip(KEYS, (config.signing_key_path, config.api_keys_path), strict=True):
        if (config.root / path).exists():
            yield name, config.root / path
    if config.test_data.exists():
        yield f"{TEST_DATA}{config.test_data_filename}", config.test_data


def numbered_folders(config: Config) -> dict[str, Path]:
    """Return the folders whose entries are folders named by a number, by their name in a backup."""
    return {
        "quarantine": config.quarantine_folder,
        "releases": config.deployment_folder / "releases",
        "reports": config.report_folder,
    }


def model_files(config: Config) -> list[str]:
    """Return the names of the files that stages write to `output_model_path`."""
    named = (
        config.model_filename,
        config.score_filename,
        config.plot_filename,
        config.api_call_filename,
        predicted.FILE,
        *(store.report_name(config, kind) for kind in get_args(ReportKind)),
    )
    own = (model.REFERENCE, model.PLAIN_REFERENCE, model.DERIVED, model.SAMPLE, model.HELD_OUT)
    return [*named, *own, model.ROLLING, model.MANIFEST]


def _attempt(config: Config, ledger: Ledger, unfinished: Path) -> Mapping[str, str] | None:
    """Copy everything and return the SHA-256 of each file; None if something changed meanwhile."""
    snapshot = unfinished / LEDGER
    _copy_ledger(config, ledger, snapshot)
    copied = config.model_copy(update={"database_url": sqlite_url(snapshot)})
    with Ledger.open(copied, upgrade=False) as then:
        numbers = then.parts.ids()
        recorded = then.parts.digests(numbers)
        expected = then.file_digests.expected()
    copies.as_one_file(snapshot)
    store.write(unfinished / SETTINGS, config.model_dump_json(indent=4))
    files = dict(state(config, numbers))
    try:
        before = {name: _signature(path) for name, path in files.items()}
        copied_files = track(files.items(), "backup", unit="file")
        digests = {name: store.copy(path, unfinished / name) for name, path in copied_files}
        unchanged = before == {name: _signature(path) for name, path in files.items()}
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    names = {number: f"parts/{store.part_path(config, number).name}" for number in numbers}
    if not unchanged or any(digests.get(names[n]) != recorded[n] for n in recorded):
        part_files.verify(config, ledger, ledger.parts.ids())  # damaged, not replaced
        return None
    others = {config.name_of(path): digests[name] for name, path in files.items()}
    unlike = [name for name in others.keys() & expected if others[name] not in expected[name]]
    if ledger.file_digests.expected(unlike) != {name: expected[name] for name in unlike}:
        return None  # written since the ledger was copied; else they are damaged
    own = {name: store.digest(unfinished / name) for name in (LEDGER, SETTINGS)}
    return own | digests


def _copy_ledger(config: Config, ledger: Ledger, path: Path) -> None:
    if ledger.engine.dialect.name == "sqlite":
        copies.to_file(ledger.engine, path)
    else:
        export.copy(config, ledger, sqlite_url(path))


def _signature(path: Path) -> tuple[int, int, int]:
    with store.storage_faults(path):
        status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
