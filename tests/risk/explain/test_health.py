from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from risk.explain import health
from risk.explain.snapshot import Snapshot
from risk.monitoring.outcomes import ESTIMATED, REALISED

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
A_DAY = timedelta(days=1)


def run(number, *, ago=0, state="ok", outcome="done"):
    began = NOW - ago * A_DAY
    return {"id": number, "started_at": began, "status": state, "outcome": outcome}


def incident(kind="data_drift", *, subject="tenure", severity="large", resolved=False, ago=0):
    return {
        "id": 7,
        "run_id": 5,
        "kind": kind,
        "subject": subject,
        "severity": severity,
        "detail": f"{subject} lower by 0.57 sd",
        "opened_at": NOW - ago * A_DAY,
        "resolved_at": NOW if resolved else None,
    }


def decision(action="keep", *, version=None, comparison=None, ago=0):
    return {
        "id": 9,
        "run_id": 5,
        "decided_at": NOW - ago * A_DAY,
        "action": action,
        "version": version,
        "reason": "because",
        "comparison": comparison,
    }


def scores(dataset=REALISED, version=3, value=0.64, **others):
    row = {"at": NOW, "version": version, "dataset": dataset, "value": value}
    return pd.DataFrame([row | {"lower": 0.6, "upper": 0.68, "n": 831} | others])


def snapshot(*, positives=(), **others):
    """Give a situation in which nothing speaks against the model, but for `others`."""
    release = {"version": 3, "proven": True}
    runs = [run(5 - ago, ago=ago) for ago in range(5)]
    given = {"release": release, "runs": runs, "decisions": [decision()], "scores": scores()}
    return Snapshot(now=NOW, positives=dict(positives), **(given | others))


def test_a_quiet_model_is_fit():
    """With its score and its uncertainty; there is nothing to do."""
    told = health.assess(snapshot())

    assert (told.fitness, told.headline) == ("fit", "The model is fit to use")
    assert told.reasons[-1] == (
        "F1 is 0.640 [0.600, 0.680] measured on the newest 831 labelled rows."
    )
    assert told.advice == ("Nothing: use it as usual.",)


def test_two_scores_are_told_apart_by_when_they_are_from():
    """They are of other rows, so their numbers of rows differ."""
    both = pd.concat([scores(), scores("data/test.csv", value=0.61, n=2000)])

    assert health.assess(snapshot(scores=both)).reasons[-1] == (
        "F1 is 0.640 [0.600, 0.680] measured on the newest 831 labelled rows; "
        "before it went live, 0.610 [0.600, 0.680] on 2,000 rows of test data."
    )


@pytest.mark.parametrize(
    "others",
    [
        {"fault": "the signature of the model is wrong"},
        {"incidents": [incident("model_drift")]},
        {"incidents": [incident("calibration_drift", severity="small")]},
        {"incidents": [incident("suspected_harm")]},
        {"incidents": [incident("data_quality")], "decisions": [decision("ask")]},
    ],
    ids=["no model", "model drift", "calibration", "suspected harm", "broken feed"],
)
def test_grave_concerns_make_it_unfit(others):
    """Whatever else is good, and a person is told what to do."""
    told = health.assess(snapshot(**others))

    assert told.fitness == "not fit"
    assert "Nothing: use it as usual." not in told.advice


@pytest.mark.parametrize(
    "others",
    [
        {"incidents": [incident("data_drift")]},
        {"incidents": [incident("data_quality", severity="small")]},
        {"incidents": [incident("data_quality")]},
        {"incidents": [incident("data_quality", ago=-1)], "decisions": [decision("ask")]},
        {"release": {"version": 3, "proven": False}},
        {"runs": [run(9, state="failed"), run(8)]},
        {"runs": [run(9, state="aborted"), run(8)]},
        {"runs": [run(9 - ago, ago=ago + 3.1) for ago in range(5)]},
    ],
    ids=[
        *("drift", "small fault", "nobody asked", "not what was asked about", "unproven"),
        *("failed", "cut off", "late"),
    ],
)
def test_other_concerns_ask_for_care(others):
    """Each of them alone, and each is told."""
    told = health.assess(snapshot(**others))

    assert told.fitness == "fit with care"
    assert told.advice != ("Nothing: use it as usual.",)


@pytest.mark.parametrize(
    ("known", "doubt"),
    [
        (scores(version=2), "No labelled row shows how good release 3 is."),
        (scores(value=float("nan")), "No labelled row shows how good release 3 is."),
        (scores(ESTIMATED), "No labelled row shows how good release 3 is."),
        (
            scores(lower=0.34, upper=0.97, n=5),
            "F1 may be anything from 0.34 to 0.97, on 5 labelled rows.",
        ),
        (scores(lower=float("nan")), "F1 is not defined on 831 labelled rows."),
    ],
    ids=["another release's", "undefined", "estimated", "wide", "no interval"],
)
def test_a_model_that_is_not_measured_well_is_neither_fit_nor_unfit(known, doubt):
    """An estimate without labels is no measurement."""
    told = health.assess(snapshot(scores=known))

    assert told.fitness == "too little data"
    assert told.headline == "Too little data to say whether the model is fit to use"
    assert told.reasons[0] == doubt
    assert told.advice == ("Bring more rows with labels: they show how good the model is.",)


