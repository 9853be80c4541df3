"""How the text of a file is encoded: as its byte-order mark says, or by the letters it then has."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase

NAMES = {
    "utf-8": "UTF-8",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1257": "Windows-1257 (Baltic)",
}
CODECS = {name: name for name in NAMES} | {"utf-8": "utf-8-sig"}
MARKED = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LATIN = {  # letters beyond ASCII, by language; of encodings that fit alike, the first is chosen
    "cp1252": "äöüß àâæçéèêëîïôœùûü áéíñóúüªº àèéìòóù ãõáâàçéêíóôúªº "
    "åäöéæø åäöõšž ëïéèöüçáó áéíóúæö",
    "cp1250": "äöüß ąćęłńóśźż áčďéěíňóřšťúůýž áäčďéíĺľňóôŕšťúýž áéíóöőúüű čšžćđ ăâîşţ",
    "cp1254": "âçğıîöşüû\u0307",
    "cp1257": "āčēģīķļņšūž ąčęėįšųūž äöõüšž",
}
OTHERS = {
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяё абвгґдеєжзиіїйклмнопрстуфхцчшщьюя "
    "абвгдђежзијклљмнњопрстћуфхцчџш",
    "cp1253": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
}
LANGUAGES = {
    **{name: [{*own, *ascii_lowercase} for own in all_.split()] for name, all_ in LATIN.items()},
    **{name: [{*own} for own in all_.split()] for name, all_ in OTHERS.items()},
}
WORD = rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*"
ALONE = r"[^\w\ufffd]+|[kcdm]?m?[²³½¼¾¹]|µ\w+"  # signs and units, such as € or m²
AROUND = "€‚„…‘’“”•–—§©«»®°·\u00a0\u00ad"
MAX_WORDS = 20_000
SURE = 0.9  # share of the words that are well spelt; of the others, some are foreign


@dataclass(frozen=True)
class Guess:
    """An encoding, one of the words a text then has, and whether nearly all are well spelt.

    `other` is an encoding in which as many are, with the word as it is in that.
    """

    encoding: str
    word: str = ""
    is_sure: bool = True
    other: tuple[str, str] | None = None

    @property
    def doubts(self) -> list[str]:
        """What a person should check: a rarer encoding, or words that look odd."""
        name = NAMES[self.encoding]
        if not self.is_sure:
            why = f"the file seems not to be in {name}; save it in UTF-8"
            return [f"{self.word} looks misread: {why}"]
        if self.other:
            other, word = self.other
            why = f"the file could also be in {NAMES[other]}; if so, save it in UTF-8"
            return [f"is it {self.word} or {word}? {why}"]
        if self.encoding in ("utf-8", "cp1252"):
            return []
        return [
            f"words such as {self.word} say that the file is in {name}; if not, save it in UTF-8"
        ]


def by_mark(content: bytes) -> str | None:
    """Return the encoding that the byte-order mark of a file means, None if it has none."""
    return next((own for mark, own in MARKED.items() if content.startswith(mark)), None)


def by_letters(content: bytes) -> Guess:
    """Return the encoding of a text that is not UTF-8.

    Nothing in the bytes says which it is, so it is the one in which most of the words are well
    spelt: first of one language, then of any.
    """
    words = sorted({*re.findall(WORD, content)})[:MAX_WORDS]
    spelt = {encoding: _spelt(words, encoding) for encoding in LANGUAGES}
    n_spelt = {encoding: sum(map(len, own)) for encoding, own in spelt.items()}
    best = max(n_spelt, key=lambda encoding: n_spelt[encoding])
    odd = sorted({word.decode(best, "replace") for word in words} - spelt[best][1])
    if len(odd) > (1 - SURE) * len(words):
        return Guess(best, odd[0], is_sure=False)
    for other in (own for own in n_spelt if n_spelt[own] == n_spelt[best]):
        for word in words:
            read, read_too = word.decode(best, "replace"), word.decode(other, "replace")
            if read != read_too and not re.fullmatch(ALONE, read):
                return Guess(best, read, other=(other, read_too))
    return Guess(best, max(spelt[best][1], key=len, default=""))


def _spelt(words: Collection[bytes], encoding: str) -> tuple[set[str], set[str]]:
    """Return the words well spelt in the language of most of them, and those in any language."""
    texts = {word.decode(encoding, "replace") for word in words}
    signs = {text for text in texts if re.fullmatch(ALONE, text)}
    letters = {text: {*text.strip(AROUND).lower()} for text in texts - signs if _is_cased(text)}
    by_language = [
        {text for text, own in letters.items() if own <= language}
        for language in LANGUAGES[encoding]
    ]
    return signs | max(by_language, key=len), signs.union(*by_language)


def _is_cased(word: str) -> bool:
    """Say whether no capital beyond ASCII follows a small letter, as it does in misread words."""
    return not any(
        before.islower() and after.isupper() and not after.isascii()
        for before, after in pairwise(word)
    )
