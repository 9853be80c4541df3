"""API keys as they are stored: a hash of each, never the key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from risk import store
from risk.config import Config
from risk.errors import ConfigError
from risk.ledger.database import utc_now

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
FILE = TypeAdapter(dict[str, dict[str, Any]])


class Key(BaseModel):
    """The stored form of a key: its hash, from which the key cannot be recovered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False)

    @property
    def is_valid(self) -> bool:
        """Whether the key has not expired."""
        return self.expires_at is None or utc_now() < self.expires_at

    @property
    def fragment(self) -> str:
        """A prefix of the hash, which ties a session to this key."""
        return self.sha256[:16]


def read(config: Config) -> tuple[Key, ...]:
    """Return the keys in the file, also those that have expired."""
    path = config.root / config.api_keys_path
    shown = config.name_of(path)
    with store.storage_faults(path):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return ()
    if mode & 0o077:
        raise ConfigError(f"{shown} is accessible to other users; run: chmod 600 {shown}")
    try:
        entries = FILE.validate_json(store.read(path))
        return tuple(Key(name=name, **entry) for name, entry in entries.items())
    except (ValidationError, TypeError):
        raise ConfigError(f"{shown} is damaged; restore or delete it") from None


def write(config: Config, keys: Iterable[Key]) -> None:
    """Replace the file of the keys."""
    entries = {key.name: dumped(key, without="name") for key in keys}
    path = config.root / config.api_keys_path
    store.write(path, json.dumps(entries, indent=4, ensure_ascii=False), mode=0o600)


def dumped(key: Key, *, without: str) -> dict[str, str]:
    """Return the fields of a key that are set, without one of them."""
    content: dict[str, str] = key.model_dump(mode="json", exclude={without}, exclude_none=True)
    return content
