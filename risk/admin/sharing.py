"""The shared store and this machine made alike: fetch what is there, or write what is only here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from risk import cli, store
from risk.config import Config
from risk.data import known_files, shared_files
from risk.decisions import damage
from risk.errors import StorageError, UsageError
from risk.explain.plain_words import counted
from risk.ledger.ledger import Ledger
from risk.models import releases, shared_releases
from risk.progress import track


@dataclass(frozen=True)
class Shared(cli.Result):
    """How many files were fetched, written or deleted, and which are in neither place."""

    what: str
    missing: Sequence[str]

    @property
    def exit_code(self) -> int:
        """74 if a file the ledger names is neither here nor in the shared store."""
        return StorageError.exit_code if self.missing else 0

    def __str__(self) -> str:
        if not self.missing:
            return self.what
        total = counted(len(self.missing), "file")
        return (
            f"{self.what}; wrong: {total} neither here nor in the shared store, first "
            f"{self.missing[0]}; run python -m risk.admin share on the machine that has it, or "
            "restore it from a backup"
        )


def fetch(config: Config, ledger: Ledger, *, only_absent: bool = False) -> Shared:
    """Fetch every file that is not here, and make the live release live here.

    With `only_absent` no file is replaced, as a run may be writing it.
    """
    _require(config)
    missing, n_fetched = [], 0
    for path, sha256 in track(_files(config, ledger).items(), "fetch", unit="file"):
        if (only_absent and path.is_file()) or shared_files.is_here(path, sha256):
            continue
        if shared_files.fetch(config, path, sha256):
            n_fetched += 1
        else:
            missing.append(config.name_of(path))
    bring = shared_releases.bring_releases if only_absent else shared_releases.bring
    brought = bring(config, ledger)
    live = ledger.decisions.live_version()
    if live and live not in releases.versions(config.deployment_folder):
        missing.append(f"release {live}")
    done = f"fetched {counted(n_fetched, 'file')} and {counted(len(brought), 'release')}"
    return Shared(done, missing)


def share(config: Config, ledger: Ledger) -> Shared:
    """Write what is missing in the shared store, and delete what the ledger does not name."""
    _require(config)
    _share_first_releases(config, ledger)
    absent, missing, n_written = absences(config, ledger), [], 0
    for path, sha256 in track(absent.items(), "share", unit="file"):
        if _is_sound(config, ledger, path, sha256):
            shared_files.keep(config, ledger, path, path, sha256)
            n_written += 1
        else:
            missing.append(config.name_of(path))
    n_deleted = sweep(config, ledger)
    done = f"wrote {counted(n_written, 'object')}, deleted {counted(n_deleted, 'object')}"
    return Shared(done, missing)


def absences(config: Config, ledger: Ledger) -> dict[Path, str]:
    """Return the files that the ledger names and the shared store lacks, or has cut short."""
    found, absent = shared_files.sizes(config), {}
    for path, sha256 in (_files(config, ledger) | _files_of_releases(config, ledger)).items():
        n_bytes = found.get(shared_files.name_of(config, path, sha256))
        if n_bytes is None or (path.is_file() and path.stat().st_size != n_bytes):
            absent[path] = sha256
    return absent


def sweep(config: Config, ledger: Ledger) -> int:
    """Delete the objects that the ledger does not name; return how many there were.

    Those of files that are not here, or that the settings no longer name, stay.
    """
    recorded = ledger.file_digests.expected().items()
    files = _files(config, ledger) | _files_of_releases(config, ledger)
    files |= {config.root / name: digests[0] for name, digests in recorded if digests}
    named = {shared_files.name_of(config, path, sha256) for path, sha256 in files.items()}
    unnamed = shared_files.sizes(config).keys() - named
    shared_files.remove(config, ledger, sorted(unnamed))
    return len(unnamed)


def _files(config: Config, ledger: Ledger) -> dict[Path, str]:
    """Return the parts and the other recorded files, with their digests."""
    recorded = ledger.parts.digests(ledger.parts.ids(), settled=False)
    parts = {store.part_path(config, number): sha256 for number, sha256 in recorded.items()}
    return parts | known_files.shared(config, ledger)


def _files_of_releases(config: Config, ledger: Ledger) -> dict[Path, str]:
    """Return the files of the releases that are shared, with the digests in their names."""
    root, files = config.deployment_folder, dict[Path, str]()
    for version, is_kept in shared_releases.kept(config, ledger).items():
        if is_kept:
            folder = releases.release_path(root, version)
            files |= shared_releases.digests(folder, ledger.releases.manifest(version))
    return files


def _share_first_releases(config: Config, ledger: Ledger) -> None:
    """Share the releases that were made before there was a shared store."""
    root, known = config.deployment_folder, shared_releases.kept(config, ledger)
    recorded = {int(version) for version in ledger.releases.history()["version"]}
    for version in sorted(recorded.intersection(releases.versions(root)) - known.keys()):
        if damage.fault_of(config, ledger, version) is None:
            folder = releases.release_path(root, version)
            text = ledger.releases.manifest(version)
            own = shared_releases.digests(folder, text)
            files = {path.name: store.read(path) for path in own}
            shared_releases.keep(config, ledger, version, text, files)


def _is_sound(config: Config, ledger: Ledger, path: Path, sha256: str) -> bool:
    """Whether a file here is the one that the ledger recorded."""
    if path.parent.parent == config.deployment_folder / "releases":
        return damage.fault_of(config, ledger, int(path.parent.name)) is None
    return shared_files.is_here(path, sha256)


def _require(config: Config) -> None:
    if not config.shared_store:
        raise UsageError("shared_store is not set")
