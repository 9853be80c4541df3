"""Ingestion of one drop: new rows to a part, refused rows to quarantine, then the commit."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from risk import store
from risk.config import Config
from risk.data import drops, records, staging
from risk.data.arrivals import Arrival
from risk.data.contents import Contents, Reader
from risk.data.derived import Recent, rows_for_sql
from risk.data.drops import Bytes, Drop
from risk.data.late_labels import EARLY
from risk.data.sql_sources import Fetch, settings_of
from risk.errors import DataError
from risk.lazily import pandas as pd
from risk.ledger.ingestions import Taken
from risk.ledger.ledger import Ledger
from risk.schema import FROM_SQL, Problem

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
    labels_added: int = field(default=0, kw_only=True)
    labels_waiting: int = field(default=0, kw_only=True)
    note: str | None = field(default=None, kw_only=True)
    requeued: bool = field(default=False, kw_only=True)

    def as_row(self) -> dict[str, Any]:
        """Return what the ledger keeps of a drop itself; labels have tables of their own."""
        row = asdict(self)
        for name in ("labels_added", "labels_waiting", "note", "requeued"):
            del row[name]
        return row


def take(
    config: Config, ledger: Ledger, drop: Arrival, recent: Recent, *, requeued: int | None = None
) -> Intake | None:
    """Ingest one drop: part and quarantine first, then the commit; None if only touched.

    If it has few new rows, they are added to the `recent` ones.
    """
    reader = _reader(config, ledger, drop, requeued)
    first_id = reader.first_id
    with _opened(drop) as file:
        sha256 = drops.sha256(file)
        earlier = [] if requeued else ledger.ingestions.with_content(sha256)
        contents = Contents() if earlier else _write(config, reader, drop, file)
    if any(row.path == drop.name for row in earlier):
        ledger.ingestions.refresh_signature(drop.name, sha256, asdict(drop.signature))
        return None
    if earlier:
        intake = Intake(drop.name, "duplicate", duplicate_of=earlier[0].id)
    else:
        intake = _sum_up(drop, contents)
    file_known = {"sha256": sha256, **asdict(drop.signature)}
    rows = [file_known | row for row in _ingestions(config, first_id, intake, contents)]
    refused_files = staging.quarantine_digests(config, first_id)
    for row in rows:
        part = row.get("part_sha256")
        staging.share(config, ledger, row["id"], part=part, refused=refused_files)
    taken, *more = _taken(config, first_id, contents)
    ledger.ingestions.record(
        rows[0],
        taken=replace(
            taken,
            refused_files=refused_files,
            mark=drop.mark if isinstance(drop, Fetch) else None,
        ),
        following=list(zip(rows[1:], more, strict=True)),
        requeued=requeued,
        publish=partial(staging.publish, config, [row["id"] for row in rows]),
    )
    if contents.n_added and contents.few and not more:
        recent[first_id] = contents.few
    if contents.early:
        log.info("%s: labels that wait for their rows: %d", drop.name, len(contents.early))
    if problems := [problem for problem in contents.problems if problem.rule != EARLY]:
        line, column, rule, _ = problems[0]
        first = f"line {line}: {f'{column}: ' if column else ''}{rule}"
        number = f"{len(problems):,} problem{'s' * (len(problems) > 1)}"
        log.warning("%s: %s, first in %s", drop.name, number, first)
    return intake


def preview(
    config: Config,
    ledger: Ledger,
    drop: Arrival,
    *,
    seen: set[int],
    requeued: int | None = None,
) -> tuple[Intake, pd.DataFrame]:
    """Return what `take` would do with a drop after rows with hashes `seen`; write nothing."""
    frames = [store.read_parts(config, [])]
    try:
        with _opened(drop) as file:
            if not requeued and ledger.ingestions.with_content(drops.sha256(file)):
                return Intake(drop.name, "duplicate"), frames[0]
            reader = _reader(config, ledger, drop, requeued, rehearsed=frozenset(seen))
            intake = _sum_up(drop, reader.read(file, keep=frames.append))
    except DataError as error:
        return Intake(drop.name, "refused", reason=str(error)), frames[0]
    return intake, pd.concat(frames, ignore_index=True)


def is_accepted(config: Config, ledger: Ledger, drop: Drop, *, requeued: int) -> bool:
    """Return whether a row or label of a quarantined drop would be accepted now; write nothing."""
    try:
        with _opened(drop) as file:
            reader = _reader(config, ledger, drop, requeued)
            contents = reader.read(file, keep=lambda _: None)
    except (DataError, drops.Changed):
        return False
    return _sum_up(drop, contents).rows_added > 0


def _reader(
    config: Config,
    ledger: Ledger,
    drop: Arrival,
    requeued: int | None = None,
    rehearsed: frozenset[int] = frozenset(),
) -> Reader:
    came_from = ledger.ingestions.path_of(requeued) if requeued else drop.name
    ahead = drop.ahead if isinstance(drop, Fetch) else {}
    name = None if came_from.startswith(FROM_SQL) else came_from
    settings = settings_of(config, came_from)
    return Reader(
        config,
        ledger,
        settings=settings,
        name=name,
        pieces=drop.pieces if isinstance(drop, Drop) else None,
        requeued=requeued,
        ahead=ahead,
        rehearsed=rehearsed,
    )


def _ingestions(
    config: Config, first_id: int, intake: Intake, contents: Contents
) -> list[dict[str, Any]]:
    """Return the ingestions of a drop, one for each portion; their counts add up to its own."""
    later = [len(portion.hashes) for portion in contents.portions[1:]]
    n_read, n_added = intake.rows_read - sum(later), intake.rows_added - sum(later)
    counted = [replace(intake, rows_read=n_read, rows_added=n_added)]
    counted += [Intake(intake.path, intake.status, rows_read=n, rows_added=n) for n in later]
    rows = [
        {"id": number, **each.as_row(), "continues": first_id if number > first_id else None}
        for number, each in enumerate(counted, first_id)
    ]
    for row, portion in zip(rows, contents.portions, strict=True):
        if portion.hashes:
            row["part_sha256"] = store.digest(staging.part(config, row["id"]))
    rows[-1]["unfinished_row_hash"] = contents.unfinished
    return rows


def _taken(config: Config, first_id: int, contents: Contents) -> list[Taken]:
    """Return what each ingestion of a drop holds; what is of no row in particular, the first."""
    in_sql = config.store_dataset_in_sql and contents.n_added
    each = [
        Taken(
            portion.hashes,
            portion.unripe,
            portion.labels,
            rows=rows_for_sql(config, number) if in_sql else (),
        )
        for number, portion in enumerate(contents.portions, first_id)
    ]
    each[0] = replace(
        each[0],
        early=contents.early,
        used=sorted(contents.used),
        problems=contents.problems,
        superseded=contents.superseded,
    )
    return each


def _opened(drop: Arrival) -> AbstractContextManager[Bytes]:
    return drops.opened(drop) if isinstance(drop, Drop) else nullcontext(drop.file)


def _write(config: Config, reader: Reader, drop: Arrival, file: Bytes) -> Contents:
    """Write the parts and the quarantine of one drop; none counts before the commit."""
    folder = staging.quarantine(config, reader.first_id)
    try:
        with staging.writing_parts(config) as write:
            contents = reader.read(file, keep=lambda rows: write(reader.ingestion_id, rows))
    except DataError as error:
        contents = Contents(problems=[Problem(0, "", str(error), "")], refusal=str(error))
        store.quarantine_file(folder, file, _reasons(drop, contents))
        return contents
    if contents.refused:
        store.quarantine_rows(
            folder,
            contents.refused,
            _reasons(drop, contents),
            separator=reader.settings.separator,
            encoding=records.encoding_of_copies(file, reader.settings),
        )
    return contents


def _sum_up(drop: Arrival, contents: Contents) -> Intake:
    if contents.refusal:
        return Intake(drop.name, "refused", reason=contents.refusal)
    n_refused = max(len(contents.refused) - 1, 0)
    n_added, n_duplicate, kind = contents.n_added, contents.n_duplicate, contents.kind
    n_labels = len([*contents.labels])
    if not n_added and n_labels:  # no part, only labels
        kind, n_added = "labels", n_labels
        n_duplicate -= contents.n_ripened
    names, note = contents.undeclared, None if contents.n_read else "no rows below the header"
    if contents.superseded:
        numbers = ", ".join(str(number) for _, number in contents.superseded)
        note = f"completes the cut-off last line of ingestion {numbers}, whose row is superseded"
    return Intake(
        drop.name,
        "taken",
        kind,
        *(contents.n_read, n_added, n_duplicate, n_refused),
        reason=f"undeclared columns: {', '.join(names)}" if names else None,
        undeclared=json.dumps(names, ensure_ascii=False) if names else None,
        note=contents.note or note,
        labels_added=n_labels,
        labels_waiting=len(contents.early),
    )


def _reasons(drop: Arrival, contents: Contents) -> list[tuple[str, int, str, str, str]]:
    return [(drop.name, *problem) for problem in contents.problems]
