"""The notes beside a prediction: the risk band, and values unlike the reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd
from risk.monitoring.profile import Column
from risk.monitoring.reference import Reference
from risk.schema import shorten

BANDS = ("low", "medium", "high")


def risk_bands(y_pred_proba: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Place each risk in BANDS: low below half the decision threshold, high from it on.

    >>> [BANDS[place] for place in risk_bands(np.array([0.1, 0.2, 0.4]), threshold=0.4)]
    ['low', 'medium', 'high']
    """
    return np.digitize(y_pred_proba, [threshold / 2, threshold])


def warnings(reference: Reference, rows: pd.DataFrame) -> list[list[str]]:
    """Name, in sentences, the values of each row that are unlike the reference."""
    said: list[list[str]] = [[] for _ in range(len(rows))]
    for column in reference.columns:
        if column.name in rows:
            never_missing = reference.profile.counts[column.name][-1] == 0
            for position, sentence in _unlike(column, rows[column.name], never_missing):
                said[position].append(sentence)
    return said


def _unlike(
    column: Column, values: pd.Series[Any], never_missing: bool
) -> Iterable[tuple[int, str]]:
    beyond, missing = column.beyond_or_missing(values)
    for position in np.flatnonzero(beyond | missing if never_missing else beyond).tolist():
        if missing[position]:
            yield position, f"{column.name} is missing; the reference never misses it"
        else:
            yield position, _sentence(column, values.iat[position])


def _sentence(column: Column, value: object) -> str:
    if column.edges is None:
        return f"{column.name} {shorten(str(value))!r} is unknown to the reference"
    lowest, highest = np.nextafter(column.edges[0], np.inf) + 0.0, column.edges[-1]
    shown = [f"{number:.15g}" for number in (float(str(value)), lowest, highest)]
    return f"{column.name} {shown[0]} is outside the reference's range, {shown[1]} to {shown[2]}"
