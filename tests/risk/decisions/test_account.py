import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from risk.decisions import account
from risk.decisions.account import Verdict, Warned, Why, f1_gained, judge, warned

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
SHIFTED = {
    "id": 7,
    "opened_at": MONDAY,
    "version": 1,
    "kind": "data_drift",
    "subject": "age",
    "severity": "moderate",
    "method": "e_detector",
    "effect": 0.4,
    "n": 100,
    "value_before": None,
}
BROKEN = SHIFTED | {"kind": "data_quality", "severity": "large", "effect": 3.0}
ABSENT = SHIFTED | {
    "kind": "data_quality",
    "subject": "(arrival of drops)",
    "method": "usual_before",
    "value_before": 24.0,
}


def looks(*shifts, n=100, tolerated=0.1):
    known = {"shift": shifts, "tolerated": tolerated, "n": n, "standard_error": n**-0.5}
    return pd.DataFrame(known, index=range(len(shifts)))


def of(incident, found=None, *, came=None, now=MONDAY + timedelta(days=30), **known):
    judged = judge(incident, found, came=came, now=now, **known)
    return judged.verdict, judged.why


def test_a_shift_that_later_drops_show_too_is_confirmed():
    assert of(SHIFTED, looks(0.5, 0.4, 0.5, 0.45)) == (Verdict.CONFIRMED, Why.PERSISTS)


def test_a_shift_that_later_drops_do_not_show_is_false():
    """Enough rows say that nothing is beyond what is tolerated."""
    assert of(SHIFTED, looks(*[0.0, 0.01, -0.02] * 5, n=500)) == (Verdict.FALSE, Why.GONE)


def test_with_few_rows_nothing_is_decided():
    assert of(SHIFTED, looks(0.0, 0.3, 0.1, n=20)) == (Verdict.UNDECIDED, Why.UNCLEAR)


@pytest.mark.parametrize("n_drops", [1, 2])
def test_one_or_two_drops_are_too_few(n_drops):
    found = looks(*[0.9] * n_drops, n=10_000)

    assert of(SHIFTED, found) == (Verdict.UNDECIDED, Why.FEW_DROPS)


def test_an_alarm_nothing_followed_is_undecided():
    assert of(SHIFTED) == (Verdict.UNDECIDED, Why.NOT_FOLLOWED)
    assert of(SHIFTED, is_newest=True) == (Verdict.UNDECIDED, Why.FEW_DROPS)  # none came since


def test_a_feed_that_recovers_by_itself_was_broken():
    """All rows were beyond what was known, and the next are as before."""
    assert of(BROKEN, looks(0.0, n=100)) == (Verdict.CONFIRMED, Why.RECOVERED)
    assert of(BROKEN | {"method": "constant", "effect": None}, looks(0.0)) == (
        Verdict.CONFIRMED,
        Why.RECOVERED,
    )


def test_only_a_large_fault_of_the_feed_recovers():
    """Whatever was the largest of many shifts by chance is smaller in the rows after it."""
    assert of(SHIFTED | {"effect": 3.0}, looks(0.0))[1] is Why.FEW_DROPS
    assert of(BROKEN | {"n": 2}, looks(0.0, 0.0, 0.0, n=1000))[1] is Why.GONE


def test_a_file_that_could_not_be_read_needs_no_later_rows():
    assert of(BROKEN | {"method": "fact"}) == (Verdict.CONFIRMED, Why.FACT)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(25, (Verdict.CONFIRMED, Why.STAYED_AWAY)), (23, (Verdict.FALSE, Why.CAME_SOON))],
)
def test_an_absence_is_judged_by_when_the_next_drop_came(hours, expected):
    """Drops come every 24 hours."""
    assert of(ABSENT, came=MONDAY + timedelta(hours=hours)) == expected


def test_an_absence_that_lasts_is_confirmed_before_it_ends():
    assert of(ABSENT, now=MONDAY + timedelta(days=2))[0] is Verdict.CONFIRMED
    assert of(ABSENT, now=MONDAY + timedelta(hours=2))[0] is Verdict.UNDECIDED


def simulated(rng, *, shift, n_drops=20, n=100):
    """Follow up alarms on rows that move by this much, in standard deviations, tolerated 0.1."""
    own = shift + rng.normal(0, 1, n_drops) / np.sqrt(n)
    return of(SHIFTED, looks(*own, n=n))[0]


