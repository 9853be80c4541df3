"""Small tables as the bytes of small Parquet files, exact but for the sign of a zero."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from risk.lazily import pandas as pd
from risk.lazily import pyarrow as pa
from risk.lazily import pyarrow_compute as pc
from risk.lazily import pyarrow_parquet as pq
from risk.models import model
from risk.models.model import Manifest

SMALLEST = 19  # level of zstd
MAX_DIGITS = 9  # of a decimal in 32 bits


def to_bytes(rows: pd.DataFrame) -> bytes:
    """Return a small table as the bytes of a small Parquet file, which `from_bytes` reads."""
    table = _by_column(pa.Table.from_pandas(rows, preserve_index=False), _as_decimals)
    # a dictionary of what seldom repeats is larger than the column
    repeated = [str(name) for name, n in rows.nunique().items() if n < len(rows) / 4]
    decimals = {field.name for field in table.schema if pa.types.is_decimal(field.type)}
    content = io.BytesIO()
    pq.write_table(
        table,
        content,
        use_dictionary=repeated,
        column_encoding=dict.fromkeys(decimals.difference(repeated), "BYTE_STREAM_SPLIT"),
        write_statistics=False,
        store_schema=False,
        store_decimal_as_integer=True,
        compression="zstd",
        compression_level=SMALLEST,
    )
    return content.getvalue()


def from_bytes(content: bytes) -> pd.DataFrame:
    """Return the table of which `to_bytes` returned the bytes."""
    read = pq.ParquetFile(io.BytesIO(content)).read()  # `read_table` imports data sets of files
    table = _by_column(read, _as_floats)
    return pd.DataFrame(table.to_pandas())


def read(folder: Path, name: str, manifest: Manifest) -> pd.DataFrame:
    """Return a table of the model in `folder`, after verifying its digest."""
    return from_bytes(model.read_checked(folder, name, manifest))


def _by_column(table: pa.Table, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    columns = [convert(column) for column in table.columns]
    return pa.table(columns, table.column_names).replace_schema_metadata(table.schema.metadata)


def _as_decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as decimals, which take half as much, if they are those to the last bit.

    A zero may lose its sign, which no estimator that adds or compares numbers can tell.
    """
    if column.type != pa.float64():
        return column
    texts = pc.add(column, 0.0).cast(pa.string())  # decimals have no negative zero
    for n_decimals in range(MAX_DIGITS):
        with suppress(pa.ArrowInvalid):  # there are more
            decimals = texts.cast(pa.decimal128(MAX_DIGITS, n_decimals))
            return decimals if _as_floats(decimals).cast(pa.string()) == texts else column
    return column


def _as_floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return decimals as the nearest numbers; Arrow finds them by way of texts only."""
    is_decimal = pa.types.is_decimal(column.type)
    return column.cast(pa.string()).cast(pa.float64()) if is_decimal else column
