"""Releases: immutable folders, and a symbolic link to the live one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from risk import store
from risk.config import Config
from risk.errors import ModelError, UnknownName
from risk.lazily import pandas as pd
from risk.models import model, signing
from risk.models.model import Manifest, Model
from risk.store import storage_faults, sync_folder, write

POINTER = "current"


def publish(
    root: Path,
    version: int,
    files: Mapping[str, bytes],
    *,
    record: Callable[[], None] = lambda: None,
) -> Path:
    """Publish a complete release, not live yet, and return its folder.

    An existing folder of the same version is replaced: it was left by a crash and never made live,
    or is replaced on purpose. `record` is called between writing the files and replacing it.
    """
    folder, unfinished = release_path(root, version), unfinished_path(root, version)
    with storage_faults(folder):
        store.remove(unfinished)
        for name, content in files.items():
            write(unfinished / name, content)
        record()
        store.remove(folder)
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
        for link in root.iterdir():  # to files that only the release before had
            if link.is_symlink() and link.readlink().parent == Path(POINTER) and not link.exists():
                link.unlink()
        sync_folder(root)


def is_linked(root: Path) -> bool:
    """Return whether the files in `root` are links to those of the live release."""
    try:
        names = [path.name for path in live_folder(root).iterdir()]
        return all(os.readlink(root / name) == f"{POINTER}/{name}" for name in names)
    except OSError:
        return False


def live_folder(root: Path) -> Path:
    """Return the folder of the live release; files read from it belong to one release."""
    pointer = root / POINTER
    try:
        return root / os.readlink(pointer)
    except OSError:
        if not pointer.exists():
            fault = f"no release is live in {root}"
        else:
            fault = f"{pointer} is not a link, perhaps because the folder was copied"
        raise ModelError(f"{fault}; run: python full_process.py") from None


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


def verify(config: Config, folder: Path) -> Manifest:
    """Verify the signature, number and files of a release without loading its model."""
    manifest = model.load_manifest(folder, signing.key(config))
    _require_number(folder, manifest)
    model.verify_files(folder, manifest)
    return manifest


def load(config: Config, folder: Path) -> Model:
    """Load and verify a release's model; raise ModelError if its features are not the settings'."""
    champion = load_any(config, folder)
    _require_features(champion.manifest, config)
    return champion


def load_manifest(config: Config, folder: Path) -> Manifest:
    """Verify a release like `load`, but do not unpickle its model."""
    manifest = verify(config, folder)
    model.require_packages(folder, manifest)
    _require_features(manifest, config)
    return manifest


def load_any(config: Config, folder: Path) -> Model:
    """Load and verify a release's model, whatever its features."""
    trusted = model.load(folder, signing.key(config))
    _require_number(folder, trusted.manifest)
    return trusted


def release_path(root: Path, version: int) -> Path:
    """Return the folder of a release."""
    return root / "releases" / str(version)


def unfinished_path(root: Path, version: int) -> Path:
    """Return the folder of a release until it is complete."""
    return root / "releases" / f".{version}.tmp"


def sweep(root: Path, *, last_version: int) -> None:
    """Delete releases that a crash left before a decision recorded them."""
    for path in (root / "releases").glob("*"):
        number = path.name.removeprefix(".").removesuffix(".tmp")
        if path.name.startswith(".") or (number.isdecimal() and int(number) > last_version):
            with storage_faults(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def discard(root: Path, version: int) -> None:
    """Delete a release; if a crash interrupts it, the next `sweep` deletes the rest."""
    folder = existing(root, version)
    unnamed = unfinished_path(root, version)
    with storage_faults(folder):
        folder.rename(unnamed)
        shutil.rmtree(unnamed)
        sync_folder(folder.parent)


def listed(history: pd.DataFrame, live: int | None) -> str:
    """Write the releases as a table that marks the live one."""
    if history.empty:
        return "no releases yet"
    marks = history["version"].map(lambda version: "live" if version == live else "")
    return str(history.assign(live=marks).to_string(index=False))


def _require_features(manifest: Manifest, config: Config) -> None:
    if manifest.features != config.columns.features:
        raise ModelError(
            f"release {manifest.version} was trained on {manifest.features}, "
            f"but the settings declare {config.columns.features}; "
            f"run: {model.TRAIN_AGAIN}"
        )


def _require_number(folder: Path, manifest: Manifest) -> None:
    if folder.name != str(manifest.version):
        raise ModelError(f"{folder} contains the files of release {manifest.version}")


def _link(path: Path, target: Path) -> None:
    """Create a link; a folder or file in its place is a copy made by who copied the project."""
    if path.is_symlink() and path.readlink() == target:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
