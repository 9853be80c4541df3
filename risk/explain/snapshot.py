"""What the ledger says at one moment, as far as it is shown to people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from risk.config import Config
from risk.data.statistics import as_rows
from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.queries import EVERY, Part
from risk.models import releases, watched
from risk.monitoring import early_warnings, outcomes, watching
from risk.monitoring.incidents import rank

Row = Mapping[str, Any]
NEWEST = Part(page_size=100)
KINDS = {outcomes.REALISED: MEASURED, outcomes.ESTIMATED: ESTIMATED}
SAME_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True)
class Snapshot:
    """What the ledger says at one moment; its rows are the newest hundred, the newest first.

    Of open incidents it has all. `scores` are those of the metric, the newest last, `rankings`
    those of ROC AUC; `fault` is why no live model can be trusted; `risk` is the mean predicted
    risk before and after, with each feature's part in the change, and `score_change` that of the
    score with its parts; `warnings` are the early warnings that stand; `waits` says what a first
    reference lacks.
    """

    now: datetime
    metric: str = "f1"
    evidence_needed: float = 20.0
    usual_interval: timedelta = timedelta(days=1)
    days_per_false_alarm: float = 90.0
    min_rows_per_class: int = 10
    fault: str | None = None
    release: Row | None = None
    runs: Sequence[Row] = ()
    decisions: Sequence[Row] = ()
    incidents: Sequence[Row] = ()
    scores: pd.DataFrame | None = None
    rankings: pd.DataFrame | None = None
    positives: Mapping[str, int] = field(default_factory=dict)
    risk: Row | None = None
    score_change: Row | None = None
    warnings: Sequence[Row] = ()
    waits: str = ""

    @property
    def open_incidents(self) -> list[Row]:
        """Those that are not resolved, the worst first."""
        return worst_first([i for i in self.incidents if not i["resolved_at"]])

    @cached_property
    def newest_scores(self) -> dict[str, Row]:
        """Return the newest scores of the live release by where they come from."""
        return {
            kind: {**row, "n_positive": self.positives.get(row["dataset"])}
            for kind, row in self._newest(self.scores).items()
        }

    @cached_property
    def newest_rankings(self) -> dict[str, Row]:
        """Return the newest ROC AUC of the live release by where they come from."""
        return self._newest(self.rankings)

    def _newest(self, scores: pd.DataFrame | None) -> dict[str, Row]:
        if self.release is None or scores is None:
            return {}
        own = with_kinds(scores[scores["version"].eq(self.release["version"])])
        own = own[own["value"].notna()]
        return dict(zip(own["kind"], as_rows(own), strict=True))

    def causes(self, decision: Row) -> list[Row]:
        """Return the incidents that were open when something was decided, the worst first."""
        moment = decision["decided_at"]
        return worst_first(
            [
                incident
                for incident in self.incidents
                if incident["opened_at"] <= moment
                and (incident["resolved_at"] or moment) >= moment - SAME_MOMENT
            ]
        )


def look(
    config: Config, ledger: Ledger, *, fault: str | None = None, live: int | None = None
) -> Snapshot:
    """Read what there is to know; `fault` is why the live model cannot be trusted.

    The `live` release is the one that is deployed, unless another is named.
    """
    live = live or releases.live_version(config.deployment_folder)
    seen = ledger.assessments.history(newest=1)
    known = ledger.releases.page(NEWEST, live=live).items
    stored = seen[-1].attribution if seen and seen[-1].version == live else None
    return Snapshot(
        now=ledger.now(),
        metric=config.checks.metric,
        evidence_needed=1 / config.gate.alpha,
        usual_interval=timedelta(minutes=config.alarms.usual_minutes_between_drops),
        days_per_false_alarm=config.alarms.days_per_false_alarm,
        min_rows_per_class=config.training.minimum_held_out_per_class,
        fault=fault,
        release=next((release for release in known if release["live"]), None),
        runs=ledger.runs.page(NEWEST).items,
        decisions=ledger.decisions.page(NEWEST).items,
        incidents=[
            *ledger.incidents.page(EVERY, is_open=True).items,
            *ledger.incidents.page(NEWEST, is_open=False).items,
        ],
        scores=ledger.trends.of(config.checks.metric),
        rankings=ledger.trends.of("roc_auc"),
        positives=ledger.scores.positives(live, config.checks.metric) if live else {},
        risk=json.loads(stored) if stored else None,
        score_change=ledger.assessments.score_change(live),
        warnings=early_warnings.standing(ledger, live),
        waits=" ".join(watching.waiting(config, ledger)) if config.watches_only else "",
    )


def with_kinds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with their `kind`, and of promises only those on the rows of the first one.

    A person may score a release on any other file, which is no promise.
    """
    kinds = scores["dataset"].map(KINDS).fillna(PROMISED)
    first = scores["dataset"].where(kinds == PROMISED).groupby(scores["version"]).transform("first")
    return scores.assign(kind=kinds)[(kinds != PROMISED) | (scores["dataset"] == first)]


def is_watched(release: Row | None) -> bool:
    """Whether a release only watches predictions that are made elsewhere."""
    return release is not None and release.get("made_by") == watched.MADE_BY


def worst_first(incidents: Sequence[Row]) -> list[Row]:
    """Sort by rank, the oldest first of those that are equal."""
    return sorted(incidents, key=lambda incident: rank(incident["severity"], incident["kind"]))
