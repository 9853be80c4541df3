import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from risk.config import Columns
from risk.ledger import tables
from risk.monitoring import findings
from risk.monitoring.detector import BY_SIMULATION, Evidence
from risk.monitoring.findings import CONSTANT, METHOD, Finding
from risk.monitoring.profile import Profile
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION, Reference

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("a", "b"),
    categorical=("c",),
)

RESTS_ON = {"guarantee": BY_SIMULATION}


def rows(n, *, seed, shift=0.0, share=0.3):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.normal(shift, size=n),
            "b": rng.normal(size=n),
            "c": pd.array(np.where(rng.random(n) < share, "u", "v"), dtype="str"),
            PREDICTION: rng.random(n),
            EXPECTED_LOSS: rng.random(n) / 4,
            "y": pd.array(rng.integers(0, 2, n), dtype="Int8"),
        }
    )


def built(n, *, seed=1):
    return Reference.build(rows(n, seed=seed), COLUMNS, threshold=0.5, tolerance=0.05)


@pytest.fixture(scope="module")
def reference():
    """Give what a release remembers of 2000 rows."""
    return built(2000)


def evidence(subject, direction, *, effect=0.5, before=0.2, now=0.6, alarm=True):
    numbers = (3.0, effect, 0.05, before, now, 150, 400)
    return Evidence("data", subject, direction, *numbers, alarm, BY_SIMULATION)


def told(reference, *args, recent=None, **kwargs):
    recent = reference.count(rows(150, seed=2)) if recent is None else recent
    return findings.of_evidence(evidence(*args, **kwargs), reference, recent)


def finding(**kwargs):
    plain = {"check_name": "data_drift", "feature": "a", "method": METHOD}
    return Finding(**plain | {"drift_detected": True, "n": 9, "detail": "a higher"} | kwargs)


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (0.0, "negligible"),
        (0.099, "negligible"),
        (0.1, "small"),
        (-0.299, "small"),
        (0.3, "moderate"),
        (-0.449, "moderate"),
        (0.45, "large"),
        (-7.0, "large"),
        (None, "negligible"),
    ],
)
def test_severity_has_the_bounds_of_the_manual(score, severity):
    """In reference standard deviations, whatever the direction."""
    assert finding(drift_score=score).severity == severity


@pytest.mark.parametrize("check", ["model_drift", "suspected_harm"])
def test_harm_is_always_large(check):
    """A model that is worse is no small matter."""
    assert finding(check_name=check, drift_score=0.01).severity == "large"


@pytest.mark.parametrize(
    ("method", "check", "score", "alarm", "broken"),
    [
        (METHOD, "data_quality", 0.45, True, True),
        (METHOD, "data_quality", 0.44, True, False),
        (METHOD, "data_quality", 5.0, False, False),
        (METHOD, "data_drift", 5.0, True, False),
        (CONSTANT, "data_quality", None, True, True),
        ("usual_before", "data_quality", None, True, False),
        ("fact", "data_quality", None, True, False),
    ],
)
def test_a_feed_is_broken_where_a_feature_arrives_damaged(method, check, score, alarm, broken):
    """Too few rows, or columns nobody declared, say nothing about the others."""
    made = finding(method=method, check_name=check, drift_score=score, drift_detected=alarm)

    assert made.is_broken_feed is broken


@pytest.mark.parametrize(
    ("subject", "direction", "check"),
    [
        ("a", "higher", "data_drift"),
        ("a", "above every reference value", "data_drift"),
        ("a", "missing less often", "data_drift"),
        ("a", "missing more often", "data_quality"),
        ("c", "u more often", "data_drift"),
        ("c", "unseen levels", "data_drift"),
        ("c", "missing more often", "data_quality"),
        ("a and b", "rise together", "joint_drift"),
        ("a and b", "move against each other", "joint_drift"),
        (PREDICTION, "lower", "prediction_drift"),
        ("y", "positive more often", "label_drift"),
        (LABELLED, "f1", "model_drift"),
        (LABELLED, "brier", "model_drift"),
        (LABELLED, "more positives than predicted", "calibration_drift"),
        (LABELLED, "fewer positives than predicted", "calibration_drift"),
        (EXPECTED_LOSS, "higher", "suspected_harm"),
    ],
)
def test_a_check_is_named_for_its_subject_and_direction(reference, subject, direction, check):
    """The policy acts by these names."""
    assert told(reference, subject, direction).check_name == check


