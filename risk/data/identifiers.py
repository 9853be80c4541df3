"""Identifiers that another system wrote differently: 1000.0 for 1000, as pandas does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from risk.config import Columns
from risk.schema import fingerprints

ALSO_READ_AS = "identifiers such as 1000.0 and 1000 were taken as equal"


def as_known(
    rows: pd.DataFrame, columns: Columns, known: Callable[[Sequence[int]], Iterable[int]]
) -> tuple[pd.DataFrame, bool]:
    """Spell identifiers such as 1000.0 as 1000 in rows that were accepted under that name before.

    Whether with the same label, another or none: `known` returns which of the given row hashes
    were accepted. Also return whether there was such a row.
    """
    names = rows[columns.identifier]
    with_point = names.str.fullmatch(r"\d+\.0+").fillna(False).astype(bool)
    if not with_point.any():
        return rows, False
    whole = names[with_point].str.replace(r"\.0+$", "", regex=True)
    other = rows[with_point].assign(**{columns.identifier: whole})
    hashes = [_hashes(other, columns, label) for label in (pd.NA, 0, 1)]
    accepted = {*known([*chain.from_iterable(hashes)])}
    came_before = [not accepted.isdisjoint(of_row) for of_row in zip(*hashes, strict=True)]
    spelt = names.copy()
    spelt[whole.index[came_before]] = whole[came_before]
    return rows.assign(**{columns.identifier: spelt}), any(came_before)


def _hashes(rows: pd.DataFrame, columns: Columns, label: Any) -> list[int]:
    labels = pd.array([label] * len(rows), dtype="Int8")
    changed = rows.assign(**{columns.target: labels})
    hashes: list[int] = fingerprints(changed, columns.event_time).tolist()
    return hashes
