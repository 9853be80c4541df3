"""Column types that behave the same on every database server."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Double, Integer, String, Text
from sqlalchemy.types import TypeDecorator

MAX_VALUE = sys.float_info.max
Identity = BigInteger().with_variant(Integer(), "sqlite")


class Name(TypeDecorator[str]):
    """Text of bounded length: longer values are refused on every server, never truncated.

    Values are compared and sorted by code point, as in Python.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return a type with a collation that respects case and trailing spaces."""
        if _is_mysql(dialect):
            from sqlalchemy.dialects import mysql

            return mysql.VARCHAR(self.length, collation=_by_code_point(dialect))
        return String(self.length, collation=_by_code_point(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text; raise ValueError if it is too long."""
        text = _storable(value)
        if text is not None and len(text) > self.length:
            raise ValueError(f"{text[:40]!r}... has {len(text)} characters, max {self.length}")
        return text

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with text of any length: a value too long to be stored is just not found."""
        return LongText()


class Excerpt(Name):
    """Descriptive text of bounded length: longer values are truncated with an ellipsis."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Truncate a text that is too long."""
        text = _storable(value)
        if text is not None and len(text) > self.length:
            return f"{text[: self.length - 1]}…"
        return text


class LongText(TypeDecorator[str]):
    """Text of any length, which MariaDB would limit to 64 KiB by default."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return LONGTEXT on MariaDB, TEXT elsewhere."""
        if _is_mysql(dialect):
            from sqlalchemy.dialects import mysql

            return mysql.LONGTEXT(collation=_by_code_point(dialect))
        return Text(collation=_by_code_point(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace characters that no server can store."""
        return _storable(value)


class Number(TypeDecorator[float]):
    """A floating-point number in full precision.

    NaN is stored as NULL, and infinity, such as that of evidence, as the largest finite number,
    as not every server supports either.
    """

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Convert a number, possibly of numpy, to a finite float or None."""
        if value is None or math.isnan(value):
            return None
        return float(max(-MAX_VALUE, min(MAX_VALUE, value)))


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp: stored as naive UTC with microseconds, returned with its time zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return a type that keeps microseconds, which MariaDB drops by default."""
        if _is_mysql(dialect):
            from sqlalchemy.dialects import mysql

            return mysql.DATETIME(fsp=6)
        return DateTime()

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to naive UTC; raise ValueError if the time zone is unknown."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"cannot store a time without a time zone, got {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the timestamp with its time zone, UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def _is_mysql(dialect: Dialect) -> bool:
    return dialect.name in ("mysql", "mariadb")


def _by_code_point(dialect: Dialect) -> str | None:
    if _is_mysql(dialect):
        is_mariadb = getattr(dialect, "is_mariadb", True)
        return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
    return "C" if dialect.name == "postgresql" else None


def _storable(text: str | None) -> str | None:
    """Replace NUL, which PostgreSQL cannot store, and lone surrogates by visible characters."""
    if text is None:
        return None
    return text.replace("\0", "␀").encode("utf-8", "backslashreplace").decode()
