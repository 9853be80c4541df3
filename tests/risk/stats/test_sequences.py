import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from risk.stats.sequences import confidence_sequence
from tests.torture import in_full


def scores_of(kind, rng, shape):
    """Scores in [0, 1], and their mean."""
    if kind == "skewed":
        return rng.beta(0.2, 3, shape), 0.2 / 3.2
    return (rng.random(shape) < kind).astype(float), kind


def sums_of(scores):
    """Of scores of shape (n_batches, n_rows)."""
    counts = np.full(len(scores), scores.shape[1])
    return scores.sum(axis=1), counts, (scores**2).sum(axis=1)


def bound_by_integration(deviation_limit, variance, rho, tail):
    """Smallest S at which the mixture, integrated as it is defined, is 1 / tail."""

    def density(x):
        return (1 - x) ** (rho - 1) * math.exp(-rho * (1 - x))

    def mixture(s):
        value, _ = quad(
            lambda x: density(x) * math.exp(x * s + (math.log1p(-x) + x) * variance), 0, 1
        )
        return value / quad(density, 0, 1)[0]

    return brentq(lambda s: mixture(s) - 1 / tail, 0, deviation_limit)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_bounds_are_those_of_the_formula_row_by_row(confidence):
    """In plain loops over the rows, with the mixture integrated numerically."""
    rng = np.random.default_rng(20240701)
    batches = [rng.beta(2, 3, size) for size in (40, 5, 1, 120)]
    tail = (1 - confidence) / 2
    cost = 2 * math.log(1 / tail)
    rho = 100 / (cost + math.log(1 + cost))

    found = confidence_sequence(
        [batch.sum() for batch in batches],
        [len(batch) for batch in batches],
        [(batch**2).sum() for batch in batches],
        confidence=confidence,
    )

    seen, variance = [], 0.0
    for batch, bounds in zip(batches, found, strict=True):
        guess = (sum(seen) + 0.5) / (len(seen) + 1)
        variance += sum((score - guess) ** 2 for score in batch)
        seen.extend(batch)
        half = bound_by_integration(len(seen), variance, rho, tail) / len(seen)
        assert bounds == pytest.approx([np.mean(seen) - half, np.mean(seen) + half], abs=1e-6)


@pytest.mark.parametrize("kind", [0.02, "skewed", in_full(0.2), in_full(0.5)])
def test_the_chance_of_ever_missing_is_within_what_is_allowed(kind):
    """400 runs of 300 batches of 20 rows, each looked at after every batch."""
    rng = np.random.default_rng(20240702)

    misses = 0
    for _ in range(400):
        scores, mean = scores_of(kind, rng, (300, 20))
        lower, upper = confidence_sequence(*sums_of(scores)).T
        misses += bool(np.any((mean < lower) | (mean > upper)))

    assert misses <= 0.05 * 400


def test_an_interval_for_one_look_misses_sooner_or_later():
    """What this module is for: of 1.96 standard errors a third of the runs step out."""
    rng = np.random.default_rng(20240703)
    rows = 20 * np.arange(1, 301)

    means = np.cumsum(rng.binomial(20, 0.2, (400, 300)), axis=1) / rows
    outside = np.abs(means - 0.2) > 1.96 * np.sqrt(means * (1 - means) / rows)

    assert outside[:, 10:].any(axis=1).mean() > 0.25


def test_of_a_mean_that_changes_the_mean_so_far_is_covered():
    """Churn climbs from 10 to 40 % over 300 batches, in 200 runs."""
    rng = np.random.default_rng(20240704)
    chances = np.linspace(0.1, 0.4, 300)
    so_far = np.cumsum(chances) / np.arange(1, 301)

    misses = 0
    for _ in range(200):
        churned = rng.binomial(50, chances)
        lower, upper = confidence_sequence(churned, np.full(300, 50), churned).T
        misses += bool(np.any((so_far < lower) | (so_far > upper)))

    assert misses <= 0.05 * 200


@pytest.mark.parametrize("chance", [0.02, 0.2, 0.5])
def test_four_times_the_rows_about_halve_the_width(chance):
    """Twice a Wald interval at most, after 300 batches, for being valid at any time."""
    sums = np.full(300, 100 * chance)

    lower, upper = confidence_sequence(sums, np.full(300, 100), sums).T

    width = upper - lower
    assert 1.85 < width[74] / width[299] < 2.15
    assert width[299] < 2 * 2 * 1.96 * math.sqrt(chance * (1 - chance) / 30_000)


