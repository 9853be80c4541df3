"""The records of a CSV file: its text decoded, its header found, its lines counted."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedRandom, BufferedReader
from itertools import chain, compress, islice
from operator import not_
from typing import Any, NamedTuple, overload

import pyarrow as pa
import pyarrow.csv as pa_csv

from risk.config import Columns, Ingestion
from risk.data import encodings
from risk.errors import DataError
from risk.schema import Problem, shorten

MAX_ABOVE = 10  # records above the header: titles, the `sep=;` of spreadsheets, a second header
NO_TEXT = {
    b"PK\x03\x04": "a packed file or a spreadsheet",
    b"\x1f\x8b": "a packed file",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF file",
    codecs.BOM_UTF32_LE: "UTF-32 text",
    codecs.BOM_UTF32_BE: "UTF-32 text",
}
MAX_START = 16
ODD = bytes({*range(32), *b'"\x7f'} - {*b"\t\n"})  # quotes, control characters, other line ends
MAX_BYTES = 2**30  # of lines that are split at once; Arrow counts them in 32 bits
Numbered = tuple[int, list[str]]


def decoded(file: BufferedReader | BufferedRandom, settings: Ingestion) -> io.TextIOWrapper:
    """Return the text of an open file, read from its beginning.

    Its byte-order mark says how it is encoded; without one the settings do.
    """
    encoding = encodings.by_mark(_start(file)) or encodings.CODECS[settings.encoding]
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def require_text(file: BufferedReader | BufferedRandom) -> None:
    """Raise DataError if a file is plainly no text, or in an encoding that no setting names."""
    if what := no_text(_start(file)):
        raise DataError(f"this is {what}; save it as a CSV file in UTF-8")


def no_text(start: bytes) -> str | None:
    """Return what a file is if its first bytes are no text that can be read, else None."""
    if what := next((what for magic, what in NO_TEXT.items() if start.startswith(magic)), None):
        return what
    if len(start) < 2 or encodings.by_mark(start) or any(start[::2]) and any(start[1::2]):
        return None
    return "UTF-16 text without a byte-order mark" if any(start) else "no text: it has NUL bytes"


def encoding_of_copies(file: BufferedReader | BufferedRandom, settings: Ingestion) -> str:
    """Return the encoding for some of the records of a file, in which they are read again."""
    return "utf-8-sig" if encodings.by_mark(_start(file)) else settings.encoding


def _start(file: BufferedReader | BufferedRandom) -> bytes:
    """Return the first bytes of an open file, and rewind it."""
    file.seek(0)
    start = file.read(MAX_START)
    file.seek(0)
    return start


def of(text: io.TextIOWrapper, columns: Columns, settings: Ingestion) -> tuple[list[str], Below]:
    """Return the header and the records below it.

    The header is the first record with the names of the columns, or else the first one.
    """
    lines = iter(partial(text.readline, settings.max_line_characters + 1), "")
    taken: list[str] = []
    reader = _reader(_noted(lines, taken), settings)
    above = [(reader.line_num, record) for _, record in islice(_numbered(reader, 1), MAX_ABOVE + 1)]
    found = [(n_lines, [name.strip() for name in record]) for n_lines, record in above]
    first = found[0] if found else (0, [])
    n_lines, header = next((each for each in found if _is_header(each[1], columns)), first)
    used = {i: name for i, name in enumerate(header) if name in columns.all}
    rest = chain(taken[n_lines:], lines)
    return header, Below(rest, n_lines + 1, len(header), used, settings)


class Split(Sequence[list[str]]):
    """Records of lines without quotes: each is split into its cells when it is asked for."""

    def __init__(self, lines: Sequence[str], separator: str) -> None:
        self.lines, self.separator = lines, separator

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, place: int) -> list[str]: ...
    @overload
    def __getitem__(self, place: slice) -> Split: ...
    def __getitem__(self, place: int | slice) -> list[str] | Split:
        if isinstance(place, slice):
            return Split(self.lines[place], self.separator)
        return self.lines[place].rstrip("\r\n").split(self.separator)


def chosen(records: Sequence[list[str]], places: Sequence[int]) -> Sequence[list[str]]:
    """Return the records at some places."""
    if isinstance(records, Split):
        return Split([records.lines[place] for place in places], records.separator)
    return [records[place] for place in places]


class Some(NamedTuple):
    """Some records, and the line each begins in.

    If there is no doubt what their cells are, also those of the declared columns, by name.
    """

    lines: Sequence[int]
    records: Sequence[list[str]]
    cells: Mapping[str, pa.ChunkedArray] | None = None


@dataclass
class Below:
    """The records below the header of a file; `used` are the declared columns by position.

    With a `name`, that of the file, each record begins with a cell of the name and the line.
    """

    lines: Iterator[str]
    next_line: int
    n_columns: int
    used: Mapping[int, str]
    settings: Ingestion
    name: str | None = None

    def take(self, n: int) -> Some:
        """Return the next records, at most n; blank lines are skipped.

        Lines that leave no doubt are split by Arrow. The others are left to the csv module, and
        so are the lines after them in which the last record continues.
        """
        lines: list[str] = []
        try:
            lines.extend(islice(self.lines, n))
        except UnicodeDecodeError as error:
            self.lines = _raising(error)
        first, cells = self.next_line, None if self.name else self._cells(lines)
        if cells:
            self.next_line += len(lines)
            return Some(range(first, self.next_line), Split(lines, self.settings.separator), cells)
        reader = _reader(chain(lines, self.lines), self.settings)
        try:
            found = list(islice(_numbered(reader, first), n))
        finally:  # behind the line that cannot be read
            self.next_line += reader.line_num
        numbers, records = [line for line, _ in found], [record for _, record in found]
        if self.name:
            records = [[f"{self.name}-{line}", *record] for line, record in found]
        return Some(numbers, records)

    def _cells(self, lines: Sequence[str]) -> Mapping[str, pa.ChunkedArray] | None:
        """Return the cells of lines by column; None if they leave any doubt.

        There is doubt about quotes, control characters and lines of another number of cells.
        """
        longest = min(self.settings.max_line_characters, csv.field_size_limit())
        if self.n_columns < 2 or max(map(len, lines), default=longest + 1) > longest:
            return None
        content = "".join(lines).replace("\r\n", "\n").encode()
        is_odd = len(content.translate(None, ODD)) < len(content)
        if is_odd or content.startswith(codecs.BOM_UTF8) or len(content) > MAX_BYTES:
            return None
        names = [self.used.get(i, f"{i}") for i in range(self.n_columns)]
        used = dict.fromkeys(self.used.values(), pa.large_string())
        reading = pa_csv.ReadOptions(column_names=names, block_size=len(content) + 1)
        reading.use_threads = False
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(content),
                reading,
                pa_csv.ParseOptions(delimiter=self.settings.separator),
                pa_csv.ConvertOptions(column_types=used, include_columns=list(used)),
            )
        except pa.ArrowInvalid:
            return None
        return dict(zip(used, table.columns, strict=True)) if len(table) == len(lines) else None


def complete(some: Some, header: list[str]) -> tuple[list[int], list[Problem]]:
    """Return which records have a cell for each column, and the problems of the others."""
    n_named = len(header)
    while not header[n_named - 1]:
        n_named -= 1
    is_complete = [_fits(record, n_named, len(header)) for record in some.records]
    ragged = [
        Problem(line, "", f"{len(record)} fields, the header has {len(header)}", shorten(record[0]))
        for line, record in compress(
            zip(some.lines, some.records, strict=True), map(not_, is_complete)
        )
    ]
    return list(compress(range(len(is_complete)), is_complete)), ragged


def not_text(error: UnicodeDecodeError, settings: Ingestion) -> str:
    """Say that a file has another encoding."""
    if error.encoding.startswith("utf-16"):
        return "not UTF-16 text, although it begins with its byte-order mark; is it complete?"
    byte, name = error.object[error.start], encodings.NAMES[settings.encoding]
    others = ", ".join(key for key in encodings.NAMES if key != settings.encoding)
    hint = f"set ingestion.encoding to its own ({others})"
    return f"not {name} text: byte 0x{byte:02x} cannot be decoded; {hint}"


def _fits(record: Sequence[str], n_named: int, n_columns: int) -> bool:
    """Return whether a record has a cell for each named column, and none beyond the others."""
    return len(record) >= n_named and not any(record[n_columns:])


def _is_header(names: list[str], columns: Columns) -> bool:
    has_features = bool(columns.features) and {*columns.features} <= {*names}
    return columns.identifier in names or has_features


def _reader(lines: Iterator[str], settings: Ingestion) -> Any:
    of_length = _limited(lines, settings.max_line_characters)
    return csv.reader(of_length, delimiter=settings.separator, strict=True)


def _numbered(reader: Any, first: int) -> Iterator[Numbered]:
    """Yield each record with the number of its first line; blank lines are skipped."""
    line = first
    for record in reader:
        if record:
            yield line, record
        line = first + reader.line_num


def _limited(lines: Iterator[str], limit: int) -> Iterator[str]:
    for line in lines:
        if len(line) > limit:
            raise DataError(f"a line is longer than max_line_characters = {limit}")
        yield line


def _noted(lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _raising(error: Exception) -> Iterator[str]:
    raise error
    yield
