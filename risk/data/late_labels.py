"""Late labels: a drop of labels is matched to the rows accepted without one."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from risk.config import Columns
from risk.data.drops import Piece
from risk.schema import LaterLabel, Problem, keys, shorten

NO_ROW = "no earlier row with this key waits for a label"
CONTRADICTION = "contradicts the known label"
NO_LABEL = "no label"
Find = Callable[[Sequence[int]], Sequence[Any]]


@dataclass
class Matched:
    """The outcome for the labels of one piece of a drop."""

    labels: list[LaterLabel] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    n_duplicate: int = 0


def has_only_labels(header: Sequence[str], columns: Columns) -> bool:
    """Return whether a table holds labels only: the target and no feature."""
    return columns.target in header and not set(columns.features) & set(header)


def match(piece: Piece, columns: Columns, *, waiting: Find, known: Find) -> Matched:
    """Match each label to the row with its key that has waited longest.

    A label already known is a duplicate; one that contradicts a known label, or for which no
    row waits, is refused.
    """
    matched = Matched()
    names = keys(piece.rows, columns).tolist()
    different = list(dict.fromkeys(names))
    queues: dict[int, deque[Any]] = defaultdict(deque)
    for row in waiting(different):
        queues[row.key_hash].append(row)
    earlier: dict[int, set[int]] = defaultdict(set)
    for label in known(different):
        earlier[label.key_hash].add(label.y_true)
    labels = piece.rows[columns.target]
    for i, (name, label) in enumerate(zip(names, labels, strict=True)):
        rule = _rule(label, queues[name], earlier[name])
        if rule:
            value = shorten(str(piece.rows[columns.identifier].iloc[i]))
            matched.problems.append(Problem(piece.lines[i], columns.identifier, rule, value))
            matched.refused.append(piece.records[i])
        elif queues[name]:
            row = queues[name].popleft()
            matched.labels.append(LaterLabel(row.row_hash, name, int(label), row.ingestion_id))
            earlier[name].add(int(label))
        else:
            matched.n_duplicate += 1
    return matched


def _rule(label: Any, queue: deque[Any], earlier: set[int]) -> str | None:
    """Return the rule the label breaks, None if none."""
    if pd.isna(label):
        return NO_LABEL
    if queue or label in earlier:
        return None
    return CONTRADICTION if earlier else NO_ROW
