"""What a command with a log prints, and cron so mails: trouble once, daily while it lasts, its end.

What was printed is kept beside the log, as the ledger may be what is out of reach.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from risk import store
from risk.errors import StorageError

NEARLY_A_DAY = timedelta(hours=23)  # a command that runs once a day is never late
VARIES = re.compile(r"0x[0-9a-f]+|\d+")
MAX_KEPT = 100


@dataclass(frozen=True)
class Trouble:
    """What needs a person; the same as before if the `key` is.

    What does not last, such as a refused file, has no end that could be printed.
    """

    text: str
    key: str
    lasts: bool = True


@dataclass(frozen=True)
class _Said:
    """Trouble of a command, since when it is known, and when it was last printed."""

    command: str
    key: str
    text: str
    lasts: bool
    since: str
    said_at: str

    def is_recent(self, now: datetime) -> bool:
        """Return whether it was printed within a day; a clock that was set back proves nothing."""
        age = now - datetime.fromisoformat(self.said_at)
        return timedelta() <= age < NEARLY_A_DAY


def without_numbers(text: str) -> str:
    """Return a text as the key of what it says, however many rows or retries it counts."""
    return VARIES.sub("#", text)


def due(
    log: Path, command: str, troubles: Sequence[Trouble], *, now: datetime, completed: bool
) -> list[str]:
    """Return what to print about the troubles of a command, and about earlier ones that are over.

    Only a command that `completed` can tell that another one is over.
    """
    file = log.with_name(f".{log.name}.said")
    before = list(_read(file))
    known = {said.key: said for said in before if said.command == command}
    kept, words = [said for said in before if said.command != command], []
    for trouble in troubles:
        said = known.pop(trouble.key, None)
        if said is None or not said.is_recent(now):
            began = said.since if said and said.lasts else None
            words.append(f"since {_minute(began)}: {trouble.text}" if began else trouble.text)
            since = began or now.isoformat()
            said = _Said(command, trouble.key, trouble.text, trouble.lasts, since, now.isoformat())
        kept.append(said)
    for said in known.values():
        if completed and said.lasts:
            words.append(f"no longer, since {_minute(now.isoformat())}: {said.text}")
        elif not completed or said.is_recent(now):
            kept.append(said)
    if kept != before:
        _write(file, kept[-MAX_KEPT:])
    return words


def _read(file: Path) -> Iterator[_Said]:
    """Yield what was printed; nothing if that is unknown, so that it is printed again."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        for said in json.loads(file.read_text(encoding="utf-8")):
            datetime.fromisoformat(said["said_at"]), datetime.fromisoformat(said["since"])
            yield _Said(**said)


def _write(file: Path, said: Sequence[_Said]) -> None:
    with suppress(StorageError):  # then it is printed again
        if said:
            store.write(file, json.dumps([asdict(each) for each in said], indent=1) + "\n")
        else:
            store.remove(file)


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"
