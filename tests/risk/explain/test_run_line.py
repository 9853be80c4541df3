import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.data.intake import Intake
from risk.explain import run_line
from risk.monitoring.findings import METHOD, MISSING_MORE

ROWS = Intake("in/a.csv", "ingested", rows_read=100, rows_added=100)
LABELS = Intake("in/late.csv", "ingested", kind="labels", rows_read=60, rows_added=60)
BAD = Intake("in/bad.csv", "refused", reason="no column customer_id")
COMPARISON = {
    "metric": "f1",
    "champion": {"value": 0.531, "lower": 0.4, "upper": 0.6, "n": 200},
    "challenger": {"value": 0.613, "lower": 0.5, "upper": 0.7, "n": 200},
    "n": 200,
    "proven": True,
}
MISSING = {
    "id": 4,
    "kind": "data_drift",
    "subject": "contract",
    "severity": "large",
    "direction": MISSING_MORE,
    "value_before": 0.0,
    "value_after": 0.2,
    "method": METHOD,
    "effect": 0.5,
    "n": 300,
    "e_value": 40.0,
    "facts": {},
}


def decision(action="keep", code="drift", facts=(), *, version=None, comparison=None):
    return {
        "action": action,
        "version": version,
        "reason_code": code,
        "facts": dict(facts),
        "comparison": comparison,
    }


@pytest.mark.parametrize(
    ("intakes", "decided", "line"),
    [
        ([], None, "No new data."),
        ([LABELS], None, "Labels for 60 earlier rows in 1 file."),
        (
            [Intake("in/a.csv", "taken", rows_read=60, rows_duplicate=60)],
            None,
            "0 new rows and 60 known rows again in 1 file.",
        ),
        (
            [ROWS],
            decision(code="no_incident"),
            "No incident; the live release stays. 100 new rows in 1 file.",
        ),
        (
            [ROWS, BAD],
            decision(code="no_incident"),
            "1 file was refused: in/bad.csv. No incident; the live release stays. "
            "100 new rows in 2 files.",
        ),
        (
            [ROWS],
            decision(
                "deploy", "first_model", version=1, comparison=COMPARISON | {"champion": None}
            ),
            "Release 1 is live, the first model: F1 0.61 on 200 test rows. 100 new rows in 1 file.",
        ),
        (
            [ROWS, LABELS],
            decision("deploy", version=2, comparison=COMPARISON),
            "Release 2 is live: F1 0.61 against 0.53 on 200 rows. "
            "100 new rows and labels for 60 earlier rows in 2 files.",
        ),
        (
            [ROWS],
            decision("deploy", version=2, comparison=COMPARISON | {"proven": False}),
            "Release 2 is live, unproven: F1 0.61 against 0.53 on 200 rows. "
            "100 new rows in 1 file.",
        ),
        (
            [ROWS],
            decision(
                facts={"verdict": "not_enough_evidence", "incidents": [MISSING]},
                comparison=COMPARISON,
            ),
            "The live release stays: the challenger is not proven better (F1 0.61 against 0.53 on "
            "200 rows). Data drift: contract is missing in 20.0% of 300 rows, up from none. "
            "100 new rows in 1 file.",
        ),
        (
            [ROWS],
            decision("ask", "broken_feed", {"incidents": [MISSING, MISSING]}),
            "Action needed: the new data may be broken; no model was trained on them. "
            "Data drift: contract is missing in 20.0% of 300 rows, up from none. "
            "And 1 more incident. 100 new rows in 1 file.",
        ),
        (
            [ROWS],
            decision("ask", comparison=COMPARISON),
            "Action needed: deploy the challenger? F1 0.61 against 0.53 on 200 rows. "
            "100 new rows in 1 file.",
        ),
        (
            [ROWS],
            decision(
                "rollback", "worse_than_before", {"from": 2, "comparison": COMPARISON}, version=1
            ),
            "Back to release 1: release 2 does worse: F1 0.61 against 0.53 on 200 rows. "
            "100 new rows in 1 file.",
        ),
        (
            [ROWS],
            decision(code="training_failed", facts={"error": "no labelled rows"}),
            "The live release stays. No challenger was trained: no labelled rows. "
            "100 new rows in 1 file.",
        ),
    ],
)
def test_the_line_begins_with_what_a_person_must_know(intakes, decided, line):
    """What was decided, then what was refused, then why, then what came."""
    assert run_line.of_run(intakes, decided) == line


@pytest.mark.parametrize(
    ("challenger", "words"),
    [
        (0.6090, "the challenger did worse (F1 0.609 against 0.613 on 200 rows)"),
        (0.61299, "the challenger did no better (F1 0.6130 against 0.6130 on 200 rows)"),
        (None, "the challenger did worse (F1 undefined against 0.61 on 200 rows)"),
    ],
)
def test_numbers_that_look_equal_are_not_called_worse(challenger, words):
    """Nor are they rounded until they look equal."""
    scores = {"challenger": {"value": challenger}, "champion": {"value": 0.613}}
    decided = decision(facts={"verdict": "worse"}, comparison=COMPARISON | scores)

    assert words in run_line.of_run([ROWS], decided)


@pytest.mark.parametrize(
    ("metric", "challenger", "words"),
    [
        ("f1", 0.2, "is worse beyond chance (F1 0.20 against 0.30 on 5 rows)"),
        (
            "f1",
            0.333,
            "loses more than it wins, beyond chance, although its F1 is no worse "
            "(F1 0.33 against 0.30 on 5 rows)",
        ),
        ("brier", 0.333, "is worse beyond chance (Brier score 0.33 against 0.30 on 5 rows)"),
    ],
)
def test_a_challenger_with_the_better_score_is_not_called_worse(metric, challenger, words):
    """The gate weighs rows: these can speak against the model whose F1 is higher."""
    scores = {"challenger": {"value": challenger}, "champion": {"value": 0.3}}
    judged = COMPARISON | scores | {"metric": metric, "n": 5}
    decided = decision(facts={"verdict": "worse_beyond_chance"}, comparison=judged)

    assert f"the challenger {words}" in run_line.of_run([ROWS], decided)


def test_the_facts_may_come_from_the_ledger_as_json():
    """A run that carries on after a crash has the row, not the objects."""
    known = decision("deploy", version=2, comparison=COMPARISON)
    stored = known | {name: json.dumps(known[name]) for name in ("facts", "comparison")}

    assert run_line.of_decision(stored) == run_line.of_decision(known)


def test_refused_rows_come_before_what_explains_a_decision():
    """After the decision itself, which may ask for more."""
    spoilt = Intake("in/a.csv", "ingested", rows_read=100, rows_added=99, rows_quarantined=1)

    line = run_line.of_run([spoilt], decision("ask", "broken_feed", {"incidents": [MISSING]}))

    assert line.index("no model was trained") < line.index("1 row was quarantined.")
    assert line.index("1 row was quarantined.") < line.index("Data drift")


def test_a_name_too_long_leaves_out_the_rest_first():
    """What was decided is never cut for what merely came."""
    long = MISSING | {"subject": "a column " * 30}

    line = run_line.of_run([ROWS], decision("ask", "broken_feed", {"incidents": [long]}))

    assert line.startswith("Action needed: the new data may be broken; no model was trained")
    assert len(line) <= run_line.MAX_LENGTH


@given(st.lists(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=3), max_size=5))
def test_a_line_is_one_line_of_at_most_200_characters(pieces):
    """Whatever a column, a file or an error is called."""
    line = run_line.fitted(pieces)

    assert len(line) <= 200
    assert len(line.splitlines()) <= 1
