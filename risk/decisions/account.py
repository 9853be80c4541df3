"""The account of the alarms and releases: were they worth it? From the ledger alone.

An alarm is judged by what came after it, never by the rows that raised it (ADR 39).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, get_args

import numpy as np

from risk.config import Config, CostMatrix
from risk.data.statistics import as_rows
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.monitoring.data_quality import ARRIVAL, FACT
from risk.monitoring.findings import CONSTANT, METHOD, Check
from risk.monitoring.outcomes import REALISED
from risk.stats import paired
from risk.stats.batches import mean_of_batches
from risk.stats.scores import Estimate

MIN_DROPS = 3
CONFIDENCE = 0.95
# A fault is named after the worst of all drops and subjects so far. At five standard errors the
# choice among a thousand of them explains less than one recovery in a thousand.
RECOVERED_AT = 5.0
DAYS_A_WARNING_HOLDS = 90.0
Row = Mapping[str, Any]


class Verdict(StrEnum):
    """What later rows say of an alarm."""

    CONFIRMED = "confirmed"
    FALSE = "false"
    UNDECIDED = "undecided"


class Why(StrEnum):
    """What the verdict on an alarm rests on."""

    PERSISTS = "persists"
    RECOVERED = "recovered"
    FACT = "fact"
    STAYED_AWAY = "stayed_away"
    GONE = "gone"
    CAME_SOON = "came_soon"
    FEW_DROPS = "few_drops"
    UNCLEAR = "unclear"
    NOT_FOLLOWED = "not_followed"


@dataclass(frozen=True)
class Judged:
    """An alarm and its verdict.

    `shift` is how far later rows are from the reference beyond what is tolerated, in standard
    deviations of the reference, over `drops` batches.
    """

    incident_id: int
    opened_at: datetime
    version: int
    kind: str
    subject: str
    verdict: Verdict
    why: Why
    drops: int
    shift: Estimate | None


@dataclass(frozen=True)
class Warned:
    """How many early warnings there were, and how many of them became alarms."""

    warnings: int
    became_alarms: int


@dataclass(frozen=True)
class Gain:
    """What the releases gained against keeping the first one, on rows labelled `since` then.

    `errors_avoided` are customers judged wrongly by the first release alone, less those judged
    wrongly by the live one alone; `cost_saved` is the same by the cost matrix. `not_known_before`
    is set if earlier rows were labelled but not compared.
    """

    first_version: int
    since: datetime
    f1: Estimate
    rows: int
    drops: int
    errors_avoided: int
    cost_saved: float
    not_known_before: datetime | None


@dataclass(frozen=True)
class Account:
    """The alarms with their verdicts, and what the releases brought, from `since` to `until`.

    There are no `challengers`, not even none, where predictions are made elsewhere.
    """

    since: datetime | None
    until: datetime
    days: float
    alarms: tuple[Judged, ...]
    alarms_allowed: float
    warned: Warned
    challengers: int | None
    releases: int
    rolled_back: int
    gain: Gain | None

    def count(self, verdict: Verdict) -> int:
        """Count the alarms with a verdict."""
        return sum(alarm.verdict == verdict for alarm in self.alarms)


def gather(config: Config, ledger: Ledger, *, now: datetime | None = None) -> Account:
    """Add up what the ledger knows; write nothing."""
    known, now = ledger.account, now or ledger.now()
    since = known.began()
    days = (now - since) / timedelta(days=1) if since else 0.0
    looks = dict(iter(known.looks().groupby("incident_id")))
    opened = [i for i in as_rows(ledger.incidents.history()) if i["kind"] in get_args(Check)]
    decided, seen = known.decided(), ledger.assessments.history(newest=1)
    newest = seen[-1].assessed_at if seen else None
    return Account(
        since=since,
        until=now,
        days=days,
        alarms=tuple(
            judge(
                each,
                looks.get(each["id"]),
                came=_came(ledger, each),
                now=now,
                is_newest=newest is not None and each["opened_at"] >= newest,
            )
            for each in opened
        ),
        alarms_allowed=days / config.alarms.days_per_false_alarm,
        warned=warned(ledger.account.warnings(), ledger.incidents.history()),
        challengers=None if config.watches_only else decided.challengers,
        releases=decided.releases,
        rolled_back=decided.rolled_back,
        gain=_gain(config, ledger),
    )


def judge(
    incident: Row,
    looks: pd.DataFrame | None,
    *,
    came: datetime | None,
    now: datetime,
    is_newest: bool = False,
) -> Judged:
    """Judge an alarm by its follow-ups; `came` is when the next drop did.

    No rows were looked at after one that `is_newest`.
    """
    shift, n_drops = None, 0
    if incident["method"] == FACT:
        verdict, why = Verdict.CONFIRMED, Why.FACT
    elif incident["subject"] == ARRIVAL:
        verdict, why = _of_absence(incident, came or now, is_over=came is not None)
    elif looks is None:
        verdict, why = Verdict.UNDECIDED, Why.FEW_DROPS if is_newest else Why.NOT_FOLLOWED
    else:
        n_drops = len(looks)
        shift = mean_of_batches(
            looks["shift"] - looks["tolerated"],
            looks["n"],
            looks["standard_error"],
            confidence=CONFIDENCE,
        )
        verdict, why = _of_shift(incident, looks, shift)
    told = {name: incident[name] for name in ("opened_at", "version", "kind", "subject")}
    return Judged(
        incident_id=incident["id"], **told, verdict=verdict, why=why, drops=n_drops, shift=shift
    )


def _of_shift(incident: Row, looks: pd.DataFrame, shift: Estimate) -> tuple[Verdict, Why]:
    """Judge by whether later rows are beyond what is tolerated, or a fault passed by itself."""
    known = len(looks) >= MIN_DROPS and shift.lower is not None and shift.upper is not None
    if known and shift.lower > 0:  # type: ignore[operator]
        return Verdict.CONFIRMED, Why.PERSISTS
    if _has_recovered(incident, looks):
        return Verdict.CONFIRMED, Why.RECOVERED
    if not known:
        return Verdict.UNDECIDED, Why.FEW_DROPS
    if shift.upper <= 0:  # type: ignore[operator]
        return Verdict.FALSE, Why.GONE
    return Verdict.UNDECIDED, Why.UNCLEAR


def _has_recovered(incident: Row, looks: pd.DataFrame) -> bool:
    """Return whether a broken feed is far from what it was, by far more than chance explains."""
    if incident["kind"] != "data_quality" or incident["severity"] != "large":
        return False
    if incident["method"] not in (METHOD, CONSTANT) or not incident["n"]:
        return False
    # of a column with one value the unit is how far that can go, see `monitoring.follow_up`
    was = 1.0 if incident["method"] == CONSTANT else abs(incident["effect"] or 0.0)
    n, errors = looks["n"].to_numpy("float64"), looks["standard_error"].to_numpy("float64")
    now = float(np.average(looks["shift"], weights=n))
    variance = float(np.median(errors**2 * n))  # of one row
    error = float(np.sqrt(variance / incident["n"] + np.sum((n * errors) ** 2) / n.sum() ** 2))
    return was - now > RECOVERED_AT * error


def _of_absence(incident: Row, until: datetime, *, is_over: bool) -> tuple[Verdict, Why]:
    """Judge that no drop came by whether another usual interval passed without one."""
    usual = timedelta(hours=incident["value_before"] or 0.0)
    if until - incident["opened_at"] >= usual:
        return Verdict.CONFIRMED, Why.STAYED_AWAY
    return (Verdict.FALSE, Why.CAME_SOON) if is_over else (Verdict.UNDECIDED, Why.FEW_DROPS)


def _came(ledger: Ledger, incident: Row) -> datetime | None:
    if incident["subject"] != ARRIVAL:
        return None
    return ledger.account.arrival_after(incident["opened_at"])


def warned(found: pd.DataFrame, opened: pd.DataFrame) -> Warned:
    """Count warnings, and those after which an alarm on the same subject followed in time.

    A warning about the subject of an open incident is not counted: nobody sees it.
    """
    limit, became = timedelta(days=DAYS_A_WARNING_HOLDS), []
    alarms: dict[str, list[Row]] = {}
    for row in as_rows(opened):
        alarms.setdefault(row["subject"], []).append(row)
    for at, subject in zip(found["found_at"], found["feature"], strict=True):
        own = alarms.get(subject, [])
        if not any(_is_open(row, at) for row in own):
            became.append(any(at <= row["opened_at"] <= at + limit for row in own))
    return Warned(len(became), sum(became))


def _is_open(incident: Row, at: datetime) -> bool:
    is_over = incident["resolved_at"] is not None and incident["resolved_at"] <= at
    return bool(incident["opened_at"] <= at and not is_over)


def _gain(config: Config, ledger: Ledger) -> Gain | None:
    """Compare what the live releases said with what the first would have said."""
    compared = ledger.account.first_compared()
    if compared is None:
        return None
    version, since = compared
    drops = ledger.account.outcomes_by_drop(version)
    f1 = f1_gained(drops, confidence=config.scoring.confidence)
    if f1 is None:
        return None
    total = drops.sum()
    is_later = ledger.account.is_scored_before(since, REALISED)
    return Gain(
        first_version=version,
        since=since,
        f1=replace(f1, n=int(total["n"])),
        rows=int(total["n"]),
        drops=len(drops),
        errors_avoided=int(_errors(total, "first_") - _errors(total, "")),
        cost_saved=_cost(total, "first_", config.training.cost)
        - _cost(total, "", config.training.cost),
        not_known_before=since if is_later else None,
    )


def f1_gained(drops: pd.DataFrame, *, confidence: float) -> Estimate | None:
    """Return the gain of F1 with its interval; drops are the sampling units."""

    def ratio(prefix: str) -> paired.Ratio:
        hits = 2 * drops[f"{prefix}true_positives"].to_numpy("float64")
        errors = drops[f"{prefix}false_positives"] + drops[f"{prefix}false_negatives"]
        return hits, hits + errors.to_numpy("float64")

    return paired.difference(ratio("first_"), ratio(""), confidence=confidence)


def _errors(total: Any, prefix: str) -> int:
    return int(total[f"{prefix}false_positives"] + total[f"{prefix}false_negatives"])


def _cost(total: Any, prefix: str, cost: CostMatrix) -> float:
    """Return the cost of the outcomes; both releases have the same positives and negatives."""
    hits, false_alarms = total[f"{prefix}true_positives"], total[f"{prefix}false_positives"]
    missed = total[f"{prefix}false_negatives"]
    negatives = total["n"] - hits - missed
    by_outcome = (
        (cost.true_positive, hits),
        (cost.false_positive, false_alarms),
        (cost.false_negative, missed),
        (cost.true_negative, negatives - false_alarms),
    )
    return float(sum(each * rows for each, rows in by_outcome))
