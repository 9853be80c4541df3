"""Schemas of requests to the ledger's endpoints: path and query parameters, bodies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from risk.config import Metric
from risk.decisions.answers import MAX_NOTE, Because
from risk.ledger.trends import MEASURES
from risk.monitoring.findings import Check, Tier
from web.responses import MAX_ID, Format, Page

Number = Annotated[int, Field(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(max_length=700, pattern=r"^[^\x00]*$")]
YesOrNo = Literal["true", "false"]
OF_RUN: Any = Field(None, description="only what was recorded by this run")


class NoExtraFields(BaseModel):
    """Parameters or a body without additional fields."""

    model_config = ConfigDict(extra="forbid")


class ById(NoExtraFields):
    """Selection of a row by its ID."""

    id: Number = Field(description="the ID, as in the lists")


class ByVersion(NoExtraFields):
    """Selection of a release by its version."""

    version: Number = Field(description="the number of a release")


class ByMetric(NoExtraFields):
    """Selection of a trend by its metric."""

    metric: str = Field(
        max_length=100, description=f"one of {', '.join(MEASURES)}", examples=list(MEASURES)
    )


class ByFeature(NoExtraFields):
    """Selection of a monitored column."""

    feature: str = Field(
        min_length=1,
        max_length=700,
        pattern=r"^[^\x00]*$",
        description="a feature of the model, or (predicted risk)",
    )


class OfRuns(Page):
    """Selection of runs."""

    status: Literal["running", "ok", "failed", "aborted"] | None = Field(
        None, description="only runs that ended like this, or are running"
    )


class OfFindings(Page):
    """Selection of findings."""

    run_id: Number | None = OF_RUN
    feature: Name | None = Field(None, description="only findings on this column or subject")
    check_name: Check | None = Field(None, description="only findings of this check")
    drift_detected: YesOrNo | None = Field(None, description="only findings with an alarm, or none")
    tier: Tier | None = Field(None, description="only alarms, early warnings, or what is neither")


class OfIncidents(Page):
    """Selection of incidents."""

    open: YesOrNo | None = Field(None, description="only incidents that are open, or resolved")


class OfCases(Page):
    """Selection of cases."""

    waiting: YesOrNo | None = Field(None, description="only cases that are not closed, or closed")
    state: Literal["open", "snoozed", "approved", "declined", "closed"] | None = Field(
        None, description="only cases in this state"
    )


class OfScores(Page):
    """Selection of scores."""

    metric: Metric | None = Field(None, description="only this score")
    dataset: Name | None = Field(None, description="only scores on this data set")
    version: Number | None = Field(None, description="only scores of this release")


class OfQuarantine(Page):
    """Selection of refused cells."""

    ingestion_id: Number | None = Field(None, description="only cells of this drop")


class OfDecisions(Page):
    """Selection of decisions."""

    run_id: Number | None = OF_RUN
    action: Literal["keep", "ask", "deploy", "rollback"] | None = Field(
        None, description="only decisions for this action"
    )


class OfDrops(Page):
    """Selection of drops."""

    run_id: Number | None = OF_RUN
    status: Literal["taken", "duplicate", "refused"] | None = Field(
        None, description="only drops with this outcome"
    )


class OfTrend(NoExtraFields):
    """Selection of a trend's points."""

    feature: Name | None = Field(
        None, description="for scores the dataset, for durations the stage, for rows the drop"
    )
    since: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,3}[dh]$", description="how far back, such as 30d or 12h"
    )
    per: Literal["run", "day"] = Field("run", description="one point per run, or the last of a day")
    format: Format | None = Field(None, description="overrides the header Accept")


class Resolution(NoExtraFields):
    """The reason for resolving an incident."""

    model_config = ConfigDict(strict=True)

    reason: str = Field("", max_length=500, pattern=r"^[^\x00]*$")


class Approval(NoExtraFields):
    """The reason for an answer to a case, if there is one."""

    model_config = ConfigDict(strict=True)

    because: Because | Literal[""] = ""
    note: str = Field("", max_length=MAX_NOTE, pattern=r"^[^\x00]*$")


class Refusal(Approval):
    """The reason for declining a case."""

    because: Because


class Snooze(Refusal):
    """When a case comes back, and why not now."""

    until: str = Field(
        max_length=40,
        description="a date, from its beginning in UTC, or a time with its offset from UTC",
        examples=["2027-01-04", "2027-01-04T08:00:00+13:00"],
        json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    )


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
