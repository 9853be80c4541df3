"""Findings: one check with its evidence and verdict, in codes and numbers without texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from risk.monitoring.detector import DOMAIN, Evidence
from risk.monitoring.loss_ratios import CALIBRATION
from risk.monitoring.profile import Profile
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION, Reference
from risk.stats.directions import AGAINST, TOGETHER
from risk.stats.distances import Distance, describe
from risk.stats.scores import BIGGER_IS_BETTER

Check = Literal[
    "data_drift",
    "joint_drift",
    "prediction_drift",
    "label_drift",
    "model_drift",
    "calibration_drift",
    "suspected_harm",
    "estimate",
    "data_quality",
]
Tier = Literal["alarm", "warning", "none"]
Floats = NDArray[np.float64]
Values = tuple[float | None, float | None]
HIGHER, LOWER = "higher", "lower"
MORE_OFTEN, LESS_OFTEN = "more often", "less often"
MISSING_MORE, MISSING_LESS = f"missing {MORE_OFTEN}", f"missing {LESS_OFTEN}"
OTHERS_MORE, OTHERS_LESS = f"other levels {MORE_OFTEN}", f"other levels {LESS_OFTEN}"
UNSEEN = "unseen levels"
ABOVE, BELOW = "above every reference value", "below every reference value"
LOWEST, HIGHEST = "in the lowest half per cent", "in the highest half per cent"
SHARES = {MISSING_MORE, MISSING_LESS, OTHERS_MORE, OTHERS_LESS, UNSEEN}
SHARES |= {ABOVE, BELOW, LOWEST, HIGHEST}
POSITIVE = "positive"
OF_DATA = {"data_drift", "joint_drift", "prediction_drift", "label_drift"}
METHOD, CONSTANT = "e_detector", "constant"
WARNED_SINCE = "warned_since"  # a fact, while a warning stands and of the alarm that ends it
# So many consecutive batches that say as much as one are told as a fact: of a memory that long two
# weeks of batches every ten minutes show only a few hundred independent ones.
STRONG_MEMORY = 5.0


@dataclass(frozen=True)
class Finding:
    """One check, its evidence and its verdict.

    `direction` is the way the subject moved, `value_before` and `value_after` are the values before
    and after, `facts` is what else is specific to its kind; `detail` is the same as text, written
    by `risk.explain`. `drift_score` and `threshold` are in the unit of the method: standard
    deviations of the reference for `e_detector`, whose `e_value` reaches 1 by chance no more often
    than the false-alarm budget allows. `distances` describe the change, they never raise an alarm.
    `warned` is whether it is an early warning, unless it is an alarm.
    """

    check_name: Check
    feature: str | None
    method: str
    drift_detected: bool
    n: int
    detail: str = ""
    direction: str | None = None
    value_before: float | None = None
    value_after: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    drift_score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    e_value: float | None = None
    rows_needed: int | None = None
    distances: Mapping[str, Distance] | None = None
    warned: bool = False

    @property
    def tier(self) -> Tier:
        """An alarm, an early warning, or neither."""
        return "alarm" if self.drift_detected else "warning" if self.warned else "none"

    @property
    def severity(self) -> str:
        """The severity: the size of the change, or large if the model itself is worse."""
        if self.check_name in ("model_drift", "suspected_harm") or self.method != METHOD:
            return "large"
        score = abs(self.drift_score or 0.0)
        bounds = {"negligible": 0.1, "small": 0.3, "moderate": 0.45}
        return next((name for name, bound in bounds.items() if score < bound), "large")

    @property
    def is_broken_feed(self) -> bool:
        """Whether a feature is so damaged that these rows cannot be used."""
        of_a_feature = self.method in (METHOD, CONSTANT) and self.check_name == "data_quality"
        return of_a_feature and self.drift_detected and self.severity == "large"

    def as_row(self) -> dict[str, Any]:
        """Return the finding under the ledger's column names."""
        distances = {name: asdict(found) for name, found in (self.distances or {}).items()}
        row = asdict(self) | {"distances": json.dumps(distances) if distances else None}
        row["facts"], row["tier"] = json.dumps(self.facts), self.tier
        del row["warned"]
        return row

    def evidence(self) -> dict[str, Any]:
        """Return the finding without distances and text."""
        kept = asdict(replace(self, distances=None))
        for name in ("distances", "detail", "p_value", "threshold", "warned"):
            del kept[name]
        return kept


def of_evidence(
    evidence: Evidence, reference: Reference, recent: Profile, *, described: bool = True
) -> Finding:
    """Return the findings of the detectors on one subject; `recent` are the latest rows.

    Distances are computed only of a subject that is to be `described`.
    """
    moved = _moved(evidence, reference, recent)
    check = _check(evidence, reference.target)
    distances = _distances(evidence.subject, reference, recent) if described else {}
    p_value = next((distances[m].p_value for m in ("ks", "chisquare") if m in distances), None)
    return Finding(
        check_name=check,
        feature=evidence.subject,
        method=METHOD,
        drift_detected=evidence.alarm,
        warned=evidence.warning,
        n=evidence.n,
        direction=moved.direction,
        value_before=moved.values[0],
        value_after=moved.values[1],
        facts={
            **moved.facts,
            "guarantee": evidence.guarantee,
            **_memory(evidence, reference),
            **_since(evidence),
        },
        drift_score=evidence.effect,
        threshold=evidence.tolerance,
        p_value=p_value,
        e_value=evidence.e_value,
        rows_needed=evidence.rows_needed,
        distances=distances,
    )


