"""Published JSON Schemas of what programs read: findings, incidents, decisions, drill, account."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from risk.explain.drill_table import DrillReport
from web import response_models

MODELS: dict[str, Any] = {
    "account": response_models.Account,
    "decision": response_models.Decision,
    "drill": DrillReport,
    "finding": response_models.Finding,
    "incident": response_models.Incident,
    "run": response_models.Outcome,
}


def schema(name: str) -> dict[str, Any]:
    """Return the schema of one kind of answer."""
    found = TypeAdapter(MODELS[name]).json_schema(mode="serialization")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": f"/schemas/{name}.json", **found}
