"""The shelf of releases: immutable folders, and one pointer that names the live one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from risk import store
from risk.config import Config
from risk.errors import ModelError, UnknownName
from risk.models import model
from risk.models.model import Model
from risk.store import storage_faults, sync_folder, write

POINTER = "current"


def publish(shelf: Path, version: int, files: Mapping[str, bytes]) -> Path:
    """Put a complete release on the shelf; it is not live yet.

    An equal number that is already there was never made live: a crash came between.
    """
    folder = release_path(shelf, version)
    unfinished = folder.with_name(f".{version}.tmp")
    with storage_faults(folder):
        for leftover in (unfinished, folder):
            if leftover.exists():
                shutil.rmtree(leftover)
        for name, content in files.items():
            write(unfinished / name, content)
        unfinished.rename(folder)
        sync_folder(folder.parent)
    return folder


def switch(shelf: Path, version: int) -> None:
    """Make a release the live one by a single rename; the plain file names follow with it."""
    folder = existing(shelf, version)
    with storage_faults(shelf):
        _link(shelf / POINTER, folder.relative_to(shelf))
        for name in sorted(path.name for path in folder.iterdir()):
            _link(shelf / name, Path(POINTER) / name)
        sync_folder(shelf)


def live_folder(shelf: Path) -> Path:
    """Resolve the pointer, once: what is read through the result belongs together."""
    try:
        return shelf / os.readlink(shelf / POINTER)
    except OSError:
        raise ModelError(f"no model is deployed in {shelf}; run: python full_process.py") from None


def live_version(shelf: Path) -> int | None:
    """Return the number of the live release, None before the first."""
    try:
        return int(live_folder(shelf).name)
    except (ModelError, ValueError):
        return None


def existing(shelf: Path, version: int) -> Path:
    """Name the folder of a release that is on the shelf."""
    folder = release_path(shelf, version)
    if not folder.is_dir():
        raise UnknownName(f"there is no release {version}; on the shelf: {versions(shelf)}")
    return folder


def versions(shelf: Path) -> list[int]:
    """List the releases on the shelf, oldest first."""
    names = (path.name for path in (shelf / "releases").glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def load_champion(config: Config) -> Model:
    """Load the live model, verified."""
    return load(config, live_folder(config.deployment_folder))


def load(config: Config, folder: Path) -> Model:
    """Load the model of a release, verified and of the features the settings declare."""
    champion = model.load(folder, store.signing_key(config))
    if champion.manifest.features != config.columns.features:
        raise ModelError(
            f"release {champion.manifest.version} was trained on {champion.manifest.features}, "
            f"the settings declare {config.columns.features}; "
            "run: python training.py, then python deployment.py --force"
        )
    return champion


def release_path(shelf: Path, version: int) -> Path:
    """Name the folder of a release."""
    return shelf / "releases" / str(version)


def sweep(shelf: Path, *, last_version: int) -> None:
    """Remove releases a crash left on the shelf before any decision named them."""
    for path in (shelf / "releases").glob("*"):
        number = path.name.removeprefix(".").removesuffix(".tmp")
        if path.name.startswith(".") or (number.isdigit() and int(number) > last_version):
            shutil.rmtree(path)


def discard(shelf: Path, version: int) -> None:
    """Take a release off the shelf; what a crash leaves of it, the next `sweep` removes."""
    folder = existing(shelf, version)
    unnamed = folder.with_name(f".{version}.tmp")
    with storage_faults(folder):
        folder.rename(unnamed)
        shutil.rmtree(unnamed)
        sync_folder(folder.parent)


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
