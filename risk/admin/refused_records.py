"""The refused records of one person in quarantine."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from risk import store
from risk.config import Config
from risk.data import known_files
from risk.ledger.ledger import Ledger
from risk.schema import shorten

Record = list[str]
OTHER_ENCODINGS = ("utf-16-le", "utf-16-be")


@dataclass(frozen=True)
class Purged:
    """The quarantine of a drop without a person's records: these, and the lines they came from."""

    number: int
    folder: Path
    rows: bytes
    reasons: str
    records: Sequence[Record]
    lines: Sequence[int]

    def write(self, config: Config, ledger: Ledger) -> None:
        """Replace the files in quarantine, last the records, by which the reasons are found."""
        rows, reasons = self.folder / store.QUARANTINED_ROWS, self.folder / store.REASONS
        for path, content in ((reasons, self.reasons.encode()), (rows, self.rows)):
            if known_files.is_damaged(config, ledger, path):
                store.write(path, content)  # the rest of it stays damaged
            else:
                known_files.write(config, ledger, path, content)


def find(config: Config, identifier: str) -> list[Purged]:
    """Return what is left of each quarantine in which a person has records."""
    found = []
    for folder in sorted(config.quarantine_folder.glob("[0-9]*")):
        content = store.read(folder / store.QUARANTINED_ROWS)
        header, records, rest = _split(content, config, identifier)
        reasons = _reasons(folder / store.REASONS)
        lines = _lines_of(header, records, reasons)
        named = (config.columns.identifier, shorten(identifier))
        kept = [r for r in reasons if int(r[1]) not in lines and (r[2], r[4]) != named]
        if rest != content or len(kept) < len(reasons):
            text = "".join(map(store.csv_line, [store.REASON_COLUMNS, *kept]))
            found.append(Purged(int(folder.name), folder, rest, text, records, sorted(lines)))
    return found


def _split(content: bytes, config: Config, identifier: str) -> tuple[Record, list[Record], bytes]:
    """Return the header, the person's records, and the other bytes as they are."""
    if any(identifier.encode(encoding) in content for encoding in OTHER_ENCODINGS):
        return [], [[identifier]], b""  # a file that was refused for its encoding
    try:
        encoding, text = "utf-8", content.decode()
    except UnicodeDecodeError:
        encoding, text = "latin-1", content.decode("latin-1")
    lines = list(io.StringIO(text, newline=""))
    separator = config.ingestion.separator
    if lines and separator not in lines[0]:
        separator = ","
    header: Record = []
    theirs, kept, line = [], [], 0
    for record, end in _records(lines, separator):
        header = header or [name.strip().removeprefix("\ufeff") for name in record]
        is_header = not line and config.columns.identifier in header
        if not is_header and _is_theirs(record, header, config.columns.identifier, identifier):
            theirs.append(record)
        else:
            kept += lines[line:end]
        line = end
    return header, theirs, "".join(kept).encode(encoding)


def _records(lines: Sequence[str], separator: str) -> list[tuple[Record, int]]:
    """Return each record with the number of lines read so far; lines if it is not CSV."""
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    try:
        return [(record, reader.line_num) for record in reader]
    except csv.Error:
        return [(line.split(separator), i) for i, line in enumerate(lines, start=1)]


def _is_theirs(record: Record, header: Record, column: str, identifier: str) -> bool:
    cells = [cell.strip() for cell in record]
    if column in header and header.index(column) < len(cells):
        return cells[header.index(column)] == identifier
    return identifier in cells


def _reasons(path: Path) -> list[Record]:
    text = store.read(path).decode()
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


def _lines_of(header: Record, records: Sequence[Record], reasons: Sequence[Record]) -> set[int]:
    """Return the lines whose reasons show the cells of the given records."""
    by_line = defaultdict[int, list[Record]](list)
    for reason in reasons:
        by_line[int(reason[1])].append(reason)
    found: set[int] = set()
    for record in records:
        for line, their in by_line.items():
            if line and line not in found and all(_shows(r, header, record) for r in their):
                found.add(line)
                break
    return found


def _shows(reason: Record, header: Record, record: Record) -> bool:
    column, value = reason[2], reason[4]
    place = header.index(column) if column in header else 0
    cell = record[place] if place < len(record) else ""
    return value in (shorten(cell), shorten(cell.strip()), shorten(record[0]))
