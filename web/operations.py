"""Whether the system is well, and what it is."""

from __future__ import annotations

import hashlib

from flask import Response
from flask_openapi import APIBlueprint, Tag

from risk.config import Config
from web.answers import seeds_answer
from web.service import service

api = APIBlueprint(
    "operations",
    __name__,
    abp_tags=[Tag(name="operations", description="health, readiness, version, metrics")],
)


@api.get("/health")
def health() -> Response:
    """Answer while the process lives; nothing it depends on is looked at."""
    content = {"status": "ok", "installation": installation(service().config)}
    return seeds_answer(content, text="ok")


def installation(config: Config) -> str:
    """Name this installation without telling where it is, so that it can recognise itself."""
    return hashlib.sha256(str(config.deployment_folder.resolve()).encode()).hexdigest()[:16]
