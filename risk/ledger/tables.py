"""Tables of the ledger; times are in UTC, units are in the column names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
)

from risk.ledger.column_types import Excerpt, Identity, LongText, Name, Number, UtcDateTime

REVISION = "0019"


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _id() -> Column[Any]:
    return Column("id", Identity, primary_key=True, autoincrement=True)


def _run() -> Column[Any]:
    return Column("run_id", Identity, ForeignKey("runs.id"), index=True)


def _found() -> tuple[Column[Any], ...]:
    """What a text says, as fields; rows from before revision 0007 have only the text."""
    return (
        Column("direction", Name(64)),
        Column("value_before", Number),
        Column("value_after", Number),
        Column("facts", LongText),
    )


runs = Table(
    "runs",
    metadata,
    _id(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("status", Name(16), nullable=False),
    Column("outcome", LongText),
    Column("error", Name(64)),
)

stage_timings = Table(
    "stage_timings",
    metadata,
    _id(),
    _run(),
    Column("stage", Name(32), nullable=False, index=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration_seconds", Number, nullable=False),
    Column("outcome", LongText, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _run(),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("action", Name(16), nullable=False),
    Column("version", Integer),
    Column("reason", LongText, nullable=False),
    Column("comparison", LongText),
    Column("completed_at", UtcDateTime),
    Column("reason_code", Name(32)),
    Column("facts", LongText),
)

ingestions = Table(
    "ingestions",
    metadata,
    _id(),
    _run(),
    Column("assessment_id", Identity, ForeignKey("assessments.id"), index=True),
    Column("decision_id", Identity, ForeignKey("decisions.id"), index=True),
    Column("kind", Name(16), nullable=False, server_default="rows"),
    Column("ingested_at", UtcDateTime, nullable=False),
    Column("path", Name(700), nullable=False, index=True),
    Column("sha256", Name(64), nullable=False, index=True),
    Column("taken_sha256", Name(64), unique=True),
    Column("duplicate_of", Identity, ForeignKey("ingestions.id")),
    Column("requeued_as", Identity, ForeignKey("ingestions.id")),
    Column("status", Name(16), nullable=False),
    Column("reason", LongText),
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_added", BigInteger, nullable=False),
    Column("rows_duplicate", BigInteger, nullable=False),
    Column("rows_quarantined", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("undeclared", LongText),
    # of the rows' hashes and keys: null before revision 0009, where times were compared as text
    Column("hash_version", Integer),
    # the accepted last row of a file that ended without a line end, perhaps unfinished
    Column("unfinished_row_hash", BigInteger),
    Column("part_sha256", Name(64)),
    # what the rows are in final_data.csv
    Column("compiled_bytes", BigInteger),
    Column("compiled_sha256", Name(64)),
    # the first ingestion of a drop that has several, for its very many rows
    Column("continues", Identity, index=True),
)

quarantined_rows = Table(
    "quarantined_rows",
    metadata,
    _id(),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("line", BigInteger, nullable=False),
    Column("column_name", Excerpt(255), nullable=False),
    Column("rule", Excerpt(255), nullable=False),
    Column("value", Excerpt(255), nullable=False),
)

row_hashes = Table(
    "row_hashes",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    # of the same transaction: a foreign key would be looked up for each row
    Column("ingestion_id", Identity, nullable=False),
    sqlite_with_rowid=False,
)

superseded_rows = Table(
    "superseded_rows",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("row_ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False),
    Column("removed_at", UtcDateTime),
)

unripe_rows = Table(
    "unripe_rows",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key_hash", BigInteger, nullable=False, index=True),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("event_time_us", BigInteger),
)

later_labels = Table(
    "later_labels",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key_hash", BigInteger, nullable=False, index=True),
    Column("y_true", Integer, nullable=False),
    Column("row_ingestion_id", Identity, nullable=False, index=True),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("event_time_us", BigInteger),
)

early_labels = Table(
    "early_labels",
    metadata,
    _id(),
    Column("key_hash", BigInteger, nullable=False, index=True),
    Column("event_time_us", BigInteger),
    Column("y_true", Integer, nullable=False),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
)

assessments = Table(
    "assessments",
    metadata,
    _id(),
    _run(),
    Column("assessed_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, index=True),
    Column("n", BigInteger, nullable=False),
    Column("profile", LongText, nullable=False),
    Column("attribution", LongText),
    Column("summary", LongText, nullable=False),
    Column("cause", LongText, nullable=False),
    Column("facts", LongText),
)

detectors = Table(
    "detectors",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("assessment_id", Identity, ForeignKey("assessments.id"), nullable=False),
    Column("state", LongText, nullable=False),
)

predictions = Table(
    "predictions",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("y_pred_proba", Number, nullable=False),
    Column("expected_proba", Number),
)

incidents = Table(
    "incidents",
    metadata,
    _id(),
    _run(),
    Column("version", Integer, nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("subject", Name(700), nullable=False),
    Column("severity", Name(16), nullable=False),
    Column("detail", LongText, nullable=False),
    Column("since_ingestion_id", Identity),
    Column("last_ingestion_id", Identity),
    Column("times_seen", Integer, nullable=False, server_default="1"),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("resolved_at", UtcDateTime, index=True),
    Column("resolution", LongText),
    *_found(),
    Column("method", Name(32)),
    Column("effect", Number),
    Column("n", BigInteger),
    Column("e_value", Number),
    Column("resolution_code", Name(32)),
    Column("resolution_facts", LongText),
)

follow_ups = Table(
    "follow_ups",
    metadata,
    _id(),
    _run(),
    Column("incident_id", Identity, ForeignKey("incidents.id"), nullable=False, index=True),
    Column("followed_at", UtcDateTime, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("shift", Number, nullable=False),
    Column("tolerated", Number, nullable=False),
    Column("standard_error", Number, nullable=False),
)

first_release_outcomes = Table(
    "first_release_outcomes",
    metadata,
    _id(),
    _run(),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("compared_at", UtcDateTime, nullable=False),
    Column("first_version", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("true_positives", BigInteger, nullable=False),
    Column("false_positives", BigInteger, nullable=False),
    Column("false_negatives", BigInteger, nullable=False),
    Column("first_true_positives", BigInteger, nullable=False),
    Column("first_false_positives", BigInteger, nullable=False),
    Column("first_false_negatives", BigInteger, nullable=False),
)

file_digests = Table(
    "file_digests",
    metadata,
    Column("name", Name(700), primary_key=True),
    Column("sha256", Name(64), nullable=False),
    Column("replaced_sha256", Name(64)),  # of the file before, if this one was not written yet
)

derived_files = Table(
    "derived_files",
    metadata,
    Column("name", Name(255), primary_key=True),
    Column("ingestion_id", Identity, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    _run(),
    Column("created_at", UtcDateTime, nullable=False),
    Column("model_sha256", Name(64), nullable=False),
    Column("rows_trained", BigInteger, nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("manifest", LongText, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    _id(),
    _run(),
    Column("scored_at", UtcDateTime, nullable=False),
    Column("model_sha256", Name(64), nullable=False),
    Column("version", Integer),
    Column("dataset", Name(700), nullable=False),
    Column("metric", Name(32), nullable=False),
    Column("value", Number),
    Column("lower", Number),
    Column("upper", Number),
    Column("n", BigInteger, nullable=False),
    Column("n_positive", BigInteger),
    Index("ix_scores_metric_scored_at", "metric", "scored_at"),
)

column_statistics = Table(
    "column_statistics",
    metadata,
    _id(),
    _run(),
    Column("computed_at", UtcDateTime, nullable=False),
    Column("column_name", Excerpt(255), nullable=False, index=True),
    Column("row_count", BigInteger, nullable=False),
    Column("missing_count", BigInteger, nullable=False),
    Column("missing_percent", Number),
    Column("mean", Number),
    Column("median", Number),
    Column("standard_deviation", Number),
    Column("distinct_count", BigInteger),
    Column("top_value", Excerpt(255)),
    Column("top_count", BigInteger),
)

findings = Table(
    "findings",
    metadata,
    _id(),
    _run(),
    Column("found_at", UtcDateTime, nullable=False),
    Column("check_name", Name(32), nullable=False),
    Column("feature", Name(700)),
    Column("method", Name(32), nullable=False),
    Column("drift_score", Number),
    Column("threshold", Number),
    Column("p_value", Number),
    Column("e_value", Number),
    Column("drift_detected", Boolean, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("rows_needed", BigInteger),
    Column("distances", LongText),
    Column("detail", LongText, nullable=False),
    *_found(),
    Column("tier", Name(16), nullable=False, server_default="none", index=True),
)

requests_for_change = Table(
    "requests_for_change",
    metadata,
    _id(),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("key_name", Name(64), nullable=False),
    Column("method", Name(8), nullable=False),
    Column("path", Name(700), nullable=False),
    Column("status", Integer),
)

drills = Table(
    "drills",
    metadata,
    _id(),
    _run(),
    Column("drilled_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, index=True),
    Column("n_batches", Integer, nullable=False),
    Column("drill", LongText, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    _id(),
    _run(),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),  # again when a snoozed one comes back
    Column("answered_at", UtcDateTime),
    Column("snoozed_until", UtcDateTime),
    Column("closed_at", UtcDateTime, index=True),
    Column("closed_because", Name(32)),
    Column("state", Name(16), nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("subject", Name(700), nullable=False, index=True),
    Column("severity", Name(16)),
    Column("version", Integer, nullable=False),
    Column("challenger", Name(128), index=True),
    Column("incident_id", Identity, ForeignKey("incidents.id"), index=True),
    Column("decision_id", Identity, ForeignKey("decisions.id"), nullable=False, index=True),
    Column("facts", LongText, nullable=False),
)

case_answers = Table(
    "case_answers",
    metadata,
    _id(),
    Column("case_id", Identity, ForeignKey("cases.id"), nullable=False, index=True),
    Column("answered_at", UtcDateTime, nullable=False),
    Column("answered_by", Name(64), nullable=False),
    Column("via", Name(16), nullable=False),
    Column("answer", Name(16), nullable=False),
    Column("because", Name(16)),
    Column("note", LongText),
    Column("until", UtcDateTime),
)

reports = Table(
    "reports",
    metadata,
    _id(),
    _run(),
    Column("made_at", UtcDateTime, nullable=False),
    Column("kind", Name(8), nullable=False),
    Column("path", Name(700), nullable=False),
    Column("sha256", Name(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    UniqueConstraint("run_id", "kind", name="uq_reports_run"),
)

messages = Table(
    "messages",
    metadata,
    _id(),
    _run(),
    Column("incident_id", Identity, ForeignKey("incidents.id")),
    Column("decision_id", Identity, ForeignKey("decisions.id")),
    Column("case_id", Identity, ForeignKey("cases.id"), index=True),
    Column("target", Name(255), nullable=False),
    Column("event", Name(32), nullable=False),
    Column("title", LongText, nullable=False),
    Column("body", LongText, nullable=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("sent_at", UtcDateTime, index=True),
    Column("last_error", LongText),
    UniqueConstraint("target", "event", "run_id", name="uq_messages_run"),
    UniqueConstraint("target", "event", "incident_id", name="uq_messages_incident"),
    UniqueConstraint("target", "event", "decision_id", name="uq_messages_decision"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Name(64), primary_key=True),
    Column("holder", Name(255), nullable=False),
    Column("token", Name(64), nullable=False),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("renewed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

dataset_rows = Table(
    "dataset_rows",
    metadata,
    Column("row_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("identifier", Name(700), nullable=False, index=True),
    Column("event_time", LongText),
    Column("y_true", Integer),
    Column("labelled_by", Identity, ForeignKey("ingestions.id"), index=True),
    Column("row", LongText, nullable=False),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("source", Name(64), primary_key=True),
    Column("ingestion_id", Identity, ForeignKey("ingestions.id"), nullable=False, index=True),
    Column("value", LongText, nullable=False),
    Column("kind", Name(16), nullable=False),
)
