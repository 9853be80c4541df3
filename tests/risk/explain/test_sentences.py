"""Fields in, a sentence out: written by hand, as a person would say it."""

import json

import pytest

from risk.explain import sentences

LABELS, LOSS = "(predicted risk by label)", "(expected loss)"


def finding(feature="tenure", check="data_drift", direction="higher", values=(None, None), **more):
    row = {
        "check_name": check,
        "feature": feature,
        "method": "e_detector",
        "direction": direction,
        "value_before": values[0],
        "value_after": values[1],
        "drift_score": 0.57,
        "drift_detected": True,
        "n": 300,
        "facts": {},
        "detail": "not looked at",
    }
    return row | more


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            finding(direction="missing more often", values=(0.031, 0.204)),
            "Column tenure is missing in 20.4% of 300 rows, up from 3.1%.",
        ),
        (
            finding(direction="missing more often", values=(0.0, 1.0), n=1),
            "Column tenure is missing in 1 row, up from none.",
        ),
        (
            finding(
                "region",
                direction="more often",
                values=(0.097, 0.257),
                n=1038,
                facts={"level": "islands"},
            ),
            'Column region is "islands" in 25.7% of 1,038 rows, up from 9.7%.',
        ),
        (
            finding("region", direction="other levels less often", values=(0.887, 0.739)),
            "Column region has less common values in 73.9% of 300 rows, down from 88.7%.",
        ),
        (
            finding("region", direction="unseen levels", values=(0.0, 0.2)),
            "Column region has values unknown to the reference in 20.0% of 300 rows, up from none.",
        ),
        (
            finding(
                "region",
                direction="unseen levels",
                values=(0.0, 1.0),
                facts={"spellings": {"ISLANDS": "islands", "1.0": "1"}},
            ),
            "Column region has values unknown to the reference in all 300 rows, up from none; "
            'known values in another spelling: "ISLANDS" is "islands", "1.0" is "1".',
        ),
        (
            finding(direction="above every reference value", values=(0.0, 0.962), n=26),
            "Column tenure is above every reference value in 96.2% of 26 rows, up from none.",
        ),
        (
            finding(
                "exited",
                direction="more often",
                values=(0.2, 0.3),
                facts={"level": "positive"},
            ),
            "Column exited is positive in 30.0% of 300 rows, up from 20.0%.",
        ),
        (
            finding(direction="lower", values=(29.04, 17.0), facts={"rows": 1200}),
            "Column tenure is lower: its median fell from about 29 to 17 in the newest 1,200 rows.",
        ),
        (
            finding(direction="lower", values=(29.0, 29.0), facts={"rows": 1200}),
            "Column tenure is lower by 0.57 standard deviations.",
        ),
        (
            finding("(predicted risk)", "prediction_drift", "lower", drift_score=-0.28),
            "The predicted risk is lower by 0.28 standard deviations.",
        ),
        (
            finding(direction="more spread"),
            "Column tenure is spread wider, by 0.57 standard deviations.",
        ),
        (
            finding("age and income", "joint_drift", "rise together"),
            "Columns age and income rise together more than before, by 0.57 standard deviations.",
        ),
    ],
)
def test_data(row, sentence):
    """What moved, from where to where, and of how many rows."""
    assert sentences.of_finding(row) == sentence


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            finding(
                LABELS, "model_drift", "lower", (0.53, 0.31), facts={"metric": "f1", "rows": 400}
            ),
            "F1 fell from 0.53 to 0.31 on 400 labelled rows.",
        ),
        (
            finding(
                LABELS, "model_drift", "higher", (0.13, 0.19), facts={"metric": "brier", "rows": 1}
            ),
            "Brier score rose from 0.13 to 0.19 on 1 labelled row.",
        ),
        (
            finding(
                LABELS,
                "model_drift",
                "lower",
                (0.9, 0.91),
                facts={"metric": "accuracy", "rows": 40},
            ),
            "Accuracy has fallen over several batches; on the newest 40 labelled rows it is 0.91, "
            "where 0.90 was promised.",
        ),
        (
            finding(LABELS, "model_drift", "lower", facts={"metric": "f1"}),
            "F1 has fallen by 0.57 standard deviations on 300 labelled rows.",
        ),
        (
            finding(
                LABELS,
                "calibration_drift",
                "fewer positives than predicted",
                (0.382, 0.31),
                facts={"rows": 400},
            ),
            "Positives are rarer than predicted: 31.0% of the newest 400 labelled rows, "
            "where 38.2% were predicted.",
        ),
        (
            finding(LOSS, "suspected_harm", "higher", (0.142, 0.171), facts={"rows": 300}),
            "The expected loss rose from 0.142 to 0.171 on the newest 300 rows.",
        ),
        (
            finding(
                None,
                "estimate",
                "unreliable",
                method="f1",
                facts={
                    "expected": {"value": 0.5, "lower": 0.4, "upper": 0.6},
                    "realised": {"value": 0.3, "lower": 0.2, "upper": 0.35},
                },
            ),
            "The estimate of F1 cannot be relied on: 0.500 [0.400, 0.600] expected, "
            "0.300 [0.200, 0.350] measured on 300 labelled rows.",
        ),
    ],
)
def test_the_model(row, sentence):
    """A score as a change that a person can weigh; standard deviations where nothing else is."""
    assert sentences.of_finding(row) == sentence


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            finding(method="constant", direction="constant", facts={"value": 0.0}),
            "Column tenure is 0 in all 300 rows.",
        ),
        (
            finding(method="constant", direction="constant", facts={"value": None}),
            "Column tenure is missing in all 300 rows.",
        ),
        (
            finding(
                "(rows per drop)",
                direction="fewer",
                method="usual_before",
                values=(100.2, 12),
                facts={"path": "a.csv"},
            ),
            "File a.csv has 12 rows, where about 100 are usual.",
        ),
        (
            finding(
                "(quarantined rows)",
                direction="more",
                method="usual_before",
                values=(0.0, 0.4),
                n=100,
                facts={"path": "a.csv", "rows": 40, "problem": "age is no number"},
            ),
            "40 of 100 rows of a.csv were refused, most often for age is no number; "
            "0.0% are usual.",
        ),
        (
            finding(
                "(arrival of drops)", direction="late", method="usual_before", values=(1.0, 26.0)
            ),
            "No data came for 26 hours, where the usual gap is 60 minutes.",
        ),
        (
            finding(
                "(columns of drops)",
                direction="refused",
                method="fact",
                n=0,
                facts={"path": "a.csv", "reason": "column b is missing"},
            ),
            "File a.csv was refused: column b is missing.",
        ),
    ],
)
def test_drops(row, sentence):
    """A file is spelt as it is called, also at the beginning."""
    assert sentences.of_finding(row | {"check_name": "data_quality"}) == sentence


