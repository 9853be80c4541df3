import json

import pytest

from risk.config import Alarms
from risk.explain import verdicts
from risk.explain.verdicts import assumptions, complete, guarantee

FINDING = {
    "check_name": "data_drift",
    "feature": "age",
    "method": "e_detector",
    "drift_score": 0.5,
    "threshold": 0.05,
    "e_value": 2.0,
    "drift_detected": True,
    "n": 100,
    "rows_needed": 300,
    "detail": "age moved",
    "facts": None,
    "tier": "alarm",
}
ALARMS = Alarms(false_alarm_budget="1 per 90 days", warning_budget="1 per week")


def resting_on(guaranteed):
    return FINDING | {"facts": json.dumps({"guarantee": guaranteed})}


@pytest.mark.parametrize("guaranteed", ["exact", "independent rows only"])
def test_without_estimated_seasons_the_budget_holds_at_any_time(guaranteed):
    said = guarantee(resting_on(guaranteed), ALARMS)

    assert said == "anytime-valid, 1 per 90 days over all checks"


def test_where_a_season_or_likeness_is_estimated_simulation_says_so():
    assert guarantee(resting_on("by simulation"), ALARMS) == "by simulation"
    assert guarantee(FINDING | {"method": "usual_before"}, ALARMS) == "by simulation"


@pytest.mark.parametrize("method", ["fact", "estimate"])
def test_where_no_chance_is_limited_nothing_is_promised_or_assumed(method):
    found = FINDING | {"method": method}

    assert (guarantee(found, ALARMS), assumptions(found)) == (None, [])


def test_each_guarantee_names_what_it_assumes():
    """Of rows, of what is tolerated, and of labels where it is about them."""
    of_rows = [set(assumptions(resting_on(g))) for g in verdicts.ON_ROWS]

    assert all("0.05 standard deviations" in " ".join(said) for said in of_rows)
    assert len(set.union(*of_rows)) == 2 + len(verdicts.ON_ROWS)
    assert verdicts.OF_LABELS in assumptions(FINDING | {"feature": "(predicted risk by label)"})
    assert verdicts.OF_ESTIMATES in assumptions(FINDING | {"feature": "(expected loss)"})


def test_what_depends_strongly_on_what_came_before_is_said_with_its_numbers():
    """Also of a finding from before the memory was measured."""
    facts = {"guarantee": "by simulation", "memory": 24.6, "reference_days": 14.0}

    said = assumptions(FINDING | {"facts": json.dumps(facts)})

    assert any(s.startswith("About 25 consecutive batches") and "14 days" in s for s in said)
    assert not any("consecutive" in s for s in assumptions(resting_on("by simulation")))


def test_a_change_began_after_there_was_next_to_no_evidence_of_it(world, ledger):
    """And at the latest when the alarm was raised; of what raised none nothing began."""
    for e_value in (0.001, 0.2, 2.0):
        ledger.runs.start()
        ledger.findings.record([FINDING | {"e_value": e_value, "drift_detected": e_value > 1}])
        ledger.findings.record([FINDING | {"feature": "other", "e_value": 1e-6}])
    items = [i for i in ledger.findings.page().items if i["feature"] == "age"][::-1]

    told = complete(items, ledger.findings, world.config)

    assert [finding["since"] for finding in told[:2]] == [None, None]
    assert told[2]["since"] == {"from": items[0]["found_at"], "to": items[2]["found_at"]}
    assert (told[2]["rows_seen"], told[2]["rows_needed"]) == (100, 300)


def test_a_warning_is_within_the_budget_of_warnings():
    """Which is another one than that of alarms."""
    warning = resting_on("exact") | {"tier": "warning", "drift_detected": False}

    assert guarantee(warning, ALARMS) == "anytime-valid, 1 per week over all checks"
