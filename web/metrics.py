"""What Prometheus scrapes."""

from __future__ import annotations

from flask_openapi import APIBlueprint, Tag

api = APIBlueprint(
    "metrics", __name__, abp_tags=[Tag(name="operations", description="health, metrics, version")]
)
