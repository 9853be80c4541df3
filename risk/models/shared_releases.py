"""Releases and the challenger in the shared store: written there, and brought to this machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from risk.config import Config
from risk.data import known_files, shared_files
from risk.errors import ConfigError, ModelError
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.models.model import Manifest

log = logging.getLogger(__name__)


def keep(
    config: Config, ledger: Ledger, version: int, recorded: str, files: Mapping[str, bytes]
) -> None:
    """Write the objects of a release before the ledger has `recorded` its manifest."""
    if not config.shared_store:
        return
    folder = releases.release_path(config.deployment_folder, version)
    own = digests(folder, recorded)
    for path, sha256 in own.items():
        shared_files.keep(config, ledger, path, files[path.name], sha256)
    manifest = folder / model.MANIFEST
    ledger.file_digests.record(config.name_of(manifest), own[manifest])


def digests(folder: Path, recorded: str) -> dict[Path, str]:
    """Return the digest in the name of each object of a release.

    That of the manifest is the digest of the manifest as the ledger records it, without signature.
    """
    files = json.loads(recorded)["files"]  # by name; of one with a path, only the name counts
    own = {folder / Path(name).name: sha256 for name, sha256 in files.items()}
    return own | {folder / model.MANIFEST: model.digest(recorded.encode())}


def kept(config: Config, ledger: Ledger) -> dict[int, bool]:
    """Return the releases that were shared, and whether each still is: some were discarded."""
    names = {}
    for version in map(int, ledger.releases.history()["version"]):
        folder = releases.release_path(config.deployment_folder, version)
        names[config.name_of(folder / model.MANIFEST)] = version
    recorded = ledger.file_digests.expected([*names])
    return {names[name]: bool(digests) for name, digests in recorded.items()}


def discard(config: Config, ledger: Ledger, version: int) -> None:
    """Record that a release is no longer shared."""
    path = releases.release_path(config.deployment_folder, version) / model.MANIFEST
    ledger.file_digests.record(config.name_of(path), "")


def read(config: Config, ledger: Ledger, version: int) -> dict[str, bytes] | None:
    """Return the files of a release in the shared store; None unless all are there, and signed."""
    if not config.shared_store:
        return None
    folder = releases.release_path(config.deployment_folder, version)
    path, recorded = folder / model.MANIFEST, ledger.releases.manifest(version)
    signed = shared_files.read(config, path, digests(folder, recorded)[path])
    if signed is None:
        return None
    try:
        manifest = model.verified(signed, _key(config), path=path)
    except ModelError as error:
        log.warning("in %s: %s", config.shared_store, error)
        return None
    if manifest != Manifest.model_validate_json(recorded):
        return None
    files = {model.MANIFEST: signed}
    for name, sha256 in manifest.files.items():
        content = shared_files.read(config, folder / name, sha256)
        if content is None or model.digest(content) != sha256:
            return None
        files[name] = content
    return files


def bring(config: Config, ledger: Ledger) -> list[int]:
    """Fetch releases and the challenger if another machine has made newer ones.

    Return the releases fetched.
    """
    live = ledger.decisions.live_version()
    if not config.shared_store or live is None:
        return []
    root = config.deployment_folder
    brought = bring_releases(config, ledger)
    if live in releases.versions(root) and releases.live_version(root) != live:
        releases.switch(root, live)
    path = config.model_folder / model.MANIFEST
    name = config.name_of(path)
    recorded = ledger.file_digests.expected([name]).get(name)
    if recorded and not shared_files.is_here(path, recorded[0]):
        _bring_challenger(config, ledger)
    return brought


def bring_releases(config: Config, ledger: Ledger) -> list[int]:
    """Fetch shared releases that are not here, or as they were before a person was erased."""
    root, brought = config.deployment_folder, []
    here = releases.versions(root)
    for version in (version for version, is_kept in kept(config, ledger).items() if is_kept):
        if version in here and not is_outdated(config, ledger, version):
            continue
        if files := read(config, ledger, version):
            releases.publish(root, version, files)
            brought.append(version)
    if brought:
        log.info("fetched from %s: releases %s", config.shared_store, brought)
    return brought


def is_outdated(config: Config, ledger: Ledger, version: int) -> bool:
    """Return whether a release here, as it is signed, is not the one that the ledger recorded."""
    folder = releases.release_path(config.deployment_folder, version)
    try:
        manifest = model.load_manifest(folder, signing.key(config))
    except ModelError:
        return False  # damaged, which a run repairs and reports
    return manifest != Manifest.model_validate_json(ledger.releases.manifest(version))


def _bring_challenger(config: Config, ledger: Ledger) -> None:
    """Fetch what stages wrote to the model folder, the manifest last."""
    known = known_files.shared(config, ledger)
    own = [path for path in known if path.parent == config.model_folder]
    for path in sorted(own, key=lambda path: path.name == model.MANIFEST):
        if not shared_files.is_here(path, known[path]):
            shared_files.fetch(config, path, known[path])


def _key(config: Config) -> bytes:
    """Return the key of the machine that signed the releases; never create another one."""
    path = config.root / config.signing_key_path
    if not config.signing_key and not path.exists():
        raise ConfigError(
            f"the releases in {config.shared_store} are signed on another machine: copy "
            f"{config.name_of(path)} from there, or set RISK_SIGNING_KEY on both"
        )
    return signing.key(config)
