"""Why something was decided, in sentences: the one place where a decision becomes words.

A row that was recorded before the ledger had facts keeps the text it was given then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from risk.decisions.codes import QUIET, Action, ReasonCode, Response, VerdictCode
from risk.decisions.gate import GAIN_WORTH_PROVING, Ruling
from risk.explain import gate_words, plain_words, score_change
from risk.explain.plain_words import counted
from risk.explain.sentences import incident_clause, of_finding, parsed, subject
from risk.ledger.decisions import Reason
from risk.monitoring.run import Writer

Row = Mapping[str, Any]
MAX_NAMED, MIN_PART, MIN_SHARE = 3, 0.005, 0.001
SOURCES = {
    "test_data": "{:,} of the test data",
    "newest": "{:,} of the newest",
    "since_live": "labelled since the later one went live",
}
WORSE = (VerdictCode.WORSE, VerdictCode.WORSE_BEYOND_CHANCE)
OF_CODES: dict[ReasonCode, Callable[[Row], str]] = {
    ReasonCode.NO_INCIDENT: lambda _: "No incident is open.",
    ReasonCode.SOUND_AGAIN: lambda _: (
        "The latest rows are sound again; what was found before stays open until it has been "
        "quiet for long enough."
    ),
    ReasonCode.BROKEN_FEED: lambda _: "No model is trained on data that may be broken.",
    ReasonCode.HELD: lambda _: "A person snoozed or declined this, and it is no worse since.",
    ReasonCode.DRIFT: lambda _: "A challenger was trained to answer that.",
    ReasonCode.FEW_NEW_ROWS: lambda facts: (
        f"There are only {facts['growth']:.1%} more labelled rows than at the last training, "
        + (
            "which was before the change: it is too early for a challenger."
            if facts.get("is_older")
            else "so the challenger of then was judged again."
        )
    ),
    ReasonCode.FEW_ROWS_SINCE: lambda facts: _few_rows_since(facts),
    ReasonCode.REFRESH: lambda facts: (
        f"The labelled rows grew by {facts['growth']:.0%} since the last training, so a challenger "
        "was trained."
    ),
    ReasonCode.REFRESH_AGAIN: lambda facts: (
        f"The labelled rows grew by {facts['growth']:.0%} since the challenger was trained, so it "
        "was judged again."
    ),
    ReasonCode.ADJUSTMENT: lambda facts: _adjustment(facts["offer"]),
    ReasonCode.NO_ADJUSTMENT: lambda _: "No adjustment of the live model is expected to pay.",
    ReasonCode.NO_REMEDY: lambda _: "A new model is no answer to that; a person has to look.",
    ReasonCode.TOGETHER: lambda facts: plain_words.moved_together(*facts["together"]),
    ReasonCode.TRAINING_FAILED: lambda facts: plain_words.sentence(
        f"{_unmade(facts)}: {facts['error']}"
    ),
    ReasonCode.FIRST_MODEL: lambda _: "There was no model before.",
    ReasonCode.BY_HAND: lambda _: "A person asked for the comparison.",
    ReasonCode.FORCED: lambda _: "A person deployed it by hand, so it is unproven.",
    ReasonCode.APPROVED: lambda facts: f"{facts['by']} approved it (case {facts['case']}).",
    ReasonCode.WORSE_THAN_BEFORE: lambda facts: _worse_than_before(facts),
    ReasonCode.ESTIMATED_WORSE: lambda facts: _estimated_worse(facts),
    ReasonCode.DAMAGED: lambda facts: f"Release {facts['from']} was damaged: {facts['fault']}.",
    ReasonCode.RESTORED: lambda facts: (
        f"The files of the live release were damaged ({facts['fault']}) and were restored from "
        "undamaged copies."
    ),
    ReasonCode.REFERENCE: lambda facts: _reference(facts),
    ReasonCode.NEW_REFERENCE: lambda facts: f"A person declared it. {_reference(facts)}",
    ReasonCode.ADOPTED: lambda facts: _adopted(facts),
    ReasonCode.WATCHED: lambda _: (
        "The model is trained elsewhere, so a person has to decide what to do about it."
    ),
    ReasonCode.ROLLED_BACK_BY_HAND: lambda facts: (
        f"A person went back from release {facts['from']}."
    ),
}
OF_VERDICTS = {
    VerdictCode.WORSE_BEYOND_CHANCE: "The challenger {beyond_chance}",
    VerdictCode.WORSE: "The challenger is {worse}",
    VerdictCode.BETTER: "The challenger is better beyond chance",
    VerdictCode.NOT_INFERIOR: "The challenger is not inferior beyond chance",
    VerdictCode.ONE_CLASS: "No row of one class is among the rows to compare the models on",
    VerdictCode.NOT_ENOUGH_EVIDENCE: "There is not enough evidence for the challenger",
}


def as_row(ruling: Ruling) -> dict[str, Any]:
    """Return what is decided under the names of the ledger's decisions."""
    grounds, verdict = ruling.grounds, ruling.verdict
    return {
        "action": ruling.action,
        "version": ruling.version,
        "reason_code": grounds.code,
        "facts": dict(grounds.facts) | ({"verdict": verdict.verdict} if verdict else {}),
        "comparison": verdict.facts() if verdict and verdict.challenger else None,
    }


