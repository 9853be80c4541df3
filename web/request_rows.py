"""Validation of rows sent to be predicted, by the rules of a drop.

In JSON a number is a number, text a string or a whole number, and a missing value null; CSV is as
in a drop.
Columns a prediction does not need, such as the label, are allowed and ignored; undeclared columns
are allowed in CSV only.
"""

from __future__ import annotations

import csv
import io
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple, NoReturn

from flask import abort
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from risk import schema
from risk.config import Api, Columns, Ingestion
from risk.data.plain_lines import as_frame
from risk.data.records import Below, Some, under
from risk.lazily import pandas as pd
from risk.numerals import MAX_EXACT, MAX_NUMBER
from web import plain_rows
from web.request_body import not_text, too_many_rows
from web.responses import problem

ROWS_PER_CHUNK = 10_000
MAX_FAULTS = 100
UNFIT_TEXT = re.compile(rf"{schema.CONTROL_CHARACTERS}|[\ud800-\udfff]")
KINDS: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "text": (str, int),  # a category may be a numeral
    "text or number": (str, int, float),
}


class Fault(NamedTuple):
    """An error and its place: the row counted from 0, or its line in CSV."""

    row: int | str
    column: str
    msg: str


class Part(NamedTuple):
    """Some rows as text, their numbers, their identifiers as sent, and the faults so far."""

    cells: pd.DataFrame
    numbers: Sequence[int]
    identifiers: Sequence[Any]
    faults: list[Fault]


@dataclass(frozen=True)
class Chunk:
    """Some valid rows, typed, and the identifier of each, None where none was sent."""

    rows: pd.DataFrame
    identifiers: list[Any]


