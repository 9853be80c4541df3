"""Sessions that were ended before they expired, and failed attempts to start one."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from threading import Lock

from risk import store
from risk.config import Config

ID = re.compile(r"[0-9a-f]{32}")
FREE_ATTEMPTS = 5
MAX_SECONDS = 300
FORGOTTEN_AFTER = 3600
MAX_ADDRESSES = 10_000


def is_open(config: Config, session_id: str) -> bool:
    """Return whether a session has an ID and was not ended."""
    return bool(ID.fullmatch(session_id)) and not (_folder(config) / session_id).exists()


def end(config: Config, session_id: str, *, lasts: timedelta) -> None:
    """End a session for all workers: an empty file named after it, until it would have expired."""
    if not ID.fullmatch(session_id):
        return
    folder = _folder(config)
    store.write(folder / session_id, b"", mode=0o600)
    oldest = time.time() - lasts.total_seconds()
    for path in folder.glob("*"):
        with store.storage_faults(path):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


class Attempts:
    """Failed sign-ins by address: after some, each must wait twice as long as the one before."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures: dict[str, tuple[int, float]] = {}

    def seconds_to_wait(self, address: str) -> int:
        """Return how long this address must wait before another attempt."""
        failures, last = self._failures.get(address, (0, 0.0))
        if failures < FREE_ATTEMPTS:
            return 0
        pause = min(1 << min(failures - FREE_ATTEMPTS, 20), MAX_SECONDS)
        return max(0, round(last + pause - time.monotonic() + 0.5))

    def failed(self, address: str) -> None:
        """Count a failure; forget the oldest addresses."""
        now = time.monotonic()
        with self._lock:
            failures, last = self._failures.pop(address, (0, now))
            again = failures + 1 if now - last < FORGOTTEN_AFTER else 1
            self._failures[address] = again, now
            while len(self._failures) > MAX_ADDRESSES:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        with self._lock:
            self._failures.pop(address, None)


def _folder(config: Config) -> Path:
    return (config.root / config.api_keys_path).with_name("ended_sessions")