def test_a_column_whose_name_contains_and_is_no_pair():
    """Its directions are those of one column."""
    name = "research and development"
    columns = COLUMNS.model_copy(update={"numeric": (name,)})
    frame = rows(300, seed=1).rename(columns={"a": name})
    reference = Reference.build(frame, columns, threshold=0.5, tolerance=0.05)

    made = told(reference, name, "higher", recent=reference.profile)

    assert made.check_name == "data_drift"


@pytest.mark.parametrize(
    ("subject", "direction", "named", "facts"),
    [
        ("c", "u more often", "more often", {"level": "u"}),
        ("y", "positive more often", "more often", {"level": "positive"}),
        ("c", "unseen levels", "unseen levels", {}),
        ("a", "missing more often", "missing more often", {}),
        ("a", "above every reference value", "above every reference value", {}),
        ("a", "in the highest half per cent", "in the highest half per cent", {}),
    ],
)
def test_shares_are_told_with_what_they_are_of(reference, subject, direction, named, facts):
    """The level is a fact of its own, so that nobody has to look for it in a text."""
    made = told(reference, subject, direction)

    assert (made.direction, made.facts) == (named, facts | RESTS_ON)
    assert (made.value_before, made.value_after) == (0.2, 0.6)


@pytest.mark.parametrize(
    ("metric", "direction"), [("f1", "lower"), ("accuracy", "lower"), ("brier", "higher")]
)
def test_a_score_gets_worse_in_its_own_direction(reference, metric, direction):
    """A loss that got worse has risen."""
    made = told(reference, LABELLED, metric)

    assert (made.direction, made.facts) == (direction, {"metric": metric} | RESTS_ON)


@pytest.mark.parametrize(
    ("subject", "direction"), [("b", "more spread"), ("a and b", "rise together")]
)
def test_a_change_of_shape_has_no_values(reference, subject, direction):
    """There is no number it went from."""
    made = told(reference, subject, direction)

    assert (made.direction, made.value_before, made.value_after) == (direction, None, None)


def test_what_became_rarer_is_told_as_shares_too(reference):
    """Its score counts against it, so its means are negative."""
    made = told(reference, "c", "u less often", before=-0.3, now=-0.1)

    assert made.direction == "less often"
    assert (made.value_before, made.value_after) == (0.3, 0.1)


@pytest.mark.parametrize(("shift", "direction"), [(1.0, "higher"), (-0.5, "lower"), (0.0, "lower")])
def test_where_the_median_went_is_told_as_a_percentile(reference, shift, direction):
    """Of a normal column it is the normal distribution's, up to half a cell of 5 %."""
    recent = reference.count(rows(3000, seed=3, shift=shift))

    made = told(reference, "a", direction, recent=recent)

    rank = made.facts["median_percentile"]
    assert rank == pytest.approx(100 * stats.norm.cdf(shift), abs=4)
    assert made.value_before == pytest.approx(0, abs=0.15)
    assert made.value_after == pytest.approx(shift, abs=0.15)


def test_the_expected_loss_is_told_by_its_mean(reference):
    """Of the reference it is exact, of new rows as far as cells tell."""
    recent = reference.count(rows(3000, seed=3).assign(**{EXPECTED_LOSS: 0.2}))

    made = told(reference, EXPECTED_LOSS, "higher", recent=recent)

    assert made.value_before == pytest.approx(rows(2000, seed=1)[EXPECTED_LOSS].mean())
    assert made.value_after == pytest.approx(0.2, abs=0.01)
    assert made.facts == {"rows": 3000} | RESTS_ON


def test_without_recent_values_no_median_is_told(reference):
    """A column that is missing altogether has none."""
    recent = reference.count(rows(50, seed=3).assign(a=np.nan))

    assert told(reference, "a", "higher", recent=recent).value_after is None
    assert told(reference, "a", "higher", recent=recent).distances == {}


