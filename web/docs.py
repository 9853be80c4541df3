"""API documentation, as OpenAPI and as a page; all files are served locally."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import flask_openapi_swagger
from flask import Blueprint, Response, current_app, g, render_template, send_from_directory
from flask_openapi import OpenAPI

from risk.errors import UnknownName
from web import schemas
from web.responses import json_answer

SWAGGER = Path(flask_openapi_swagger.__file__).parent / "templates" / "swagger"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

pages = Blueprint("documentation", __name__)


@pages.get("/openapi.json")
def document() -> Response:
    """Return the OpenAPI document."""
    return json_answer(cast(OpenAPI, current_app).api_doc)


@pages.get("/schemas/<name>.json")
def published(name: str) -> Response:
    """Return the JSON Schema of one kind of answer."""
    if name not in schemas.MODELS:
        raise UnknownName(f"there is no schema {name}; available: {', '.join(schemas.MODELS)}")
    return json_answer(schemas.schema(name))


@pages.get("/docs")
def docs() -> str:
    """Show the OpenAPI document as a page where each request can be tried."""
    g.headers = {"Content-Security-Policy": POLICY}
    return render_template("docs.html")


@pages.get("/docs/swagger/<path:filename>")
def swagger(filename: str) -> Response:
    """Return a static file of the documentation page."""
    return send_from_directory(SWAGGER, filename)
