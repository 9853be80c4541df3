"""Prometheus metrics: requests of all workers, and the newest values in the ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from flask import Response, current_app, g, request
from flask_openapi import APIBlueprint, OpenAPI, Tag
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from risk.config import Config
from risk.errors import LedgerError, RiskError
from risk.ledger.gauges import Gauges
from risk.models import releases
from risk.monitoring import detector, early_warnings, findings, outcomes, reference
from web.service import Service, service

NAME = "metrics"
MAX_FEATURES = 100
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
STAGES = (
    "ingestion", "monitoring", "training", "deployment", "plots", "scoring", "api_calls", "report",
)  # fmt: skip
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
OF_THE_MODEL = (
    reference.PREDICTION,
    reference.LABELLED,
    reference.EXPECTED_LOSS,
    reference.RECONSTRUCTION,
    detector.DOMAIN,
)
TEXT: dict[str, Any] = {"schema": {"type": "string"}}

api = APIBlueprint(
    "metrics", __name__, abp_tags=[Tag(name="operations", description="health, metrics, version")]
)


class Requests:
    """Metrics of the requests handled; several workers share a folder."""

    def __init__(self) -> None:
        self.number = Counter(
            "http_requests", "Requests.", ("method", "route", "status"), registry=None
        )
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the start of a request to the last byte of its response.",
            ("method", "route"),
            buckets=SECONDS,
            registry=None,
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Add these metrics to a registry, those of all workers if there are several."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(self.number)
            registry.register(self.seconds)


def add_to(app: OpenAPI) -> None:
    """Measure every request; registered first, so that refused requests are measured too."""
    requests = app.extensions[NAME] = Requests()

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def measure(answer: Response) -> Response:
        method = request.method if request.method in METHODS else "other"
        route = request.url_rule.rule if request.url_rule else "unmatched"
        requests.number.labels(method, route, answer.status_code).inc()
        seconds, began = requests.seconds.labels(method, route), g.began

        def observe() -> None:
            seconds.observe(time.perf_counter() - began)

        if answer.is_streamed and not answer.direct_passthrough:
            answer.call_on_close(observe)
        else:
            observe()
        return answer


@api.get(
    "/metrics",
    responses={
        200: {
            "description": "metrics in the format requested by Accept",
            "content": {"text/plain": TEXT, "application/openmetrics-text": TEXT},
        }
    },
)
def metrics() -> Response:
    """Return metrics of requests, and the newest values in the ledger."""
    requests: Requests = current_app.extensions[NAME]
    registry = CollectorRegistry()
    requests.register(registry)
    registry.register(Newest(service()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


class Newest(Collector):
    """The live model and the newest values in the ledger, read at each scrape.

    An unreachable source is reported as down; only its metrics are missing.
    """

    def __init__(self, shared: Service) -> None:
        self.shared = shared

    def collect(self) -> Iterator[Metric]:
        """Yield every available metric."""
        model, ledger = self._of_model(), self._of_ledger()
        yield _gauge("risk_model_up", "Whether a verified model is live.", [(bool(model),)])
        yield _gauge("risk_ledger_up", "Whether the ledger is reachable.", [(bool(ledger),)])
        yield from (*model, *ledger)

    def _of_model(self) -> list[Metric]:
        try:
            champion = self.shared.champion()
        except RiskError:
            return []
        about = {"version": str(champion.manifest.version), "sha256": champion.sha256}
        return [InfoMetricFamily("risk_model", "The live model.", value=about)]

    def _of_ledger(self) -> list[Metric]:
        config = self.shared.config
        try:
            ledger = self.shared.ledger()
            newest, live = ledger.gauges, releases.live_version(config.deployment_folder)
            standing = len(early_warnings.standing(ledger, live))
            return [
                *_of_runs(newest, standing),
                *_of_data(newest, config),
                *_of_scores(newest, config),
            ]
        except LedgerError:
            return []


def _of_runs(newest: Gauges, standing: int) -> Iterator[Metric]:
    """Yield metrics of recent runs, and of what is waiting for a person."""
    began, succeeded = newest.last_run(), newest.last_success()
    durations = [(stage, newest.stage_duration(stage)) for stage in STAGES]
    yield _gauge("risk_last_run_timestamp_seconds", "When the newest run started.", [_time(began)])
    yield _gauge(
        "risk_last_success_timestamp_seconds",
        "When the newest successful run ended.",
        [_time(succeeded)],
    )
    yield _gauge(
        "risk_stage_duration_seconds",
        "Duration of the latest success of a stage.",
        durations,
        "stage",
    )
    yield _gauge(
        "risk_open_incidents",
        "Incidents that are not resolved.",
        newest.open_incidents(),
        "kind",
        "severity",
    )
    yield _gauge(
        "risk_standing_warnings",
        "Early warnings that stand and may be nothing.",
        [(standing,)],
    )
    yield _gauge(
        "risk_messages_unsent",
        "Messages of the last 7 days that are pending or were given up.",
        [(newest.messages_unsent(),)],
    )


def _of_data(newest: Gauges, config: Config) -> Iterator[Metric]:
    """Yield metrics of the outcome for rows, and of their drift from the reference."""
    features = config.columns.features[:MAX_FEATURES]
    found = newest.drift([*features, config.columns.target, *OF_THE_MODEL])
    alarms = {check: 0 for check in get_args(findings.Check)} | newest.alarms_by_check()
    yield _counter("risk_rows", "Rows received.", newest.rows_by_outcome(), "outcome")
    yield _counter("risk_findings", "Findings that were alarms.", alarms, "check")
    early = {check: 0 for check in get_args(findings.Check)} | newest.warnings_by_check()
    yield _counter("risk_warnings", "Findings that were early warnings.", early, "check")
    yield _gauge(
        "risk_missing_ratio",
        "Missing values in the newest batch.",
        [
            (row.column_name, row.missing_count / row.row_count)
            for row in newest.missing(features)
            if row.row_count
        ],
        "feature",
    )
    yield _gauge(
        "risk_drift_score",
        "Drift of the newest batch, in the unit of the method; the threshold is a setting.",
        _worst((row.feature, row.method, row.drift_score) for row in found),
        "feature",
        "method",
    )
    yield _gauge(
        "risk_drift_detected",
        "Whether the newest assessment raised an alarm.",
        _worst((row.feature, row.method, row.drift_detected) for row in found),
        "feature",
        "method",
    )
    yield _gauge(
        "risk_e_value",
        "Evidence that something changed; 1 is an alarm.",
        _worst((row.feature, row.e_value) for row in found),
        "feature",
    )
    drifted = {row.feature for row in found if row.drift_detected} & set(features)
    yield _gauge(
        "risk_dataset_drift_ratio",
        "Share of the features for which the newest assessment raised an alarm.",
        [(len(drifted) / len(features),)] if found else [],
    )


def _of_scores(newest: Gauges, config: Config) -> Iterator[Metric]:
    """Yield scores of the live model: on test data, on labelled rows, and estimated."""
    kinds = {
        config.name_of(config.test_data): "test",
        outcomes.REALISED: "realised",
        outcomes.ESTIMATED: "estimated",
    }
    found = [(kind, row) for dataset, kind in kinds.items() for row in newest.scores(dataset)]
    for name, column in (("score", "value"), ("score_lower", "lower"), ("score_upper", "upper")):
        yield _gauge(
            f"risk_{name}",
            f"The newest scores of the live model: {column}.",
            [(row.metric, kind, getattr(row, column)) for kind, row in found],
            "metric",
            "dataset_kind",
        )


def _gauge(name: str, about: str, rows: Iterable[Sequence[Any]], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for *values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def _counter(name: str, about: str, numbers: Mapping[str, int], label: str) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family


def _time(moment: datetime | None) -> tuple[float | None]:
    return (moment.timestamp() if moment else None,)


def _worst(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return the largest value for each set of labels, as several checks may share one."""
    known = (row for row in rows if row[-1] is not None)
    return list({row[:-1]: row for row in sorted(known, key=lambda row: abs(row[-1]))}.values())
