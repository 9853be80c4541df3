"""Restoring a backup: everything is copied and verified before anything is replaced.

If it is interrupted while files are replaced, no run starts until it has been completed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk import store
from risk.addresses import sqlite_url
from risk.admin import backup, export
from risk.config import Config
from risk.data import derived, shared_files
from risk.errors import StorageError, UsageError
from risk.explain.plain_words import counted
from risk.ledger import copies, database, file_lock, lease, migrate
from risk.ledger.engines import address_of
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.progress import track

STAGED = ".restored.tmp"


@dataclass(frozen=True)
class Target:
    """Where a file of a backup belongs: a name below a folder of the installation."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Its final place."""
        return self.folder / self.name

    @property
    def staged(self) -> Path:
        """Its place until everything is verified, in the same file system."""
        return self.folder / STAGED / self.name


@dataclass(frozen=True)
class Restored:
    """What was restored, and the state it is in."""

    files: int
    made_at: str
    live: int | None

    def __str__(self) -> str:
        return (
            f"restored {counted(self.files, 'file')} and the ledger as of {self.made_at}; "
            f"live release: {self.live or 'none'}; verify it: python -m risk.admin check; "
            "then restart the API"
        )


def restore(config: Config, source: Path, *, force: bool = False, holder: str) -> Restored:
    """Put a verified backup in place; with `force` also of an installation that has data."""
    manifest = _manifest(source)
    migrate.refuse_unknown(manifest["revision"])
    with file_lock.lock(config, holder=holder, restores=True), _server_lease(config, holder):
        note = file_lock.restore_note(config)
        overwrites = force or note.exists()
        if not overwrites:
            _refuse_to_overwrite(config)
        targets = _targets(config, manifest["files"])
        _stage(source, manifest["files"], targets)
        with _staged_ledger(config, source, manifest["files"]) as ledger:
            store.write(note, str(source.absolute()))
            _replace_files(config, targets)
            _replace_ledger(config, ledger)
        with Ledger.open(config) as ledger:
            if live := ledger.decisions.live_version():
                releases.switch(config.deployment_folder, live)
            if config.shared_store:  # which the installation that was backed up may still use
                ledger.file_digests.remove([shared_files.mark_of(config.shared_store)])
            derived.compile_files(config, ledger)
        store.remove(note)
    return Restored(len(targets), manifest["made_at"], live)


def _manifest(source: Path) -> dict[str, Any]:
    if not (source / backup.MANIFEST).is_file():
        raise UsageError(f"{source} is not a backup: it has no {backup.MANIFEST}")
    try:
        content: dict[str, Any] = json.loads(store.read(source / backup.MANIFEST))
        if {"made_at", "revision", "files"} <= content.keys():
            return content
    except (ValueError, AttributeError):
        pass
    raise StorageError(f"{source / backup.MANIFEST} is damaged; use another backup")


def _refuse_to_overwrite(config: Config) -> None:
    found = [config.name_of(path) for name, path in backup.state(config) if _is_data(name)]
    address = address_of(config.sqlalchemy_url)
    if address.get_backend_name() != "sqlite":
        with database.connected(config, upgrade=True) as engine:
            found += ["the ledger"] if Ledger(database.Database(engine)).runs.newest() else []
    elif Path(address.database or "").exists():
        found.append(config.name_of(Path(address.database or "")))
    if found:
        raise UsageError(
            f"this installation has data, such as {found[-1]}; to replace all of it by the backup, "
            "add --force"
        )


def _is_data(name: str) -> bool:
    return not name.startswith((backup.TEST_DATA, "keys/"))


def _targets(config: Config, files: Mapping[str, str]) -> dict[str, Target]:
    """Return where each file of a backup belongs; the test data only where there are none."""
    keys = dict(zip(backup.KEYS, (config.signing_key_path, config.api_keys_path), strict=True))
    folders = {
        "parts": store.part_path(config, 0).parent,
        "models": config.model_folder,
        **backup.numbered_folders(config),
    }
    targets: dict[str, Target] = {}
    for name in sorted(files.keys() - {backup.LEDGER, backup.SETTINGS}):
        folder, *rest = Path(name).parts
        if name in keys:
            targets[name] = Target((config.root / keys[name]).parent, keys[name].name)
        elif name.startswith(backup.TEST_DATA):
            if not config.test_data.exists():
                targets[name] = Target(config.test_data.parent, config.test_data_filename)
        elif folder in folders and rest and ".." not in rest:
            targets[name] = Target(folders[folder], "/".join(rest))
        else:
            raise StorageError(f"the backup contains an unknown file {name}; use another backup")
    return targets


def _stage(source: Path, files: Mapping[str, str], targets: Mapping[str, Target]) -> None:
    """Copy the files of a backup to the file systems of their targets, and verify the copies."""
    for folder in {target.folder for target in targets.values()}:
        store.remove(folder / STAGED)
    for name, target in track(targets.items(), "restore", unit="file"):
        if store.copy(source / name, target.staged) != files[name]:
            raise StorageError(f"{source / name} is damaged; nothing was replaced")


@contextmanager
def _staged_ledger(config: Config, source: Path, files: Mapping[str, str]) -> Iterator[Ledger]:
    """Yield a verified and upgraded copy of the ledger of a backup; it is deleted afterwards."""
    path = (config.root / config.lock_path).with_name(STAGED) / backup.LEDGER
    store.remove(path.parent)
    if store.copy(source / backup.LEDGER, path) != files[backup.LEDGER]:
        raise StorageError(f"{source / backup.LEDGER} is damaged; nothing was replaced")
    try:
        copied = config.model_copy(update={"database_url": sqlite_url(path)})
        with Ledger.open(copied, upgrade=True) as ledger:
            yield ledger
    finally:
        store.remove(path.parent)


def _replace_files(config: Config, targets: Mapping[str, Target]) -> None:
    """Delete what the backup does not contain, then move its files into place."""
    wanted = {target.path for target in targets.values()}
    for name, path in backup.state(config):
        if _is_data(name) and path not in wanted:
            store.remove(path)
    for name in (config.compiled_data_filename, config.compilation_record_filename):
        store.remove(config.ingested_folder / name)  # derived: written again from the parts
    for target in targets.values():
        with store.storage_faults(target.path):
            target.path.parent.mkdir(parents=True, exist_ok=True)
            target.staged.replace(target.path)
    for folder in {target.path.parent for target in targets.values()}:
        store.sync_folder(folder)
    for folder in {target.folder for target in targets.values()}:
        store.remove(folder / STAGED)
    for folder in backup.numbered_folders(config).values():
        for emptied in folder.glob("[0-9]*"):
            if not any(emptied.iterdir()):
                store.remove(emptied)


def _replace_ledger(config: Config, restored: Ledger) -> None:
    address = address_of(config.sqlalchemy_url)
    if address.get_backend_name() == "sqlite":
        copies.replace(Path(address.database or ""), Path(str(restored.engine.url.database)))
    else:
        export.copy(config, restored, config.sqlalchemy_url, replace=True)


@contextmanager
def _server_lease(config: Config, holder: str) -> Iterator[None]:
    """Keep other machines from running meanwhile, if the ledger is on a server."""
    engine = database.open_engine(config, create=True)
    try:
        if engine.dialect.name == "sqlite":  # whose file may be damaged
            yield
        else:
            with lease.among_machines(config, engine, holder=holder):
                yield
    finally:
        engine.dispose()
