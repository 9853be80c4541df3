"""One drop brought in: its fresh rows into a part, the others into quarantine, then the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from io import BufferedReader

import numpy as np
import pandas as pd

from risk import drops, store
from risk.config import Columns, Config
from risk.drops import Drop, Piece
from risk.errors import DataError
from risk.ledger import Ledger
from risk.schema import ROW_HASH, Problem, fingerprints

log = logging.getLogger("ingestion")


@dataclass(frozen=True)
class Intake:
    """What became of one drop; its rows always add up."""

    path: str
    status: str
    rows_read: int = 0
    rows_added: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    duplicate_of: int | None = None
    reason: str | None = None


@dataclass
class Contents:
    """What was read of one drop so far; the first of the `refused` records is the header."""

    hashes: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    n_read: int = 0
    n_duplicate: int = 0
    refusal: str | None = None

    def add(self, piece: Piece, fresh: pd.DataFrame) -> None:
        """Count a piece, `fresh` being the rows of it that are new."""
        self.hashes += fresh[ROW_HASH].tolist()
        self.problems += piece.problems
        if piece.refused:
            self.refused += piece.refused if self.refused else [piece.header, *piece.refused]
        self.n_read += piece.n_read
        self.n_duplicate += len(piece.rows) - len(fresh)


def split_fresh(
    pieces: Iterable[Piece], columns: Columns, *, known: Callable[[Sequence[int]], Iterable[int]]
) -> Iterator[tuple[Piece, pd.DataFrame]]:
    """Pair each piece with those of its fit rows that no earlier piece or drop had.

    `known` tells which of some row hashes were accepted from earlier drops.
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
    config: Config, ledger: Ledger, drop: Drop, *, requeued: int | None = None
) -> Intake | None:
    """Bring one drop in: part and quarantine first, then the commit; None if only touched."""
    ingestion_id = ledger.last_ingestion_id() + 1
    with drops.opened(drop) as file:
        sha256 = drops.sha256(file)
        earlier = [] if requeued else ledger.seen(sha256)
        contents = Contents() if earlier else _write(config, ledger, drop, file, ingestion_id)
    if any(row.path == drop.name for row in earlier):
        ledger.refresh_signature(drop.name, sha256, asdict(drop.signature))
        return None
    if earlier:
        intake = Intake(drop.name, "duplicate", duplicate_of=earlier[0].id)
    else:
        intake = _sum_up(drop, contents)
    row = {"id": ingestion_id, "sha256": sha256, **asdict(drop.signature), **asdict(intake)}
    ledger.record_ingestion(
        row, hashes=contents.hashes, problems=contents.problems, requeued=requeued
    )
    if problems := contents.problems:
        first = f"line {problems[0].line}: {problems[0].column} {problems[0].rule}"
        again = f"once mended: python ingestion.py --requeue {ingestion_id}"
        log.warning("%s: %d problems, first %s; %s", drop.name, len(problems), first, again)
    return intake


def preview(
    config: Config, ledger: Ledger, drop: Drop, *, seen: set[int]
) -> tuple[Intake, pd.DataFrame]:
    """Tell what `take` would make of a drop after rows of the hashes `seen`; write nothing."""
    frames = [store.read_parts(config, [])]

    def known(hashes: Sequence[int]) -> set[int]:
        return seen.union(ledger.known_hashes(hashes))

    try:
        with drops.opened(drop) as file:
            if ledger.seen(drops.sha256(file)):
                return Intake(drop.name, "duplicate"), frames[0]
            intake = _sum_up(drop, _read(config, file, known=known, keep=frames.append))
    except DataError as error:
        return Intake(drop.name, "refused", reason=str(error)), frames[0]
    return intake, pd.concat(frames, ignore_index=True)


def _write(
    config: Config, ledger: Ledger, drop: Drop, file: BufferedReader, ingestion_id: int
) -> Contents:
    """Write the part and the quarantine of one drop; nothing of it counts before the commit."""
    part, columns = store.part_path(config, ingestion_id), config.columns
    try:
        with store.writing_part(part, columns) as writer:

            def keep(rows: pd.DataFrame) -> None:
                writer.write_table(store.to_table(rows, columns))

            contents = _read(config, file, known=ledger.known_hashes, keep=keep)
    except DataError as error:
        contents = Contents(problems=[Problem(0, "", str(error), "")], refusal=str(error))
        store.quarantine_file(config, ingestion_id, file, _reasons(drop, contents))
        return contents
    if not contents.hashes:
        part.unlink()
    if contents.refused:
        store.quarantine_rows(config, ingestion_id, contents.refused, _reasons(drop, contents))
    return contents


def _read(
    config: Config,
    file: BufferedReader,
    *,
    known: Callable[[Sequence[int]], Iterable[int]],
    keep: Callable[[pd.DataFrame], None],
) -> Contents:
    """Read a drop piece by piece; `keep` gets the rows whose hashes are not `known`."""
    pieces = drops.read(file, config.columns, config.ingestion.max_line_characters)
    contents = Contents()
    for piece, fresh in split_fresh(pieces, config.columns, known=known):
        keep(fresh)
        contents.add(piece, fresh)
    return contents


def _sum_up(drop: Drop, contents: Contents) -> Intake:
    if contents.refusal:
        return Intake(drop.name, "refused", reason=contents.refusal)
    n_refused = max(len(contents.refused) - 1, 0)
    counts = (contents.n_read, len(contents.hashes), contents.n_duplicate, n_refused)
    return Intake(drop.name, "taken", *counts)


def _reasons(drop: Drop, contents: Contents) -> list[tuple[str, int, str, str, str]]:
    return [(drop.name, *problem) for problem in contents.problems]
