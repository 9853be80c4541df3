"""Endpoints of the ledger: paginated lists, handling of incidents, choice of a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Response, redirect, request
from flask_openapi import APIBlueprint, Tag
from werkzeug.wrappers import Response as BaseResponse

import deployment
from risk.data.statistics import as_rows
from risk.decisions import account as accounting
from risk.explain import score_change, verdicts
from risk.ledger import lease
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.model import Manifest
from web import request_models, response_models
from web.bodies import FORM, REDIRECT_TO_DASHBOARD, body, content_of, who
from web.response_models import pages_of
from web.responses import Page, csv_answer, json_answer, listed, problems, wants
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


@api.get("/runs", responses=pages_of(api, response_models.Run))
def runs(query: request_models.OfRuns) -> Response:
    """List the runs, with duration, decision and reason."""
    return listed(_ledger().runs.page(query.part, status=query.status), query, name="runs")


@api.get("/runs/<id>", responses={200: response_models.RunInFull})
def run(path: request_models.ById) -> Response:
    """Return a run with its stages, drops, drift findings and decisions, up to 100 of each."""
    found = _ledger().runs.read(path.id)
    return json_answer(found | {"findings": _complete(found["findings"])})


@api.get("/findings", responses=pages_of(api, response_models.Finding))
def findings(query: request_models.OfFindings) -> Response:
    """List the findings, each with its evidence and verdict."""
    found = _ledger().findings.page(
        query.part,
        run_id=query.run_id,
        feature=query.feature,
        check_name=query.check_name,
        drift_detected=_boolean(query.drift_detected),
        tier=query.tier,
    )
    columns = [*found.columns, *(name for name in verdicts.ADDED if name not in found.columns)]
    told = replace(found, items=_complete(found.items), columns=columns)
    return listed(told, query, name="findings")


@api.get("/incidents", responses=pages_of(api, response_models.Incident))
def incidents(query: request_models.OfIncidents) -> Response:
    """List the incidents, open and resolved."""
    found = _ledger().incidents.page(query.part, is_open=_boolean(query.open))
    worded = replace(found, items=[verdicts.worded(item) for item in found.items])
    return listed(worded, query, name="incidents")


@api.get("/incidents/<id>", responses={200: response_models.Incident})
def incident(path: request_models.ById) -> Response:
    """Return an incident."""
    return _incident(path.id)


@api.post(
    "/incidents/<id>/acknowledge",
    request_body=content_of(api, request_models.Nothing),
    responses={200: response_models.Incident, **REDIRECT_TO_DASHBOARD, **problems(413, 415)},
)
def acknowledge(path: request_models.ById) -> BaseResponse:
    """Acknowledge an open incident."""
    body(request_models.Nothing, form=True)
    _ledger().incidents.acknowledge(path.id)
    return _handled(path.id)


@api.post(
    "/incidents/<id>/resolve",
    request_body=content_of(api, request_models.Resolution),
    responses={200: response_models.Incident, **REDIRECT_TO_DASHBOARD, **problems(413, 415)},
)
def resolve(path: request_models.ById) -> BaseResponse:
    """Resolve an open incident; the ledger records who did, and why."""
    reason = body(request_models.Resolution, form=True).reason.strip()
    _ledger().incidents.resolve(path.id, reason, key=who())
    return _handled(path.id)


@api.get("/decisions", responses=pages_of(api, response_models.Decision))
def decisions(query: request_models.OfDecisions) -> Response:
    """List the decisions, with reasons and the gate's comparisons."""
    found = _ledger().decisions.page(query.part, run_id=query.run_id, action=query.action)
    return listed(found, query, name="decisions")


@api.get("/drills", responses=pages_of(api, response_models.Drilled))
def drills(query: Page) -> Response:
    """List the fire drills: which planted changes the monitor of a release would find, and when."""
    return listed(_ledger().drills.page(query.part), query, name="drills")


@api.get("/account", responses={200: response_models.Account})
def account() -> Response:
    """Return how the alarms turned out by what came after them, and what the releases gained."""
    return json_answer(asdict(accounting.gather(service().config, _ledger())))


