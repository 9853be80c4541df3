"""What to do about open incidents: nothing, recalibrate, move the threshold, retrain, or ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from risk.config import Policy
from risk.models.recalibration import Offer
from risk.monitoring import incidents

Action = Literal["nothing", "recalibrate", "move_threshold", "retrain", "judge", "ask"]


@dataclass(frozen=True)
class Choice:
    """What to do, why, and since which ingestion the cause exists."""

    action: Action
    reason: str
    since: int | None = None


def choose(
    open_incidents: Sequence[Any],
    offers: Sequence[Offer],
    policy: Policy,
    *,
    growth: float,
    through: int,
) -> Choice:
    """Choose an action from what is open and what each is expected to bring.

    Nothing is learnt from a feed that seems broken: a person is asked first, until the same was
    seen so often that it must be the new normal. Drift of data or model, as `retrain_on` has it,
    leads to a challenger: training is cheap, it is the deployment that needs evidence. Until the
    labelled rows have grown by a share that is worth another one, the challenger there is goes
    on collecting that evidence. A model whose probabilities alone are off is adjusted, where that
    is expected to pay. What a new model cannot cure is for a person.
    """
    if not open_incidents:
        return Choice("nothing", "no incident is open")
    why = incidents.in_words(open_incidents)
    broken = [i for i in open_incidents if i.kind == "data_quality"]
    current = [i for i in broken if (i.last_ingestion_id or 0) >= through]
    lasting = [i for i in current if i.times_seen > policy.ask_first_batches and _of_a_feature(i)]
    if len(lasting) < len(current):
        return Choice("ask", f"{why}; nothing is learnt from data that may be broken")
    if causes := [*incidents.of_kind(open_incidents, policy.retrain_on), *lasting]:
        since = min((i.since_ingestion_id for i in causes if i.since_ingestion_id), default=None)
        if growth < policy.cool_down_growth:
            grown = f"only {growth:.1%} more labelled rows than at the last training"
            return Choice("judge", f"{why}; {grown}", since)
        return Choice("retrain", why, since)
    if incidents.of_kind(open_incidents, ["calibration_drift"]):
        best = max(offers, key=lambda offer: offer.gain, default=None)
        if best and best.gain > 0:
            return Choice(best.action, f"{why}; {best}")
        return Choice("ask", f"{why}; no adjustment is expected to pay")
    if len(broken) == len(open_incidents):
        return Choice("nothing", f"the latest rows are sound again; still open: {why}")
    return Choice("ask", why)


def _of_a_feature(incident: Any) -> bool:
    """Whether it is about the values of a column, which a model could learn, not about a drop."""
    return not incident.subject.startswith("(")
