import numpy as np
import pytest
import scipy.stats

from risk.stats.batches import mean_of_batches


def test_batches_of_one_size_are_a_sample_of_their_means():
    """The oracle is scipy's t interval of the means."""
    means = np.array([0.1, 0.4, 0.2, 0.5])

    found = mean_of_batches(means, [50] * 4, [0.0] * 4)

    expected = scipy.stats.t.interval(0.95, 3, means.mean(), scipy.stats.sem(means))
    assert (found.value, found.n) == (pytest.approx(means.mean()), 200)
    assert (found.lower, found.upper) == pytest.approx(expected)


def test_a_batch_weighs_as_much_as_its_rows():
    assert mean_of_batches([0.0, 1.0], [300, 100], [0, 0]).value == 0.25


def test_batches_that_agree_by_chance_do_not_look_certain():
    """Three equal means vary by nothing; their rows still do."""
    found = mean_of_batches([0.2] * 3, [100] * 3, [0.1] * 3)

    half = scipy.stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (found.lower, found.upper) == pytest.approx((0.2 - half, 0.2 + half))


def test_one_batch_has_no_interval():
    found = mean_of_batches([0.3], [10], [0.1])

    assert (found.value, found.lower, found.upper) == (0.3, None, None)


@pytest.mark.parametrize("sizes", [[], [1, 2]])
def test_without_one_size_for_each_batch_it_says_so(sizes):
    with pytest.raises(ValueError, match="per batch"):
        mean_of_batches([0.1] if sizes else [], sizes, sizes)


def test_the_interval_covers_the_mean_of_batches_that_differ():
    """Batches have means of their own, which the rows of a batch share; 95 % are promised."""
    rng, covered = np.random.default_rng(5), 0
    for _ in range(2000):
        sizes = rng.integers(50, 400, 12)
        means = rng.normal(0.1, 0.2, 12) + rng.normal(0, 1, 12) / np.sqrt(sizes)
        found = mean_of_batches(means, sizes, 1 / np.sqrt(sizes))
        covered += found.lower <= 0.1 <= found.upper

    assert 0.93 <= covered / 2000 <= 0.975
