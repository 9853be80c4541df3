"""Summary statistics of columns and timings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from risk.config import Columns


def summarise(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return statistics of each feature and the target; those of other column types are NaN."""
    numeric = [_describe_numbers(rows[name]) for name in (*columns.numeric, columns.target)]
    categorical = [_describe_texts(rows[name]) for name in columns.categorical]
    return pd.DataFrame([*numeric[:-1], *categorical, numeric[-1]])


def as_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None for missing and infinite ones."""
    names = [str(name) for name in table]
    cells = zip(*(_plain(column) for _, column in table.items()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in cells]


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
