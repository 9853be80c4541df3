import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

import deployment
import training
from risk.config import Gate
from risk.decisions import gate, refreshing
from risk.decisions.gate import Criteria, PairedPredictions, Prediction, Standing
from risk.ledger.decisions import Judgement
from risk.models import releases
from risk.monitoring import detector, monitored_release
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import Detector, State
from risk.monitoring.profile import Profile
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION
from tests.factories import HEADER, customers


def test_rows_that_grew_by_half_train_a_challenger_without_an_incident(loop):
    """1500 rows were learnt: 750 more are half of them."""
    chosen = [loop.day(**{f"d{day}": customers(f"d{day}x", 250, seed=day)}) for day in range(1, 5)]

    codes = [choice.grounds.code for choice in chosen]
    assert codes[:3] == ["no_incident", "no_incident", "refresh"]
    assert chosen[2].how == "refresh"
    assert codes[3] in ("no_incident", "refresh_again")


def test_a_damaged_challenger_does_not_stop_a_quiet_run(loop):
    """It is as if there were none; the live release counts what is new."""
    (loop.config.model_folder / "manifest.json").write_text("damaged")

    choice = loop.day(d1=customers("d", 250, seed=1))

    assert choice.grounds.code == "no_incident"


def test_a_damaged_mark_is_one_that_is_gone(loop):
    """A refresh must then be better than the live release; the run goes on."""
    live = monitored_release.load(loop.config).champion
    mark = releases.release_path(loop.config.deployment_folder, 1)
    judged = {"against": 1, "verdict": "not_inferior"}
    loop.ledger.decisions.record(
        "deploy", "refresh", version=2, judgement=Judgement(comparison=json.dumps(judged))
    )
    later = replace(live, manifest=live.manifest.model_copy(update={"version": 2}))
    assert refreshing.best_so_far(loop.config, loop.ledger, later).manifest.version == 1

    (mark / "manifest.json").write_text("damaged")

    assert refreshing.best_so_far(loop.config, loop.ledger, later) is None


@pytest.mark.parametrize("growth", [None, 2.0])
def test_the_settings_say_how_much_growth_refreshes(loop, growth):
    """None never does."""
    loop.config = loop.world.set(policy__refresh_growth=growth)

    loop.day(d1=customers("d", 1000, seed=1))

    assert loop.challengers == []


def test_rows_without_labels_are_no_growth(loop):
    """There is nothing to learn from them."""
    loop.day(d1=customers("d", 1000, seed=1, labelled=False))

    assert loop.challengers == []


def live(loop):
    return monitored_release.load(loop.config)


def refreshed(loop):
    """Let a refresh go live, whatever the gate says."""
    before = live(loop)
    loop.see(d1=customers("d", 1000, seed=1))
    training.run(loop.config, loop.ledger, how="refresh")
    deployment.run(loop.config, loop.ledger, by_force=True)
    return before, live(loop)


def test_a_refresh_keeps_the_reference_of_what_did_not_change(loop):
    """Only what the model itself says of rows is counted anew."""
    before, after = refreshed(loop)

    old, new = before.reference, after.reference
    own = {PREDICTION, LABELLED, EXPECTED_LOSS}
    assert new.pairs == old.pairs
    assert new.profile.counts.keys() == old.profile.counts.keys()
    for name, counts in old.profile.counts.items():
        assert (new.profile.counts[name] == counts) is (name not in own), name
    assert after.champion.manifest.reference_of == 1
    assert after.champion.manifest.reference_since == before.champion.manifest.reference_since
    assert after.sample.equals(before.sample)
    assert after.champion.sha256 != before.champion.sha256


