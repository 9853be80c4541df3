"""The refused records of one person in quarantine."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    """The quarantine of a drop without a person's records: these, and the lines they came from.

    `files` are its files without them, last the records, by which the reasons are found; a file
    that was lost is not among them.
    """

    number: int
    files: Mapping[Path, bytes]
    records: Sequence[Record]
    lines: Sequence[int]

    def write(self, config: Config, ledger: Ledger) -> None:
        """Replace the files in quarantine."""
        for path, content in self.files.items():
            if known_files.is_damaged(config, ledger, path):
                store.write(path, content)  # the rest of it stays damaged
            else:
                known_files.write(config, ledger, path, content)


def find(config: Config, ledger: Ledger, identifier: str) -> list[Purged]:
    """Return what is left of each quarantine in which a person has records."""
    folders = config.quarantine_folder.glob("[0-9]*")
    on_disk = {int(folder.name) for folder in folders if folder.name.isdecimal()}
    numbers = sorted(on_disk.union(ledger.quarantine.ingestions()))
    found = (_purged(config, ledger, number, identifier) for number in numbers)
    return [purged for purged in found if purged]


def lost(config: Config, ledger: Ledger) -> Iterator[str]:
    """Yield which refused cells are not erased, as the records that name their person are lost."""
    for number in ledger.quarantine.ingestions():
        path = store.quarantine_path(config, number) / store.QUARANTINED_ROWS
        if not path.is_file():
            yield (
                f"refused cells of ingestion {number}, perhaps theirs: {config.name_of(path)} is "
                "lost; if a backup has it, restore it and repeat this"
            )


def _purged(config: Config, ledger: Ledger, number: int, identifier: str) -> Purged | None:
    folder = store.quarantine_path(config, number)
    rows, path = folder / store.QUARANTINED_ROWS, folder / store.REASONS
    reasons = _reasons(path) if path.is_file() else ledger.quarantine.reasons(number)
    content = store.read(rows) if rows.is_file() else b""
    header, records, rest = _split(content, config, identifier)
    named = (config.columns.identifier, shorten(identifier))
    lines = _lines_of(header, records, reasons)
    lines |= {int(r[1]) for r in reasons if (r[2], r[4]) == named and not content} - {0}
    kept = [r for r in reasons if int(r[1]) not in lines and (r[2], r[4]) != named]
    if rest == content and len(kept) == len(reasons):
        return None
    text = "".join(map(store.csv_line, [store.REASON_COLUMNS, *kept]))
    files = {path: text.encode(), rows: rest}
    present = {path: content for path, content in files.items() if path.is_file()}
    return Purged(number, present, records, sorted(lines))


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


def _reasons(path: Path) -> list[Sequence[str]]:
    text = store.read(path).decode()
    return [*csv.reader(io.StringIO(text, newline=""))][1:]


def _lines_of(
    header: Record, records: Sequence[Record], reasons: Sequence[Sequence[str]]
) -> set[int]:
    """Return the lines whose reasons show the cells of the given records."""
    by_line = defaultdict[int, list[Sequence[str]]](list)
    for reason in reasons:
        by_line[int(reason[1])].append(reason)
    found: set[int] = set()
    for record in records:
        for line, their in by_line.items():
            if line and line not in found and all(_shows(r, header, record) for r in their):
                found.add(line)
                break
    return found


def _shows(reason: Sequence[str], header: Record, record: Record) -> bool:
    column, value = reason[2], reason[4]
    place = header.index(column) if column in header else 0
    cell = record[place] if place < len(record) else ""
    return value in (shorten(cell), shorten(cell.strip()), shorten(record[0]))
