"""File storage of the stages: atomic writes, and clean-up after a crash."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from risk.config import Columns, Config, ReportKind
from risk.errors import StorageError
from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc
from risk.lazily import pyarrow_csv as pa_csv
from risk.lazily import pyarrow_parquet as pq
from risk.schema import ROW_HASH

ROWS_PER_BATCH = 100_000
ROWS_AT_ONCE = 20_000  # converted from small parts
ROWS_OF_SAMPLE = 1000
BYTES_AT_ONCE = 1_000_000
LINE_END = "\r\n"  # csv.writer quotes only the line ends that it writes itself
QUARANTINED_ROWS, REASONS = "rows.csv", "reasons.csv"
REASON_COLUMNS = ("file", "line", "column", "rule", "value")
Records = Sequence[Sequence[str]]
Reasons = Sequence[tuple[str, int, str, str, str]]


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Convert errors of the operating system and of Parquet to StorageError naming the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{error.filename or path}: {error.strerror or error}") from error
    except pa.ArrowInvalid as error:
        raise StorageError(f"{path} is damaged: {error}") from None


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Yield a temporary file to write; it replaces `path` once it is complete and on disk."""
    temporary = path.with_name(f".{path.name}.tmp")
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def spooling() -> Iterator[io.BufferedRandom]:
    """Yield an unnamed temporary file, deleted on exit or with the process."""
    with storage_faults(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        yield file


def write(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write `content` to `path` atomically, so that no reader ever sees half of it."""
    with replacing(path, mode=mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read(path: Path) -> bytes:
    """Return the content of a file; raise StorageError if it does not exist."""
    with storage_faults(path):
        return path.read_bytes()


def copy(source: Path, target: Path) -> str:
    """Copy a file atomically with its mode, and return its SHA-256."""
    known = hashlib.sha256()
    with storage_faults(source), open(source, "rb") as file:
        with replacing(target, mode=os.fstat(file.fileno()).st_mode & 0o777) as copied:
            while some := file.read(BYTES_AT_ONCE):
                known.update(some)
                copied.write(some)
    return known.hexdigest()


def remove(path: Path) -> None:
    """Delete a file or a folder with its content; one that does not exist is none."""
    with storage_faults(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with storage_faults(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append(path: Path, content: str | bytes, *, after: int) -> int:
    """Truncate `path` to `after` bytes, append `content` and return the new size.

    Bytes beyond `after` were left by a crash and never recorded, so they are dropped.
    """
    content = content.encode() if isinstance(content, str) else content
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(after)
            file.seek(after)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return after + len(content)


def size_of(path: Path, first_line: str) -> int:
    """Return the size of a derived file in bytes, -1 if missing or with another header."""
    expected = first_line.encode()
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size if file.read(len(expected)) == expected else -1
    except FileNotFoundError:
        return -1


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to disk, so that they survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def part_path(config: Config, ingestion_id: int) -> Path:
    """Return the path of the file with the rows accepted by one ingestion."""
    return config.ingested_folder / "parts" / f"{ingestion_id:08d}.parquet"


def quarantine_path(config: Config, ingestion_id: int) -> Path:
    """Return the path of the folder with the records refused by one ingestion."""
    return config.quarantine_folder / f"{ingestion_id:08d}"


def files_after(config: Config, ingestion_id: int) -> Iterator[tuple[Path, int]]:
    """Yield the parts and quarantines of ingestions after one, each with its number.

    The others are not made paths of: there may be 50,000.
    """
    for last in part_path(config, ingestion_id), quarantine_path(config, ingestion_id):
        folder, size, last_name = last.parent, len(last.name), last.name
        with storage_faults(folder):
            names = os.listdir(folder) if folder.is_dir() else ()
        for name in (name for name in names if len(name) > size or name > last_name):
            stem, ending = os.path.splitext(name)
            if ending == last.suffix and stem.isdecimal() and int(stem) > ingestion_id:
                yield folder / name, int(stem)


def report_path(config: Config, run_id: int, kind: ReportKind) -> Path:
    """Return the path of the report on a run in one format."""
    return config.report_folder / f"{run_id:08d}" / report_name(config, kind)


def report_name(config: Config, kind: ReportKind) -> str:
    """Return the name of the file of a report in one format."""
    ending = f"-{kind}.pdf" if kind in ("appendix", "full") else f".{kind}"
    return Path(config.report_filename).stem + ending


@contextmanager
def writing_part(path: Path, columns: Columns) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield what writes rows to a part; its file appears at `path` only when complete."""
    schema, writers = _part_schema(columns), list[pq.ParquetWriter]()
    with replacing(path) as file, ExitStack() as stack:

        def write_rows(rows: pd.DataFrame) -> None:
            table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False, nthreads=1)
            if not writers:
                writer = pq.ParquetWriter(file, schema, use_dictionary=_repetitive(table))
                writers.append(stack.enter_context(writer))
            writers[0].write_table(table)

        yield write_rows


def _repetitive(table: pa.Table) -> list[str]:
    """Return the columns of repeated values; a dictionary of others costs as much as the rest."""
    some = table.slice(length=ROWS_OF_SAMPLE)
    return [
        name for name in some.column_names if pc.count_distinct(some[name]).as_py() <= len(some) / 2
    ]


@contextmanager
def writing_table(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """Yield an atomic writer of record batches: Parquet or CSV, by the suffix of `path`."""
    kind = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
    with replacing(path) as file, kind(file, schema) as writer:
        yield writer


def read_part(path: Path, columns: Columns) -> Iterator[pd.DataFrame]:
    """Yield the rows of a part in batches; a column declared later has only missing values."""
    with storage_faults(path):
        for batch in pq.ParquetFile(path).iter_batches(ROWS_PER_BATCH):
            yield to_frame([_typed(pa.Table.from_batches([batch]), columns)], columns)


def read_parts(config: Config, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Return the accepted rows of several ingestions, in the order given."""
    return read_counted(config, ingestion_ids)[0]


def read_counted(config: Config, ingestion_ids: Sequence[int]) -> tuple[pd.DataFrame, list[int]]:
    """Return the same, and how many rows each of these ingestions has."""
    frames, some, sizes, n_rows = list[pd.DataFrame](), list[pa.Table](), list[int](), 0
    for number in ingestion_ids:
        some.append(read_table(part_path(config, number), config.columns))
        sizes.append(len(some[-1]))
        n_rows += sizes[-1]
        if n_rows >= ROWS_AT_ONCE:
            frames.append(to_frame(some, config.columns))
            some, n_rows = [], 0
    frames += [to_frame(some, config.columns)] if some or not frames else []
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0], sizes


def read_table(path: Path, columns: Columns, names: Sequence[str] = ()) -> pa.Table:
    """Return the rows of a part, all columns or some, to be converted by `to_frame`."""
    with storage_faults(path):
        part = pq.ParquetFile(path)
        present = part.schema_arrow.names
        wanted = [name for name in present if name in {*names, ROW_HASH}] if names else None
        # threads would cost more than they save: most parts are small
        return _typed(part.read(wanted, use_threads=False), columns, names)


def to_frame(tables: Sequence[pa.Table], columns: Columns) -> pd.DataFrame:
    """Convert tables with the columns of parts, at once: each conversion costs milliseconds."""
    table = pa.concat_tables(tables) if tables else _part_schema(columns).empty_table()
    rows: pd.DataFrame = table.combine_chunks().to_pandas()
    return rows.astype({columns.target: "Int8"}) if columns.target in rows else rows


def release_memory() -> None:
    """Give the system back what Arrow and the C library keep free, before work of another kind."""
    import ctypes  # a run without new data does without it

    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.pythonapi, "malloc_trim", None):  # only Linux has it
        trim(0)


def read_rows_of(config: Config, ingestion_id: int, identifier: str) -> pd.DataFrame:
    """Return the accepted rows of one ingestion that have the given identifier."""
    path, name = part_path(config, ingestion_id), config.columns.identifier
    with storage_faults(path):
        has_identifier = name in pq.read_schema(path).names
        only = (pc.field(name) == identifier) if has_identifier else pc.scalar(False)
        return to_frame([_typed(pq.read_table(path, filters=only), config.columns)], config.columns)


def remove_rows(path: Path, row_hashes: Sequence[int]) -> None:
    """Replace a part by one without the rows with these hashes."""
    with storage_faults(path):
        table = pq.read_table(path)
        rest = table.filter(~pc.field(ROW_HASH).isin(row_hashes))
        with replacing(path) as file:
            pq.write_table(rest, file)


def identifiers_among(
    config: Config, ingestion_ids: Sequence[int], identifiers: Sequence[str]
) -> set[str]:
    """Return which of the identifiers the accepted rows of these ingestions have."""
    found: set[str] = set()
    for ingestion_id in ingestion_ids:
        path, name = part_path(config, ingestion_id), config.columns.identifier
        with storage_faults(path):
            if name in pq.read_schema(path).names:
                only = pc.field(name).isin(identifiers)
                table = pq.read_table(path, columns=[name], filters=only)
                found.update(table[name].to_pylist())
    return found


def csv_line(cells: Sequence[Any], *, separator: str = ",") -> str:
    """Return one record as a line of CSV."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=LINE_END).writerow(cells)
    return text.getvalue().removesuffix(LINE_END) + "\n"


def quarantine_rows(
    folder: Path, records: Records, reasons: Reasons, *, separator: str, encoding: str
) -> None:
    """Write the refused records of a drop unchanged, header first, and the reasons."""
    text = "".join(csv_line(record, separator=separator) for record in records)
    quarantine_file(folder, io.BytesIO(text.encode(encoding)), reasons)


def quarantine_file(folder: Path, file: IO[bytes], reasons: Reasons) -> None:
    """Write a copy of a file that cannot be used, and the reasons."""
    file.seek(0)
    with replacing(folder / QUARANTINED_ROWS) as copy:
        shutil.copyfileobj(file, copy)
    write(folder / REASONS, "".join(map(csv_line, [REASON_COLUMNS, *reasons])))


def _part_schema(columns: Columns) -> pa.Schema:
    kinds = dict.fromkeys(columns.numbers, pa.float64()) | {columns.target: pa.int8()}
    fields = [(name, kinds.get(name, pa.string())) for name in columns.all]
    return pa.schema([*fields, (ROW_HASH, pa.int64())])


def _typed(table: pa.Table, columns: Columns, names: Sequence[str] = ()) -> pa.Table:
    whole = _part_schema(columns)
    schema = pa.schema([whole.field(name) for name in names]) if names else whole
    if table.schema.equals(schema):
        return table.replace_schema_metadata()
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)
