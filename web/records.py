"""What the ledger remembers, as lists by the page; incidents can be handled."""

from __future__ import annotations

from flask_openapi import APIBlueprint, Tag

api = APIBlueprint(
    "records",
    __name__,
    abp_tags=[
        Tag(
            name="records",
            description="runs, findings, incidents, models, scores, trends, quarantine",
        )
    ],
)
