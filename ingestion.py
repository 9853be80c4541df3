"""Ingestion: read new drops, accept valid rows, and update the dataset.

Reads   new drops in input_folder_path and object_store, new rows of SQL sources
Writes  a Parquet file per drop, of very many rows several, refused rows to
        quarantine_folder_path, the ledger (with store_dataset_in_sql also the rows), then
        final_data.csv and ingested_files.csv, which are regenerated if deleted.
        A drop of identifiers and labels only adds late labels to earlier rows, or keeps them
        until their rows arrive: final_data.csv keeps the rows as they arrived, late labels are in
        the ledger. Drops that were refused are read again once, if the settings that refused
        them have changed. With --init CSV only a new installation: config.json, what was found
        in config-notes.md, the rows in inbox/ and, a fifth, in data/test/. With --check nothing
Exits   0 success or no new data, 64 wrong usage, 65 all new data was refused, 69 database
        unavailable, or a source unavailable while the rest was ingested, 74 storage error,
        75 another run is in progress, 78 invalid configuration
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from typing import Any, Literal

from risk import cli, store
from risk.admin import input_check
from risk.admin.input_check import InputCheck
from risk.config import Config
from risk.data import arrivals, derived, drops, inbox, initialise, read_ahead, requeueing, staging
from risk.data.drops import Drop
from risk.data.intake import Intake, preview, take
from risk.data.rehash import rehash
from risk.errors import DataError, SourceError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.progress import track
from risk.schema import ROW_HASH

log = logging.getLogger("ingestion")


@dataclass(frozen=True)
class Ingestion(cli.Result):
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
        if again := [intake.rows_added for intake in self.intakes if intake.requeued]:
            line += f"; requeued: {len(again)} of the drops, {sum(again)} of the rows added"
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


def run(
    config: Config, ledger: Ledger, *, requeue: int | Literal["all"] | None = None
) -> Ingestion:
    """Find and ingest new drops, then update the derived files."""
    staging.sweep(config, ledger)
    rehash(config, ledger)
    out_of_reach: list[str] = []
    if requeue is None:
        files, left_alone = find_new(config, ledger)
        read = read_ahead.of(files, config, ledger.now())
        new = arrivals.after(read, config, ledger, left_alone, out_of_reach)
        found = requeueing.before(new, config, ledger)
    else:
        files, left_alone = [], []
        found = requeueing.named(requeue, config, ledger)
    intakes, recent, first = [], derived.Recent(), list(islice(found, 1))
    with ledger.runs.stage("ingestion") if first else nullcontext():
        total = len(files) or None
        for quarantined, drop in track(chain(first, found), "ingestion", unit="drop", total=total):
            try:
                if intake := take(config, ledger, drop, recent, requeued=quarantined):
                    intakes.append(replace(intake, requeued=quarantined is not None))
            except drops.Changed as change:
                left_alone.append(str(change))
                staging.sweep(config, ledger)
            derived.compile_many(config, ledger, recent)
        derived.compile_files(config, ledger, recent)
    derived.complete_sql(config, ledger)
    for reason in (*left_alone, *out_of_reach):
        log.warning(reason)
    result = Ingestion(tuple(intakes), tuple(left_alone), tuple(out_of_reach))
    requeueing.advise(intakes)
    if requeue and not intakes:
        log.info("no row in quarantine is accepted with the settings in force")
    return result


def rehearse(config: Config, ledger: Ledger) -> tuple[Ingestion, pd.DataFrame]:
    """Return what `run` would do, and the rows it would add, without writing anything."""
    files, left_alone = find_new(config, ledger)
    intakes, frames = [], [store.read_parts(config, [])]
    out_of_reach: list[str] = []
    seen: set[int] = set()
    new = arrivals.after(files, config, ledger, left_alone, out_of_reach)
    again = requeueing.again(config, ledger, requeueing.due(config, ledger))
    for quarantined, drop in chain(again, zip(repeat(None), new)):
        try:
            intake, rows = preview(config, ledger, drop, seen=seen, requeued=quarantined)
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
    new, skipped = inbox.find_new(config, ledger)
    ready, growing = inbox.settled(new, config.ingestion.settle_seconds)
    return ready, [str(each) for each in (*skipped, *growing)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--check",
        action="store_true",
        help="say what the next run will refuse and why, in one line per kind; write nothing",
    )
    other.add_argument(
        "--requeue",
        type=lambda text: text if text == "all" else cli.row_number(text),
        metavar="ID",
        help="read the quarantined rows of ingestion ID again, or all that are accepted now",
    )
    initialise.add_options(parser, other)


def from_options(
    config: Config,
    ledger: Ledger | None = None,
    *,
    requeue: int | Literal["all"] | None,
    **_: Any,
) -> Ingestion | InputCheck:
    """Ingest what is new, or what `--requeue` names; without the ledger only check it."""
    return run(config, ledger, requeue=requeue) if ledger else input_check.check(config)


def access(options: Mapping[str, Any]) -> Literal["none", "write"]:
    """Return what the command may do to the ledger."""
    return "none" if options["check"] else "write"


if __name__ == "__main__":
    cli.main(
        from_options, __doc__, add_options=add_options, access=access, alone=initialise.from_options
    )
