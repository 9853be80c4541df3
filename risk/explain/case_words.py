"""Cases in sentences: what is asked, since when, what each answer brings, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from risk import cli
from risk.decisions import answers
from risk.explain import plain_words, reasons, sentences
from risk.explain.plain_words import counted
from risk.ledger.cases import DEPLOYMENT, CaseClosure, CaseState
from risk.ledger.incidents import ResolutionCode
from risk.ledger.ledger import Ledger
from risk.ledger.queries import EVERY

Row = Mapping[str, Any]
MIN_SEASONAL = 2
CHANGES_LIVE = ("deploy", "refer")  # without a gate after it
PLANNED, SEASONAL = "take_rows_since_as_reference", "declare_longer_reference"
OFFERS = {
    PLANNED: "It was planned: approve the case to take the rows since then as the new reference.",
    SEASONAL: "It was called seasonal {times} times: declare a longer reference. Put drops of a "
    "whole season into the input folder, then {how}.",
}
TRAINED_HERE = "run training.py and deployment.py --force"
WATCHED = (
    "set model.reference_rows to the number of their rows and run deployment.py --new-reference"
)
OF_KINDS = {
    "broken_feed": "Are the new data right?",
    "no_adjustment": "No adjustment of the live model is expected to pay. Shall it be retrained?",
    "no_remedy": "No rule retrains the model for this. Shall it be retrained?",
    "together": "Many models of the fleet moved in this. Shall this one be retrained all the same?",
    "watched": "The model is trained elsewhere. Is this the new normal?",
    DEPLOYMENT: "Deploy the challenger?",
}
CLOSED = {
    CaseClosure.CARRIED_OUT: "It was approved, and carried out.",
    CaseClosure.DECLINED: "It was declined.",
    CaseClosure.BECAME_NORMAL: "The same was seen so often that it counts as normal.",
    CaseClosure.REFUSED: "The gate refuses the challenger by now.",
    CaseClosure.SUPERSEDED: "Another release or another challenger took its place.",
    ResolutionCode.PASSED: "It recovered: its cause was not observed again.",
    ResolutionCode.DEPLOYED: "A release that answers it was deployed.",
    ResolutionCode.ROLLED_BACK: "The system went back to an earlier release.",
    ResolutionCode.BY_PERSON: "A person resolved its incident.",
    ResolutionCode.RESTORED: "The files of the release were restored.",
}


@dataclass(frozen=True)
class CaseList(cli.Result):
    """The cases that wait for a person."""

    cases: Sequence[Row]

    def __str__(self) -> str:
        return "\n\n".join(map(as_text, self.cases)) or "No case waits for an answer."


@dataclass(frozen=True)
class Answered(cli.Result):
    """Cases, and what follows from the answer just given to them."""

    cases: Sequence[Row]

    def __str__(self) -> str:
        return "\n".join(map(_answered, self.cases))


def listed(ledger: Ledger) -> CaseList:
    """Return the cases that wait, the newest first: open, snoozed, and approved ones."""
    found = ledger.cases.page(EVERY, waiting=True).items
    return CaseList([described(case) for case in found])


def from_options(ledger: Ledger, options: Mapping[str, Any]) -> CaseList | Answered | None:
    """List cases or answer one, as the command line says; None if it does not."""
    if not options:
        return None
    if options["cases"]:
        return listed(ledger)
    given = answers.from_options(ledger, options)
    return Answered([described(case) for case in given]) if given else None


def described(case: Row) -> dict[str, Any]:
    """Return a case with everything that is known of it, as facts and in sentences."""
    known = {name: value for name, value in case.items() if name != "facts"}
    facts, comparison = case["facts"], case["comparison"]
    known |= {name: facts[name] for name in ("since", "drill")}
    known["expected"] = (
        _of_deployment(comparison) if case["kind"] == DEPLOYMENT else facts["expected"]
    )
    known["changes_live"] = any(each["action"] in CHANGES_LIVE for each in known["expected"])
    known["offers"] = _offers(case)
    known["words"] = {
        "question": question(case),
        "since": _since(known["since"]),
        "expected": [_expected(each) for each in known["expected"]],
        "drill": _drill(known["drill"]),
        "status": status(case),
    }
    return known


def question(case: Row) -> str:
    """Say what the question is."""
    asked = OF_KINDS[case["kind"]]
    if case["incident"]:
        return f"{asked} {sentences.of_incident(case['incident'])}"
    return f"{asked} {plain_words.sentence(reasons.compared(case['comparison']))}"


def status(case: Row) -> str:
    """Say where a case is, and by whom."""
    by = f" by {case['answers'][-1]['answered_by']}" if case["answers"] else ""
    match CaseState(case["state"]):
        case CaseState.OPEN:
            return f"It waits for an answer since {minute(case['asked_at'])}."
        case CaseState.SNOOZED:
            return f"It was snoozed{by} until {minute(case['snoozed_until'])}."
        case CaseState.APPROVED if not case["closed_at"]:
            return f"It was approved{by}; the next run carries it out."
        case CaseState.CLOSED:
            return CLOSED[case["closed_because"]]
        case state:
            return f"It was {state}{by}."


def commands(numbers: Sequence[int]) -> str:
    """Return the command that answers cases, all of them together or each by its number."""
    all_of_them = " ".join(map(str, numbers))
    return all_of_them and (
        f"  python full_process.py --approve {all_of_them}   or --decline {all_of_them} --because "
        f"REASON, or --snooze {all_of_them} --until DATE --because REASON"
    )


def as_text(case: Row) -> str:
    """Write a case for a terminal or a message."""
    words = case["words"]
    lines = [words["question"], words["since"], *words["expected"], words["drill"], words["status"]]
    lines += [offer["text"] for offer in case["offers"]]
    return "\n  ".join([f"Case {case['id']}", *filter(None, lines)])


def _answered(case: Row) -> str:
    done = f"Case {case['id']} was {case['state']}."
    if case["state"] == CaseState.APPROVED and not case["closed_at"]:
        done += " The next run carries it out; python full_process.py does so now."
    if case["state"] == CaseState.SNOOZED:
        done += f" It comes back on {minute(case['snoozed_until'])}, or when it becomes worse."
    return " ".join([done, *(offer["text"] for offer in case["offers"])])


def minute(moment: datetime | str) -> str:
    """Write a moment."""
    known = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{known:%Y-%m-%d %H:%M} UTC"


def _of_deployment(comparison: Row) -> list[dict[str, Any]]:
    """Return what deploying a challenger, or not, is expected to bring."""
    names = ("metric", "difference", "e_value", "n")
    gained = {name: comparison.get(name) for name in names}
    score = {"metric": comparison["metric"], "promised": None, "basis": "gate"}
    score["score"] = comparison["champion"] and comparison["champion"] | {"n": comparison["n"]}
    return [
        {"answer": "approve", "action": "deploy"} | gained,
        {"answer": "decline", "action": "keep"} | score,
    ]


def _since(since: Row | None) -> str:
    if since is None:
        return ""
    first, last = minute(since["earliest"]), minute(since["latest"])
    between = f"at {first}" if first == last else f"between {first} and {last}"
    if since["rows"] is None:
        return f"It began {between}."
    labelled = f"{since['labelled']:,} of them with labels"
    rows = f"{counted(since['rows'], 'row')} came since then, {labelled}"
    likeliest = "" if first == last else f", most likely at {minute(since['likeliest'])}"
    return f"It began {between}{likeliest}; {rows}."


def _expected(known: Row) -> str:
    name = plain_words.metric(known["metric"]) if known.get("metric") else ""
    match known["action"]:
        case "resolve":
            return "Approve: the incident is resolved; the model stays as it is."
        case "learn":
            there = "" if known["labelled"] is None else f" ({known['labelled']:,} are there)"
            needed = f"{known['rows_needed']:,} rows since the change have labels{there}"
            return f"Approve: a challenger is trained once about {needed}; the gate compares it."
        case "refer":
            rows, came = f"{known['rows_needed']:,} rows", known["rows"]
            said = f"Approve: the newest drops with {rows} become the reference"
            few = came is not None and came < known["rows_needed"]
            return f"{said}, older ones than the change too." if few else f"{said}."
        case "deploy":
            return f"Approve: the challenger goes live{_gained(known['difference'], name)}."
        case _:
            return _kept(known, name)


def _gained(gain: Row | None, name: str) -> str:
    """Say by how much a score is expected to change."""
    if not gain or gain["value"] is None:
        return ""
    said = f"; {name} is expected to change by {gain['value']:+.3f}"
    return said if gain["lower"] is None else f"{said} [{gain['lower']:+.3f}, {gain['upper']:+.3f}]"


def _kept(known: Row, name: str) -> str:
    """Say what the live release scores if it stays."""
    said = "Decline: the live release stays"
    if not known["score"]:
        return f"{said}; nothing shows yet what it scores now."
    basis = {"realised": " on labelled rows", "estimated": ", estimated without labels"}
    now = f"{said}; {name} is {plain_words.score(known['score'])}{basis.get(known['basis'], '')}"
    promised = known["promised"]
    return f"{now}, where {plain_words.score(promised)} was promised." if promised else f"{now}."


def _drill(results: Sequence[Row]) -> str:
    """Say how many planted changes of the same subject a drill finds, and how soon."""
    if not results:
        return ""
    days = sorted(result["days"] for result in results if result["days"] is not None)
    of = f"{len(days)} of {counted(len(results), 'planted change')} of this subject"
    slowest = plain_words.duration(timedelta(days=days[-1])) if days else ""
    soon = f", the slowest after {slowest}" if days else ""
    return f"Fire drill: {of} would be found{soon}."


def _offers(case: Row) -> list[dict[str, str]]:
    """Return what the reasons given so far suggest to do."""
    found = {}
    last = case["answers"][-1] if case["answers"] else {}
    may_approve = case["state"] in (CaseState.SNOOZED, CaseState.DECLINED)
    if last.get("because") == "planned" and may_approve and case["incident"]:
        found[PLANNED] = OFFERS[PLANNED]
    if case["seasonal_answers"] >= MIN_SEASONAL:
        actions = [each["action"] for each in case["facts"]["expected"]]
        how = WATCHED if "refer" in actions else TRAINED_HERE
        found[SEASONAL] = OFFERS[SEASONAL].format(times=case["seasonal_answers"], how=how)
    return [{"code": code, "text": text} for code, text in found.items()]
