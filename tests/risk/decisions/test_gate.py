import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial
from sklearn.metrics import brier_score_loss, f1_score

from risk.config import Gate
from risk.decisions import gate
from risk.decisions.gate import Criteria, PairedPredictions, Prediction, Standing
from risk.stats.evidence import paired_evidence
from risk.stats.scores import Estimate

COST = (0.0, 1.0, 5.0, 0.0)
KEEP = "keep"
STAKES = [(0.025, 0.02), (0.05, 0.02), (0.1, 0.24), (0.2, 0.24), (0.4, 0.24), (0.75, 0.24)]


def certain(y_pred):
    """Give the prediction of a model that is sure of what it says, right or wrong."""
    return Prediction(y_pred_proba=0.1 + 0.8 * y_pred, y_pred=y_pred)


def predicted(n, *, champion_wrong, challenger_wrong):
    """Make both models right but on the given rows; every second row is positive."""
    y_true = np.arange(n) % 2
    wrong = [np.isin(np.arange(n), list(rows)) for rows in (champion_wrong, challenger_wrong)]
    return PairedPredictions(
        y_true, *(certain(np.where(there, 1 - y_true, y_true)) for there in wrong)
    )


def won_and_lost(n, wins, losses):
    return predicted(n, champion_wrong=range(wins), challenger_wrong=range(wins, wins + losses))


def judge(made, *, metric="accuracy", cost=COST, standing=None, **settings):
    by = Criteria(metric, cost)
    return gate.compare(made, Gate(**settings), by=by, standing=standing or Standing())


def test_intervals_have_the_confidence_that_is_asked_for():
    """And it is recorded beside them."""
    made = won_and_lost(100, 20, 10)
    sure, unsure = (
        gate.compare(made, Gate(), by=Criteria("accuracy", COST, confidence), standing=Standing())
        for confidence in (0.95, 0.5)
    )

    wilson = binomtest(80, 100).proportion_ci(0.5, method="wilson")
    assert (unsure.champion.lower, unsure.champion.upper) == pytest.approx(
        (wilson.low, wilson.high)
    )
    assert json.loads(unsure.comparison())["confidence"] == 0.5
    for name in ("challenger", "difference"):
        narrow, wide = getattr(unsure, name), getattr(sure, name)
        assert narrow.value == wide.value
        assert narrow.upper - narrow.lower < wide.upper - wide.lower


def e_value(wins, losses):
    """Rows on which both agree count for nothing."""
    return paired_evidence([1, -1], [wins, losses])


def looked_at_every_ten_labels(better, worse, *, tries, n, seed):
    """Give wins and losses so far, as (tries, looks)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(10, [better, worse, 1 - better - worse], (tries, n // 10))
    return np.moveaxis(drawn.cumsum(axis=1)[:, :, :2], -1, 0)


def first_proof(wins, losses):
    """Return the rows each try took, infinity where nothing was ever proven."""
    pairs, place = np.unique(10_000 * wins + losses, return_inverse=True)
    enough = np.array([e_value(*divmod(pair, 10_000)) >= 20 for pair in pairs.tolist()])
    proven = enough[place].reshape(wins.shape)
    return np.where(proven.any(axis=1), 10.0 * (1 + proven.argmax(axis=1)), np.inf)


@pytest.mark.parametrize("n", [5, 20, 200])
def test_a_challenger_that_is_worse_by_four_points_is_not_let_in(n):
    """Exactly: each number of wins and losses is judged and weighed with its chance.

    15 % of the rows are in dispute, of which it wins 5.5 and loses 9.5.
    """
    chances = multinomial(n, [0.055, 0.095, 0.85])
    outcomes = [
        (wins, losses, chances.pmf([wins, losses, n - wins - losses]))
        for wins, losses in product(range(min(n, 40) + 1), repeat=2)
        if wins + losses <= n and wins > losses
    ]

    let_in = sum(
        chance
        for wins, losses, chance in outcomes
        if chance > 1e-9 and judge(won_and_lost(n, wins, losses), when_unsure=KEEP).deploy
    )

    assert let_in <= 0.005


def test_asking_often_does_not_let_the_worse_one_in():
    """Every ten labels up to 3000; a test that is repeated would give in sooner or later."""
    wins, losses = looked_at_every_ten_labels(0.055, 0.095, tries=2000, n=3000, seed=1)

    assert np.isfinite(first_proof(wins, losses)).mean() <= 0.005


def test_asking_often_does_not_prove_equal_models_different():
    """300 looks at 500 pairs of equals: at most alpha, where McNemar's test is fooled often."""
    wins, losses = looked_at_every_ten_labels(0.075, 0.075, tries=500, n=3000, seed=2)
    z = (wins - losses) / np.sqrt(np.maximum(wins + losses, 1))

    fooled = int(np.isfinite(first_proof(wins, losses)).sum())

    assert binomtest(fooled, 500, 0.05, alternative="greater").pvalue > 0.01
    assert (z > 1.645).any(axis=1).mean() > 0.2


