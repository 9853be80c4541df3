"""Cases: which questions wait for a person, when they come back, and when they are over.

What is due follows from the ledger alone: after a crash the next run opens and closes the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from risk.config import Config, Policy
from risk.decisions import case_pack, policy
from risk.decisions.codes import Action, Grounds, ReasonCode
from risk.decisions.gate import Ruling, Verdict
from risk.errors import ModelError
from risk.ledger.cases import DEPLOYMENT, CaseClosure, CaseState, Change
from risk.ledger.database import Record
from risk.ledger.incidents import ResolutionCode
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.models.model import Manifest, Model
from risk.monitoring import incidents

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Situation:
    """What decides about cases: the newest decisions, what is open, and what is live."""

    now: datetime
    live: int
    newest: Record | None
    judged: Record | None
    open_incidents: Sequence[Any]


@dataclass(frozen=True)
class Question:
    """A question that has no case yet: what about, and the decision that asks it."""

    kind: str
    decision: Record
    incident: Any = None
    challenger: str | None = None


def update(config: Config, ledger: Ledger) -> list[int]:
    """Open, reopen and close cases after a run; return those that wait for an answer."""
    live = releases.live_version(config.deployment_folder)
    newest, waiting = ledger.decisions.newest(), ledger.cases.waiting()
    if live is None or newest is None or not (waiting or newest.action == Action.ASK):
        return []
    judged, open_incidents = ledger.decisions.newest(judged=True), ledger.incidents.unresolved()
    known = Situation(ledger.now(), live, newest, judged, open_incidents)
    questions = asked(known, waiting)
    if newest.action == Action.ASK and newest.comparison is not None:
        seen = ledger.cases.of_challenger(_facts(newest).get("challenger") or "")
        questions = [] if seen and seen.state != CaseState.CLOSED else questions
    answered = ledger.cases.asked_by(newest.id)  # by the same decision, as no new data came since
    new = [each for each in questions if not (each.incident and each.incident.id in answered)]
    opened = [_opened(config, ledger, question, live) for question in new]
    ledger.cases.apply(opened, changes(known, waiting, config.policy))
    return ledger.cases.about()


def asked(known: Situation, waiting: Sequence[Any]) -> list[Question]:
    """Return the questions of the newest decision that have no case yet."""
    decision = known.newest
    if decision is None or decision.action != Action.ASK:
        return []
    facts = _facts(decision)
    if decision.comparison is not None:
        challenger = facts.get("challenger")
        is_new = challenger and challenger not in {case.challenger for case in waiting}
        return [Question(DEPLOYMENT, decision, challenger=challenger)] if is_new else []
    have_one = {case.incident_id for case in waiting}
    new = set(facts.get("asked") or ()) - have_one
    kind = str(decision.reason_code)
    return [Question(kind, decision, i) for i in known.open_incidents if i.id in new]


def changes(known: Situation, waiting: Sequence[Any], rules: Policy) -> list[Change]:
    """Return what becomes of the cases that wait: closed, back from a snooze, or asked again."""
    found = []
    for case in waiting:
        if code := _over(case, known, rules):
            over = {"closed_at": known.now, "closed_because": str(code)}
            if case.state != CaseState.APPROVED:  # an approval holds on while its incident is open
                over["state"] = str(CaseState.CLOSED)
            found.append(Change(case.id, case.state, over))
        elif case.state == CaseState.SNOOZED and _is_due(case, known.now):
            back = {"state": str(CaseState.OPEN), "asked_at": known.now}
            found.append(Change(case.id, case.state, back | {"severity": case.severity_now}))
        elif case.state == CaseState.OPEN and (newest := _asks_again(case, known.newest)):
            found.append(Change(case.id, case.state, {"decision_id": newest}))
    return found


def weighed(config: Config, ledger: Ledger, ruling: Ruling, challenger: Model) -> Ruling:
    """Propose what would be deployed, if a person wants to be asked and has not refused it."""
    verdict = ruling.verdict
    is_first = releases.live_version(config.deployment_folder) is None
    if is_first or verdict is None or ruling.action == Action.KEEP:
        return ruling
    name = challenger_id(challenger.sha256, challenger.manifest)
    case = ledger.cases.of_challenger(name)
    ruling = replace(ruling, grounds=ruling.grounds.with_facts(challenger=name))
    if case and case.state in (CaseState.DECLINED, CaseState.SNOOZED):
        held = {"id": case.id, "state": case.state}
        grounds = ruling.grounds.with_facts(held_case=held)
        return replace(ruling, action=Action.KEEP, grounds=grounds)
    acts = ruling.action == Action.DEPLOY and config.policy.mode == "act"
    return ruling if acts else replace(ruling, action=Action.ASK)


def approved(config: Config, ledger: Ledger) -> Ruling | None:
    """Return the deployment that a person approved.

    A case whose challenger was replaced since is closed.
    """
    cases = [c for c in ledger.cases.waiting() if c.kind == DEPLOYMENT and _is_approved(c)]
    live = releases.live_version(config.deployment_folder)
    for case in cases:
        if case.version != live or not _is_there(config, case):
            over = {"closed_at": ledger.now(), "closed_because": str(CaseClosure.SUPERSEDED)}
            ledger.cases.apply([], [Change(case.id, case.state, over | {"state": "closed"})])
            log.warning("case %d: the approved challenger is no longer there", case.id)
            continue
        decision = ledger.decisions.read(case.decision_id)
        known = {"incidents": _facts(decision).get("incidents", [])}
        known |= {
            "case": case.id,
            "by": ledger.cases.answered_by(case.id),
            "challenger": case.challenger,
        }
        verdict = Verdict.approved(decision.comparison)
        grounds = Grounds(ReasonCode.APPROVED, known)
        return Ruling(Action.DEPLOY, grounds, verdict, case_id=case.id)
    return None


def has_approval(ledger: Ledger) -> bool:
    """Whether a person approved to learn from an incident's rows, and no run has done so yet."""
    return any(_is_approved(c) for c in ledger.cases.waiting() if c.kind != DEPLOYMENT)


