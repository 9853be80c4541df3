"""Progress of long work, shown to a person at a terminal only: not under cron, not in a pipe."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(
    items: Iterable[Item], work: str, *, unit: str, total: int | None = None
) -> Iterable[Item]:
    """Return the items; while they are consumed, a bar on stderr counts them, then disappears."""
    return tqdm(items, work, total, leave=False, unit=unit, disable=None)


class LogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes log messages to stderr, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message; the bars are erased before and drawn again after it."""
        with tqdm.external_write_mode(self.stream, nolock=True):
            super().emit(record)
