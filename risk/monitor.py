"""What the checks of a batch found: profiles and scores in, findings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from risk.config import Checks
from risk.profile import Feature, Profile, cells_moved
from risk.stats.drift import stability_index
from risk.stats.scores import BIGGER_IS_BETTER, Estimate, is_worse

Check = Literal["data_drift", "model_drift"]


@dataclass(frozen=True)
class Finding:
    """One check, the evidence it weighed and its verdict."""

    check_name: Check
    feature: str | None
    method: str
    drift_score: float | None
    threshold: float | None
    p_value: float | None
    drift_detected: bool
    n: int
    detail: str

    def as_row(self) -> dict[str, Any]:
        """Return the finding under the ledger's column names."""
        return asdict(self)


def data_drift(reference: Profile, current: Profile, checks: Checks) -> list[Finding]:
    """Compare each feature's cells; drift is a change both large and beyond chance.

    Large: the stability index without its noise is over the threshold. Beyond chance: its
    p-value is below `alpha` shared among the features.
    """
    alpha = checks.alpha / len(reference.features)
    pairs = zip(reference.features, current.features, strict=True)
    return [
        _feature_drift(before, now, checks.psi_threshold, alpha, n=current.n)
        for before, now in pairs
    ]


def model_drift(deployed: Estimate, current: Estimate, metric: str) -> Finding:
    """Compare the live model's score on new labelled rows with its score at deployment.

    Only a fall beyond the interval of the difference is drift; better is not.
    """
    detected = is_worse(deployed, current, bigger_is_better=BIGGER_IS_BETTER[metric])
    verdict = "worse" if detected else "not worse beyond chance"
    return Finding(
        check_name="model_drift",
        feature=None,
        method=metric,
        drift_score=current.value,
        threshold=deployed.value,
        p_value=None,
        drift_detected=detected,
        n=current.n,
        detail=f"{metric} {current} on the new rows is {verdict} than {deployed} at deployment",
    )


def drifted(findings: Sequence[Finding], retrain_on: Sequence[Check]) -> list[Finding]:
    """Select the findings that call for a new challenger."""
    return [f for f in findings if f.drift_detected and f.check_name in retrain_on]


def in_words(findings: Sequence[Finding]) -> str:
    """Say in one line what moved, the largest change first."""
    data = sorted(
        (finding for finding in findings if finding.check_name == "data_drift"),
        key=lambda finding: -(finding.drift_score or 0.0),
    )
    model = [finding.detail for finding in findings if finding.check_name == "model_drift"]
    moved = [f"data drift in {finding.detail}" for finding in data[:3]]
    rest = [f"and in {len(data) - 3} more features"] if len(data) > 3 else []
    return "; ".join([*model, *moved, *rest])


def at_most(findings: Sequence[Finding]) -> str:
    """Say in one line how much moved at most, and how the score did."""
    data = [finding for finding in findings if finding.check_name == "data_drift"]
    largest = max(data, key=lambda finding: finding.drift_score or 0.0)
    model = [finding.detail for finding in findings if finding.check_name == "model_drift"]
    return "; ".join([*model, f"largest change in {largest.detail}"])


def _feature_drift(
    before: Feature, now: Feature, threshold: float, alpha: float, *, n: int
) -> Finding:
    index = stability_index(before.counts, now.counts)
    detected = index.excess >= threshold and index.p_value <= alpha
    return Finding(
        check_name="data_drift",
        feature=before.name,
        method="psi",
        drift_score=index.excess,
        threshold=threshold,
        p_value=index.p_value,
        drift_detected=detected,
        n=n,
        detail=f"{before.name} (PSI {index.excess:.2f}; {cells_moved(before, now)})",
    )
