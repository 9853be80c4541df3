"""Whether a challenger is worth training now: since when rows are new, and whether enough are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import numpy as np

from risk.config import Config
from risk.decisions.codes import ReasonCode, Response
from risk.decisions.policy import Choice
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import dating, evaluation, model, signing, training_data
from risk.models.dating import INGESTION, Change
from risk.models.evaluation import ripe
from risk.monitoring import change_point
from risk.monitoring.monitored_release import MonitoredRelease, rows_to_remember
from risk.stats.scores import BIGGER_IS_BETTER, is_worse

MAX_ROWS = 50_000  # the newest, among which a change is looked for
MIN_ROWS = 30
# Each further challenger for one change needs twice the rows: a refused one would be refused again
# on nearly the same evidence. After the third the gate goes on with the newest.
WORTH_ANOTHER = 2.0
MAX_CHALLENGERS = 3


def consider(config: Config, ledger: Ledger, live: MonitoredRelease, choice: Choice) -> Choice:
    """Date the change that a challenger would answer, and decide whether it is time for one.

    A model none of whose rows lies after the change cannot answer it, and a reference in which most
    rows lie before it would raise the alarm again at once. So a challenger waits for the labels
    of enough rows.
    """
    rows = _rows_since(config, ledger, live)
    since = _dated(config, live, rows, choice)
    if since is None:
        return choice
    since = _newest_change(config, ledger, live, rows, since)
    after = rows[dating.is_since(rows, since, config.columns.event_time)]
    n_labelled = int(after[config.columns.target].notna().sum())
    known: dict[str, Any] = {"labelled": n_labelled, "rows": len(after), "change": asdict(since)}
    known |= {"labels_through": ledger.ingestions.last_id()}
    grounds = choice.grounds.with_facts(**known)
    needed = rows_to_remember(live.reference.profile.n)
    if n_labelled * (1 - config.test_size) < needed:
        waited: dict[str, Any] = {"needed": int(np.ceil(needed / (1 - config.test_size)))}
        waited |= {"due": _due(ledger, after, config.columns.target)}
        grounds = replace(grounds, code=ReasonCode.FEW_ROWS_SINCE).with_facts(**waited)
        return replace(choice, action=Response.NOTHING, grounds=grounds)
    earlier = [facts for facts in _earlier(ledger) if facts["labels_through"] >= since.ingestion_id]
    newest = earlier[0]["labelled"] if earlier else 0
    if len(earlier) >= MAX_CHALLENGERS or n_labelled < WORTH_ANOTHER * newest:
        few = replace(grounds, code=ReasonCode.FEW_NEW_ROWS)
        growth = n_labelled / max(newest, 1) - 1
        return replace(choice, action=Response.JUDGE, grounds=few.with_facts(growth=growth))
    return replace(choice, since=since, grounds=grounds)


def cool_down(config: Config, ledger: Ledger, live: MonitoredRelease, choice: Choice) -> Choice:
    """Keep the live release where the newest challenger was trained before the change.

    It is no answer to that, however it would be judged, and it is too early for another.
    """
    considered = consider(config, ledger, live, choice)
    if considered.grounds.code is ReasonCode.FEW_ROWS_SINCE:
        return considered
    grounds = choice.grounds.with_facts(is_older=True)
    return replace(choice, action=Response.NOTHING, grounds=grounds)


def is_older(config: Config, since: Change | None) -> bool:
    """Whether the newest challenger was trained before a change."""
    manifest = model.load_manifest(config.model_folder, signing.key(config))
    return since is not None and manifest.trained_through < since.ingestion_id


def _rows_since(config: Config, ledger: Ledger, live: MonitoredRelease) -> pd.DataFrame:
    """Return the newest sound rows since the release, labelled or not, in order of their dates."""
    parts = training_data.sound_parts(config, ledger, after=live.champion.manifest.trained_through)
    sizes = ledger.parts.sizes(parts)
    newest: list[int] = []
    n = 0
    for number in reversed(parts):
        n += sizes[number]
        if newest and n > MAX_ROWS:
            break
        newest.append(number)
    rows = training_data.accepted(config, ledger, newest[::-1])
    return dating.in_order(rows, config.columns.event_time)


def _dated(
    config: Config, live: MonitoredRelease, rows: pd.DataFrame, choice: Choice
) -> Change | None:
    subjects = [cause.subject for cause in choice.causes]
    if len(rows) < MIN_ROWS:
        return choice.since
    place = change_point.position(live, rows, subjects)
    if place is None:
        return choice.since
    return dating.date_of(rows, place, config.columns.event_time)


def _newest_change(
    config: Config, ledger: Ledger, live: MonitoredRelease, rows: pd.DataFrame, since: Change
) -> Change:
    """Return since when the live release does worse still than it did for the newest challenger.

    Where all rows are unlike the reference, the change is dated to the first of them, however the
    world goes on. A challenger from before a further change is no answer to it, and rows from
    before say little of those to come.
    """
    earlier = [facts for facts in _earlier(ledger) if facts["labels_through"] >= since.ingestion_id]
    if not earlier:
        return since
    answered = Change(**earlier[0]["change"])
    if answered.ingestion_id > since.ingestion_id:
        since = answered
    further = Change(earlier[0]["labels_through"] + 1)
    known = ripe(rows, config.columns.target)
    known = known[dating.is_since(known, since, config.columns.event_time)]
    is_later = dating.is_since(known, further, config.columns.event_time)
    if is_later.all() or not is_later.any():
        return since
    metric = config.checks.metric
    before, now = (
        evaluation.score(live.champion, part, config=config)[metric]
        for part in (known[~is_later], known[is_later])
    )
    bigger = BIGGER_IS_BETTER[metric]
    return further if is_worse(before, now, bigger_is_better=bigger) else since


def _earlier(ledger: Ledger) -> Sequence[Mapping[str, Any]]:
    """Return what was known when challengers were trained to answer drift, the newest first."""
    found = ledger.decisions.facts_of(ReasonCode.DRIFT, newest=2 * MAX_CHALLENGERS)
    return [facts for facts in found if "labels_through" in facts]


def _due(ledger: Ledger, rows: pd.DataFrame, target: str) -> str | None:
    """Return when the first missing label is due, as a date, if labels ever came late."""
    unlabelled, delay = rows[rows[target].isna()], ledger.labels.usual_delay()
    if unlabelled.empty or delay is None:
        return None
    came: datetime = ledger.ingestions.came_at(int(unlabelled[INGESTION].min()))
    return (came + delay).date().isoformat()
