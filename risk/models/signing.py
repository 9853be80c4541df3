"""The key by which models are signed."""

from __future__ import annotations

import secrets
from pathlib import Path

from risk import store
from risk.config import Config
from risk.errors import ConfigError

MIN_KEY_BYTES = 32


def key(config: Config) -> bytes:
    """Return the model-signing key: from the environment, or from a file created once.

    A new key is never created beside releases or models, which it would declare forged.
    """
    if config.signing_key:
        given = config.signing_key.get_secret_value().encode()
        if len(given.strip()) < MIN_KEY_BYTES:
            raise ConfigError(
                f"RISK_SIGNING_KEY has fewer than {MIN_KEY_BYTES} bytes that are not blanks"
            )
        return given
    path = config.root / config.signing_key_path
    if not path.exists():
        if signed := _signed(config):
            fault = f"is missing, but {config.name_of(signed[0])} was signed with it"
            raise ConfigError(_lost_key(config, fault))
        store.write(path, secrets.token_hex(32), mode=0o600)
    with store.storage_faults(path):
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} is readable by other users; run: chmod 600 {path}")
        found = path.read_bytes()
    if len(found.strip()) < MIN_KEY_BYTES:
        raise ConfigError(_lost_key(config, f"has fewer than {MIN_KEY_BYTES} bytes"))
    return found


def _signed(config: Config) -> list[Path]:
    """Return the releases and the challenger, as far as they exist."""
    challenger = config.model_folder.glob("manifest.json")
    return [*config.deployment_folder.glob("releases/[0-9]*"), *challenger]


def _lost_key(config: Config, fault: str) -> str:
    path = config.name_of(config.root / config.signing_key_path)
    folders = (config.deployment_folder, config.model_folder)
    signed = " and ".join(config.name_of(folder) for folder in folders if folder.exists())
    return (
        f"the signing key {path} {fault}; restore it from a backup, or set RISK_SIGNING_KEY. If it "
        f"is lost for good, delete {path} if it exists, move {signed or 'all releases'} away, "
        "and run: python training.py, then python deployment.py --force"
    )