def test_the_numbers_of_the_evidence_are_kept(reference):
    """The ledger explains an alarm later."""
    made = told(reference, "a", "higher")

    assert (made.drift_score, made.threshold, made.e_value) == (0.5, 0.05, 3.0)
    assert (made.n, made.rows_needed, made.drift_detected) == (150, 400, True)
    assert (made.method, made.feature) == (METHOD, "a")


def test_distances_of_a_number_agree_with_scipy(reference):
    """On the same cells; missing values are left out."""
    current = rows(500, seed=4, shift=0.4)
    current.loc[:49, "a"] = np.nan
    recent = reference.count(current)

    made = told(reference, "a", "higher", recent=recent)

    before, now = (np.array(p.counts["a"][:-1]) for p in (reference.profile, recent))
    cells = np.arange(len(before))
    curves = stats.ks_2samp(np.repeat(cells, before), np.repeat(cells, now))
    means = np.array(reference.means["a"])
    spread = np.repeat(means, before).std()
    moved = stats.wasserstein_distance(means / spread, means / spread, before, now)
    assert now.sum() == 450
    assert made.distances["ks"].value == pytest.approx(curves.statistic)
    assert made.distances["wasserstein"].value == pytest.approx(moved, abs=1e-5)
    assert made.distances["jensenshannon"].value == pytest.approx(
        jensenshannon(before, now, base=2)
    )
    assert made.p_value == made.distances["ks"].p_value < 1e-6


def test_distances_of_a_category_agree_with_scipy(reference):
    """Cells nobody is in do not count."""
    recent = reference.count(rows(400, seed=5, share=0.5))

    made = told(reference, "c", "u more often", recent=recent)

    table = np.array([reference.profile.counts["c"], recent.counts["c"]])
    table = table[:, table.any(axis=0)]
    cramer = stats.contingency.association(table, method="cramer")
    expected = stats.chi2_contingency(table, correction=False)
    assert made.distances["chisquare"].value == pytest.approx(cramer)
    assert made.p_value == pytest.approx(expected.pvalue)
    assert not {"ks", "wasserstein"} & set(made.distances)


def test_a_column_that_never_varied_has_no_unit_to_move_by():
    """The distances that need one are left out; the others stay."""
    constant = rows(300, seed=1).assign(a=7.0)
    reference = Reference.build(constant, COLUMNS, threshold=0.5, tolerance=0.05)
    recent = reference.count(rows(100, seed=2))

    made = told(reference, "a", "below every reference value", recent=recent)

    assert "psi" in made.distances
    assert not {"ks", "wasserstein"} & set(made.distances)


@pytest.mark.parametrize("subject", ["a and b", LABELLED, "y", "a"])
def test_what_has_no_column_or_no_rows_has_no_distances(reference, subject):
    """Labels may ripen in a batch that brings no rows."""
    empty = Profile(0, {})

    assert told(reference, subject, "rise together", recent=empty).distances == {}


def test_a_row_has_exactly_the_columns_of_the_ledger(reference):
    """But those that the ledger fills in itself."""
    row = told(reference, "a", "higher").as_row()

    filled_in = {"id", "run_id", "found_at"}
    assert set(row) == {column.name for column in tables.findings.columns} - filled_in
    assert row["check_name"] == "data_drift"


def test_a_row_writes_distances_as_json_and_none_as_nothing(reference):
    """A database has no dictionaries."""
    made = told(reference, "a", "higher")

    written = json.loads(made.as_row()["distances"])

    assert written["psi"] == asdict(made.distances["psi"])
    assert finding().as_row()["distances"] is None
    assert finding(distances={}).as_row()["distances"] is None


def test_a_tier_is_an_alarm_a_warning_or_none():
    """An alarm that another finding explains is none, and the ledger has no other word for it."""
    found = Finding("data_drift", "age", METHOD, drift_detected=True, n=5)

    assert found.tier == found.as_row()["tier"] == "alarm"
    assert replace(found, warned=True).tier == "alarm"
    assert replace(found, drift_detected=False, warned=True).as_row()["tier"] == "warning"
    assert replace(found, drift_detected=False).as_row()["tier"] == "none"
    assert "warned" not in found.as_row()
