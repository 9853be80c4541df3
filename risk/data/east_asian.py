"""Words of Chinese, Japanese and Korean, in encodings of one byte or two for a character."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from string import ascii_letters
from typing import NamedTuple

NAMES = {  # of encodings that fit alike, the one of fewer characters is first
    "cp932": "Shift_JIS (Japanese)",
    "cp949": "EUC-KR (Korean)",
    "cp950": "Big5 (traditional Chinese)",
    "gb18030": "GB18030 (simplified Chinese)",
}
WORD = r"[A-Za-z\u0080-\U0010ffff]*[\u0080-\U0010ffff][A-Za-z\u0080-\U0010ffff]*"
HALF_WIDTH = "\uff61-\uff9f"  # the characters of one byte
MISREAD = (  # of MÜLLER or Müller, of which one byte is an accented letter
    rf"[^\x00-\x7f][a-z]|[A-Z][{HALF_WIDTH}]|[{HALF_WIDTH}][A-Z]"
)


class Standard(NamedTuple):
    """The first bytes of common characters and of rare ones, and their second bytes.

    Each standard begins with signs, goes on with what is written most, and ends with what is rare.
    `single` are rare characters of one byte.
    """

    common: Iterable[int]
    rare: Iterable[int]
    second: range = range(0xA1, 0xFF)
    single: Iterable[int] = ()


STANDARDS = {
    "cp932": Standard(
        common=range(0x81, 0x98),
        rare=[*range(0x98, 0xA0), *range(0xE0, 0xFD)],
        second=range(0x40, 0xFD),
        single=range(0xA1, 0xE0),
    ),
    "cp949": Standard(common=[*range(0xA1, 0xA4), *range(0xB0, 0xC9)], rare=range(0xCA, 0xFE)),
    "cp950": Standard(common=range(0xA1, 0xC7), rare=range(0xC9, 0xFA), second=range(0x40, 0xFF)),
    "gb18030": Standard(common=[*range(0xA1, 0xA4), *range(0xB0, 0xD8)], rare=range(0xD8, 0xF8)),
}


def words(content: bytes, encoding: str) -> Mapping[str, bytes]:
    """Return the different words of a content with characters beyond ASCII, and their bytes.

    Raises UnicodeDecodeError if it is not in this encoding.
    """
    return {word: word.encode(encoding) for word in re.findall(WORD, content.decode(encoding))}


def well_spelt(texts: Iterable[str], encoding: str) -> tuple[set[str], set[str]]:
    """Return the words of common characters, and those of any of the encoding."""
    whole = {text: {*text} for text in texts if not re.search(MISREAD, text)}
    common, known = (
        {text for text, own in whole.items() if own <= characters}
        for characters in _characters(encoding)
    )
    return common, known


@cache
def _characters(encoding: str) -> tuple[set[str], set[str]]:
    """Return the common characters of an encoding, and all."""
    standard = STANDARDS[encoding]

    def of(firsts: Iterable[int]) -> set[str]:
        pairs = (bytes([first, second]) for first in firsts for second in standard.second)
        return {*chain.from_iterable(pair.decode(encoding, "ignore") for pair in pairs)}

    common = of(standard.common) | {*ascii_letters}
    single = bytes(standard.single).decode(encoding, "ignore")
    return common, common | of(standard.rare) | {*single}
