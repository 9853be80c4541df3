"""The promise of `make evidence`, small: the same simulations with fewer runs."""

import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import false_alarms, rivals
from risk.stats.evidence import feed, growth, intraclass_correlation, log_total, start
from tests.torture import EVERY, in_full


@pytest.fixture(scope="module")
def made():
    """Ten normal columns, 20,000 reference rows in batches of 200."""
    rows = np.random.default_rng(1).normal(size=(20_000, 10))
    return false_alarms.bench(pd.DataFrame(rows, columns=[f"x{i}" for i in range(10)]), batch=200)


@pytest.mark.parametrize("n", [50, 1000])
def test_a_month_of_quiet_checks_raises_no_alarm(made, n):
    """Every ten minutes, ten columns; fixed rules alarm again and again."""
    rng = np.random.default_rng(n)
    quiet = [false_alarms.normal(made, rng, n, false_alarms.A_MONTH) for _ in range(4)]

    alarms = [false_alarms.first_alarm(made.monitored, table) for table in quiet]

    assert alarms == [0] * 4
    assert false_alarms.ks_rule(made, quiet[0]).mean() > 0.05
    assert false_alarms.three_sigma_rule(made, quiet[0]).any()


@pytest.mark.parametrize(("n", "most"), [(50, 18), (200, 6), (1000, 2)])
def test_a_quarter_of_a_standard_deviation_is_found_in_time(made, n, most):
    """With a smaller reference than in docs/evidence.md, so a little later than there."""
    rng = np.random.default_rng(n)

    delays = [
        false_alarms.delay(
            made.monitored,
            false_alarms.normal(made, rng, n, false_alarms.A_DAY),
            false_alarms.normal(made, rng, n, 60, shift=0.25),
        )
        for _ in range(15)
    ]

    assert np.median(delays) <= most


