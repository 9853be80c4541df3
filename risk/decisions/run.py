"""The open incidents put to the policy, and champion and challenger to the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from risk.config import Config, Metric
from risk.data import drops
from risk.decisions import gate, policy, refreshing, retraining
from risk.decisions.codes import Response, VerdictCode
from risk.decisions.gate import Criteria, PairedPredictions, Prediction, Standing, Verdict
from risk.decisions.policy import ALONE, Choice, Together
from risk.errors import DataError, ModelError, RiskError
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import (
    evaluation,
    model,
    pipelines,
    recalibration,
    releases,
    rolling,
    signing,
    training_data,
)
from risk.models.dating import is_since
from risk.models.evaluation import ripe
from risk.models.fitting import fit
from risk.models.model import Manifest, Model
from risk.monitoring import incidents
from risk.monitoring.monitored_release import MonitoredRelease
from risk.schema import ROW_HASH


def choose(
    config: Config,
    ledger: Ledger,
    live: MonitoredRelease,
    together: Together = ALONE,
) -> Choice:
    """Let the policy choose what to do about the incidents that are open.

    `together` are the subjects that moved in many models of a fleet: in how many, of how many.
    """
    manifest, open_incidents = live.champion.manifest, ledger.incidents.unresolved()
    offered = []
    if incidents.of_kind(open_incidents, ["calibration_drift"]):
        since = manifest.trained_through
        parts, n_labels = training_data.labelled_parts(config, ledger, after=since)
        newest = training_data.enough(parts[::-1], n_labels, training_data.MAX_ROWS)[::-1]
        labelled = training_data.sound_rows(config, ledger, newest, labelled_after=since)
        known = pd.DataFrame(
            {
                "y_true": labelled[manifest.target].astype("float64"),
                "y_pred_proba": live.champion.predict_proba(labelled) if len(labelled) else [],
            }
        )
        offered = recalibration.offers(known, manifest.threshold, config)
    growth = _growth(config, ledger)
    choice = policy.choose(
        open_incidents,
        offered,
        config.policy,
        growth=growth,
        through=ledger.parts.newest() or 0,
    )
    choice = policy.ask_together(choice, open_incidents, together)
    if config.watches_only or manifest.is_foreign:
        trains = not config.watches_only
        choice = policy.elsewhere(choice, open_incidents, trains_here=trains)
        if choice.action in (Response.NOTHING, Response.ASK, Response.REFER):
            return choice
    if choice.action is Response.RETRAIN:
        return retraining.consider(config, ledger, live, choice)
    if choice.action is Response.JUDGE and retraining.is_older(config, choice.since):
        return retraining.cool_down(config, ledger, live, choice)
    return refreshing.consider(config, ledger, manifest, choice)


def rehearse_first(config: Config, rows: pd.DataFrame) -> str:
    """Say whether a run would train a first model on rows."""
    if config.watches_only:
        return "would make a reference, if there are enough rows, and watch the others"
    try:
        n_rows = first_training(config, rows)
    except RiskError as error:
        return f"would not train the first model: {error}"
    return f"would train the first model, on {n_rows} labelled rows"


def first_training(config: Config, rows: pd.DataFrame) -> int:
    """Return the labelled rows of a first training; fit a model to them that is thrown away."""
    target = config.columns.target
    known = ripe(training_data.without_test(config, rows), target)
    pipeline = pipelines.build(config.columns, config.training, random_seed=config.random_seed)
    fit(pipeline, known, config)
    if ripe(drops.read_whole(config, config.test_data), target).empty:
        raise DataError(f"{config.name_of(config.test_data)} has no labelled row to score it on")
    return len(known)


def answered(config: Config, ledger: Ledger, challenger: Manifest) -> list[int]:
    """Return the open incidents that are over once the challenger is live."""
    return policy.answered(ledger.incidents.unresolved(), challenger, config.policy)


def answered_by_rollback(ledger: Ledger, version: int) -> list[int]:
    """Return the open incidents that are over once a release is no longer live."""
    return policy.answered_by_rollback(ledger.incidents.unresolved(), version)


def last_seen(ledger: Ledger) -> dict[str, Any]:
    """Return what the last assessment knew: the strongest evidence, what moved the risk and how."""
    seen = ledger.assessments.history(newest=1)
    known: dict[str, Any] = json.loads(seen[-1].facts) if seen and seen[-1].facts else {}
    return known


def judge(config: Config, ledger: Ledger, challenger: Model, *, first_look: bool) -> Verdict:
    """Compare the challenger with the champion on rows predicted before any training on them.

    These are the newest ripe rows and the test data. After a change the test data no longer
    represent the world the model lives in, and only the rows since then count.
    """
    test = ripe(drops.read_whole(config, config.test_data), challenger.manifest.target)
    metric = config.checks.metric
    if releases.live_version(config.deployment_folder) is None:
        score = evaluation.score(challenger, test, config=config)[metric]
        return gate.first(score, metric, confidence=config.scoring.confidence)
    champion = releases.load_champion(config)
    if (
        champion.sha256 == challenger.sha256
        and champion.manifest.threshold == challenger.manifest.threshold
    ):
        return Verdict(deploy=False, proven=False, verdict=VerdictCode.SAME_MODEL)
    if challenger.manifest.made_by == "refresh":
        return _judge_refresh(config, ledger, champion, challenger, test)
    open_incidents = ledger.incidents.unresolved()
    harm = bool(incidents.of_kind(open_incidents, ["model_drift"]))
    drift = bool(policy.drifted(open_incidents, config.policy))
    new, rolled = _unlearnt(config, ledger, challenger)
    since = challenger.manifest.changed_at
    changed = new[is_since(new, since, config.columns.event_time)]
    if (since or harm) and len(changed):
        rows, sources = changed, {"newest": len(changed)}
    else:
        rows = pd.concat([test, new], ignore_index=True)
        sources = {"test_data": len(test), "newest": len(new)}
    predicted = predict_with_both(champion, challenger, rows, metric=metric, sources=sources)
    predicted = _as_rolled(predicted, rows, rolled)
    standing = Standing(drift=drift or harm, harm=harm, first_look=first_look)
    return gate.compare(predicted, config.gate, by=criteria(config), standing=standing)


def _judge_refresh(
    config: Config, ledger: Ledger, champion: Model, challenger: Model, test: pd.DataFrame
) -> Verdict:
    """Compare a refresh with the best release so far, and with the live one lest it be worse."""
    new, rolled = _unlearnt(config, ledger, challenger)
    rows = pd.concat([test, new], ignore_index=True)

    def compared(before: Model, standing: Standing) -> Verdict:
        metric, sources = config.checks.metric, {"test_data": len(test), "newest": len(new)}
        predicted = predict_with_both(before, challenger, rows, metric=metric, sources=sources)
        predicted = _as_rolled(predicted, rows, rolled)
        return gate.compare(predicted, config.gate, by=criteria(config), standing=standing)

    best = refreshing.best_so_far(config, ledger, champion)
    if best is None:  # it was pruned: the margin is spent, so it takes a better one
        return compared(champion, Standing())
    verdict = compared(best, Standing(refresh=best.manifest.version))
    if best is champion or not verdict.deploy:
        return verdict
    now = compared(champion, Standing())
    return now if now.verdict in (VerdictCode.WORSE, VerdictCode.WORSE_BEYOND_CHANCE) else verdict


def _unlearnt(
    config: Config, ledger: Ledger, challenger: Model
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to compare on, and what was said of those it was trained on since.

    That is what models said that were trained on what came before these rows.
    """
    folder, manifest = config.model_folder, challenger.manifest
    rolled = rolling.read(folder, manifest)
    kept = model.read_checked(folder, model.HELD_OUT, manifest)
    kept += training_data.to_list(rolled.reset_index()).encode()
    return training_data.unlearnt(config, ledger, manifest, kept), rolled


