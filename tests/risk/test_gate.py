import numpy as np
import pytest
from scipy.stats import binomtest

from risk import gate
from risk.config import Gate
from risk.gate import Prediction, Trial
from risk.stats.scores import Estimate


def trial(n, *, champion_wrong, challenger_wrong):
    """Make both models right but on the given rows; every second row is positive."""
    y_true = np.arange(n) % 2

    def prediction(wrong):
        y_pred = y_true.copy()
        y_pred[list(wrong)] ^= 1
        return certain(y_pred)

    return Trial(y_true, prediction(champion_wrong), prediction(challenger_wrong))


def certain(y_pred):
    return Prediction(y_pred_proba=0.1 + 0.8 * y_pred, y_pred=y_pred)


def judge(made, *, drift=True, **settings):
    return gate.compare(made, Gate(**settings), metric="f1", drift=drift)


def test_a_worse_challenger_never_passes():
    """Whatever drifted."""
    verdict = judge(trial(40, champion_wrong=[], challenger_wrong=[1, 2]))

    assert not verdict.deploy
    assert "the challenger is worse: f1 0.950 against the champion's 1.000" in verdict.reason


def test_a_clearly_better_one_is_proven_by_the_exact_test():
    """40 rows won, 10 lost; scipy knows how surprising that is."""
    made = trial(400, champion_wrong=range(40), challenger_wrong=range(40, 50))

    verdict = judge(made, drift=False)

    expected = binomtest(40, 50, alternative="greater").pvalue
    assert (verdict.deploy, verdict.proven) == (True, True)
    assert verdict.p_value == pytest.approx(expected)


@pytest.mark.parametrize(("alpha", "proven"), [(1 / 32, True), (0.0312, False)])
def test_evidence_counts_up_to_alpha(alpha, proven):
    """Five wins without a loss have p = 1/32 = 0.03125."""
    verdict = judge(trial(40, champion_wrong=range(5), challenger_wrong=[]), alpha=alpha)

    assert verdict.p_value == 1 / 32
    assert verdict.proven is proven


@pytest.mark.parametrize("drift", [True, False])
@pytest.mark.parametrize("when_unsure", ["deploy_if_drifted", "keep", "ask"])
def test_two_models_that_agree_on_five_rows_leave_it_open(when_unsure, drift):
    """No row speaks for either, so p = 1 and only the policy decides."""
    made = trial(5, champion_wrong=[2], challenger_wrong=[2])

    verdict = judge(made, drift=drift, when_unsure=when_unsure)

    assert verdict.p_value == 1
    assert not verdict.proven
    assert verdict.deploy is (drift and when_unsure == "deploy_if_drifted")


@pytest.mark.parametrize(
    ("when_unsure", "drift", "words"),
    [
        ("deploy_if_drifted", True, "so it goes live unproven"),
        ("deploy_if_drifted", False, "the champion stays"),
        ("keep", True, "the champion stays"),
        ("ask", True, "a person is asked"),
    ],
)
def test_the_reason_says_what_was_done_for_want_of_evidence(when_unsure, drift, words):
    """It is what the person reads who is asked."""
    made = trial(5, champion_wrong=[1], challenger_wrong=[])

    verdict = judge(made, drift=drift, when_unsure=when_unsure)

    assert verdict.reason.endswith(words)


def test_a_worse_score_is_refused_though_more_rows_are_right():
    """20 negatives won for 9 of 10 positives lost: the test says yes, F1 says no."""
    y_true = np.repeat([1, 0], [10, 990])
    champion = np.repeat([1, 0], [30, 970])
    challenger = np.repeat([1, 0], [1, 999])

    verdict = judge(Trial(y_true, certain(champion), certain(challenger)))

    assert verdict.p_value == pytest.approx(binomtest(20, 29, alternative="greater").pvalue)
    assert verdict.p_value < 0.05
    assert verdict.champion.value == pytest.approx(20 / 40)  # 2 tp / (2 tp + fp + fn)
    assert verdict.challenger.value == pytest.approx(2 / 11)
    assert not verdict.deploy


@pytest.mark.parametrize(("before", "now", "deploy"), [(0.7, 0.9, True), (0.9, 0.7, False)])
def test_of_a_loss_the_smaller_one_is_better(before, now, deploy):
    """Both models are right everywhere; one is surer of it."""
    y_true = np.arange(20) % 2
    champion, challenger = (
        Prediction(y_pred_proba=np.where(y_true == 1, sure, 1 - sure), y_pred=y_true)
        for sure in (before, now)
    )

    verdict = gate.compare(Trial(y_true, champion, challenger), Gate(), metric="brier", drift=True)

    assert verdict.champion.value == pytest.approx((1 - before) ** 2)
    assert verdict.deploy is deploy


@pytest.mark.parametrize(
    ("before", "now", "deploy"), [([1, 0], [0, 0], False), ([0, 0], [1, 0], True)]
)
def test_a_score_that_is_undefined_is_worse_than_one_that_is_not(before, now, deploy):
    """A model that calls nothing positive has no precision."""
    trial = Trial(np.array([1, 0]), certain(np.array(before)), certain(np.array(now)))

    verdict = gate.compare(trial, Gate(), metric="precision", drift=True)

    assert verdict.deploy is deploy
    assert "undefined" in verdict.reason


@pytest.mark.parametrize(
    ("when_unsure", "drift", "deploy"),
    [
        ("deploy_if_drifted", True, True),
        ("deploy_if_drifted", False, False),
        ("keep", True, False),
        ("ask", True, False),
    ],
)
def test_five_rows_prove_nothing_and_the_policy_says_what_then(when_unsure, drift, deploy):
    """Five straight wins have p = 1/32, so even they need two rows more at alpha = 0.01."""
    made = trial(5, champion_wrong=[0], challenger_wrong=[])

    verdict = judge(made, drift=drift, when_unsure=when_unsure)

    assert verdict.deploy is deploy
    assert not verdict.proven
    assert "not enough evidence" in verdict.reason


def test_both_scores_are_kept_as_evidence():
    """The ledger tells later what was compared."""
    verdict = judge(trial(10, champion_wrong=[1], challenger_wrong=[1]))

    assert verdict.champion == verdict.challenger
    assert verdict.champion.n == 10


def test_the_first_model_goes_live_unproven():
    """There is nothing to compare it with."""
    verdict = gate.first(Estimate(0.8, 0.3, 0.9, 5), "f1")

    assert (verdict.deploy, verdict.proven) == (True, False)
    assert verdict.reason.startswith("the first model, so unproven: f1 0.800")


def test_equal_models_are_called_proven_at_most_alpha_of_the_time():
    """A promise: 2,000 pairs that are equally good."""
    rng = np.random.default_rng(5)
    proven = 0
    for _ in range(2000):
        disagree = rng.choice(100, 15, replace=False)
        first = rng.random(15) < 0.5
        proven += judge(
            trial(100, champion_wrong=disagree[first], challenger_wrong=disagree[~first]),
            drift=False,
        ).proven

    assert binomtest(proven, 2000, 0.05, alternative="greater").pvalue > 0.001
