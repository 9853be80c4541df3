"""The elements of a report, independent of the output format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["plain", "lead", "good", "warning", "bad", "aside"]
Cell = str | int | float | bool | datetime | None
NOTHING, TOGETHER = "–", "\N{NO-BREAK SPACE}"
MIN_DECIMAL, MAX_DECIMAL = 5e-5, 1e12  # beyond these, numbers are abbreviated


@dataclass(frozen=True)
class Paragraph:
    """Sentences; a lead comes first, an aside explains, the other tones are verdicts."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list of short sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Plain values; numbers are aligned right, and headings repeated on each page.

    `shares` are the columns shown as percentages; `omitted` is a note on rows not shown.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    shares: tuple[str, ...] = ()
    omitted: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and its alternative text."""

    figure: Figure
    caption: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """A heading and its content; nested sections are one level deeper."""

    title: str
    blocks: tuple[Block, ...] = ()


Block: TypeAlias = Paragraph | Bullets | Table | Picture | Section


@dataclass(frozen=True)
class Document:
    """A report: pages for the hurried reader, and the details, with a table of contents."""

    title: str
    subtitle: str
    reported_at: datetime
    sections: tuple[Section, ...] = ()
    details: tuple[Section, ...] = ()
    language: str = "en"


def as_text(cell: Cell, *, is_share: bool = False) -> str:
    """Format a value for reading."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return f"{cell.astimezone(UTC) if cell.tzinfo else cell:%Y-%m-%d{TOGETHER}%H:%M}"
    if isinstance(cell, str):
        return cell
    if is_share:
        return f"{100 * cell:.1f}{TOGETHER}%"
    return f"{cell:,}" if isinstance(cell, int) else _decimal(float(cell))


def rows_as_text(table: Table) -> list[list[str]]:
    """Format all cells of a table."""
    shares = [name in table.shares for name in table.columns]
    return [
        [as_text(cell, is_share=share) for cell, share in zip(row, shares, strict=True)]
        for row in table.rows
    ]


def numeric_columns(table: Table) -> list[bool]:
    """Return for each column whether it contains only numbers and is aligned right."""
    return [_all_numbers([row[i] for row in table.rows]) for i in range(len(table.columns))]


def _all_numbers(cells: list[Cell]) -> bool:
    given = [cell for cell in cells if cell is not None]
    return bool(given) and all(
        isinstance(cell, int | float) and not isinstance(cell, bool) for cell in given
    )


def _decimal(number: float) -> str:
    size = abs(number)
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    if size >= MAX_DECIMAL:
        return f"{number:.1e}"
    if 0 < size < MIN_DECIMAL:
        return "almost 0"
    if 0 < size < 1e-3:
        return f"{number:.4f}"
    if size >= 1000:
        return f"{number:,.0f}"
    if size >= 100:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 10 else f"{number:.3f}"
