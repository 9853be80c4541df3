"""What the records look like: the form of each answer, and of what may be asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from flask_openapi import APIBlueprint
from flask_openapi.models import Schema
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field, field_validator

from risk.config import Metric
from risk.ledger.trends import MEASURES
from risk.monitoring.findings import Check
from risk.stats.scores import Estimate
from web.responses import MAX_ID, Format, Page

Number = Annotated[int, Field(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(max_length=700, pattern=r"^[^\x00]*$")]
YesOrNo = Literal["true", "false"]
SCHEMAS = "#/components/schemas/{model}"
TEXT = {"type": "string"}


class Asked(BaseModel):
    """Something that may be asked, and nothing else."""

    model_config = ConfigDict(extra="forbid")


class ById(Asked):
    """A row of a list by its number."""

    id: Number


class ByVersion(Asked):
    """A release by its number."""

    version: Number


class ByMetric(Asked):
    """A trend by its name."""

    metric: str = Field(
        max_length=100, description=f"one of {', '.join(MEASURES)}", examples=list(MEASURES)
    )


class OfRuns(Page):
    """Which runs."""

    status: Literal["running", "ok", "failed", "aborted"] | None = None


class OfFindings(Page):
    """Which findings."""

    run_id: Number | None = None
    feature: Name | None = None
    check_name: Check | None = None
    drift_detected: YesOrNo | None = None


class OfIncidents(Page):
    """Which incidents."""

    open: YesOrNo | None = None


class OfScores(Page):
    """Which scores."""

    metric: Metric | None = None
    dataset: Name | None = None
    version: Number | None = None


class OfQuarantine(Page):
    """Refused cells of which drop."""

    ingestion_id: Number | None = None


class OfDecisions(Page):
    """Which decisions."""

    run_id: Number | None = None
    action: Literal["keep", "ask", "deploy", "rollback"] | None = None


class OfDrops(Page):
    """Which drops."""

    run_id: Number | None = None
    status: Literal["taken", "duplicate", "refused"] | None = None


class OfTrend(Asked):
    """Which stretch of a trend."""

    feature: Name | None = Field(
        None, description="of scores the dataset, of durations the stage, of rows the drop"
    )
    since: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,3}[dh]$", description="how far back, such as 30d or 12h"
    )
    per: Literal["run", "day"] = "run"
    format: Format | None = None


class Resolution(Asked):
    """Why an incident is closed."""

    model_config = ConfigDict(strict=True)

    reason: str = Field("", max_length=500, pattern=r"^[^\x00]*$")


class Nothing(Asked):
    """A body in which nothing can be said."""


class Choice(Asked):
    """The release that is to be the live one."""

    model_config = ConfigDict(strict=True)

    version: Number

    @field_validator("version", mode="before")
    @classmethod
    def _as_in_json(cls, number: Any) -> Any:
        """Take 3.0 for 3."""
        whole = isinstance(number, float) and number.is_integer()
        return int(number) if whole else number


class Comparison(BaseModel):
    """What the gate compared."""

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
    evidence_needed: float | None = None
    sources: dict[str, int] | None = None
    because_drifted: bool | None = None


class Run(BaseModel):
    """A run, and what was decided in it."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    status: str
    outcome: str | None
    duration_seconds: float | None
    action: str | None
    version: int | None
    reason: str | None


class Stage(BaseModel):
    """How long a stage took in a run."""

    id: int
    run_id: int | None
    stage: str
    started_at: datetime
    duration_seconds: float
    outcome: str


class Drop(BaseModel):
    """A drop, and what became of its rows."""

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


class Finding(BaseModel):
    """One check with its evidence and verdict."""

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
    n: int
    rows_needed: int | None
    distances: dict[str, Any] | None
    detail: str
    direction: str | None
    value_before: float | None
    value_after: float | None
    facts: dict[str, Any] | None


class Incident(BaseModel):
    """An alarm and its life."""

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


class Decision(BaseModel):
    """What was done, why, and what the gate compared if it was asked."""

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
    """A run and all that belongs to it, at most 100 of each."""

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
    """How good a release was on a data set, and the interval of that."""

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


class Refused(BaseModel):
    """A cell that broke a rule; line 0 stands for a drop as a whole."""

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
    """A measure over time, the oldest point first."""

    metric: str
    per: str
    points: list[Point]


class Deployed(BaseModel):
    """What a choice of release came to."""

    action: str
    version: int
    reason: str
    decision_id: int


def described(api: APIBlueprint, model: type[BaseModel]) -> dict[str, str]:
    """Put the schema of an answer into the document of `api`, and refer to it."""
    schema = model.model_json_schema(mode="serialization", ref_template=SCHEMAS)
    for name, definition in {**schema.pop("$defs", {}), model.__name__: schema}.items():
        api.components_schemas[name] = Schema(**definition)
    return {"$ref": SCHEMAS.format(model=model.__name__)}


def rows_of(api: APIBlueprint, model: type[BaseModel]) -> ResponseDict:
    """Document an answer that is to be had as JSON and as CSV."""
    return _as_both(described(api, model), f"{model.__doc__}")


def pages_of(api: APIBlueprint, item: type[BaseModel]) -> ResponseDict:
    """Document a list by the page, with links to the other pages."""
    numbers = {name: {"type": "integer"} for name in ("page", "page_size", "total")}
    rows = {"items": {"type": "array", "items": described(api, item)}}
    page = {"type": "object", "properties": rows | numbers, "required": ["items", *numbers]}
    return _as_both(page, f"a page of: {item.__doc__}", headers={"Link": {"schema": TEXT}})


def _as_both(schema: dict[str, Any], description: str, **more: Any) -> ResponseDict:
    content = {"application/json": {"schema": schema}, "text/csv": {"schema": TEXT}}
    return {200: {"description": description, "content": content, **more}}
