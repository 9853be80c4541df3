"""The classic endpoints: scores, summary statistics and diagnostics; and explanations."""

from __future__ import annotations

from typing import Literal

from flask import Response, redirect, url_for
from flask_openapi import APIBlueprint, Tag
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.wrappers import Response as BaseResponse

from risk.data import statistics
from risk.data.statistics import as_rows
from risk.explain import customer, distributions
from risk.explain.customer import Explanation
from risk.models import dependencies, evaluation
from risk.models.evaluation import Scorecard
from web import openapi, request_models, response_models
from web.response_models import Distribution
from web.responses import (
    classic_answer,
    csv_answer,
    html_table,
    json_answer,
    problems,
    wants,
)
from web.service import service

api = APIBlueprint(
    "model",
    __name__,
    abp_tags=[
        Tag(
            name="model",
            description="classic endpoints on the live model, the data and the system",
        )
    ],
    abp_responses=problems(400, 404, 409, 422, 503, 507),
)


def answered(name: str, *columns: str, by: str = "", **classic: openapi.Schema) -> ResponseDict:
    """Document a response: a table as JSON, or the classic format."""
    version = {by: openapi.any_of(openapi.WHOLE, openapi.MISSING)} if by else {}
    content = openapi.record(version | {name: openapi.table(*columns)})
    return {200: {"description": name, **openapi.body(content, **classic)}}


class Named(BaseModel):
    """Selection of a data set."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(
        None, description="a known data set: the test data, the compiled one, or a drop"
    )


class OfCustomer(BaseModel):
    """Selection of a customer, or other subject of a row."""

    model_config = ConfigDict(extra="forbid")

    identifier: str = Field(
        min_length=1,
        max_length=700,
        pattern=r"^[^\x00]*$",
        description="the identifier of a row, as it was ingested",
    )


class Contribution(BaseModel):
    """The contribution of one feature to the prediction, and how unusual its value is."""

    feature: str
    value: float | str | None
    contribution: float
    standard_error: float | None
    as_unusual: float
    beside_reference: str


class Explained(BaseModel):
    """Explanation of a prediction: on its scale, baseline and parts add up to the total."""

    identifier: str
    dataset: str
    version: int | None
    threshold: float
    risk: float
    usual_risk: float
    scale: Literal["log-odds", "predicted risk"]
    method: str
    baseline: float
    total: float
    parts: list[Contribution]


SCORED = answered(
    "scores", "metric", "value", "lower", "upper", "n", by="model_version", text_plain=openapi.TEXT
)
DESCRIBED = answered("statistics", "column_name", "row_count", text_html=openapi.TEXT)
TIMED = answered("timings", "stage", "runs", "last", "median", "p95", text_plain=openapi.TEXT)
COMPARED = answered("dependencies", "package", "required", "installed", text_html=openapi.TEXT)
REDIRECTED: ResponseDict = {302: {"description": "the timings"}, **TIMED}


def distribution_of(feature: str) -> distributions.Distribution:
    """Return how a feature is spread in the live release's reference and in the newest rows."""
    live = service().live()
    recent = distributions.newest_rows(service().ledger(), live.version)
    return distributions.of_feature(live.reference, feature, recent)


def explained(identifier: str) -> Explanation:
    """Explain the live model's prediction for a customer."""
    shared = service()
    champion = shared.champion()
    return customer.explain(shared.config, shared.ledger(), identifier, champion=champion)


@api.get("/scoring", responses=SCORED)
def scoring(query: Named) -> Response:
    """Return the F1 of the live model on a data set; as JSON, all scores with intervals."""
    config, champion = service().config, service().champion()
    path = service().dataset(query.filename, default=config.test_data)
    estimates = evaluation.score(champion, service().rows(path), config=config)
    card = Scorecard("champion", config.name_of(path), estimates)
    content = {"model_version": champion.manifest.version, "scores": card.as_rows()}
    return classic_answer(content, text=str(card.estimates["f1"].value))


@api.get("/explanation", responses={200: Explained})
def explain(query: OfCustomer) -> Response:
    """Explain the live model's prediction for a customer, and how unusual the customer is."""
    explanation = explained(query.identifier)
    return json_answer(vars(explanation) | {"parts": statistics.as_rows(explanation.parts)})


@api.get("/distributions/<path:feature>", responses=response_models.rows_of(api, Distribution))
def distribution(path: request_models.ByFeature) -> Response:
    """Return how a feature is spread in the live release's reference and in the newest rows."""
    shown = distribution_of(path.feature)
    cells = shown.cells.rename(columns={"left": "lower", "right": "upper"})
    if not shown.n_current:
        cells["current"] = None
    if wants("text/csv"):
        return csv_answer(cells, "distribution")
    sizes = {name: getattr(shown, name) for name in ("feature", "n_reference", "n_current")}
    return json_answer(sizes | {"version": service().live().version, "cells": as_rows(cells)})


@api.get("/summarystats", responses=DESCRIBED)
def summarystats(query: Named) -> Response:
    """Return summary statistics of each column of a data set, by default of all accepted rows."""
    shared = service()
    path = shared.dataset(query.filename, default=shared.compiled)
    if path == shared.compiled:
        table = statistics.summarise_accepted(shared.config, shared.ledger())
    else:
        table = statistics.summarise(shared.rows(path), shared.config.columns)
    return html_table(table, "statistics")


@api.get("/diagnostics", responses=REDIRECTED)
def diagnosis() -> BaseResponse:
    """Redirect to the timings."""
    return redirect(url_for("model.timing"))


@api.get("/diagnostics/timing", responses=TIMED)
def timing() -> Response:
    """Return the duration of each stage in recorded runs, in seconds."""
    table = statistics.summarise_timings(service().ledger().runs.timings())
    last = dict(zip(table["stage"], table["last"].round(3), strict=True))
    seconds = {stage: last.get(stage) for stage in ("ingestion", "training")}
    return classic_answer({"timings": statistics.as_rows(table)}, text=str(seconds))


@api.get("/diagnostics/dependencies", responses=COMPARED)
def packages() -> Response:
    """Compare the installed packages with requirements.txt and the newest known versions."""
    return html_table(dependencies.of_installation(service().config), "dependencies")
