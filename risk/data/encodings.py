"""How the text of a file is encoded: as its byte-order mark says, or by the letters it then has."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from string import ascii_lowercase

from risk.data import east_asian

NAMES = {
    "utf-8": "UTF-8",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1257": "Windows-1257 (Baltic)",
    **east_asian.NAMES,
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
    "cp1252 in the north": "áéíóúýðþæö áíóúýðæø",  # ýðþ are ığş in Turkish
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
ALL = (*LANGUAGES, *east_asian.NAMES)
WORD = rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*"
SIGNS = rb"(?:\xc2[\x80-\xbf])+"  # of UTF-8, such as a space at which no line breaks
ALONE = r"[^\w\ufffd]+|[kcdm]?m?[²³½¼¾¹]|µ\w+"  # signs and units, such as € or m²
AROUND = "€‚„…‘’“”•–—§©«»®°·\u00a0\u00ad"
MAX_WORDS = 20_000
SURE = 0.9  # share of the words that are well spelt; of the others, some are foreign
MANY = 20  # words that differ between two encodings: no chance makes all of them fit both


@dataclass(frozen=True)
class Spelling:
    """The words of a text in one encoding, and their bytes.

    `common` are those well spelt in the language of most of them, `known` those in any.
    """

    words: Mapping[str, bytes]
    common: set[str]
    known: set[str]

    @property
    def score(self) -> float:
        """The share of the words that are well spelt, of which the common ones count twice."""
        return (len(self.common) + len(self.known)) / max(len(self.words), 1)

    @property
    def odd(self) -> list[str]:
        """The words that are not well spelt."""
        return sorted({*self.words} - self.known)

    @property
    def is_sure(self) -> bool:
        """Whether nearly all words are well spelt."""
        return len(self.odd) <= (1 - SURE) * len(self.words)


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
    found = {}
    for name in ALL:
        with suppress(UnicodeDecodeError):
            found[name] = _spelling(content, name)
    name = max(found, key=lambda name: found[name].score)
    best, spelling = _encoding(name), found[name]
    if not spelling.is_sure:
        return Guess(best, spelling.odd[0], is_sure=False)
    for other in (own for own in NAMES if own in found and found[own].score == spelling.score):
        differing = [
            (word, other_word)
            for word, read in spelling.words.items()
            if (other_word := read.decode(other, "replace")) != word
            and not re.fullmatch(ALONE, word)
        ]
        if 0 < len(differing) < MANY:
            word, other_word = differing[0]
            return Guess(best, word, other=(other, other_word))
    return Guess(best, max(spelling.common, key=len, default=""))


def is_misread(pieces: Iterable[bytes], encoding: str) -> bool:
    """Say whether the pieces of a file are UTF-8, which this encoding would not show as words.

    Signs do not either: of one byte each, they would have an Â before them.
    """
    decoder, words = codecs.getincrementaldecoder("utf-8")(), set[bytes]()
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            if not text.isascii() and len(words) < MAX_WORDS:
                words.update(re.findall(WORD, piece))
        is_all_signs = all(re.fullmatch(SIGNS, word) for word in words)
        decoder.decode(b"", final=True)
        own = (name for name in ALL if _encoding(name) == encoding)
        spellings = [_spelling(b"\n".join(words), name) for name in own]
    except UnicodeDecodeError:
        return False
    if is_all_signs and encoding not in east_asian.NAMES:
        return bool(words)
    return not any(spelling.is_sure for spelling in spellings)


def _encoding(name: str) -> str:
    """Return the encoding of some languages."""
    return name.split()[0]


def _spelling(content: bytes, name: str) -> Spelling:
    """Return how the words of a content are spelt in the languages of an encoding.

    Raises UnicodeDecodeError if it is not in that encoding, unless that takes one byte each.
    """
    if name in east_asian.NAMES:
        words = dict(islice(east_asian.words(content, name).items(), MAX_WORDS))
        return Spelling(words, *east_asian.well_spelt(words, name))
    found = sorted({*re.findall(WORD, content)})[:MAX_WORDS]
    words = {word.decode(_encoding(name), "replace"): word for word in found}
    signs = {text for text in words if re.fullmatch(ALONE, text)}
    letters = {text: {*text.strip(AROUND).lower()} for text in words if _is_cased(text)}
    by_language = [
        {text for text, own in letters.items() if own <= language} - signs
        for language in LANGUAGES[name]
    ]
    common = signs | max(by_language, key=len)
    return Spelling(words, common, signs.union(*by_language))


def _is_cased(word: str) -> bool:
    """Say whether no capital beyond ASCII follows a small letter, as it does in misread words."""
    return not any(
        before.islower() and after.isupper() and not after.isascii()
        for before, after in pairwise(word)
    )
