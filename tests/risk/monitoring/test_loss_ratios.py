import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from risk.config import CostMatrix
from risk.monitoring.loss_ratios import (
    CALIBRATION,
    CALIBRATION_SLACK,
    FEWER,
    METRIC_WEIGHT,
    MORE,
    RELATIVE_SLACK,
    SLACK,
    Labelled,
    lowest_tolerated,
    optimism,
    rising_loss,
    watched_scores,
)
from risk.stats.evidence import (
    advance,
    intraclass_correlation,
    log_total,
    place,
    start,
)
from tests.torture import in_full

PROBA = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
COST = CostMatrix(true_negative=0, false_positive=1, false_negative=5, true_positive=0.5)
CALIBRATED = np.column_stack([1 - PROBA, PROBA]).ravel() / len(PROBA)
DRIFTED = np.array([0.1, 0.06, 0.1, 0.1, 0.08, 0.02, 0.12, 0.06, 0.1, 0.06, 0.08, 0.12])
MANY = 1e12  # rows of a reference that knows itself


def monitor(metric, counts=CALIBRATED * MANY, *, threshold=0.5, optimism=None):
    """Watch a metric at the threshold .5."""
    labelled = Labelled(counts, PROBA, threshold, optimism or {})
    return watched_scores(labelled, metric=metric, cost=COST)


def rows(counts):
    """Return labels, predicted labels, probabilities and weights, as scikit-learn takes them."""
    proba = np.repeat(PROBA, 2)
    return np.tile([0, 1], len(PROBA)), proba >= 0.5, proba, counts


def by_sklearn(metric, counts):
    """Return a score, more being better, and what of each row was possible."""
    y, predicted, proba, weight = rows(counts)
    share = weight / weight.sum()
    sure = {"sample_weight": weight}
    prices = np.array([[0, 5], [1, 0.5]])[predicted.astype(int), y]  # by prediction and label
    return {
        "accuracy": lambda: (accuracy_score(y, predicted, **sure), 1),
        "f1": lambda: (f1_score(y, predicted, **sure), share @ (predicted * 1.0 + y)),
        "precision": lambda: (precision_score(y, predicted, **sure), share @ predicted),
        "recall": lambda: (recall_score(y, predicted, **sure), share @ y),
        "brier": lambda: (-brier_score_loss(y, proba, **sure), 1),
        "log_loss": lambda: (-log_loss(y, proba, **sure), 1),
        "cost": lambda: (-(share @ prices), 1),
    }[metric]()


@pytest.mark.parametrize(
    "metric", ["accuracy", "f1", "precision", "recall", "brier", "log_loss", "cost"]
)
def test_a_fall_is_measured_between_two_scores_of_scikit_learn(metric):
    """The mean over later rows is the fall beyond the slack, times what was possible."""
    made = monitor(metric)

    found = made.values[0] @ DRIFTED / DRIFTED.sum()

    before, _ = by_sklearn(metric, CALIBRATED)
    now, possible = by_sklearn(metric, DRIFTED)
    slack = SLACK.get(metric, RELATIVE_SLACK * abs(before))
    assert made.names[0] == metric
    assert found == pytest.approx((before - slack - now) * possible, abs=1e-5)
    assert made.null_means[0] == 0


@pytest.mark.parametrize("metric", ["accuracy", "f1", "brier", "log_loss", "cost"])
def test_the_alarm_line_is_the_score_less_what_is_tolerated(metric):
    """In units of the score, above it where less is better."""
    line = lowest_tolerated(Labelled(CALIBRATED * MANY, PROBA, 0.5), metric=metric, cost=COST)

    score, _ = by_sklearn(metric, CALIBRATED)
    slack = SLACK.get(metric, RELATIVE_SLACK * abs(score))
    assert line == pytest.approx(score - slack if score > 0 else slack - score, abs=1e-5)


def test_fewer_reference_rows_lower_the_alarm_line():
    """A reference that may itself be wrong about the score must be fallen short of by more."""
    few, many = (
        lowest_tolerated(Labelled(CALIBRATED * n, PROBA, 0.5), metric="f1", cost=COST)
        for n in (200, 2000)
    )

    assert few < many
    assert lowest_tolerated(Labelled(CALIBRATED, PROBA, 0.5), metric="roc_auc", cost=COST) is None


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_what_batches_cannot_add_up_is_watched_by_the_brier_score(metric):
    """Areas under curves are no sums over rows."""
    found, brier = monitor(metric), monitor("brier")

    assert found.names == brier.names == ("brier", *CALIBRATION)
    assert (found.values == brier.values).all()


def test_a_ratio_that_is_undefined_on_the_reference_is_watched_by_the_brier_score():
    """Precision where nothing was predicted positive."""
    found = monitor("precision", threshold=0.99)

    assert found.names == ("brier", *CALIBRATION)


def test_the_configured_metric_has_most_of_the_budget():
    """The rest is shared by the Brier score and both ways to be miscalibrated."""
    for metric, others in [("f1", 3), ("brier", 2)]:
        weights = monitor(metric).weights

        assert weights[0] == METRIC_WEIGHT
        assert weights[1:] == pytest.approx([(1 - METRIC_WEIGHT) / others] * others)


