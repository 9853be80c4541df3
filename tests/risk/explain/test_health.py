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


def scores(dataset=REALISED, version=3, value=0.64):
    row = {"at": NOW, "version": version, "dataset": dataset, "value": value}
    return pd.DataFrame([row | {"lower": 0.6, "upper": 0.68, "n": 831}])


def snapshot(**others):
    """Give a situation in which nothing speaks against the model, but for `others`."""
    release = {"version": 3, "proven": True}
    runs = [run(5 - ago, ago=ago) for ago in range(5)]
    given = {"release": release, "runs": runs, "decisions": [decision()], "scores": scores()}
    return Snapshot(now=NOW, **(given | others))


def test_a_quiet_model_is_fit():
    """With its score and its uncertainty; there is nothing to do."""
    told = health.tell(snapshot())

    assert (told.fitness, told.headline) == ("fit", "The model is fit to use")
    assert told.reasons[-1] == (
        "F1 is 0.640 [0.600, 0.680] measured on the newest 831 labelled rows."
    )
    assert told.advice == ("Nothing: use it as usual.",)


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
    told = health.tell(snapshot(**others))

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
        {"scores": scores(version=2)},
        {"scores": scores(value=float("nan"))},
    ],
    ids=[
        *("drift", "small fault", "nobody asked", "not what was asked about", "unproven"),
        *("failed", "cut off", "late", "no score", "undefined score"),
    ],
)
def test_other_concerns_ask_for_care(others):
    """Each of them alone, and each is told."""
    told = health.tell(snapshot(**others))

    assert told.fitness == "fit with care"
    assert told.advice != ("Nothing: use it as usual.",)


@pytest.mark.parametrize(
    "others",
    [
        {"incidents": [incident("model_drift", resolved=True)]},
        {"runs": [run(9, state="running", ago=0), run(8, ago=0.5)]},
        {"runs": [run(9 - ago, ago=ago + 2.9) for ago in range(5)]},
        {"runs": [run(9, ago=2.9)]},
        {"scores": scores(ESTIMATED)},
        {"scores": scores("data/test.csv")},
    ],
    ids=["resolved", "running", "not yet late", "first run", "estimated", "test data only"],
)
def test_what_is_no_concern_does_not_count(others):
    """An alarm that is over, a run at work, a score that is only estimated."""
    assert health.tell(snapshot(**others)).fitness == "fit"


def test_the_usual_interval_is_the_median_of_those_seen():
    """One long night does not make a run late, and half an hour without cron does."""
    minutes = [31, 41, 51, 61, 71, 1000]
    runs = [run(9 - i, ago=m / 1440) for i, m in enumerate(minutes)]

    told = health.tell(snapshot(runs=runs))

    assert "The last successful run was 31 minutes ago; one every 10 minutes" in told.reasons[0]


def test_reasons_name_the_run_that_failed_and_why():
    """Without a look into a log."""
    runs = [run(9, state="failed", outcome="the disk is full."), run(8)]

    told = health.tell(snapshot(runs=runs))

    assert told.reasons[0] == "The last run, on 1 March 2026, failed: the disk is full."


def test_the_gravest_reason_comes_first_and_each_subject_is_named():
    """Ten seconds are for the first line."""
    found = [incident(subject=name) for name in "abcde"] + [incident("model_drift")]

    told = health.tell(snapshot(incidents=found, release={"version": 1, "proven": False}))

    assert told.reasons[0] == "The model errs more than it promised."
    assert told.reasons[1].endswith(": a, b, c and 2 more.")
    assert "did not have to beat another" in told.reasons[2]


def test_no_run_and_no_model_still_get_an_answer():
    """The very first day."""
    told = health.tell(Snapshot(now=NOW, fault="no model is deployed"))

    assert told.reasons == ("No model can be trusted: no model is deployed.",)
    assert (told.changed, told.done) == (("Nothing is known yet.",), ("Nothing yet.",))
