import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, f1_score

import ingestion
from risk.monitoring import assessment, detector, monitored_release, outcomes
from risk.monitoring import run as monitoring
from risk.monitoring.assessment import Batch
from risk.monitoring.profile import Profile
from risk.schema import ROW_HASH
from tests.factories import FEATURES, HEADER, first_release, once

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 450  # fewer than 500, so that the estimate takes no time to learn


def customers(n, *, seed):
    """Draw firms that leave if they did little last month."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "corporation": [f"firm {seed}-{i}" for i in range(n)],
            "lastmonth_activity": rng.gamma(3, 20, n).round(),
            "lastyear_activity": rng.gamma(3, 200, n).round(),
            "number_of_employees": rng.gamma(2, 50, n).round(),
        }
    )
    chance = expit((50 - rows["lastmonth_activity"]) / 15)
    labels = (rng.random(n) < chance).astype(int)
    return rows.assign(exited=pd.array(labels, dtype="Int8"))


def as_batch(rows, *, ripened=None, before=None, earlier=(), at=START):
    labels = [ROW_HASH, "y_true", "version", "y_pred_proba", "expected_proba"]
    return Batch(
        rows=rows.assign(**{ROW_HASH: np.arange(len(rows))}),
        before=customers(0, seed=0) if before is None else before,
        ripened=pd.DataFrame(columns=labels) if ripened is None else ripened,
        arrived_at=at,
        earlier=earlier,
    )


class Deployed:
    """A release trained on invented customers, and what it says of others."""

    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.monitored = monitored_release.load(world.config)

    def drop(self, name, rows):
        self.world.drop(name, HEADER + rows.to_csv(index=False, header=False))

    def assess(self, batch, *, state=None):
        state = state or detector.start()
        return assessment.assess(self.monitored, state, batch, self.world.config)


def deploy(world, n=ROWS):
    world.take_from_inbox()
    world.drop("history.csv", HEADER + customers(n, seed=0).to_csv(index=False, header=False))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


@pytest.fixture
def live(world, shared):
    """Give a release that just went live."""
    world.copy_of(once(shared, f"learnt_{ROWS}", deploy))
    with world.open_ledger() as ledger:
        yield Deployed(world, ledger)


def subjects(found):
    return {alarm.feature for alarm in found.alarms}


def told(found, check):
    return [f for f in found.findings if f.check_name == check]


@pytest.mark.torture
def test_quiet_rows_give_no_alarm(live):
    """Twenty days of the same customers, each batch with its day and the evidence so far."""
    state = detector.start()
    for day in range(20):
        batch = as_batch(customers(60, seed=day + 1), at=START + timedelta(days=day))
        found = live.assess(batch, state=state)
        state = found.state

        assert found.alarms == [], day
        assert 0 < found.facts["strongest"]["e_value"] < 1


@pytest.mark.parametrize("feature", FEATURES)
def test_a_shifted_column_is_blamed(live, feature):
    """And what follows from it, but no other column."""
    rows = customers(300, seed=1)
    rows[feature] += rows[feature].std().round()

    found = live.assess(as_batch(rows))

    first = found.alarms[0]
    assert feature in subjects(found)
    assert not subjects(found) & (set(FEATURES) - {feature})
    assert first.e_value == max(f.e_value for f in found.findings if f.e_value is not None)
    blamed = next(f for f in found.alarms if f.feature == feature)
    assert blamed.direction == "higher"
    assert blamed.value_after > blamed.value_before


def test_a_column_sent_in_another_unit_is_a_fault_of_the_feed(live):
    """It alone left the range of the reference, and by far."""
    rows = customers(100, seed=1)

    found = live.assess(as_batch(rows.assign(lastyear_activity=rows["lastyear_activity"] * 1000)))

    broken = told(found, "data_quality")
    assert [(f.feature, f.is_broken_feed) for f in broken] == [("lastyear_activity", True)]


def test_a_column_that_is_missing_is_a_fault_of_the_feed(live):
    """The model goes on with what is usual, so nobody else would notice."""
    rows = customers(100, seed=1)
    rows.loc[: len(rows) // 2, "number_of_employees"] = np.nan

    found = live.assess(as_batch(rows))

    (broken,) = told(found, "data_quality")
    assert broken.drift_detected
    assert (broken.direction, broken.n) == ("missing more often", 100)
    assert (broken.value_before, broken.value_after) == (0.0, pytest.approx(0.51))


def in_step(n, *, seed):
    """Draw customers whose two activities have the same ranks."""
    rows = customers(n, seed=seed)
    ranks = rows["lastyear_activity"].rank(method="first").astype(int) - 1
    return rows.assign(lastmonth_activity=np.sort(rows["lastmonth_activity"])[ranks])


def test_the_domain_classifier_sees_how_columns_hang_together(live):
    """Each column is as it was, but two of them are in step now."""
    live.world.set(checks__domain_classifier=True)

    found = live.assess(as_batch(in_step(300, seed=2), before=in_step(300, seed=1)))

    (joint,) = [f for f in told(found, "joint_drift") if f.feature == detector.DOMAIN]
    assert joint.drift_detected
    assert not subjects(found) & set(FEATURES)


def test_the_domain_classifier_stays_quiet_with_the_same_customers(live):
    """It learns nothing, and with no rows before it is not asked."""
    live.world.set(checks__domain_classifier=True)

    with_some = live.assess(as_batch(customers(100, seed=2), before=customers(300, seed=1)))
    with_none = live.assess(as_batch(customers(100, seed=2)))

    assert with_some.alarms == with_none.alarms == []
    assert detector.DOMAIN not in {f.feature for f in with_none.findings}


def test_every_row_is_predicted_once(live):
    """The predictions are those of the model, named by their rows."""
    rows = customers(50, seed=1)

    found = live.assess(as_batch(rows))

    assert list(found.predictions[ROW_HASH]) == list(range(50))
    expected = live.monitored.champion.predict_proba(rows)
    assert found.predictions["y_pred_proba"].tolist() == expected.tolist()
    assert found.profile.n == 50


def test_scores_of_labelled_rows_are_scikit_learns(live):
    """Rows whose label is still to come are not negatives."""
    rows = customers(200, seed=1)
    rows.loc[::2, "exited"] = pd.NA

    found = live.assess(as_batch(rows))

    known = rows[1::2]
    y_pred = live.monitored.champion.predict(live.monitored.champion.predict_proba(known))
    realised = found.scores[outcomes.REALISED]["f1"]
    assert realised.value == pytest.approx(f1_score(known["exited"].astype(int), y_pred))
    assert realised.n == 100
    assert found.scores[outcomes.ESTIMATED]["f1"].n == 200


def test_rows_without_labels_are_only_estimated(live):
    """The estimate is close to what the labels say later."""
    rows = customers(2000, seed=1)

    found = live.assess(as_batch(rows.assign(exited=pd.array([pd.NA] * 2000, dtype="Int8"))))

    y_pred = live.monitored.champion.predict(live.monitored.champion.predict_proba(rows))
    assert set(found.scores) == {outcomes.ESTIMATED}
    truth = f1_score(rows["exited"].astype(int), y_pred)
    assert found.scores[outcomes.ESTIMATED]["f1"].value == pytest.approx(truth, abs=0.05)
    assert told(found, "estimate") == []


def ripened(y_true, y_pred_proba, *, version=1):
    return pd.DataFrame(
        {
            ROW_HASH: np.arange(len(y_true)),
            "y_true": y_true,
            "version": version,
            "y_pred_proba": y_pred_proba,
            "expected_proba": y_pred_proba,
        }
    )


def test_later_labels_are_scored_with_the_predictions_of_the_live_version_only(live):
    """Another release predicted the same rows, all of them wrong."""
    y_true = np.array([1, 0, 1, 0, 1])
    both = pd.concat(
        [
            ripened(y_true, np.array([0.9, 0.1, 0.8, 0.2, 0.1])),
            ripened(y_true, 1.0 - y_true, version=2),
        ]
    )

    found = live.assess(as_batch(customers(0, seed=1), ripened=both))

    realised = found.scores[outcomes.REALISED]
    assert (realised["accuracy"].value, realised["accuracy"].n) == (0.8, 5)
    assert found.attribution is None
    assert len(found.predictions) == 0
    assert {f.check_name for f in found.findings} <= {
        "model_drift",
        "calibration_drift",
        "label_drift",
        "estimate",
    }


def test_labels_that_come_a_day_later_meet_the_predictions_made_then(live):
    """By the ledger: first the rows, then a drop of nothing but names and labels."""
    rows, config, ledger = customers(80, seed=1), live.world.config, live.ledger
    live.drop("rows.csv", rows.assign(exited=""))
    ingestion.run(config, ledger)
    first = monitoring.assess(config, ledger)
    labels = rows[["corporation", "exited"]].sample(frac=1, random_state=1)
    live.world.drop("labels.csv", labels.to_csv(index=False))
    ingestion.run(config, ledger)

    second = monitoring.assess(config, ledger)

    proba = first.predictions["y_pred_proba"].to_numpy()
    expected = f1_score(rows["exited"].astype(int), live.monitored.champion.predict(proba))
    assert outcomes.REALISED not in first.scores
    assert second.scores[outcomes.REALISED]["f1"].value == pytest.approx(expected)
    assert second.scores[outcomes.REALISED]["f1"].n == 80
    assert monitoring.assess(config, ledger) is None


def test_estimate_and_truth_agree_as_long_as_the_world_stays(live):
    """They are compared on the labelled rows only."""
    rows = customers(400, seed=3)
    rows.loc[:99, "exited"] = pd.NA

    (finding,) = told(live.assess(as_batch(rows)), "estimate")

    assert (finding.direction, finding.method) == ("reliable", "f1")
    assert finding.facts["realised"]["n"] == 300
    assert (finding.n, finding.p_value, finding.drift_detected) == (300, 1.0, False)


def test_of_a_changed_concept_the_estimate_cannot_be_relied_on(live):
    """The busy leave now: no feature moved, so only labels tell."""
    rows = customers(300, seed=3)
    rows["exited"] = 1 - rows["exited"]

    found = live.assess(as_batch(rows))

    (finding,) = told(found, "estimate")
    assert finding.direction == "unreliable"
    assert finding.value_after == finding.facts["realised"]["value"]
    assert finding.p_value == 0.0
    assert not finding.drift_detected
    assert [f.check_name for f in found.alarms if f.check_name == "model_drift"]
    assert not subjects(found) & set(FEATURES)


def test_the_attribution_adds_up_to_the_change_of_the_mean_risk(live):
    """From the rows the release remembers to the new ones."""
    rows = customers(200, seed=1)
    rows["lastmonth_activity"] /= 2

    told_why = live.assess(as_batch(rows)).attribution

    predict = live.monitored.champion.predict_proba
    assert told_why.before == pytest.approx(predict(live.monitored.sample).mean())
    assert told_why.after == pytest.approx(predict(rows).mean())
    assert sum(told_why.parts.values()) == pytest.approx(told_why.after - told_why.before)
    assert next(iter(told_why.parts)) == "lastmonth_activity"
    assert json.loads(assessment.attribution_json(told_why))["parts"] == told_why.parts


def test_distances_describe_the_latest_200_rows(live):
    """A batch of 5 rows has no distribution; what came before is added to it."""
    rows = customers(300, seed=1)
    earlier = [live.assess(as_batch(part)).profile for _, part in rows.groupby(rows.index // 100)]

    found = live.assess(as_batch(customers(5, seed=2), earlier=earlier))

    assert all(f.distances for f in found.findings if f.feature in FEATURES)


def test_of_very_many_findings_only_the_strongest_and_the_alarms_have_distances(live, monkeypatch):
    """They are bootstrapped, and take longer than all else."""
    monkeypatch.setattr(assessment, "MAX_DESCRIBED", 1)
    rows = customers(200, seed=1)
    rows["number_of_employees"] += 500

    found = [f for f in live.assess(as_batch(rows)).findings if f.feature in FEATURES]

    described = {f.feature for f in found if f.distances}
    assert "number_of_employees" in described
    assert len(described) < len(found) == 3


def profiles(*sizes):
    return [Profile(n, {"a": (n, i)}) for i, n in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "pooled"),
    [
        ([80, 80, 80, 80], 240),
        ([500, 199], 699),
        ([500, 200], 200),
        ([10, 20, 30], 60),
        ([300], 300),
        ([100, 100, 0], 200),
    ],
)
def test_batches_are_pooled_until_200_rows(sizes, pooled):
    """The newest first; all of them if there are no more."""
    merged = assessment.pool(profiles(*sizes))

    assert (merged.n, merged.counts["a"][0]) == (pooled, pooled)


def test_pooling_adds_up_the_cells():
    """Of the newest two here."""
    assert assessment.pool(profiles(7, 150, 60)).counts["a"] == (210, 1 + 2)


def test_score_rows_have_the_names_of_the_ledger(live):
    """One row per data set and metric."""
    rows = live.assess(as_batch(customers(50, seed=1))).score_rows()

    assert {row["dataset"] for row in rows} == {outcomes.REALISED, outcomes.ESTIMATED}
    assert set(rows[0]) == {"dataset", "metric", "value", "lower", "upper", "n", "n_positive"}


def test_the_strongest_evidence_is_kept(live):
    """And how many rows it would take, where these are too few; of no rows there is none."""
    found = live.assess(as_batch(customers(5, seed=1)))

    known = [finding for finding in found.findings if finding.e_value is not None]
    strongest = found.facts["strongest"]
    assert strongest["e_value"] == max(finding.e_value for finding in known)
    assert strongest["rows_needed"] > strongest["n"]
    assert live.assess(as_batch(customers(0, seed=1))).facts["strongest"] is None


def test_a_worse_model_is_told_with_what_it_promised_and_what_came_true(live):
    """By the manifest, and by scikit-learn on the same rows."""
    rows = customers(300, seed=3)
    rows["exited"] = 1 - rows["exited"]

    found = live.assess(as_batch(rows))

    (worse,) = told(found, "model_drift")
    proba = found.predictions["y_pred_proba"].to_numpy()
    promised = live.monitored.champion.manifest.held_out_scores["brier"].value
    loss = brier_score_loss(rows["exited"].astype(int), proba)
    assert (worse.direction, worse.facts["metric"]) == ("higher", "brier")
    assert worse.facts["rows"] == 300
    assert (worse.value_before, worse.value_after) == (promised, pytest.approx(loss))


def test_assessing_is_repeatable_and_leaves_the_rows_alone(live):
    """The same rows, the same findings."""
    rows = customers(40, seed=1)
    batch = as_batch(rows)
    before = batch.rows.copy()

    first, again = live.assess(batch), live.assess(batch)

    assert first.findings == again.findings
    assert first.state.to_json() == again.state.to_json()
    pd.testing.assert_frame_equal(batch.rows, before)


def test_too_few_rows_to_learn_an_estimate_leave_it_out(world):
    """A release trained on 60 rows is watched all the same."""
    deploy(world, 60)
    with world.open_ledger() as ledger:
        found = Deployed(world, ledger).assess(as_batch(customers(30, seed=1)))

    assert set(found.scores) == {outcomes.REALISED}
    assert found.predictions["expected_proba"].isna().all()
    assert told(found, "estimate") == []
