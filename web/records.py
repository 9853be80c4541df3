"""What the ledger remembers, as lists by the page; incidents can be handled, releases chosen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

from flask import Response, abort, g, redirect, request
from flask_openapi import APIBlueprint, Tag
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as BaseResponse

import deployment
from risk import lease, releases
from risk.ledger import Ledger, utc_now
from risk.model import Manifest
from risk.summaries import as_rows
from web import schemas
from web.answers import Page, csv_answer, json_answer, listed, problems, refuse_invalid, wants
from web.schemas import described, pages_of
from web.service import service

api = APIBlueprint(
    "records",
    __name__,
    abp_tags=[
        Tag(
            name="records",
            description="runs, findings, incidents, models, scores, trends, quarantine",
        )
    ],
    abp_responses=problems(400, 404, 422, 503),
)
Body = TypeVar("Body", bound=BaseModel)
FORM = "application/x-www-form-urlencoded"
BACK_TO_THE_PAGE: ResponseDict = {
    303: {
        "description": "to the dashboard, for a form of a page",
        "content": {"text/html": {"schema": schemas.TEXT}},
    }
}


@api.get("/runs", responses=pages_of(api, schemas.Run))
def runs(query: schemas.OfRuns) -> Response:
    """List the runs, how long each took, what it decided and why."""
    return listed(_ledger().list_runs(query.part, status=query.status), query, name="runs")


@api.get("/runs/<id>", responses={200: schemas.RunInFull})
def run(path: schemas.ById) -> Response:
    """Tell one run: its stages, drops, detected findings and decisions, at most 100 of each."""
    return json_answer(_ledger().read_run(path.id))


@api.get("/findings", responses=pages_of(api, schemas.Finding))
def findings(query: schemas.OfFindings) -> Response:
    """List the findings, each with its evidence and verdict."""
    found = _ledger().list_findings(
        query.part,
        run_id=query.run_id,
        feature=query.feature,
        check_name=query.check_name,
        drift_detected=_truth(query.drift_detected),
    )
    return listed(found, query, name="findings")


@api.get("/incidents", responses=pages_of(api, schemas.Incident))
def incidents(query: schemas.OfIncidents) -> Response:
    """List the incidents, open and resolved."""
    found = _ledger().list_incidents(query.part, is_open=_truth(query.open))
    return listed(found, query, name="incidents")


@api.get("/incidents/<id>", responses={200: schemas.Incident})
def incident(path: schemas.ById) -> Response:
    """Tell one incident."""
    return json_answer(_ledger().read_incident(path.id))


def _content_of(*bodies: tuple[str, type[BaseModel]]) -> dict[str, Any]:
    return {"content": {kind: {"schema": described(api, model)} for kind, model in bodies}}


@api.post(
    "/incidents/<id>/acknowledge",
    request_body=_content_of(("application/json", schemas.Nothing), (FORM, schemas.Nothing)),
    responses={200: schemas.Incident, **BACK_TO_THE_PAGE, **problems(413, 415)},
)
def acknowledge(path: schemas.ById) -> BaseResponse:
    """Take note of an open incident."""
    _body(schemas.Nothing, form=True)
    _ledger().acknowledge(path.id)
    return _handled(path.id)


@api.post(
    "/incidents/<id>/resolve",
    request_body=_content_of(("application/json", schemas.Resolution), (FORM, schemas.Resolution)),
    responses={200: schemas.Incident, **BACK_TO_THE_PAGE, **problems(413, 415)},
)
def resolve(path: schemas.ById) -> BaseResponse:
    """Close an open incident; the ledger keeps who did, and why."""
    reason = _body(schemas.Resolution, form=True).reason.strip() or "resolved by a person"
    _ledger().resolve(path.id, f"{reason} (by {_who()})")
    return _handled(path.id)


@api.get("/decisions", responses=pages_of(api, schemas.Decision))
def decisions(query: schemas.OfDecisions) -> Response:
    """List what was decided and why, with what the gate compared."""
    found = _ledger().list_decisions(query.part, run_id=query.run_id, action=query.action)
    return listed(found, query, name="decisions")


@api.get("/drops", responses=pages_of(api, schemas.Drop))
def drops(query: schemas.OfDrops) -> Response:
    """List the drops, and what became of their rows."""
    found = _ledger().list_drops(query.part, run_id=query.run_id, status=query.status)
    return listed(found, query, name="drops")


@api.get("/quarantine", responses=pages_of(api, schemas.Refused))
def quarantine(query: schemas.OfQuarantine) -> Response:
    """List what was refused and why, cell by cell; line 0 stands for a drop as a whole."""
    found = _ledger().list_quarantine(query.part, ingestion_id=query.ingestion_id)
    return listed(found, query, name="quarantine")


@api.get("/models", responses=pages_of(api, schemas.Release))
def models(query: Page) -> Response:
    """List the releases, and which of them is live; `before_id` is of their versions."""
    live = releases.live_version(service().config.deployment_folder)
    return listed(_ledger().list_releases(query.part, live=live), query, name="models")


@api.get("/models/champion", responses={200: Manifest})
def champion() -> Response:
    """Tell what the live model is and what it was made from, verified."""
    return json_answer(service().champion().manifest.model_dump(mode="json"))


@api.get("/models/<version>", responses={200: Manifest})
def release(path: schemas.ByVersion) -> Response:
    """Tell what a release is and what it was made from, as the ledger remembers it."""
    manifest = Manifest.model_validate_json(_ledger().read_manifest(path.version))
    return json_answer(manifest.model_dump(mode="json"))


@api.post(
    "/models/champion",
    request_body=_content_of(("application/json", schemas.Choice)) | {"required": True},
    responses={200: schemas.Deployed, **problems(413, 415)},
)
def choose_champion() -> Response:
    """Make an earlier release the live one again, as deployment.py --rollback does."""
    version, config = _body(schemas.Choice).version, service().config
    holder = f"the API, asked by {_who()}, since {utc_now():%Y-%m-%d %H:%M:%S} UTC"
    with lease.only_writer(config, holder=holder, upgrade=False) as ledger:
        done = deployment.run(config, ledger, rollback=version)
    return json_answer(vars(done))


@api.get("/scores", responses=pages_of(api, schemas.Score))
def scores(query: schemas.OfScores) -> Response:
    """List the scores with their intervals."""
    found = _ledger().list_scores(
        query.part, metric=query.metric, dataset=query.dataset, version=query.version
    )
    return listed(found, query, name="scores")


@api.get("/trends/<metric>", responses=schemas.rows_of(api, schemas.Trend))
def trend(path: schemas.ByMetric, query: schemas.OfTrend) -> Response:
    """Tell how something developed, the newest 1000 points of it."""
    since = _moment(query.since) if query.since else None
    points = _ledger().trend(path.metric, feature=query.feature, since=since, per=query.per)
    if wants("text/csv"):
        return csv_answer(points, path.metric)
    return json_answer({"metric": path.metric, "per": query.per, "points": as_rows(points)})


def _ledger() -> Ledger:
    return service().ledger()


def _who() -> str:
    return g.get("key_name") or "somebody"


def _truth(word: schemas.YesOrNo | None) -> bool | None:
    return None if word is None else word == "true"


def _moment(ago: str) -> datetime:
    unit = {"d": "days", "h": "hours"}[ago[-1]]
    return _ledger().now() - timedelta(**{unit: int(ago[:-1])})


def _body(model: type[Body], *, form: bool = False) -> Body:
    """Read what a request says, as JSON or, where it may, by a form; an empty body says nothing."""
    content = request.get_data()
    try:
        if form and request.mimetype == FORM:
            return model.model_validate(request.form.to_dict())
        if content and request.mimetype != "application/json":
            abort(415)
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        abort(refuse_invalid(error))


def _handled(incident_id: int) -> BaseResponse:
    if request.mimetype == FORM:
        return redirect("/", 303)
    return json_answer(_ledger().read_incident(incident_id))
