"""Erasure of one person from everything this installation stores.

What a fitted model has derived from its training rows stays, and so do files the user supplied:
the outcome names those. An interrupted erasure is completed by running it again.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from risk import store
from risk.admin import refused_records, sharing
from risk.config import Config
from risk.data import derived, part_files
from risk.errors import UnknownName
from risk.explain.plain_words import counted
from risk.lazily import pandas as pd
from risk.ledger.erasure import Person
from risk.ledger.ledger import Ledger
from risk.models import reference_rows
from risk.schema import ROW_HASH, fingerprints, keys, shorten

MAX_NAMED = 20


@dataclass(frozen=True)
class Forgotten:
    """What was erased, and where the person may still be named."""

    rows: int
    refused: int
    tables: Mapping[str, int] = field(default_factory=dict)
    releases: Sequence[int] = ()
    remaining: Sequence[str] = ()

    def __str__(self) -> str:
        tables = "".join(f", {n} of {name}" for name, n in sorted(self.tables.items()))
        text = f"erased: {counted(self.rows, 'accepted row')}, "
        text += f"{counted(self.refused, 'refused record')}; rows of the ledger{tables or ': none'}"
        if self.releases:
            numbers = ", ".join(map(str, self.releases))
            text += f"; rows kept with the releases {numbers}, which are signed again"
        lines = [text, "Not erased: what models derived from these rows, until they are replaced"]
        lines += [f"Not erased: {where}" for where in self.remaining]
        return "\n".join([*lines, "Not erased: backups; delete those made before now"])


def forget(config: Config, ledger: Ledger, identifier: str) -> Forgotten:
    """Erase the person with this identifier, which is compared exactly."""
    if config.shared_store:
        sharing.fetch(config, ledger)
    rows = _accepted(config, ledger, identifier)
    refused = refused_records.find(config, ledger, identifier)
    person = _person(config, identifier, rows, refused)
    reference_rows.complete(config, ledger)
    everything = pd.concat(rows.values()) if rows else store.read_parts(config, [])
    versions, damaged = reference_rows.erase(config, ledger, everything, person.hashes)
    tables = ledger.erasure.erase(person)
    for purged in refused:
        purged.write(config, ledger)
    derived.renew_record(config, ledger)  # the counts in it have changed
    derived.compile_files(config, ledger)
    if config.shared_store:
        sharing.sweep(config, ledger)
    ledger.erasure.finish()
    is_overwritten = ledger.erasure.overwrite()
    lost = [*refused_records.lost(config, ledger)]
    if not (rows or refused or tables):
        raise UnknownName(
            f"no accepted row, refused record or label of {identifier!r}; identifiers are compared "
            "exactly as they were written" + "".join(f"; not searched: {where}" for where in lost)
        )
    remaining = [*damaged, *lost, *_still_named(config, ledger, identifier)]
    if config.shared_store:
        remaining.append("other machines' disks, until they run: python -m risk.admin fetch")
    if not is_overwritten:
        remaining.append("deleted pages of the database file, as long as the API has it open")
    n_refused = sum(len(purged.records) for purged in refused)
    return Forgotten(len(everything), n_refused, tables, versions, remaining)


def _accepted(config: Config, ledger: Ledger, identifier: str) -> dict[int, pd.DataFrame]:
    """Return the person's rows in each part that has any."""
    numbers = ledger.parts.ids()
    part_files.require(config, ledger, numbers)
    found = {n: store.read_rows_of(config, n, identifier) for n in numbers}
    return {number: rows for number, rows in found.items() if len(rows)}


def _person(
    config: Config,
    identifier: str,
    rows: Mapping[int, pd.DataFrame],
    refused: Sequence[refused_records.Purged],
) -> Person:
    columns = config.columns
    hashes: set[int] = set()
    for part in rows.values():
        declared = part[columns.all]
        hashes.update(part[ROW_HASH].tolist(), fingerprints(declared).tolist())
        hashes.update(fingerprints(declared, columns.event_time).tolist())
    name = pd.DataFrame({columns.identifier: [identifier]}, dtype="str")
    ((key_hash, _),) = keys(name, columns.model_copy(update={"event_time": None}))
    return Person(
        column=columns.identifier,
        shown=shorten(identifier),
        key_hash=key_hash,
        rows={number: part[ROW_HASH].tolist() for number, part in rows.items()},
        hashes=sorted(hashes),
        lines={p.number: p.lines for p in refused},
    )


def _still_named(config: Config, ledger: Ledger, identifier: str) -> Iterator[str]:
    """Yield what the erasure did not write and that still contains the identifier, or may."""
    word = re.compile(rb"(?<!\w)" + re.escape(identifier.encode()) + rb"(?!\w)")
    supplied = (config.input_folder, config.test_data.parent, config.report_folder)
    files = [config.model_folder / config.api_call_filename, *_copies_of(ledger)]
    files += [path for folder in supplied for path in sorted(folder.rglob("*"))]
    named = [path for path in files if path.is_file() and _contains(path, word)]
    yield from (f"{config.name_of(path)}, which names {identifier}" for path in named[:MAX_NAMED])
    if len(named) > MAX_NAMED:
        yield f"{len(named) - MAX_NAMED} more files"
    if config.object_store:
        yield f"{config.object_store}, which was not searched"


def _copies_of(ledger: Ledger) -> list[Path]:
    """Return the copies of a SQLite ledger that upgrades left beside it."""
    if ledger.engine.dialect.name != "sqlite":
        return []
    path = Path(str(ledger.engine.url.database))
    return sorted(path.parent.glob(f"{path.stem}.[0-9]*{path.suffix}"))


def _contains(path: Path, word: re.Pattern[bytes]) -> bool:
    with store.storage_faults(path), open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return word.search(content) is not None
