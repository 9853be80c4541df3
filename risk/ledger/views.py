"""Views of the ledger and their column types; docs/views.md explains their meaning."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, MetaData, String, Table
from sqlalchemy.types import TypeEngine

from risk.ledger.column_types import UtcDateTime

metadata = MetaData()
NUMBER, INTEGER, TIMESTAMP, TEXT, BOOLEAN = Double, BigInteger, UtcDateTime, String, Boolean


def _view(name: str, **columns: type[TypeEngine[Any]]) -> Table:
    """Return the definition of a view; its first column identifies the rows."""
    return Table(name, metadata, *(Column(name, kind) for name, kind in columns.items()))


score_trend = _view(
    "v_score_trend",
    score_id=INTEGER,
    run_id=INTEGER,
    scored_at=TIMESTAMP,
    version=INTEGER,
    dataset=TEXT,
    metric=TEXT,
    value=NUMBER,
    lower=NUMBER,
    upper=NUMBER,
    n=INTEGER,
)

drift_trend = _view(
    "v_drift_trend",
    finding_id=INTEGER,
    run_id=INTEGER,
    found_at=TIMESTAMP,
    feature=TEXT,
    check_name=TEXT,
    drift_score=NUMBER,
    threshold=NUMBER,
    e_value=NUMBER,
    drift_detected=BOOLEAN,
    n=INTEGER,
    detail=TEXT,
    direction=TEXT,
    value_before=NUMBER,
    value_after=NUMBER,
    tier=TEXT,
)

column_trend = _view(
    "v_column_trend",
    statistic_id=INTEGER,
    run_id=INTEGER,
    computed_at=TIMESTAMP,
    column_name=TEXT,
    row_count=INTEGER,
    missing_count=INTEGER,
    missing_percent=NUMBER,
    mean=NUMBER,
    median=NUMBER,
    standard_deviation=NUMBER,
    distinct_count=INTEGER,
    top_value=TEXT,
    top_count=INTEGER,
)

run_summary = _view(
    "v_run_summary",
    run_id=INTEGER,
    started_at=TIMESTAMP,
    ended_at=TIMESTAMP,
    duration_seconds=NUMBER,
    status=TEXT,
    drops=INTEGER,
    rows_accepted=INTEGER,
    rows_duplicate=INTEGER,
    rows_quarantined=INTEGER,
    alarms=INTEGER,
    action=TEXT,
    version=INTEGER,
    reason=TEXT,
    outcome=TEXT,
)

incidents = _view(
    "v_incidents",
    incident_id=INTEGER,
    run_id=INTEGER,
    version=INTEGER,
    kind=TEXT,
    subject=TEXT,
    severity=TEXT,
    state=TEXT,
    opened_at=TIMESTAMP,
    last_seen_at=TIMESTAMP,
    acknowledged_at=TIMESTAMP,
    resolved_at=TIMESTAMP,
    times_seen=INTEGER,
    since_drop=TEXT,
    detail=TEXT,
    resolution=TEXT,
    direction=TEXT,
    value_before=NUMBER,
    value_after=NUMBER,
    resolution_code=TEXT,
)
