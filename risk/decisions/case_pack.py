"""What a person should know before an answer: since when, what each answer brings, the drill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from risk.config import Config
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from risk.models import dating, training_data
from risk.models.dating import LABELLED_BY, MOMENT
from risk.monitoring import change_point, drill, monitored_release, outcomes
from risk.monitoring.data_quality import ARRIVAL, COLUMNS, DUPLICATES, QUARANTINED, VOLUME
from risk.monitoring.monitored_release import MonitoredRelease, rows_to_remember
from risk.monitoring.reference import LABELLED

CHALLENGER = "(challenger)"  # the subject of a case about a deployment
OF_DROPS = (ARRIVAL, COLUMNS, DUPLICATES, QUARANTINED, VOLUME)
MAX_ROWS = 50_000  # the newest, among which a change is dated


def gather(
    config: Config, ledger: Ledger, incident: Any, asked_with: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts of a case about an incident, or about a challenger if there is none.

    `asked_with` are the facts of the decision that asks.
    """
    live = monitored_release.load(config)
    if incident is None:
        known = asked_with.get("incidents") or []
        subjects = [each["subject"] for each in known]
        first = min((i.since_ingestion_id for i in _open(ledger, known)), default=None)
        since = None
        if known:
            rows = _rows_since(config, ledger, live, sound=True)  # of others it has learnt nothing
            since = _since(ledger, live, rows, subjects, first)
        return {"since": since, "expected": [], "drill": _drill(ledger, live, LABELLED)}
    rows = _rows_since(config, ledger, live)
    since = _since(ledger, live, rows, [incident.subject], incident.since_ingestion_id)
    approved: dict[str, Any] = {"answer": "approve", "action": "resolve"}
    if not is_of_drops(incident.kind, incident.subject):
        needed = rows_to_remember(live.reference.profile.n) / (1 - config.test_size)
        approved |= {"action": "learn", "rows_needed": int(np.ceil(needed))}
        if config.watches_only:
            approved |= {"action": "refer", "rows_needed": config.model.reference_rows}
        approved |= {name: since and since[name] for name in ("rows", "labelled")}
    declined = {"answer": "decline", "action": "keep"} | _scores(config, ledger, live)
    drilled = _drill(ledger, live, incident.subject)
    return {"since": since, "expected": [approved, declined], "drill": drilled}


def is_of_drops(kind: str, subject: str) -> bool:
    """Whether an incident is about whole drops, of which no model can learn anything."""
    return kind == "data_quality" and subject in OF_DROPS


def _open(ledger: Ledger, known: Sequence[Mapping[str, Any]]) -> list[Any]:
    wanted = {each["id"] for each in known}
    found = [i for i in ledger.incidents.unresolved() if i.id in wanted]
    return [incident for incident in found if incident.since_ingestion_id]


def _since(
    ledger: Ledger,
    live: MonitoredRelease,
    rows: pd.DataFrame,
    subjects: Sequence[str],
    first: int | None,
) -> dict[str, Any] | None:
    """Date a change among the rows since the release, else by the drop it was first seen in."""
    found = change_point.interval(live, rows, subjects) if len(rows) else None
    if found is not None:
        earliest, likeliest, latest = (_moment(rows, place) for place in found)
        after = rows.iloc[found[1] :]
        counted = {"rows": len(after), "labelled": int(after[LABELLED_BY].notna().sum())}
        return {"earliest": earliest, "likeliest": likeliest, "latest": latest} | counted
    if first is None:
        return None
    came = ledger.ingestions.came_at(first).isoformat()
    before = ledger.parts.before(first)
    earlier = ledger.ingestions.came_at(before or first).isoformat()
    return {"earliest": earlier, "likeliest": came, "latest": came, "rows": None, "labelled": None}


def _rows_since(
    config: Config, ledger: Ledger, live: MonitoredRelease, *, sound: bool = False
) -> pd.DataFrame:
    """Return the newest rows since the release, in order of their dates, or the sound ones only."""
    learnt = live.champion.manifest.trained_through
    if sound:
        parts = training_data.sound_parts(config, ledger, after=learnt)
    else:
        parts = ledger.parts.ids(after=learnt)
    sizes = ledger.parts.sizes(parts)
    sums = np.cumsum([sizes[number] for number in reversed(parts)])
    n_parts = max(int(np.searchsorted(sums, MAX_ROWS, side="right")), 1)
    rows = training_data.accepted(config, ledger, parts[len(parts) - n_parts :])
    return dating.in_order(rows, config.columns.event_time)


def _moment(rows: pd.DataFrame, place: int) -> str:
    moment: pd.Timestamp = rows[MOMENT].iloc[place]
    return moment.tz_localize("UTC").isoformat()


def _scores(config: Config, ledger: Ledger, live: MonitoredRelease) -> dict[str, Any]:
    """Return what the live release scores now, by labels or else by estimate, and its promise."""
    metric, version = config.checks.metric, live.champion.manifest.version
    promised = (live.champion.manifest.test_scores or {}).get(metric)
    known: dict[str, Any] = {"metric": metric, "promised": promised and asdict(promised)}
    for basis, dataset in (("realised", outcomes.REALISED), ("estimated", outcomes.ESTIMATED)):
        found = ledger.scores.page(
            Part(page_size=1), metric=metric, dataset=dataset, version=version
        ).items
        if found:
            score = {name: found[0][name] for name in ("value", "lower", "upper", "n")}
            return known | {"score": score, "basis": basis}
    return known | {"score": None, "basis": None}


def _drill(ledger: Ledger, live: MonitoredRelease, subject: str) -> list[dict[str, Any]]:
    """Return what the newest drill of the release, if there was one, found for a subject."""
    done = drill.newest(ledger, live.champion.manifest.version)
    results = done.results if done else ()
    return [asdict(result) for result in results if result.subject == subject]
