"""Words that stand for missing numbers in a file nobody has described yet."""

from __future__ import annotations

from collections.abc import Collection

from risk.data.target import Findings

MIN_NUMBERS = 10  # different ones; with fewer, the words are more likely categories
MAX_WORDS = 2
MAX_SHARE = 0.5


def find(found: Findings, own: Collection[str]) -> None:
    """Find such words and doubt them; no word in one of the `own` columns is one.

    They are few, without a digit, in a column whose other cells are different numbers.
    """
    labels = {cell for name in own if name in found.text for cell in found.text[name].unique()}
    for name in found.names:
        cells, numbers = found.cells(name), found.numbers(name)
        words = cells[numbers.isna()]
        is_few = 0 < words.nunique() <= MAX_WORDS and len(words) <= MAX_SHARE * len(cells)
        if not is_few or numbers.nunique() < MIN_NUMBERS:
            continue
        if words.str.contains(r"\d").any() or words.isin(labels).any():
            continue
        found.markers |= {*words}
        shown = " and ".join(sorted({*words}))
        found.doubts.append(f"{name}: {shown} is taken as a missing number")
