from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

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


def findings_on(n, *, seed=1, shift=0.0, checks=None):
    current = count(sample(n, seed=seed, shift=shift), REFERENCE)
    return monitor.data_drift(REFERENCE, current, checks or Checks())


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


def test_the_rate_of_false_alarms_keeps_its_promise():
    """At alpha = 0.05 and any size of change, 400 equal batches alarm in 5 % of them at most."""
    checks = Checks(alpha=0.05, psi_threshold=1e-9)

    alarms = sum(
        any(f.drift_detected for f in findings_on(500, seed=seed, checks=checks))
        for seed in range(1, 401)
    )

    assert binomtest(alarms, 400, 0.05, alternative="greater").pvalue > 0.001


def test_rows_drawn_again_from_the_reference_do_not_alarm():
    """300 resamples of the very rows the cells were chosen from, each of 200."""
    rows = sample(5000, seed=0)

    detected = [
        f.feature
        for seed in range(300)
        for f in monitor.data_drift(
            REFERENCE,
            count(rows.sample(200, replace=True, random_state=seed), REFERENCE),
            Checks(),
        )
        if f.drift_detected
    ]

    assert len(detected) <= 2


def test_the_index_alone_would_alarm_on_small_batches():
    """PSI as usual, from its formula, passes 0.1 in most of 100 equal batches of 50 rows."""
    expected = np.array(REFERENCE.features[0].counts[:-1]) / 5000
    alarms, ours = 0, 0
    for seed in range(1, 101):
        current = count(sample(50, seed=seed), REFERENCE)
        observed = (np.array(current.features[0].counts[:-1]) + 0.5) / 55
        alarms += np.sum((observed - expected) * np.log(observed / expected)) > 0.1
        ours += monitor.data_drift(REFERENCE, current, Checks())[0].drift_detected

    assert alarms > 50
    assert ours == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values.where(np.arange(len(values)) % 2 == 0),
        lambda values: values * 0 + 1,
        lambda values: values * 3,
        lambda values: -values - 1,
    ],
    ids=["half missing", "constant", "wider", "turned around"],
)
def test_other_changes_than_a_shift_are_found_too(spoil):
    """A broken source may keep its mean."""
    rows = sample(500, seed=1)

    found = monitor.data_drift(
        REFERENCE, count(rows.assign(one=spoil(rows["one"])), REFERENCE), Checks()
    )

    assert [f.feature for f in found if f.drift_detected] == ["one"]


def test_a_category_nobody_knew_is_drift():
    """Half of the rows say what no row of the reference said."""
    columns = COLUMNS.model_copy(update={"numeric": (), "categorical": ("c",)})
    rows = pd.DataFrame({"c": pd.array(["a", "b"] * 100, dtype="str")})
    reference = reference_profile(rows, columns)

    (finding,) = monitor.data_drift(reference, count(rows.replace("b", "new"), reference), Checks())

    assert finding.drift_detected
    assert finding.detail.endswith("b: 50% -> 0%, (unseen): 0% -> 50%)")


def test_large_and_beyond_chance_are_both_needed():
    """The same batch, with either limit moved out of its reach."""
    found = [
        findings_on(200, shift=1.0, checks=checks)[1].drift_detected
        for checks in (Checks(), Checks(psi_threshold=50), Checks(alpha=1e-300))
    ]

    assert found == [True, False, False]


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
        ("log_loss", 0.3, 0.6, True),
        ("log_loss", 0.6, 0.3, False),
        ("roc_auc", 0.9, 0.6, True),
        ("roc_auc", 0.6, 0.9, False),
        ("f1", 0.8, 0.8, False),
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
    deployed, current = Estimate(0.9, 0.85, 0.95, 500), Estimate(0.5, 0.4, 0.6, 300)
    findings.append(monitor.model_drift(deployed, current, "f1"))

    def chosen(*retrain_on):
        return [f.check_name for f in monitor.drifted(findings, retrain_on)]

    assert chosen("data_drift") == ["data_drift"]
    assert chosen("model_drift") == ["model_drift"]
    assert chosen("data_drift", "model_drift") == ["data_drift", "model_drift"]
    assert chosen() == []


def test_the_words_name_the_feature_its_index_and_what_moved():
    """A person reads the reason in a mail."""
    drift = monitor.drifted(findings_on(1000, shift=1.0), ["data_drift"])

    assert monitor.in_words(drift).startswith("data drift in two (PSI 1.")
    assert " to inf: 10% -> " in monitor.in_words(drift)


def test_a_mail_names_three_features_and_counts_the_others():
    """A hundred of them help nobody."""
    found = [replace(f, drift_detected=True) for f in findings_on(500, shift=1.0) * 2]

    words = monitor.in_words(found)

    assert words.startswith("data drift in two (PSI ")
    assert words.count("data drift in ") == 3
    assert words.endswith("; and in 3 more features")


def test_without_drift_the_largest_change_is_told_all_the_same():
    """Nothing found is a result too."""
    deployed, current = Estimate(0.8, 0.7, 0.9, 500), Estimate(0.75, 0.6, 0.9, 300)
    findings = [*findings_on(500), monitor.model_drift(deployed, current, "f1")]

    words = monitor.at_most(findings)

    assert words.startswith("f1 0.750 [0.600, 0.900] (n = 300) on the new rows is not worse")
    assert words.count("largest change in ") == 1
