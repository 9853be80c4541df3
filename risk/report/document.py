"""What a report is made of; it knows nothing of paper or screens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["plain", "lead", "good", "warning", "bad", "aside"]
Cell = str | int | float | bool | datetime | None


@dataclass(frozen=True)
class Paragraph:
    """Sentences; a lead is read first, an aside explains, the other tones are verdicts."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Bullets:
    """Short sentences that stand beside each other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Plain values; who writes them down aligns numbers right and repeats the headings.

    `shares` names the columns whose numbers are shown as percent; `omitted` says in words which
    rows were left out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    shares: tuple[str, ...] = ()
    omitted: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure, what it shows in one line, and the same for those who cannot see it."""

    figure: Figure
    caption: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; sections in it are one level deeper."""

    title: str
    blocks: tuple[Block, ...] = ()


Block: TypeAlias = Paragraph | Bullets | Table | Picture | Section


@dataclass(frozen=True)
class Document:
    """A whole report; the first section is the page of answers."""

    title: str
    subtitle: str
    reported_at: datetime
    sections: tuple[Section, ...] = field(default=())
    language: str = "en"