def test_chance_seldom_confirms_an_alarm():
    """At the very edge of what is tolerated at most one in forty; without a shift none."""
    rng = np.random.default_rng(3)
    at_the_edge = [simulated(rng, shift=0.1) for _ in range(1000)]
    unmoved = [simulated(rng, shift=0.0) for _ in range(1000)]

    assert at_the_edge.count(Verdict.CONFIRMED) <= 25 + 2 * np.sqrt(25)
    assert at_the_edge.count(Verdict.FALSE) <= 25 + 2 * np.sqrt(25)
    assert unmoved.count(Verdict.CONFIRMED) == 0
    assert unmoved.count(Verdict.FALSE) >= 900


def test_a_true_shift_of_a_quarter_is_confirmed():
    rng = np.random.default_rng(4)
    found = [simulated(rng, shift=0.25) for _ in range(500)]

    assert found.count(Verdict.CONFIRMED) >= 450
    assert found.count(Verdict.FALSE) == 0


def drops_of(rng, n_drops, *, errors, first_errors):
    """Draw labelled drops that two releases predict, the first with more errors."""
    parts = []
    for _ in range(n_drops):
        y_true = rng.random(200) < rng.uniform(0.3, 0.6)
        said = {"": y_true ^ (rng.random(200) < errors)}
        said["first_"] = y_true ^ (rng.random(200) < first_errors)
        counted = {"n": 200}
        for prefix, y_pred in said.items():
            counted[f"{prefix}true_positives"] = int((y_true & y_pred).sum())
            counted[f"{prefix}false_positives"] = int((~y_true & y_pred).sum())
            counted[f"{prefix}false_negatives"] = int((y_true & ~y_pred).sum())
        parts.append(counted)
    return pd.DataFrame(parts)


def f1(drops, prefix):
    total = drops.sum()
    hits = 2 * total[f"{prefix}true_positives"]
    return hits / (hits + total[f"{prefix}false_positives"] + total[f"{prefix}false_negatives"])


def test_the_gain_has_the_interval_of_resampled_drops():
    """The oracle is the bootstrap over drops."""
    rng = np.random.default_rng(11)
    drops = drops_of(rng, 40, errors=0.2, first_errors=0.25)

    found = f1_gained(drops, confidence=0.95)

    resampled = [drops.iloc[rng.integers(0, 40, 40)] for _ in range(1500)]
    gains = [f1(each, "") - f1(each, "first_") for each in resampled]
    assert found.value == pytest.approx(f1(drops, "") - f1(drops, "first_"))
    assert (found.lower, found.upper) == pytest.approx(
        np.quantile(gains, [0.025, 0.975]), abs=0.15 * (found.upper - found.lower)
    )


def test_a_warning_becomes_an_alarm_only_on_its_subject_and_after_it():
    early = pd.DataFrame({"found_at": [MONDAY] * 3, "feature": ["age", "income", "city"]})
    opened = pd.DataFrame(
        {
            "subject": ["age", "income"],
            "opened_at": [MONDAY + timedelta(days=3), MONDAY - timedelta(days=3)],
            "resolved_at": [None, MONDAY - timedelta(days=1)],
        }
    )

    assert warned(early, opened) == Warned(3, 1)


def test_a_warning_while_the_incident_is_open_is_not_counted():
    """Neither dashboard nor digest shows it; the next alarm on the subject opens no incident."""
    early = pd.DataFrame(
        {
            "found_at": [MONDAY + timedelta(days=days) for days in (1, 3, 5)],
            "feature": ["age"] * 3,
        }
    )
    opened = pd.DataFrame(
        {
            "subject": ["age"],
            "opened_at": [MONDAY + timedelta(days=2)],
            "resolved_at": [MONDAY + timedelta(days=4)],
        }
    )

    assert warned(early, opened) == Warned(2, 1)
    assert warned(early, opened.assign(resolved_at=pd.NaT)) == Warned(1, 1)
    assert warned(early, opened.head(0)) == Warned(3, 0)


def test_before_the_first_release_there_is_nothing_to_account_for(world, ledger):
    found = account.gather(world.config, ledger)

    assert (found.since, found.days, found.alarms, found.gain) == (None, 0.0, (), None)


def test_the_damage_of_a_release_is_no_alarm(world, ledger):
    """No check raised it by chance."""
    row = {"version": 1, "subject": "(release 1)", "severity": "large", "detail": ""}
    ledger.incidents.open(row | {"kind": "damaged_release", "facts": json.dumps({})})
    ledger.incidents.open(row | {"kind": "data_drift"})

    assert [alarm.kind for alarm in account.gather(world.config, ledger).alarms] == ["data_drift"]
