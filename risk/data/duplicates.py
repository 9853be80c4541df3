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

    If labels never `came_late`, no known row was without one, and none is asked for. Those of this
    drop are in sorted arrays, which take far less memory than a set, each longer than the next.
    """

    known: Known
    came_late: bool
    of_drop: list[Hashes] = field(default_factory=list)

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
        both = np.sort(np.concatenate([hashes, related]))
        seen = self._among(both)
        seen.update(self.known(np.sort(hashes)))
        if self.came_late or not has_label.all():
            seen.update(self.known(np.sort(related)))
        self._add(hashes)
        if not seen and (both[1:] != both[:-1]).all():
            return Sorted(hashes, rows.assign(**{ROW_HASH: hashes}), [], [])
        is_fresh, again = np.zeros(len(rows), dtype=bool), []
        of_rows = zip(hashes.tolist(), others.tolist(), more.tolist(), strict=True)
        for i, (row_hash, other, another) in enumerate(of_rows):
            if row_hash in seen:
                continue
            came_before = other in seen or another in seen
            if came_before and has_label[i]:
                again.append(i)
            is_fresh[i] = not came_before
            seen.add(row_hash)
        as_text = fingerprints_by_label(rows.iloc[again])[None]  # before times were moments
        own = list(zip(others[again].tolist(), as_text.tolist(), strict=True))
        return Sorted(hashes, rows.assign(**{ROW_HASH: hashes}).loc[is_fresh], again, own)

    def _among(self, ordered: Hashes) -> set[int]:
        """Return those of some sorted hashes that rows of earlier pieces have."""
        found = set[int]()
        for earlier in self.of_drop:
            places = np.searchsorted(earlier, ordered).clip(max=len(earlier) - 1)
            found.update(ordered[earlier[places] == ordered].tolist())
        return found

    def _add(self, hashes: Hashes) -> None:
        """Add the hashes of a piece; arrays of about the same size become one."""
        ordered = np.sort(hashes)
        while self.of_drop and len(self.of_drop[-1]) <= len(ordered):
            both = np.concatenate([self.of_drop.pop(), ordered])
            ordered = np.sort(both, kind="stable")  # of two sorted runs, it is a merge
        if len(ordered):
            self.of_drop.append(ordered)
