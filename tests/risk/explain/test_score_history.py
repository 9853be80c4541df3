import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from risk.explain import score_history
from risk.ledger.ledger import Ledger
from risk.monitoring.reference import LABELLED

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SCORE = {"metric": "f1", "model_sha256": "0" * 64, "value": 0.5, "lower": 0.4, "upper": 0.6, "n": 9}


def test_on_test_data_only_the_live_release_counts(world):
    """After a rollback the failed one is scored once more; that is not how good it was."""
    moments = iter(FIRST + timedelta(hours=number) for number in range(100))
    with Ledger.open(world.config, clock=lambda: next(moments)) as ledger:
        for action, live, scored in (("deploy", 1, 1), ("deploy", 2, 2), ("rollback", 1, 2)):
            ledger.runs.start()
            ledger.decisions.record(action, "because", version=live)
            ledger.scores.record([SCORE | {"dataset": "test.csv", "version": scored}])
        ledger.scores.record([SCORE | {"dataset": "realised on new rows", "version": 1}])
        trend = score_history.trend(ledger, "f1")

    assert trend.points["kind"].tolist() == ["promised", "promised", "measured"]
    assert trend.changes["label"].tolist() == ["release 1", "release 2", "back to 1"]
    assert "back to 1 on 1 January 2026" in score_history.changes_in_words(trend)
    told = "F1, measured on labelled rows, of one run on 1 January 2026: 0.500 [0.400, 0.600] on 9 "
    assert score_history.in_words(trend, "f1") == told + "rows."


def test_a_score_of_other_rows_is_no_promise(world):
    """A person may score the live release on any file."""
    moments = iter(FIRST + timedelta(hours=number) for number in range(100))
    with Ledger.open(world.config, clock=lambda: next(moments)) as ledger:
        ledger.decisions.record("deploy", "because", version=1)
        for dataset in ("test.csv", "mine.csv", "test.csv", "realised on new rows"):
            ledger.runs.start()
            ledger.scores.record([SCORE | {"dataset": dataset, "version": 1}])
        trend = score_history.trend(ledger, "f1")

    assert trend.points["dataset"].tolist() == ["test.csv", "test.csv", "realised on new rows"]
    assert trend.points["kind"].tolist() == ["promised", "promised", "measured"]


def test_the_runs_of_one_day_are_told_by_the_hour(world):
    """From a day to the same day says nothing."""
    moments = iter(FIRST + timedelta(hours=number) for number in range(100))
    with Ledger.open(world.config, clock=lambda: next(moments)) as ledger:
        ledger.decisions.record("deploy", "because", version=1)
        for value in (0.5, 0.6):
            ledger.runs.start()
            own = {"dataset": "realised on new rows", "version": 1, "value": value}
            ledger.scores.record([SCORE | own])
        trend = score_history.trend(ledger, "f1")

    first, last = trend.points["at"]
    assert score_history.in_words(trend, "f1") == (
        f"F1, measured on labelled rows, of 2 runs from {first:%H:%M} to {last:%H:%M} UTC on 1 "
        "January 2026: newest 0.600 [0.400, 0.600] on 9 rows, lowest 0.500 at "
        f"{first:%H:%M}, highest 0.600 at {last:%H:%M}."
    )


def test_a_trend_without_points_is_told(ledger):
    """Nothing to draw is something to say."""
    trend = score_history.trend(ledger, "roc_auc")

    assert score_history.in_words(trend, "roc_auc") == "No ROC AUC of a run is known yet."
    assert score_history.changes_in_words(trend) == "No release went live."


def test_a_score_is_of_the_release_that_predicted_and_has_its_alarm_line(world):
    """Labels come late: they are about a release that may no longer be live."""
    moments = iter(FIRST + timedelta(hours=number) for number in range(100))
    facts = {"check_name": "model_drift", "method": "e_detector", "drift_detected": False, "n": 9}
    facts |= {"feature": LABELLED}
    with Ledger.open(world.config, clock=lambda: next(moments)) as ledger:
        for version, line in ((1, 0.55), (2, 0.65)):
            ledger.runs.start()
            ledger.decisions.record("deploy", "because", version=version)
            ledger.runs.start()
            found = facts | {"detail": "", "facts": json.dumps({"alarm_line": line})}
            ledger.findings.record([found])
            ledger.scores.record([SCORE | {"dataset": "realised on new rows", "version": 1}])
        trend = score_history.trend(ledger, "f1")

    assert trend.points["alarm_line"].tolist() == [0.55, 0.55]
    said = score_history.in_words(trend, "f1")
    assert said.endswith("The newest labels are of predictions of release 1.")
    of_live = score_history.in_words(replace(trend, live=1), "f1")
    assert of_live.endswith("An alarm needs a score that stays below 0.55.")
