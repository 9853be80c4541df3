"""A scheduled refresh: without any drift a model ages behind its data, and the gate decides."""

from __future__ import annotations

import json
from dataclasses import replace

from risk.config import Config
from risk.decisions.codes import QUIET, ReasonCode, Response, VerdictCode
from risk.decisions.policy import Choice
from risk.errors import ModelError
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.models.model import Manifest, Model

MIN_ROWS = 200  # fewer neither teach much nor let the gate see a difference


def consider(config: Config, ledger: Ledger, live: Manifest, choice: Choice) -> Choice:
    """Train a challenger where nothing is wrong but the labelled rows grew enough.

    One that is not live yet is judged again whenever the rows grew by the cool-down.
    """
    limit = config.policy.refresh_growth
    if limit is None or choice.grounds.code not in QUIET:
        return choice
    newest = _newest(config, live)
    n_new = ledger.labels.labelled_after(newest.trained_through)
    growth = n_new / max(newest.rows_used, 1)
    known = choice.grounds.with_facts(growth=growth, trained_through=newest.trained_through)
    if growth >= limit and n_new >= MIN_ROWS:
        grounds = replace(known, code=ReasonCode.REFRESH)
        # what the live release did not learn because it is of another world stays out
        since = live.changed_at
        return replace(choice, action=Response.REFRESH, grounds=grounds, since=since)
    waits = newest.made_by == "refresh" and newest.trained_through > live.trained_through
    judged = _judged_at(ledger, newest)
    if waits and growth >= judged + max(config.policy.cool_down_growth, 0.01):
        grounds = replace(known, code=ReasonCode.REFRESH_AGAIN)
        return replace(choice, action=Response.JUDGE, grounds=grounds)
    return choice


def best_so_far(config: Config, ledger: Ledger, champion: Model) -> Model | None:
    """Return the release that refreshes are compared with, None if it can no longer be used.

    A margin per refresh would be a ratchet: ten of them, each worse by .01, are worse by .1. So a
    refresh that was only not inferior is no new mark: the next one is compared with what it was
    compared with, and the margin is spent once.
    """
    version = champion.manifest.version or 0
    text = ledger.decisions.comparison_for(version)
    found = json.loads(text) if text else {}
    mark = found.get("against")
    if mark is None or found["verdict"] != VerdictCode.NOT_INFERIOR or mark == version:
        return champion
    if mark not in releases.versions(config.deployment_folder):
        return None
    folder = releases.release_path(config.deployment_folder, mark)
    try:
        best = model.load(folder, signing.key(config))
    except ModelError:
        return None
    return best if best.manifest.features == champion.manifest.features else None


def _newest(config: Config, live: Manifest) -> Manifest:
    """Return the manifest of the newest challenger, or of the live release if there is none."""
    if not (config.model_folder / model.MANIFEST).exists():
        return live
    try:
        last = model.load_manifest(config.model_folder, signing.key(config))
    except ModelError:
        return live  # a damaged challenger is replaced by a new one
    return max(live, last, key=lambda manifest: manifest.trained_through)


def _judged_at(ledger: Ledger, newest: Manifest) -> float:
    """Return the growth at which the newest challenger was last judged again."""
    for facts in ledger.decisions.facts_of(ReasonCode.REFRESH_AGAIN, newest=1):
        if facts["trained_through"] == newest.trained_through:
            return float(facts["growth"])
    return 0.0
