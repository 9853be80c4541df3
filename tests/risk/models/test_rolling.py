from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB

from risk.config import Gate
from risk.decisions import gate
from risk.decisions.gate import Criteria, PairedPredictions, Prediction, Standing
from risk.errors import DataError
from risk.models import rolling
from risk.monitoring import change_point
from risk.schema import ROW_HASH
from risk.stats.evidence import paired_evidence
from tests.torture import sampled

COLUMNS = SimpleNamespace(numeric=("activity",), categorical=())
COST = (0.0, 1.0, 5.0, 0.0)


def rows(n, *, rng, slope=2.0):
    activity = rng.normal(0, 1, n)
    left = (rng.random(n) < 1 / (1 + np.exp(slope * activity))).astype("int8")
    hashes = rng.integers(0, 2**62, n)
    return pd.DataFrame({ROW_HASH: hashes, "activity": activity, "left": left})


def fitted(known, threshold=0.5):
    return SimpleNamespace(
        pipeline=GaussianNB().fit(known[["activity"]], known["left"]),
        threshold=SimpleNamespace(value=threshold),
    )


def test_each_part_is_predicted_by_what_came_before_it():
    """The oracle: by hand, of 300 new rows the second hundred by 600 rows, the third by 700."""
    everything = rows(800, rng=np.random.default_rng(0))

    found = rolling.predict(everything, everything.iloc[500:], fitted, COLUMNS)

    assert found[ROW_HASH].tolist() == everything[ROW_HASH].iloc[600:].tolist()
    for i, start in enumerate((600, 700)):
        known, unknown = everything.iloc[:start], everything.iloc[start : start + 100]
        by_hand = fitted(known).pipeline.predict_proba(unknown[["activity"]])[:, 1]
        part = found.iloc[100 * i : 100 * (i + 1)]
        np.testing.assert_allclose(part["y_pred_proba"], by_hand)
        assert part["y_pred"].tolist() == (by_hand >= 0.5).astype(int).tolist()


def test_the_threshold_is_that_of_the_time():
    """Chosen without the rows it is applied to."""
    everything = rows(300, rng=np.random.default_rng(1))

    found = rolling.predict(
        everything, everything, lambda known: fitted(known, len(known) / 250), COLUMNS
    )

    thresholds = np.repeat([100 / 250, 200 / 250], 100)
    assert (found["y_pred"] == (found["y_pred_proba"] >= thresholds)).all()


def test_rows_before_the_new_ones_are_learnt_wherever_they_are():
    """Late labels mix old rows and new ones."""
    everything = rows(400, rng=np.random.default_rng(2))
    learnt = []

    def learn(known):
        learnt.append(set(known.index))
        return fitted(known)

    rolling.predict(everything, everything.iloc[::2], learn, COLUMNS)

    odd, even = range(1, 400, 2), list(range(0, 400, 2))
    assert learnt == [{*odd, *even[:67]}, {*odd, *even[:134]}]


@pytest.mark.parametrize("n", [0, 1, 99])
def test_of_few_rows_nothing_is_said(n):
    """A training for each part would not be worth it."""
    everything = rows(200, rng=np.random.default_rng(3))

    found = rolling.predict(everything, everything.iloc[200 - n :], fitted, COLUMNS)

    assert found.empty
    assert list(found) == [ROW_HASH, "y_pred_proba", "y_pred"]


@pytest.mark.parametrize(("n", "n_new"), [(20_002, 20_001), (100_001, 300)])
def test_where_trainings_are_dear_or_rows_are_plenty_none_is_added(n, n_new):
    """The rows held out are then the evidence, as they were before."""
    everything = rows(n, rng=np.random.default_rng(6))

    found = rolling.predict(everything, everything.iloc[n - n_new :], fitted, COLUMNS)

    assert found.empty


def test_a_part_before_which_nothing_can_be_learnt_is_left_out():
    """One class only, say; the next one may have both."""
    everything = rows(300, rng=np.random.default_rng(4))

    def learn(known):
        if len(known) < 150:
            raise DataError("one class")
        return fitted(known)

    found = rolling.predict(everything, everything, learn, COLUMNS)

    assert found[ROW_HASH].tolist() == everything[ROW_HASH].iloc[200:].tolist()


def judged(seed, *, learn, n=600, slope=2.0, metric="accuracy"):
    """Judge by rolling predictions against a champion of 3000 rows of the old world."""
    rng = np.random.default_rng(seed)
    champion = fitted(rows(3000, rng=rng))
    new = rows(n, rng=rng, slope=slope)
    found = rolling.predict(new, new, learn, COLUMNS)
    there = new.iloc[n - len(found) :]
    proba = champion.pipeline.predict_proba(there[["activity"]])[:, 1]
    paired = PairedPredictions(
        y_true=there["left"].to_numpy(),
        champion=Prediction(proba, (proba >= 0.5).astype(int)),
        challenger=Prediction(found["y_pred_proba"].to_numpy(), found["y_pred"].to_numpy(int)),
        promise=0.7,
    )
    by = Criteria(metric, COST)
    return gate.compare(paired, Gate(when_unsure="keep"), by=by, standing=Standing())


