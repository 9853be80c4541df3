"""The input folder: which drops are there, and which of them are complete."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from risk.config import Config
from risk.data import drops
from risk.data.drops import Drop, Signature
from risk.errors import StorageError
from risk.ledger.ledger import Ledger
from risk.schema import NAME_CHARACTERS

UNFINISHED_RESTS_LONGER, MAX_WAIT = 10, 60


@dataclass(frozen=True, order=True)
class LeftAlone:
    """A file or folder that is not read now, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def find(config: Config) -> tuple[list[Drop], list[LeftAlone]]:
    """Return the drops sorted by name, and the entries that are skipped.

    Hidden files are those of programs that are still writing, and are not mentioned.
    """
    found, skipped = [], []
    try:
        entries = sorted(os.scandir(config.input_folder), key=lambda entry: entry.name)
    except OSError as error:
        raise StorageError(f"input_folder_path cannot be listed: {error}") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        name = recordable(config.name_of(Path(entry.path)))
        if stat.S_ISDIR(status.st_mode):
            reason = "skipped, a folder; drops must be in the input folder itself"
            skipped.append(LeftAlone(name, reason))
        elif reason := why_skipped(entry.name, status.st_size, config):
            skipped.append(LeftAlone(name, reason))
        elif not stat.S_ISREG(status.st_mode):
            skipped.append(LeftAlone(name, "skipped, not a regular file"))
        else:
            found.append(Drop(Path(entry.path), name, Signature.of(status)))
    return found, skipped


def find_new(config: Config, ledger: Ledger) -> tuple[list[Drop], list[LeftAlone]]:
    """Return the drops that no run has seen yet, and the entries that `find` skipped."""
    found, skipped = find(config)
    return unseen(found, ledger), skipped


def unseen(found: Sequence[Drop], ledger: Ledger) -> list[Drop]:
    """Return the drops that no run has seen yet."""
    known = ledger.ingestions.known_signatures([drop.name for drop in found])
    return [drop for drop in found if (drop.name, *astuple(drop.signature)) not in known]


def why_skipped(name: str, size_bytes: int, config: Config) -> str:
    """Say why a file is no drop that can be read, by its name and size; nothing if it is one."""
    if not name.lower().endswith(".csv"):
        return f"skipped, {_advice(name)}"
    limit = config.ingestion.max_file_bytes
    return f"{size_bytes} bytes, more than max_file_bytes = {limit}" if size_bytes > limit else ""


def _advice(name: str) -> str:
    match Path(name.lower()).suffix:
        case ".gz" | ".zip" | ".bz2" | ".xz" | ".zst" | ".7z" | ".tar" | ".tgz":
            return "packed; unpack it to a file named .csv"
        case ".tsv" | ".tab":
            return "only .csv files are read; rename it, and set ingestion.separator to a tab"
        case ".xls" | ".xlsx" | ".ods":
            return "a spreadsheet; export it as .csv"
    return "only .csv files are read"


def settled(found: Sequence[Drop], settle_seconds: float) -> tuple[list[Drop], list[LeftAlone]]:
    """Return the drops unchanged over `settle_seconds`, and the others.

    A file whose last line has no line end must have rested longer: its writer may have paused in
    the middle of that line. It waits only if a file may have changed more recently, and no longer
    than a minute for an unfinished line.
    """
    now, longer = time.time(), settle_seconds * UNFINISHED_RESTS_LONGER
    age = {drop: now - drop.signature.ctime_ns / 1e9 for drop in found}
    unfinished = [drop for drop in found if age[drop] < longer and _is_unfinished_at(drop.path)]
    young = [drop for drop in found if age[drop] < settle_seconds or drop in unfinished]
    if young:
        can_wait = unfinished and longer <= MAX_WAIT
        time.sleep(longer if can_wait else settle_seconds)
    left = {
        drop: "still being written, left for a later run"
        for drop in young
        if _signature(drop.path) != drop.signature
    }
    if longer > MAX_WAIT:
        rests = f"its last line has no line end; left until the file has rested {longer:g} seconds"
        left = dict.fromkeys(unfinished, rests) | left
    others = sorted(LeftAlone(drop.name, why) for drop, why in left.items())
    return [drop for drop in found if drop not in left], others


def recordable(name: str) -> str:
    """Truncate a name too long for the ledger; a digest of all of it keeps it unique."""
    if len(name) <= NAME_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: NAME_CHARACTERS - 17]}…{digest}"


def _is_unfinished_at(path: Path) -> bool:
    try:
        with open(path, "rb", opener=drops.open_no_follow) as file:
            return drops.is_unfinished(file)
    except OSError:
        return False


def _signature(path: Path) -> Signature | None:
    try:
        return Signature.of(path.lstat())
    except OSError:
        return None
