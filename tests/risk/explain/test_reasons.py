"""Why something was decided: codes and numbers in, sentences out, written by hand."""

import ast
import json
from pathlib import Path

import pytest

from risk.decisions.codes import Action, Grounds, ReasonCode, VerdictCode
from risk.decisions.gate import Ruling, Verdict
from risk.explain import reasons
from risk.stats.scores import Estimate

ROOT = Path(__file__).parents[3]
MISSING = {
    "id": 3,
    "kind": "data_quality",
    "subject": "tenure",
    "severity": "large",
    "method": "e_detector",
    "direction": "missing more often",
    "value_before": 0.031,
    "value_after": 0.204,
    "effect": 0.9,
    "n": 300,
    "facts": {},
}
TOLD = "Data quality (large): tenure is missing in 20.4% of 300 rows, up from 3.1%."
COMPARISON = {
    "metric": "f1",
    "n": 345,
    "challenger": {"value": 0.742, "lower": 0.673, "upper": 0.801},
    "champion": {"value": 0.533, "lower": 0.449, "upper": 0.615},
    "e_value": 1.4,
    "evidence_needed": 20.0,
    "rows_needed": 580,
    "wins": 67,
    "losses": 31,
    "sources": {"test_data": 300, "newest": 45},
    "because_drifted": False,
}
SCORED = (
    "F1 0.742 against 0.533 on 345 rows (300 of the test data and 45 of the newest), "
    "67 won and 31 lost"
)


def decision(action="keep", code="no_incident", comparison=None, **facts):
    return {"action": action, "reason_code": code, "facts": facts, "comparison": comparison}


@pytest.mark.parametrize(
    ("made", "sentences"),
    [
        (decision(), ["No incident is open.", "Nothing speaks for a change."]),
        (
            decision("ask", "broken_feed", incidents=[MISSING]),
            [TOLD, "No model is trained on data that may be broken."],
        ),
        (
            decision("ask", "no_adjustment"),
            ["No adjustment of the live model is expected to pay."],
        ),
        (
            decision(code="training_failed", error="only 8 labelled rows"),
            ["No challenger was trained: only 8 labelled rows."],
        ),
        (
            decision(code="few_rows_since", labelled=40, rows=40, needed=250),
            ["A challenger needs 250 labelled rows since the change; 40 are there."],
        ),
        (
            decision(code="few_rows_since", labelled=0, rows=300, needed=250, due="2026-03-06"),
            [
                "A challenger needs 250 labelled rows since the change; 0 are there. The labels of "
                "300 new rows are missing, due from 6 March 2026 on."
            ],
        ),
        (
            decision("rollback", "rolled_back_by_hand", **{"from": 3, "to": 2}),
            ["A person went back from release 3."],
        ),
        (
            decision(
                "rollback",
                "worse_than_before",
                **{"from": 3, "to": 2},
                comparison=None,
            )
            | {"facts": {"from": 3, "to": 2, "comparison": COMPARISON | {"sources": {}}}},
            [
                "Release 3 does worse than release 2, beyond chance: for the earlier one F1 0.742 "
                "against 0.533 on 345 rows, 67 won and 31 lost."
            ],
        ),
        (
            decision(
                "rollback",
                "estimated_worse",
                **{"from": 3, "to": 2},
                estimate={"metric": "f1", "live": 0.4, "before": 0.62, "n": 300},
            ),
            [
                "The loss of release 3 is expected to be higher than promised, and F1 is "
                "estimated at 0.400 for it and 0.620 for release 2, on 300 rows without labels."
            ],
        ),
        (decision("deploy", "forced"), ["A person deployed it by hand, so it is unproven."]),
    ],
)
def test_each_reason_is_a_sentence(made, sentences):
    """What is open, then what follows from it."""
    assert reasons.reasons_of(made) == sentences


def test_an_adjustment_is_told_with_what_it_would_have_gained():
    """In the unit it was measured in."""
    offer = {"action": "recalibrate", "gain": 0.02, "unit": "f1"}

    assert reasons.main_reason(decision("keep", "adjustment", offer=offer)) == (
        "Recalibrating the live model would have gained 0.020 F1 on the latest labelled rows."
    )


