"""Common parts of all responses: formats, headers, errors and pagination."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode

from flask import Response, current_app, g, request
from flask_openapi import OpenAPI
from flask_openapi.types import ResponseDict
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from risk.data.statistics import as_rows
from risk.errors import RiskError, UsageError
from risk.lazily import pandas as pd
from risk.ledger.queries import Listing, Part
from web.service import service

PREFIX = "/api/v1"
PROBLEM = "application/problem+json"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would hide the origin of our own forms
    "Content-Security-Policy": "default-src 'none'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"]+/)+([^/\s'\"]*)")
SECONDS_UNTIL_RETRY = 60
MAX_ID = 2**53 - 1  # beyond it, JSON numbers are not exact
Format = Literal["json", "csv"]
FORMATS = {"json": "application/json", "csv": "text/csv"}


class Fault(BaseModel):
    """An error and its place in a request."""

    loc: list[str | int]
    msg: str


class Problem(BaseModel):
    """A problem document, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = []


class Page(BaseModel):
    """Pagination of a list; `before_id` keeps pages stable while rows are added."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(1, ge=1, le=1_000_000, description="counted from 1, newest rows first")
    page_size: int = Field(20, ge=1, le=100, description="rows per page")
    before_id: int | None = Field(None, ge=1, le=MAX_ID, description="only rows with a smaller id")
    format: Format | None = Field(None, description="overrides the header Accept")

    @property
    def part(self) -> Part:
        """Return the pagination in the form the ledger takes."""
        return Part(self.page, self.page_size, self.before_id)


def problems(*statuses: int) -> ResponseDict:
    """Document the error responses of an endpoint, each with an example."""
    return {
        status: {
            "description": HTTP[status],
            "content": {
                PROBLEM: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": "about:blank",
                        "title": HTTPStatus(status).phrase,
                        "status": status,
                        "detail": HTTP[status],
                        "instance": "/prediction",
                        "errors": [],
                    },
                }
            },
        }
        for status in statuses
    }


HTTP = {
    400: "the request is malformed",
    401: "a key is required",
    403: "the scope of the key does not allow this",
    404: "not found",
    409: "it was answered already, or needs a model where only predictions are watched",
    413: "the body is too large",
    415: "the media type of the body is not supported",
    416: "the requested part does not exist",
    422: "the request violates the schema",
    429: "too many requests",
    503: "no verified model or no ledger, or another run is in progress; try again later",
    507: "a file cannot be read",
}


def json_answer(content: Any, *, status: int = 200) -> Response:
    """Return a JSON response, in which every number must be finite."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, default=_plain)
    return Response(body, status=status, mimetype="application/json")


def listed(listing: Listing, page: Page, *, name: str) -> Response:
    """Return a page of a list with links to the others, as JSON or, if requested, CSV."""
    if wants("text/csv"):
        table = pd.DataFrame(listing.items, columns=listing.columns, dtype="object")
        answer = csv_answer(table, name)
    else:
        content = {"items": listing.items, "page": page.page, "page_size": page.page_size}
        answer = json_answer(content | {"total": listing.total})
    answer.headers["Link"] = _links(listing, page)
    return answer


def csv_answer(table: pd.DataFrame, name: str) -> Response:
    """Return a CSV download of a table."""
    return csv_file([csv_text(table)], name)


