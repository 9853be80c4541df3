"""Copies of the accepted rows: as CSV, and in SQL; all can be made again from the parts."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

from risk import store
from risk.config import Columns, Config
from risk.data import known_files, part_files, shared_files
from risk.lazily import pandas as pd
from risk.ledger.dataset_rows import StoredRow, stored_form
from risk.ledger.derived_files import Added
from risk.ledger.ledger import Ledger

RECORD_COLUMNS = [
    "id", "path", "sha256", "status", "kind", "duplicate_of", "reason",
    "rows_read", "rows_added", "rows_duplicate", "rows_quarantined", "ingested_at",
]  # fmt: skip
MAX_CELLS = 2_000_000  # of rows that stay in memory
MAX_UNRECORDED = 10_000_000  # bytes of a file, which are written again after a crash
Render = Callable[[Any], Iterator[bytes]]
Recent = dict[int, list[Any]]  # frames by ingestion, whose parts need not be read again


def are_few(n_rows: int, columns: Columns) -> bool:
    """Return whether so many rows may stay in memory, and a part of them is read at once."""
    return n_rows <= min(store.ROWS_PER_BATCH, MAX_CELLS // len(columns.all))


def compile_many(config: Config, ledger: Ledger, recent: Recent) -> None:
    """Compile the files if the recent rows are no longer few."""
    if not are_few(sum(map(len, chain(*recent.values()))), config.columns):
        compile_files(config, ledger, recent)


def compile_files(config: Config, ledger: Ledger, recent: Recent | None = None) -> None:
    """Append missing rows to final_data.csv and ingested_files.csv; rebuild them if damaged.

    Rows that were superseded leave their parts first, and final_data.csv is made again. Those of
    `recent` ingestions are taken from there, and out of it.
    """
    recent = {} if recent is None else recent
    for number, row_hashes in ledger.parts.superseded().items():
        recent.pop(number, None)
        path = store.part_path(config, number)
        part_files.require(config, ledger, [number])
        store.remove_rows(path, row_hashes)
        ledger.derived_files.record(config.compiled_data_filename, ingestion_id=0, size_bytes=0)
        digest = store.digest(path)
        shared_files.keep(config, ledger, path, path, digest)
        ledger.parts.note_removal(number, row_hashes, part_sha256=digest)
    for name, (header, render) in _renderers(config, ledger, recent).items():
        _extend(config, ledger, name, header, render)


def renew_record(config: Config, ledger: Ledger) -> None:
    """Have the record of the drops written again."""
    name = config.compilation_record_filename
    ledger.derived_files.record(name, ingestion_id=0, size_bytes=0)


def is_as_recorded(config: Config, ledger: Ledger, name: str) -> bool:
    """Return whether a derived file, as far as it is recorded, is what would be written again."""
    through, size = ledger.derived_files.state(name)
    header, render = _renderers(config, ledger, {})[name]
    known = [ingestion for ingestion in ledger.ingestions.after(0) if ingestion.id <= through]
    with open(config.ingested_folder / name, "rb") as file:
        if not _is_next(file, [store.csv_line(header).encode()]):
            return False
        for ingestion in known:
            if name == config.compiled_data_filename and ingestion.compiled_sha256:
                as_recorded = _digest(file, ingestion.compiled_bytes) == ingestion.compiled_sha256
            else:
                as_recorded = _is_next(file, render(ingestion))
            if not as_recorded:
                return False
        return file.tell() == size


def _is_next(file: IO[bytes], contents: Iterable[bytes]) -> bool:
    return all(file.read(len(content)) == content for content in contents)


def _digest(file: IO[bytes], size_bytes: int) -> str:
    """Return the SHA-256 of the next bytes of a file."""
    known = hashlib.sha256()
    while size_bytes and (some := file.read(min(size_bytes, store.BYTES_AT_ONCE))):
        known.update(some)
        size_bytes -= len(some)
    return known.hexdigest()


def complete_sql(config: Config, ledger: Ledger) -> None:
    """Store rows in SQL that were accepted before store_dataset_in_sql was set."""
    for number in ledger.dataset_rows.missing_parts() if config.store_dataset_in_sql else []:
        part_files.require(config, ledger, [number])
        ledger.dataset_rows.store_part(number, rows_for_sql(config, number))


def rows_for_sql(config: Config, ingestion_id: int) -> Iterator[StoredRow]:
    """Yield the rows of an ingestion's part in the form stored in SQL."""
    part = store.read_part(store.part_path(config, ingestion_id), config.columns)
    return stored_form(part, config.columns)


def _renderers(
    config: Config, ledger: Ledger, recent: Recent
) -> dict[str, tuple[Sequence[str], Render]]:
    """Return the header of each derived file, and what yields its content for one ingestion."""
    columns = config.columns

    def rows_of(ingestion: Any) -> Iterator[bytes]:
        from risk.data import compiled  # imports Arrow

        if ingestion.id in recent:
            yield compiled.content(pd.concat(recent.pop(ingestion.id)), columns)
        elif ingestion.rows_added and ingestion.kind == "rows":
            for rows in part_files.read_in_batches(config, ledger, ingestion.id):
                yield compiled.content(rows, columns)

    def record_of(ingestion: Any) -> Iterator[bytes]:
        yield store.csv_line([getattr(ingestion, name) for name in RECORD_COLUMNS]).encode()

    return {
        config.compiled_data_filename: (columns.all, rows_of),
        config.compilation_record_filename: (RECORD_COLUMNS, record_of),
    }


def _is_of_another_machine(config: Config, ledger: Ledger, path: Path) -> bool:
    """Return whether the state of a file is that of another machine's; it is this one's then.

    Each machine with a shared store has a file of its own, but the ledger one state for all. Whose
    it is says a random text beside the file, of which the ledger has the digest.
    """
    if not config.shared_store:
        return False
    note = path.with_name(f".{path.name}.owner")
    if note.is_file() and not known_files.is_damaged(config, ledger, note):
        return False
    known_files.write(config, ledger, note, secrets.token_bytes(32), share=False)
    return True


def _extend(
    config: Config,
    ledger: Ledger,
    name: str,
    header: Sequence[str],
    render: Render,
) -> None:
    path, first_line = config.ingested_folder / name, store.csv_line(header)
    through, size = ledger.derived_files.state(name)
    actual = store.size_of(path, first_line)
    if _is_of_another_machine(config, ledger, path) or actual < size:
        through = size = 0
        ledger.derived_files.record(name, ingestion_id=0, size_bytes=0)  # it may grow beyond that
    missing = ledger.ingestions.after(through)
    if missing and not size:
        size = store.append(path, first_line, after=0)
    elif actual > size:
        store.append(path, "", after=size)
    added: dict[int, Added] = {}
    recorded, is_compiled = size, name == config.compiled_data_filename
    for ingestion in missing:
        before, known = size, hashlib.sha256()
        for content in render(ingestion):
            size = store.append(path, content, after=size)
            known.update(content)
        if is_compiled:
            added[ingestion.id] = Added(size - before, known.hexdigest())
        if ingestion is missing[-1] or size - recorded > MAX_UNRECORDED:
            through = ingestion.id
            ledger.derived_files.record(name, ingestion_id=through, size_bytes=size, added=added)
            recorded, added = size, {}