def challenger_id(sha256: str, manifest: Manifest) -> str:
    """Return what identifies a challenger: its model and its threshold."""
    return f"{sha256}@{manifest.threshold:.9g}"


def _opened(config: Config, ledger: Ledger, question: Question, live: int) -> dict[str, Any]:
    incident = question.incident
    subject = incident.subject if incident else case_pack.CHALLENGER
    facts = case_pack.gather(config, ledger, incident, _facts(question.decision))
    return {
        "kind": question.kind,
        "subject": subject,
        "severity": incident.severity if incident else None,
        "version": live,
        "challenger": question.challenger,
        "incident_id": incident.id if incident else None,
        "decision_id": question.decision.id,
        "facts": json.dumps(facts),
    }


def _over(case: Any, known: Situation, rules: Policy) -> str | None:
    """Return why a case is over, None if it is not."""
    if case.kind == DEPLOYMENT:
        return None if _is_approved(case) else _challenger_is_gone(case, known)
    if _is_approved(case) and known.newest and known.newest.decided_at >= case.answered_at:
        return CaseClosure.CARRIED_OUT
    if case.resolved_at is not None:
        return str(case.resolution_code or ResolutionCode.PASSED)
    if _is_approved(case):
        return None
    about = next((i for i in known.open_incidents if i.id == case.incident_id), None)
    if about is None or case.kind != ReasonCode.BROKEN_FEED or _is_asked(case, known.newest):
        return None
    return CaseClosure.BECAME_NORMAL if policy.is_normal(about, rules) else None


def _challenger_is_gone(case: Any, known: Situation) -> str | None:
    if case.version != known.live:
        return CaseClosure.SUPERSEDED
    judged = known.judged
    if judged is None or judged.id <= case.decision_id:
        return None
    facts = _facts(judged)
    if facts.get("challenger") not in (None, case.challenger):
        return CaseClosure.SUPERSEDED
    is_refused = judged.action == Action.KEEP and "held_case" not in facts
    return CaseClosure.REFUSED if is_refused else None


def _is_due(case: Any, now: datetime) -> bool:
    """Whether a snoozed case comes back: on its date, or before if it became worse."""
    return case.snoozed_until <= now or (
        case.severity_now is not None and incidents.is_worse(case.severity_now, case.severity)
    )


def _asks_again(case: Any, newest: Record | None) -> int | None:
    """Return the newest decision if it asks this question again."""
    if newest is None or newest.id == case.decision_id or not _is_asked(case, newest):
        return None
    return int(newest.id)


def _is_asked(case: Any, newest: Record | None) -> bool:
    """Whether the newest decision asks the question of a case."""
    if newest is None or newest.action != Action.ASK:
        return False
    facts = _facts(newest)
    if case.kind == DEPLOYMENT:
        return bool(facts.get("challenger") == case.challenger)
    return case.incident_id in (facts.get("asked") or ())


def _is_there(config: Config, case: Any) -> bool:
    """Whether the newest challenger is the one that a case is about."""
    try:
        challenger = model.load(config.model_folder, signing.key(config))
    except ModelError:
        return False
    return challenger_id(challenger.sha256, challenger.manifest) == str(case.challenger)


def _is_approved(case: Any) -> bool:
    return bool(case.state == CaseState.APPROVED)


def _facts(decision: Record) -> Mapping[str, Any]:
    return json.loads(decision.facts) if decision.facts else {}