@pytest.mark.parametrize(
    ("n_positive", "doubt"),
    [
        (9, "F1 says little yet: only 9 of 831 labelled rows are positive."),
        (830, "F1 says little yet: only 1 of 831 labelled rows is negative."),
    ],
)
def test_a_class_with_hardly_any_row_says_too_little(n_positive, doubt):
    """However narrow the interval is; as many are enough as a threshold needs."""
    told = health.assess(snapshot(positives={REALISED: n_positive}))

    assert (told.fitness, told.reasons[0]) == ("too little data", doubt)


def test_a_grave_concern_counts_more_than_too_little_data():
    """What is known to be broken needs no better measurement."""
    told = health.assess(
        snapshot(scores=scores(n=5, upper=0.9), incidents=[incident("model_drift")])
    )

    assert told.fitness == "not fit"


@pytest.mark.parametrize(
    "others",
    [
        {"incidents": [incident("model_drift", resolved=True)]},
        {"runs": [run(9, state="running", ago=0), run(8, ago=0.5)]},
        {"runs": [run(9 - ago, ago=ago + 2.9) for ago in range(5)]},
        {"runs": [run(9, ago=2.9)]},
        {"scores": scores("data/test.csv")},
        {"scores": pd.concat([scores("data/test.csv"), scores(upper=0.9)])},
        {"positives": {REALISED: 10}},
        {"positives": {"data/test.csv": 1}},
    ],
    ids=[
        *("resolved", "running", "not yet late", "first run", "test data only"),
        *("test data say enough", "enough positives", "recorded before they were counted"),
    ],
)
def test_what_is_no_concern_does_not_count(others):
    """An alarm that is over, a run at work, a score that is only estimated."""
    assert health.assess(snapshot(**others)).fitness == "fit"


def test_the_usual_interval_is_the_median_of_those_seen():
    """One long night does not make a run late, and half an hour without cron does."""
    minutes = [31, 41, 51, 61, 71, 1000]
    runs = [run(9 - i, ago=m / 1440) for i, m in enumerate(minutes)]

    told = health.assess(snapshot(runs=runs))

    assert "The last successful run was 31 minutes ago; one every 10 minutes" in told.reasons[0]


def test_reasons_name_the_run_that_failed_and_why():
    """Without a look into a log."""
    runs = [run(9, state="failed", outcome="the disk is full."), run(8)]

    told = health.assess(snapshot(runs=runs))

    assert told.reasons[0] == "The last run, on 1 March 2026, failed: the disk is full."


def test_the_gravest_reason_comes_first_and_each_subject_is_named():
    """Ten seconds are for the first line."""
    found = [incident(subject=name) for name in "abcde"] + [incident("model_drift")]

    told = health.assess(snapshot(incidents=found, release={"version": 1, "proven": False}))

    assert told.reasons[0] == "The model errs more than it promised."
    assert told.reasons[1].endswith(": a, b, c and 2 more.")
    assert "did not have to beat another" in told.reasons[2]


def test_no_run_and_no_model_still_get_an_answer():
    """The very first day."""
    told = health.assess(Snapshot(now=NOW, fault="no release is live"))

    assert told.reasons == ("No model can be trusted: no release is live.",)
    assert (told.changed, told.done) == (("Nothing is known yet.",), ("Nothing yet.",))


def test_why_the_score_fell_is_told_once_an_incident_is_open():
    """A model that is fit to use gets no advice to retrain it."""
    fell = {
        "metric": "f1",
        "before": 0.74,
        "after": 0.64,
        "is_beyond_chance": True,
        "cause": "relation",
        "base_rates": {"reference": 0.5, "expected": 0.5, "realised": 0.5},
        "parts": {"relation": {"value": -0.1, "lower": -0.15, "upper": -0.05}},
    }
    quiet, alarmed = (
        " ".join(health.assess(snapshot(score_change=fell, incidents=found)).reasons)
        for found in ([], [incident("model_drift", subject="(labelled)")])
    )

    assert "Retraining" not in quiet
    assert "0.10 of the fall of F1 by 0.10" in alarmed
    assert "Retraining on rows since the change may bring it back." in alarmed


@pytest.mark.parametrize(
    ("lower", "upper", "fitness", "begin"),
    [
        (0.51, 0.58, "fit", None),
        (0.45, 0.62, "too little data", "It may be guessing"),
        (0.37, 0.54, "not fit", "It is hardly better than guessing"),
    ],
)
def test_a_model_that_ranks_rows_like_chance_is_not_fit(lower, upper, fitness, begin):
    """A high F1 does not help: where many rows are positive, flagging all of them has one."""
    ranking = scores("data/test.csv", value=(lower + upper) / 2, lower=lower, upper=upper, n=160)

    told = health.assess(snapshot(rankings=ranking))

    assert told.fitness == fitness
    where = f"ROC AUC is between {lower} and {upper} on 160 labelled rows, where 0.5 is chance."
    assert [f"{begin}: {where}" in told.concerns] == [begin is not None]


def test_one_score_beyond_chance_is_enough():
    """Few labelled rows prove nothing against what the test data show."""
    few = scores(lower=0.4, upper=0.9, n=30)
    both = pd.concat([scores("data/test.csv", lower=0.6, upper=0.7), few])

    assert health.assess(snapshot(rankings=both)).fitness == "fit"
