"""The page of one feature: its distribution before and now, what was found, its incidents."""

from __future__ import annotations

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from risk.data.statistics import as_rows
from risk.errors import RiskError, UnknownName
from risk.ledger.queries import Part
from web.dashboard import HEADERS
from web.model_endpoints import distribution_of
from web.responses import svg_answer, without_paths
from web.service import service

pages = Blueprint("features", __name__)
MAX_FINDINGS, MAX_INCIDENTS = 30, 20


@pages.get("/feature")
def feature() -> str | tuple[str, int]:
    """Show the distribution of a feature, its newest findings and its incidents."""
    g.headers = HEADERS
    name = request.args.get("name", "")
    try:
        shown, ledger = distribution_of(name), service().ledger()
    except RiskError as error:
        fault = render_template("feature.html", name=name, fault=without_paths(error))
        return fault, error.http_status
    return render_template(
        "feature.html",
        name=name,
        distribution=shown,
        cells=as_rows(shown.cells),
        version=service().live().version,
        findings=ledger.findings.page(Part(page_size=MAX_FINDINGS), feature=name).items,
        incidents=ledger.incidents.page(Part(page_size=MAX_INCIDENTS), subject=name).items,
    )


@pages.get("/charts/distribution.svg")
def chart() -> BaseResponse:
    """Draw the distribution of a feature, on a light or a dark page."""
    from risk.figures import canvas
    from risk.figures.distributions import of_feature

    theme = request.args.get("theme", "light")
    if theme not in canvas.THEMES:
        raise UnknownName(f"unknown theme {theme[:80]!r}; available: light, dark")
    shown = distribution_of(request.args.get("name", ""))
    drawing = canvas.as_svg(of_feature(shown, canvas.THEMES[theme]))
    return svg_answer(drawing)
