"""The page on which somebody who has to call a customer sees why the risk is what it is."""

from __future__ import annotations

from flask import Blueprint, Response, g, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from risk.data.statistics import as_rows
from risk.errors import RiskError, UnknownName
from web.dashboard import HEADERS
from web.model_endpoints import explained
from web.service import service

pages = Blueprint("customers", __name__)


@pages.get("/customers")
def customer() -> str | tuple[str, int]:
    """Show a form for the name, and below it the explanation of whom it names."""
    g.headers = HEADERS
    asked, column = request.args.get("identifier", ""), service().config.columns.identifier
    if not asked:
        return render_template("customer.html", column=column)
    try:
        told = explained(asked)
    except RiskError as error:
        fault = render_template("customer.html", column=column, asked=asked, fault=str(error))
        return fault, error.http_status
    rows = zip(as_rows(told.parts), told.effects, strict=True)
    return render_template("customer.html", column=column, asked=asked, told=told, rows=rows)


@pages.get("/charts/contributions.svg")
def contributions() -> BaseResponse:
    """Draw what each feature contributes to the risk of a customer."""
    from risk.figures import canvas, waterfall

    theme = request.args.get("theme", "light")
    if theme not in canvas.THEMES:
        raise UnknownName("a theme is light or dark")
    told = explained(request.args.get("identifier", ""))
    figure = waterfall.contributions(
        told.parts,
        baseline=told.baseline,
        risk=told.total,
        scale=told.scale,
        theme=canvas.THEMES[theme],
    )
    drawing = canvas.as_svg(figure)
    answer = Response(drawing, mimetype="image/svg+xml", headers={"Cache-Control": "no-cache"})
    answer.add_etag()
    return answer.make_conditional(request)