def test_a_challenger_that_is_better_by_four_points_is_proven_within_610_rows():
    """The median of 2000 that are asked every ten labels."""
    wins, losses = looked_at_every_ten_labels(0.095, 0.055, tries=2000, n=3000, seed=3)

    assert np.median(first_proof(wins, losses)) <= 610


def test_the_verdict_is_that_of_the_evidence_on_the_same_rows():
    """The simulations above take a short cut through the e-value."""
    rng = np.random.default_rng(4)
    for _ in range(60):
        wins, losses = rng.integers(0, 40, 2).tolist()

        verdict = judge(won_and_lost(100, wins, losses), when_unsure=KEEP)

        assert verdict.e_value == pytest.approx(e_value(wins, losses))
        assert verdict.deploy == (e_value(wins, losses) >= 20)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_five_rows_never_prove_anything(n):
    """Not even five wins in five rows: by hand E = (1.1^5 + 1.2^5 + 1.4^5 + 1.75^5) / 4 = 6.5."""
    for wins, losses in product(range(n + 1), repeat=2):
        if wins + losses <= n:
            verdict = judge(won_and_lost(n, wins, losses))

            assert not verdict.proven
            assert verdict.e_value <= (1.1**5 + 1.2**5 + 1.4**5 + 1.75**5) / 4 + 1e-9


def test_few_rows_are_told_how_many_are_needed():
    """With the usual disagreement of 15 %: about 0.7 * 2 * 0.15 * ln(4 / 0.05) / 0.04^2 = 575."""
    verdict = judge(won_and_lost(5, 1, 0))

    assert (verdict.verdict, verdict.evidence_needed) == ("not_enough_evidence", 20)
    assert verdict.rows_needed == 580


