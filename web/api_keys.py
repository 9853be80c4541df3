"""API keys: created once, stored as hashes, looked up by every request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from risk import store
from risk.admin import api_keys as stored
from risk.admin.api_keys import SCOPES, Key, Scope
from risk.config import LOOPBACK, Config
from risk.errors import ConfigError, UnknownName, UsageError
from risk.ledger import file_lock
from risk.ledger.database import utc_now
from risk.models import signing

MAX_DAYS = 36_500  # a century: the dates of Python end at some time


@dataclass(frozen=True)
class NewKey:
    """A newly created key, the only time it is shown in plain text."""

    name: str
    scope: Scope
    key: str

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True)
class Listing:
    """All keys, without anything that helps to guess one."""

    keys: list[dict[str, str]]

    def __str__(self) -> str:
        return "\n".join("  ".join(key.values()) for key in self.keys) or "there are no keys"


class Keyring:
    """The keys of an installation; the file is read again whenever it changes."""

    def __init__(self, config: Config, *further: Key) -> None:
        self._config = config
        self._further = further
        self._read: tuple[object, tuple[Key, ...]] = (None, ())

    def find(self, presented: str) -> Key | None:
        """Return the key presented, None if it is unknown; compare hashes in constant time."""
        digest = _sha256(presented)
        same = [key for key in self.keys() if hmac.compare_digest(key.sha256, digest)]
        return same[0] if same else None

    def named(self, name: str) -> Key | None:
        """Return the key with this name, None if there is none."""
        return next((key for key in self.keys() if key.name == name), None)

    def keys(self) -> tuple[Key, ...]:
        """Return all valid keys."""
        return tuple(key for key in (*self._further, *self.stored()) if key.is_valid)

    def stored(self) -> tuple[Key, ...]:
        """Return the keys in the file, also those that have expired."""
        path = self._config.root / self._config.api_keys_path
        with store.storage_faults(path):
            try:
                status = path.stat()
            except FileNotFoundError:
                return ()
        version = (status.st_mtime_ns, status.st_mode, status.st_size, status.st_ino)
        if self._read[0] != version:
            self._read = (version, stored.read(self._config))
        return self._read[1]


def covers(scope: Scope | None, needed: Scope) -> bool:
    """Return whether a scope, None for no access, includes the one needed."""
    return scope is not None and SCOPES.index(scope) >= SCOPES.index(needed)


def require_keys(config: Config, host: str) -> None:
    """Raise ConfigError if the server would listen beyond this machine without any key."""
    if host not in LOOPBACK and not Keyring(config).keys():
        raise ConfigError(
            f"listening on {host!r}, beyond this machine, requires a key; "
            "run: python app.py keys create NAME --scope read"
        )


def create(config: Config, name: str, scope: Scope = "read", *, days: int | None = None) -> NewKey:
    """Create a key, valid for some days or for good, and store its hash.

    The key itself is only in the return value.
    """
    if not name.isprintable() or name != name.strip() or not 0 < len(name) <= 64:
        raise UsageError("the name of a key must have 1 to 64 printable characters")
    if days is not None and not 0 < days <= MAX_DAYS:
        raise UsageError(f"a key expires after 1 to {MAX_DAYS} days, got {days}")
    with _changing(config):
        keys = Keyring(config).stored()
        if name in {key.name for key in keys}:
            raise UsageError(f"key {name!r} already exists; revoke it, or choose another name")
        signing.key(config)  # sessions are signed with a key derived from it
        new, key = make(name, scope)
        if days is not None:
            key = key.model_copy(update={"expires_at": utc_now() + timedelta(days=days)})
        stored.write(config, (*keys, key))
    return new


def make(name: str, scope: Scope) -> tuple[NewKey, Key]:
    """Return a random key: the plain form for its holder, and the form to store."""
    new = NewKey(name, scope, f"risk_{secrets.token_urlsafe(32)}")
    return new, Key(name=name, scope=scope, created_at=utc_now(), sha256=_sha256(new.key))


def revoke(config: Config, name: str) -> str:
    """Revoke a key, and every session started with it, at once."""
    with _changing(config):
        keys = Keyring(config).stored()
        if name not in {key.name for key in keys}:
            raise UnknownName(f"there is no key {name!r}; to list them: python app.py keys list")
        stored.write(config, (key for key in keys if key.name != name))
    return f"key {name!r} is revoked"


def listing(config: Config) -> Listing:
    """Return name, scope, creation and expiry of every key."""
    keys = Keyring(config).stored()
    return Listing([stored.dumped(key, without="sha256") for key in keys])


def _changing(config: Config) -> AbstractContextManager[object]:
    """Hold the lock on the key file, which is independent of the lock of runs."""
    beside = config.api_keys_path.with_suffix(".lock")
    return file_lock.lock(config.model_copy(update={"lock_path": beside}), holder="app.py keys")


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