def test_a_refresh_keeps_the_evidence_of_what_did_not_change(loop):
    """The wealth of a slow drift is not lost; that of the old model's scores is."""
    refreshed(loop)
    before = State.from_json(loop.ledger.assessments.detector_state(1))

    found = loop.see(d2=HEADER.replace(",exited", "") + "one,50,500,50\n")

    made = Detector(live(loop).reference, Rules.of(loop.config))
    newest = loop.ledger.assessments.history(newest=1)[-1]
    batch, now = Profile.from_json(newest.profile), loop.ledger.now()
    gone_on, _ = made.advance(before, batch, now)
    anew, _ = made.advance(detector.start(), batch, now)
    for name in loop.config.columns.features:
        assert (found.state.wealth[name].logs == gone_on.wealth[name].logs).all()
        assert (found.state.wealth[name].logs != anew.wealth[name].logs).any()
    assert (found.state.wealth[PREDICTION].logs == anew.wealth[PREDICTION].logs).mean() > 0.9
    assert LABELLED not in found.state.wealth


def judge(wins, losses, n, refresh, **settings):
    y_true = np.zeros(n, dtype=int)
    y_true[-n // 3 :] = 1
    champion, challenger = y_true.copy(), y_true.copy()
    champion[:wins], challenger[wins : wins + losses] = 1, 1
    made = PairedPredictions(
        y_true,
        Prediction(champion.astype(float), champion),
        Prediction(challenger.astype(float), challenger),
    )
    by = Criteria("accuracy", (0, 1, 5, 0))
    return gate.compare(made, Gate(**settings), by=by, standing=Standing(refresh=refresh))


@pytest.mark.parametrize(
    ("wins", "losses", "n", "verdict", "deploy"),
    [
        (0, 0, 1000, "not_inferior", True),
        (0, 0, 300, "not_enough_evidence", False),
        (40, 0, 1000, "better", True),
        (5, 6, 1000, "worse", False),
        (0, 40, 1000, "worse_beyond_chance", False),
    ],
)
def test_a_refresh_need_not_be_better_but_not_worse_by_the_margin(wins, losses, n, verdict, deploy):
    """Of the release it is compared with; one that is better is the mark for the next."""
    found = judge(wins, losses, n, refresh=3)

    assert (found.verdict, found.deploy, found.against) == (verdict, deploy, 3)


def test_a_refresh_that_proves_nothing_asks_nobody():
    """Nothing is wrong."""
    assert judge(0, 0, 300, refresh=3, when_unsure="ask").action == "keep"


@pytest.mark.torture
def test_the_margin_is_spent_once_over_all_refreshes(loop):
    """A refresh that was only not inferior passes on what it was compared with."""
    loop.config = loop.world.set(gate__alpha=0.9, policy__refresh_growth=0.2)
    for day in range(1, 9):
        loop.day(**{f"d{day}": customers(f"d{day}x", 400, seed=day)})

    made = [row for row in loop.ledger.decisions.page(action="deploy").items if row["comparison"]]
    pairs = [
        (before, after["comparison"]["against"])
        for before, after in pairwise(made[::-1])
        if after["reason_code"].startswith("refresh")
    ]
    assert len(pairs) >= 2
    for before, mark in pairs:
        only_equal = before["comparison"]["verdict"] == "not_inferior"
        known = before["comparison"]["against"] if only_equal else before["version"]
        assert mark == known


@pytest.mark.torture
def test_a_slow_drift_is_found_although_the_model_is_refreshed(loop):
    """A column drifts by .02 standard deviations a week; refreshes that forget take 27 weeks."""
    rng, spread = np.random.default_rng(3), 28.3
    settings = {"gate__alpha": 0.99, "gate__margin": 0.2, "policy__refresh_growth": 0.25}
    loop.config = loop.world.set(**settings)
    for week in range(1, 13):
        text = customers(f"w{week}x", 400, seed=500 + week)
        header, *lines = text.splitlines()
        moved = []
        for line in lines:
            name, month, year, employees, label = line.split(",")
            # within the range of the reference, or the first value beyond it alarms
            drifted = min(float(employees) + 0.02 * week * spread, 97) + rng.normal(0, 0.1)
            moved.append(f"{name},{month},{year},{drifted:.3f},{label}")
        loop.clock[0] += timedelta(days=6)
        loop.day(**{f"w{week}": "\n".join([header, *moved]) + "\n"})
        if "number_of_employees" in set(loop.ledger.incidents.history()["subject"]):
            break
    else:
        pytest.fail("it was not found in twelve weeks")

    assert len(loop.releases) >= 2
