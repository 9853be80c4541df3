"""A report as JSON: the same texts and values; figures as caption and alternative text."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from risk.report.document import Document


def write(document: Document) -> bytes:
    """Write a report as the bytes of a JSON document."""
    text = json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _plain(value: Any) -> Any:
    """Convert dataclasses to objects with their type, and values to those JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        content = {name: _plain(inner) for name, inner in named.items() if name != "figure"}
        return {"type": type(value).__name__.lower(), **content}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
