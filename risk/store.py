"""Every file the stages write: whole or not at all, and repaired after a crash."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from risk.config import Columns, Config, ReportFormat
from risk.errors import BusyError, ConfigError, StorageError
from risk.schema import ROW_HASH

ROWS_PER_BATCH = 100_000
MAX_LENGTH = 20  # digits of a number of the ledger
RETURN_TOO = "\r\n"  # a csv.writer only quotes those ends of lines it writes itself
QUARANTINED_ROWS = "rows.csv"
REASON_COLUMNS = ("file", "line", "column", "rule", "value")
Reasons = Sequence[tuple[str, int, str, str, str]]


@contextmanager
def lock(config: Config, *, holder: str) -> Iterator[None]:
    """Be the only writer; whoever comes second is told who holds the lock and since when."""
    path = config.root / config.lock_path
    notice = path.with_suffix(".holder")
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    kernel_lock = filelock.FileLock(path)
    try:
        kernel_lock.acquire(timeout=0)
    except filelock.Timeout:
        held_by = notice.read_text(encoding="utf-8") if notice.exists() else "another run"
        raise BusyError(f"{config.name_of(path)} is held by {held_by}; nothing was done") from None
    try:
        write(notice, f"{holder}, process {os.getpid()}")
        yield
    finally:
        kernel_lock.release()


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn a refusal of the operating system into an error that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{error.filename or path}: {error.strerror or error}") from error
    except pa.ArrowInvalid as error:
        raise StorageError(f"{path} is damaged: {error}") from None


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Give a file to write to; it takes the place of `path` once all of it is on the disk."""
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
    """Give a file without a name, which is gone at the end, or with the process."""
    with storage_faults(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        yield file


def write(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`, so that no reader ever sees half of it."""
    with replacing(path, mode=mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read(path: Path) -> bytes:
    """Read a file that must be there."""
    with storage_faults(path):
        return path.read_bytes()


def append(path: Path, text: str, *, after: int) -> int:
    """Add `text` behind the first `after` bytes of `path`, dropping the rest; return the size.

    What a crash left behind byte `after` was never recorded, so it may go.
    """
    content = text.encode()
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
    """Return the bytes of a derived file, -1 if it is gone or begins with another header."""
    expected = first_line.encode()
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size if file.read(len(expected)) == expected else -1
    except FileNotFoundError:
        return -1


def newest_number(path: Path, *, after: int) -> int:
    """Return the greatest number that begins a record of CSV behind byte `after`, else 0."""
    try:
        with open(path, "rb") as file:
            file.seek(after)
            text = file.read().decode("utf-8", "replace")
        first = [record[0] for record in csv.reader(io.StringIO(text)) if record]
    except (FileNotFoundError, csv.Error):
        return 0
    return max(
        (int(cell) for cell in first if cell.isdecimal() and len(cell) < MAX_LENGTH), default=0
    )


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def part_path(config: Config, ingestion_id: int) -> Path:
    """Name the file that holds the rows one ingestion accepted."""
    return config.ingested_folder / "parts" / f"{ingestion_id:08d}.parquet"


def quarantine_path(config: Config, ingestion_id: int) -> Path:
    """Name the folder that holds what one ingestion refused."""
    return config.quarantine_folder / f"{ingestion_id:08d}"


def report_path(config: Config, run_id: int, kind: ReportFormat) -> Path:
    """Name the file that holds the report on a run."""
    name = Path(config.report_filename).with_suffix(f".{kind}").name
    return config.report_folder / f"{run_id:08d}" / name


@contextmanager
def writing_part(path: Path, columns: Columns) -> Iterator[pq.ParquetWriter]:
    """Give a Parquet writer whose file appears under `path` only when it is complete."""
    with replacing(path) as file, pq.ParquetWriter(file, _part_schema(columns)) as writer:
        yield writer


@contextmanager
def writing_table(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """Give a writer of record batches, to Parquet or CSV as `path` ends; whole or not at all."""
    kind = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
    with replacing(path) as file, kind(file, schema) as writer:
        yield writer


def to_table(rows: pd.DataFrame, columns: Columns) -> pa.Table:
    """Convert typed rows for a part; a missing value of any kind becomes null."""
    return pa.Table.from_pandas(rows, schema=_part_schema(columns), preserve_index=False)


def read_part(path: Path, columns: Columns) -> Iterator[pd.DataFrame]:
    """Yield the rows of a part piece by piece; a column declared later is missing in them."""
    with storage_faults(path):
        for batch in pq.ParquetFile(path).iter_batches(ROWS_PER_BATCH):
            yield _typed(pa.Table.from_batches([batch]), columns)


def read_parts(config: Config, ingestion_ids: Sequence[int]) -> pd.DataFrame:
    """Read the accepted rows of several ingestions, in order of arrival."""
    frames = [
        rows
        for ingestion_id in ingestion_ids
        for rows in read_part(part_path(config, ingestion_id), config.columns)
    ]
    empty = _typed(_part_schema(config.columns).empty_table(), config.columns)
    return pd.concat(frames, ignore_index=True) if frames else empty


def read_rows_of(config: Config, ingestion_id: int, identifier: str) -> pd.DataFrame:
    """Read the accepted rows of one ingestion that bear an identifier, no others."""
    path, name = part_path(config, ingestion_id), config.columns.identifier
    with storage_faults(path):
        bears_names = name in pq.read_schema(path).names
        only = (pc.field(name) == identifier) if bears_names else pc.scalar(False)
        return _typed(pq.read_table(path, filters=only), config.columns)


def parquet_bytes(rows: pd.DataFrame) -> bytes:
    """Write a small table as the bytes of a Parquet file."""
    content = io.BytesIO()
    rows.to_parquet(content, index=False)
    return content.getvalue()


def to_csv(rows: pd.DataFrame, columns: Columns) -> str:
    """Write typed rows as the seeds' dataset: whole numbers without a point, labels as given."""
    shown = rows[columns.all].copy()
    for name in columns.numeric:
        numbers = rows[name]
        if (numbers.dropna() % 1 == 0).all() and (
            numbers.abs().max() < 2**53 or numbers.isna().all()
        ):
            shown[name] = numbers.astype("Int64")
    labels = {1: columns.positive_label, 0: columns.negative_label}
    shown[columns.target] = rows[columns.target].astype("object").map(labels)
    text = shown.to_csv(index=False, header=False, lineterminator="\n")
    if "\r" in text:
        text = shown.to_csv(index=False, header=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return text


def csv_line(cells: Sequence[Any]) -> str:
    """Write one record of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator=RETURN_TOO).writerow(cells)
    return text.getvalue().removesuffix(RETURN_TOO) + "\n"


def quarantine_rows(
    config: Config, ingestion_id: int, records: Sequence[Sequence[str]], reasons: Reasons
) -> None:
    """Keep the refused records of a drop as they came, header first, and the reasons."""
    text = "".join(map(csv_line, records)).encode()
    quarantine_file(config, ingestion_id, io.BytesIO(text), reasons)


def quarantine_file(config: Config, ingestion_id: int, file: IO[bytes], reasons: Reasons) -> None:
    """Keep a copy of a file that cannot be used, and the reasons."""
    folder = quarantine_path(config, ingestion_id)
    file.seek(0)
    with replacing(folder / QUARANTINED_ROWS) as copy:
        shutil.copyfileobj(file, copy)
    write(folder / "reasons.csv", "".join(map(csv_line, [REASON_COLUMNS, *reasons])))


def quarantined_before(config: Config, ingestion_id: int) -> list[int]:
    """List the earlier ingestions of which something lies in quarantine."""
    return _numbered_before(config.quarantine_folder, ingestion_id)


def discard_quarantined(config: Config, ingestion_id: int) -> None:
    """Remove what an ingestion refused."""
    _discard(quarantine_path(config, ingestion_id))


def reported_before(config: Config, run_id: int) -> list[int]:
    """List the earlier runs on which a report is kept."""
    return _numbered_before(config.report_folder, run_id)


def discard_reports(config: Config, run_id: int) -> None:
    """Remove the reports on a run."""
    _discard(report_path(config, run_id, "pdf").parent)


def sweep(config: Config, *, last_ingestion_id: int) -> None:
    """Remove what a crash left: temporary files, and parts that were never recorded."""
    parts = part_path(config, 0).parent
    for folder in (parts, config.quarantine_folder, config.model_folder, config.deployment_folder):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
    for path in [*parts.glob("*.parquet"), *config.quarantine_folder.glob("*")]:
        if path.stem.isdigit() and int(path.stem) > last_ingestion_id:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def signing_key(config: Config) -> bytes:
    """Return the key of the models' signatures: from the environment, or a file made once."""
    if config.signing_key:
        return config.signing_key.get_secret_value().encode()
    path = config.root / config.signing_key_path
    if not path.exists():
        write(path, secrets.token_hex(32), mode=0o600)
    with storage_faults(path):
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others; run: chmod 600 {path}")
        return path.read_bytes()


def _part_schema(columns: Columns) -> pa.Schema:
    kinds = dict.fromkeys(columns.numeric, pa.float64()) | {columns.target: pa.int8()}
    fields = [(name, kinds.get(name, pa.string())) for name in columns.all]
    return pa.schema([*fields, (ROW_HASH, pa.int64())])


def _typed(table: pa.Table, columns: Columns) -> pd.DataFrame:
    schema = _part_schema(columns)
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    rows: pd.DataFrame = pa.table(arrays, schema=schema).to_pandas()
    return rows.astype({columns.target: "Int8"})


def _numbered_before(folder: Path, number: int) -> list[int]:
    numbers = (int(path.name) for path in folder.glob("*") if path.name.isdecimal())
    return sorted(earlier for earlier in numbers if earlier < number)


def _discard(folder: Path) -> None:
    with storage_faults(folder):
        shutil.rmtree(folder)
