"""Stage 1 of 6: turn new CSV drops into accepted rows, and keep the dataset true.

Reads   the drops in input_folder_path that were not taken before
Writes  one Parquet part per drop, what was refused to quarantine_folder_path, the ledger,
        then final_data.csv and ingested_files.csv, which may be deleted at any time
Exits   0 done or nothing new, 65 everything new was refused, 69 no database,
        74 storage fault, 75 another run is at work, 78 wrong configuration
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass
from io import BufferedReader
from typing import Any

import pandas as pd
from tqdm import tqdm

from risk import cli, drops, store
from risk.config import Config
from risk.drops import Contents, Drop
from risk.errors import DataError, UnknownName
from risk.ledger import Ledger
from risk.schema import Problem

log = logging.getLogger("ingestion")
RECORD_COLUMNS = [
    "id", "path", "sha256", "status", "duplicate_of", "reason",
    "rows_read", "rows_added", "rows_duplicate", "rows_quarantined", "ingested_at",
]  # fmt: skip


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


@dataclass(frozen=True)
class Ingestion:
    """What one pass over the input folder did."""

    intakes: tuple[Intake, ...] = ()
    left_alone: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """65 if there was something new and nothing of it could be used."""
        used = any(intake.rows_added or intake.rows_duplicate for intake in self.intakes)
        return DataError.exit_code if self.quarantined and not used else 0

    @property
    def quarantined(self) -> bool:
        """Whether anything was refused."""
        return any(i.status == "refused" or i.rows_quarantined for i in self.intakes)

    def __str__(self) -> str:
        if not self.intakes:
            return "no new data"
        counts = ", ".join(
            f"{sum(getattr(intake, f'rows_{kind}') for intake in self.intakes)} {kind}"
            for kind in ("read", "added", "duplicate", "quarantined")
        )
        line = f"{len(self.intakes)} drops taken: rows {counts}"
        if refused := [intake.path for intake in self.intakes if intake.status == "refused"]:
            line += f"; refused whole: {', '.join(refused)}"
        if again := [intake.path for intake in self.intakes if intake.status == "duplicate"]:
            line += f"; known under another name: {', '.join(again)}"
        return line


def run(config: Config, ledger: Ledger, *, requeue: int | None = None) -> Ingestion:
    """Find the new drops, take them, bring the derived files up to date."""
    store.sweep(config, last_ingestion_id=ledger.last_ingestion_id())
    if requeue is None:
        new, left_alone = find_new(config, ledger)
    else:
        new, left_alone = [_quarantined_drop(config, ledger, requeue)], []
    intakes = []
    with ledger.stage("ingestion") if new else nullcontext():
        for drop in tqdm(new, desc="ingestion", unit="drop", disable=None):
            try:
                intakes.append(take(config, ledger, drop, requeued=requeue))
            except drops.Changed as change:
                left_alone.append(str(change))
        compile_dataset(config, ledger)
    for reason in left_alone:
        log.warning(reason)
    return Ingestion(tuple(intake for intake in intakes if intake), tuple(left_alone))


def rehearse(config: Config, ledger: Ledger) -> tuple[Ingestion, pd.DataFrame]:
    """Tell what `run` would do, and the rows it would add; nothing is written."""
    new, left_alone = find_new(config, ledger)
    intakes, frames = [], [store.read_parts(config, [])]
    seen: list[int] = []

    def known(hashes: Sequence[int]) -> list[int]:
        return [*ledger.known_hashes(hashes), *seen]

    for drop in new:
        try:
            with drops.opened(drop) as file:
                if ledger.seen(drops.sha256(file)):
                    intakes.append(Intake(drop.name, "duplicate"))
                else:
                    contents = _read(config, file, known=known, keep=frames.append)
                    intakes.append(_sum_up(drop, contents))
                    seen += contents.hashes
        except DataError as error:
            intakes.append(Intake(drop.name, "refused", reason=str(error)))
        except drops.Changed as change:
            left_alone.append(str(change))
    return Ingestion(tuple(intakes), tuple(left_alone)), pd.concat(frames, ignore_index=True)


def find_new(config: Config, ledger: Ledger) -> tuple[list[Drop], list[str]]:
    """List the drops that were never taken, and in words the files that are left alone."""
    found, skipped = drops.find(config)
    known = ledger.known_signatures([drop.name for drop in found])
    new = [drop for drop in found if (drop.name, *astuple(drop.signature)) not in known]
    ready, growing = drops.settled(new, config.ingestion.settle_seconds)
    return ready, [*skipped, *growing]


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
        log.warning("%s: %d problems, the first in %s", drop.name, len(problems), first)
    return intake


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
    for piece, fresh in drops.split_fresh(pieces, config.columns, known=known):
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


def _quarantined_drop(config: Config, ledger: Ledger, ingestion_id: int) -> Drop:
    path = store.quarantine_path(config, ingestion_id) / store.QUARANTINED_ROWS
    if not path.exists() or ledger.was_requeued(ingestion_id):
        raise UnknownName(f"nothing of ingestion {ingestion_id} waits in quarantine")
    return Drop(path, config.name_of(path), drops.Signature.of(path.stat()))


def compile_dataset(config: Config, ledger: Ledger) -> None:
    """Add to final_data.csv and ingested_files.csv what they lack; rebuild them if damaged."""
    columns = config.columns

    def rows_of(ingestion: Any) -> Iterator[str]:
        if ingestion.rows_added:
            for rows in store.read_part(store.part_path(config, ingestion.id), columns):
                yield store.to_csv(rows, columns)

    def record_of(ingestion: Any) -> Iterator[str]:
        yield store.csv_line([getattr(ingestion, name) for name in RECORD_COLUMNS])

    _extend(config, ledger, config.compiled_data_filename, columns.all, rows_of)
    _extend(config, ledger, config.compilation_record_filename, RECORD_COLUMNS, record_of)


def _extend(
    config: Config,
    ledger: Ledger,
    name: str,
    header: Sequence[str],
    render: Callable[[Any], Iterator[str]],
) -> None:
    path, first_line = config.ingested_folder / name, store.csv_line(header)
    through, size = ledger.derived_file(name)
    actual = store.size_of(path, first_line)
    if actual < size:
        through = size = 0
    missing = ledger.ingestions_after(through)
    if missing and not size:
        size = store.append(path, first_line, after=0)
    elif actual > size:
        store.append(path, "", after=size)
    for ingestion in missing:
        for text in render(ingestion):
            size = store.append(path, text, after=size)
        ledger.record_derived_file(name, ingestion_id=ingestion.id, size_bytes=size)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--requeue",
        type=int,
        metavar="ID",
        help="read again what ingestion ID quarantined, once the rule was mended",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
