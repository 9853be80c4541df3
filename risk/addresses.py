"""Addresses of databases: those of SQLite files, and any without its password."""

from __future__ import annotations

import re
from pathlib import Path


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever characters its path contains."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def masked(url: str) -> str:
    """Mask the password in a URL, wherever it is."""
    hidden = re.sub(r"(://[^:/@]*:).+@", r"\1***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:password|passwd|secret|key)=)[^&]*", r"\1***", hidden)
