"""What to do about open incidents: nothing, recalibrate, move the threshold, retrain, or ask."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from risk.config import Policy
from risk.decisions.codes import Action, Grounds, ReasonCode, Response
from risk.ledger.cases import CaseState
from risk.ledger.findings import BESIDE_A_FAULT
from risk.models import model, watched
from risk.models.dating import Change
from risk.models.model import Manifest
from risk.models.recalibration import Offer
from risk.monitoring import incidents

Together = Mapping[str, tuple[int, int]]  # subject: in how many models of how many it moved
ALONE: Together = {}
How = Literal["retrain", "refresh", "recalibrate", "move_threshold"]
MAX_IN_FULL = 10
OF_THE_MODEL = ("model_drift", "calibration_drift", "suspected_harm")
EVIDENCE = ("direction", "value_before", "value_after", "method", "effect", "n", "e_value")


@dataclass(frozen=True)
class Choice:
    """What to do, why, and since when which incidents are the cause."""

    action: Response
    grounds: Grounds
    since: Change | None = None
    causes: Sequence[Any] = ()

    @property
    def without_challenger(self) -> Action | None:
        """What is decided right away, None if there is a challenger to judge."""
        return {Response.NOTHING: Action.KEEP, Response.ASK: Action.ASK}.get(self.action)

    @property
    def how(self) -> How | None:
        """How a challenger is made, None if there is one already."""
        known: dict[Response, How] = {
            Response.RETRAIN: "retrain",
            Response.REFRESH: "refresh",
            Response.RECALIBRATE: "recalibrate",
            Response.MOVE_THRESHOLD: "move_threshold",
        }
        return known.get(self.action)


def choose(
    open_incidents: Sequence[Any],
    offers: Sequence[Offer],
    policy: Policy,
    *,
    growth: float,
    through: int,
) -> Choice:
    """Choose an action from what is open and what each is expected to bring.

    No model is trained on a feed that seems broken: a person decides first, until the same was
    seen so often that it must be the new normal. Drift of data or model, as `retrain_on` has it,
    leads to a challenger, and so does what a person approved: training is cheap, it is the
    deployment that needs evidence. Until the labelled rows have grown by a share that is worth
    another one, the challenger there is goes on collecting that evidence. A model whose
    probabilities alone are off is adjusted, where that is expected to pay. What a new model cannot
    cure is for a person. A question that was snoozed or declined is not asked again.
    """
    if not open_incidents:
        return Choice(Response.NOTHING, Grounds(ReasonCode.NO_INCIDENT, {}))
    known = {"incidents": described(open_incidents)}
    broken = [i for i in open_incidents if i.kind == "data_quality"]
    current = [i for i in broken if (i.last_ingestion_id or 0) >= through]
    lasting = [i for i in current if _may_be_learnt(i, policy)]
    if doubtful := [i for i in current if i not in lasting]:
        return _ask(ReasonCode.BROKEN_FEED, doubtful, known)
    wanted = [*drifted(open_incidents, policy), *lasting]
    if causes := [i for i in open_incidents if i in wanted]:
        first = min((i.since_ingestion_id for i in causes if i.since_ingestion_id), default=None)
        since = Change(first) if first else None
        if growth < policy.cool_down_growth and not _approved(causes):
            few = Grounds(ReasonCode.FEW_NEW_ROWS, known | {"growth": growth})
            return Choice(Response.JUDGE, few, since, causes)
        return Choice(Response.RETRAIN, Grounds(ReasonCode.DRIFT, known), since, causes)
    if miscalibrated := incidents.of_kind(open_incidents, ["calibration_drift"]):
        best = max(offers, key=lambda offer: offer.gain, default=None)
        if best and best.gain > 0:
            offer = Grounds(ReasonCode.ADJUSTMENT, known | {"offer": asdict(best)})
            return Choice(Response(best.action), offer)
        return _ask(ReasonCode.NO_ADJUSTMENT, miscalibrated, known)
    if len(broken) == len(open_incidents):
        return Choice(Response.NOTHING, Grounds(ReasonCode.SOUND_AGAIN, known))
    return _ask(ReasonCode.NO_REMEDY, [i for i in open_incidents if i not in broken], known)


def ask_together(choice: Choice, open_incidents: Sequence[Any], together: Together) -> Choice:
    """Ask a person about what moved in many models of a fleet, instead of training each for it."""
    common = [i for i in open_incidents if i.subject in together]
    if not common or choice.without_challenger or _approved(choice.causes):
        return choice
    most = max((i.subject for i in common), key=lambda subject: together[subject][0])
    known = {"incidents": described(open_incidents), "together": [most, together[most]]}
    return _ask(ReasonCode.TOGETHER, common, known)


def drifted(open_incidents: Sequence[Any], policy: Policy) -> list[Any]:
    """Return the incidents that a new model shall answer: drift, and what a person approved."""
    return [*incidents.of_kind(open_incidents, policy.retrain_on), *_approved(open_incidents)]


def is_normal(incident: Any, policy: Policy) -> bool:
    """Whether a fault has become the new normal, and no person has taken it in hand."""
    in_hand = incident.case_state in (CaseState.SNOOZED, CaseState.DECLINED)
    in_hand |= incident.case_snoozed_until is not None
    normal = incidents.is_normal(incident.subject, incident.times_seen, policy.ask_first_batches)
    return normal and not in_hand


def is_held(incident: Any) -> bool:
    """Whether a person snoozed or declined the question, and it has not become worse since."""
    held = incident.case_state in (CaseState.SNOOZED, CaseState.DECLINED)
    return held and not incidents.is_worse(incident.severity, incident.case_severity)


def elsewhere(choice: Choice, open_incidents: Sequence[Any], *, trains_here: bool) -> Choice:
    """Ask a person instead of training or adjusting a model that is made elsewhere.

    What a person approved is done: a challenger is trained here or, where none is, the newest rows
    become the reference.
    """
    if choice.action is Response.NOTHING or choice.grounds.code is ReasonCode.BROKEN_FEED:
        return choice
    if _approved(choice.causes):
        return choice if trains_here else replace(choice, action=Response.REFER)
    questions = [i for i in open_incidents if i.kind != "data_quality" or i in choice.causes]
    return _ask(ReasonCode.WATCHED, questions, {"incidents": described(open_incidents)})


def answered(open_incidents: Sequence[Any], challenger: Manifest, policy: Policy) -> list[int]:
    """Return the incidents that are over once a challenger is live.

    A new model answers drift whose rows it may have been trained on, and a column of new values
    seen for so long that they are normal; an adjusted one answers its calibration. A feed that
    seems broken, a refused file or a late drop is nothing a model could answer.
    """
    if challenger.made_by == watched.MADE_BY and challenger.reference_of is not None:
        return []  # the same rows, with their labels
    if challenger.made_by not in ("retrain", *model.FOREIGN):
        answers = incidents.of_kind(open_incidents, ["calibration_drift"])
    else:
        broken = [i for i in open_incidents if i.kind == "data_quality"]
        lasting = [i for i in broken if _may_be_learnt(i, policy)]
        kinds = ["data_drift", "damaged_release", *OF_THE_MODEL]
        answers = [*incidents.of_kind(open_incidents, kinds), *lasting, *_approved(open_incidents)]
    ids = [i.id for i in answers if (i.since_ingestion_id or 0) <= challenger.trained_through]
    return list(dict.fromkeys(ids))


def answered_by_rollback(open_incidents: Sequence[Any], version: int) -> list[int]:
    """Return the incidents that are over once a release is no longer live: those of its own doing.

    What changed in the data is there still, and is for the release that is live now.
    """
    kinds = [*OF_THE_MODEL, "prediction_drift", "damaged_release"]
    own = incidents.of_kind(open_incidents, kinds)
    return [incident.id for incident in own if incident.version == version]


def described(open_incidents: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what is known of incidents now, the worst first, of very many only their names."""
    ranked = incidents.worst_first(open_incidents)
    return [
        {"id": incident.id, "kind": incident.kind, "subject": incident.subject}
        | (_in_full(incident) if place < MAX_IN_FULL else {})
        for place, incident in enumerate(ranked)
    ]


