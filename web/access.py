"""Access control: keys and scopes, sign-in, and the allowed origins of requests."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSessionInterface
from flask_openapi import OpenAPI, SecurityScheme
from flask_openapi.utils import parse_rule
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import SecurityError
from werkzeug.wrappers import Response as BaseResponse

from risk.admin.api_keys import Scope
from risk.config import LOOPBACK, Api, Config
from risk.errors import LedgerError
from risk.models import signing
from web import dashboard, responses, sessions
from web.api_keys import Keyring, covers, require_keys
from web.service import service
from web.sessions import Attempts

NAME = "risk.access"
ATTEMPTS = "risk.attempts"
SESSION_LASTS = timedelta(hours=12)
OPEN = {
    "operations.health",
    "operations.ready",
    "operations.version",
    "dashboard.static",
    "access.sign_in",
    "access.take_key",
    "access.sign_out",
}
READING = {"GET", "HEAD", "OPTIONS"}
CHANGING: dict[str, Scope] = {
    "predictions.predict": "read",
    "predictions.invocations": "read",
    "records.acknowledge": "write",
    "records.resolve": "write",
    "records.choose_champion": "admin",
    "cases.approve": "write",  # and admin if it deploys a release
    "cases.decline": "write",
    "cases.snooze": "write",
}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="risk"'}
SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
MAX_PATH_LENGTH = 700
FORWARDING = re.compile(  # headers that proxies add
    r"(?i)via|cdn-loop|(?:.*-)?forwarded(?:-.*)?"
    r"|.*(?:client|connecting|proxyuser|real)-?ip|.*-external-address"
)

pages = Blueprint("access", __name__, template_folder="templates")


class Caller(NamedTuple):
    """The caller: the name of its key, None if unknown, and the scope it has."""

    name: str | None
    scope: Scope | None
    by_cookie: bool = False


NOBODY = Caller(None, None)


def add_to(app: OpenAPI, config: Config, keyring: Keyring) -> None:
    """Check access before every request is handled, and record requests for change."""
    require_keys(config, config.api.host)
    app.config.update(
        PERMANENT_SESSION_LIFETIME=SESSION_LASTS,
        SESSION_COOKIE_NAME="risk_session",
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.session_interface = Sessions()
    app.extensions[NAME] = keyring
    app.extensions[ATTEMPTS] = Attempts()
    app.register_blueprint(pages)
    app.before_request(check)
    app.after_request(record_status)


class Sessions(SecureCookieSessionInterface):
    """Signed cookies, with a secret shared by all workers once there is a key to sign in with."""

    digest_method = staticmethod(hashlib.sha256)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether to restrict the cookie to HTTPS: if the request, or a proxy's, used it."""
        forwarded = request.headers.get("X-Forwarded-Proto") == "https"
        trusted = request.remote_addr in service().config.api.trusted_proxies
        return request.is_secure or (forwarded and trusted)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Sign with the secret in the settings, or one derived from the model-signing key."""
        if not app.secret_key and app.extensions[NAME].keys():
            signing_key = signing.key(service().config)
            app.secret_key = hmac.digest(signing_key, b"sessions of the API", "sha256")
        return super().get_signing_serializer(app)


def check() -> BaseResponse | None:
    """Refuse a request, redirect it to the sign-in, or let it pass and note the caller."""
    _require_known_host(service().config.api)
    caller = _caller()
    g.key_name, g.scope = caller.name, caller.scope
    if request.routing_exception:
        return None
    needed = needed_scope(request.endpoint or "", request.method)
    if caller.name and needed in ("write", "admin"):
        _record_request(caller.name)
    may_be_forged = caller.by_cookie or needed is None
    if request.method not in READING and may_be_forged and not _is_from_here():
        return responses.problem(
            403, "Forbidden", "send the request from a page of this server, or a key in a header"
        )
    if needed is None or covers(caller.scope, needed):
        return None
    if caller.name is None:
        return _ask_for_key()
    return responses.problem(403, "Forbidden", f"this requires a key with scope {needed}")


def needed_scope(endpoint: str, method: str) -> Scope | None:
    """Return the scope a request needs, None for none; the default for changes is admin."""
    if endpoint in OPEN:
        return None
    return "read" if method in READING else CHANGING.get(endpoint, "admin")


def reading_is_free(api: Api) -> bool:
    """Return whether this machine may read without a key."""
    return api.is_on_loopback and api.read_without_key


def record_status(answer: Response) -> Response:
    """Record the status of a request for change; a failure to do so is only logged."""
    if number := g.pop("request_id", None):
        try:
            service().ledger().change_requests.close(number, answer.status_code)
        except LedgerError as error:
            current_app.logger.error("status of change request %d not recorded: %s", number, error)
    return answer


@pages.get("/login")
def sign_in() -> str:
    """Show the sign-in form."""
    return _form(_own_path(request.args.get("next", "/")))


@pages.post("/login")
def take_key() -> BaseResponse:
    """Start a session if the key is valid."""
    target = _own_path(request.form.get("next", "/"))
    attempts, address = current_app.extensions[ATTEMPTS], client_address()
    if seconds := attempts.seconds_to_wait(address):
        refusal = responses.problem(429, "Too Many Requests", "too many failed sign-ins")
        refusal.headers["Retry-After"] = str(seconds)
        return refusal
    key = _keyring().find(request.form.get("key", ""))
    if key is None:
        attempts.failed(address)
        current_app.logger.warning("failed sign-in from %s", address or "behind a proxy")
        return Response(_form(target, refused=True), status=401, headers=CHALLENGE)
    attempts.succeeded(address)
    session.clear()
    session.permanent = True
    session.update(name=key.name, fragment=key.fragment, id=secrets.token_hex(16))
    return redirect(target, 303)


@pages.post("/logout")
def sign_out() -> BaseResponse:
    """End the session, also for who has a copy of its cookie."""
    if session:
        sessions.end(service().config, session.get("id", ""), lasts=SESSION_LASTS)
        session.clear()
    return redirect(url_for("access.sign_in"), 303)


def describe(app: OpenAPI, config: Config) -> None:
    """Document in the OpenAPI document the key each operation requires."""
    for rule in app.url_map.iter_rules():
        operations = app.api_doc["paths"].get(parse_rule(rule.rule), {})
        for method in (rule.methods or set()) & {name.upper() for name in operations}:
            operation, needed = operations[method.lower()], needed_scope(rule.endpoint, method)
            keys = [{name: [needed]} for name in SCHEMES if needed]
            free = needed == "read" and reading_is_free(config.api)
            operation["security"] = [{}, *keys] if free else keys
            if needed:
                refused = responses.problems(401, 403).items()
                operation["responses"] |= {str(status): answer for status, answer in refused}


def _caller() -> Caller:
    presented = _key_in_headers()
    if presented is not None:
        key = _keyring().find(presented)
        return Caller(key.name, key.scope) if key else NOBODY
    key = _keyring().named(session.get("name", ""))
    is_current = key and key.fragment == session.get("fragment")
    if key and is_current and sessions.is_open(service().config, session.get("id", "")):
        return Caller(key.name, key.scope, by_cookie=True)
    free = client_address() in LOOPBACK and reading_is_free(service().config.api)
    return Caller(None, "read") if free else NOBODY


def client_address() -> str:
    """Return the address of the client, "" if it is behind a proxy that is not trusted.

    Of X-Forwarded-For the last address that no trusted proxy has is the one such a proxy saw.
    """
    peer = request.remote_addr or LOOPBACK[0]
    if not any(FORWARDING.fullmatch(name) for name, _ in request.headers):
        return peer
    trusted = service().config.api.trusted_proxies
    if peer not in trusted:
        return ""
    named = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
    clients = [address.strip() for address in named if address.strip() not in trusted]
    return clients[-1] if clients else ""


def _key_in_headers() -> str | None:
    if "X-API-Key" in request.headers:
        return request.headers["X-API-Key"]
    # not request.authorization, which fails for a Basic one that is not ASCII
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _require_known_host(api: Api) -> None:
    """Refuse unknown host names, which guards against DNS rebinding."""
    if not (api.is_on_loopback or api.trusted_hosts or _is_name(api.host)):
        return
    known = {name.lower() for name in (*LOOPBACK, "[::1]", api.host, *api.trusted_hosts)}
    if re.sub(r":\d+$", "", request.host).lower() not in known:
        raise SecurityError("the Host header is not in api.trusted_hosts")


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _is_from_here() -> bool:
    """Return whether the browser's headers name a page of ours as origin; none is not enough."""
    if "Sec-Fetch-Site" in request.headers:
        return request.headers["Sec-Fetch-Site"] == "same-origin"
    page = request.headers.get("Origin") or request.headers.get("Referer", "")
    return f"{page}/".startswith((f"http://{request.host}/", f"https://{request.host}/"))


def _record_request(key_name: str) -> None:
    path = quote(request.script_root + request.path)[:MAX_PATH_LENGTH]
    requests = service().ledger().change_requests
    g.request_id = requests.record(key_name=key_name, method=request.method, path=path)


def _ask_for_key() -> BaseResponse:
    accepted = request.accept_mimetypes
    if request.method in READING and accepted["text/html"] > accepted["application/json"]:
        query = request.query_string.decode("ascii", "ignore")
        path = quote(request.script_root + request.path) + (f"?{query}" if query else "")
        return redirect(url_for("access.sign_in", next=_own_path(path)))
    refusal = responses.problem(
        401, "Unauthorized", "send a key in the header X-API-Key, or sign in at /login"
    )
    refusal.headers.update(CHALLENGE)
    return refusal


def _own_path(target: str) -> str:
    """Return `target` if it is a path on this server, else /."""
    return target if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", target) else "/"


def _form(target: str, *, refused: bool = False) -> str:
    g.headers = dashboard.HEADERS
    return render_template("login.html", target=target, refused=refused)


def _keyring() -> Keyring:
    keyring: Keyring = current_app.extensions[NAME]
    return keyring
