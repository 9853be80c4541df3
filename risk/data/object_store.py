"""Drops in an object store: the CSV objects in one of its folders, ingested like files."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk import store
from risk.config import Config
from risk.data.drops import CHANGED, Drop, Signature
from risk.data.inbox import LeftAlone, recordable, unseen, why_skipped
from risk.data.object_folder import ObjectFolder
from risk.errors import SourceError
from risk.ledger.ledger import Ledger

SECONDS_TO_REST = 1  # in whole seconds a store says when an object was written


@dataclass(frozen=True)
class Object:
    """A CSV object as it was listed, and its content in an unnamed file."""

    name: str
    signature: Signature
    file: io.BufferedRandom


def new(
    config: Config, ledger: Ledger, *, left_alone: list[str], out_of_reach: list[str]
) -> Iterator[Object]:
    """Yield the objects that no run has seen yet; take each before the next is requested.

    A store that cannot be read is added to `out_of_reach`, and what is not read to `left_alone`.
    """
    if not config.object_store:
        return
    try:
        folder = ObjectFolder(config.object_store)
        found, skipped = _sort(config, _list(folder))
        left_alone += map(str, skipped)
        for drop in unseen(found, ledger):
            yield from _fetched(folder, drop, left_alone)
    except SourceError as error:
        out_of_reach.append(str(error))


def probe(config: Config) -> None:
    """Raise SourceError if the folder in the object store cannot be listed."""
    if config.object_store:
        _list(ObjectFolder(config.object_store))


def _list(folder: ObjectFolder) -> list[Any]:
    """Return what lies in the folder now."""
    try:
        return folder.entries()
    except FileNotFoundError:
        reason = "there is no such folder, or nothing lies in it"
        raise SourceError(f"object store {folder.url}: {reason}") from None


def _sort(config: Config, entries: list[Any]) -> tuple[list[Drop], list[LeftAlone]]:
    """Return the objects that are drops, sorted by name, and the others except hidden ones."""
    found, skipped = [], []
    rested_ns = time.time_ns() - 10**9 * max(config.ingestion.settle_seconds, SECONDS_TO_REST)
    for entry in sorted(entries, key=lambda entry: str(entry.path)):
        if entry.base_name.startswith("."):
            continue
        path = Path(entry.path)
        name = recordable(f"s3://{config.name_of(path)}")
        if not entry.is_file:
            reason = "skipped, a folder; drops must be in the folder itself"
            skipped.append(LeftAlone(name, reason))
        elif reason := why_skipped(entry.base_name, entry.size, config):
            skipped.append(LeftAlone(name, reason))
        elif entry.mtime_ns > rested_ns:
            skipped.append(LeftAlone(name, "just written, left for a later run"))
        else:
            found.append(Drop(path, name, _signature(entry)))
    return found, skipped


def _fetched(folder: ObjectFolder, drop: Drop, left_alone: list[str]) -> Iterator[Object]:
    """Yield the content of an object, unless it was replaced or removed since it was listed."""
    with store.spooling() as file:
        path = str(drop.path)
        now = _signature(folder.entry(path)) if folder.read(path, file) else None
        if now != drop.signature or file.tell() != now.size_bytes:
            left_alone.append(str(LeftAlone(drop.name, CHANGED)))
            return
        file.seek(0)
        yield Object(drop.name, drop.signature, file)


def _signature(entry: Any) -> Signature:
    return Signature(entry.size or 0, entry.mtime_ns or 0, 0, 0)