@pytest.mark.parametrize(
    ("code", "action", "sentences"),
    [
        ("worse", "keep", [f"The challenger is worse: {SCORED}."]),
        (
            "worse_beyond_chance",
            "keep",
            [
                "The challenger loses more than it wins, beyond chance, although its F1 is no "
                f"worse: {SCORED}."
            ],
        ),
        (
            "better",
            "deploy",
            [
                f"The challenger is better beyond chance: {SCORED}.",
                "Chance alone would do as well in up to 71% of all comparisons.",
            ],
        ),
        (
            "not_enough_evidence",
            "ask",
            [
                f"There is not enough evidence for the challenger: {SCORED}.",
                "Chance alone would do as well in up to 71% of all comparisons, where 5% is "
                "allowed.",
                "About 580 rows would prove a gain of 4 points.",
                "Approval is needed.",
            ],
        ),
    ],
)
def test_the_gate_is_told_with_its_numbers(code, action, sentences):
    """Whether the comparison is read already or as the ledger stores it."""
    made = decision(action, "drift", COMPARISON, verdict=code)
    stored = made | {"facts": json.dumps(made["facts"]), "comparison": json.dumps(COMPARISON)}

    assert reasons.reasons_of(made)[1:] == sentences
    assert reasons.reasons_of(stored) == reasons.reasons_of(made)


def test_what_moved_the_risk_is_told_with_the_values_that_came():
    """The cause an engineer begins with."""
    facts = {
        "risk": {"before": 0.45, "after": 0.12, "parts": {"a": -0.3, "b": -0.03, "c": 0.001}},
        "moved": {"a": [{"values": "above 5", "before": 0.0, "after": 0.25}]},
        "loss": None,
    }

    assert reasons.of_cause(facts) == [
        "The mean predicted risk fell from 0.45 to 0.12, mostly by a (-0.30) and b (-0.03).",
        "Shares of a: above 5 from 0% to 25%.",
    ]


def test_every_code_has_its_words():
    """A new one cannot be forgotten."""
    assert set(reasons.OF_CODES) == set(ReasonCode)
    others = {VerdictCode.FIRST, VerdictCode.FORCED, VerdictCode.SAME_MODEL}
    assert set(reasons.OF_VERDICTS) == set(VerdictCode) - others


def test_text_and_facts_are_made_of_the_same(ledger):
    """What is recorded can be told again from the fields alone."""
    score = Estimate(0.8, 0.3, 0.9, 5)
    verdict = Verdict(True, False, VerdictCode.FIRST, challenger=score, metric="f1", n=5)
    ruling = Ruling(Action.DEPLOY, Grounds(ReasonCode.FIRST_MODEL, {}), verdict)

    recorded = reasons.reason(ruling)

    assert recorded.code == "first_model"
    assert recorded.facts == {"verdict": "first"}
    assert recorded.text == (
        "There was no model before. "
        "The first model goes live unproven: F1 0.800 [0.300, 0.900] on 5 rows of test data."
    )


def test_an_old_decision_keeps_its_text():
    """Word by word."""
    old = {"action": "keep", "reason": "x moved; no challenger: y", "facts": None}

    assert reasons.reasons_of(old) == ["x moved; no challenger: y"]
    assert reasons.main_reason(old) == "x moved; no challenger: y"


def test_an_incident_from_before_there_were_facts_keeps_its_text_in_a_decision():
    """And what follows begins a sentence of its own."""
    old = {"id": 1, "kind": "data_drift", "subject": "a", "severity": "large"}
    old |= {"facts": None, "detail": "a lower by 0.47 sd"}

    assert reasons.reasons_of(decision("ask", "no_remedy", incidents=[old])) == [
        "Data drift (large): a lower by 0.47 sd.",
        "A new model is no answer to that; a person has to look.",
    ]


TEXTS = ("detail", "reason", "summary", "cause", "outcome", "lines")
TAKING_APART = {"split", "partition", "rpartition", "replace", "removeprefix", "removesuffix"}
TAKING_APART |= {"startswith", "endswith", "splitlines", "sub", "match", "fullmatch", "search"}
TAKING_APART |= {"findall", "finditer", "index", "find"}


def takes_apart(call):
    """Tell whether a call takes a text column apart."""
    name = getattr(call.func, "attr", "")
    words = {
        part
        for node in ast.walk(call)
        for part in (getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "value", ""))
        if isinstance(part, str)
    }
    return name in TAKING_APART and bool(words & set(TEXTS))


READERS = sorted(
    path
    for folder in ("risk/explain", "risk/notify", "risk/report", "web", "demo")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_takes_our_sentences_apart(path):
    """Whoever needs a fact finds it in a field."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]

    assert [call.lineno for call in calls if takes_apart(call)] == []


def test_taking_a_sentence_apart_would_be_found():
    """The test before this one can fail."""
    for guilty in (
        'row["detail"].partition(" ")',
        're.sub("sd", "", decision.reason)',
        "outcome.lines[0].startswith('release')",
    ):
        assert takes_apart(ast.parse(guilty).body[0].value), guilty
