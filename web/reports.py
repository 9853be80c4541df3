"""Reports on runs: the list, the newest, and the report on each run."""

from __future__ import annotations

import io
from datetime import datetime

from flask import Response, send_file
from flask_openapi import APIBlueprint, Tag
from flask_openapi.types import ResponseDict
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from risk import store
from risk.config import ReportKind
from risk.models.model import digest
from risk.report import archive
from web.request_models import OF_RUN, ById, Number
from web.response_models import pages_of
from web.responses import Page, listed, problems
from web.service import service

api = APIBlueprint(
    "reports",
    __name__,
    abp_tags=[Tag(name="reports", description="reports on runs, as PDF")],
    abp_responses=problems(400, 404, 422, 503),
)
PDF = {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}
SENT: ResponseDict = {
    200: {"description": "the report", "content": PDF},
    206: {"description": "the requested part", "content": PDF},
    304: {"description": "not changed"},
    **problems(416, 507),
}


class OfReports(Page):
    """Selection of reports."""

    run_id: Number | None = OF_RUN
    kind: ReportKind | None = Field(None, description="only reports of this kind")


class Report(BaseModel):
    """A report on a run: its format, file and checksum."""

    id: int
    run_id: int
    made_at: datetime
    kind: str
    path: str
    sha256: str
    size_bytes: int


@api.get("/reports", responses=pages_of(api, Report))
def reports(query: OfReports) -> Response:
    """List the reports on runs, in all formats."""
    found = service().ledger().reports.page(query.part, run_id=query.run_id, kind=query.kind)
    return listed(found, query, name="reports")


@api.get("/reports/latest.pdf", responses=SENT)
def latest() -> BaseResponse:
    """Return the newest report as a PDF."""
    path = archive.latest(service().config, "pdf")
    return _pdf(archive.read(path, ""), path.name)


@api.get("/runs/<id>/report.pdf", responses=SENT)
def of_run(path: ById) -> BaseResponse:
    """Return the report on a run as a PDF."""
    content = archive.read(store.report_path(service().config, path.id, "pdf"), f"--run {path.id}")
    return _pdf(content, f"report-{path.id}.pdf")


@api.get("/runs/<id>/appendix.pdf", responses=SENT)
def appendix(path: ById) -> BaseResponse:
    """Return the details of the report on a run as a PDF."""
    file = store.report_path(service().config, path.id, "appendix")
    return _pdf(archive.read(file, f"--run {path.id}"), f"report-{path.id}-appendix.pdf")


def _pdf(content: bytes, name: str) -> BaseResponse:
    return send_file(
        io.BytesIO(content), "application/pdf", download_name=name, etag=digest(content)
    )
