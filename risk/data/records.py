"""The records of a CSV file: its text decoded, its header found, its lines counted."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from io import BufferedRandom, BufferedReader
from itertools import chain, islice

from risk.config import Columns, Ingestion
from risk.errors import DataError

ENCODINGS = {"utf-8": "utf-8-sig", "cp1252": "cp1252"}
ENCODING_NAMES = {"utf-8": "UTF-8", "cp1252": "Windows-1252"}
MAX_ABOVE = 10  # records above the header: titles, the `sep=;` of spreadsheets, a second header
MARKED = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
Numbered = tuple[int, list[str]]


def decoded(file: BufferedReader | BufferedRandom, settings: Ingestion) -> io.TextIOWrapper:
    """Return the text of an open file, read from its beginning.

    Its byte-order mark says how it is encoded; without one the settings do.
    """
    encoding = encoding_by_mark(_start(file)) or ENCODINGS[settings.encoding]
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def encoding_by_mark(content: bytes) -> str | None:
    """Return the encoding that the byte-order mark of a file means, None if it has none."""
    return next((own for mark, own in MARKED.items() if content.startswith(mark)), None)


def encoding_of_copies(file: BufferedReader | BufferedRandom, settings: Ingestion) -> str:
    """Return the encoding for some of the records of a file, in which they are read again."""
    return "utf-8-sig" if encoding_by_mark(_start(file)) else settings.encoding


def _start(file: BufferedReader | BufferedRandom) -> bytes:
    """Return the first bytes of an open file, and rewind it."""
    file.seek(0)
    start = file.read(max(map(len, MARKED)))
    file.seek(0)
    return start


def of(
    text: io.TextIOWrapper, columns: Columns, settings: Ingestion
) -> tuple[list[str], Iterator[Numbered]]:
    """Return the header and the records below it, each with the number of its first line.

    The header is the first record with the names of the columns, or else the first one.
    """
    found = _read(text, settings)
    above = list(islice(found, MAX_ABOVE + 1))
    names = [[name.strip() for name in record] for _, record in above]
    place = next((i for i, header in enumerate(names) if _is_header(header, columns)), 0)
    return names[place] if names else [], chain(above[place + 1 :], found)


def numbered(found: Iterator[Numbered], name: str) -> Iterator[Numbered]:
    """Put the name of the file and the line before the cells of each record."""
    return ((line, [f"{name}-{line}", *record]) for line, record in found)


def not_text(error: UnicodeDecodeError, settings: Ingestion) -> str:
    """Say that a file has another encoding."""
    if error.encoding.startswith("utf-16"):
        return "not UTF-16 text, although it begins with its byte-order mark; is it complete?"
    byte, name = error.object[error.start], ENCODING_NAMES[settings.encoding]
    others = " or ".join(key for key in ENCODINGS if key != settings.encoding)
    hint = f"if it is {others}, set ingestion.encoding"
    return f"not {name} text: byte 0x{byte:02x} cannot be decoded; {hint}"


def _is_header(names: list[str], columns: Columns) -> bool:
    has_features = bool(columns.features) and {*columns.features} <= {*names}
    return columns.identifier in names or has_features


def _read(text: io.TextIOWrapper, settings: Ingestion) -> Iterator[Numbered]:
    """Yield each record with the number of its first line; blank lines are skipped."""
    lines = _lines(text, settings.max_line_characters)
    reader = csv.reader(lines, delimiter=settings.separator, strict=True)
    line = 1
    for record in reader:
        if record:
            yield line, record
        line = reader.line_num + 1


def _lines(text: io.TextIOWrapper, limit: int) -> Iterator[str]:
    while line := text.readline(limit + 1):
        if len(line) > limit:
            raise DataError(f"a line is longer than max_line_characters = {limit}")
        yield line
