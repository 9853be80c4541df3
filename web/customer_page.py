"""The customer page: explains the predicted risk of one customer."""

from __future__ import annotations

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from risk.data.statistics import as_rows
from risk.errors import RiskError, UnknownName
from web.dashboard import HEADERS
from web.model_endpoints import explained
from web.responses import svg_answer, without_paths
from web.service import service

pages = Blueprint("customers", __name__)


@pages.get("/customers")
def customer() -> str | tuple[str, int]:
    """Show a form for an identifier, and below it the explanation of that customer."""
    g.headers = HEADERS
    identifier, column = request.args.get("identifier", ""), service().config.columns.identifier
    if not identifier:
        return render_template("customer.html", column=column)
    try:
        explanation = explained(identifier)
    except RiskError as error:
        fault = render_template(
            "customer.html", column=column, identifier=identifier, fault=without_paths(error)
        )
        return fault, error.http_status
    rows = zip(as_rows(explanation.parts), explanation.effects, strict=True)
    return render_template(
        "customer.html", column=column, identifier=identifier, explanation=explanation, rows=rows
    )


@pages.get("/charts/contributions.svg")
def contributions() -> BaseResponse:
    """Draw the contribution of each feature to the risk of a customer."""
    from risk.figures import canvas, waterfall

    theme = request.args.get("theme", "light")
    if theme not in canvas.THEMES:
        raise UnknownName(f"unknown theme {theme[:80]!r}; available: light, dark")
    explanation = explained(request.args.get("identifier", ""))
    figure = waterfall.contributions(
        explanation.parts,
        baseline=explanation.baseline,
        risk=explanation.total,
        scale=explanation.scale,
        theme=canvas.THEMES[theme],
    )
    drawing = canvas.as_svg(figure)
    return svg_answer(drawing)
