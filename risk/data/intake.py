"""Ingestion of one drop: new rows to a part, refused rows to quarantine, then the commit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from risk import store
from risk.config import Columns, Config
from risk.data import drops, late_labels
from risk.data.drops import Bytes, Drop, Piece
from risk.data.late_labels import Matched
from risk.data.sql_sources import Fetch
from risk.errors import DataError
from risk.ledger.dataset_rows import StoredRow, stored_form
from risk.ledger.ingestions import Taken
from risk.ledger.ledger import Ledger
from risk.schema import ROW_HASH, LaterLabel, Problem, fingerprints, keys

log = logging.getLogger("ingestion")


@dataclass(frozen=True)
class Intake:
    """The outcome of one drop; rows_read is the sum of the other row counts."""

    path: str
    status: str
    kind: str = "rows"
    rows_read: int = 0
    rows_added: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    duplicate_of: int | None = None
    reason: str | None = None
    undeclared: str | None = None


@dataclass
class Contents:
    """The content of one drop read so far; the first of the `refused` records is the header."""

    hashes: list[int] = field(default_factory=list)
    unripe: list[tuple[int, int]] = field(default_factory=list)
    labels: list[LaterLabel] = field(default_factory=list)
    kind: str = "rows"
    undeclared: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    n_read: int = 0
    n_duplicate: int = 0
    refusal: str | None = None

    def add(self, piece: Piece, fresh: pd.DataFrame, columns: Columns) -> None:
        """Add a piece of rows, of which `fresh` are new."""
        self.hashes += fresh[ROW_HASH].tolist()
        unripe = fresh[fresh[columns.target].isna()]
        self.unripe += zip(unripe[ROW_HASH].tolist(), keys(unripe, columns).tolist(), strict=True)
        self._add(piece)
        self.n_duplicate += len(piece.rows) - len(fresh)

    def add_labels(self, piece: Piece, matched: Matched) -> None:
        """Add a piece of a drop of labels."""
        self.labels += matched.labels
        self._add(
            replace(
                piece,
                problems=[*piece.problems, *matched.problems],
                refused=[*piece.refused, *matched.refused],
            )
        )
        self.n_duplicate += matched.n_duplicate

    def _add(self, piece: Piece) -> None:
        self.problems += piece.problems
        if piece.refused:
            self.refused += piece.refused if self.refused else [piece.header, *piece.refused]
        self.n_read += piece.n_read


def split_fresh(
    pieces: Iterable[Piece], columns: Columns, *, known: Callable[[Sequence[int]], Iterable[int]]
) -> Iterator[tuple[Piece, pd.DataFrame]]:
    """Yield each piece with those of its valid rows that no earlier piece or drop contained.

    `known` returns which of the given row hashes were accepted from earlier drops.
    """
    seen: set[int] = set()
    for piece in pieces:
        rows = piece.rows[columns.all]
        hashes = fingerprints(rows).tolist()
        seen.update(known(hashes))
        is_fresh = []
        for row_hash in hashes:
            is_fresh.append(row_hash not in seen)
            seen.add(row_hash)
        yield piece, rows.assign(**{ROW_HASH: hashes}).loc[np.array(is_fresh, dtype=bool)]


def take(
    config: Config, ledger: Ledger, drop: Drop | Fetch, *, requeued: int | None = None
) -> Intake | None:
    """Ingest one drop: part and quarantine first, then the commit; None if only touched."""
    ingestion_id = ledger.ingestions.last_id() + 1
    with _opened(drop) as file:
        sha256 = drops.sha256(file)
        earlier = [] if requeued else ledger.ingestions.with_content(sha256)
        contents = Contents() if earlier else _write(config, ledger, drop, file, ingestion_id)
    if any(row.path == drop.name for row in earlier):
        ledger.ingestions.refresh_signature(drop.name, sha256, asdict(drop.signature))
        return None
    if earlier:
        intake = Intake(drop.name, "duplicate", duplicate_of=earlier[0].id)
    else:
        intake = _sum_up(drop, contents)
    row = {"id": ingestion_id, "sha256": sha256, **asdict(drop.signature), **asdict(intake)}
    if contents.hashes:
        row["part_sha256"] = store.digest(store.part_path(config, ingestion_id))
    in_sql = config.store_dataset_in_sql and contents.hashes
    taken = Taken(
        contents.hashes,
        contents.unripe,
        contents.labels,
        contents.problems,
        rows=rows_for_sql(config, ingestion_id) if in_sql else (),
        mark=drop.mark if isinstance(drop, Fetch) else None,
    )
    ledger.ingestions.record(row, taken=taken, requeued=requeued)
    if problems := contents.problems:
        first = f"line {problems[0].line}: {problems[0].column} {problems[0].rule}"
        again = f"once corrected: python ingestion.py --requeue {ingestion_id}"
        log.warning("%s: %d problems, first %s; %s", drop.name, len(problems), first, again)
    return intake


def preview(
    config: Config, ledger: Ledger, drop: Drop | Fetch, *, seen: set[int]
) -> tuple[Intake, pd.DataFrame]:
    """Return what `take` would do with a drop after rows with hashes `seen`; write nothing."""
    frames = [store.read_parts(config, [])]

    def known(hashes: Sequence[int]) -> set[int]:
        return seen.union(ledger.ingestions.known_hashes(hashes))

    try:
        with _opened(drop) as file:
            if ledger.ingestions.with_content(drops.sha256(file)):
                return Intake(drop.name, "duplicate"), frames[0]
            if _brings_labels(config, file):
                return _sum_up(drop, _read_labels(config, ledger, file)), frames[0]
            intake = _sum_up(drop, _read(config, file, known=known, keep=frames.append))
    except DataError as error:
        return Intake(drop.name, "refused", reason=str(error)), frames[0]
    return intake, pd.concat(frames, ignore_index=True)


def rows_for_sql(config: Config, ingestion_id: int) -> Iterator[StoredRow]:
    """Yield the rows of an ingestion's part in the form stored in SQL."""
    part = store.read_part(store.part_path(config, ingestion_id), config.columns)
    return stored_form(part, config.columns)


