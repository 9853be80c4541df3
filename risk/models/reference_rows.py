"""The rows that releases and the challenger keep, without those of one person."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from risk import store
from risk.config import Config
from risk.data import known_files
from risk.errors import ModelError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import model, releases, rolling, shared_releases, signing, small_tables
from risk.models.model import Manifest


def erase(
    config: Config, ledger: Ledger, rows: pd.DataFrame, hashes: Sequence[int]
) -> tuple[list[int], list[str]]:
    """Erase rows from the releases, and from the challenger; sign these again.

    Return the releases changed, and messages about those that are damaged and stay as they are.
    """
    root, key = config.deployment_folder, signing.key(config)
    changed, damaged = [], []
    for version in releases.versions(root):
        folder = releases.release_path(root, version)
        try:
            manifest = releases.verify(config, folder)
            if config.shared_store and shared_releases.is_outdated(config, ledger, version):
                raise ModelError("it is not as the ledger recorded it")
            replaced = _without(folder, manifest, rows, hashes)
        except ModelError as error:
            damaged.append(f"release {version}, which is damaged: {error}")
            continue
        if replaced:
            files = {name: model.read_checked(folder, name, manifest) for name in manifest.files}
            complete = _with_digests(manifest, replaced)
            files |= replaced | {model.MANIFEST: model.sign(complete, key).encode()}
            text = complete.model_dump_json()
            shared_releases.keep(config, ledger, version, text, files)
            record = partial(ledger.releases.replace_manifest, version, text)
            releases.publish(root, version, files, record=record)
            changed.append(version)
    return changed, damaged + _erase_from_challenger(config, ledger, rows, hashes)


def complete(config: Config, ledger: Ledger) -> None:
    """Put releases in place that a crash left beside their place, signed and recorded."""
    root = config.deployment_folder
    for unfinished in (root / "releases").glob(".[0-9]*.tmp"):
        version = int(unfinished.name[1:].removesuffix(".tmp"))
        try:
            manifest = model.load_manifest(unfinished, signing.key(config))
            for name in manifest.files:
                model.read_checked(unfinished, name, manifest)
        except ModelError:
            continue
        folder = releases.release_path(root, version)
        recorded = Manifest.model_validate_json(ledger.releases.manifest(version))
        if not folder.exists() and manifest == recorded:
            with store.storage_faults(folder):
                unfinished.rename(folder)
                store.sync_folder(folder.parent)


def _erase_from_challenger(
    config: Config, ledger: Ledger, rows: pd.DataFrame, hashes: Sequence[int]
) -> list[str]:
    folder, key = config.model_folder, signing.key(config)
    if not (folder / model.MANIFEST).exists():
        return []
    try:
        manifest = model.load_manifest(folder, key)
        replaced = _without(folder, manifest, rows, hashes)
    except ModelError as error:  # also after a crash between the files below
        for name in (model.SAMPLE, model.HELD_OUT, model.ROLLING, model.MANIFEST):
            known_files.remove(config, ledger, folder / name)
        return [f"the challenger, which is damaged ({error}); run: python training.py"]
    if model.ROLLING not in manifest.files:  # left there by an earlier challenger
        known_files.remove(config, ledger, folder / model.ROLLING)
    for name, content in replaced.items():
        known_files.write(config, ledger, folder / name, content)
    if replaced:
        signed = model.sign(_with_digests(manifest, replaced), key)
        known_files.write(config, ledger, folder / model.MANIFEST, signed)
    return []


def _without(
    folder: Path, manifest: Manifest, rows: pd.DataFrame, hashes: Sequence[int]
) -> dict[str, bytes]:
    """Return the files of a model that keep any of the rows, without these."""
    files: dict[str, bytes] = {}
    if model.SAMPLE in manifest.files:
        sample = small_tables.read(folder, model.SAMPLE, manifest)
        if len(rest := _others(sample, rows)) < len(sample):
            files[model.SAMPLE] = small_tables.to_bytes(rest)
    if model.HELD_OUT in manifest.files:
        lines = model.read_checked(folder, model.HELD_OUT, manifest).decode().splitlines()
        if len(others := [line for line in lines if int(line) not in {*hashes}]) < len(lines):
            files[model.HELD_OUT] = "".join(f"{line}\n" for line in others).encode()
    if model.ROLLING in manifest.files:
        predicted = rolling.read(folder, manifest)
        if (forgotten := predicted.index.isin([*hashes])).any():
            files[model.ROLLING] = rolling.to_bytes(predicted[~forgotten].reset_index())
    return files


def _others(sample: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return a sample, which has no identifiers, without one row for each of the given ones."""
    names = [name for name in sample if name in rows]
    stays = np.ones(len(sample), dtype=bool)
    for row in rows[names].to_dict("records") if names else ():
        same = stays.copy()
        for name, value in row.items():
            cells = sample[name]
            same &= (cells.isna() if pd.isna(value) else cells == value).to_numpy(dtype=bool)
        if same.any():
            stays[same.argmax()] = False
    return sample[stays].reset_index(drop=True)


def _with_digests(manifest: Manifest, replaced: dict[str, bytes]) -> Manifest:
    digests = {name: model.digest(content) for name, content in replaced.items()}
    return manifest.model_copy(update={"files": manifest.files | digests})
