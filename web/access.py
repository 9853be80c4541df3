"""Who may ask what: keys and their scopes, signing in, and where requests may come from."""

from __future__ import annotations

from flask_openapi import OpenAPI

from risk.config import Config


def add_to(app: OpenAPI, config: Config) -> None:
    """Check every request before it is answered."""
