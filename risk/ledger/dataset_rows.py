"""The data set in SQL: each accepted row as JSON, with its label once known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from risk.config import Columns
from risk.lazily import pandas as pd
from risk.ledger.database import Database, insert_rows
from risk.ledger.tables import dataset_rows, ingestions, later_labels
from risk.schema import ROW_HASH

StoredRow = tuple[int, str, str | None, int | None, str]
NAMES = ("row_hash", "identifier", "event_time", "y_true", "row", "ingestion_id")


@dataclass(frozen=True)
class DatasetRows:
    """The data set in SQL, by ingestion."""

    database: Database

    def missing_parts(self) -> list[int]:
        """Return the ingestions with accepted rows that are not stored in SQL yet."""
        stored = sa.exists().where(dataset_rows.c.ingestion_id == ingestions.c.id)
        with_rows = (ingestions.c.rows_added > 0) & (ingestions.c.kind == "rows")
        query = sa.select(ingestions.c.id).where(with_rows & ~stored)
        return [row[0] for row in self.database.rows(query.order_by(ingestions.c.id))]

    def store_part(self, ingestion_id: int, rows: Iterable[StoredRow]) -> None:
        """Store the rows of an earlier ingestion in SQL, with the labels received since."""
        with self.database.begin() as connection:
            store_rows(connection, ingestion_id, rows)
            label_rows(connection, later_labels.c.row_ingestion_id == ingestion_id)


def stored_form(frames: Iterable[pd.DataFrame], columns: Columns) -> Iterator[StoredRow]:
    """Yield typed rows in their SQL form; missing values are null in the JSON as well."""
    keys = (_json_texts([name])[0].replace("%", "%%") for name in columns.all)
    form = f"{{{','.join(f'{key}:%s' for key in keys)}}}"
    for frame in frames:
        cells = {name: _plain(frame[name]) for name in columns.all}
        texts = zip(*map(_json_texts, cells.values()), strict=True)
        yield from zip(
            frame[ROW_HASH].tolist(),
            cells[columns.identifier],
            cells[columns.event_time] if columns.event_time else repeat(None, len(frame)),
            cells[columns.target],
            (form % row for row in texts),
            strict=True,
        )


def store_rows(connection: sa.Connection, ingestion_id: int, rows: Iterable[StoredRow]) -> None:
    """Store accepted rows in SQL, in the transaction that accepts them."""
    insert_rows(connection, dataset_rows, NAMES, ((*row, ingestion_id) for row in rows))


def label_rows(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Set the late labels of the rows in SQL that satisfy a condition on the labels."""
    ours = dataset_rows.c.row_hash == later_labels.c.row_hash
    label = {
        dataset_rows.c.y_true: later_labels.c.y_true,
        dataset_rows.c.labelled_by: later_labels.c.ingestion_id,
    }
    connection.execute(dataset_rows.update().where(ours & which).values(label))


def _plain(cells: pd.Series[Any]) -> list[Any]:
    values: list[Any] = cells.astype("object").where(cells.notna(), None).tolist()
    return values


def _json_texts(values: list[Any]) -> list[str]:
    """Return each value as JSON; encoding all at once is several times faster."""
    lines = json.dumps(values, ensure_ascii=False, separators=("\n", ":"))  # none has a line break
    return lines[1:-1].split("\n")