def test_scores_that_vary_less_are_known_better():
    """The variance that was seen counts, not the largest there could be."""
    calm = confidence_sequence([50.0] * 50, [100] * 50, [25.5] * 50)
    wild = confidence_sequence([50.0] * 50, [100] * 50, [50.0] * 50)

    assert np.ptp(calm[-1]) < 0.5 * np.ptp(wild[-1])


def test_scores_of_another_range_are_rescaled():
    """The same scores times 40 less 10: bounds in their unit."""
    rng = np.random.default_rng(20240705)
    scores = rng.beta(2, 5, (20, 30))

    plain = confidence_sequence(*sums_of(scores))
    found = confidence_sequence(*sums_of(40 * scores - 10), within=(-10, 30))

    assert found == pytest.approx(40 * plain - 10, abs=1e-6)


def test_the_scores_turned_round_turn_the_bounds_round():
    """No side is favoured: errors and hits have the same interval."""
    rng = np.random.default_rng(20240706)
    scores = rng.beta(2, 5, (20, 30))

    plain = confidence_sequence(*sums_of(scores))
    found = confidence_sequence(*sums_of(1 - scores))

    assert found[:, ::-1] == pytest.approx(1 - plain, abs=1e-9)


def test_few_rows_leave_the_bounds_where_they_were():
    """One row tells next to nothing, and that much is said."""
    found = confidence_sequence([1], [1], [1])

    assert found.tolist() == [[0, 1]]


def test_what_is_yet_to_come_changes_no_bound():
    """The first batches have the same bounds whatever follows."""
    sums, counts = np.array([4.0, 9.0, 2.0]), np.array([50, 60, 20])

    all_of_them = confidence_sequence(sums, counts, sums)
    first_two = confidence_sequence(sums[:2], counts[:2], sums[:2])

    assert all_of_them[:2].tolist() == first_two.tolist()


def test_a_million_batches_worth_of_rows_stay_exact():
    """No overflow, no warning: 10 million rows a batch."""
    lower, upper = confidence_sequence([2e6] * 5, [10**7] * 5, [2e6] * 5).T

    assert np.all((lower < 0.2) & (upper > 0.2))
    assert upper[-1] - lower[-1] < 0.001


@pytest.mark.parametrize(
    ("sums", "counts", "squares", "message"),
    [
        ([], [], [], r"at least 1, got shapes \(0,\), \(0,\) and \(0,\)"),
        ([1], [2, 2], [1], r"equal length, at least 1, got shapes \(1,\), \(2,\) and \(1,\)"),
        ([[1]], [[2]], [[1]], r"got shapes \(1, 1\)"),
        ([1], [0], [1], "counts must be whole and at least 1, got 0"),
        ([1], [2.5], [1], "counts must be whole and at least 1, got 2.5"),
        ([1], [math.nan], [1], "counts must be whole and at least 1, got nan"),
        ([1, 3], [2, 2], [1, 3], "sums of batch 1 are not those of scores in `within`"),
        ([1], [2], [1.5], "sums of batch 0 are not"),
        ([1], [2], [0.4], "sums of batch 0 are not"),
        ([-1], [2], [1], "sums of batch 0 are not"),
        ([math.nan], [2], [1], "sums of batch 0 are not"),
    ],
)
def test_sums_that_cannot_be_are_refused(sums, counts, squares, message):
    """A score out of range would break the promise without a sign."""
    with pytest.raises(ValueError, match=message):
        confidence_sequence(sums, counts, squares)


@pytest.mark.parametrize("within", [(1, 0), (1, 1), (0, math.inf), (math.nan, 1)])
def test_the_range_must_be_one(within):
    """Without an end there is no bound of this kind."""
    with pytest.raises(ValueError, match="must be finite and increase, got"):
        confidence_sequence([1], [2], [1], within=within)


@pytest.mark.parametrize("confidence", [0, 1, -0.5, math.nan])
def test_the_confidence_must_be_a_chance(confidence):
    """Neither none nor all of it."""
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got"):
        confidence_sequence([1], [2], [1], confidence=confidence)
