import numpy as np
import pandas as pd
import pytest

from risk import monitor
from risk.config import Checks, Columns
from risk.profile import count, reference_profile
from risk.stats.scores import Estimate

NAMES = ("one", "two", "three")
COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=NAMES)


def sample(n, *, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(n, 3)), columns=list(NAMES))
    return rows.assign(two=rows["two"] + shift)


REFERENCE = reference_profile(sample(5000, seed=0), COLUMNS)


def findings_on(n, *, seed=1, shift=0.0):
    current = count(sample(n, seed=seed, shift=shift), REFERENCE)
    return monitor.data_drift(REFERENCE, current, Checks())


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_a_shift_is_found_in_its_feature_and_in_no_other(n):
    """One standard deviation in the second of three."""
    detected = [f.feature for f in findings_on(n, shift=1.0) if f.drift_detected]

    assert detected == ["two"]


@pytest.mark.parametrize("n", [20, 50, 200, 1000])
def test_equal_data_of_any_size_do_not_alarm(n):
    """300 batches; the plain index would exceed 0.1 by chance in most of 50 rows."""
    alarms = sum(any(f.drift_detected for f in findings_on(n, seed=seed)) for seed in range(1, 301))

    assert alarms <= 2


def test_a_large_sample_with_a_negligible_shift_does_not_alarm():
    """p-values alone would: half a million rows see everything."""
    finding = findings_on(500_000, shift=0.15)[1]

    assert finding.p_value < 1e-6
    assert not finding.drift_detected


@pytest.mark.parametrize(
    ("metric", "before", "now", "drift"),
    [
        ("f1", 0.8, 0.5, True),
        ("f1", 0.8, 0.75, False),
        ("f1", 0.5, 0.8, False),
        ("brier", 0.1, 0.4, True),
        ("brier", 0.4, 0.1, False),
    ],
)
def test_worse_is_drift_and_better_is_not(metric, before, now, drift):
    """In the direction of the metric, beyond the interval of the difference."""
    deployed = Estimate(before, before - 0.05, before + 0.05, 500)
    current = Estimate(now, now - 0.06, now + 0.06, 300)

    finding = monitor.model_drift(deployed, current, metric)

    assert finding.drift_detected is drift
    assert (finding.drift_score, finding.threshold) == (now, before)


def test_an_undefined_score_is_no_drift():
    """Nothing was predicted positive in a handful of rows: no evidence of anything."""
    deployed, current = Estimate(0.8, 0.7, 0.9, 500), Estimate(None, None, None, 3)

    assert not monitor.model_drift(deployed, current, "precision").drift_detected


def test_the_policy_chooses_what_retrains():
    """Only what is listed, and only what is drift."""
    findings = findings_on(1000, shift=1.0)

    assert [f.feature for f in monitor.drifted(findings, ["data_drift"])] == ["two"]
    assert monitor.drifted(findings, ["model_drift"]) == []


def test_the_words_name_the_feature_its_index_and_what_moved():
    """A person reads the reason in a mail."""
    drift = monitor.drifted(findings_on(1000, shift=1.0), ["data_drift"])

    assert monitor.in_words(drift).startswith("data drift in two (PSI 1.")
    assert " to inf: 10% -> " in monitor.in_words(drift)