@api.get("/drops", responses=pages_of(api, response_models.Drop))
def drops(query: request_models.OfDrops) -> Response:
    """List the drops, with the outcome for their rows."""
    found = _ledger().ingestions.page(query.part, run_id=query.run_id, status=query.status)
    return listed(found, query, name="drops")


@api.get("/quarantine", responses=pages_of(api, response_models.Refused))
def quarantine(query: request_models.OfQuarantine) -> Response:
    """List the refused cells, and why; line 0 means a whole drop."""
    found = _ledger().quarantine.page(query.part, ingestion_id=query.ingestion_id)
    return listed(found, query, name="quarantine")


@api.get("/models", responses=pages_of(api, response_models.Release))
def models(query: Page) -> Response:
    """List the releases, flagging the live one; `before_id` refers to their versions."""
    live = releases.live_version(service().config.deployment_folder)
    return listed(_ledger().releases.page(query.part, live=live), query, name="models")


@api.get("/models/champion", responses={200: Manifest})
def champion() -> Response:
    """Return the manifest of the live model, verified."""
    return json_answer(service().champion().manifest.model_dump(mode="json"))


@api.get("/models/<version>", responses={200: Manifest})
def release(path: request_models.ByVersion) -> Response:
    """Return the manifest of a release, from the ledger."""
    manifest = Manifest.model_validate_json(_ledger().releases.manifest(path.version))
    return json_answer(manifest.model_dump(mode="json"))


@api.post(
    "/models/champion",
    request_body=content_of(api, request_models.Choice, form=False) | {"required": True},
    responses={200: response_models.Deployed, **problems(413, 415)},
)
def choose_champion() -> Response:
    """Roll back to an earlier release, like deployment.py --rollback."""
    version, config = body(request_models.Choice).version, service().config
    holder = f"the API, for {who()}, since {utc_now():%Y-%m-%d %H:%M:%S} UTC"
    with lease.only_writer(config, holder=holder, upgrade=False) as ledger:
        done = deployment.run(config, ledger, rollback=version)
    return json_answer(vars(done))


@api.get("/scores", responses=pages_of(api, response_models.Score))
def scores(query: request_models.OfScores) -> Response:
    """List the scores, with their confidence intervals."""
    found = _ledger().scores.page(
        query.part, metric=query.metric, dataset=query.dataset, version=query.version
    )
    return listed(found, query, name="scores")


@api.get("/scores/change", responses={200: response_models.ScoreExplained})
def score_changed() -> Response:
    """Say why the live release scores other than it promised, on the newest labelled rows."""
    live = releases.live_version(service().config.deployment_folder)
    change = _ledger().assessments.score_change(live)
    is_incident = bool(_ledger().incidents.unresolved())
    said = score_change.in_words(change, is_incident=is_incident)
    offered = score_change.offers(change, is_incident=is_incident)
    return json_answer({"change": change, "text": said, "offered": offered})


@api.get("/trends/<metric>", responses=response_models.rows_of(api, response_models.Trend))
def trend(path: request_models.ByMetric, query: request_models.OfTrend) -> Response:
    """Return a metric over time, its newest 1000 points."""
    since = _moment(query.since) if query.since else None
    points = _ledger().trends.of(path.metric, feature=query.feature, since=since, per=query.per)
    if wants("text/csv"):
        return csv_answer(points, path.metric)
    return json_answer({"metric": path.metric, "per": query.per, "points": as_rows(points)})


def _ledger() -> Ledger:
    return service().ledger()


def _boolean(word: request_models.YesOrNo | None) -> bool | None:
    return None if word is None else word == "true"


def _moment(ago: str) -> datetime:
    unit = {"d": "days", "h": "hours"}[ago[-1]]
    return _ledger().now() - timedelta(**{unit: int(ago[:-1])})


def _handled(incident_id: int) -> BaseResponse:
    if request.mimetype == FORM:
        return redirect("/", 303)
    return _incident(incident_id)


def _incident(number: int) -> Response:
    return json_answer(verdicts.worded(_ledger().incidents.read(number)))


def _complete(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return verdicts.complete(found, _ledger().findings, service().config)
