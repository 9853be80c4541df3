"""Health, readiness and version of the system."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version as installed_version
from typing import Any

from flask import Response, current_app
from flask_openapi import APIBlueprint, Tag
from flask_openapi.types import ResponseDict
from pydantic import BaseModel

import risk
from risk.config import Config
from risk.errors import ModelError, RiskError
from risk.ledger import database
from risk.models import model
from web.responses import classic_answer, json_answer, problem, problems, without_paths
from web.service import service

ALIASES = {"/healthz": "health", "/livez": "health", "/readyz": "ready"}

api = APIBlueprint(
    "operations",
    __name__,
    abp_tags=[Tag(name="operations", description="health, readiness, version, metrics")],
)


class Health(BaseModel):
    """Liveness: the process runs; with the ID of the installation."""

    status: str
    installation: str


class Condition(BaseModel):
    """One dependency and its status."""

    name: str
    status: str


class Readiness(BaseModel):
    """Readiness: every dependency works."""

    status: str
    checks: list[Condition]


class LiveModel(BaseModel):
    """The live model."""

    version: int | None
    sha256: str


class Version(BaseModel):
    """Versions of the application, the live model, Python and the main packages."""

    version: str
    model: LiveModel | None
    python: str
    packages: dict[str, str]


HEALTHY: ResponseDict = {
    200: {
        "description": "the process is running",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/json": {"schema": Health.model_json_schema()},
        },
    }
}


@api.get("/health", responses=HEALTHY)
def health() -> Response:
    """Answer 200 while the process runs, without checking dependencies."""
    content = {"status": "ok", "installation": service().config.installation_id}
    return classic_answer(content, text="ok")


@api.get("/ready", responses={200: Readiness, **problems(503)})
def ready() -> Response:
    """Answer 200 if there are a verified model and an up-to-date ledger, else name the failures.

    What is wrong with the ledger may name its host, so it is only in the server's log.
    """
    errors: list[dict[str, Any]] = []
    for name, (check, fault) in CHECKS.items():
        try:
            check(service().config)
        except RiskError as error:
            current_app.logger.warning("not ready: %s", error)
            told = f"{fault}: {without_paths(error)}" if isinstance(error, ModelError) else fault
            errors.append({"loc": [name], "msg": told})
    if errors:
        detail = "; ".join(error["msg"] for error in errors)
        return problem(503, "Not Ready", detail, errors=errors)
    checks = [{"name": name, "status": "ok"} for name in CHECKS]
    return json_answer({"status": "ready", "checks": checks})


@api.get("/version", responses={200: Version})
def version() -> Response:
    """Return the versions of the application, the live model, Python and the main packages."""
    try:
        champion = service().champion()
        live = {"version": champion.manifest.version, "sha256": champion.sha256}
    except ModelError:
        live = None
    return json_answer(
        {
            "version": risk.__version__,
            "model": live,
            "python": platform.python_version(),
            "packages": {name: installed_version(name) for name in model.PACKAGES},
        }
    )


for alias, endpoint in ALIASES.items():
    api.add_url_rule(alias, endpoint=endpoint)


def _has_model(_config: Config) -> None:
    service().champion()


def _has_ledger(config: Config) -> None:
    with database.connected(config, upgrade=False, away=service().away):
        pass


CHECKS: dict[str, tuple[Callable[[Config], None], str]] = {
    "model": (_has_model, "no verified model is live"),
    "ledger": (_has_ledger, "the ledger is unreachable or has another schema version"),
}
