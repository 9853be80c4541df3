"""Pickles that are compressed inside, which `pickle` reads as any other."""

from __future__ import annotations

import lzma
import pickle
from typing import Any


def dumps(content: object) -> bytes:
    """Return a pickle, several times smaller, from which `pickle` loads `content` itself."""
    return pickle.dumps(_Compressed(content), protocol=5)


class _Compressed:
    def __init__(self, content: object) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        # what repeats in the boosters of a calibration is far apart: lzma, as zlib looks 32 kB back
        compressed = lzma.compress(pickle.dumps(self.content, protocol=5))
        return pickle.loads, (_Decompressed(compressed),)


class _Decompressed:
    def __init__(self, compressed: bytes) -> None:
        self.compressed = compressed

    def __reduce__(self) -> tuple[Any, ...]:
        return lzma.decompress, (self.compressed,)
