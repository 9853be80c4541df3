"""The web application: REST API and dashboard. GET requests never change data.

Run     python app.py, on http://127.0.0.1:8000 by default; for production gunicorn wsgi:app;
        python app.py keys create NAME --scope read --days 90, keys list, keys revoke NAME
Reads   the champion, the data sets, the ledger, the API keys
Writes  the API keys; requests that change data are recorded in the ledger
Exits   64 wrong usage, 75 the keys are being changed, 78 invalid configuration, or no API key
        although other machines have access
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Thread
from typing import Any

import requests
from flask_openapi import Info, OpenAPI
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from risk import cli
from risk.admin.api_keys import SCOPES
from risk.config import PRODUCT, Config
from risk.errors import UsageError
from risk.ledger.database import utc_now
from web import (
    access,
    api_keys,
    case_endpoints,
    customer_page,
    dashboard,
    docs,
    document,
    feature_page,
    health,
    ledger_endpoints,
    metrics,
    model_endpoints,
    predictions,
    reports,
    responses,
)
from web.api_keys import Keyring
from web.responses import PREFIX
from web.service import NAME, Service, collect_garbage_as_usual

INFO = Info(
    title=PRODUCT,
    version="1",
    description="Monitors a deployed classifier and acts when data or model drift.",
)
POLL_SECONDS = 0.02  # of a temporary server, to notice soon that it is over


def create_app(
    config: Config,
    *,
    keyring: Keyring | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> OpenAPI:
    """Build the application for one set of settings; it also answers below /api/v1."""
    app = OpenAPI(
        __name__,
        info=INFO,
        security_schemes=access.SCHEMES,
        servers=[{"url": "/"}, {"url": PREFIX}],
        validation_error_callback=responses.refuse_invalid,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.debug = False
    app.extensions[NAME] = Service(config, clock)
    if config.flask_secret_key:
        app.secret_key = config.flask_secret_key.get_secret_value()
    metrics.add_to(app)
    access.add_to(app, config, keyring or Keyring(config))
    responses.add_to(app)
    ledgers = (ledger_endpoints, case_endpoints)
    for module in (model_endpoints, predictions, *ledgers, reports, health, metrics):
        app.register_api(module.api)
    for pages in (dashboard.pages, feature_page.pages, customer_page.pages, docs.pages):
        app.register_blueprint(pages)
    access.describe(app, config)
    document.complete(app.api_doc, config.columns.features)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {PREFIX: app.wsgi_app})  # type: ignore
    return app


@contextmanager
def answering(config: Config) -> Iterator[tuple[str, str | None]]:
    """Yield URL and key of this installation's running API, or of a temporary one."""
    own_key = config.api_key.get_secret_value() if config.api_key else None
    host = f"[{config.api.host}]" if ":" in config.api.host else config.api.host
    running = f"http://{host}:{config.api.port}"
    if _is_ours(running, own_key, config):
        yield running, own_key
        return
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    new, kept = api_keys.make("temporary", "read")
    free = access.reading_is_free(config.api)
    local = config.api.model_copy(update={"host": "127.0.0.1", "read_without_key": free})
    app = create_app(config.model_copy(update={"api": local}), keyring=Keyring(config, kept))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", new.key
    finally:
        server.shutdown()
        server.server_close()
        app.extensions[NAME].close()


def _is_ours(url: str, key: str | None, config: Config) -> bool:
    """Whether the API at `url` belongs to this installation and allows reading."""
    headers = {"Accept": "application/json"} | ({"X-API-Key": key} if key else {})
    try:
        health = requests.get(f"{url}/health", timeout=2, headers=headers)
        if config.installation_id not in health.text:
            return False
        return requests.get(f"{url}/openapi.json", timeout=2, headers=headers).ok
    except requests.RequestException:
        return False


class Quiet(WSGIRequestHandler):
    """A request handler whose Server header reveals no versions."""

    def version_string(self) -> str:
        """Return the value of the Server header."""
        return "risk"


def serve(config: Config) -> None:
    """Serve until interrupted, always without a debugger."""
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    host, port = config.api.host, config.api.port
    app = create_app(config)
    collect_garbage_as_usual()
    app.run(host, port, debug=False, threaded=True, request_handler=Quiet)


def run(
    config: Config,
    *,
    what: str | None,
    action: str | None,
    name: str | None,
    **of_new_key: Any,
) -> object:
    """Serve the API, or create, list and revoke its keys."""
    chosen = {option: value for option, value in of_new_key.items() if value is not None}
    match what, action, name, chosen:
        case None, None, None, {} if not chosen:
            serve(config)
            return None
        case "keys", "create", str(), _:
            return api_keys.create(config, name, **chosen)
        case "keys", "list", None, {} if not chosen:
            return api_keys.listing(config)
        case "keys", "revoke", str(), {} if not chosen:
            return api_keys.revoke(config, name)
    raise UsageError(
        "usage: keys create NAME --scope read|write|admin --days N, keys list, or keys revoke NAME"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument(
        "what", nargs="?", choices=["keys"], help="manage API keys instead of serving"
    )
    parser.add_argument(
        "action", nargs="?", choices=["create", "list", "revoke"], help="what to do"
    )
    parser.add_argument("name", nargs="?", help="name of the key; a new key is shown only once")
    parser.add_argument("--scope", choices=SCOPES, help="scope of a new key (default: read)")
    parser.add_argument(
        "--days", type=cli.row_number, help="days until a new key expires (default: never)"
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access="none")
