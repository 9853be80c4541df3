"""Announcements: events as text for people and as fields for programs."""

from __future__ import annotations

import json
import socket
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from risk.config import Config
from risk.decisions.codes import Action, ReasonCode
from risk.explain import case_words, reasons, resolutions, sentences
from risk.explain.plain_words import ADVICE, by_chance, counted, subject
from risk.ledger.database import Record
from risk.ledger.outbox import INTRODUCTION, OPENED, REMINDED, RESOLVED, WARNINGS, News

ANSWERS = {
    Action.DEPLOY: "release {version} was deployed",
    Action.ROLLBACK: "the system rolled back to release {version}",
    Action.ASK: "approval or attention was requested",
    Action.KEEP: "the live release was kept",
}
MADE = "reference {version} was made"
OF_REFERENCES = (ReasonCode.REFERENCE, ReasonCode.NEW_REFERENCE)  # never on probation
MAX_TITLE_LENGTH = 150


@dataclass(frozen=True)
class Announcement:
    """One event: a title, a text for people, fields for programs."""

    title: str
    text: str
    content: dict[str, Any]


def announce(
    config: Config, news: News, answer: Record | None = None, *, cases: Sequence[int] = ()
) -> Announcement:
    """Describe an event; `answer` is the decision of the run it belongs to, `cases` wait for it."""
    fact = news.fact
    if news.event == OPENED:
        title, detail, text = _opened(fact, answer, config, cases)
    elif news.event == RESOLVED:
        title, detail, text = _resolved(fact)
    elif news.event == WARNINGS:
        title, detail, text = _warned(news)
    elif news.about == "decision_id":
        title, detail, text = _decided(fact, config, cases)
    else:
        title, detail, text = _failed(fact)
    about = news.about.removesuffix("_id")
    run_id = fact.id if about == "run" else fact.run_id
    facts = {"detail": detail, "run_id": run_id, about: _fields(fact)}
    if news.warnings:
        facts["warnings"] = [_fields(warning) for warning in news.warnings]
    return _announcement(config, title, text, _when(news.event, news.happened_at) | facts)


def remind(config: Config, case: Mapping[str, Any], now: datetime) -> Announcement:
    """Describe a case that still waits for an answer."""
    title = f"Case {case['id']} waits for an answer: {case_words.OF_KINDS[case['kind']]}"
    text = f"{case_words.as_text(case)}\nTo do: decide.\n{case_words.commands([case['id']])}"
    facts = {"detail": case["words"]["question"], "run_id": case["run_id"], "case": _json(case)}
    return _announcement(config, title, text, _when(REMINDED, now) | facts)


def introduction(config: Config, now: datetime) -> Announcement:
    """Return the first message to a new target."""
    releases = "a release is deployed or rolled back, when a challenger is refused"
    if config.watches_only:
        releases = "a reference is made or rolled back"
    text = (
        f"This channel receives notifications when an incident is opened or resolved, when "
        f"{releases}, when approval or attention is needed or still is, and when a run fails. "
        "Open incidents follow.\nTo do: nothing."
    )
    return _announcement(config, "Notifications enabled", text, _when(INTRODUCTION, now))


def footer(config: Config) -> str:
    """Return the line that points to the dashboard."""
    machine = socket.gethostname()
    host = "localhost" if config.api.is_on_loopback else machine
    return f"Dashboard: http://{host}:{config.api.port}/ on {machine}"


def _opened(
    incident: Record, answer: Record | None, config: Config, cases: Sequence[int]
) -> tuple[str, str, str]:
    number, kind = incident.id, incident.kind.replace("_", " ")
    said = sentences.of_incident(dict(incident._mapping))
    title = f"Incident {number}: {kind} ({incident.severity}): {subject(incident.subject)}"
    drop = f", first in {incident.since_path}" if incident.since_path else ""
    done = "nothing yet"
    if answer:
        is_reference = answer.reason_code in OF_REFERENCES
        made = MADE if is_reference else ANSWERS[Action(answer.action)]
        done = made.format(version=answer.version)
    if incident.resolved_at:
        to_do = f"To do: nothing, it was resolved on {_minute(incident.resolved_at)}."
    else:
        to_do = (
            f"To do: {ADVICE.get(incident.kind, 'Look into it.')}\n"
            f"  python diagnostics.py --acknowledge {number}   marks it as under investigation\n"
            f"  python diagnostics.py --resolve {number}       closes it once it is explained"
        )
        to_do += f"\n{case_words.commands(cases)}" if cases else ""
    chance = by_chance(incident.e_value, config.alarms.days_per_false_alarm)
    text = (
        f"{' '.join(filter(None, [said, chance]))}\n"
        f"Since: {_minute(incident.opened_at)}{drop}, while release {incident.version} was live.\n"
        f"Done: {done}.\n{to_do}"
    )
    return title, said, text


