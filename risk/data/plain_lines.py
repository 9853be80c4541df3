"""Plain lines: those that mean the same to every reader of CSV, split and converted at once."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from risk import numerals
from risk.config import Columns, Ingestion
from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_csv as pa_csv

MAX_BYTES = 2**30  # of lines that are split at once; Arrow counts them in 32 bits
Places = np.ndarray[Any, np.dtype[np.int64]]
Cells = Mapping[str, "pa.ChunkedArray"]


class Split(Sequence[list[str]]):
    """Records of plain lines: each is split into its cells when it is asked for.

    The lines, in UTF-8, begin and end at these places of the content.
    """

    def __init__(self, content: bytes, begins: Places, ends: Places, separator: str) -> None:
        self.content, self.begins, self.ends, self.separator = content, begins, ends, separator

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> list[str]: ...
    @overload
    def __getitem__(self, place: slice | Places) -> Split: ...
    def __getitem__(self, place: int | slice | Places) -> list[str] | Split:
        if not isinstance(place, int):
            return Split(self.content, self.begins[place], self.ends[place], self.separator)
        line = self.content[self.begins[place] : self.ends[place]].decode()
        return line.rstrip("\r\n").split(self.separator)


class Plain(NamedTuple):
    """The records of plain lines, and the cells of the declared columns by name."""

    records: Split
    cells: Cells


def split(
    content: bytes, header: Sequence[str], columns: Columns, settings: Ingestion
) -> Plain | None:
    """Return the records and cells of whole lines in UTF-8; None if they leave any doubt.

    There is doubt about quotes, control characters, long lines, blank ones and lines of another
    number of cells. The cells of a column are numbers if none of them can break a rule, else texts.
    """
    ends = line_ends(content)
    n_line_ends = len(ends)
    if content and not content.endswith(b"\n"):
        ends = np.append(ends, len(content))
    begins = np.concatenate([[0], ends[:-1]])
    longest = min(settings.max_line_characters, csv.field_size_limit())
    if len(header) < 2 or not content or (ends - begins).max() > longest:
        return None
    lines = content.replace(b"\r\n", b"\n") if b"\r" in content else content
    codes = np.frombuffer(lines, "uint8")
    n_control = np.count_nonzero(codes < ord(" "))
    has_control = n_control > n_line_ends + np.count_nonzero(codes == ord("\t"))
    is_odd = has_control or any(character in lines for character in (b'"', b"\x7f"))
    if is_odd or content.startswith(codecs.BOM_UTF8) or len(content) > MAX_BYTES:
        return None
    numeric = [name for name in columns.numeric if name in header]
    cells = _cells(lines, header, columns, settings, numeric)
    sure = [
        name
        for name in numeric
        if cells and numerals.are_sure(cells[name], name, columns, settings.decimal)
    ]
    if sure != numeric:
        cells = _cells(lines, header, columns, settings, sure)
    if not cells or any(len(column) != len(ends) for column in cells.values()):
        return None
    return Plain(Split(content, begins, ends, settings.separator), cells)


def as_frame(cells: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns of texts and of numbers as a frame."""
    return pd.DataFrame(
        {
            name: column.to_numpy()
            if column.type == pa.float64()
            else pd.array(column, dtype="str")
            for name, column in cells.items()
        }
    )


def count_line_ends(content: bytes) -> int:
    """Return how many line feeds a content has, in a sixth of the time of `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(content, "uint8") == ord("\n")))


def line_ends(content: bytes) -> Places:
    """Return the places behind the line feeds of a content."""
    return np.flatnonzero(np.frombuffer(content, "uint8") == ord("\n")) + 1


def _cells(
    lines: bytes,
    header: Sequence[str],
    columns: Columns,
    settings: Ingestion,
    numeric: Collection[str],
) -> Cells | None:
    """Return the cells of the declared columns, those of some as numbers; None if they are none."""
    used = {name: f"{i}" for i, name in enumerate(header) if name in columns.all}
    kinds = {f: pa.float64() if name in numeric else pa.large_string() for name, f in used.items()}
    reading = pa_csv.ReadOptions(
        column_names=[f"{i}" for i in range(len(header))],
        block_size=len(lines) + 1,
        use_threads=False,
    )
    converting = pa_csv.ConvertOptions(
        column_types=kinds,
        include_columns=list(kinds),
        null_values=["", *columns.missing_markers],
        decimal_point=settings.decimal,
    )
    parsing = pa_csv.ParseOptions(delimiter=settings.separator)
    try:
        table = pa_csv.read_csv(pa.BufferReader(lines), reading, parsing, converting)
    except pa.ArrowInvalid:
        return None
    return dict(zip(used, table.columns, strict=True))
