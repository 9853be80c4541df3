"""Drops in an object store: the CSV objects in one of its folders, ingested like files."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk import store
from risk.config import Config
from risk.data.drops import CHANGED, Drop, Signature
from risk.data.inbox import LeftAlone, recordable, unseen, why_skipped
from risk.errors import SourceError
from risk.ledger.engines import on_one_line
from risk.ledger.ledger import Ledger

SECONDS_TO_REST = 1  # in whole seconds a store says when an object was written
BYTES_AT_ONCE = 8_000_000
REQUEST_ID = re.compile(r" \(Request ID: \w*\)")  # new each time, where the fault is the same


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
        filesystem, entries = _list(config.object_store)
        found, skipped = _sort(config, entries)
        left_alone += map(str, skipped)
        for drop in unseen(found, ledger):
            yield from _fetched(config.object_store, filesystem, drop, left_alone)
    except SourceError as error:
        out_of_reach.append(str(error))


def probe(config: Config) -> None:
    """Raise SourceError if the folder in the object store cannot be listed."""
    if config.object_store:
        _list(config.object_store)


def _list(url: str) -> tuple[Any, list[Any]]:
    """Return the store, and what lies in the folder now."""
    from pyarrow import fs  # most installations have no object store

    try:
        with _faults(url):
            filesystem, folder = fs.FileSystem.from_uri(url)
            return filesystem, filesystem.get_file_info(fs.FileSelector(folder))
    except FileNotFoundError:
        reason = "there is no such folder, or nothing lies in it"
        raise SourceError(f"object store {url}: {reason}") from None


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


def _fetched(url: str, filesystem: Any, drop: Drop, left_alone: list[str]) -> Iterator[Object]:
    """Yield the content of an object, unless it was replaced or removed since it was listed."""
    with store.spooling() as file:
        try:
            with _faults(url), filesystem.open_input_stream(str(drop.path)) as remote:
                shutil.copyfileobj(remote, file, BYTES_AT_ONCE)
                now = _signature(filesystem.get_file_info(str(drop.path)))
        except FileNotFoundError:
            now = None
        if now != drop.signature or file.tell() != now.size_bytes:
            left_alone.append(str(LeftAlone(drop.name, CHANGED)))
            return
        file.seek(0)
        yield Object(drop.name, drop.signature, file)


def _signature(entry: Any) -> Signature:
    return Signature(entry.size or 0, entry.mtime_ns or 0, 0, 0)


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """Convert faults of the store to SourceError, except that an object is gone."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        message = REQUEST_ID.sub("", on_one_line(error))
        raise SourceError(f"object store {url}: {message}") from error