def reason(ruling: Ruling) -> Reason:
    """Write down why something is decided: as facts, and as the text made from them."""
    row = as_row(ruling)
    return Reason(" ".join(reasons_of(row)), row["reason_code"], row["facts"])


def reasons_of(decision: Row) -> list[str]:
    """Say why something was decided: what is open, what the policy made of it, what the gate."""
    facts = parsed(decision.get("facts"))
    if facts is None:
        return [str(decision["reason"])]
    is_quiet = decision["reason_code"] in QUIET
    is_incident = bool(facts.get("incidents"))
    seen = [of_strongest(facts)] if is_quiet else of_cause(facts, is_incident=is_incident)
    return [*_open(facts), main_reason(decision), *seen, *_of_gate(decision, facts)]


def main_reason(decision: Row) -> str:
    """Say in one sentence why something was decided."""
    facts = parsed(decision.get("facts"))
    if facts is None:
        return str(decision["reason"])
    if facts.get("verdict") == VerdictCode.SAME_MODEL:
        return "The challenger is the champion already."
    return OF_CODES[ReasonCode(decision["reason_code"])](facts)


def of_strongest(facts: Row) -> str:
    """Say how close to an alarm the strongest evidence is."""
    found = facts.get("strongest")
    if not found:
        return "Nothing speaks for a change."
    share = min(found["e_value"] or 0.0, 1.0)
    of_an_alarm = f"at {share:.1%}" if share >= MIN_SHARE else f"below {MIN_SHARE:.1%}"
    said = f"The strongest evidence is {of_an_alarm} of an alarm: {of_finding(found)}"
    if found["rows_needed"] and found["rows_needed"] > found["n"]:
        said += f" A shift worth knowing would take about {found['rows_needed']:,} rows to see."
    return said


def of_cause(facts: Row, *, is_incident: bool = True) -> list[str]:
    """Say why the score changed, and what moved predicted risk and expected loss, and how."""
    change = facts.get("score_change") or {}
    why = score_change.in_words(change, is_incident=is_incident)
    said = [why] if change.get("is_beyond_chance") else []
    said += [of_mean("predicted risk", facts["risk"])] if facts.get("risk") else []
    for name, cells in (facts.get("moved") or {}).items():
        said.append(f"Shares of {subject(name)}: {cells_in_words(cells)}.")
    return said + ([of_mean("expected loss", facts["loss"])] if facts.get("loss") else [])


def of_mean(what: str, risk: Row) -> str:
    """Say from what to what the mean of a risk went, and which features moved it."""
    before, after = plain_words.distinct(risk["before"], risk["after"])
    if before == after:
        return f"The mean {what} is {after}, as before."
    parts = [
        f"{subject(name)} ({part:+.2f})"
        for name, part in risk["parts"].items()
        if abs(part) >= MIN_PART
    ]
    mostly = f", mostly by {plain_words.listed(parts[:MAX_NAMED])}" if parts else ""
    moved = "rose" if risk["after"] > risk["before"] else "fell"
    return f"The mean {what} {moved} from {before} to {after}{mostly}."


def cells_in_words(cells: Any) -> str:
    """Say which values became more and less frequent."""
    return ", ".join(
        f"{plain_words.in_short(cell['values'])} from {cell['before']:.0%} to {cell['after']:.0%}"
        for cell in cells
    )


def compared(comparison: Row) -> str:
    """Say what both models scored on the same rows."""
    name = plain_words.metric(comparison["metric"])
    now, before = (_short(comparison[model]) for model in ("challenger", "champion"))
    sources = (comparison.get("sources") or {}).items()
    of = " and ".join(SOURCES[source].format(n) for source, n in sources if n)
    rows = counted(comparison["n"], "row") + (f" ({of})" if of else "")
    said = f"{name} {now} against {before} on {rows}"
    if comparison.get("wins") is None:
        return said
    return f"{said}, {comparison['wins']:,} won and {comparison['losses']:,} lost"


def _open(facts: Row) -> list[str]:
    """Say which incidents are open, the worst in full."""
    found = facts.get("incidents") or []
    said = [_incident(each) for each in found[:MAX_NAMED]]
    if rest := len(found) - MAX_NAMED:
        said += [f"{counted(rest, 'more incident')} {'is' if rest == 1 else 'are'} open."] * (
            rest > 0
        )
    return said


def _incident(known: Row) -> str:
    kind = known["kind"].replace("_", " ").capitalize()
    return plain_words.sentence(f"{kind} ({known['severity']}): {incident_clause(known)}")


