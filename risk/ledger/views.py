"""The ledger's views and what their columns are; docs/views.md says what they mean."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, MetaData, String, Table
from sqlalchemy.types import TypeEngine

from risk.ledger.column_types import UtcDateTime

metadata = MetaData()
NUMBER, WHOLE, MOMENT, WORDS, TRUTH = Double, BigInteger, UtcDateTime, String, Boolean


def _view(name: str, **columns: type[TypeEngine[Any]]) -> Table:
    """Describe a view; its first column tells its rows apart."""
    return Table(name, metadata, *(Column(name, kind) for name, kind in columns.items()))


score_trend = _view(
    "v_score_trend",
    score_id=WHOLE,
    run_id=WHOLE,
    scored_at=MOMENT,
    version=WHOLE,
    dataset=WORDS,
    metric=WORDS,
    value=NUMBER,
    lower=NUMBER,
    upper=NUMBER,
    n=WHOLE,
)

drift_trend = _view(
    "v_drift_trend",
    finding_id=WHOLE,
    run_id=WHOLE,
    found_at=MOMENT,
    feature=WORDS,
    check_name=WORDS,
    drift_score=NUMBER,
    threshold=NUMBER,
    e_value=NUMBER,
    drift_detected=TRUTH,
    n=WHOLE,
    detail=WORDS,
    direction=WORDS,
    value_before=NUMBER,
    value_after=NUMBER,
)

column_trend = _view(
    "v_column_trend",
    statistic_id=WHOLE,
    run_id=WHOLE,
    computed_at=MOMENT,
    column_name=WORDS,
    row_count=WHOLE,
    missing_count=WHOLE,
    missing_percent=NUMBER,
    mean=NUMBER,
    median=NUMBER,
    standard_deviation=NUMBER,
    distinct_count=WHOLE,
    top_value=WORDS,
    top_count=WHOLE,
)

run_summary = _view(
    "v_run_summary",
    run_id=WHOLE,
    started_at=MOMENT,
    ended_at=MOMENT,
    duration_seconds=NUMBER,
    status=WORDS,
    drops=WHOLE,
    rows_accepted=WHOLE,
    rows_duplicate=WHOLE,
    rows_quarantined=WHOLE,
    alarms=WHOLE,
    action=WORDS,
    version=WHOLE,
    reason=WORDS,
    outcome=WORDS,
)

incidents = _view(
    "v_incidents",
    incident_id=WHOLE,
    run_id=WHOLE,
    version=WHOLE,
    kind=WORDS,
    subject=WORDS,
    severity=WORDS,
    state=WORDS,
    opened_at=MOMENT,
    last_seen_at=MOMENT,
    acknowledged_at=MOMENT,
    resolved_at=MOMENT,
    times_seen=WHOLE,
    since_drop=WORDS,
    detail=WORDS,
    resolution=WORDS,
    direction=WORDS,
    value_before=NUMBER,
    value_after=NUMBER,
)