@pytest.mark.parametrize(("shift", "name"), [(0.1, MORE), (-0.1, FEWER), (0.0, None)])
def test_miscalibration_is_told_by_its_direction(shift, name):
    """A tenth more of positives than were predicted, or fewer; exactly as many are none."""
    made = monitor("f1")
    chance = np.clip(PROBA + shift, 0, 1)
    now = np.column_stack([1 - chance, chance]).ravel() / len(PROBA)

    found = {n: made.values[made.names.index(n)] @ now for n in CALIBRATION}

    moved = (chance - PROBA).mean()
    assert found[MORE] == pytest.approx(moved - CALIBRATION_SLACK, abs=1e-5)
    assert found[FEWER] == pytest.approx(-moved - CALIBRATION_SLACK, abs=1e-5)
    assert [n for n in CALIBRATION if found[n] > 0] == ([name] if name else [])


def test_what_the_choice_of_the_threshold_added_is_tolerated():
    """A promise of .05 too much in F1 is one of .05 less."""
    plain, found = monitor("f1"), monitor("f1", optimism={"f1": 0.05})

    _, possible = by_sklearn("f1", DRIFTED)
    fallen = [made.values[0] @ DRIFTED / DRIFTED.sum() for made in (plain, found)]
    assert fallen[0] - fallen[1] == pytest.approx(0.05 * possible)
    assert (found.values[1:] == plain.values[1:]).all()


def test_optimism_is_the_difference_of_two_scores_of_scikit_learn():
    """And none where the labels by other rows score as well, or where a score is undefined."""
    rng = np.random.default_rng(20260402)
    y_true, chosen, y_pred = rng.integers(0, 2, (3, 200)).astype(float)
    chosen[:60] = y_true[:60]
    proba = rng.random(200)

    found = optimism(y_true, proba, chosen, y_pred, COST.as_tuple())

    for name, score in [("f1", f1_score), ("accuracy", accuracy_score), ("recall", recall_score)]:
        assert found[name] == pytest.approx(score(y_true, chosen) - score(y_true, y_pred))
    assert optimism(y_true, proba, chosen, chosen, COST.as_tuple()) == {}
    assert "precision" not in optimism(y_true, proba, chosen, 0 * y_pred, COST.as_tuple())


def test_a_sure_and_wrong_prediction_costs_a_bounded_loss():
    """Probabilities of 0 and 1 are clipped, so that no row ruins a bet."""
    counts = np.array([500.0, 5, 5, 500])

    labelled = Labelled(counts, np.array([0.0, 1.0]), threshold=0.5)
    made = watched_scores(labelled, metric="log_loss", cost=COST)

    assert np.isfinite(place(made).gains).all()
    assert made.values[0].max() == pytest.approx(-np.log(0.02), abs=0.2)


def test_a_loss_may_rise_by_a_twentieth():
    """From .2 to .21 is tolerated, to .22 is a hundredth too much."""
    loss = np.array([0.1, 0.3])

    made = rising_loss(np.array([0.5, 0.5]) * MANY, loss)

    assert made.names == ("higher",)
    assert made.values[0] @ [0.45, 0.55] == pytest.approx(0, abs=1e-5)
    assert made.values[0] @ [0.4, 0.6] == pytest.approx(0.01, abs=1e-5)


def test_labels_as_before_keep_to_the_budget_and_worse_ones_are_found():
    """90 daily batches of 50 rows at one false alarm a year: at most a quarter of 40 runs."""
    rng, quiet, found = np.random.default_rng(20260401), 0, 0

    for _ in range(40):
        made = monitor("f1", rng.multinomial(5000, CALIBRATED).astype(float))
        quiet += _alarms(made, rng.multinomial(50, CALIBRATED, 90))
        found += _alarms(made, rng.multinomial(50, DRIFTED, 60))

    assert quiet / 40 <= 90 / 365
    assert found == 40


def _alarms(made, batches):
    still = np.zeros(len(made.names))
    return np.isfinite(_first_alarm(made, batches, every_minutes=1440, correlation=still))


@pytest.mark.parametrize(("n", "bound"), [(1000, 50), in_full(200, 320), in_full(50, 2100)])
def test_two_points_of_accuracy_are_found_near_the_bound(n, bound):
    """From .80 to .78 at a tolerance of .01, two weeks of reference: a median of nine streams."""
    rng, found = np.random.default_rng(20260403 + n), []
    proba, quiet, worse = np.array([0.2, 0.8]), *(_wrong(error) for error in (0.2, 0.22))

    for _ in range(9):
        past = rng.multinomial(n, quiet, 14 * 144)
        labelled = Labelled(past.sum(axis=0).astype(float), proba, threshold=0.5)
        made = watched_scores(labelled, metric="accuracy", cost=COST)
        alike = intraclass_correlation(past, made.values)
        later = rng.multinomial(n, worse, 2 * bound)
        found.append(_first_alarm(made, later, every_minutes=10, correlation=alike))

    assert np.median(found) <= 1.5 * bound + 1


def _wrong(error):
    return np.array([1 - error, error, error, 1 - error]) / 2


def _first_alarm(made, batches, *, every_minutes, correlation):
    """Return the number of the first batch with an alarm; infinity if there is none."""
    bets = place(made)
    wealth, mass = start(bets), np.log(every_minutes / 1440 / 365)
    for number, batch in enumerate(batches, start=1):
        wealth = advance(wealth, bets, batch, log_mass=mass, correlation=correlation)
        if log_total(wealth) >= 0:
            return number
    return np.inf