@pytest.mark.parametrize(
    ("disputed", "rows", "gain"),
    [(0, None, 0.0), (1, 610, 0.01), (2, 310, 0.02), (10, 380, 0.04), (40, 1530, 0.04)],
)
def test_the_gain_that_rows_could_prove_is_bounded_by_what_is_in_dispute(disputed, rows, gain):
    """Of 100 rows; of fewer than 20 nobody knows yet how much is in dispute.

    0.7 * 2 * (0.01, 0.02, 0.1, 0.4) * ln(80) / gain^2, rounded to tens.
    """
    gains = np.repeat([1.0, -1.0, 0.0], [disputed - disputed // 2, disputed // 2, 100 - disputed])

    assert gate.rows_needed(gains, alpha=0.05) == (rows, pytest.approx(gain))


def test_eight_straight_wins_are_the_least_that_proves():
    """E = .24 (1.1^8 + 1.2^8 + 1.4^8 + 1.75^8) + .02 (1.025^8 + 1.05^8) = 26.3; of seven 16."""
    seven, eight = (judge(won_and_lost(20, wins, 0), when_unsure=KEEP) for wins in (7, 8))

    assert seven.e_value == pytest.approx(sum(w * (1 + x) ** 7 for x, w in STAKES))
    assert eight.e_value == pytest.approx(sum(w * (1 + x) ** 8 for x, w in STAKES))
    assert (seven.deploy, eight.deploy) == (False, True)
    assert eight.verdict == "better"


@pytest.mark.parametrize(("alpha", "deploy"), [(0.05, True), (0.01, False)])
def test_alpha_sets_what_is_evidence(alpha, deploy):
    """Eight wins are worth 26: more than 1 / 0.05, less than 1 / 0.01."""
    verdict = judge(won_and_lost(20, 8, 0), alpha=alpha, when_unsure=KEEP)

    assert (verdict.deploy, verdict.proven) == (deploy, deploy)


@pytest.mark.parametrize(
    ("when_unsure", "drift", "first_look", "action"),
    [
        ("deploy_if_drifted", True, True, "deploy"),
        ("deploy_if_drifted", True, False, "keep"),
        ("deploy_if_drifted", False, True, "keep"),
        ("deploy_if_drifted", False, False, "keep"),
        ("keep", True, True, "keep"),
        ("keep", True, False, "keep"),
        ("keep", False, True, "keep"),
        ("keep", False, False, "keep"),
        ("ask", True, True, "ask"),
        ("ask", True, False, "ask"),
        ("ask", False, True, "ask"),
        ("ask", False, False, "ask"),
    ],
)
@pytest.mark.parametrize("wins", [0, 1])
def test_without_evidence_the_settings_decide(wins, when_unsure, drift, first_look, action):
    """A champion that drifted yields once, to a challenger that is not worse."""
    standing = Standing(drift=drift, first_look=first_look)

    verdict = judge(won_and_lost(5, wins, 0), when_unsure=when_unsure, standing=standing)

    assert (verdict.action, verdict.proven) == (action, False)
    assert verdict.deploy is (action == "deploy")
    assert verdict.because_drifted is (action == "deploy")


@pytest.mark.parametrize("when_unsure", ["deploy_if_drifted", "keep", "ask"])
@pytest.mark.parametrize("harm", [True, False])
def test_a_worse_score_never_goes_live(when_unsure, harm):
    """Whatever drifted, and though chance may explain it."""
    standing = Standing(drift=True, harm=harm)

    verdict = judge(won_and_lost(40, 0, 1), when_unsure=when_unsure, standing=standing)

    assert (verdict.deploy, verdict.action) == (False, "keep")
    assert verdict.verdict == "worse"
    assert (verdict.challenger.value, verdict.champion.value, verdict.n) == (0.975, 1.0, 40)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("metric", ["accuracy", "f1", "brier"])
@pytest.mark.parametrize("harm", [True, False])
def test_rows_of_one_class_prove_nothing_and_a_person_is_asked(label, metric, harm):
    """Labels that are not known yet are often written as negative ones."""
    made = replace(won_and_lost(100, 60, 0), y_true=np.full(100, label))

    verdict = judge(made, metric=metric, standing=Standing(drift=True, harm=harm))

    assert (verdict.deploy, verdict.action, verdict.verdict) == (False, "ask", "one_class")


@pytest.mark.parametrize("harm", [True, False])
@pytest.mark.parametrize(("n_caught", "deployed"), [(0, False), (3, True)])
def test_equal_scores_do_not_hide_lost_rows(harm, n_caught, deployed):
    """F1 is 0 with and without four false alarms; rows caught count more in it than these cost."""
    y_true = np.array([1] * 10 + [0] * 90)
    champion, challenger = np.zeros(100, int), np.zeros(100, int)
    challenger[:n_caught], challenger[96:] = 1, 1
    made = PairedPredictions(
        y_true=y_true,
        champion=Prediction(champion.astype(float), champion),
        challenger=Prediction(challenger.astype(float), challenger),
    )

    verdict = judge(made, metric="f1", standing=Standing(drift=True, harm=harm))

    assert (verdict.challenger.value > verdict.champion.value) is deployed
    assert (verdict.wins, verdict.losses) == (n_caught, 4)
    assert verdict.deploy is deployed


def test_a_challenger_that_is_worse_beyond_chance_is_called_so():
    """Eight rows lost and none won."""
    verdict = judge(won_and_lost(40, 0, 8))

    assert not verdict.deploy
    assert (verdict.verdict, verdict.challenger.value) == ("worse_beyond_chance", 0.8)


def test_against_a_champion_that_does_worse_not_being_inferior_is_enough():
    """Without any dispute E = sum(weight (1 + stake / 100)^n); at n = 600: 25.2, at 500: 12.9."""
    made = {n: won_and_lost(n, 0, 0) for n in (500, 600)}

    harmed = {n: judge(m, standing=Standing(harm=True)) for n, m in made.items()}
    sound = judge(made[600], standing=Standing(), when_unsure=KEEP)

    by_hand = sum(weight * (1 + stake / 100) ** 600 for stake, weight in STAKES)
    assert harmed[600].e_value == pytest.approx(by_hand)
    assert (harmed[600].proven, harmed[500].proven, sound.proven) == (True, False, False)
    assert harmed[600].verdict == "not_inferior"
    assert sound.e_value == pytest.approx(1.0)


def test_a_margin_of_nothing_asks_a_harmed_champion_to_be_beaten():
    """The setting decides how much may be lost."""
    verdict = judge(won_and_lost(600, 0, 0), margin=0, standing=Standing(harm=True))

    assert verdict.e_value == pytest.approx(1.0)
    assert not verdict.proven


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (40, 10), (7, 12), (0, 3)])
def test_the_p_value_is_that_of_the_exact_test(wins, losses):
    """It is told for one look, it does not decide."""
    verdict = judge(won_and_lost(100, wins, losses))

    n = wins + losses
    expected = binomtest(wins, n, alternative="greater").pvalue if n else 1.0
    assert verdict.p_value == pytest.approx(expected)


