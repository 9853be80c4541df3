"""A damaged live release: restored from undamaged copies of its files, or replaced.

What is in place of a release must be what the ledger recorded: a valid signature is not enough,
as an older release has one too.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from risk import store
from risk.config import Config
from risk.decisions import publishing
from risk.decisions.codes import Grounds, ReasonCode
from risk.decisions.rollback_watch import Failure
from risk.errors import ModelError, StorageError
from risk.ledger.ledger import Ledger
from risk.models import model, releases, shared_releases, signing
from risk.models.evaluation import Scorecard
from risk.models.model import Manifest

log = logging.getLogger(__name__)
KIND = "damaged_release"


def fault_of(config: Config, ledger: Ledger, version: int) -> str | None:
    """Say what is wrong with the files of a release; None if they are as recorded."""
    folder = releases.release_path(config.deployment_folder, version)
    try:
        manifest = releases.verify(config, folder)
    except ModelError as error:
        return str(error).replace(str(config.root), ".")
    if not _is_recorded(manifest, _recorded(ledger, version)):
        return "its files are signed, but are not those the ledger recorded"
    return None


def repair(config: Config, ledger: Ledger) -> Failure | None:
    """Restore the live release if it is damaged, or name a sound one before it to go back to.

    Return None if nothing was damaged; raise ModelError if nothing sound is left.
    """
    version = ledger.decisions.live_version()
    fault = fault_of(config, ledger, version) if version else None
    if version is None or fault is None:
        return None
    incident = _open_incident(ledger, version, fault)
    files = _undamaged(config, ledger, version) or shared_releases.read(config, ledger, version)
    if files:
        releases.publish(config.deployment_folder, version, files)
        releases.switch(config.deployment_folder, version)  # the link may be lost with the files
        ledger.incidents.resolve_restored(incident, version)
        facts = {"from": version, "to": version, "fault": fault}
        return Failure(version, version, Grounds(ReasonCode.RESTORED, facts))
    for earlier in reversed(releases.versions(config.deployment_folder)):
        if earlier < version and _is_usable(config, ledger, earlier):
            facts = {"from": version, "to": earlier, "fault": fault}
            return Failure(version, earlier, Grounds(ReasonCode.DAMAGED, facts))
    raise ModelError(
        f"release {version} is damaged and no earlier one can replace it: {fault}; if "
        f"the signing key was lost, restore it; else run: {model.TRAIN_AGAIN}"
    )


def relink(config: Config, ledger: Ledger) -> list[int]:
    """Make the release live that was decided on; return its number if another one, or a file, was.

    Files in place of the links in the deployment folder may be of another release.
    """
    version, root = ledger.decisions.live_version(), config.deployment_folder
    if version is None or (releases.live_version(root) == version and releases.is_linked(root)):
        return []
    log.warning("release %d should be live; restored", version)
    releases.switch(config.deployment_folder, version)
    return [version]


def require_usable(config: Config, ledger: Ledger, version: int) -> None:
    """Raise ModelError if a release is damaged, or cannot be loaded here."""
    releases.load_any(config, releases.existing(config.deployment_folder, version))
    if fault := fault_of(config, ledger, version):
        raise ModelError(fault)


def _open_incident(ledger: Ledger, version: int, fault: str) -> int:
    """Return the open incident about this release, a new one if there is none."""
    subject = f"(release {version})"
    known = [i.id for i in ledger.incidents.unresolved() if (i.kind, i.subject) == (KIND, subject)]
    if known:
        return int(known[0])
    log.error("release %d is damaged: %s", version, fault)
    row = {"version": version, "kind": KIND, "subject": subject, "severity": "large"}
    facts = json.dumps({"version": version, "fault": fault})
    detail = f"Release {version} was damaged: {fault}"
    ledger.incidents.open(row | {"detail": detail, "facts": facts})
    return _open_incident(ledger, version, fault)


def _undamaged(config: Config, ledger: Ledger, version: int) -> dict[str, bytes] | None:
    """Collect the files of a release from wherever an undamaged copy of each is left."""
    recorded = _recorded(ledger, version)
    signed = _signed_manifest(config, recorded, version)
    if signed is None:
        return None
    manifest = Manifest.model_validate(json.loads(signed)["manifest"])
    files = {model.MANIFEST: signed}
    for name, digest in manifest.files.items():
        copies = _copies(config, version, name, manifest)
        found = next((content for content in copies if model.digest(content) == digest), None)
        if found is None:
            return None
        files[name] = found
    return files


def _signed_manifest(config: Config, recorded: dict[str, Any], version: int) -> bytes | None:
    """Return the signed manifest of a release, if a copy of it is left."""
    key = signing.key(config)
    for folder in _folders(config, version):
        try:
            manifest = model.load_manifest(folder, key)
        except ModelError:
            continue
        if _is_recorded(manifest, recorded):
            return model.sign(manifest, key).encode()
        own = manifest.model_dump(mode="json", exclude={"version", "files", "test_scores"})
        if own.items() <= recorded.items() and manifest.files.items() <= recorded["files"].items():
            # the challenger, signed before it became this release
            return model.sign(Manifest.model_validate(recorded), key).encode()
    return None


def _copies(config: Config, version: int, name: str, manifest: Manifest) -> Iterator[bytes]:
    """Yield each candidate for the content of a file."""
    if name == config.score_filename and manifest.test_scores:
        dataset = publishing.tested_on(config, manifest)
        yield Scorecard(f"release {version}", dataset, manifest.test_scores).to_csv().encode()
    for folder in _folders(config, version):
        if (content := _read(folder / name)) is not None:
            yield content
    if name == config.compilation_record_filename:
        record, known = _read(config.ingested_folder / name) or b"", hashlib.sha256()
        end = 0
        for line in record.splitlines(keepends=True):  # it has grown since
            known.update(line)
            end += len(line)
            if known.hexdigest() == manifest.files[name]:
                yield record[:end]


def _folders(config: Config, version: int) -> list[Path]:
    root = config.deployment_folder
    return [
        releases.release_path(root, version),
        releases.unfinished_path(root, version),
        root / releases.POINTER,
        root,
        config.model_folder,
    ]


def _read(path: Path) -> bytes | None:
    try:
        return store.read(path)
    except StorageError:
        return None


def _recorded(ledger: Ledger, version: int) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(ledger.releases.manifest(version))
    return manifest


def _is_recorded(manifest: Manifest, recorded: dict[str, Any]) -> bool:
    return (manifest.version, manifest.threshold, manifest.files) == (
        recorded["version"],
        recorded["threshold"],
        recorded["files"],
    )


def _is_usable(config: Config, ledger: Ledger, version: int) -> bool:
    """Whether a release is sound, and a model the installed packages can load."""
    try:
        require_usable(config, ledger, version)
    except ModelError:
        return False
    return True
