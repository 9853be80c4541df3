"""Late labels: each is matched to a row accepted without one, or waits for a row to come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from risk.config import Columns
from risk.data.drops import Piece
from risk.data.identifiers import ALSO_READ_AS
from risk.lazily import pandas as pd
from risk.schema import EarlyLabel, Key, LaterLabel, Problem, keys, shorten

NO_ROW = "no earlier row with this key waits for a label"
EARLY = "no row with this key yet; the label waits for it"
CONTRADICTION = "contradicts the known label"
AMBIGUOUS = "several rows with this identifier; an event time must say which"
NO_LABEL = "no label"
CUT = "perhaps cut off: the last line has no line end"
Find = Callable[[Sequence[int]], Sequence[Any]]
OwnHashes = Sequence[int]


@dataclass
class Matched:
    """The outcome for the labels of one piece of a drop; `early` are those without a row."""

    labels: list[LaterLabel] = field(default_factory=list)
    early: dict[int, EarlyLabel] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    n_duplicate: int = 0
    note: str | None = None

    def refuse(self, piece: Piece, i: int, columns: Columns, rule: str) -> None:
        """Add the problem of the label in a row of the piece."""
        value = shorten(str(piece.rows[columns.identifier].iloc[i]))
        self.problems.append(Problem(piece.lines[i], columns.identifier, rule, value))
        self.refused.append(piece.records[i])


class WaitingRow(NamedTuple):
    """A row of this drop that waits for its label, like those in the ledger."""

    row_hash: int
    key_hash: int
    event_time_us: int | None
    ingestion_id: int


class EarlyLabels:
    """The labels that wait for their rows."""

    def __init__(self, labels: Iterable[Any]) -> None:
        self.by_name: dict[int, list[Any]] = {}
        for label in labels:
            self.by_name.setdefault(label.key_hash, []).append(label)

    def take(self, key: Key) -> Any:
        """Return the label of the next row with this key, which waits no longer; None if none."""
        labels = self.by_name.get(key.key_hash, [])
        for wanted in (key.event_time_us, None):
            for label in labels:
                if label.event_time_us == wanted or key.event_time_us is None:
                    labels.remove(label)
                    return label
        return None


class Outcome(NamedTuple):
    """What becomes of a label: it ripens a row, breaks a rule, or is a duplicate."""

    row: Any = None
    rule: str | None = None


class Known:
    """The rows that wait for a label and the labels given, by key and event time."""

    def __init__(self, waiting: Iterable[Any], labels: Iterable[Any]) -> None:
        self.rows: Any = defaultdict(lambda: defaultdict(deque))
        self.labels: Any = defaultdict(lambda: defaultdict(set))
        self.by_row: dict[int, int] = {}
        for row in waiting:
            self.rows[row.key_hash][row.event_time_us].append(row)
        for label in labels:
            self.give(label)

    def __contains__(self, key_hash: int) -> bool:
        return bool(self.rows.get(key_hash) or self.labels.get(key_hash))

    def give(self, label: Any) -> None:
        """Remember a label, of a row or of a row that has yet to come."""
        self.labels[label.key_hash][label.event_time_us].add(label.y_true)
        if row_hash := getattr(label, "row_hash", None):
            self.by_row[row_hash] = label.y_true

    def take(self, key: Key, y_true: Any, own: OwnHashes = ()) -> Outcome:
        """Say what becomes of a label, and remove the row it is for from those that wait.

        `own` are hashes of the very row it is for, if that is known.
        """
        if pd.isna(y_true):
            return Outcome(rule=NO_LABEL)
        rows, labels = self.rows[key.key_hash], self.labels[key.key_hash]
        if known := [self.by_row[row_hash] for row_hash in own if row_hash in self.by_row]:
            return Outcome(rule=None if y_true in known else CONTRADICTION)
        times = {at for at, queue in rows.items() if queue}
        if key.event_time_us is not None:
            labels = {at: labels[at] for at in (key.event_time_us, None) if at in labels}
            times = times & {key.event_time_us, None}
            at = key.event_time_us if key.event_time_us in times else None
        else:
            if times and len(times | {*labels}) > 1:
                return Outcome(rule=AMBIGUOUS)
            at = next(iter(times), None)
        if times:
            return Outcome(_pop(rows[at], own))
        given = set().union(*labels.values())
        if y_true in given:
            return Outcome()
        return Outcome(rule=CONTRADICTION if given else NO_ROW)


def has_only_labels(header: Sequence[str], columns: Columns) -> bool:
    """Return whether a table holds labels only: the target and no feature."""
    return columns.target in header and not set(columns.features) & set(header)


def match(
    piece: Piece,
    columns: Columns,
    *,
    waiting: Find,
    known: Find,
    own: Sequence[OwnHashes] | None = None,
) -> Matched:
    """Match each label to the row with its key that has waited longest.

    A label already known is a duplicate; one that contradicts a known label, or may belong to
    several rows, is refused; one for which no row waits is returned as early. `own` are the
    hashes of the row each label belongs to, where a whole row came again with its label.
    """
    matched = Matched()
    names, others = keys(piece.rows, columns), other_spelling(piece.rows, columns)
    different = list(dict.fromkeys(key.key_hash for key in (*names, *others.values())))
    so_far = Known(waiting(different), known(different))
    for i, label in enumerate(piece.rows[columns.target]):
        key = names[i]
        if key.key_hash not in so_far and i in others and others[i].key_hash in so_far:
            key, matched.note = others[i], ALSO_READ_AS
        row, rule = so_far.take(key, label, own[i] if own else ())
        if row:
            found = LaterLabel(
                row.row_hash, row.key_hash, int(label), row.ingestion_id, row.event_time_us
            )
            so_far.give(found)
            matched.labels.append(found)
        elif rule == NO_ROW:
            matched.early[i] = EarlyLabel(*key, int(label))
            so_far.give(matched.early[i])
        elif rule:
            matched.refuse(piece, i, columns, rule)
        else:
            matched.n_duplicate += 1
    return matched


def _pop(queue: deque[Any], own: OwnHashes) -> Any:
    """Remove and return the row with one of these hashes, else the one that waited longest."""
    for row in queue if own else ():
        if row.row_hash in own:
            queue.remove(row)
            return row
    return queue.popleft()


def may_be_cut(header: Sequence[str], columns: Columns) -> bool:
    """Return whether the beginning of a line may be read as a label, of somebody else or another.

    A row of features is superseded if its line arrives whole; a label given cannot be taken back.
    """
    last = [name for name in header if name][-1]
    labels = [str(label) for label in (columns.positive_label, columns.negative_label)]
    one_begins_another = any(a != b and a.startswith(b) for a in labels for b in labels)
    return last != columns.target or one_begins_another


def without_last(piece: Piece, columns: Columns) -> Piece:
    """Refuse the last line of a file of labels that has no line end."""
    if not piece.is_last or not piece.lines or piece.lines[-1] != piece.last_line:
        return piece
    value = shorten(str(piece.rows[columns.identifier].iloc[-1]))
    return replace(
        piece,
        rows=piece.rows.iloc[:-1],
        problems=[*piece.problems, Problem(piece.last_line, columns.identifier, CUT, value)],
        refused=[*piece.refused, piece.records[-1]],
        lines=piece.lines[:-1],
        records=piece.records[:-1],
    )


def other_spelling(rows: pd.DataFrame, columns: Columns) -> dict[int, Key]:
    """Return the keys of whole numbers written the other way: 1000 for 1000.0, as pandas does."""
    names = rows[columns.identifier].reset_index(drop=True)
    numbers = names[names.str.fullmatch(r"\d+(\.0+)?").fillna(False).astype(bool)]
    if numbers.empty:
        return {}
    is_whole = numbers.str.fullmatch(r"\d+").astype(bool)
    swapped = numbers.where(is_whole, numbers.str.replace(r"\.0+$", "", regex=True))
    swapped = swapped.where(~is_whole, numbers + ".0")
    subset = rows.iloc[numbers.index].assign(**{columns.identifier: swapped.to_numpy()})
    return dict(zip(numbers.index.tolist(), keys(subset, columns), strict=True))
