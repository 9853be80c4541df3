"""Dashboard pages, rendered on the server; they work without scripts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import Blueprint, g, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from risk.data.statistics import as_rows
from risk.decisions import account
from risk.errors import LedgerError, ModelError, NoLedger, StorageError, UnknownName
from risk.explain import account as explained
from risk.explain import (
    case_words,
    distributions,
    events,
    health,
    plain_words,
    score_change,
    score_history,
    seasons,
    sentences,
    snapshot,
)
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from web import dashboard_data
from web.responses import svg_answer, without_paths
from web.service import service
from web.template_filters import FILTERS

pages = Blueprint("dashboard", __name__, template_folder="templates", static_folder="static")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}
POINT = ["at", "kind", "value", "lower", "upper", "n", "version", "alarm_line"]
RANGES = {"7": "7 days", "30": "30 days", "": "all"}
MAX_INCIDENTS, MAX_RESOLVED, MAX_POINTS = 50, 20, 60
pages.record_once(lambda state: state.app.jinja_env.filters.update(FILTERS))


@pages.get("/")
def home() -> str | tuple[str, int]:
    """Show whether the model is fit to use, what changed, and what was done about it."""
    g.headers = HEADERS
    try:
        return render_template("dashboard.html", **_content(service().ledger()))
    except NoLedger:
        return render_template(
            "first.html", inbox=_inbox(), is_elsewhere=service().config.watches_only
        )
    except LedgerError as error:
        return render_template("unavailable.html", fault=without_paths(error)), 503


@pages.get("/charts/score-trend.svg")
def score_trend() -> BaseResponse:
    """Draw the score over time, on a light or a dark page."""
    theme, shape = request.args.get("theme", "light"), request.args.get("shape", "wide")
    if theme not in ("light", "dark") or shape not in ("wide", "narrow"):
        raise UnknownName("a theme is light or dark, a shape wide or narrow")
    metric = service().config.checks.metric
    shown = score_history.trend(service().ledger(), metric, days=_days())
    data = _frozen(shown.points[POINT]), _frozen(shown.changes)
    drawing = _draw(data, metric, theme, shape)
    return svg_answer(drawing)


@lru_cache(maxsize=16)
def _draw(data: tuple[Any, Any], metric: str, theme: str, shape: str) -> bytes:
    """Draw the chart, cached by its data."""
    from risk.figures import canvas, trend

    figure = trend.score_trend(
        pd.DataFrame(data[0], columns=POINT),
        pd.DataFrame(data[1], columns=["at", "label"]),
        metric=plain_words.metric(metric),
        theme=canvas.THEMES[theme],
        width=canvas.NARROW if shape == "narrow" else canvas.WIDE,
    )
    return canvas.as_svg(figure)


def _frozen(table: pd.DataFrame) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        table.astype("object").where(table.notna(), None).itertuples(index=False, name=None)
    )


def _content(ledger: Ledger) -> dict[str, Any]:
    config = service().config
    metric, days = config.checks.metric, _days()
    shown = score_history.trend(ledger, metric, days=days)
    known = snapshot.look(config, ledger, fault=_fault())
    judged = ledger.decisions.last_comparison()
    accounted = account.gather(config, ledger)
    return {
        "status": health.assess(known),
        "situation": known,
        "metric": plain_words.metric(metric),
        "metric_key": metric,
        "trend_in_words": score_history.in_words(shown, metric),
        "changes_in_words": score_history.changes_in_words(shown),
        "change_in_words": score_change.in_words(
            known.score_change, is_incident=bool(known.open_incidents)
        ),
        "parts_of_change": score_change.rows_of_table(known.score_change),
        "has_trend": _can_be_drawn(shown),
        "days": days,
        "ranges": RANGES,
        "points": as_rows(shown.points.tail(MAX_POINTS))[::-1],
        **_drift(ledger),
        "seasons": _seasons(ledger),
        "known_rows": plain_words.known_rows(is_watched=snapshot.is_watched(known.release)),
        "drill": dashboard_data.drilled(ledger, known, config.alarms.must_find),
        "resolved": ledger.incidents.page(Part(page_size=MAX_RESOLVED), is_open=False),
        "max_incidents": MAX_INCIDENTS,
        "cases": _cases(ledger),
        "may_deploy": g.get("scope") == "admin",
        "account": accounted,
        "account_in_words": explained.in_words(accounted),
        "may_write": g.get("scope") in ("write", "admin"),
        "is_elsewhere": config.watches_only,
        "judged": judged,
        "judgement": events.judged(judged, known) if judged else "",
        "columns": as_rows(ledger.column_statistics.newest()),
        "drops": dashboard_data.drops(ledger),
        "runs": dashboard_data.runs(ledger, known),
        "number_of_runs": ledger.runs.page(Part(page_size=1)).total,
        "inbox": _inbox(),
        "confidence": config.scoring.confidence,
        "has_report": (config.model_folder / config.report_filename).exists(),
    }


def _days() -> int | None:
    """Return for how many days the score was asked for; None, or anything else, is all."""
    asked = request.args.get("days", "")
    return int(asked) if asked and asked in RANGES else None


def _cases(ledger: Ledger) -> dict[str, Any]:
    found = ledger.cases.page(Part(page_size=MAX_INCIDENTS), waiting=True)
    return {"items": [case_words.described(case) for case in found.items]}


def _can_be_drawn(shown: score_history.Trend) -> bool:
    from risk.figures import trend

    return trend.can_be_drawn(shown.points)


def _drift(ledger: Ledger) -> dict[str, Any]:
    """Return how far subjects drifted, and how features are spread if it is known."""
    matrix = ledger.findings.drift_matrix(dashboard_data.MAX_MOMENTS)
    heat = dashboard_data.heat_map(matrix, service().config.columns)
    try:
        live = service().live()
    except (ModelError, StorageError):
        return {"heat": heat, "spreads": {}}
    recent = distributions.newest_rows(ledger, live.version)
    spreads = dashboard_data.spreads(heat, live.reference, recent) if recent else {}
    return {"heat": heat, "spreads": spreads}


def _seasons(ledger: Ledger) -> str:
    newest = ledger.assessments.history(newest=1)
    return seasons.in_words(sentences.parsed(newest[-1].facts)) if newest else ""


def _fault() -> str | None:
    try:
        service().champion()
    except (ModelError, StorageError) as error:
        return without_paths(error)
    return None


def _inbox() -> str:
    config = service().config
    return config.name_of(config.input_folder)
