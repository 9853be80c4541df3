"""The web application: REST API and dashboard, put together. A GET never writes.

Run     python app.py, on http://127.0.0.1:8000 by default; gunicorn wsgi:app for more
Reads   the champion, the data sets, the ledger, the keys
Exits   78 wrong configuration
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import requests
from flask_openapi import Info, OpenAPI
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from risk import cli
from risk.config import Config
from web import access, answers, dashboard, metrics, operations, predictions, questions, records
from web.operations import installation
from web.service import NAME, Service

PREFIX = "/api/v1"
INFO = Info(
    title="Dynamic Risk Assessment System",
    version="1",
    description="Watches over a deployed classifier and acts when it goes wrong.",
)


def create_app(config: Config) -> OpenAPI:
    """Build the application around one set of settings; all of it answers below /api/v1 too."""
    app = OpenAPI(
        __name__,
        info=INFO,
        servers=[{"url": "/"}, {"url": PREFIX}],
        validation_error_callback=answers.refuse_invalid,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.extensions[NAME] = Service(config)
    if config.flask_secret_key:
        app.secret_key = config.flask_secret_key.get_secret_value()
    access.add_to(app, config)
    answers.add_to(app)
    for module in (questions, predictions, records, operations, metrics):
        app.register_api(module.api)
    app.register_blueprint(dashboard.pages)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {PREFIX: app.wsgi_app})  # type: ignore
    return app


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
