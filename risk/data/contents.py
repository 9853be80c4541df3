"""The content of one drop: its rows and labels, compared with what the ledger knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from risk import store
from risk.config import Columns, Config, Ingestion
from risk.data import drops, identifiers, late_labels, part_files, records
from risk.data.derived import are_few
from risk.data.drops import Bytes, Piece
from risk.data.duplicates import Seen, Sorted
from risk.data.late_labels import EARLY, NO_ROW, EarlyLabels, Matched, WaitingRow, other_spelling
from risk.data.portions import Portion, max_rows
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.schema import (
    ROW_HASH,
    EarlyLabel,
    Hashes,
    LaterLabel,
    Problem,
    UnripeRow,
    keys,
)

MAX_EARLY = 1_000_000
MAX_NAMED = 100
Keep = Callable[["pd.DataFrame"], None]


@dataclass
class Contents:
    """The content of one drop read so far; the first of the `refused` records is the header.

    Its new rows and the labels of rows are in `portions`; if it has very many, in several. `used`
    are the IDs of labels that waited for one of its rows. Of its duplicate rows,
    `n_ripened` brought the label of a row that came before without it. `unfinished` is the hash
    of the row accepted from a last line without a line end; `superseded` are such rows of earlier
    drops, with their ingestions, whose line is complete in this one. `few` are its new rows, none
    if they are many.
    """

    kind: str = "rows"
    portions: list[Portion] = field(default_factory=lambda: [Portion()])
    early: list[EarlyLabel] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    undeclared: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    n_read: int = 0
    n_duplicate: int = 0
    n_ripened: int = 0
    unfinished: int | None = None
    superseded: list[tuple[int, int]] = field(default_factory=list)
    few: list[pd.DataFrame] = field(default_factory=list)
    note: str | None = None
    refusal: str | None = None

    @property
    def n_added(self) -> int:
        """How many rows are new."""
        return sum(len(portion.hashes) for portion in self.portions)

    @property
    def labels(self) -> Iterable[LaterLabel]:
        """The labels found of rows that were accepted without one."""
        return chain.from_iterable(portion.labels for portion in self.portions)

    @property
    def newest(self) -> Portion:
        """The portion that grows."""
        return self.portions[-1]

    def accept(self, hashes: Hashes, unripe: Sequence[UnripeRow], most: int) -> None:
        """Add the new rows of a piece, to a new portion if one would have more than the `most`."""
        if self.newest.hashes and len(self.newest.hashes) + len(hashes) > most:
            self.portions.append(Portion())
        self.newest.hashes.frombytes(hashes.tobytes())
        self.newest.unripe.add(unripe)

    def add(self, piece: Piece, matched: Matched) -> None:
        """Add what a piece of a drop holds besides new rows."""
        problems = [*piece.problems, *matched.problems]
        self.problems += sorted(problems, key=lambda problem: problem.line)
        if refused := [*piece.refused, *matched.refused]:
            self.refused += refused if self.refused else [piece.header, *refused]
        self.newest.labels += matched.labels
        self.n_read += piece.n_read
        self.n_duplicate += matched.n_duplicate
        self.note = self.note or matched.note


@dataclass
class Reader:
    """Reads one drop and compares it with the ledger; writes nothing.

    `requeued` is the ingestion whose quarantined rows are read again; `ahead` are the problems of
    rows of an SQL source, by position, whose marks are in the future; `settings` say how its text
    is written, and `name` is that of its file, None for an SQL source. The `pieces` of a drop may
    have been read before. In a rehearsal, `rehearsed` are the hashes of the rows of earlier drops.
    """

    config: Config
    ledger: Ledger
    _: KW_ONLY
    settings: Ingestion
    name: str | None = None
    pieces: Sequence[Piece] | None = None
    requeued: int | None = None
    ahead: Mapping[int, Problem] = field(default_factory=dict)
    rehearsed: frozenset[int] = frozenset()
    contents: Contents = field(default_factory=Contents)

    def __post_init__(self) -> None:
        self.first_id = self.ledger.ingestions.last_id() + 1
        came_late = bool(self.rehearsed) or self.ledger.labels.came_late()
        # not a method of its own, which would keep the rows until garbage is collected
        self.seen = Seen(partial(_accepted, self.ledger, self.rehearsed), came_late=came_late)

    @property
    def ingestion_id(self) -> int:
        """The ingestion of the rows being read, one after another if there are very many."""
        return self.first_id + len(self.contents.portions) - 1

    def read(self, file: Bytes, *, keep: Keep) -> Contents:
        """Read a drop of labels, or of rows; `keep` is called with the new rows."""
        header = drops.header_of(file, self.config.columns, self.settings)
        is_unfinished = drops.is_unfinished(file)
        if late_labels.has_only_labels(header, self.config.columns):
            columns = self.config.columns.of_labels(header)
            self.contents.kind = "labels"
            may_be_cut = is_unfinished and late_labels.may_be_cut(header, columns)
            for piece in drops.read(file, columns, self.settings, name=self.name):
                known_to_end = late_labels.without_last(piece, columns) if may_be_cut else piece
                self._add_labels(self._without_ahead(known_to_end), columns)
            return self.contents
        holds_early, now = self.ledger.labels.count_early() > 0, self.ledger.now()
        beginnings, columns = self._beginnings(file), self.config.columns
        pieces: Iterable[Piece] | None = self.pieces
        if pieces is None:
            pieces = drops.read(file, columns, self.settings, name=self.name, now=now)
        for whole in pieces:
            piece = self._without_ahead(whole)
            found = self._add_rows(piece, keep=keep, holds_early=holds_early)
            beginnings = {h: i for h, i in beginnings.items() if not found.has(h)}
            self.contents.unfinished = found.last_fresh(piece) if is_unfinished else None
        self.contents.superseded = list(beginnings.items())
        return self.contents

    def _without_ahead(self, piece: Piece) -> Piece:
        """Refuse the rows of a source whose marks are in the future."""
        if not self.ahead:
            return piece
        positions = [self.contents.n_read + int(place) for place in piece.rows.index]
        found = {
            i: self.ahead[position]._replace(line=piece.lines[i])
            for i, position in enumerate(positions)
            if position in self.ahead
        }
        return drops.without(piece, found)

    def _beginnings(self, file: Bytes) -> dict[int, int]:
        """Return the perhaps unfinished rows of earlier files with which this one begins.

        Each is given by its hash, with its ingestion.
        """
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        earlier = self.ledger.ingestions.unfinished(smaller_than=size)
        digests = drops.sha256_of_beginnings(file, {row.size_bytes for row in earlier})
        return {
            row.unfinished_row_hash: row.id
            for row in earlier
            if digests[row.size_bytes] == row.sha256
        }

    def _add_labels(self, piece: Piece, columns: Columns) -> None:
        matched = late_labels.match(piece, columns, waiting=self._waiting, known=self._known)
        came = self._came(piece, columns, matched)
        n_free = MAX_EARLY - self.ledger.labels.count_early() if matched.early else 0
        for i, label in matched.early.items():
            waits = i not in came and len(self.contents.early) < n_free
            matched.refuse(piece, i, columns, EARLY if waits else NO_ROW)
            if waits:
                self.contents.early.append(label)
        self.contents.add(piece, matched)

    def _came(self, piece: Piece, columns: Columns, matched: Matched) -> set[int]:
        """Return which of the early labels name no event time and a customer who has rows.

        Such a label may be of one of those rows; the next row of that name is not to get it.
        """
        unsure = [i for i, label in matched.early.items() if label.event_time_us is None]
        names = piece.rows[columns.identifier].iloc[unsure].tolist()
        parts = self.ledger.parts.ids() if unsure else []
        part_files.require(self.config, self.ledger, parts)
        present = store.identifiers_among(self.config, parts, names)
        return {i for i, name in zip(unsure, names, strict=True) if name in present}

    def _add_rows(self, piece: Piece, *, keep: Keep, holds_early: bool) -> Sorted:
        columns, contents = self.config.columns, self.contents
        rows, was_respelt = identifiers.as_known(piece.rows, columns, self.seen.known)
        if was_respelt:
            contents.note = contents.note or identifiers.ALSO_READ_AS
            piece = replace(piece, rows=piece.rows.assign(**rows[[columns.identifier]]))
        found = self.seen.sort(rows, columns)
        fresh = found.fresh
        unripe = fresh[fresh[columns.target].isna()]
        waiting = [
            UnripeRow(row_hash, *key)
            for row_hash, key in zip(unripe[ROW_HASH].tolist(), keys(unripe, columns), strict=True)
        ]
        contents.accept(fresh[ROW_HASH].to_numpy(), waiting, max_rows(columns))
        contents.undeclared = _undeclared(piece.header, columns)
        contents.few = [*contents.few, fresh] if are_few(contents.n_added, columns) else []
        keep(fresh)
        if holds_early and len(fresh):
            self._apply_early(fresh, waiting)
        matched = self._ripen(piece, found)
        contents.n_ripened += len(matched.labels)
        matched.n_duplicate += piece.rows.shape[0] - len(fresh) - len(found.again)
        matched.n_duplicate += len(matched.labels)
        contents.add(piece, matched)
        return found

    def _apply_early(self, fresh: pd.DataFrame, waiting: Sequence[UnripeRow]) -> None:
        """Give new rows the labels that wait for them; one that has its label needs no other."""
        unripe = {row.row_hash for row in waiting}
        names, others = keys(fresh, self.config.columns), other_spelling(fresh, self.config.columns)
        early = EarlyLabels(self._early([key.key_hash for key in (*names, *others.values())]))
        for i, (row_hash, key) in enumerate(zip(fresh[ROW_HASH].tolist(), names, strict=True)):
            label = early.take(key) or (early.take(others[i]) if i in others else None)
            if label:
                self.contents.used.add(label.id)
            if label and row_hash in unripe:
                name, at = key
                given = LaterLabel(row_hash, name, label.y_true, self.ingestion_id, at)
                self.contents.newest.labels.append(given)

    def _ripen(self, piece: Piece, found: Sorted) -> Matched:
        """Take the labels of rows that came before without them."""
        if not found.again:
            return Matched()
        again = replace(
            piece,
            rows=piece.rows.iloc[found.again],
            lines=[piece.lines[i] for i in found.again],
            records=records.chosen(piece.records, found.again),
        )
        columns = self.config.columns
        matched = late_labels.match(
            again, columns, waiting=self._waiting, known=self._known, own=found.own
        )
        for i in matched.early:
            matched.refuse(again, i, columns, NO_ROW)
        return matched

    def _waiting(self, names: Sequence[int]) -> list[Any]:
        """Return the rows that wait, also in this drop, except those it has ripened."""
        ripened, wanted = {label.row_hash for label in self.contents.labels}, {*names}
        here = [
            WaitingRow(*row, ingestion_id=number)
            for number, portion in enumerate(self.contents.portions, self.first_id)
            for row in portion.unripe.named(wanted)
        ]
        rows = [*self.ledger.labels.waiting(names), *here]
        return [row for row in rows if row.row_hash not in ripened]

    def _known(self, names: Sequence[int]) -> list[Any]:
        """Return the labels of rows, and of rows that have yet to come."""
        given = [*self.contents.labels, *self.contents.early]
        return [*self.ledger.labels.known(names), *self._early(names), *given]

    def _early(self, names: Sequence[int]) -> list[Any]:
        early = self.ledger.labels.early(list({*names}), besides=self.requeued)
        return [label for label in early if label.id not in self.contents.used]


def _accepted(ledger: Ledger, rehearsed: frozenset[int], hashes: Hashes) -> set[int]:
    """Return which of these hashes are of rows that were accepted from earlier drops."""
    known = {*ledger.ingestions.known_hashes(hashes)}
    if rehearsed:
        known |= rehearsed.intersection(hashes.tolist())
    return known


def _undeclared(header: Sequence[str], columns: Columns) -> list[str]:
    """Return names of columns that are not used; of very many, the first ones."""
    declared = {*columns.all}
    names = dict.fromkeys(name for name in header if name and name not in declared)
    return list(islice(names, MAX_NAMED))