@pytest.mark.parametrize("case", false_alarms.CASES)
def test_a_model_that_does_worse_is_found_and_one_that_does_not_is_left_alone(case):
    """200 labelled rows at a time."""
    metric, before, after = false_alarms.CASES[case]
    rng = np.random.default_rng(3)
    delays, alarms = [], 0
    for _ in range(15):
        monitored = [
            false_alarms.monitored_model(metric, rng.multinomial(10_000, before).astype(float))
        ]
        quiet = [rng.multinomial(200, before, size=false_alarms.A_MONTH // 3).astype(float)]
        changed = [rng.multinomial(200, after, size=60).astype(float)]
        alarms += false_alarms.first_alarm(monitored, quiet) > 0
        delays.append(false_alarms.delay(monitored, [quiet[0][:50]], changed))

    assert alarms == 0
    assert np.median(delays) <= 10


def test_labels_that_drift_in_small_drops_are_found_about_when_the_bound_says():
    """Within 1.5 times the bound, and a drop."""
    table = false_alarms.label_drift(10)

    for found, bound in zip(table["median drops"], table["bound"], strict=True):
        assert float(found) <= 1.5 * float(bound) + 1


def test_batches_with_an_effect_of_their_own_do_not_alarm():
    """An error of .20 + N(0, .04) in batches of 1000: only the design effect keeps them quiet."""
    rng = np.random.default_rng(5)

    def batches(n):
        wrong = np.clip(0.2 + rng.normal(0, 0.04, n), 0.01, 0.9)[:, None] / 2
        chances = np.hstack([0.5 - wrong, wrong, wrong, 0.5 - wrong])
        return rng.multinomial(1000, chances).astype(float)

    past, month = batches(100), batches(false_alarms.A_MONTH)
    naive = false_alarms.monitored_model("accuracy", past.sum(axis=0))
    alike = intraclass_correlation(past, naive.directions.values)
    settled = replace(naive, correlation=alike)

    assert false_alarms.first_alarm([naive], [month]) > 0
    assert false_alarms.first_alarm([settled], [month]) == 0


@pytest.mark.parametrize("kind", ["weekly sine of .03", in_full("AR(1) .5 of .02")])
def test_a_seasonal_error_raises_no_alarm_and_hides_none(kind):
    """Ten quiet months of 200 labelled rows every ten minutes, then ten changes to .28."""
    noise, rng = false_alarms.IN_ERROR[kind], np.random.default_rng(20261214)

    alarmed, delays = false_alarms.runs_of_errors(noise, 200, rng)

    assert sum(alarmed) <= 1
    assert np.median(delays) <= 5 + 12


@pytest.mark.parametrize(
    "kind", [k if "sine" in k else in_full(k) for k in false_alarms.IN_COLUMNS]
)
def test_seasonal_columns_raise_no_alarm(kind):
    """Ten months of ten columns; an AR(1) of .95 is more than two weeks of reference can know."""
    rng = np.random.default_rng(20261215)

    alarmed, delays = false_alarms.runs_of_columns(false_alarms.IN_COLUMNS[kind], 200, rng)

    assert sum(alarmed) <= (5 if "AR(1) .95" in kind else 2)
    if "AR" not in kind:
        assert np.median(delays) <= 5 + (12 if "sine" in kind else 5)


def test_warnings_begin_again_after_each(made):
    """The oracle goes from batch to batch and takes away what warned."""
    rng = np.random.default_rng(9)
    table = false_alarms.normal(made, rng, 200, 400, shift=0.12)
    growths = [
        growth(each.bets, counts, each.correlation)
        for each, counts in zip(made.monitored, table, strict=True)
    ]
    mass, expected = np.log(10 / 1440 / 2), []
    wealth = [start(each.bets) for each in made.monitored]
    for batch in range(400):
        for i, each in enumerate(made.monitored):
            own, fed = growths[i][batch], float(mass + each.log_share)
            wealth[i] = feed(wealth[i], each.bets, own, log_mass=fed)
        totals = np.array([log_total(logs) for logs in wealth])
        if np.logaddexp.reduce(totals) >= 0:
            gone = np.flatnonzero(totals >= 0)
            expected += [batch + 1] * max(len(gone), 1)
            for i in gone if len(gone) else range(len(wealth)):
                wealth[i] = start(made.monitored[i].bets)

    found = false_alarms.reached(made.monitored, growths, days=2)

    assert found == expected
    assert len(found) > 3


@pytest.mark.torture
def test_the_warnings_of_quiet_months_keep_to_their_budget():
    """Ten months of each season, or of half of them; at most two standard deviations more."""
    rng, warned, allowed = np.random.default_rng(15), 0, 0.0
    for noise in [*false_alarms.IN_COLUMNS.values()][:: min(EVERY, 2)]:
        monitored, drawn = false_alarms._columns(noise, 200, rng)
        warned += sum(false_alarms._in_quiet_months(monitored, drawn))
        # one in 30 days, two fifths of it for the data, and of that half for these columns
        allowed += 10 * 0.4 * 0.5

    assert warned <= allowed + 2 * np.sqrt(allowed)


def test_a_small_shift_is_warned_of_before_the_alarm():
    """A tenth of a standard deviation, every ten minutes: some batches earlier, never later."""
    noise, rng = false_alarms.IN_COLUMNS["none"], np.random.default_rng(16)
    monitored, drawn = false_alarms._columns(noise, 200, rng)

    leads = false_alarms._leads(monitored, drawn, 0.1)

    assert all(warning <= alarm for warning, alarm in leads)
    assert np.median([alarm - warning for warning, alarm in leads]) >= 1


class OneModel:
    """What `driftfdr.StreamingMonitor` does, as far as it is used: a step is one value of a model.

    It alarms at the first step above every one of the reference.
    """

    def __init__(self, *, n_ref, **rest):
        self.left, self.highest = n_ref, 0.0

    def update(self, values):
        ((model, value),) = values.items()
        if not self.left:
            return [model] if value > self.highest else []
        self.left, self.highest = self.left - 1, max(self.highest, value)
        return []


def test_rivals_that_are_installed_have_their_rows(monkeypatch):
    """A stand-in with the same calls: no test depends on another project's packages."""
    made = SimpleNamespace(StreamingMonitor=OneModel, __spec__=ModuleSpec("driftfdr", None))
    made.MeanShift, made.ECUSUM = (lambda *_: None), (lambda *_: None)
    made.CalibrationConfig = lambda **_: None
    monkeypatch.setitem(sys.modules, "driftfdr", made)
    monkeypatch.setitem(sys.modules, "validanytime_detectors", None)
    monkeypatch.setattr(false_alarms, "REFERENCES", {"many": 2000})
    monkeypatch.setattr(false_alarms, "IN_RIVALS", {"none": false_alarms.IN_ERROR["none"]})

    table = false_alarms.rival_detectors(2)

    told = table["none"]
    assert told["many", false_alarms.OURS].startswith("0 of 2; ")
    assert told["many", "driftfdr, MeanShift(3)"].startswith("2 of 2; ")
    assert told["many", "validanytime-detectors, pages: not installed"] == ""


def test_a_rival_counts_batches_whatever_its_steps_are(monkeypatch):
    """By hand: no row of a short reference is wrong, the first one that is lies in batch 3."""
    terms = rivals.Terms(batch=200, a_day=4, days=365, tolerance=0.01)
    made = SimpleNamespace(
        StreamingMonitor=OneModel, MeanShift=int, CalibrationConfig=lambda **_: None
    )
    monkeypatch.setitem(sys.modules, "driftfdr", made)
    later = np.zeros(1000)
    later[500] = 1

    found = [rivals.mean_shift(np.zeros(size), terms)(later) for size in (300, 2000)]

    assert found == [3, 3]
    assert rivals.mean_shift(np.zeros(300), terms)(np.zeros(1000)) == 0


def test_rivals_that_are_absent_are_skipped_by_name(monkeypatch):
    """And our own rows are made without them."""
    for package in ("driftfdr", "validanytime_detectors"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(false_alarms, "REFERENCES", {"few": 300})
    monkeypatch.setattr(false_alarms, "IN_RIVALS", {"none": false_alarms.IN_ERROR["none"]})

    table = false_alarms.rival_detectors(2)

    named = [name for _, name in table.index]
    assert named == [false_alarms.OURS, *(f"{name}: not installed" for name in rivals.RIVALS)]