def drawn(n, *, seed, noise=0.25):
    """Draw labels, and two models of probabilities that often differ."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, 2, n)
    probas = [np.clip(0.5 * y_true + 0.25 + rng.normal(0, noise, n), 0, 1) for _ in range(2)]
    return PairedPredictions(
        y_true, *(Prediction(p, (p >= 0.5).astype(int)) for p in probas), promise=0.7
    )


METRICS = (
    "f1",
    "precision",
    "recall",
    "accuracy",
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
    "cost",
)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_challenger_beats_a_hopeless_champion_by_any_metric(metric):
    """So the losses have the right sign; turned around, it is worse beyond chance."""
    y_true = np.arange(120) % 2
    right, wrong = certain(y_true), certain(1 - y_true)

    better = judge(PairedPredictions(y_true, wrong, right), metric=metric, when_unsure=KEEP)
    worse = judge(PairedPredictions(y_true, right, wrong), metric=metric, when_unsure=KEEP)

    assert (better.deploy, better.proven) == (True, True)
    assert worse.verdict == "worse_beyond_chance"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("cost", [COST, (-10.0, 100.0, 500.0, 3.0), (1.0, 1.0, 1.0, 1.0)])
def test_losses_differ_by_at_most_one_on_a_row(metric, cost):
    """Else the evidence would be none; also for the surest mistakes."""
    y_true = np.array([0, 0, 1, 1])
    said = [(np.repeat(p, 4), np.repeat(p, 4).astype(int)) for p in (0.0, 1.0)]

    losses = [
        gate._losses(Prediction(*s), y_true.astype(float), promise, metric, cost)
        for s in said
        for promise in (0.01, 0.5, 1.0)
    ]

    for i in range(3):
        assert np.abs(losses[i] - losses[3 + i]).max() <= 1 + 1e-12


def by_hand(metric, y_true, said):
    """Compute what each loss adds up to from its definition."""
    tp, fp = np.sum(y_true * said.y_pred), np.sum((1 - y_true) * said.y_pred)
    fn, n = np.sum(y_true * (1 - said.y_pred)), len(y_true)
    if metric == "accuracy":
        return (fp + fn) / n
    if metric == "cost":
        return (fp + 5 * fn) / n / 5
    if metric == "f1":
        return -(2 * 0.3 * tp - 0.7 * (fp + fn)) / n / 2
    if metric == "precision":
        return -(0.3 * tp - 0.7 * fp) / n / 2
    if metric == "recall":
        return -(0.3 * tp - 0.7 * fn) / n / 2
    right = np.where(y_true == 1, said.y_pred_proba, 1 - said.y_pred_proba)
    if metric == "log_loss":
        return np.minimum(-np.log(np.maximum(right, 0.02)) / -np.log(0.02), 1).mean()
    return brier_score_loss(y_true, said.y_pred_proba)


@pytest.mark.parametrize("metric", METRICS)
def test_the_mean_loss_is_the_metric_or_its_linear_form(metric):
    """A promise of 0.7 in F1 is kept just where 2 * 0.3 TP - 0.7 (FP + FN) is not negative."""
    made = drawn(300, seed=1, noise=0.6)

    gains = gate._differences(made, Criteria(metric, COST))

    expected = by_hand(metric, made.y_true, made.champion)
    expected -= by_hand(metric, made.y_true, made.challenger)
    assert gains.mean() == pytest.approx(expected, abs=1e-12)


def test_the_linear_form_of_f1_is_nothing_where_the_promise_is_just_kept():
    """With the champion's own F1 as promise its mean loss is 0."""
    made = drawn(300, seed=2)
    promise = f1_score(made.y_true, made.champion.y_pred)

    losses = gate._losses(made.champion, made.y_true.astype(float), promise, "f1", COST)

    assert losses.mean() == pytest.approx(0, abs=1e-12)