def _of_gate(decision: Row, facts: Row) -> list[str]:
    comparison, code = parsed(decision.get("comparison")), facts.get("verdict")
    if not comparison or code is None:
        return []
    if code == VerdictCode.FIRST:
        score = plain_words.score(comparison["challenger"])
        rows = counted(comparison["n"], "row")
        name = plain_words.metric(comparison["metric"])
        return [f"The first model goes live unproven: {name} {score} on {rows} of test data."]
    verdict = OF_VERDICTS[VerdictCode(code)].format(**gate_words.placeholders(comparison))
    said = f"{verdict}: {compared(comparison)}"
    if code in WORSE:
        return [f"{said}."]
    person = _of_person(decision, facts)
    if code == VerdictCode.ONE_CLASS:
        return [f"{said}.", *(person or [_without_evidence(comparison)])]
    chance = gate_words.by_luck(comparison)
    if code != VerdictCode.NOT_ENOUGH_EVIDENCE:
        return [f"{said}.", plain_words.sentence(chance), *person]
    allowed = f"{1 / comparison['evidence_needed']:.0%}"
    doubt = plain_words.sentence(f"{chance}, where {allowed} is allowed")
    more = _of_possible_gain(comparison)
    return [f"{said}.", doubt, more, *(person or [_without_evidence(comparison)])]


def _of_possible_gain(comparison: Row) -> str:
    """Say what gain rows could prove, which the models' disagreement limits."""
    rows, gain = comparison["rows_needed"], comparison.get("gain_possible")
    if rows is None:
        return "The models agree on every row, so no gain can be proven."
    if gain is None or gain >= GAIN_WORTH_PROVING:  # None: decided before it was recorded
        return f"About {rows:,} rows would prove a gain of 4 points."
    return (
        f"The models differ too little to gain more than {100 * gain:.2g} points; about {rows:,} "
        "rows would prove that."
    )


def _of_person(decision: Row, facts: Row) -> list[str]:
    """Say what is asked of a person, or what a person said."""
    if held := facts.get("held_case"):
        return [f"Case {held['id']} about it was {held['state']}, so the champion stays."]
    if decision["reason_code"] == ReasonCode.APPROVED:
        return ["It goes live because a person approved it."]
    return ["Approval is needed."] if decision["action"] == Action.ASK else []


def _without_evidence(comparison: Row) -> str:
    if comparison["because_drifted"]:
        return "The champion has drifted and the challenger is not worse, so it goes live unproven."
    return "The champion stays."


def _reference(facts: Row) -> str:
    return f"Predictions are compared with {facts['chosen']}: {counted(facts['rows'], 'row')}."


def _unmade(facts: Row) -> str:
    is_reference = facts.get("asked_for") == ReasonCode.NEW_REFERENCE
    return f"no {'reference was made' if is_reference else 'challenger was trained'}"


def _adopted(facts: Row) -> str:
    said = f"A person adopted {facts['file']}, which was trained elsewhere and is unproven here."
    replaced = " and ".join(facts.get("replaced") or ())
    return f"{said} It refuses {replaced}; usual values replace them." if replaced else said


def _few_rows_since(facts: Row) -> str:
    """Say how far the new normal is known, and when the labels of the others are due."""
    known = (
        f"A challenger needs {counted(facts['needed'], 'labelled row')} since the change; "
        f"{facts['labelled']:,} are there."
    )
    missing = facts["rows"] - facts["labelled"]
    if missing <= 0:
        return known
    due = facts.get("due")
    when = f"due from {plain_words.day(date.fromisoformat(due))} on" if due else "no date known"
    return f"{known} The labels of {counted(missing, 'new row')} are missing, {when}."


def _adjustment(offer: Row) -> str:
    is_threshold = offer["action"] == Response.MOVE_THRESHOLD
    what = "Another threshold" if is_threshold else "Recalibrating the live model"
    gain = f"{offer['gain']:.3f} {plain_words.metric(offer['unit'])}"
    return f"{what} would have gained {gain} on the latest labelled rows."


def _worse_than_before(facts: Row) -> str:
    return (
        f"Release {facts['from']} does worse than release {facts['to']}, beyond chance: "
        f"for the earlier one {compared(facts['comparison'])}."
    )


def _estimated_worse(facts: Row) -> str:
    found = facts["estimate"]
    before, live = plain_words.distinct(found["before"], found["live"], least=3)
    return (
        f"The loss of release {facts['from']} is expected to be higher than promised, and "
        f"{plain_words.metric(found['metric'])} is estimated at {live} for it and {before} for "
        f"release {facts['to']}, on {counted(found['n'], 'row')} without labels."
    )


def _short(score: Row) -> str:
    return "undefined" if score["value"] is None else f"{score['value']:.3f}"


WRITER = Writer(
    finding=of_finding, summary=of_strongest, cause=lambda facts: " ".join(of_cause(facts))
)
