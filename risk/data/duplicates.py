"""Which rows of a piece are new, and which came before, perhaps without their label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from risk.config import Columns
from risk.data.drops import Piece
from risk.lazily import pandas as pd
from risk.schema import ROW_HASH, Hashes, fingerprints_by_label

Known = Callable[[Hashes], Iterable[int]]


@dataclass(frozen=True)
class Sorted:
    """The valid rows of a piece: new ones, and known ones that come again with their label.

    `own` are the hashes of each of the latter when it had none; all other rows are duplicates.
    """

    hashes: Hashes
    fresh: pd.DataFrame
    again: list[int]
    own: Sequence[Sequence[int]]

    def has(self, row_hash: int) -> bool:
        """Return whether a row of the piece has this hash, or had it without its label."""
        return row_hash in self.hashes or any(row_hash in hashes for hashes in self.own)

    def last_fresh(self, piece: Piece) -> int | None:
        """Return the hash of the last row of the piece if it is a new one."""
        is_valid = bool(piece.lines) and piece.lines[-1] == piece.last_line
        if not is_valid or self.fresh.empty or self.fresh.index[-1] != piece.rows.index[-1]:
            return None
        return int(self.fresh[ROW_HASH].iloc[-1])


@dataclass
class Seen:
    """The hashes found so far: of rows of this drop, and `known` ones of earlier drops.

    If labels never `came_late`, no known row was without one, and none is asked for. The hashes of
    the `latest` piece, if all its rows were new, are among the others once another piece follows.
    """

    known: Known
    came_late: bool
    hashes: set[int] = field(default_factory=set)
    latest: Hashes = field(default_factory=lambda: np.empty(0, "int64"))

    def sort(self, rows: pd.DataFrame, columns: Columns) -> Sorted:
        """Sort the valid rows of a piece by what earlier rows, of this drop too, make of them.

        A row without its label is a duplicate of the same row with one.
        """
        labels, by_label = rows[columns.target], fingerprints_by_label(rows, columns.event_time)
        has_label, is_positive = labels.notna().to_numpy(), (labels == 1).fillna(False)
        with_label = np.where(is_positive.to_numpy(bool), by_label[1], by_label[0])
        hashes = np.where(has_label, with_label, by_label[None])
        # those of the same row: with a label, the one without; without, the two with one
        others = np.where(has_label, by_label[None], by_label[0])
        more = np.where(has_label, by_label[None], by_label[1])
        related = np.concatenate([others, more[~has_label]])
        if self._are_all_new(hashes, related, is_asked=self.came_late or not has_label.all()):
            return Sorted(hashes, rows.assign(**{ROW_HASH: hashes}), [], [])
        is_fresh, again = np.zeros(len(rows), dtype=bool), []
        of_rows = zip(hashes.tolist(), others.tolist(), more.tolist(), strict=True)
        for i, (row_hash, other, another) in enumerate(of_rows):
            if row_hash in self.hashes:
                continue
            came_before = other in self.hashes or another in self.hashes
            if came_before and has_label[i]:
                again.append(i)
            is_fresh[i] = not came_before
            self.hashes.add(row_hash)
        as_text = fingerprints_by_label(rows.iloc[again])[None]  # before times were moments
        own = list(zip(others[again].tolist(), as_text.tolist(), strict=True))
        return Sorted(hashes, rows.assign(**{ROW_HASH: hashes}).loc[is_fresh], again, own)

    def _are_all_new(self, hashes: Hashes, related: Hashes, *, is_asked: bool) -> bool:
        """Return whether all rows are surely new; else add the hashes that are known.

        They are if no hash is there twice, was seen before or is that of the same row as another.
        """
        ordered = np.sort(hashes)
        found = {*self.known(ordered)}
        if is_asked:
            found.update(self.known(np.sort(related)))
        self.hashes.update(self.latest.tolist(), found)
        self.latest = hashes[:0]
        both = pd.Index(np.concatenate([ordered, related]))
        if not both.is_unique:
            return False
        if self.hashes and not self.hashes.isdisjoint(both.tolist()):
            return False
        self.latest = hashes
        return True