def _as_rolled(
    predicted: PairedPredictions, rows: pd.DataFrame, rolled: pd.DataFrame
) -> PairedPredictions:
    """Replace what the challenger says of rows it was trained on by what was predicted before."""
    if rolled.empty:
        return predicted
    said = rolled.reindex(rows[ROW_HASH])
    learnt, now = said["y_pred"].notna().to_numpy(), predicted.challenger
    proba = np.where(learnt, said["y_pred_proba"].to_numpy("float64"), now.y_pred_proba)
    y_pred = np.where(learnt, said["y_pred"].fillna(0).to_numpy("int8"), now.y_pred)
    return replace(predicted, challenger=Prediction(proba, y_pred))


def criteria(config: Config) -> Criteria:
    """Return how the settings compare models."""
    cost = config.training.cost.as_tuple()
    return Criteria(config.checks.metric, cost, config.scoring.confidence)


def predict_with_both(
    champion: Model,
    challenger: Model,
    labelled: pd.DataFrame,
    *,
    metric: Metric,
    sources: Mapping[str, int],
) -> PairedPredictions:
    """Let two models predict the same labelled rows."""
    promised = champion.manifest.held_out_scores.get(metric)
    return PairedPredictions(
        y_true=labelled[champion.manifest.target].to_numpy(dtype="int8"),
        champion=_predict(champion, labelled),
        challenger=_predict(challenger, labelled),
        promise=(promised.value if promised else None) or 0.5,
        sources=sources,
    )


def _predict(trusted: Model, rows: pd.DataFrame) -> Prediction:
    y_pred_proba = trusted.predict_proba(rows)
    return Prediction(y_pred_proba, trusted.predict(y_pred_proba))


def _growth(config: Config, ledger: Ledger) -> float:
    """Return by which share the accepted rows grew since a challenger was last trained."""
    if not (config.model_folder / model.MANIFEST).exists():
        return math.inf
    try:
        last = model.load_manifest(config.model_folder, signing.key(config))
    except ModelError:
        return math.inf  # a damaged challenger is replaced by a new one
    if any(number <= last.trained_through for number in ledger.ingestions.pending()):
        return math.inf  # a crash came between that training and what it was for
    return ledger.ingestions.rows_after(last.trained_through) / max(last.rows_used, 1)
