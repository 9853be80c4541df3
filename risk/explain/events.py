"""What changed and what the system did about it, as sentences made from the ledger."""

from __future__ import annotations

from risk.decisions.codes import Action, ReasonCode
from risk.explain import gate_words, plain_words, reasons, sentences
from risk.explain.plain_words import counted, day
from risk.explain.snapshot import Row, Snapshot, is_watched
from risk.stats.scores import is_point_worse

MAX_NAMED = 3
MAX_USUAL_CHANGE = 0.02


def changed(snapshot: Snapshot) -> list[str]:
    """Describe what differs from the training data, or did until the release was replaced."""
    found = snapshot.open_incidents
    said = [_with_chance(incident, snapshot) for incident in found[:MAX_NAMED]]
    if len(found) > MAX_NAMED:
        said.append(f"{counted(len(found) - MAX_NAMED, 'more incident')} below.")
    switch = next((d for d in snapshot.decisions if d["version"]), None)
    if not found and snapshot.decisions:
        quiet = snapshot.decisions.index(switch) if switch else len(snapshot.decisions)
        batches = counted(quiet, "batch", "batches") if quiet else "no batch has come yet"
        said.append(f"Nothing that matters{_since(switch)}: {batches}, no incident open.")
    said += _risk(snapshot)
    if not found and switch and (causes := snapshot.causes(switch)):
        subjects = plain_words.listed([plain_words.about(cause) for cause in causes])
        said.append(f"What had changed before that: {subjects}.")
    return said or ["Nothing is known yet."]


def _with_chance(incident: Row, snapshot: Snapshot) -> str:
    chance = plain_words.by_chance(incident.get("e_value"), snapshot.days_per_false_alarm)
    return " ".join(filter(None, [sentences.of_incident(incident), chance]))


def _since(switch: Row | None) -> str:
    if switch is None:
        return ""
    return f" since release {switch['version']} went live on {day(switch['decided_at'])}"


def _risk(snapshot: Snapshot) -> list[str]:
    if not snapshot.risk:
        return []
    before, after = snapshot.risk["before"], snapshot.risk["after"]
    if abs(after - before) < MAX_USUAL_CHANGE:
        known = plain_words.known_rows(is_watched=is_watched(snapshot.release))
        return [f"The mean predicted risk is {after:.2f}; it was {before:.2f} in the {known}."]
    return [reasons.of_mean("predicted risk", snapshot.risk)]


def done(snapshot: Snapshot) -> list[str]:
    """Describe the newest decision, and the newest one that changed something."""
    decisions = snapshot.decisions
    dull = [_is_dull(decision, snapshot) for decision in decisions]
    quiet = dull.index(False) if False in dull else len(dull)
    said = []
    if quiet:
        batches = f"each of the last {quiet} batches" if quiet > 1 else "the last batch"
        said.append(f"It checked {batches} and kept the live release: nothing was wrong.")
    if quiet < len(decisions):
        said += decided(decisions[quiet], snapshot)
    return said or ["Nothing yet."]


def _is_dull(decision: Row, snapshot: Snapshot) -> bool:
    only_kept = decision["action"] == Action.KEEP and not decision["comparison"]
    return only_kept and not snapshot.causes(decision)


def decided(decision: Row, snapshot: Snapshot) -> list[str]:
    """Describe what was decided, when and why; then on what evidence."""
    on = f"On {day(decision['decided_at'])} it"
    if _is_dull(decision, snapshot):
        return [f"{on} kept the live release: nothing was wrong."]
    comparison = decision["comparison"]
    why = judged(decision, snapshot) if comparison else reasons.main_reason(decision)
    match decision["action"]:
        case Action.DEPLOY:
            done = f"made release {decision['version']} live"
        case Action.ROLLBACK:
            done = f"went back to release {decision['version']}"
        case Action.ASK:
            done = "asked for a decision, and did not train on the new data"
            done = "asked for approval to change the model" if comparison else done
            if decision.get("reason_code") == ReasonCode.WATCHED:
                done = "asked for a decision, as the model is trained elsewhere"
        case _ if comparison:
            done = "compared a new model with the live one, and kept the live one"
        case _:
            done = "kept the live release"
    causes = [sentences.incident_clause(cause) for cause in _as_known(decision, snapshot)]
    cause = f" The cause: {plain_words.details(causes, most=1)}." if causes else ""
    is_dull_ask = decision["action"] == Action.ASK and not comparison
    return [f"{on} {done}.{cause}", *([] if is_dull_ask else [why])]


def _as_known(decision: Row, snapshot: Snapshot) -> list[Row]:
    """Return what was open when something was decided, with the numbers of then."""
    known = (decision.get("facts") or {}).get("incidents", ())
    then = {incident["id"]: incident for incident in known}
    return [{**cause, **then.get(cause.get("id"), {})} for cause in snapshot.causes(decision)]


def judged(decision: Row, snapshot: Snapshot) -> str:
    """Describe the gate's verdict on a challenger, with its numbers."""
    comparison = decision["comparison"]
    metric = comparison["metric"] or snapshot.metric
    now, before, name = comparison["challenger"], comparison["champion"], plain_words.metric(metric)
    if before is None:
        rows = counted(now["n"], "row")
        return f"It was the first model: {name} {plain_words.score(now)} on {rows} of test data."
    said = (
        f"{name} was {plain_words.score(now)} for the new one and "
        f"{plain_words.score(before)} for the old one, "
        f"on the same {counted(comparison['n'], 'row')}"
    )
    if is_point_worse(before["value"], now["value"], metric):
        return f"{said}: the new one did {gate_words.worse(comparison)} on these."
    allowed, chance = f"{1 / snapshot.evidence_needed:.0%}", gate_words.by_luck(comparison)
    if comparison["proven"]:
        what = " not to be worse by more than that" if comparison.get("margin") else ""
        return f"{said}; {chance}, so it is proven{what}."
    made_live = decision["action"] == Action.DEPLOY
    yet = "; it went live because the old one had drifted" if made_live else ""
    return f"{said}; {chance}, where {allowed} is allowed, so it is not proven{yet}."
