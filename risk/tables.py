"""The ledger's tables; times are UTC, units are in the names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

REVISION = "0001"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: stored as naive UTC with microseconds, given back aware, on every server."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask MariaDB for the microseconds it would drop."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

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


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
Identity = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[Any]:
    return Column("id", Identity, primary_key=True, autoincrement=True)


def _run() -> Column[Any]:
    return Column("run_id", Identity, ForeignKey("runs.id"), index=True)


runs = Table(
    "runs",
    metadata,
    _id(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("status", String(16), nullable=False),
    Column("outcome", Text),
)

stage_timings = Table(
    "stage_timings",
    metadata,
    _id(),
    _run(),
    Column("stage", String(32), nullable=False, index=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration_seconds", Double, nullable=False),
    Column("outcome", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _run(),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("action", String(16), nullable=False),
    Column("version", Integer),
    Column("reason", Text, nullable=False),
    Column("completed_at", UtcDateTime),
)

ingestions = Table(
    "ingestions",
    metadata,
    _id(),
    _run(),
    Column("decision_id", Identity, ForeignKey("decisions.id"), index=True),
    Column("ingested_at", UtcDateTime, nullable=False),
    Column("path", String(700), nullable=False, index=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("taken_sha256", String(64), unique=True),
    Column("duplicate_of", Identity, ForeignKey("ingestions.id")),
    Column("requeued_as", Identity, ForeignKey("ingestions.id")),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_added", BigInteger, nullable=False),
    Column("rows_duplicate", BigInteger, nullable=False),
    Column("rows_quarantined", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
)

quarantined_rows = Table(
    "quarantined_rows",
    metadata,
    _id(),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("line", BigInteger, nullable=False),
    Column("column_name", String(255), nullable=False),
    Column("rule", String(255), nullable=False),
    Column("value", String(255), nullable=False),
)

row_hashes = Table(
    "row_hashes",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False),
    sqlite_with_rowid=False,
)

derived_files = Table(
    "derived_files",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("ingestion_id", Identity, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    _run(),
    Column("created_at", UtcDateTime, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("rows_trained", BigInteger, nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("manifest", Text, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    _id(),
    _run(),
    Column("scored_at", UtcDateTime, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("version", Integer),
    Column("dataset", String(700), nullable=False),
    Column("metric", String(32), nullable=False),
    Column("value", Double),
    Column("lower", Double),
    Column("upper", Double),
    Column("n", BigInteger, nullable=False),
    Index("ix_scores_metric_scored_at", "metric", "scored_at"),
)

column_statistics = Table(
    "column_statistics",
    metadata,
    _id(),
    _run(),
    Column("computed_at", UtcDateTime, nullable=False),
    Column("column_name", String(255), nullable=False, index=True),
    Column("row_count", BigInteger, nullable=False),
    Column("missing_count", BigInteger, nullable=False),
    Column("missing_percent", Double),
    Column("mean", Double),
    Column("median", Double),
    Column("standard_deviation", Double),
    Column("distinct_count", BigInteger),
    Column("top_value", String(255)),
    Column("top_count", BigInteger),
)

findings = Table(
    "findings",
    metadata,
    _id(),
    _run(),
    Column("found_at", UtcDateTime, nullable=False),
    Column("check_name", String(32), nullable=False),
    Column("feature", String(255)),
    Column("method", String(32), nullable=False),
    Column("drift_score", Double),
    Column("threshold", Double),
    Column("p_value", Double),
    Column("drift_detected", Boolean, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
)
