"""A release on probation: it is rolled back if its predecessor does better on later rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from risk.config import Config
from risk.decisions import gate, policy
from risk.decisions.codes import Action, Grounds, ReasonCode
from risk.decisions.gate import Ruling, Standing
from risk.decisions.run import criteria, predict_with_both
from risk.errors import ModelError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import releases, training_data
from risk.models.dating import Change, is_since
from risk.models.model import Model
from risk.monitoring import incidents
from risk.monitoring.monitored_release import MonitoredRelease
from risk.stats.expected import expected_scores
from risk.stats.scores import BIGGER_IS_BETTER

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
MAX_ROWS = 20_000  # enough to prove a difference of one point


@dataclass(frozen=True)
class Failure:
    """A release that has to go, the one to go back to, and why."""

    version: int
    target: int
    grounds: Grounds

    @property
    def ruling(self) -> Ruling:
        """The decision to go back, or to keep the release if it was restored."""
        if self.target == self.version:
            return Ruling(Action.KEEP, self.grounds)
        return Ruling(Action.ROLLBACK, self.grounds, version=self.target)


def failed(config: Config, ledger: Ledger, monitored: MonitoredRelease) -> Failure | None:
    """Judge the live release against the one it replaced, within its time of probation.

    It has failed if the one before is better beyond chance on the first ripe rows since then, or
    since it does worse; or, without labels, if its loss is expected to be higher than promised and
    the score of the one before to be better. What a rollback made live is not on probation, so none
    follows another.
    """
    if monitored.champion.manifest.is_watched:
        return None  # the one before it is an earlier reference of the same predictions
    deployed = ledger.decisions.last("deploy", "rollback")
    live = monitored.champion.manifest.version or 0
    days = timedelta(days=config.policy.watch_days)
    if deployed is None or deployed.action != "deploy" or deployed.version != live:
        return None
    earlier = [v for v in releases.versions(config.deployment_folder) if v < live]
    if not earlier or ledger.now() - deployed.decided_at > days:
        return None
    folder = releases.release_path(config.deployment_folder, earlier[-1])
    try:
        before = releases.load_any(config, folder)
    except ModelError as error:
        log.warning("release %d is not compared with the one before it: %s", live, error)
        return None
    if before.manifest.features != monitored.champion.manifest.features:
        return None
    learnt = monitored.champion.manifest.trained_through
    open_incidents = ledger.incidents.unresolved()
    harmed = incidents.of_kind(open_incidents, ["model_drift"])
    since = min((i.since_ingestion_id for i in harmed if i.since_ingestion_id), default=0)
    # Labels that come late are of rows from the world before this release too, which the one
    # before it knew better; they say nothing about how either does now.
    starts = (monitored.champion.manifest.reference_since or Change(learnt + 1), Change(since))
    parts, n_labels = training_data.labelled_parts(config, ledger, after=learnt)
    first = max(start.ingestion_id for start in starts if start.moment is None)
    begin = max(start.ingestion_id for start in starts)  # few earlier parts have rows dated later
    parts = sorted((part for part in parts if part >= first), key=lambda part: part < begin)
    # The first rows, not the newest: evidence may be looked at in every run only from one start on.
    judged = training_data.enough(parts, n_labels, MAX_ROWS)
    labelled = training_data.sound_rows(config, ledger, judged, labelled_after=learnt)
    for start in starts:
        labelled = labelled[is_since(labelled, start, config.columns.event_time)]
    grounds = _by_labels(config, monitored.champion, before, labelled)
    if grounds is None and incidents.of_kind(open_incidents, ["suspected_harm"]):
        parts = training_data.sound_parts(config, ledger, after=learnt)
        sizes = ledger.parts.sizes(parts)
        newest = training_data.enough(parts[::-1], sizes, training_data.MAX_ROWS)[::-1]
        rows = training_data.accepted(config, ledger, newest)
        grounds = _by_estimate(config, monitored, before, rows)
    if grounds is None:
        return None
    known = {"from": live, "to": earlier[-1], "incidents": policy.described(open_incidents)}
    return Failure(live, earlier[-1], grounds.with_facts(**known))


def _by_labels(
    config: Config, live: Model, before: Model, labelled: pd.DataFrame
) -> Grounds | None:
    metric = config.checks.metric
    if labelled.empty:
        return None
    verdict = gate.compare(
        predict_with_both(
            live, before, labelled, metric=metric, sources={"since_live": len(labelled)}
        ),
        config.gate,
        by=criteria(config),
        standing=Standing(),
    )
    if not verdict.proven:
        return None
    return Grounds(ReasonCode.WORSE_THAN_BEFORE, {"comparison": verdict.facts()})


def _by_estimate(
    config: Config, monitored: MonitoredRelease, before: Model, rows: pd.DataFrame
) -> Grounds | None:
    if monitored.calibration is None or rows.empty:
        return None
    metric = config.checks.metric
    chance = monitored.calibration.expected(rows, monitored.champion.predict_proba(rows))
    now, then = (
        _expected(release, rows, chance, config) for release in (monitored.champion, before)
    )
    if now is None or then is None or (then > now) is not BIGGER_IS_BETTER[metric]:
        return None
    estimated = {"metric": metric, "live": now, "before": then, "n": len(rows)}
    return Grounds(ReasonCode.ESTIMATED_WORSE, {"estimate": estimated})


def _expected(release: Model, rows: pd.DataFrame, chance: Floats, config: Config) -> float | None:
    """Return the metric to expect of a release, given each row's chance to be positive."""
    y_pred_proba = release.predict_proba(rows)
    cost = config.training.cost.as_tuple()
    scores = expected_scores(y_pred_proba, release.predict(y_pred_proba), chance, cost=cost)
    estimate = scores.get(config.checks.metric)
    return estimate.value if estimate else None
