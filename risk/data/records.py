"""The records of a CSV file: its text decoded, its header found, its lines counted."""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedRandom, BufferedReader
from itertools import chain, compress, islice
from operator import not_
from typing import Any, NamedTuple

import numpy as np

from risk.config import Columns, Ingestion
from risk.data import encodings
from risk.data.plain_lines import Cells, Split, count_line_ends, line_ends, split
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
# Encodings in which a line feed is always one byte, and their names without a byte-order mark
IN_BYTES = {codec: name for name, codec in encodings.CODECS.items()}
BYTES_AT_ONCE = 1_000_000
Numbered = tuple[int, list[str]]


def decoded(file: BufferedReader | BufferedRandom, settings: Ingestion) -> io.TextIOWrapper:
    """Return the text of an open file, read from its beginning.

    Its byte-order mark says how it is encoded; without one the settings do.
    """
    encoding = encodings.by_mark(_start(file)) or encodings.CODECS[settings.encoding]
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def require_text(file: BufferedReader | BufferedRandom, settings: Ingestion) -> None:
    """Raise DataError if a file is plainly no text, or not in the encoding of the settings."""
    start = _start(file)
    if what := no_text(start):
        raise DataError(f"this is {what}; save it as a CSV file in UTF-8")
    if settings.encoding == "utf-8" or encodings.by_mark(start):
        return
    if encodings.is_misread(iter(partial(file.read, BYTES_AT_ONCE), b""), settings.encoding):
        raise DataError(
            f"this is UTF-8 text, which ingestion.encoding = {settings.encoding} would misread; "
            "save it with a byte-order mark, which says so, or set the encoding to utf-8"
        )


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
    reader = _reader(_lines(text, settings), settings)
    above = [(reader.line_num, record) for _, record in islice(_numbered(reader, 1), MAX_ABOVE + 1)]
    found = [(n_lines, [name.strip() for name in record]) for n_lines, record in above]
    first = found[0] if found else (0, [])
    n_lines, header = next((each for each in found if _is_header(each[1], columns)), first)
    return header, under(text, n_lines, header, columns, settings)


def under(
    text: io.TextIOWrapper,
    n_lines: int,
    header: Sequence[str],
    columns: Columns,
    settings: Ingestion,
) -> Below:
    """Return the records below the first lines of a text, in which its header was found."""
    file: Any = text.buffer
    has_mark = encodings.by_mark(_start(file)) is not None
    text.seek(0)
    below = Below(text, n_lines + 1, header, columns, settings, has_mark * len(codecs.BOM_UTF8))
    deque(islice(below.lines(), n_lines), maxlen=0)
    return below


def chosen(records: Sequence[list[str]], places: Sequence[int]) -> Sequence[list[str]]:
    """Return the records at some places."""
    if isinstance(records, Split):
        return records[np.asarray(places, dtype="int64")]
    return [records[place] for place in places]


class Some(NamedTuple):
    """Some records, and the line each begins in; if their lines are plain, also their cells."""

    lines: Sequence[int]
    records: Sequence[list[str]]
    cells: Cells | None = None


@dataclass
class Below:
    """The records below the header of a file.

    The `position` is that of the next line, in bytes, unless the file is in UTF-16. With a `name`,
    that of the file, each record begins with a cell of the name and the line.
    """

    text: io.TextIOWrapper
    next_line: int
    header: Sequence[str]
    columns: Columns
    settings: Ingestion
    position: int = 0
    name: str | None = None
    fault: UnicodeDecodeError | None = None

    def take(self, n: int) -> Some:
        """Return the next records, at most n; blank lines are skipped.

        Plain lines are split at once. The others are left to the csv module, and so are the lines
        after them in which the last record continues.
        """
        first, is_in_bytes = self.next_line, self.text.encoding in IN_BYTES
        lines = [] if is_in_bytes else self._some_lines(n)
        if self.name is None:
            content, size = self._block(n) if is_in_bytes else ("".join(lines).encode(), 0)
            if plain := split(content, self.header, self.columns, self.settings):
                self.position += size
                self.next_line += len(plain.records)
                return Some(range(first, self.next_line), *plain)
        if is_in_bytes:
            self.text.seek(self.position)
            lines = self._some_lines(n)
        reader = _reader(chain(lines, self.lines()), self.settings)
        try:
            found = list(islice(_numbered(reader, first), n))
        finally:  # behind the line that cannot be read
            self.next_line += reader.line_num
        numbers, records = [line for line, _ in found], [record for _, record in found]
        if self.name:
            records = [[f"{self.name}-{line}", *record] for line, record in found]
        return Some(numbers, records)

    def lines(self) -> Iterator[str]:
        """Yield the next lines as text, each as far as it may be long."""
        if self.fault:
            raise self.fault
        codec = IN_BYTES.get(self.text.encoding, self.text.encoding)
        for line in _lines(self.text, self.settings):
            self.position += len(line.encode(codec))
            yield line

    def _some_lines(self, n: int) -> list[str]:
        """Return the next n lines, or those before a byte that cannot be decoded."""
        lines: list[str] = []
        try:
            lines.extend(islice(self.lines(), n))
        except UnicodeDecodeError as error:
            self.fault = error
        return lines

    def _block(self, n: int) -> tuple[bytes, int]:
        """Return the next n lines in UTF-8, and their size in the file; nothing if in doubt."""
        file: Any = self.text.buffer
        some, size, n_ends = list[bytes](), 0, 0
        file.seek(self.position)
        while n_ends < n and (more := file.read(BYTES_AT_ONCE)):
            if (n_more := count_line_ends(more)) >= n - n_ends:
                more = more[: line_ends(more)[n - n_ends - 1]]
            some.append(more)
            size, n_ends = size + len(more), n_ends + n_more
            if size > (n_ends + 1) * self.settings.max_line_characters:
                return b"", 0
        content = b"".join(some)
        if content.isascii():  # which is the same in all of them
            return content, len(content)
        try:
            return content.decode(IN_BYTES[self.text.encoding]).encode(), len(content)
        except UnicodeDecodeError:
            return b"", 0


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


def _lines(text: io.TextIOWrapper, settings: Ingestion) -> Iterator[str]:
    """Yield the next lines of a text; of a longer one than allowed its beginning."""
    return iter(partial(text.readline, settings.max_line_characters + 1), "")
