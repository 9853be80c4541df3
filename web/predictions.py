"""Predictions for rows in the body of a request."""

from __future__ import annotations

from flask_openapi import APIBlueprint, Tag

api = APIBlueprint(
    "predictions", __name__, abp_tags=[Tag(name="predictions", description="the live model, asked")]
)