def _opened(drop: Drop | Fetch) -> AbstractContextManager[Bytes]:
    return nullcontext(drop.file) if isinstance(drop, Fetch) else drops.opened(drop)


def _write(
    config: Config, ledger: Ledger, drop: Drop | Fetch, file: Bytes, ingestion_id: int
) -> Contents:
    """Write the part and the quarantine of one drop; neither counts before the commit."""
    part, columns = store.part_path(config, ingestion_id), config.columns
    try:
        if _brings_labels(config, file):
            contents = _read_labels(config, ledger, file)
            _quarantine(config, ingestion_id, drop, contents)
            return contents
        with store.writing_part(part, columns) as writer:

            def keep(rows: pd.DataFrame) -> None:
                writer.write_table(store.to_table(rows, columns))

            contents = _read(config, file, known=ledger.ingestions.known_hashes, keep=keep)
    except DataError as error:
        contents = Contents(problems=[Problem(0, "", str(error), "")], refusal=str(error))
        store.quarantine_file(config, ingestion_id, file, _reasons(drop, contents))
        return contents
    if not contents.hashes:
        part.unlink()
    _quarantine(config, ingestion_id, drop, contents)
    return contents


def _quarantine(config: Config, ingestion_id: int, drop: Drop | Fetch, contents: Contents) -> None:
    if contents.refused:
        store.quarantine_rows(config, ingestion_id, contents.refused, _reasons(drop, contents))


def _brings_labels(config: Config, file: Bytes) -> bool:
    header = drops.header_of(file, config.ingestion.max_line_characters)
    return late_labels.has_only_labels(header, config.columns)


def _read_labels(config: Config, ledger: Ledger, file: Bytes) -> Contents:
    """Read a drop of labels and match them to the rows that wait for them."""
    columns, contents = config.columns.of_labels, Contents(kind="labels")
    taken: set[int] = set()

    def waiting(names: Sequence[int]) -> list[Any]:
        return [row for row in ledger.labels.waiting(names) if row.row_hash not in taken]

    def known(names: Sequence[int]) -> list[Any]:
        return [*ledger.labels.known(names), *contents.labels]

    for piece in drops.read(file, columns, config.ingestion.max_line_characters):
        matched = late_labels.match(piece, columns, waiting=waiting, known=known)
        contents.add_labels(piece, matched)
        taken.update(label.row_hash for label in matched.labels)
    return contents


def _read(
    config: Config,
    file: Bytes,
    *,
    known: Callable[[Sequence[int]], Iterable[int]],
    keep: Callable[[pd.DataFrame], None],
) -> Contents:
    """Read a drop in pieces; `keep` is called with the rows whose hashes are not `known`."""
    pieces = drops.read(file, config.columns, config.ingestion.max_line_characters)
    contents = Contents()
    for piece, fresh in split_fresh(pieces, config.columns, known=known):
        keep(fresh)
        contents.add(piece, fresh, config.columns)
        contents.undeclared = [name for name in piece.header if name not in config.columns.all]
    return contents


def _sum_up(drop: Drop | Fetch, contents: Contents) -> Intake:
    if contents.refusal:
        return Intake(drop.name, "refused", reason=contents.refusal)
    n_refused = max(len(contents.refused) - 1, 0)
    n_added = len(contents.hashes) + len(contents.labels)
    counts = (contents.n_read, n_added, contents.n_duplicate, n_refused)
    intake = Intake(drop.name, "taken", contents.kind, *counts)
    if not (names := contents.undeclared):
        return intake
    reason = f"undeclared columns: {names}"
    return replace(intake, reason=reason, undeclared=json.dumps(names, ensure_ascii=False))


def _reasons(drop: Drop | Fetch, contents: Contents) -> list[tuple[str, int, str, str, str]]:
    return [(drop.name, *problem) for problem in contents.problems]
