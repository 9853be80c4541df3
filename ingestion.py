"""Ingestion: read new drops, accept valid rows, and update the dataset.

Reads   new drops in input_folder_path, new rows of SQL sources
Writes  one Parquet file per drop, refused rows to quarantine_folder_path, the ledger (with
        store_dataset_in_sql also the rows), then final_data.csv and ingested_files.csv, which
        are regenerated if deleted.
        A drop of identifiers and labels only adds late labels to earlier rows: final_data.csv
        keeps the rows as they arrived, late labels are in the ledger
Exits   0 success or no new data, 64 wrong usage, 65 all new data was refused, 69 database
        unavailable, or a source unavailable while the rest was ingested, 74 storage error,
        75 another run is in progress, 78 invalid configuration
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from itertools import chain, islice
from typing import Any

import pandas as pd
from tqdm import tqdm

from risk import cli, store
from risk.config import Config
from risk.data import drops, part_files, sql_sources
from risk.data.drops import Drop
from risk.data.intake import Intake, preview, rows_for_sql, take
from risk.errors import DataError, SourceError, UnknownName
from risk.ledger.ledger import Ledger
from risk.schema import ROW_HASH

log = logging.getLogger("ingestion")
RECORD_COLUMNS = [
    "id", "path", "sha256", "status", "kind", "duplicate_of", "reason",
    "rows_read", "rows_added", "rows_duplicate", "rows_quarantined", "ingested_at",
]  # fmt: skip


@dataclass(frozen=True)
class Ingestion:
    """The result of one pass over the input folder and the SQL sources."""

    intakes: tuple[Intake, ...] = ()
    left_alone: tuple[str, ...] = ()
    out_of_reach: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """65 if all new data was refused, 69 if a source was unavailable."""
        used = any(intake.rows_added or intake.rows_duplicate for intake in self.intakes)
        if self.quarantined and not used:
            return DataError.exit_code
        return SourceError.exit_code if self.out_of_reach else 0

    @property
    def quarantined(self) -> bool:
        """Whether anything was refused."""
        return any(i.status == "refused" or i.rows_quarantined for i in self.intakes)

    def __str__(self) -> str:
        unavailable = "".join(f"; {problem}" for problem in self.out_of_reach)
        if not self.intakes:
            return f"no new data{unavailable}"
        noun = "drop" if len(self.intakes) == 1 else "drops"
        n_read, n_added, n_known, n_refused = (
            sum(getattr(intake, f"rows_{outcome}") for intake in self.intakes)
            for outcome in ("read", "added", "duplicate", "quarantined")
        )
        n_labels = sum(intake.rows_added for intake in self.intakes if intake.kind == "labels")
        line = f"{len(self.intakes)} {noun} ingested; rows: {n_read} read, "
        line += f"{n_added - n_labels} added, {n_known} duplicate, {n_refused} quarantined"
        line += f"; late labels: {n_labels} added" if n_labels else ""
        for words, status in (("refused", "refused"), ("already ingested", "duplicate")):
            if paths := [intake.path for intake in self.intakes if intake.status == status]:
                line += f"; {words}: {', '.join(paths)}"
        return line + unavailable


def run(config: Config, ledger: Ledger, *, requeue: int | None = None) -> Ingestion:
    """Find and ingest new drops, then update the derived files."""
    _sweep(config, ledger)
    out_of_reach: list[str] = []
    if requeue is None:
        files, left_alone = find_new(config, ledger)
        new = sql_sources.after(files, config, ledger, out_of_reach=out_of_reach)
    else:
        files, left_alone = [_quarantined_drop(config, ledger, requeue)], []
        new = iter(files)
    intakes, first = [], list(islice(new, 1))
    with ledger.runs.stage("ingestion") if first else nullcontext():
        total = len(files) or None
        for drop in tqdm(chain(first, new), "ingestion", total, unit="drop", disable=None):
            try:
                intakes.append(take(config, ledger, drop, requeued=requeue))
            except drops.Changed as change:
                left_alone.append(str(change))
                _sweep(config, ledger)
        compile_dataset(config, ledger)
    complete_dataset_in_sql(config, ledger)
    for reason in (*left_alone, *out_of_reach):
        log.warning(reason)
    taken = tuple(intake for intake in intakes if intake)
    return Ingestion(taken, tuple(left_alone), tuple(out_of_reach))


def rehearse(config: Config, ledger: Ledger) -> tuple[Ingestion, pd.DataFrame]:
    """Return what `run` would do, and the rows it would add, without writing anything."""
    files, left_alone = find_new(config, ledger)
    intakes, frames = [], [store.read_parts(config, [])]
    out_of_reach: list[str] = []
    seen: set[int] = set()
    for drop in sql_sources.after(files, config, ledger, out_of_reach=out_of_reach):
        try:
            intake, rows = preview(config, ledger, drop, seen=seen)
        except drops.Changed as change:
            left_alone.append(str(change))
            continue
        intakes.append(intake)
        frames.append(rows)
        seen.update(rows[ROW_HASH])
    would = Ingestion(tuple(intakes), tuple(left_alone), tuple(out_of_reach))
    return would, pd.concat(frames, ignore_index=True)


def find_new(config: Config, ledger: Ledger) -> tuple[list[Drop], list[str]]:
    """Return the drops that are ready, and messages about files that are skipped."""
    found, skipped = drops.find(config)
    known = ledger.ingestions.known_signatures([drop.name for drop in found])
    new = [drop for drop in found if (drop.name, *astuple(drop.signature)) not in known]
    ready, growing = drops.settled(new, config.ingestion.settle_seconds)
    return ready, [*skipped, *growing]


def _sweep(config: Config, ledger: Ledger) -> None:
    store.sweep(config, last_ingestion_id=ledger.ingestions.last_id())


def _quarantined_drop(config: Config, ledger: Ledger, ingestion_id: int) -> Drop:
    path = store.quarantine_path(config, ingestion_id) / store.QUARANTINED_ROWS
    if not path.exists() or ledger.ingestions.was_requeued(ingestion_id):
        raise UnknownName(f"ingestion {ingestion_id} has nothing in quarantine")
    return Drop(path, config.name_of(path), drops.Signature.of(path.stat()))


def compile_dataset(config: Config, ledger: Ledger) -> None:
    """Append missing rows to final_data.csv and ingested_files.csv; rebuild them if damaged."""
    columns = config.columns

    def rows_of(ingestion: Any) -> Iterator[str]:
        if ingestion.rows_added and ingestion.kind == "rows":
            for rows in part_files.read_in_batches(config, ledger, ingestion.id):
                yield store.to_csv(rows, columns)

    def record_of(ingestion: Any) -> Iterator[str]:
        yield store.csv_line([getattr(ingestion, name) for name in RECORD_COLUMNS])

    _extend(config, ledger, config.compiled_data_filename, columns.all, rows_of)
    _extend(config, ledger, config.compilation_record_filename, RECORD_COLUMNS, record_of)


def complete_dataset_in_sql(config: Config, ledger: Ledger) -> None:
    """Store rows in SQL that were accepted before store_dataset_in_sql was set."""
    for number in ledger.dataset_rows.missing_parts() if config.store_dataset_in_sql else []:
        ledger.dataset_rows.store_part(number, rows_for_sql(config, number))


def _extend(
    config: Config,
    ledger: Ledger,
    name: str,
    header: Sequence[str],
    render: Callable[[Any], Iterator[str]],
) -> None:
    path, first_line = config.ingested_folder / name, store.csv_line(header)
    through, size = ledger.derived_files.state(name)
    actual = store.size_of(path, first_line)
    if actual < size:
        through = size = 0
    missing = ledger.ingestions.after(through)
    if missing and not size:
        size = store.append(path, first_line, after=0)
    elif actual > size:
        store.append(path, "", after=size)
    for ingestion in missing:
        for text in render(ingestion):
            size = store.append(path, text, after=size)
        ledger.derived_files.record(name, ingestion_id=ingestion.id, size_bytes=size)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--requeue",
        type=cli.row_number,
        metavar="ID",
        help="read the quarantined rows of ingestion ID again, after fixing the rule",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
