"""CSV drops: opened safely and read in pieces."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import BufferedRandom, BufferedReader
from itertools import compress
from pathlib import Path
from typing import Any

from risk.config import Columns, Config, Ingestion
from risk.data import dates, marks, records
from risk.data.footers import count_footers, headers_among
from risk.data.plain_lines import as_frame
from risk.data.records import Below, Some
from risk.errors import BusyError, DataError
from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.numerals import Marks
from risk.schema import Problem, check, check_header, shorten

ROWS_PER_PIECE, CELLS_PER_PIECE = 50_000, 5_000_000
BYTES_AT_ONCE = 1_000_000
FOOTER = "a total or remark below the rows, no row"
HEADER = "the header again, no row"
CHANGED = "changed while it was read, left for a later run"
FUTURE = "time in the future; the row is taken once it has come"
Bytes = BufferedReader | BufferedRandom


@dataclass(frozen=True)
class Signature:
    """Metadata of a file that changes whenever its content does."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """Return the signature in a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class Piece:
    """Some records of a drop: the valid ones typed and raw, the refused ones raw."""

    rows: pd.DataFrame
    problems: list[Problem]
    header: list[str]
    refused: list[list[str]]
    n_read: int
    lines: Sequence[int]
    records: Sequence[list[str]]
    last_line: int = 0
    is_last: bool = False


@dataclass(frozen=True)
class Drop:
    """One file found in the input folder, or an object in a store; `pieces` if it was read."""

    path: Path
    name: str
    signature: Signature
    pieces: Sequence[Piece] | None = field(default=None, compare=False, repr=False)


class Changed(Exception):
    """The file changed, vanished or failed while being read; a later run retries it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


@contextmanager
def opened(drop: Drop) -> Iterator[BufferedReader]:
    """Open exactly the file that was found, without following links or waiting for pipes."""
    try:
        file = open(drop.path, "rb", opener=open_no_follow)
    except FileNotFoundError:
        raise Changed(drop.name, "vanished before it could be read") from None
    except OSError as error:
        raise Changed(drop.name, f"cannot be opened ({error.strerror})") from None
    with file:
        _require_unchanged(file, drop)
        try:
            yield file
        except OSError as error:
            raise Changed(drop.name, f"cannot be read ({error.strerror})") from None
        _require_unchanged(file, drop)


def is_unfinished(file: Bytes) -> bool:
    """Return whether the last line of an open file has no line end; rewind it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 2, 0))
    last = file.read(2).rstrip(b"\0")  # of UTF-16
    file.seek(0)
    return not last.endswith((b"\n", b"\r")) and last != b""


def sha256_of_beginnings(file: Bytes, sizes: Iterable[int]) -> dict[int, str]:
    """Return the SHA-256 of the first bytes of an open file, for several sizes; rewind it."""
    digest, found = hashlib.sha256(), {}
    for size in sorted(sizes):
        while missing := size - file.tell():
            some = file.read(min(missing, BYTES_AT_ONCE))
            if not some:
                break
            digest.update(some)
        found[size] = digest.hexdigest()
    file.seek(0)
    return found