@pytest.mark.parametrize("metric", sampled(["f1", "accuracy", "brier"], every=3))
def test_training_again_that_gains_nothing_is_let_in_no_more_often_than_alpha(metric):
    """A model of the newest thirty rows only is worse or, by luck, about as good."""
    let_in = sum(
        judged(seed, learn=lambda known: fitted(known.iloc[-30:]), metric=metric).deploy
        for seed in range(80)
    )

    assert binomtest(let_in, 80, 0.05, alternative="greater").pvalue > 0.01


def errors(n, share, *, rng, apart=0.15):
    """Let two models err equally often, and each alone on half of the rows that set them apart."""
    drawn, both = rng.random(n), share - apart / 2
    champion, challenger = drawn < share, (drawn < both) | (drawn >= share)
    return champion.astype(int), (challenger & (drawn < share + apart / 2)).astype(int)


def test_dating_the_change_by_the_champions_errors_lets_in_no_more_than_alpha():
    """The rows compared on are those on which it errs more often; no model can help that."""
    let_in = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        before, after = errors(1000, 0.2, rng=rng), errors(600, 0.3, rng=rng)
        champion, challenger = (np.concatenate(both) for both in zip(before, after, strict=True))
        start = change_point.begin([champion], [[3200, 800]])
        first = start + round((len(champion) - start) * 0.8 / 3)
        gains = (champion - challenger)[first:]
        let_in += paired_evidence(gains, np.ones(len(gains))) >= 20

    assert binomtest(let_in, 300, 0.05, alternative="greater").pvalue > 0.01


def test_after_a_change_the_rows_that_are_learnt_prove_the_challenger_too():
    """Labels the other way round: 400 of 600 rows are evidence, and not one is lost to training."""
    verdict = judged(0, learn=fitted, slope=-2.0)

    assert (verdict.deploy, verdict.proven, verdict.n) == (True, True, 400)


def test_a_challenger_made_before_there_were_any_has_none(tmp_path):
    """Nothing is read of it, and it is judged on what it left out."""
    found = rolling.read(tmp_path, SimpleNamespace(files={}))

    assert found.empty
    assert found.index.name == ROW_HASH


NUMBERS = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
RECENT = 4  # of ten drops


def drops(seed, *, flipped=False, own=0.0):
    """Make ten drops of 200 rows, each with a size and, times `own`, a risk of its own.

    With `flipped`, labels are the other way round in the recent ones.
    """
    rng, n = np.random.default_rng(seed), 200
    number = np.repeat(np.arange(10), n)
    numbers = rng.normal(0, 1, (len(number), 3))
    numbers[:, 2] = np.repeat(rng.normal(0, 1, 10), n)
    recent = number >= 10 - RECENT
    sign = np.where(flipped & recent, -1, 1)
    log_odds = sign * numbers[:, 0] - 1 + own * np.repeat(rng.normal(0, 1, 10), n)
    exited = (rng.random(len(number)) < 1 / (1 + np.exp(-log_odds))).astype("int8")
    return pd.DataFrame(numbers, columns=NUMBERS).assign(exited=exited), recent


def standardised(known):
    mean, deviation = known[NUMBERS].mean(), known[NUMBERS].std(ddof=0)
    fitted = LogisticRegression(max_iter=1000).fit(
        (known[NUMBERS] - mean) / deviation, known["exited"]
    )
    return lambda rows: fitted.predict_proba((rows[NUMBERS] - mean) / deviation)[:, 1]


def squared_errors(known, unknown):
    return (standardised(known)(unknown) - unknown["exited"]) ** 2


@pytest.mark.parametrize("flipped", [False, True])
def test_recent_rows_are_better_alone_where_they_predict_later_ones_better(world, flipped):
    """The oracle: four blocks of the later half by hand, each predicted by what came before it."""
    found = []
    for seed in range(3):
        rows, recent = drops(seed, flipped=flipped, own=0.3)
        saved = []
        for start in (1600, 1700, 1800, 1900):
            block, before = rows[start : start + 100], rows[:start]
            errors = [squared_errors(known, block) for known in (before, before[recent[:start]])]
            saved.append(errors[0].mean() - errors[1].mean())
        expected = np.mean(saved) > np.std(saved, ddof=1) / 2

        found.append(rolling.is_better_alone(rows, recent, world.config))

        assert found[-1] == expected
    assert all(found) or not flipped


def test_rows_that_only_tell_their_drops_apart_are_not_better_alone(world):
    """Each drop has a size and a risk of its own, and the next one will have others.

    Predicted at random, by rows of their own drop, recent rows alone look better almost always.
    """
    alone, at_random = 0, 0
    for seed in range(12):
        rows, recent = drops(seed, own=1.5)
        alone += rolling.is_better_alone(rows, recent, world.config)
        errors = [np.empty(2000), np.full(2000, np.nan)]
        for left, known in zip(errors, (rows, rows[recent]), strict=True):
            for learnt, others in KFold(5, shuffle=True, random_state=0).split(known):
                left[known.index[others]] = squared_errors(known.iloc[learnt], known.iloc[others])
        saved = (errors[0] - errors[1])[recent]
        at_random += saved.mean() > 1.645 * saved.std(ddof=1) / np.sqrt(len(saved))

    assert alone <= 4 < 8 <= at_random


def test_rows_too_few_to_learn_are_not_better_alone(world):
    """Half of them must be enough to fit a model, since the others are predicted."""
    rows, recent = drops(0, flipped=True)
    places = np.flatnonzero(recent)
    few = rows.drop(index=places[30:])

    assert not rolling.is_better_alone(few, recent[few.index], world.config)
