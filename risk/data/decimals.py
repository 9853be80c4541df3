"""Numbers of at most four decimals as texts, by tables of all texts of four digits.

Such a number is the one nearest to n / 10,000. As n has at most 12 digits, no other decimal of so
few digits has the same nearest number, so that Python writes the number as this one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from risk.lazily import pyarrow as pa
from risk.numerals import Floats

UNITS = 10_000  # of one
TOO_LARGE = UNITS**2
Table = np.ndarray[Any, np.dtype[np.uint32]]
SHORT = [("sign", "u1"), ("low", "u4"), ("point", "u1"), ("fraction", "u4")]  # below 10,000
LONG = [SHORT[0], ("high", "u4"), *SHORT[1:]]


def _table(texts: list[str]) -> Table:
    """Return texts of at most four characters as numbers of the same bytes, unused ones zero."""
    return np.array(texts, dtype="S4").view("uint32")


@cache
def _tables() -> tuple[Table, Table, Table]:
    """Return the texts of the digits far before the point, before it and behind it."""
    whole, padded = [f"{n}" for n in range(UNITS)], [f"{n:04}" for n in range(UNITS)]
    fractions = [text.rstrip("0") or "0" for text in padded]
    return _table(["", *whole[1:]]), _table([*whole, *padded]), _table(fractions)


def written(numbers: Floats) -> pa.Array | None:
    """Return numbers as Python writes them, missing ones as empty texts; None if one is another."""
    is_missing = np.isnan(numbers)
    known = np.where(is_missing, 0, numbers)
    size = np.abs(known)
    greatest = size.max(initial=0)
    if not greatest < TOO_LARGE:
        return None
    scaled = np.rint(size * UNITS)
    if not (scaled / UNITS == size).all():
        return None
    whole = size.astype("uint32")  # cut off
    fraction = (scaled - whole * float(UNITS)).astype("uint32")
    of_high, of_low, of_fraction = _tables()
    texts = np.empty(len(numbers), SHORT if greatest < UNITS else LONG)
    texts["sign"] = np.signbit(known) * np.uint8(ord("-"))
    if greatest < UNITS:
        texts["low"] = np.take(of_low, whole)
    else:
        high, low = whole // UNITS, whole % UNITS
        texts["high"] = np.take(of_high, high)
        texts["low"] = np.take(of_low, low + UNITS * (high > 0))  # padded behind others
    texts["point"] = ord(".")
    texts["fraction"] = np.take(of_fraction, fraction)
    texts[is_missing] = 0
    used = (texts.view("uint8").reshape(len(numbers), texts.itemsize) != 0).view("uint8")
    sizes = np.einsum("ij->i", used)  # a sum of so few columns is slower
    ends = np.concatenate([[0], np.cumsum(sizes, dtype="int64")])
    content = texts.tobytes().translate(None, b"\0")
    return pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(content))
