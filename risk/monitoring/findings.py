"""One check with its evidence and verdict, and how it is told to a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

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
OF_DATA = {"data_drift", "joint_drift", "prediction_drift", "label_drift"}
METHOD, CONSTANT = "e_detector", "constant"
MOSTLY, ENOUGH_FOR_A_RANGE = 0.5, 200


@dataclass(frozen=True)
class Finding:
    """One check, the evidence it weighed and its verdict.

    `drift_score` and `threshold` are in the unit of the method: standard deviations of the
    reference for `e_detector`, whose `e_value` reaches 1 by chance no more often than the
    false-alarm budget allows. `distances` describe the change, they never raise an alarm.
    """

    check_name: Check
    feature: str | None
    method: str
    drift_detected: bool
    n: int
    detail: str
    drift_score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    e_value: float | None = None
    rows_needed: int | None = None
    distances: Mapping[str, Distance] | None = None
    is_out_of_range: bool = False

    @property
    def severity(self) -> str:
        """How much it moved, or large if the model itself is worse."""
        if self.check_name in ("model_drift", "suspected_harm") or self.method != METHOD:
            return "large"
        score = abs(self.drift_score or 0.0)
        bounds = {"negligible": 0.1, "small": 0.3, "moderate": 0.45}
        return next((name for name, bound in bounds.items() if score < bound), "large")

    @property
    def is_broken_feed(self) -> bool:
        """Whether a feature arrives so damaged that nothing else can be said about these rows."""
        of_a_feature = self.method in (METHOD, CONSTANT) and self.check_name == "data_quality"
        return of_a_feature and self.drift_detected and self.severity == "large"

    def as_row(self) -> dict[str, Any]:
        """Return the finding under the ledger's column names."""
        told = {name: asdict(distance) for name, distance in (self.distances or {}).items()}
        row = asdict(self) | {"distances": json.dumps(told) if told else None}
        del row["is_out_of_range"]
        return row


def of_evidence(evidence: Evidence, reference: Reference, recent: Profile) -> Finding:
    """Tell what the detectors found about one subject; `recent` are the latest rows."""
    check = _check(evidence, reference.target)
    distances = _distances(evidence.subject, reference, recent)
    p_value = next((distances[m].p_value for m in ("ks", "chisquare") if m in distances), None)
    return Finding(
        check_name=check,
        feature=evidence.subject,
        method=METHOD,
        drift_detected=evidence.alarm,
        n=evidence.n,
        detail=_in_words(evidence, check, reference, recent),
        drift_score=evidence.effect,
        threshold=evidence.tolerance,
        p_value=p_value,
        e_value=evidence.e_value,
        rows_needed=evidence.rows_needed,
        distances=distances,
        is_out_of_range=evidence.direction.endswith("every reference value")
        and evidence.now >= MOSTLY
        and reference.profile.n >= ENOUGH_FOR_A_RANGE,
    )


def suspect_feed(found: Sequence[Finding], features: Sequence[str]) -> list[Finding]:
    """Call it a fault of the feed where one feature alone leaves the reference's range.

    The world moves many columns a little; a unit that was mixed up moves one column all the way.
    """
    moved = [f for f in found if f.drift_detected and f.feature in features]
    alone = len(moved) == 1 and moved[0].is_out_of_range
    return [replace(f, check_name="data_quality") if alone and f is moved[0] else f for f in found]


def in_words(found: Sequence[Finding], *, most: int = 3) -> str:
    """Say in one line what was found, the worst first."""
    told = [f"{f.check_name.replace('_', ' ')}: {f.detail}" for f in found[:most]]
    rest = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join([*told, *rest])


def _check(evidence: Evidence, target: str) -> Check:
    subject = evidence.subject
    if subject == LABELLED:
        return "calibration_drift" if evidence.direction in CALIBRATION else "model_drift"
    own: dict[str, Check] = {
        EXPECTED_LOSS: "suspected_harm",
        PREDICTION: "prediction_drift",
        target: "label_drift",
    }
    if evidence.direction == "missing more often":
        return "data_quality"
    joint = evidence.direction in (TOGETHER, AGAINST) or subject == DOMAIN
    return own.get(subject, "joint_drift" if joint else "data_drift")


def _distances(subject: str, reference: Reference, recent: Profile) -> dict[str, Distance]:
    """Describe how far the latest rows are from the reference, missing values left out."""
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


def _in_words(evidence: Evidence, check: Check, reference: Reference, recent: Profile) -> str:
    """Write subject, direction and size of a change, and how sure it is."""
    name, direction = evidence.subject, evidence.direction
    if check in ("model_drift", "calibration_drift"):
        moved = "fallen" if BIGGER_IS_BETTER.get(direction, True) else "risen"
        what = f"{direction} has {moved}" if check == "model_drift" else direction
        return f"{what} by {abs(evidence.effect):.2f} sd on {evidence.n} labelled rows"
    if check == "suspected_harm":
        way = "rose" if evidence.effect >= 0 else "fell"
        return f"the expected loss {way} by {abs(evidence.effect):.2f} sd on {evidence.n} rows"
    if _is_share(direction):
        before, now = abs(evidence.before), abs(evidence.now)
        return f"{name} {direction} ({before:.1%} -> {now:.1%} of {evidence.n} rows)"
    known = direction in ("higher", "lower") and name in reference.subjects
    where = _median(name, reference, recent) if known else ""
    return f"{name} {direction} by {abs(evidence.effect):.2f} sd{where}"


def _is_share(direction: str) -> bool:
    return direction.endswith(("often", "levels", "value", "per cent"))


def _median(name: str, reference: Reference, recent: Profile) -> str:
    """Tell which percentile of the reference the median of the latest rows is."""
    before = np.array(reference.profile.counts[name][:-1], float)
    now = np.array(recent.counts.get(name, ())[:-1], float)
    if not (before.sum() and now.sum()):
        return ""
    middle = int(np.searchsorted(np.cumsum(now), now.sum() / 2))
    rank = 100 * (before[:middle].sum() + before[middle] / 2) / before.sum()
    return f" (its median is where the reference had its percentile {rank:.0f})"