def _memory(evidence: Evidence, reference: Reference) -> dict[str, float]:
    """Return how many batches in a row say as much as one, if batches depend strongly on others."""
    curve = reference.curves.get(evidence.subject)
    memory = curve.memories.get(evidence.direction, 1.0) if curve else 1.0
    if memory < STRONG_MEMORY:
        return {}
    return {"memory": round(memory, 1), "reference_days": round(reference.days, 1)}


def _since(evidence: Evidence) -> dict[str, str]:
    since = evidence.warned_since
    return {WARNED_SINCE: since.isoformat(timespec="seconds")} if since else {}


def _check(evidence: Evidence, target: str) -> Check:
    subject = evidence.subject
    if subject == LABELLED:
        return "calibration_drift" if evidence.direction in CALIBRATION else "model_drift"
    own: dict[str, Check] = {
        EXPECTED_LOSS: "suspected_harm",
        PREDICTION: "prediction_drift",
        target: "label_drift",
    }
    if evidence.direction == MISSING_MORE:
        return "data_quality"
    joint = evidence.direction in (TOGETHER, AGAINST) or subject == DOMAIN
    return own.get(subject, "joint_drift" if joint else "data_drift")


def _distances(subject: str, reference: Reference, recent: Profile) -> dict[str, Distance]:
    """Return the distances of the latest rows from the reference, without missing values."""
    column = reference.subjects.get(subject)
    if column is None or subject not in recent.counts:
        return {}
    before, now = reference.profile.counts[subject], recent.counts[subject]
    if column.edges is None:
        return describe(before, now) if sum(now) else {}
    if not (sum(before[:-1]) and sum(now[:-1])):
        return {}
    means = np.array(reference.means[subject])
    apart = 1e-7 * np.arange(len(means))  # cells without rows share the value of their edge
    weights = np.array(before[:-1])
    spread = np.sqrt(np.average((means - np.average(means, weights=weights)) ** 2, weights=weights))
    varies = spread > 1e-9 * np.abs(means).max()
    return describe(before[:-1], now[:-1], positions=means / spread + apart if varies else None)


@dataclass(frozen=True)
class _Moved:
    """The direction in which a subject moved, its values before and after, and further facts."""

    direction: str
    values: Values = (None, None)
    facts: Mapping[str, Any] = field(default_factory=dict)


def _moved(evidence: Evidence, reference: Reference, recent: Profile) -> _Moved:
    """Return the code of a direction without the level or cells it concerns, and those as facts."""
    name, direction = evidence.subject, evidence.direction
    if name == LABELLED and direction not in CALIBRATION:
        is_score = BIGGER_IS_BETTER.get(direction, True)
        return _Moved(LOWER if is_score else HIGHER, facts={"metric": direction})
    shares = abs(evidence.before), abs(evidence.now)
    if (level := _level(evidence, reference)) is not None:
        return _Moved(level[1], shares, {"level": level[0]})
    if direction in SHARES:
        return _Moved(direction, shares)
    if name == EXPECTED_LOSS:
        return _Moved(direction, *_means(name, reference, recent))
    if direction in (HIGHER, LOWER) and name in reference.subjects:
        return _Moved(direction, *_medians(name, reference, recent))
    return _Moved(direction)


def _level(evidence: Evidence, reference: Reference) -> tuple[str, str] | None:
    """Return the level that became more or less frequent, after which the direction is named."""
    if evidence.direction in SHARES:
        return None
    column = reference.subjects.get(evidence.subject)
    levels = column.levels if column else ()
    levels = (POSITIVE,) if evidence.subject == reference.target else levels
    ways = ((level, way) for level in levels for way in (MORE_OFTEN, LESS_OFTEN))
    return next((found for found in ways if evidence.direction == " ".join(found)), None)


def _known(name: str, reference: Reference, recent: Profile) -> tuple[Floats, Floats] | None:
    """Return the counts before and now in each cell, without missing values."""
    before = np.array(reference.profile.counts[name][:-1], float)
    now = np.array(recent.counts.get(name, ())[:-1], float)
    return (before, now) if before.sum() and now.sum() else None


def _means(name: str, reference: Reference, recent: Profile) -> tuple[Values, dict[str, Any]]:
    counts = _known(name, reference, recent)
    if counts is None:
        return (None, None), {}
    before, now = (float(np.average(reference.means[name], weights=rows)) for rows in counts)
    return (before, now), {"rows": int(counts[1].sum())}


def _medians(name: str, reference: Reference, recent: Profile) -> tuple[Values, dict[str, Any]]:
    """Return both medians, as far as cells show them, and the new one's reference percentile.

    A cell counts as the mean of its reference rows.
    """
    counts = _known(name, reference, recent)
    if counts is None:
        return (None, None), {}
    before, now = counts
    earlier, later = (
        int(np.searchsorted(np.cumsum(rows), rows.sum() / 2)) for rows in (before, now)
    )
    rank = 100 * (before[:later].sum() + before[later] / 2) / before.sum()
    facts = {"median_percentile": round(float(rank), 1), "rows": int(now.sum())}
    means = reference.means[name]
    return (float(means[earlier]), float(means[later])), facts
