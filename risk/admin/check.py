"""Verification of a whole installation: what is wrong, and how to repair it; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from risk import store
from risk.admin import api_keys, backup, sharing
from risk.config import MODEL_FILES, Config
from risk.data import derived, known_files, object_store, part_files, sql_sources
from risk.decisions import damage
from risk.errors import (
    ConfigError,
    LedgerError,
    ModelError,
    NoLedger,
    RiskError,
    SourceError,
    StorageError,
)
from risk.explain.plain_words import counted
from risk.lazily import pyarrow_parquet as pq
from risk.ledger import lease
from risk.ledger.ledger import Ledger
from risk.models import model, pipelines, releases, signing
from risk.notify import channels
from risk.report import predicted

REBUILD = "run: python ingestion.py, which rebuilds it"
REPAIR = "restore it from a backup"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, its exit code, and how to repair it if the text does not say so."""

    text: str
    exit_code: int
    repair: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.repair}" if self.repair else self.text


@dataclass(frozen=True)
class Checkup:
    """What was verified, and every fault that was found."""

    verified: Sequence[str]
    faults: Sequence[Fault]

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong, else the greatest code: settings before models before files."""
        return max((fault.exit_code for fault in self.faults), default=0)

    def __str__(self) -> str:
        found = [f"wrong: {fault}" for fault in self.faults]
        total = counted(len(found), "fault")
        return "\n".join([*found, f"verified: {', '.join(self.verified)}; {total}"])


def check(config: Config) -> Checkup:
    """Verify settings, key, ledger, releases, parts, derived files, sources and messages."""
    found = (fault for examine in ALONE for fault in _caught(examine, config))
    faults = [*dict.fromkeys(found)]  # without the key two are the same
    verified = ["settings", "keys", "sources", "messages", "challenger", "schema"]
    try:
        with Ledger.open(config, upgrade=False) as ledger:
            faults += [fault for examine in BY_LEDGER for fault in examine(config, ledger)]
            versions, parts = releases.versions(config.deployment_folder), ledger.parts.ids()
    except NoLedger as error:
        if releases.versions(config.deployment_folder):
            faults.append(Fault(str(error), error.exit_code, "is database_url right?"))
        return Checkup(verified, faults)
    except LedgerError as error:
        faults.append(Fault(str(error), error.exit_code))
        return Checkup(verified, faults)
    counts = [counted(len(versions), "release"), counted(len(parts), "part"), "derived files"]
    return Checkup([*verified, *counts], faults)


def _caught(examine: Callable[[Config], object], config: Config) -> Iterator[Fault]:
    try:
        examine(config)
    except RiskError as error:
        yield Fault(str(error), error.exit_code)


def _settings(config: Config) -> None:
    needed = [config.input_folder]
    if not config.watches_only:
        pipelines.build(config.columns, config.training, random_seed=config.random_seed)
        needed.append(config.test_data)
    for path in needed:
        if not path.exists():
            raise ConfigError(f"{config.name_of(path)} does not exist; correct the settings")


def _signing_key(config: Config) -> None:
    is_new = not (config.root / config.signing_key_path).exists()
    if is_new and not releases.versions(config.deployment_folder):
        return  # the first training creates it
    signing.key(config)


def _sources(config: Config) -> None:
    for name in config.sources:
        sql_sources.probe(config, name)
    object_store.probe(config)


def _messages(config: Config) -> None:
    for target in channels.targets(config):
        if not target.is_usable():
            raise ConfigError(f"messages cannot be sent to {target.name}; correct its address")


def _releases(config: Config, ledger: Ledger) -> Iterator[Fault]:
    live = ledger.decisions.live_version()
    recorded = {int(version) for version in ledger.releases.history()["version"]}
    on_disk = releases.versions(config.deployment_folder)
    for version in sorted({*on_disk, *([live] if live else [])} & recorded):
        try:
            fault = damage.fault_of(config, ledger, version)
        except ConfigError:
            return  # without the key, which is a fault already, none can be verified
        if fault:
            is_live = version == live
            repair = "run: python full_process.py, which restores or replaces it"
            spare = "it cannot be rolled back to: restore it from a backup, or remove its folder"
            text = f"release {version}: {fault}"
            yield Fault(text, ModelError.exit_code, repair if is_live else spare)
    if live is None:
        return
    try:
        root, wrong = config.deployment_folder, ""
        releases.live_folder(root)
        if releases.live_version(root) != live:
            wrong = f"release {live} should be live, but another one is"
        elif not releases.is_linked(root):
            wrong = f"files in {config.name_of(root)} are no links to those of release {live}"
        if wrong:
            yield Fault(wrong, ModelError.exit_code, "run: python full_process.py")
        releases.load_champion(config)
    except ModelError as error:
        yield Fault(str(error), error.exit_code)


def _parts(config: Config, ledger: Ledger) -> Iterator[Fault]:
    added = {row.id: row.rows_added for row in ledger.ingestions.after(0)}
    for number, removed in ledger.parts.removed().items():
        added[number] -= removed
    for number in ledger.parts.ids():
        path = store.part_path(config, number)
        try:
            part_files.verify(config, ledger, [number])
            with store.storage_faults(path):
                rows = pq.read_metadata(path).num_rows
        except StorageError as error:
            advised = "" if REPAIR in str(error) else REPAIR
            yield Fault(str(error), error.exit_code, advised)
            continue
        if rows != added[number]:
            text = f"{config.name_of(path)} has {rows} rows, the ledger {added[number]}"
            yield Fault(text, StorageError.exit_code, REPAIR)


def _derived_files(config: Config, ledger: Ledger) -> Iterator[Fault]:
    for name in (config.compiled_data_filename, config.compilation_record_filename):
        path = config.ingested_folder / name
        _, size = ledger.derived_files.state(name)
        try:
            with store.storage_faults(path):
                actual = path.stat().st_size if size else 0
        except StorageError as error:
            yield Fault(str(error), error.exit_code, REBUILD)
            continue
        if actual < size:
            text = f"{config.name_of(path)} has {actual} bytes, the ledger {size}"
            yield Fault(text, StorageError.exit_code, REBUILD)
            continue
        # a damaged part is a fault already
        with suppress(StorageError), store.storage_faults(path):
            if size and not derived.is_as_recorded(config, ledger, name):
                text = f"{config.name_of(path)} differs from the accepted data"
                yield Fault(text, StorageError.exit_code, f"delete it and {REBUILD}")


def _known_files(config: Config, ledger: Ledger) -> Iterator[Fault]:
    for name, expected in ledger.file_digests.expected().items():
        path = config.root / name
        repair = _repair(config, path)
        if repair and config.shared_store:
            repair = "run: python -m risk.admin fetch"
        try:
            if repair and store.digest(path) not in expected:
                yield Fault(f"{name} {known_files.DAMAGED}", StorageError.exit_code, repair)
        except StorageError as error:
            yield Fault(str(error), error.exit_code, repair)


def _repair(config: Config, path: Path) -> str:
    """Return how to repair a file; empty if it is none of those the settings name today."""
    kind = path.suffix.removeprefix(".")
    if path.parent.parent == config.quarantine_folder:
        return REPAIR
    if path.parent.parent == config.report_folder:
        return f"run: python reporting.py --run {int(path.parent.name)} --format {kind}"
    if path.parent != config.model_folder or path.name not in backup.model_files(config):
        return ""
    if path.name in (config.model_filename, *MODEL_FILES):
        return ""  # verified by its manifest
    if path.name == config.score_filename:
        has_challenger = (config.model_folder / model.MANIFEST).exists()
        return "run: python scoring.py" if has_challenger else ""
    has_no_format = path.name in (config.plot_filename, predicted.FILE)
    return "run: python reporting.py" + (f" --format {kind}" if not has_no_format else "")


def _shared(config: Config, ledger: Ledger) -> Iterator[Fault]:
    try:
        absent = [*sharing.absences(config, ledger)] if config.shared_store else []
    except SourceError as error:
        yield Fault(str(error), error.exit_code)
        return
    if absent:
        files = f"{counted(len(absent), 'file')}, such as {config.name_of(absent[0])},"
        text = f"{files} missing in {config.shared_store}"
        yield Fault(text, StorageError.exit_code, "run: python -m risk.admin share")


def _ledger(config: Config, ledger: Ledger) -> Iterator[Fault]:
    try:
        lease.require_own_ledger(config, ledger)
    except LedgerError as error:
        yield Fault(str(error), error.exit_code)
    if problem := ledger.database.inconsistency():
        text = f"the ledger is damaged: {problem}"
        yield Fault(text, LedgerError.exit_code, "restore a backup: python -m risk.admin restore")
    for drop in ledger.ingestions.after(0):
        if drop.rows_read != drop.rows_added + drop.rows_duplicate + drop.rows_quarantined:
            text = f"the counts of ingestion {drop.id} in the ledger do not add up"
            yield Fault(text, LedgerError.exit_code, "restore a backup")


def _challenger(config: Config) -> None:
    folder = config.model_folder
    if (folder / model.MANIFEST).exists():
        model.verify_files(folder, model.load_manifest(folder, signing.key(config)))


ALONE = (_settings, _signing_key, api_keys.read, _sources, _messages, _challenger)
BY_LEDGER = (_ledger, _releases, _parts, _derived_files, _known_files, _shared)
