"""Ingestion: read new drops, accept valid rows, and update the dataset.

Reads   new drops in input_folder_path, new rows of SQL sources
Writes  one Parquet file per drop, refused rows to quarantine_folder_path, the ledger (with
        store_dataset_in_sql also the rows), then final_data.csv and ingested_files.csv, which
        are regenerated if deleted.
        A drop of identifiers and labels only adds late labels to earlier rows, or keeps them
        until their rows arrive: final_data.csv keeps the rows as they arrived, late labels are in
        the ledger. With --init CSV only a new installation: config.json, what was found in
        config-notes.md, the rows in inbox/ and, a fifth, in data/test/
Exits   0 success or no new data, 64 wrong usage, 65 all new data was refused, 69 database
        unavailable, or a source unavailable while the rest was ingested, 74 storage error,
        75 another run is in progress, 78 invalid configuration
"""

from __future__ import annotations

import argparse
import logging
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from risk import cli, store
from risk.config import Config
from risk.data import derived, drops, inbox, sql_sources, staging
from risk.data.drops import Drop
from risk.data.initialise import Installation, initialise
from risk.data.intake import Intake, preview, take
from risk.data.rehash import rehash
from risk.errors import DataError, SourceError, UnknownName, UsageError
from risk.ledger.ledger import Ledger
from risk.schema import ROW_HASH

log = logging.getLogger("ingestion")


@dataclass(frozen=True)
class Ingestion:
    """The result of one pass over the input folder and the SQL sources."""

    intakes: tuple[Intake, ...] = ()
    left_alone: tuple[str, ...] = ()
    out_of_reach: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """65 if all new data was refused, 69 if a source was unavailable."""
        used = any(
            intake.rows_added or intake.rows_duplicate or intake.labels_waiting
            for intake in self.intakes
        )
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
        rows, labels = (self._counts(is_labels=is_labels) for is_labels in (False, True))
        n_labels = sum(intake.labels_added for intake in self.intakes)
        n_waiting = sum(intake.labels_waiting for intake in self.intakes)
        line = f"{len(self.intakes)} {noun} ingested; rows: {rows['read']} read, "
        line += "{added} added, {duplicate} duplicate, {quarantined} quarantined".format(**rows)
        line += f"; late labels: {n_labels} added" if n_labels or labels["read"] else ""
        if labels["read"]:
            line += ", {duplicate} duplicate, {quarantined} quarantined".format(**labels)
        line += f"; early labels: {n_waiting} waiting for their rows" if n_waiting else ""
        for words, status in (("refused", "refused"), ("already ingested", "duplicate")):
            if paths := [intake.path for intake in self.intakes if intake.status == status]:
                line += f"; {words}: {', '.join(paths)}"
        noted = "".join(f"; {intake.path}: {intake.note}" for intake in self.intakes if intake.note)
        return line + noted + unavailable

    def _counts(self, *, is_labels: bool) -> dict[str, int]:
        """Add up what became of the lines of drops of rows, or of those of labels alone."""
        chosen = [intake for intake in self.intakes if (intake.kind == "labels") is is_labels]
        return {
            outcome: sum(getattr(intake, f"rows_{outcome}") for intake in chosen)
            for outcome in ("read", "added", "duplicate", "quarantined")
        }


def run(config: Config, ledger: Ledger, *, requeue: int | None = None) -> Ingestion:
    """Find and ingest new drops, then update the derived files."""
    staging.sweep(config, ledger)
    rehash(config, ledger)
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
                staging.sweep(config, ledger)
        derived.compile_files(config, ledger)
    derived.complete_sql(config, ledger)
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
    found, skipped = inbox.find(config)
    known = ledger.ingestions.known_signatures([drop.name for drop in found])
    new = [drop for drop in found if (drop.name, *astuple(drop.signature)) not in known]
    ready, growing = inbox.settled(new, config.ingestion.settle_seconds)
    return ready, [*skipped, *growing]


def _quarantined_drop(config: Config, ledger: Ledger, ingestion_id: int) -> Drop:
    path = store.quarantine_path(config, ingestion_id) / store.QUARANTINED_ROWS
    if not path.exists() or ledger.ingestions.was_requeued(ingestion_id):
        raise UnknownName(f"ingestion {ingestion_id} has nothing in quarantine")
    return Drop(path, config.name_of(path), drops.Signature.of(path.stat()))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--requeue",
        type=cli.row_number,
        metavar="ID",
        help="read the quarantined rows of ingestion ID again, after fixing the rule",
    )
    new = parser.add_argument_group("a new installation for your own data")
    new.add_argument(
        "--init",
        type=Path,
        metavar="CSV",
        help="look at a CSV file and write config.json, an inbox and test data into its folder",
    )
    new.add_argument("--folder", type=Path, help="where to write (default: the folder of the CSV)")
    new.add_argument("--target", help="the column to predict (default: by its name and values)")
    new.add_argument("--identifier", help="the column that identifies a row (default: likewise)")
    new.add_argument("--force", action="store_true", help="replace an existing config.json")


def new_installation(
    *, init: Path | None, requeue: int | None, **others: Any
) -> Installation | None:
    """Describe the file of --init, which needs no settings; None without it."""
    if init is not None:
        return initialise(init, **others)
    if given := [f"--{name}" for name, value in others.items() if value]:
        raise UsageError(f"{', '.join(given)}: requires --init")
    return None


def from_options(config: Config, ledger: Ledger, *, requeue: int | None, **_: Any) -> Ingestion:
    """Ingest what is new, or what `--requeue` names."""
    return run(config, ledger, requeue=requeue)


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=add_options, alone=new_installation)