def _in_full(incident: Any) -> dict[str, Any]:
    known = {name: getattr(incident, name) for name in EVIDENCE}
    facts = None if incident.facts is None else json.loads(incident.facts)
    text = {"detail": incident.detail} if facts is None else {}  # one opened before there were any
    return {"severity": incident.severity, **known, "facts": facts, **text}


def _ask(code: ReasonCode, questions: Sequence[Any], known: dict[str, Any]) -> Choice:
    """Ask about these incidents, but those that a person snoozed or declined."""
    asked = [incident.id for incident in questions if not is_held(incident)]
    if not asked:
        held = {"held": [incident.id for incident in questions]}
        return Choice(Response.NOTHING, Grounds(ReasonCode.HELD, known | held))
    return Choice(Response.ASK, Grounds(code, known | {"asked": asked}))


def _approved(open_incidents: Sequence[Any]) -> list[Any]:
    return [i for i in open_incidents if i.case_state == CaseState.APPROVED]


def _may_be_learnt(incident: Any, policy: Policy) -> bool:
    """Whether a fault is normal, or only beside another one, which is asked about instead."""
    approved = incident.case_state == CaseState.APPROVED
    return approved or is_normal(incident, policy) or _is_beside_a_fault(incident)


def _is_beside_a_fault(incident: Any) -> bool:
    facts = None if incident.facts is None else json.loads(incident.facts)
    return bool((facts or {}).get(BESIDE_A_FAULT))
