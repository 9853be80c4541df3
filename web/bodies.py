"""Bodies of requests for change: JSON, or a form of the dashboard."""

from __future__ import annotations

from typing import Any, TypeVar

from flask import abort, g, request
from flask_openapi import APIBlueprint
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ValidationError

from web.response_models import TEXT, described
from web.responses import refuse_invalid

Body = TypeVar("Body", bound=BaseModel)
FORM = "application/x-www-form-urlencoded"
REDIRECT_TO_DASHBOARD: ResponseDict = {
    303: {
        "description": "redirect to the dashboard, for requests from its forms",
        "content": {"text/html": {"schema": TEXT}},
    }
}


def content_of(api: APIBlueprint, model: type[BaseModel], *, form: bool = True) -> dict[str, Any]:
    """Document a request body in JSON and, if allowed, as a form."""
    kinds = ["application/json", *([FORM] if form else [])]
    return {"content": {kind: {"schema": described(api, model)} for kind in kinds}}


def body(model: type[Body], *, form: bool = False) -> Body:
    """Return the validated body, of JSON or, if allowed, of a form; an empty one counts as {}."""
    content = request.get_data()
    try:
        if form and request.mimetype == FORM:
            return model.model_validate(request.form.to_dict())
        if content and request.mimetype != "application/json":
            abort(415)
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        abort(refuse_invalid(error))


def who() -> str:
    """Return the name of the key of a request."""
    return g.get("key_name") or "an unknown caller"
