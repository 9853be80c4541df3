"""Endpoints of the cases: questions that wait for a person, and their answers."""

from __future__ import annotations

from flask import Response, abort, g, redirect, request
from flask_openapi import APIBlueprint, Tag
from werkzeug.wrappers import Response as BaseResponse

from risk.decisions import answers
from risk.explain import case_words
from risk.ledger.cases import Answer, CaseState
from risk.ledger.queries import Listing
from web import request_models
from web.api_keys import covers
from web.bodies import FORM, REDIRECT_TO_DASHBOARD, body, content_of, who
from web.case_models import Case
from web.response_models import pages_of
from web.responses import json_answer, listed, problem, problems
from web.service import service

api = APIBlueprint(
    "cases",
    __name__,
    abp_tags=[Tag(name="cases", description="questions that wait for a person, and answers")],
    abp_responses=problems(400, 404, 422, 503),
)
ANSWERED = {200: Case, **REDIRECT_TO_DASHBOARD, **problems(409, 413, 415)}


@api.get("/cases", responses=pages_of(api, Case))
def cases(query: request_models.OfCases) -> Response:
    """List the cases, each with what to know before an answer."""
    waiting = None if query.waiting is None else query.waiting == "true"
    found = service().ledger().cases.page(query.part, state=query.state, waiting=waiting)
    columns = [name for name in found.columns if name not in ("facts", "comparison")]
    items = [case_words.described(case) for case in found.items]
    return listed(Listing(columns, items, found.total), query, name="cases")


@api.get("/cases/<id>", responses={200: Case})
def case(path: request_models.ById) -> Response:
    """Return a case."""
    return json_answer(case_words.described(service().ledger().cases.read(path.id)))


@api.post(
    "/cases/<id>/approve",
    request_body=content_of(api, request_models.Approval),
    responses=ANSWERED,
)
def approve(path: request_models.ById) -> BaseResponse:
    """Do what a case proposes, with the next run; to change what is live takes scope admin."""
    given = body(request_models.Approval, form=True)
    case = case_words.described(service().ledger().cases.read(path.id))
    if case["changes_live"] and not covers(g.scope, "admin"):
        refused = "approving what changes the live release requires a key with scope admin"
        abort(problem(403, "Forbidden", refused))
    answer = Answer(CaseState.APPROVED, who(), "API", given.because or None, given.note.strip())
    return _give(path.id, answer)


@api.post(
    "/cases/<id>/decline",
    request_body=content_of(api, request_models.Refusal) | {"required": True},
    responses=ANSWERED,
)
def decline(path: request_models.ById) -> BaseResponse:
    """Keep things as they are, and do not ask again unless it becomes worse."""
    given = body(request_models.Refusal, form=True)
    answer = Answer(CaseState.DECLINED, who(), "API", given.because, given.note.strip())
    return _give(path.id, answer)


@api.post(
    "/cases/<id>/snooze",
    request_body=content_of(api, request_models.Snooze) | {"required": True},
    responses=ANSWERED,
)
def snooze(path: request_models.ById) -> BaseResponse:
    """Ask again on a date, or before if it becomes worse."""
    given = body(request_models.Snooze, form=True)
    service().ledger().cases.read(path.id)  # one that does not exist is 404, whatever the date
    until = answers.moment(given.until)
    answer = Answer(CaseState.SNOOZED, who(), "API", given.because, given.note.strip(), until)
    return _give(path.id, answer)


def _give(case_id: int, answer: Answer) -> BaseResponse:
    (case,) = answers.give(service().ledger(), answer, case_id)
    if request.mimetype == FORM:
        return redirect("/", 303)
    return json_answer(case_words.described(case))
