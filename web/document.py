"""The OpenAPI document as a whole: schemas shared by operations, examples, plain descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from web.bodies import FORM
from web.openapi import SCHEMAS
from web.responses import Fault, Problem, problems

Schema = Mapping[str, Any]
TIME = "2026-11-30T06:00:00Z"
# what a reader expects under a name; every other example follows from its type
BY_NAME = {
    "action": "deploy",
    "check_name": "data_drift",
    "column_name": "number_of_employees",
    "dataset": "data/test/test_data.csv",
    "detail": "number_of_employees is higher than before",
    "feature": "number_of_employees",
    "id": 12,
    "metric": "f1",
    "path": "data/production/dataset4.csv",
    "run_id": 7,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "status": "ok",
    "version": 3,
}
BY_MEDIA_TYPE = {
    "application/pdf": "%PDF-1.7",
    "text/csv": "id,status\r\n12,ok\r\n",
    "text/html": "<table><tr><th>f1</th></tr><tr><td>0.81</td></tr></table>",
    "text/plain": "0.81",
}


def complete(document: dict[str, Any], features: Sequence[str]) -> None:
    """Add what flask-openapi does not: schemas of errors, examples, names by which to call."""
    schemas = document["components"]["schemas"]
    for model in (Problem, Fault):
        schemas[model.__name__] = model.model_json_schema(ref_template=SCHEMAS)
        schemas[model.__name__].pop("$defs", None)
    schemas.pop("ValidationErrorModel", None)
    for name, operation in _operations(document):
        operation["operationId"] = name
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "feature":
                parameter["schema"]["examples"] = [*features]
        if "422" in operation["responses"]:
            operation["responses"]["422"] = problems(422)[422]
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media_type, content in body.get("content", {}).items():
                if not {"example", "examples"} & content.keys():
                    content["example"] = _of_media_type(media_type, content["schema"], schemas)
    _write_plainly(document)


def _operations(document: Schema) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation with its name for client generators, such as get_runs_id."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield re.sub(r"\W+", "_", f"{method}{path}").strip("_"), operation


def _of_media_type(media_type: str, schema: Schema, schemas: Schema) -> Any:
    if "json" in media_type or media_type == FORM or "$ref" in schema:
        return example(schema, schemas)
    return BY_MEDIA_TYPE.get(media_type.partition(";")[0], "text")


def example(schema: Schema, schemas: Schema, name: str = "") -> Any:
    """Return a value that a schema allows."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    for key in ("enum", "examples", "anyOf", "allOf"):
        if options := [option for option in schema.get(key, ()) if option != {"type": "null"}]:
            first = options[0]
            return example(first, schemas, name) if key.endswith("Of") else first
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {}).items()
            needed = schema.get("required", ())
            given = {key: value for key, value in properties if value or key in needed}
            return {key: example(value, schemas, key) for key, value in given.items()}
        case "array":
            items = schema.get("prefixItems") or [schema["items"]] if "items" in schema else []
            return [example(item, schemas, name) for item in items]
        case "null":
            return None
        case kind:
            return _scalar(str(kind), schema, name)


def _scalar(kind: str, schema: Schema, name: str) -> Any:
    known = BY_NAME.get(name)
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        number = known if isinstance(known, int) else 1 if kind == "integer" else 0.5
        return max(min(number, schema.get("maximum", number)), schema.get("minimum", number))
    if schema.get("format") == "date-time":
        return TIME
    return known if isinstance(known, str) else "text"


def _write_plainly(part: Any) -> None:
    """Replace the line breaks of HTML in descriptions, which come from docstrings."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, dict | list):
            _write_plainly(value)
        elif key in ("description", "summary") and isinstance(value, str):
            part[key] = " ".join(value.replace("<br/>", " ").split())
