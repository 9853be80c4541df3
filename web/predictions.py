"""Predictions for a known data set or for rows sent, all by the same release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from flask import Flask, Response, request
from flask.blueprints import BlueprintSetupState
from flask_openapi import APIBlueprint, Tag
from flask_openapi.models import Schema

from risk.config import Api, Columns, Config
from risk.data import statistics
from risk.errors import RiskError
from risk.explain.prediction_notes import BANDS, risk_bands, warnings
from risk.lazily import pandas as pd
from risk.models import evaluation, model, small_tables
from risk.models.model import Floats
from risk.models.watched import require_model
from web import json_rows, openapi, request_body, request_rows
from web.json_rows import Cells, Coded
from web.model_endpoints import Named, answered
from web.request_body import CSV, JSON
from web.request_rows import Chunk, Deadline, Fault, Part, refuse
from web.responses import classic_answer, csv_file, csv_text, json_answer, problems, wants
from web.service import NAME, Live, Service, service

PREDICTION_COLUMNS = ("y_pred_proba", "y_pred", "label", "risk_band", "warnings")
PREDICTED = openapi.record(
    {
        "model_version": openapi.any_of(openapi.WHOLE, openapi.MISSING),
        "predictions": openapi.array(openapi.reference("PredictedRow")),
    }
)
FORMS = {"dataframe_split", "dataframe_records", "inputs", "instances"}
INVOKED = openapi.record({"predictions": openapi.array({})})
LABELLED = answered(
    "predictions", "y_pred_proba", "y_pred", by="model_version", text_plain=openapi.TEXT
)
Predicted = list[tuple[Chunk, Floats]]

api = APIBlueprint(
    "predictions",
    __name__,
    abp_tags=[Tag(name="predictions", description="predictions of the live model")],
    abp_responses=problems(400, 409, 422, 503),
)


@api.record
def describe(state: BlueprintSetupState) -> None:
    """Add the schemas derived from the settings to the OpenAPI document."""
    config: Config = state.app.extensions[NAME].config
    for name, schema in openapi.of_columns(config.columns, config.api.max_rows).items():
        state.app.components_schemas[name] = Schema(**schema)  # type: ignore[attr-defined]


@api.get("/prediction", responses={**LABELLED, **problems(404, 507)})
def prediction(query: Named) -> Response:
    """Return the labels the live model predicts for a data set, by default the test data."""
    config, champion = service().config, service().champion()
    path = service().dataset(query.filename, default=config.test_data)
    table = evaluation.predict(champion, service().rows(path), config.columns.identifier)
    predictions = statistics.as_rows(table)
    content = {"model_version": champion.manifest.version, "predictions": predictions}
    return classic_answer(content, text=str(table["label"].tolist()))


@api.post(
    "/prediction",
    request_body=openapi.sent("Rows"),
    responses={
        200: {"description": "predictions", **openapi.body(PREDICTED, text_csv=openapi.TEXT)},
        **problems(413, 415),
    },
)
def predict() -> Response:
    """Predict the risk of rows, sent as a list of objects or as CSV.

    Identifier and label may be omitted; a missing value is null. The risk band is low below half
    the decision threshold and high from the threshold on; warnings name values unlike any in the
    reference rows of the model. If a row violates the schema, no row is predicted, and every
    error is located by its row, counted from 0, or its line of CSV, and its column.
    """
    config = service().config
    live, predicted = _predict(config, request_rows.from_records)
    if wants(CSV):
        return csv_file(_as_csv(live, predicted, config.columns), "predictions")
    return Response(_as_json(live, predicted, config.columns), mimetype=JSON)


@api.post(
    "/invocations",
    request_body=openapi.sent("Invocation"),
    responses={200: {"description": "predictions", **openapi.body(INVOKED)}, **problems(413, 415)},
)
def invocations() -> Response:
    """Predict the label of each row, in the request formats of MLflow's scoring server.

    `inputs` and `instances` take a list of objects, a list of lists in the order of the features,
    or an object of lists by column.
    """
    live, predicted = _predict(service().config, _from_mlflow)
    written = _written_labels(live)
    found = [live.model.predict(y_pred_proba).tolist() for _, y_pred_proba in predicted]
    return json_answer({"predictions": [written[label] for some in found for label in some]})


def get_ready(app: Flask) -> None:
    """Load the live release and predict a row of its sample, so that no request waits for either.

    Without a release there is nothing to load: requests say so.
    """
    shared: Service = app.extensions[NAME]
    with suppress(RiskError):
        live = shared.live()
        folder, _ = live.identity
        rows = small_tables.read(folder, model.SAMPLE, live.model.manifest).head(1)
        predicted = [(Chunk(rows, [None]), live.model.predict_proba(rows))]
        "".join(_as_json(live, predicted, shared.config.columns))


def _predict(
    config: Config, from_json: Callable[[Any, Columns, Api], Iterator[Part | Chunk]]
) -> tuple[Live, Predicted]:
    """Read and check all rows of the body; predict them with one release within the deadline."""
    require_model(config, "rows cannot be predicted")
    columns, limits = config.columns, config.api
    body = request_body.read(columns, limits)
    deadline = Deadline(limits.max_seconds)
    if request.mimetype == CSV:
        parts: Iterable[Part | Chunk] = request_rows.from_csv(body, columns, limits)
    else:
        parts = from_json(request_body.parse_json(body), columns, limits)
    chunks = request_rows.checked(parts, columns, deadline)
    live, predicted = service().live(), []
    for chunk in chunks:
        predicted.append((chunk, live.model.predict_proba(chunk.rows)))
        deadline.check()
    return live, predicted


def _as_json(live: Live, predicted: Predicted, columns: Columns) -> Iterator[str]:
    """Yield the response as JSON in pieces, once all of it has been computed."""
    yield f'{{"model_version": {json.dumps(live.version)}, "predictions": ['
    for number, part in enumerate(predicted):
        yield (", " if number else "") + json_rows.written(_table(live, part, columns))
    yield "]}\n"


def _as_csv(live: Live, predicted: Predicted, columns: Columns) -> Iterator[str]:
    """Yield the response as CSV in pieces, with a column for the release."""
    names = [columns.identifier, *PREDICTION_COLUMNS, "model_version"]
    yield csv_text(pd.DataFrame(columns=names))
    for part in predicted:
        table = _table(live, part, columns)
        table["warnings"] = ["; ".join(sentences) for sentences in table["warnings"]]
        cells = {
            name: column.categories() if isinstance(column, Coded) else column
            for name, column in table.items()
        }
        yield csv_text(pd.DataFrame(cells).assign(model_version=live.version), header=False)


def _table(live: Live, part: tuple[Chunk, Floats], columns: Columns) -> dict[str, Cells]:
    """Return the columns of the response."""
    chunk, y_pred_proba = part
    y_pred = live.model.predict(y_pred_proba)
    return {
        columns.identifier: chunk.identifiers,
        "y_pred_proba": y_pred_proba,
        "y_pred": Coded([0, 1], y_pred),
        "label": Coded(_written_labels(live), y_pred),
        "risk_band": Coded(BANDS, risk_bands(y_pred_proba, live.model.manifest.threshold)),
        "warnings": warnings(live.reference, chunk.rows),
    }


def _written_labels(live: Live) -> list[Any]:
    """Return the negative and the positive label as written in the data."""
    return [live.model.manifest.negative_label, live.model.manifest.positive_label]


def _from_mlflow(content: Any, columns: Columns, limits: Api) -> Iterator[Part | Chunk]:
    if not isinstance(content, dict) or len(content) != 1 or not FORMS.issuperset(content):
        refuse([Fault("body", "", f"not an object with exactly one of {sorted(FORMS)}")])
    [(form, sent)] = content.items()
    if form == "dataframe_split":
        sent = _records_of_split(sent, columns)
    elif form != "dataframe_records":
        sent = _records_of_tensor(sent, columns)
    return request_rows.from_records(sent, columns, limits)


def _records_of_split(sent: Any, columns: Columns) -> list[dict[str, Any]]:
    required = {"columns", "data"}
    if not isinstance(sent, dict) or sent.keys() - {"index"} != required:
        refuse([Fault("dataframe_split", "", "not an object with columns and data")])
    names, data = sent["columns"], sent["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        refuse([Fault("columns", "", "not a list of names")])
    request_rows.require_names(names, columns, where="columns")
    if not isinstance(data, list) or not isinstance(sent.get("index", []), list):
        refuse([Fault("data", "", "not a list")])
    return _records_of_lists(data, names)


def _records_of_tensor(sent: Any, columns: Columns) -> Any:
    """Convert lists, by row or by column, to objects; leave anything else to validation."""
    if isinstance(sent, dict):
        request_rows.require_names(list(sent), columns, where="columns")
        lengths = {len(cells) if isinstance(cells, list) else None for cells in sent.values()}
        if None in lengths or len(lengths) > 1:
            refuse([Fault("columns", "", "not lists of the same length")])
        return [dict(zip(sent, line, strict=True)) for line in zip(*sent.values(), strict=True)]
    if isinstance(sent, list) and any(isinstance(line, list) for line in sent):
        return _records_of_lists(sent, columns.features)
    return sent


def _records_of_lists(lists: Sequence[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    fit = [isinstance(line, list) and len(line) == len(names) for line in lists]
    if not all(fit):
        message = f"not a list of {len(names)} values"
        refuse([Fault(row, "", message) for row, is_fit in enumerate(fit) if not is_fit])
    return [dict(zip(names, line, strict=True)) for line in lists]
