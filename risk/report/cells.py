"""How a value of a table is written, alike on paper and on the screen."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from risk.report.document import Cell, Table

NOTHING, TOGETHER = "–", "\N{NO-BREAK SPACE}"
SMALLEST_DECIMAL, LARGEST_DECIMAL = 5e-5, 1e12  # what lies beyond them is no number for people


def as_text(cell: Cell, *, is_share: bool = False) -> str:
    """Write a value so that people read it at once."""
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
    """Write all cells of a table."""
    shares = [name in table.shares for name in table.columns]
    return [
        [as_text(cell, is_share=share) for cell, share in zip(row, shares, strict=True)]
        for row in table.rows
    ]


def numeric_columns(table: Table) -> list[bool]:
    """Tell which columns hold nothing but numbers, and so are aligned right."""
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
    if size >= LARGEST_DECIMAL:
        return f"{number:.1e}"
    if 0 < size < SMALLEST_DECIMAL:
        return "almost 0"
    if 0 < size < 1e-3:
        return f"{number:.4f}"
    if size >= 1000:
        return f"{number:,.0f}"
    if size >= 100:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 10 else f"{number:.3f}"