def sha256(file: Bytes) -> str:
    """Return the SHA-256 of an open file and rewind it."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


def header_of(file: Bytes, columns: Columns, settings: Ingestion) -> list[str]:
    """Return the column names of an open file, empty if it has no header; rewind it."""
    text = records.decoded(file, settings)
    try:
        header, _ = records.of(text, columns, settings)
    except (UnicodeDecodeError, csv.Error, DataError):
        header = []
    text.detach()
    file.seek(0)
    return header


def read(
    file: Bytes,
    columns: Columns,
    settings: Ingestion,
    *,
    name: str | None = None,
    now: datetime | None = None,
) -> Iterator[Piece]:
    """Yield the records in pieces; raise DataError if the whole file cannot be read.

    Of a file, which has a `name`, totals below the rows are refused, and rows without identifier
    may be named by the file and their line. If it is `now`, rows of the future are refused.
    """
    records.require_text(file, settings)
    text = records.decoded(file, settings)
    try:
        header, below = records.of(text, columns, settings)
        if not header:
            raise DataError("the file is empty: it has no header line")
        if name and settings.number_rows and columns.identifier not in header:
            header, below.name = [columns.identifier, *header], Path(name).stem
        check_header(header, columns)
        for piece, is_last in _pieces(below, header, columns, settings):
            whole = _without_footers(piece, columns) if is_last and name else piece
            present = without(whole, _ahead(whole, columns, settings, now)) if now else whole
            yield replace(present, is_last=is_last)
    except UnicodeDecodeError as error:
        raise DataError(records.not_text(error, settings)) from None
    except csv.Error as error:
        raise DataError(f"not CSV: {error}") from None
    finally:
        if not file.closed:
            text.detach()


def read_whole(config: Config, path: Path) -> pd.DataFrame:
    """Return a data set in which every row must be valid, such as the test data."""
    name = config.name_of(path)
    try:
        signature = Signature.of(path.lstat())
        with opened(Drop(path, name, signature)) as file:
            pieces = list(read(file, config.columns, config.ingestion, name=name))
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except Changed as change:
        raise BusyError(str(change)) from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    for problem in (problem for piece in pieces for problem in piece.problems):
        at = (
            f"line {problem.line}, column {problem.column}"
            if problem.column
            else f"line {problem.line}"
        )
        raise DataError(f"{name}: {at}: {problem.rule}, got {problem.value!r}")
    if not pieces:
        raise DataError(f"{name}: no rows")
    return pd.concat([piece.rows for piece in pieces], ignore_index=True)


def _pieces(
    below: Below, header: list[str], columns: Columns, settings: Ingestion
) -> Iterator[tuple[Piece, bool]]:
    """Yield the pieces, and of each whether it is the last one."""
    size = max(min(ROWS_PER_PIECE, CELLS_PER_PIECE // len(header)), 1)
    some = below.take(size)
    while some.records:
        following = below.take(size)
        yield _piece(some, header, columns, settings), not following.records
        some = following


def _piece(some: Some, header: list[str], columns: Columns, settings: Ingestion) -> Piece:
    lines = some.lines
    complete: Sequence[int] = range(len(lines))
    no_rows: list[Problem] = []
    if some.cells is None:
        complete, no_rows = records.complete(some, header)
        lines = [lines[i] for i in complete]
    table = _texts(some, complete, header, columns)
    if again := headers_among(table, columns):
        no_rows += [Problem(lines[i], "", HEADER, shorten(header[0])) for i in again]
        rest = [i for i in range(len(lines)) if i not in again]
        table = table.iloc[rest].reset_index(drop=True)
        complete, lines = [complete[i] for i in rest], [lines[i] for i in rest]
    if settings.dates != dates.ISO and columns.event_time in table:
        table[columns.event_time] = dates.as_iso(table[columns.event_time], settings.dates)
    marks = Marks(settings.decimal, settings.thousands)
    checked = check(table, lines, columns, marks)
    problems = sorted([*checked.problems, *no_rows], key=lambda problem: problem.line)
    piece = Piece(
        rows=checked.rows,
        problems=problems,
        header=header,
        refused=[],
        n_read=len(some.lines),
        lines=lines,
        records=some.records,
        last_line=some.lines[-1],
    )
    if not problems:
        return piece
    broken, valid = {problem.line for problem in problems}, checked.rows.index.tolist()
    refused = [i for i, line in enumerate(some.lines) if line in broken]
    return replace(
        piece,
        refused=list(records.chosen(some.records, refused)),
        lines=[lines[i] for i in valid],
        records=records.chosen(some.records, [complete[i] for i in valid]),
    )


def _texts(
    some: Some, complete: Sequence[int], header: list[str], columns: Columns
) -> pd.DataFrame:
    """Return the cells of the declared columns: text, or numbers that need no check."""
    cells: Mapping[str, Any] | None = some.cells
    if cells is None:
        whole = records.chosen(some.records, complete)
        used = [i for i, name in enumerate(header) if name in columns.all]
        cells = {
            header[i]: pa.array([record[i] for record in whole], pa.large_string()) for i in used
        }
    return as_frame(cells)


def without(piece: Piece, found: Mapping[int, Problem]) -> Piece:
    """Refuse some of the valid rows of a piece; `found` are their problems, by position."""
    if not found:
        return piece
    rest = [i for i in range(len(piece.lines)) if i not in found]
    return replace(
        piece,
        rows=piece.rows.iloc[rest],
        problems=[*piece.problems, *found.values()],
        refused=[*piece.refused, *(piece.records[i] for i in found)],
        lines=[piece.lines[i] for i in rest],
        records=records.chosen(piece.records, rest),
    )


def _without_footers(piece: Piece, columns: Columns) -> Piece:
    """Refuse the totals at the end of the last piece of a file."""
    n_rows, name = len(piece.rows), columns.identifier
    footers = range(n_rows - count_footers(piece.rows, columns), n_rows)
    cells = {i: shorten(piece.records[i][0]) for i in footers}
    return without(piece, {i: Problem(piece.lines[i], name, FOOTER, cells[i]) for i in footers})


def _ahead(
    piece: Piece, columns: Columns, settings: Ingestion, now: datetime
) -> dict[int, Problem]:
    """Return the problems of the rows whose event times are in the future, by position."""
    if (name := columns.event_time) is None:
        return {}
    cells, latest = piece.rows[name], now + timedelta(seconds=settings.seconds_ahead)
    is_ahead = marks.are_after(cells, latest).tolist()
    return {
        i: Problem(piece.lines[i], name, FUTURE, shorten(cells.iloc[i]))
        for i in compress(range(len(cells)), is_ahead)
    }


def open_no_follow(path: str, flags: int) -> int:
    """Open a file itself, neither following a link nor waiting for a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _require_unchanged(file: BufferedReader, drop: Drop) -> None:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or Signature.of(status) != drop.signature:
        raise Changed(drop.name, CHANGED)
