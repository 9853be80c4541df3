"""Schemas of the responses of the ledger's endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_openapi import APIBlueprint
from flask_openapi.models import Schema
from flask_openapi.types import ResponseDict
from pydantic import BaseModel

from risk.monitoring.findings import Tier
from risk.stats.scores import Estimate
from web.openapi import SCHEMAS

TEXT = {"type": "string"}


class Comparison(BaseModel):
    """The comparison made by the gate."""

    proven: bool
    champion: Estimate | None
    challenger: Estimate
    p_value: float | None
    e_value: float | None
    metric: str | None
    n: int
    difference: Estimate | None = None
    confidence: float = 0.95
    verdict: str | None = None
    wins: int | None = None
    losses: int | None = None
    rows_needed: int | None = None
    gain_possible: float | None = None
    evidence_needed: float | None = None
    sources: dict[str, int] | None = None
    because_drifted: bool | None = None


class Run(BaseModel):
    """A run, with its decision."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    status: str
    outcome: str | None
    error: str | None
    duration_seconds: float | None
    action: str | None
    version: int | None
    reason: str | None


class Stage(BaseModel):
    """The timing of a stage in a run."""

    id: int
    run_id: int | None
    stage: str
    started_at: datetime
    duration_seconds: float
    outcome: str


class Drop(BaseModel):
    """A drop, with the outcome for its rows."""

    id: int
    run_id: int | None
    assessment_id: int | None
    decision_id: int | None
    kind: str
    ingested_at: datetime
    path: str
    sha256: str
    duplicate_of: int | None
    requeued_as: int | None
    status: str
    reason: str | None
    rows_read: int
    rows_added: int
    rows_duplicate: int
    rows_quarantined: int
    size_bytes: int
    undeclared: list[str] | None


class Finding(BaseModel):
    """The result of one check, with its evidence."""

    id: int
    run_id: int | None
    found_at: datetime
    check_name: str
    feature: str | None
    method: str
    drift_score: float | None
    threshold: float | None
    p_value: float | None
    e_value: float | None
    drift_detected: bool
    tier: Tier
    n: int
    rows_needed: int | None
    distances: dict[str, Any] | None
    detail: str
    direction: str | None
    value_before: float | None
    value_after: float | None
    facts: dict[str, Any] | None


class Incident(BaseModel):
    """An incident, from its opening to its resolution."""

    id: int
    run_id: int | None
    version: int
    kind: str
    subject: str
    severity: str
    detail: str
    since_ingestion_id: int | None
    last_ingestion_id: int | None
    times_seen: int
    opened_at: datetime
    last_seen_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    direction: str | None
    value_before: float | None
    value_after: float | None
    facts: dict[str, Any] | None
    method: str | None
    effect: float | None
    n: int | None
    e_value: float | None
    resolution_code: str | None
    resolution_facts: dict[str, Any] | None


class Decision(BaseModel):
    """A decision, with its reason and the gate's comparison, if any."""

    id: int
    run_id: int | None
    decided_at: datetime
    action: str
    version: int | None
    reason: str
    comparison: Comparison | None
    completed_at: datetime | None
    reason_code: str | None
    facts: dict[str, Any] | None


class RunInFull(Run):
    """A run with its stages, drops, findings and decisions, up to 100 of each."""

    stages: list[Stage]
    drops: list[Drop]
    findings: list[Finding]
    decisions: list[Decision]


class Release(BaseModel):
    """A model that is or was live."""

    version: int
    run_id: int | None
    created_at: datetime
    model_sha256: str
    rows_trained: int
    proven: bool
    made_by: str | None
    estimator: str | None
    threshold: float | None
    live: bool


class Score(BaseModel):
    """A score of a release on a data set, with its confidence interval."""

    id: int
    run_id: int | None
    scored_at: datetime
    model_sha256: str
    version: int | None
    dataset: str
    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    n_positive: int | None


class Refused(BaseModel):
    """A cell that broke a rule; line 0 means a whole drop."""

    id: int
    ingestion_id: int
    line: int
    column_name: str
    rule: str
    value: str
    path: str
    ingested_at: datetime
    status: str
    requeued_as: int | None


class Point(BaseModel):
    """One value of a trend."""

    at: datetime
    run_id: int | None
    feature: str | None
    dataset: str | None
    version: int | None
    value: float | None
    lower: float | None
    upper: float | None
    n: int | None


class Trend(BaseModel):
    """A metric over time, oldest point first."""

    metric: str
    per: str
    points: list[Point]


class Deployed(BaseModel):
    """The outcome of the choice of a release."""

    action: str
    version: int
    reason: str
    decision_id: int


def described(api: APIBlueprint, model: type[BaseModel]) -> dict[str, str]:
    """Add the schema of a response to the document of `api`; return a reference to it."""
    schema = model.model_json_schema(mode="serialization", ref_template=SCHEMAS)
    for name, definition in {**schema.pop("$defs", {}), model.__name__: schema}.items():
        api.components_schemas[name] = Schema(**definition)
    return {"$ref": SCHEMAS.format(model=model.__name__)}


def rows_of(api: APIBlueprint, model: type[BaseModel]) -> ResponseDict:
    """Document a response available as JSON and as CSV."""
    return _as_both(described(api, model), f"{model.__doc__}")


def pages_of(api: APIBlueprint, item: type[BaseModel]) -> ResponseDict:
    """Document a paginated list, with links to the other pages."""
    numbers = {name: {"type": "integer"} for name in ("page", "page_size", "total")}
    rows = {"items": {"type": "array", "items": described(api, item)}}
    page = {"type": "object", "properties": rows | numbers, "required": ["items", *numbers]}
    return _as_both(
        page, f"One page of a list. Each item: {item.__doc__}", headers={"Link": {"schema": TEXT}}
    )


def _as_both(schema: dict[str, Any], description: str, **more: Any) -> ResponseDict:
    content = {"application/json": {"schema": schema}, "text/csv": {"schema": TEXT}}
    return {200: {"description": description, "content": content, **more}}
