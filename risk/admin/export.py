"""Export of the ledger to files, and copy into another database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

from risk import store
from risk.addresses import masked
from risk.config import Config
from risk.errors import LedgerError, UnknownName, UsageError
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc
from risk.ledger import database, views
from risk.ledger.database import Record, database_faults, insert_many
from risk.ledger.ledger import Ledger
from risk.ledger.tables import leases, metadata
from risk.progress import track

ROWS_AT_ONCE = 1000
RISKY = r"^[=+\-@\t\r']"
KINDS = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    datetime: pa.timestamp("us", tz="UTC"),
}
Kind = Literal["csv", "parquet"]
TABLES = [table for table in metadata.sorted_tables if table is not leases]


@dataclass(frozen=True)
class Transferred:
    """How many rows of each table were written, and the target."""

    rows: Mapping[str, int]
    to: str

    def __str__(self) -> str:
        tables = "".join(f"{count:>12} {name}\n" for name, count in self.rows.items())
        return f"{tables}{sum(self.rows.values()):>12} rows in total, to {self.to}"


def export(
    ledger: Ledger, folder: Path, *, kind: Kind = "csv", names: Sequence[str] = ()
) -> Transferred:
    """Write all or the named tables and views, one file each, from one consistent snapshot."""
    known = {table.name: table for table in (*TABLES, *views.metadata.sorted_tables)}
    if unknown := sorted({*names} - {*known}):
        raise UnknownName(
            f"unknown table or view {', '.join(unknown)}; available: {', '.join(sorted(known))}"
        )
    with _snapshot(ledger.engine) as connection:
        rows = {
            name: _to_file(connection, known[name], folder / f"{name}.{kind}")
            for name in track(names or [*known], "export", unit="table")
        }
    return Transferred(rows, str(folder))


def copy(config: Config, ledger: Ledger, url: str, *, replace: bool = False) -> Transferred:
    """Copy all rows, or none, into an empty database; its IDs continue after the last one.

    With `replace` it need not be empty: its rows are deleted first.
    """
    other = config.model_copy(update={"database_url": url})
    with (
        database.connected(other, upgrade=True) as engine,
        _snapshot(ledger.engine) as source,
        engine.begin() as target,
    ):
        if replace:
            _delete_rows(target)
        if filled := [table.name for table in TABLES if _count(target, table)]:
            raise UsageError(
                f"--to: the database is not empty; tables with rows: {', '.join(filled)}"
            )
        for table in track(TABLES, "copy", unit="table"):
            _copy_table(source, target, table)
        rows = {table.name: _count(target, table) for table in TABLES}
        expected = {table.name: _count(source, table) for table in TABLES}
        if rows != expected:
            raise LedgerError(
                f"the copy was incomplete and has been rolled back: {rows} of {expected}"
            )
    return Transferred(rows, masked(url))


@contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection that reads one consistent snapshot of the database."""
    with database_faults(), engine.connect() as connection:
        if connection.dialect.name != "sqlite":  # which always reads a snapshot
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def _to_file(connection: sa.Connection, table: sa.Table, path: Path) -> int:
    schema = pa.schema([(column.name, _kind(column.type)) for column in table.c])
    count = 0
    with store.writing_table(path, schema) as writer:
        for rows in _read(connection, table):
            values = zip(*rows, strict=True)
            arrays = [pa.array(v, kind) for v, kind in zip(values, schema.types, strict=True)]
            if path.suffix == ".csv":
                arrays = [_escaped(array) for array in arrays]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(rows)
    return count


def _kind(of: TypeEngine[Any]) -> pa.DataType:
    plain = of.impl_instance if isinstance(of, TypeDecorator) else of
    return KINDS[plain.python_type]


def _escaped(array: pa.Array) -> pa.Array:
    """Prefix texts that a spreadsheet would run as a formula, or that begin with an apostrophe."""
    if not pa.types.is_string(array.type):
        return array
    quoted = pc.binary_join_element_wise("'", array, "")
    return pc.if_else(pc.match_substring_regex(array, RISKY), quoted, array)


def _delete_rows(target: sa.Connection) -> None:
    for table in reversed(TABLES):
        if references := {column.name: None for column in _self_references(table)}:
            target.execute(table.update().values(references))
        target.execute(table.delete())


def _self_references(table: sa.Table) -> list[sa.Column[Any]]:
    return [c for c in table.c if any(key.column.table is table for key in c.foreign_keys)]


def _copy_table(source: sa.Connection, target: sa.Connection, table: sa.Table) -> None:
    """Insert all rows, then set the references between rows of the same table."""
    self_references = _self_references(table)
    empty = {column.name: None for column in self_references}
    for rows in _read(source, table):
        insert_many(target, table, [row._asdict() | empty for row in rows])
    for column in self_references:
        _refer(source, target, column)
    number = table.autoincrement_column
    if target.dialect.name == "postgresql" and number is not None:
        newest = sa.select(sa.func.max(number)).scalar_subquery()
        sequence = sa.func.pg_get_serial_sequence(table.name, number.name)
        target.execute(sa.select(sa.func.setval(sequence, newest)))


def _refer(source: sa.Connection, target: sa.Connection, column: sa.Column[Any]) -> None:
    table = column.table
    (number,) = table.primary_key
    query = sa.select(number.label("of"), column.label("to")).where(column.is_not(None))
    if rows := [row._asdict() for row in source.execute(query)]:
        change = table.update().where(number == sa.bindparam("of"))
        target.execute(change.values({column.name: sa.bindparam("to")}), rows)


def _read(connection: sa.Connection, table: sa.Table) -> Iterator[Sequence[Record]]:
    order = list(table.primary_key) or [next(iter(table.c))]
    query = sa.select(table).order_by(*order).execution_options(yield_per=ROWS_AT_ONCE)
    yield from track(connection.execute(query).partitions(), table.name, unit="k rows")


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
