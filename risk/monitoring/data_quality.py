"""Checks of whole drops: number of rows, undeclared columns, shares of row kinds, absence.

Missing and unseen values are monitored by the detectors; these checks concern single drops, or
their absence. Where chance is involved they compare with earlier drops, and alarm only below their
share of the false-alarm budget for the time one drop covers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress, pairwise
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.config import Config
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import BACKLOG
from risk.monitoring.findings import Finding

MIN_DROPS = 8
MAX_DROPS = 200
MIN_SPREAD = 0.25
CHECKS = 6
USUAL = "usual_before"
FACT = "fact"
ARRIVAL, COLUMNS, VOLUME = "(arrival of drops)", "(columns of drops)", "(rows per drop)"
DUPLICATES, QUARANTINED = "(duplicate rows)", "(quarantined rows)"
SHARE_OF = {"duplicate": DUPLICATES, "quarantined": QUARANTINED}
LATE, REFUSED, UNDECLARED = "late", "refused", "undeclared"
MORE, FEWER = "more", "fewer"


@dataclass(frozen=True)
class History:
    """The drops before the new ones, and the probability below which a check raises an alarm."""

    taken: pd.DataFrame
    limit: float

    @classmethod
    def before(cls, config: Config, ledger: Ledger, first_new: int) -> History:
        """Return the latest drops with accepted rows."""
        drops = ledger.ingestions.history(newest=MAX_DROPS)
        taken = (drops["status"] == "taken") & (drops["kind"] == "rows") & (drops["id"] < first_new)
        arrivals = _arrivals(drops.loc[taken, "ingested_at"].tolist())
        return cls(drops[taken], _limit(config, _seconds_between(arrivals)))


def check_drops(config: Config, ledger: Ledger, new: Sequence[Any]) -> list[Finding]:
    """Check new drops, one by one."""
    if not new:
        return []
    history = History.before(config, ledger, new[0].id)
    found = []
    for drop in ledger.ingestions.whole([ingestion.id for ingestion in new]):
        if drop.status == "refused":
            found.append(_refused(drop))
        elif drop.kind == "rows" and drop.status == "taken":
            found += [*_volume(drop, history), *_undeclared(drop, history)]
            found += _share(drop, history, "duplicate", {})
            problem = ledger.quarantine.commonest_problem(drop.id)
            found += _share(drop, history, "quarantined", {"problem": problem})
    return found


def check_arrival(config: Config, ledger: Ledger) -> list[Finding]:
    """Check whether drops have been absent for longer than chance explains."""
    drops = ledger.ingestions.latest(MAX_DROPS)
    taken = [drop for drop in drops if drop.status == "taken" and drop.kind == "rows"]
    arrivals = _arrivals([drop.ingested_at for drop in taken])
    gaps = _seconds_between(arrivals)
    if len(gaps) < MIN_DROPS:
        return []
    hours, limit = gaps / 3600, _limit(config, gaps)
    waited = (ledger.now() - arrivals[-1]).total_seconds() / 3600
    below, typical = _place(hours, waited, offset=1e-3)
    return [
        Finding(
            check_name="data_quality",
            feature=ARRIVAL,
            method=USUAL,
            drift_detected=bool(1 - below <= limit and waited > hours.max()),
            n=len(hours),
            direction=LATE,
            value_before=typical,
            value_after=waited,
            drift_score=waited / max(typical, 1e-3),
            threshold=limit,
            p_value=1 - below,
        )
    ]


def _arrivals(moments: Sequence[datetime]) -> list[datetime]:
    """Return when drops arrived; those of one run, such as a backlog, arrived together."""
    is_apart = [after - before >= BACKLOG for before, after in pairwise(moments)]
    return [*moments[:1], *compress(moments[1:], is_apart)]


def _seconds_between(moments: Sequence[datetime]) -> NDArray[np.float64]:
    return np.array([(after - before).total_seconds() for before, after in pairwise(moments)])


def _limit(config: Config, seconds: NDArray[np.float64]) -> float:
    """Return the share of the budget, for each check, of the time that one drop covers."""
    usual = config.alarms.usual_minutes_between_drops / 1440
    days = float(np.median(seconds / 86_400)) if len(seconds) else usual
    return min(days / Rules.of(config).days_per_alarm("intake") / CHECKS, 0.01)


def _refused(drop: Any) -> Finding:
    """Return a finding on a drop that could not be used at all; no chance is involved."""
    return Finding(
        check_name="data_quality",
        feature=COLUMNS,
        method=FACT,
        drift_detected=True,
        n=0,
        direction=REFUSED,
        facts={"path": drop.path, "reason": drop.reason},
    )


def _undeclared(drop: Any, history: History) -> list[Finding]:
    """Find undeclared columns, unless earlier drops had them too."""
    if not drop.undeclared:
        return []
    names, earlier = json.loads(drop.undeclared), history.taken["undeclared"]
    known = {name for names in earlier.dropna() for name in json.loads(names)}
    # drops from before revision 0008 say that they had some, but not which
    which_is_unknown = (history.taken["reason"].notna() & earlier.isna()).any()
    if which_is_unknown or known.issuperset(names):
        return []
    return [
        Finding(
            check_name="data_quality",
            feature=COLUMNS,
            method=FACT,
            drift_detected=len(history.taken) > 0,
            n=drop.rows_read,
            direction=UNDECLARED,
            facts={"path": drop.path, "columns": names},
        )
    ]


def _volume(drop: Any, history: History) -> list[Finding]:
    usual = history.taken["rows_read"].to_numpy(dtype="float64")
    if len(usual) < MIN_DROPS:
        return []
    below, typical = _place(usual, drop.rows_read, offset=1.0)
    p_value = min(1.0, 2 * min(below, 1 - below))
    return [
        Finding(
            check_name="data_quality",
            feature=VOLUME,
            method=USUAL,
            drift_detected=p_value <= history.limit,
            n=len(usual),
            direction=MORE if drop.rows_read > typical else FEWER,
            value_before=typical,
            value_after=drop.rows_read,
            facts={"path": drop.path},
            drift_score=drop.rows_read / max(typical, 1.0),
            threshold=history.limit,
            p_value=p_value,
        )
    ]


def _share(drop: Any, history: History, kind: str, more: Mapping[str, Any]) -> list[Finding]:
    """Compare the share of rows of one kind with that of earlier drops."""
    read = history.taken["rows_read"].clip(lower=1)
    usual = (history.taken[f"rows_{kind}"] / read).to_numpy(dtype="float64")
    n, n_kind = drop.rows_read, getattr(drop, f"rows_{kind}")
    if len(usual) < MIN_DROPS or not n_kind:
        return []
    below, typical = _place(usual, n_kind / n, offset=1 / n)
    return [
        Finding(
            check_name="data_quality",
            feature=SHARE_OF[kind],
            method=USUAL,
            drift_detected=1 - below <= history.limit,
            n=n,
            direction=MORE,
            value_before=typical,
            value_after=n_kind / n,
            facts={"path": drop.path, "rows": n_kind, **more},
            drift_score=n_kind / n - typical,
            threshold=history.limit,
            p_value=1 - below,
        )
    ]


def _place(usual: NDArray[Any], now: float, *, offset: float) -> tuple[float, float]:
    """Return the probability of a value up to `now`, and the typical value.

    Student's prediction interval on a logarithmic scale, whose spread is at least a quarter: what
    has never varied may still vary a little.
    """
    logs = np.log(usual + offset)
    n, spread = len(logs), max(float(logs.std(ddof=1)), MIN_SPREAD)
    t = (np.log(now + offset) - logs.mean()) / (spread * np.sqrt(1 + 1 / n))
    typical = max(float(np.exp(np.median(logs)) - offset), 0.0)  # not less by rounding
    return float(scipy.special.stdtr(n - 1, t)), typical
