"""Column types that mean the same on every server."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Double, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

MAX_VALUE = sys.float_info.max
Identity = BigInteger().with_variant(Integer(), "sqlite")


class Name(TypeDecorator[str]):
    """A text of bounded length: what is longer is refused everywhere, and never cut off.

    Texts are compared and sorted by code point, as Python does it.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask each server to tell A from a, and "a" from "a "."""
        if _is_mysql(dialect):
            return mysql.VARCHAR(self.length, collation=_by_code_point(dialect))
        return String(self.length, collation=_by_code_point(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Refuse what is too long."""
        text = _storable(value)
        if text is not None and len(text) > self.length:
            raise ValueError(f"{text[:40]!r}... has {len(text)} characters of {self.length}")
        return text

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with a text of any length: what is too long to be stored is just not found."""
        return LongText()


class Excerpt(Name):
    """A text that only describes: what is longer is cut off, and ends in an ellipsis."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Cut off what is too long."""
        text = _storable(value)
        if text is not None and len(text) > self.length:
            return f"{text[: self.length - 1]}…"
        return text


class LongText(TypeDecorator[str]):
    """A text of any length, which MariaDB would limit to 64 KiB."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask MariaDB for its longest text."""
        if _is_mysql(dialect):
            return mysql.LONGTEXT(collation=_by_code_point(dialect))
        return Text(collation=_by_code_point(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Show what no server has a place for."""
        return _storable(value)


class Number(TypeDecorator[float]):
    """A number with all its digits.

    What is not a number is stored as unknown, as NULL; what is beyond every number, such as
    evidence, as the largest there is. Not every server knows either.
    """

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Make a number of numpy's one the drivers know."""
        if value is None or math.isnan(value):
            return None
        return float(max(-MAX_VALUE, min(MAX_VALUE, value)))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: stored as naive UTC with microseconds, given back aware, on every server."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask MariaDB for the microseconds it would drop."""
        return mysql.DATETIME(fsp=6) if _is_mysql(dialect) else DateTime()

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment whose zone is unknown."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive time cannot be stored, got {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _is_mysql(dialect: Dialect) -> bool:
    return dialect.name in ("mysql", "mariadb")


def _by_code_point(dialect: Dialect) -> str | None:
    if _is_mysql(dialect):
        is_mariadb = getattr(dialect, "is_mariadb", True)
        return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
    return "C" if dialect.name == "postgresql" else None


def _storable(text: str | None) -> str | None:
    """Show a NUL, for which PostgreSQL has no place, and halves of characters by signs for them."""
    if text is None:
        return None
    return text.replace("\0", "␀").encode("utf-8", "backslashreplace").decode()