def test_a_worse_f1_is_refused_though_more_rows_are_right():
    """20 negatives won for 9 of 10 positives lost: McNemar's test says yes, F1 says no."""
    y_true = np.repeat([1, 0], [10, 990])
    champion, challenger = np.repeat([1, 0], [30, 970]), np.repeat([1, 0], [1, 999])

    verdict = judge(PairedPredictions(y_true, certain(champion), certain(challenger)), metric="f1")

    assert verdict.p_value < 0.05
    assert verdict.champion.value == pytest.approx(20 / 40)  # 2 tp / (2 tp + fp + fn)
    assert verdict.challenger.value == pytest.approx(2 / 11)
    assert not verdict.deploy


@pytest.mark.parametrize(("before", "now", "deploy"), [(0.6, 0.99, True), (0.99, 0.6, False)])
@pytest.mark.parametrize("metric", ["brier", "log_loss"])
def test_of_a_loss_the_smaller_one_is_better(metric, before, now, deploy):
    """Both models are right everywhere; one is surer of it."""
    y_true = np.arange(200) % 2
    both = (Prediction(np.where(y_true == 1, s, 1 - s), y_true) for s in (before, now))

    verdict = judge(PairedPredictions(y_true, *both), metric=metric, when_unsure=KEEP)

    assert verdict.deploy is deploy
    assert verdict.p_value == 1.0


@pytest.mark.parametrize(
    ("before", "now", "deploy"),
    [([1, 0], [0, 0], False), ([0, 0], [1, 0], True), ([0, 0], [0, 0], True)],
)
def test_a_score_that_is_undefined_is_worse_than_one_that_is_not(before, now, deploy):
    """A model that calls nothing positive has no precision."""
    made = PairedPredictions(np.array([1, 0]), certain(np.array(before)), certain(np.array(now)))

    verdict = judge(made, metric="precision", standing=Standing(drift=True))

    assert verdict.deploy is deploy
    assert None in (verdict.champion.value, verdict.challenger.value)


def test_rows_of_one_class_leave_areas_undefined_and_the_champion_in_place():
    """A fresh batch may hold no positive row."""
    made = PairedPredictions(np.zeros(30, dtype=int), certain(np.zeros(30)), certain(np.zeros(30)))

    verdict = judge(made, metric="roc_auc")

    assert (verdict.deploy, verdict.champion.value) == (False, None)


def test_rows_won_and_lost_are_counted():
    """It is what the person reads who is asked."""
    verdict = judge(won_and_lost(100, 3, 2))

    assert (verdict.n, verdict.wins, verdict.losses) == (100, 3, 2)


def test_both_scores_are_kept_as_evidence():
    """The ledger tells later what was compared."""
    verdict = judge(predicted(10, champion_wrong=[1], challenger_wrong=[1]))

    assert verdict.champion == verdict.challenger
    assert (verdict.champion.n, verdict.champion.value) == (10, 0.9)


@pytest.mark.parametrize("metric", gate.RATIOS)
def test_the_difference_is_that_of_both_scores_and_holds_it_in_its_interval(metric):
    """However the score is made of its rows."""
    verdict = judge(
        predicted(60, champion_wrong=range(20), challenger_wrong=range(5)), metric=metric
    )

    found, expected = verdict.difference, verdict.challenger.value - verdict.champion.value
    assert found.value == pytest.approx(expected)
    assert found.lower < expected < found.upper
    assert json.loads(verdict.comparison())["difference"]["value"] == found.value


def test_what_rows_do_not_add_up_to_has_no_difference():
    """Areas under curves are no sums over rows."""
    verdict = judge(predicted(60, champion_wrong=[1], challenger_wrong=[2]), metric="roc_auc")

    assert verdict.difference is None


def test_the_first_model_goes_live_unproven():
    """There is nothing to compare it with."""
    verdict = gate.first(Estimate(0.8, 0.3, 0.9, 5), "f1")

    assert (verdict.deploy, verdict.proven, verdict.action) == (True, False, "deploy")
    assert (verdict.verdict, verdict.challenger.value) == ("first", 0.8)


@pytest.mark.parametrize(
    ("wins", "verdict", "margin"), [(100, "not_inferior", 0.01), (200, "better", 0)]
)
def test_the_evidence_is_recorded_with_what_it_is_about(wins, verdict, margin):
    """A refresh may be worse by the margin; one that is better is said to be by its own wins."""
    found = judge(won_and_lost(5000, wins, 95), standing=Standing(refresh=1))

    assert (found.verdict, found.margin) == (verdict, margin)
    counts = [wins, 95, 5000 - wins - 95]
    assert found.e_value == pytest.approx(paired_evidence([1, -1, 0], counts, margin=margin))
    assert found.facts()["margin"] == margin