def _resolved(incident: Record) -> tuple[str, str, str]:
    kind, known = incident.kind.replace("_", " "), dict(incident._mapping)
    said = resolutions.of_resolution(known)
    title = f"Incident {incident.id} resolved: {kind}: {subject(incident.subject)}"
    text = (
        f"{said}\n"
        f"It was: {sentences.of_incident(known)}\n"
        f"Open from {_minute(incident.opened_at)} to {_minute(incident.resolved_at)}.\n"
        "To do: nothing."
    )
    return title, said, text


def _warned(news: News) -> tuple[str, str, str]:
    """Describe the warnings of a day."""
    said = {sentences.of_finding(dict(each._mapping)): each for each in news.warnings}
    title = f"{counted(len(said), 'early warning')}, may be nothing"
    lines = "\n".join(f"- {_minute(each.found_at)}: {words}" for words, each in said.items())
    text = (
        f"{lines}\n"
        "To do: nothing. If the evidence grows, an incident is opened; otherwise the warning ends."
    )
    return title, " ".join(said), text


def _decided(decision: Record, config: Config, cases: Sequence[int]) -> tuple[str, str, str]:
    tried = decision.comparison is not None
    match decision.action:
        case Action.DEPLOY if decision.version == 1 or decision.reason_code in OF_REFERENCES:
            title, to_do = f"Release {decision.version} is live", "nothing."
        case Action.DEPLOY:
            title = f"Release {decision.version} is live"
            to_do = (
                f"nothing; for {config.policy.watch_days:g} days it is rolled back automatically "
                "if the previous release does better.\n"
                "  python deployment.py --rollback   rolls back by hand"
            )
        case Action.ROLLBACK:
            title = f"Rolled back to release {decision.version}"
            to_do = "nothing.\n  python deployment.py --list   shows all releases"
        case Action.ASK if tried:
            title = "Approval needed: deploy the challenger?"
            force = "  python deployment.py --force   deploys the challenger"
            how = case_words.commands(cases) or force
            to_do = f"decide; until then the live release is kept.\n{how}"
        case Action.ASK:
            title = "Attention needed: the live release is kept"
            to_do = (
                "have the feed repaired if it is broken; resolve incidents that are explained.\n"
                "  python diagnostics.py                lists the incidents\n"
                "  python diagnostics.py --resolve ID   resolves one"
            )
            to_do = f"{to_do}\n{case_words.commands(cases)}".rstrip()
        case _:
            title = "Challenger refused, the live release is kept"
            to_do = (
                "nothing; it is compared again when more labelled rows have arrived.\n"
                "  python deployment.py --force   deploys it anyway"
            )
    why = reasons.reasons_of(dict(decision._mapping))
    listed = "\n".join(f"- {reason}" for reason in why)
    text = f"Decided: {_minute(decision.decided_at)}\nWhy:\n{listed}\nTo do: {to_do}"
    return title, " ".join(why), text


def _failed(run: Record) -> tuple[str, str, str]:
    if run.status == "failed":
        title = f"Run {run.id} failed"
        to_do = "fix the cause named in the first line; the next run tries again."
    else:
        title = f"Run {run.id} was interrupted"
        to_do = (
            "nothing, the next run continues; if it happens again, check for a lack of memory, a "
            "time limit or a restart of the machine."
        )
    text = (
        f"{run.outcome}\n"
        f"Started: {_minute(run.started_at)}\n"
        f"To do: {to_do}\n"
        "  python full_process.py   tries again now\n"
        "The same failure is not reported again."
    )
    return title, run.outcome, text


def _announcement(config: Config, title: str, text: str, content: dict[str, Any]) -> Announcement:
    line = textwrap.shorten(title, MAX_TITLE_LENGTH, placeholder=" ...")
    return Announcement(
        line, text, {"installation": config.installation_id, "title": line} | content
    )


def _when(event: str, happened_at: datetime) -> dict[str, Any]:
    return {"event": event, "happened_at": _iso(happened_at)}


def _fields(fact: Record) -> dict[str, Any]:
    """Return a row as JSON values."""
    values = dict(fact._mapping)
    for name in values.keys() & {"comparison", "facts", "resolution_facts", "distances"}:
        if values[name]:
            values[name] = json.loads(values[name], parse_constant=lambda _: None)
    return {
        name: _iso(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _json(value: Any) -> Any:
    """Return nested values as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return _iso(value) if isinstance(value, datetime) else value


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
