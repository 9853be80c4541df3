"""The reference of a release as a file: JSON, compressed."""

from __future__ import annotations

import gzip
from pathlib import Path

from risk.errors import ModelError
from risk.models import model
from risk.models.model import Manifest
from risk.monitoring.reference import Reference


def to_bytes(reference: Reference) -> bytes:
    """Return the content of the file; a machine makes the same of the same reference."""
    return gzip.compress(reference.to_json().encode(), mtime=0)


def read(folder: Path, manifest: Manifest) -> Reference:
    """Read the reference of a release, also of one made before the file was compressed."""
    if model.REFERENCE in manifest.files:
        content = gzip.decompress(model.read_checked(folder, model.REFERENCE, manifest))
    elif model.PLAIN_REFERENCE in manifest.files:
        content = model.read_checked(folder, model.PLAIN_REFERENCE, manifest)
    else:
        raise ModelError(f"release {manifest.version} has no reference")
    return Reference.from_json(content)