def test_a_batch_that_contradicts_the_evidence_is_told_as_one_of_several():
    """The alarm is of all batches; nobody is told that 20% is more than 30%."""
    row = finding(direction="missing more often", values=(0.3, 0.2))

    assert sentences.of_finding(row) == (
        "Column tenure is missing more often over several batches: 30.0% before, "
        "20.0% of the newest 300 rows."
    )
    assert sentences.of_finding(row | {"drift_detected": False}) == (
        "Column tenure is missing in 20.0% of 300 rows, down from 30.0%."
    )


def test_an_incident_is_told_like_the_finding_that_opened_it():
    """Its columns have names of their own; facts may be as the ledger stores them."""
    row = finding(direction="missing more often", values=(0.031, 0.204))
    incident = row | {"kind": "data_quality", "subject": "tenure", "effect": 0.57}
    for name in ("check_name", "feature", "drift_score", "drift_detected"):
        del incident[name]

    assert sentences.of_incident(incident | {"facts": json.dumps({})}) == sentences.of_finding(row)
    assert sentences.incident_clause(incident) == (
        "tenure is missing in 20.4% of 300 rows, up from 3.1%"
    )


def test_a_table_does_not_repeat_what_its_first_column_names():
    """What changed is named once."""
    row = finding(direction="missing more often", values=(0.031, 0.204))

    assert sentences.change_of(row) == "is missing in 20.4% of 300 rows, up from 3.1%"


def test_a_row_from_before_there_were_facts_keeps_its_text():
    """Word by word: nobody takes apart what was written then."""
    text = "tenure lower by 0.47 sd (its median is where the reference had its percentile 23)"
    old = {"check_name": "data_drift", "feature": "tenure", "facts": None, "detail": text}

    assert sentences.of_finding(old) == text
    assert sentences.change_of(old) == text
    assert sentences.of_incident({"kind": "x", "subject": "tenure", "detail": text}) == text


def test_a_name_nobody_can_read_loses_its_middle():
    """It would not fit on a page."""
    row = finding("a" * 30 + "b" * 30, direction="more spread")

    assert sentences.of_finding(row).startswith(
        "Column " + "a" * 19 + "…" + "b" * 19 + " is spread"
    )


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["z"], 'File a.csv has a column that is not declared: "z".'),
        (["z", "y"], 'File a.csv has columns that are not declared: "z" and "y".'),
    ],
)
def test_undeclared_columns_are_named(columns, sentence):
    """From the list of their names."""
    facts = {"path": "a.csv", "columns": columns}
    row = finding("(columns of drops)", direction="undeclared", facts=facts)

    found = row | {"check_name": "data_quality", "method": "fact"}

    assert sentences.of_finding(found) == sentence


def test_an_early_warning_says_that_it_may_be_nothing():
    """And the alarm that it becomes says since when."""
    since = {"warned_since": "2026-03-01T12:00:00+00:00"}
    row = finding(facts=since)

    early = sentences.of_finding(row | {"drift_detected": False, "tier": "warning"})
    quiet = sentences.of_finding(row | {"drift_detected": False, "tier": "none"})

    moved = "column tenure is higher by 0.57 standard deviations."
    assert early == f"Early, may be nothing: {moved}"
    assert quiet == moved.capitalize()
    assert sentences.of_finding(row) == f"{moved.capitalize()} Warned of since 1 March 2026."
