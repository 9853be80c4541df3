"""JSON schemas of request and response bodies; those of predictions derive from the columns."""

from __future__ import annotations

import re
from typing import Any

from risk.config import Columns
from risk.explain.prediction_notes import BANDS
from risk.numerals import MAX_NUMBER
from risk.store import csv_line
from web.request_body import JSON

Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/{model}"
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
MISSING: Schema = {"type": "null"}
FIT_TEXT: Schema = {
    "type": "string",
    "pattern": r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$",
}


def body(schema: Schema, **others: Schema) -> dict[str, Any]:
    """Document a body in JSON, and in other media types: `text_csv` stands for text/csv."""
    types = {JSON: schema} | {name.replace("_", "/"): other for name, other in others.items()}
    return {"content": {name: {"schema": schema} for name, schema in types.items()}}


def any_of(*schemas: Schema) -> Schema:
    """Return a schema that matches at least one of several."""
    return {"anyOf": list(schemas)}


def array(items: Schema, **limits: Any) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **limits}


def record(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Return the schema of an object with required and optional properties, and no others."""
    return {
        "type": "object",
        "properties": optional | required,
        "required": list(required),
        "additionalProperties": False,
    }


def table(*columns: str) -> Schema:
    """Return the schema of the rows of a table with at least these columns."""
    cells: dict[str, Schema] = {name: any_of(NUMBER, TEXT, MISSING) for name in columns}
    row = record(cells) | {"additionalProperties": any_of(NUMBER, TEXT, MISSING)}
    return array(row)


def reference(name: str) -> Schema:
    """Return a reference to one of the schemas derived from the columns."""
    return {"$ref": SCHEMAS.format(model=name)}


def sent(name: str) -> dict[str, Any]:
    """Document a request body: JSON with a schema derived from the columns, or CSV."""
    return body(reference(name), text_csv=reference("Csv")) | {"required": True}


def of_columns(columns: Columns, max_rows: int) -> dict[str, Schema]:
    """Return the schemas of rows to predict, of the forms to send them, and of predicted rows."""
    features = {name: _feature(name, columns) for name in columns.features}
    not_needed = [columns.event_time, *columns.other, columns.target]
    identifier = any_of(FIT_TEXT, NUMBER, MISSING)
    optional = {columns.identifier: identifier} | {name: {} for name in not_needed if name}
    rows = array(reference("Row"), maxItems=max_rows)
    return {
        "Row": record(features, **optional) | {"examples": [row := _row(columns)]},
        "Rows": rows,
        "Invocation": _invocation(features, rows, max_rows)
        | {"examples": [{"dataframe_records": [row]}]},
        "PredictedRow": _predicted_row(columns),
        "Csv": _csv(columns),
    }


def _feature(name: str, columns: Columns) -> Schema:
    if name in columns.numeric:
        low, high = columns.allowed_ranges.get(name, (None, None))
        low = -MAX_NUMBER if low is None else max(low, -MAX_NUMBER)
        high = MAX_NUMBER if high is None else min(high, MAX_NUMBER)
        return any_of({**NUMBER, "minimum": low, "maximum": high}, MISSING)
    if allowed := columns.allowed_values.get(name):
        words = "|".join(map(_literally, allowed))
        numerals = [int(word) for word in allowed if word.isdecimal() and str(int(word)) == word]
        numbers = [{"enum": numerals}] if numerals else []
        spelt = {**TEXT, "pattern": rf"^[ \t\r\n]*(?:{words})?[ \t\r\n]*$"}
        return any_of(spelt, *numbers, MISSING)
    return any_of(FIT_TEXT, WHOLE, MISSING)


def _row(columns: Columns) -> dict[str, Any]:
    """Return a row that is allowed, as an example."""
    row: dict[str, Any] = dict.fromkeys(columns.features, "text")
    for name in columns.numeric:
        low, high = columns.allowed_ranges.get(name, (None, None))
        row[name] = max(low or 0, 0) if high is None else min(max(low or 0, 0), high)
    allowed = {name: columns.allowed_values.get(name) for name in columns.categorical}
    return row | {name: values[0] for name, values in allowed.items() if values}


def _invocation(features: dict[str, Schema], rows: Schema, max_rows: int) -> Schema:
    n = len(features)
    values = {"type": "array", "prefixItems": list(features.values()), "minItems": n, "maxItems": n}
    lists = array(values, maxItems=max_rows)
    in_order = [{"const": name} for name in features]
    names = {"type": "array", "prefixItems": in_order, "minItems": n, "maxItems": n}
    names["description"] = "in any order; other columns as in a row"
    split = record({"columns": names, "data": lists}, index=array({}))
    free = any_of(rows, lists)
    forms = {"dataframe_split": split, "dataframe_records": rows, "inputs": free, "instances": free}
    return any_of(*(record({name: form}) for name, form in forms.items()))


def _predicted_row(columns: Columns) -> Schema:
    return record(
        {
            columns.identifier: any_of(TEXT, NUMBER, MISSING),
            "y_pred_proba": {**NUMBER, "minimum": 0, "maximum": 1},
            "y_pred": {**WHOLE, "enum": [0, 1]},
            "label": {"enum": [columns.negative_label, columns.positive_label]},
            "risk_band": {**TEXT, "enum": list(BANDS)},
            "warnings": array(TEXT),
        }
    )


def _csv(columns: Columns) -> Schema:
    """Return a schema of the simplest CSV: the features in order, small numbers, simple words."""
    header = _literally(csv_line(columns.features).rstrip())
    row = [str(cell) for cell in _row(columns).values()]
    named = zip(columns.features, row, strict=True)
    cells = ",".join(_csv_cell(name, columns, example) for name, example in named)
    description = "as in a drop: columns in any order, other columns and other values also allowed"
    examples = ["".join(line.rstrip() + "\n" for line in map(csv_line, (columns.features, row)))]
    pattern = rf"^{header}\n({cells}\n)*$"
    return {**TEXT, "pattern": pattern, "description": description, "examples": examples}


def _csv_cell(name: str, columns: Columns, example: str) -> str:
    if name in columns.numeric:
        low, high = columns.allowed_ranges.get(name, (None, None))
        is_free = (low is None or low <= 0) and (high is None or high >= 999)
        return "[0-9]{0,3}" if is_free else f"({_literally(example)})?"
    allowed = [csv_line([value]).rstrip() for value in columns.allowed_values.get(name, ())]
    return f"({'|'.join(map(_literally, allowed))})?" if allowed else "[a-z]{0,9}"


def _literally(text: str) -> str:
    """Return a pattern that matches a text, without escapes that not all programs support."""
    return re.sub(r"([.*+?^${}()|\[\]\\/])", r"\\\1", text)
