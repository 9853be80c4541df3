"""Releases: immutable folders, and a symbolic link to the live one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from risk import store
from risk.config import Config
from risk.errors import ModelError, UnknownName
from risk.models import model
from risk.models.model import Model
from risk.store import storage_faults, sync_folder, write

POINTER = "current"


def publish(root: Path, version: int, files: Mapping[str, bytes]) -> Path:
    """Publish a complete release, not live yet, and return its folder.

    An existing folder of the same version was left by a crash and never made live: it is replaced.
    """
    folder = release_path(root, version)
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


def switch(root: Path, version: int) -> None:
    """Make a release the live one by a single rename, and link its files by name in `root`."""
    folder = existing(root, version)
    with storage_faults(root):
        _link(root / POINTER, folder.relative_to(root))
        for name in sorted(path.name for path in folder.iterdir()):
            _link(root / name, Path(POINTER) / name)
        sync_folder(root)


def live_folder(root: Path) -> Path:
    """Return the folder of the live release; files read from it belong to one release."""
    try:
        return root / os.readlink(root / POINTER)
    except OSError:
        raise ModelError(f"no model is deployed in {root}; run: python full_process.py") from None


def live_version(root: Path) -> int | None:
    """Return the number of the live release, None before the first."""
    try:
        return int(live_folder(root).name)
    except (ModelError, ValueError):
        return None


def existing(root: Path, version: int) -> Path:
    """Return the folder of an existing release; raise UnknownName if there is none."""
    folder = release_path(root, version)
    if not folder.is_dir():
        raise UnknownName(f"there is no release {version}; available: {versions(root)}")
    return folder


def versions(root: Path) -> list[int]:
    """Return the versions of the releases, oldest first."""
    names = (path.name for path in (root / "releases").glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def load_champion(config: Config) -> Model:
    """Load and verify the live model."""
    return load(config, live_folder(config.deployment_folder))


def load(config: Config, folder: Path) -> Model:
    """Load and verify a release's model; raise ModelError if its features are not the settings'."""
    champion = model.load(folder, store.signing_key(config))
    if champion.manifest.features != config.columns.features:
        raise ModelError(
            f"release {champion.manifest.version} was trained on {champion.manifest.features}, "
            f"but the settings declare {config.columns.features}; "
            "run: python training.py, then python deployment.py --force"
        )
    return champion


def release_path(root: Path, version: int) -> Path:
    """Return the folder of a release."""
    return root / "releases" / str(version)


def sweep(root: Path, *, last_version: int) -> None:
    """Delete releases that a crash left before a decision recorded them."""
    for path in (root / "releases").glob("*"):
        number = path.name.removeprefix(".").removesuffix(".tmp")
        if path.name.startswith(".") or (number.isdigit() and int(number) > last_version):
            shutil.rmtree(path)


def discard(root: Path, version: int) -> None:
    """Delete a release; if a crash interrupts it, the next `sweep` deletes the rest."""
    folder = existing(root, version)
    unnamed = folder.with_name(f".{version}.tmp")
    with storage_faults(folder):
        folder.rename(unnamed)
        shutil.rmtree(unnamed)
        sync_folder(folder.parent)


def listed(history: pd.DataFrame, live: int | None) -> str:
    """Write the releases as a table that marks the live one."""
    if history.empty:
        return "no release yet"
    marks = history["version"].map(lambda version: "live" if version == live else "")
    return str(history.assign(live=marks).to_string(index=False))


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
