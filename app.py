"""The REST API: HTTP in, what the stages know out. A GET never writes.

Run     python app.py, on http://127.0.0.1:8000 by default; gunicorn wsgi:app for more
Reads   the champion, the data sets, the ledger
Exits   78 wrong configuration
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import requests
from flask import Flask, Response, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server
from werkzeug.wrappers import Response as BaseResponse

import diagnostics
from risk import cli, dependencies, drops, model, releases, scorecard, store, summaries
from risk.config import Config
from risk.errors import LedgerError, RiskError, UnknownName, UsageError
from risk.ledger import Ledger
from risk.model import Model
from risk.scorecard import Scorecard

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def create_app(config: Config) -> Flask:
    """Build the application around one set of settings."""
    app = Flask(__name__, static_folder=None)
    if config.flask_secret_key:
        app.secret_key = config.flask_secret_key.get_secret_value()
    _answer_questions(app, Service(config))
    _answer_diagnoses(app, config)
    _answer_errors(app)
    return app


def _answer_questions(app: Flask, service: Service) -> None:
    """Add what is asked of the model and the data."""
    config = service.config

    @app.get("/prediction")
    def prediction() -> Response:
        champion, path = service.champion(), service.dataset(config.test_data)
        table = diagnostics.predict(champion, service.rows(path), config.columns.identifier)
        labels = table["y_pred"].tolist()
        content = {
            "model_version": champion.manifest.version,
            "predictions": summaries.as_rows(table),
        }
        return _answer(content, text=str(labels))

    @app.get("/scoring")
    def score() -> Response:
        champion, path = service.champion(), service.dataset(config.test_data)
        estimates = scorecard.score(champion, service.rows(path), config=config)
        card = Scorecard("champion", config.name_of(path), estimates)
        content = {"model_version": champion.manifest.version, "scores": card.as_rows()}
        return _answer(content, text=str(card.estimates["f1"].value))

    @app.get("/summarystats")
    def summarystats() -> Response:
        path = service.dataset(config.ingested_folder / config.compiled_data_filename)
        return _table(summaries.summarise(service.rows(path), config.columns), "statistics")


def _answer_diagnoses(app: Flask, config: Config) -> None:
    """Add what is asked of the system itself."""

    @app.get("/diagnostics")
    def diagnosis() -> BaseResponse:
        return redirect(url_for("timing"))

    @app.get("/diagnostics/timing")
    def timing() -> Response:
        with Ledger.open(config, upgrade=False) as ledger:
            table = summaries.summarise_timings(ledger.timings())
        last = dict(zip(table["stage"], table["last"].round(3), strict=True))
        seconds = {stage: last.get(stage) for stage in ("ingestion", "training")}
        return _answer({"timings": summaries.as_rows(table)}, text=str(seconds))

    @app.get("/diagnostics/dependencies")
    def packages() -> Response:
        return _table(dependencies.of_installation(config), "dependencies")

    @app.get("/health")
    def health() -> Response:
        content = {"status": "ok", "installation": installation(config)}
        return _answer(content, text="ok")


class Service:
    """What the requests share: the settings, and the live model once it is loaded."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._load = functools.lru_cache(maxsize=2)(self._load_release)

    def champion(self) -> Model:
        """Resolve the live release once for a request; its files never change."""
        return self._load(releases.live_folder(self.config.deployment_folder))

    def _load_release(self, folder: Path) -> Model:
        return model.load(folder, store.signing_key(self.config))

    def dataset(self, default: Path) -> Path:
        """Look up the data set a request names; its words never become a path."""
        names = request.args.getlist("filename")
        if not names:
            return default
        if len(names) > 1 or set(request.args) != {"filename"}:
            raise UsageError("ask with one filename and nothing else")
        known = self.known_datasets()
        if names[0] not in known:
            shown = names[0][:80]
            raise UnknownName(f"no data set is called {shown!r}; known: {sorted(known)}")
        return known[names[0]]

    def rows(self, path: Path) -> pd.DataFrame:
        """Read a data set; the compiled one from its parts, which no run rewrites."""
        if path != self.config.ingested_folder / self.config.compiled_data_filename:
            return drops.read_whole(self.config, path)
        with Ledger.open(self.config, upgrade=False) as ledger:
            return store.read_parts(self.config, ledger.parts())

    def known_datasets(self) -> dict[str, Path]:
        """Return the data sets by name: test data, the compiled dataset, the drops taken."""
        config = self.config
        paths = [config.test_data, config.ingested_folder / config.compiled_data_filename]
        try:
            with Ledger.open(config, upgrade=False) as ledger:
                taken = {name: config.root / name for name in ledger.taken_paths()}
        except LedgerError:
            taken = {}
        return taken | {config.name_of(path): path for path in paths}


def installation(config: Config) -> str:
    """Name this installation without telling where it is, so that it can recognise itself."""
    return hashlib.sha256(str(config.deployment_folder.resolve()).encode()).hexdigest()[:16]


def _answer(content: dict[str, Any], *, text: str, mimetype: str = "text/plain") -> Response:
    """Answer with JSON if it is asked for by name, else as the seeds do."""
    accepted = request.accept_mimetypes
    if accepted["application/json"] > max(accepted["text/html"], accepted["text/plain"]):
        body = json.dumps(content, ensure_ascii=False, allow_nan=False)
        return Response(body, mimetype="application/json")
    return Response(text, mimetype=mimetype)


def _table(table: pd.DataFrame, name: str) -> Response:
    return _answer(
        {name: summaries.as_rows(table)},
        text=table.to_html(index=False, na_rep="", border=1, float_format="{:.6g}".format),
        mimetype="text/html",
    )


def _answer_errors(app: Flask) -> None:
    @app.errorhandler(RiskError)
    def foreseen(error: RiskError) -> Response:
        return _problem(error.http_status, type(error).__name__, str(error))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response | BaseResponse:
        if error.response is not None or (error.code or 500) < 400:
            return error.get_response()
        answer = _problem(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        app.logger.exception("unforeseen fault in %s", request.path)
        return _problem(
            500, "Internal Server Error", "a bug; the log of the server has the details"
        )

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if answer.status_code == 503:
            answer.headers["Retry-After"] = "60"
        return answer


def _problem(status: int, title: str, detail: str) -> Response:
    """Answer with a problem document, RFC 9457."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(json.dumps(content), status=status, mimetype="application/problem+json")


@contextmanager
def answering(config: Config) -> Iterator[str]:
    """Give the address of the running API of this installation, or of one for the moment."""
    running = f"http://{config.api.host}:{config.api.port}"
    try:
        answer = requests.get(
            f"{running}/health", timeout=2, headers={"Accept": "application/json"}
        )
        is_ours = answer.ok and answer.json().get("installation") == installation(config)
    except requests.RequestException:
        is_ours = False
    if is_ours:
        yield running
        return
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, create_app(config), threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def serve(config: Config) -> None:
    """Answer until interrupted; without a debugger, wherever it listens."""
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    create_app(config).run(config.api.host, config.api.port, debug=False, threaded=True)


if __name__ == "__main__":
    cli.main(serve, __doc__, access="none")
