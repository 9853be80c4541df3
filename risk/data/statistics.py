"""Summary statistics of columns and timings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from risk import engine, store
from risk.config import Columns, Config
from risk.data import part_files
from risk.errors import StorageError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger

CELLS_AT_ONCE = 20_000_000  # 160 MB of numbers
ROWS_AT_ONCE = 10_000


def summarise(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return statistics of each feature and the target; those of other column types are NaN."""
    return pd.DataFrame(_describe_each(rows[[*columns.features, columns.target]], columns))


def summarise_accepted(
    config: Config, ledger: Ledger, parts: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return the same of all accepted rows, or of some parts, a few columns in memory at once.

    Each of these groups of columns is a part of the engine. A worker that cannot read the
    files leaves it to this process.
    """
    numbers = ledger.parts.ids() if parts is None else parts
    if not numbers:
        return summarise(store.read_parts(config, []), config.columns)
    part_files.require(config, ledger, numbers)
    paths = [store.part_path(config, number) for number in numbers]
    n_rows = sum(ledger.parts.sizes(numbers).values())
    names = [*config.columns.features, config.columns.target]
    size = max(CELLS_AT_ONCE // max(n_rows, 1), 1)
    groups = [names[i : i + size] for i in range(0, len(names), size)]
    described = engine.of(config).map(partial(_describe_parts, config.columns, paths), groups)
    return pd.DataFrame(
        [
            row
            for group, found in zip(groups, described, strict=True)
            for row in found or _describe_columns(config.columns, paths, group)
        ]
    )


def _describe_parts(
    columns: Columns, paths: Sequence[Path], names: Sequence[str]
) -> list[dict[str, Any]] | None:
    """Describe columns in a worker; None if the files are not there."""
    try:
        return _describe_columns(columns, paths, names)
    except StorageError:
        return None


def _describe_columns(
    columns: Columns, paths: Sequence[Path], names: Sequence[str]
) -> list[dict[str, Any]]:
    tables = [store.read_table(path, columns, names) for path in paths]
    return _describe_each(store.to_frame(tables, columns), columns)


def _describe_each(rows: pd.DataFrame, columns: Columns) -> list[dict[str, Any]]:
    return [
        _describe_texts(rows[name])
        if name in columns.categorical
        else _describe_numbers(rows[name])
        for name in rows
    ]


def as_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None for missing and infinite ones."""
    names = [str(name) for name in table]
    cells = zip(*(_plain(column) for _, column in table.items()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in cells]


def each_row(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the same rows, converting some at a time: plain values take far more memory."""
    for start in range(0, len(table), ROWS_AT_ONCE):
        yield from as_rows(table.iloc[start : start + ROWS_AT_ONCE])


def _plain(column: pd.Series[Any]) -> list[Any]:
    odd = column.isna()
    if column.dtype.kind in "fO":
        odd |= column.isin([np.inf, -np.inf])
    values = column.tolist()
    if not odd.any():
        return values
    return [None if is_odd else value for value, is_odd in zip(values, odd.tolist(), strict=True)]


def summarise_timings(timings: pd.DataFrame) -> pd.DataFrame:
    """Return runs, last, median and 95th percentile of the duration of each stage."""
    seconds = timings.groupby("stage", sort=False)["duration_seconds"]
    table = seconds.agg(
        runs="size", last="last", median="median", p95=lambda durations: durations.quantile(0.95)
    )
    return table.reset_index()


def _describe_numbers(values: pd.Series[Any]) -> dict[str, Any]:
    numbers = values.astype("float64")
    with np.errstate(over="ignore"):
        return _describe(values) | {
            "mean": numbers.mean(),
            "median": numbers.median(),
            "standard_deviation": numbers.std(),
        }


def _describe_texts(values: pd.Series[Any]) -> dict[str, Any]:
    tally = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    top = {"top_value": tally.index[0], "top_count": int(tally.iloc[0])} if len(tally) else {}
    return _describe(values) | {"distinct_count": len(tally)} | top


def _describe(values: pd.Series[Any]) -> dict[str, Any]:
    missing = int(values.isna().sum())
    return {
        "column_name": values.name,
        "row_count": len(values),
        "missing_count": missing,
        "missing_percent": 100 * missing / len(values) if len(values) else None,
    }