class Deadline:
    """The time by which the response must start."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.moment = time.monotonic() + seconds

    def check(self) -> None:
        """Raise ServiceUnavailable if the deadline has passed."""
        if time.monotonic() > self.moment:
            message = (
                f"prediction takes longer than max_seconds = {self.seconds:g}; send fewer rows"
            )
            raise ServiceUnavailable(message)


def from_records(records: Any, columns: Columns, limits: Api) -> Iterator[Part | Chunk]:
    """Yield rows sent as a list of objects, in parts."""
    if not isinstance(records, list):
        refuse([Fault("body", "", "not a list of rows")])
    if len(records) > limits.max_rows:
        raise too_many_rows(limits)
    for first in range(0, len(records), ROWS_PER_CHUNK):
        some = records[first : first + ROWS_PER_CHUNK]
        if (rows := plain_rows.typed(some, columns)) is None:
            yield _part_of_records(some, first, columns)
        else:
            yield Chunk(rows, [record.get(columns.identifier) for record in some])


def from_csv(body: bytes, columns: Columns, limits: Api) -> Iterator[Part | Chunk]:
    """Yield rows sent as CSV with a header line, in parts."""
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    reader = csv.reader(iter(text.readline, ""), strict=True)
    below: Below | None = None
    n_rows = 0
    try:
        header = [name.strip() for name in next(filter(None, reader), [])]
        require_names([name for name in header if name in columns.all], columns, where=1)
        whole = Ingestion(max_line_characters=limits.max_body_bytes)
        below = under(text, reader.line_num, header, columns, whole)
        while (some := below.take(ROWS_PER_CHUNK)).lines:
            n_rows += len(some.lines)
            if n_rows > limits.max_rows:
                raise too_many_rows(limits)
            if not some.cells or (rows := plain_rows.of_lines(some.cells, columns)) is None:
                yield _part_of_lines(some, header, columns)
            else:
                names = some.cells.get(columns.identifier)
                yield Chunk(rows, names.to_pylist() if names else [None] * len(rows))
    except UnicodeDecodeError as error:
        raise not_text(error) from None
    except csv.Error as error:
        line = below.next_line - 1 if below else reader.line_num
        raise BadRequest(f"the body is not CSV: line {line}: {error}") from None


def checked(parts: Iterable[Part | Chunk], columns: Columns, deadline: Deadline) -> list[Chunk]:
    """Return all rows, typed; if any is invalid, refuse all, with the place of each fault."""
    needed = columns.model_copy(update={"event_time": None, "other": ()})
    chunks: list[Chunk] = []
    faults: list[Fault] = []
    for part in parts:
        if isinstance(part, Chunk):
            chunks.append(part)
            deadline.check()
            continue
        cells, numbers, identifiers, so_far = part
        named = cells[columns.identifier].str.strip() != ""
        cells[columns.identifier] = cells[columns.identifier].where(named, "none")
        result = schema.check(cells, numbers, needed)
        faults += so_far
        faults += [Fault(p.line, p.column, f"{p.rule}, got {p.value!r}") for p in result.problems]
        known = zip(identifiers, named.tolist(), strict=True)
        given = [name if is_known else None for name, is_known in known]
        chunks.append(Chunk(result.rows[columns.features], given))
        deadline.check()
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        refuse(sorted(faults, key=lambda fault: fault.row))
    return chunks


def require_names(names: Sequence[str], columns: Columns, *, where: int | str) -> None:
    """Refuse rows with a missing feature, an unknown column or a repeated column."""
    known, missing = set(columns.all), [name for name in columns.features if name not in names]
    faults = [Fault(where, name, "missing column") for name in missing]
    unknown = [name for name in names if name not in known][:MAX_FAULTS]
    faults += [Fault(where, name, "unknown column") for name in unknown]
    twice = [name for name in columns.all if names.count(name) > 1]
    faults += [Fault(where, name, "named more than once") for name in twice]
    if faults:
        refuse(faults)


def refuse(faults: Sequence[Fault]) -> NoReturn:
    """Abort with 422 and the places of the faults, at most the first 100."""
    errors = [
        {"loc": [row, schema.shorten(column)] if column else [row], "msg": msg}
        for row, column, msg in faults[:MAX_FAULTS]
    ]
    detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:3])
    abort(problem(422, "Unprocessable Entity", detail, errors=errors))


def _part_of_records(records: list[Any], first: int, columns: Columns) -> Part:
    faults: list[Fault] = []
    known, features = set(columns.all), columns.features
    for row, record in enumerate(records, first):
        if not isinstance(record, dict):
            faults.append(Fault(row, "", "not an object"))
            continue
        unknown = sorted(record.keys() - known)[:MAX_FAULTS]
        faults += [Fault(row, name, "unknown column") for name in unknown]
        faults += [Fault(row, name, "missing column") for name in features if name not in record]
    objects = [record if isinstance(record, dict) else {} for record in records]
    cells: dict[str, list[str]] = {}
    for name in (columns.identifier, *features):
        kind = _kind(name, columns)
        texts = [_as_text(record.get(name), kind) for record in objects]
        unfit = [row for row, text in enumerate(texts, first) if text is None]
        faults += [Fault(row, name, f"not a {kind}") for row in unfit]
        cells[name] = [text or "" for text in texts]
    identifiers = [record.get(columns.identifier) for record in objects]
    numbers = range(first, first + len(records))
    return Part(pd.DataFrame(cells, dtype="str"), numbers, identifiers, faults)


def _part_of_lines(some: Some, header: list[str], columns: Columns) -> Part:
    ragged: list[Fault] = []
    lines = some.lines
    if some.cells:  # each line has a cell for each name
        cells = as_frame(some.cells)
    else:
        ragged = [
            Fault(line, "", f"{len(record)} fields, the header has {len(header)}")
            for line, record in zip(lines, some.records, strict=True)
            if len(record) != len(header)
        ]
        fitting = [len(record) == len(header) for record in some.records]
        lines = list(compress(lines, fitting))
        whole = list(compress(some.records, fitting))
        cells = pd.DataFrame(whole, columns=header, dtype="str")
    if columns.identifier not in cells:
        cells[columns.identifier] = ""
    identifiers = cells[columns.identifier].str.strip().tolist()
    return Part(cells, lines, identifiers, ragged)


def _kind(name: str, columns: Columns) -> str:
    if name == columns.identifier:
        return "text or number"
    return "number" if name in columns.numeric else "text"


def _as_text(value: Any, kind: str) -> str | None:
    """Return a JSON value as in a drop, empty if missing; None if it is invalid."""
    if value is None:
        return ""
    if type(value) not in KINDS[kind] or value in (math.inf, -math.inf):
        return None
    if isinstance(value, str) and UNFIT_TEXT.search(value):
        return None
    if isinstance(value, int) and kind == "number" and MAX_EXACT <= abs(value) <= MAX_NUMBER:
        return repr(float(value))  # two neighbours have one prediction
    return str(value)