def csv_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return a table as CSV, with cells a spreadsheet would execute escaped."""
    return table.map(_cell).to_csv(index=False, header=header, lineterminator="\r\n")


def csv_file(pieces: Iterable[str], name: str) -> Response:
    """Return a CSV download, streamed in pieces."""
    answer = Response(pieces, mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def svg_answer(drawing: bytes) -> BaseResponse:
    """Return a drawing, which is not sent again to those who have it."""
    answer = Response(drawing, mimetype="image/svg+xml", headers={"Cache-Control": "no-cache"})
    answer.add_etag()
    return answer.make_conditional(request)


def harmless(value: Any) -> Any:
    """Prefix a text that a spreadsheet would execute with an apostrophe."""
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value


def classic_answer(content: dict[str, Any], *, text: str, mimetype: str = "text/plain") -> Response:
    """Return JSON if explicitly requested, else the classic format."""
    if wants("application/json"):
        return json_answer(content)
    return Response(text, mimetype=mimetype)


def html_table(table: pd.DataFrame, name: str) -> Response:
    """Return an HTML table, or JSON if requested."""
    text = table.to_html(index=False, na_rep="", border=1, float_format="{:.6g}".format)
    unstyled = text.replace(
        ' style="text-align: right;"', ""
    )  # which the Content-Security-Policy would block
    return classic_answer({name: as_rows(table)}, text=unstyled, mimetype="text/html")


def wants(mimetype: str) -> bool:
    """Return whether a request prefers this type, by `format` or by Accept.

    Who accepts anything gets the classic format, but JSON below /api/v1.
    """
    if (named := request.args.get("format")) in FORMATS:
        return FORMATS[named] == mimetype
    accepted = request.accept_mimetypes
    others = max(accepted["text/html"], accepted["text/plain"])
    if mimetype == FORMATS["json"] and request.script_root.endswith(PREFIX):
        return accepted[mimetype] >= others
    return accepted[mimetype] > others


def problem(
    status: int, title: str, detail: str, *, errors: list[dict[str, Any]] | None = None
) -> Response:
    """Return a problem document, RFC 9457."""
    content = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "errors": errors or [],
    }
    return Response(json.dumps(content), status=status, mimetype=PROBLEM)


def refuse_invalid(error: ValidationError) -> Response:
    """Return 422 for a request that violates the schema, with the place of each error."""
    errors = [{"loc": list(fault["loc"]), "msg": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:3])
    return problem(422, "Unprocessable Entity", detail, errors=errors)


def add_to(app: OpenAPI) -> None:
    """Add headers to every response, and return every error as a problem document."""

    @app.errorhandler(RiskError)
    def risk_error(error: RiskError) -> Response:
        return problem(error.http_status, type(error).__name__, without_paths(error))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response | BaseResponse:
        if error.response is not None or (error.code or 500) < 400:
            return error.get_response()
        answer = problem(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(ParseException)
    @app.errorhandler(NoMoreData)
    def malformed_body(_error: Exception) -> Response:
        return problem(400, "Bad Request", "the body ends early, or its chunks are malformed")

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        current_app.logger.exception("unexpected error in %s", request.path)
        return problem(500, "Internal Server Error", "unexpected error; see the server's log")

    @app.before_request
    def refuse_repeated_parameters() -> None:
        if repeated := sorted(name for name, values in request.args.lists() if len(values) > 1):
            raise UsageError(f"parameters given more than once: {repeated}")

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in (HEADERS | g.get("headers", {})).items():
            answer.headers.setdefault(name, value)
        if answer.status_code == 503:
            answer.headers.setdefault("Retry-After", str(SECONDS_UNTIL_RETRY))
        return answer


def without_paths(error: Exception) -> str:
    """Return the message of an error with the names of files, but without the folders above."""
    config = service().config
    text = str(error)
    for folder in (config.root, config.root.resolve(), config.deployment_folder):
        text = text.replace(f"{folder}/", "").replace(str(folder), ".")
    return ABSOLUTE_PATH.sub(r"\1", text)


def _links(listing: Listing, page: Page) -> str:
    """Return links to the other pages, restricted to existing rows, as new ones shift pages."""
    last = max(1, -(-listing.total // page.page_size))
    pages = {"first": 1, "prev": page.page - 1, "next": page.page + 1, "last": last}
    query = request.args.to_dict()
    if page.page == 1 and listing.items:
        number = listing.items[0]["id" if "id" in listing.columns else "version"]
        query.setdefault("before_id", str(number + 1))
    return ", ".join(
        f'<{request.script_root}{request.path}?{urlencode(query | {"page": number})}>; rel="{rel}"'
        for rel, number in pages.items()
        if 1 <= number <= last
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _cell(value: Any) -> Any:
    if isinstance(value, datetime) and value is not pd.NaT:
        return _plain(value)
    is_json = isinstance(value, dict | list)
    return json.dumps(value, default=_plain) if is_json else harmless(value)
