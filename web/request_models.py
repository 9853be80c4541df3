"""Schemas of requests to the ledger's endpoints: path and query parameters, bodies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from risk.config import Metric
from risk.ledger.trends import MEASURES
from risk.monitoring.findings import Check
from web.responses import MAX_ID, Format, Page

Number = Annotated[int, Field(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(max_length=700, pattern=r"^[^\x00]*$")]
YesOrNo = Literal["true", "false"]


class NoExtraFields(BaseModel):
    """Parameters or a body without additional fields."""

    model_config = ConfigDict(extra="forbid")


class ById(NoExtraFields):
    """Selection of a row by its ID."""

    id: Number


class ByVersion(NoExtraFields):
    """Selection of a release by its version."""

    version: Number


class ByMetric(NoExtraFields):
    """Selection of a trend by its metric."""

    metric: str = Field(
        max_length=100, description=f"one of {', '.join(MEASURES)}", examples=list(MEASURES)
    )


class OfRuns(Page):
    """Selection of runs."""

    status: Literal["running", "ok", "failed", "aborted"] | None = None


class OfFindings(Page):
    """Selection of findings."""

    run_id: Number | None = None
    feature: Name | None = None
    check_name: Check | None = None
    drift_detected: YesOrNo | None = None


class OfIncidents(Page):
    """Selection of incidents."""

    open: YesOrNo | None = None


class OfScores(Page):
    """Selection of scores."""

    metric: Metric | None = None
    dataset: Name | None = None
    version: Number | None = None


class OfQuarantine(Page):
    """Selection of refused cells."""

    ingestion_id: Number | None = None


class OfDecisions(Page):
    """Selection of decisions."""

    run_id: Number | None = None
    action: Literal["keep", "ask", "deploy", "rollback"] | None = None


class OfDrops(Page):
    """Selection of drops."""

    run_id: Number | None = None
    status: Literal["taken", "duplicate", "refused"] | None = None


class OfTrend(NoExtraFields):
    """Selection of a trend's points."""

    feature: Name | None = Field(
        None, description="for scores the dataset, for durations the stage, for rows the drop"
    )
    since: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,3}[dh]$", description="how far back, such as 30d or 12h"
    )
    per: Literal["run", "day"] = "run"
    format: Format | None = None


class Resolution(NoExtraFields):
    """The reason for resolving an incident."""

    model_config = ConfigDict(strict=True)

    reason: str = Field("", max_length=500, pattern=r"^[^\x00]*$")


class Nothing(NoExtraFields):
    """An empty body."""


class Choice(NoExtraFields):
    """The release to make live."""

    model_config = ConfigDict(strict=True)

    version: Number

    @field_validator("version", mode="before")
    @classmethod
    def _as_in_json(cls, number: Any) -> Any:
        """Accept 3.0 as 3, as in JSON."""
        whole = isinstance(number, float) and number.is_integer()
        return int(number) if whole else number
