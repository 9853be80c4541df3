"""Schemas of the responses about cases."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from risk.stats.scores import Estimate
from web.response_models import Comparison, Incident


class CaseAnswer(BaseModel):
    """An answer to a case, and who gave it."""

    id: int
    answered_at: datetime
    answered_by: str
    via: str
    answer: str
    because: str | None
    note: str | None
    until: datetime | None


class Since(BaseModel):
    """When a change began, between the earliest and the latest moment, and the rows since then."""

    earliest: datetime
    likeliest: datetime
    latest: datetime
    rows: int | None
    labelled: int | None


class ScoreOfRows(BaseModel):
    """A score on a number of rows, with its interval."""

    value: float | None
    lower: float | None
    upper: float | None
    n: int


class Expected(BaseModel):
    """What an answer to a case is expected to bring."""

    answer: str
    action: str
    metric: str | None = None
    rows: int | None = None
    labelled: int | None = None
    rows_needed: int | None = None
    difference: Estimate | None = None
    e_value: float | None = None
    n: int | None = None
    score: ScoreOfRows | None = None
    basis: str | None = None
    promised: Estimate | None = None


class PlantedChange(BaseModel):
    """A planted change, and after how many drops and days it is found."""

    subject: str
    kind: str
    size: float
    drops: float | None
    days: float | None
    named: float
    obstacle: str | None
    rows_needed: int | None


class Offer(BaseModel):
    """What the reasons given so far suggest to do."""

    code: str
    text: str


class CaseWords(BaseModel):
    """A case in sentences."""

    question: str
    since: str
    expected: list[str]
    drill: str
    status: str


class Case(BaseModel):
    """A question put to a person, with everything to know before an answer."""

    id: int
    run_id: int | None
    opened_at: datetime
    asked_at: datetime
    answered_at: datetime | None
    snoozed_until: datetime | None
    closed_at: datetime | None
    closed_because: str | None
    state: str
    kind: str
    subject: str
    severity: str | None
    version: int
    challenger: str | None
    incident_id: int | None
    decision_id: int
    comparison: Comparison | None
    incident: Incident | None
    since: Since | None
    expected: list[Expected]
    drill: list[PlantedChange]
    answers: list[CaseAnswer]
    seasonal_answers: int
    changes_live: bool
    offers: list[Offer]
    words: CaseWords
