"""Identifiers that another system wrote differently: 1000.0 for 1000, as pandas does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from risk import numerals
from risk.config import Columns
from risk.lazily import pandas as pd
from risk.schema import Hashes, fingerprints_by_label

ALSO_READ_AS = "identifiers such as 1000.0 and 1000 were taken as equal"


def as_known(
    rows: pd.DataFrame, columns: Columns, known: Callable[[Hashes], Iterable[int]]
) -> tuple[pd.DataFrame, bool]:
    """Spell identifiers such as 1000.0 as 1000 in rows that were accepted under that name before.

    Whether with the same label, another or none: `known` returns which of the given row hashes
    were accepted. Also return whether there was such a row.
    """
    names = rows[columns.identifier]
    if not numerals.may_have(numerals.texts(names), "."):  # nearly always
        return rows, False
    with_point = names.str.fullmatch(r"\d+\.0+").fillna(False).astype(bool)
    if not with_point.any():
        return rows, False
    whole = names[with_point].str.replace(r"\.0+$", "", regex=True)
    other = rows[with_point].assign(**{columns.identifier: whole})
    hashes = np.array([*fingerprints_by_label(other, columns.event_time).values()])
    accepted = list(known(hashes.ravel()))
    came_before = np.flatnonzero(np.isin(hashes, accepted).any(axis=0))
    spelt = names.copy()
    spelt[whole.index[came_before]] = whole.iloc[came_before]
    return rows.assign(**{columns.identifier: spelt}), len(came_before) > 0
