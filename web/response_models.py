"""Schemas of the responses of the ledger's endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_openapi import APIBlueprint
from flask_openapi.models import Schema
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field

from risk.decisions.account import Verdict, Why
from risk.monitoring.drill import Drill
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
    margin: float | None = None
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


class Drilled(BaseModel):
    """A fire drill of a release on its quiet batches, or on none but its training data."""

    id: int
    run_id: int | None
    drilled_at: datetime
    version: int
    n_batches: int
    drill: Drill


class Share(BaseModel):
    """The share of the rows in one cell: of a number between two bounds, or of one value.

    An end without a bound is open; the cell of the missing values has neither.
    """

    lower: float | None = None
    upper: float | None = None
    value: str | None = None
    reference: float
    current: float | None


class Distribution(BaseModel):
    """How a column is spread in the reference of the live release, and in the newest rows."""

    feature: str
    version: int | None
    n_reference: int
    n_current: int
    cells: list[Share]


class Began(BaseModel):
    """Between which assessments a change began to show; where `from` is null it is not known."""

    from_: datetime | None = Field(alias="from")
    to: datetime


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
    guarantee: str | None
    assumptions: list[str]
    since: Began | None
    rows_seen: int


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


class Outcome(BaseModel):
    """What full_process.py --json prints: the alarms of a run, open incidents, the decision."""

    run_id: int | None
    line: str
    drift: bool
    quarantined: bool
    needs_a_person: bool
    exit_code: int
    findings: list[Finding]
    incidents: list[Incident]
    decision: Decision | None


class RunInFull(Run):
    """A run with its stages, drops, findings and decisions, up to 100 of each."""

    stages: list[Stage]
    drops: list[Drop]
    findings: list[Finding]
    decisions: list[Decision]


class Part(BaseModel):
    """A part of a change of the score, in units of the score, with its interval."""

    value: float
    lower: float
    upper: float


class BaseRates(BaseModel):
    """The share of positives in the training data, expected of the new rows, and found in them."""

    reference: float
    expected: float
    realised: float


class ScoreChange(BaseModel):
    """By how much the score differs from the promise, and the parts that add up to it.

    Where chance explains the difference there are no parts and no base rates.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "metric": "f1",
                "n": 980,
                "at": "2026-03-02T06:00:00+00:00",
                "before": 0.74,
                "after": 0.64,
                "is_beyond_chance": True,
                "parts": {
                    "covariates": {"value": 0.0, "lower": -0.02, "upper": 0.03},
                    "base_rate": {"value": -0.08, "lower": -0.11, "upper": -0.05},
                    "relation": {"value": -0.03, "lower": -0.05, "upper": -0.01},
                    "chance": {"value": 0.01, "lower": -0.04, "upper": 0.04},
                },
                "cause": "base_rate",
                "base_rates": {"reference": 0.53, "expected": 0.49, "realised": 0.42},
            }
        }
    )

    metric: str
    n: int
    at: datetime
    before: float
    after: float
    is_beyond_chance: bool
    parts: dict[str, Part]
    cause: str
    base_rates: BaseRates | None = None


class ScoreExplained(BaseModel):
    """Why the score of the live release differs from its promise, and what may bring it back.

    `change` is None as long as too few labels have come.
    """

    change: ScoreChange | None
    text: str
    offered: list[str]


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


class JudgedAlarm(BaseModel):
    """An alarm, and what later rows say of it."""

    incident_id: int
    opened_at: datetime
    version: int
    kind: str
    subject: str
    verdict: Verdict
    why: Why
    drops: int
    shift: Estimate | None


class Warned(BaseModel):
    """Early warnings, and those that became alarms."""

    warnings: int
    became_alarms: int


class Gain(BaseModel):
    """What the releases gained against keeping the first one."""

    first_version: int
    since: datetime
    f1: Estimate
    rows: int
    drops: int
    errors_avoided: int
    cost_saved: float
    not_known_before: datetime | None


class Account(BaseModel):
    """How the alarms turned out, and what the releases gained."""

    since: datetime | None
    until: datetime
    days: float
    alarms: list[JudgedAlarm]
    alarms_allowed: float
    warned: Warned
    challengers: int | None
    releases: int
    rolled_back: int
    gain: Gain | None


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
