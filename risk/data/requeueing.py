"""Quarantined drops, read again once the settings that refused them have changed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from risk import store
from risk.config import Config
from risk.data import known_files, marks
from risk.data.arrivals import Arrival
from risk.data.drops import FUTURE, Drop, Signature
from risk.data.intake import Intake, is_accepted
from risk.data.sql_sources import settings_of
from risk.errors import StorageError, UnknownName
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.schema import FROM_SQL, moments

RULES = "rules.json"  # in the quarantine folder: the settings its drops were last tried with
MAX_PER_RUN = 100


Found = Iterator[tuple[int | None, Arrival]]  # the ingestion that refused it, if one did
log = logging.getLogger("ingestion")


def before(new: Iterable[Arrival], config: Config, ledger: Ledger) -> Found:
    """Yield the quarantined drops that may be taken by now, then the new ones."""
    tried = due(config, ledger)
    yield from again(config, ledger, tried)
    note(config, tried)  # when these are taken, and before others are refused
    yield from ((None, drop) for drop in new)


def again(config: Config, ledger: Ledger, tried: Sequence[int]) -> Iterator[tuple[int, Drop]]:
    """Yield the drops with a row whose time has come, then those `tried` that are accepted now."""
    ripe = list(islice(_ripe(config, ledger), MAX_PER_RUN))
    found = ((number, _found(config, ledger, number)) for number in ripe)
    yield from ((number, drop) for number, drop in found if drop)
    yield from acceptable(config, ledger, [number for number in tried if number not in ripe])


def named(which: int | Literal["all"], config: Config, ledger: Ledger) -> Found:
    """Yield the quarantined rows of one ingestion, or all that would be accepted now."""
    if which == "all":
        yield from acceptable(config, ledger, ledger.ingestions.with_quarantine())
        return
    path = _rows(config, which)
    if ledger.ingestions.was_requeued(which) or not known_files.is_there(config, ledger, path):
        raise UnknownName(f"ingestion {which} has nothing in quarantine")
    known_files.verify(config, ledger, path)
    yield which, _drop(config, path)


def acceptable(
    config: Config, ledger: Ledger, ingestion_ids: Sequence[int]
) -> Iterator[tuple[int, Drop]]:
    """Yield the quarantined drops of which a row or label would be accepted now, with their IDs."""
    for number in ingestion_ids:
        drop = _found(config, ledger, number)
        if drop and is_accepted(config, ledger, drop, requeued=number):
            yield number, drop


def waiting(config: Config, ledger: Ledger) -> Iterator[Drop]:
    """Yield the quarantined rows of files, under the names of the files."""
    for number in ledger.ingestions.with_quarantine():
        name = ledger.ingestions.path_of(number)
        if not name.startswith(FROM_SQL) and (drop := _found(config, ledger, number)):
            yield replace(drop, name=name)


def due(config: Config, ledger: Ledger) -> list[int]:
    """Return the ingestions whose quarantine is to be tried next, as the rules have changed.

    Each change tries each of them once, and `MAX_PER_RUN` in a run.
    """
    state = _state(config)
    if state is None or state == _current(config):
        return []
    same = state["sha256"] == _digest(config)
    after = state["tried_through"] if same else 0
    return ledger.ingestions.with_quarantine(after=after, limit=MAX_PER_RUN)


def note(config: Config, tried: Sequence[int]) -> None:
    """Record the rules in force, and how far the quarantine has been tried with them."""
    state = _current(config)
    if len(tried) == MAX_PER_RUN:
        state["tried_through"] = tried[-1]
    if _state(config) != state:
        store.write(config.quarantine_folder / RULES, json.dumps(state) + "\n")


def advise(intakes: Iterable[Intake]) -> None:
    """Say what to do about refused rows; labels that wait for their rows need nothing."""
    if any(i.status == "refused" or i.rows_quarantined > i.labels_waiting for i in intakes):
        log.warning(
            "rows were refused: once corrected settings accept them, the next run reads them "
            "again; python ingestion.py --check says what is wrong with them"
        )


def _ripe(config: Config, ledger: Ledger) -> Iterator[int]:
    """Yield the ingestions that refused a row because of its event time, which has come by now."""
    if not config.columns.event_time:
        return
    now, tolerances = ledger.now(), [s.seconds_ahead for s in config.sources.values()]
    end = now + timedelta(days=2, seconds=max(config.ingestion.seconds_ahead, *tolerances, 0))
    below = f"{end:%Y%m%d}"  # as text also above 2026-..., as "-" sorts before digits
    for number, path, text in ledger.quarantine.earliest(FUTURE, below=below):
        settings = settings_of(config, path)
        latest = now + timedelta(seconds=settings.seconds_ahead)
        time = pd.Series([text], dtype="str")
        has_come = moments(time).notna() & ~marks.are_after(time, latest)
        if has_come.all() and known_files.is_there(config, ledger, _rows(config, number)):
            yield number


def _current(config: Config) -> dict[str, Any]:
    return {"sha256": _digest(config), "tried_through": None}


def _digest(config: Config) -> str:
    """Return the digest of the settings that decide which rows are refused."""
    rules = config.model_dump_json(include={"columns", "ingestion"})
    return hashlib.sha256(rules.encode()).hexdigest()


def _state(config: Config) -> dict[str, Any] | None:
    """Return what was recorded; None before the first time, or if it is damaged."""
    try:
        state = json.loads((config.quarantine_folder / RULES).read_text(encoding="utf-8"))
        return {"sha256": str(state["sha256"]), "tried_through": state["tried_through"]}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _rows(config: Config, ingestion_id: int) -> Path:
    return store.quarantine_path(config, ingestion_id) / store.QUARANTINED_ROWS


def _found(config: Config, ledger: Ledger, number: int) -> Drop | None:
    """Return the refused rows of an ingestion; None if there are none, or they are damaged."""
    path = _rows(config, number)
    if not known_files.is_there(config, ledger, path):
        return None
    try:
        known_files.verify(config, ledger, path)
    except StorageError as damage:
        log.warning("%s; its rows are not read again", damage)
        return None
    return _drop(config, path)


def _drop(config: Config, path: Path) -> Drop:
    return Drop(path, config.name_of(path), Signature.of(path.stat()))
