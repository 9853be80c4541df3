import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2

from risk.stats.drift import stability_index

counts = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=20
).filter(lambda cells: all(map(any, zip(*cells, strict=True))))
properties = settings(max_examples=200, deadline=None, database=None, derandomize=True)


def test_the_index_is_the_sum_one_can_do_by_hand():
    """Shares 1/4, 3/4 against 1/2, 1/2 after half a row is added to each cell."""
    found = stability_index([0.5, 2.5], [1.5, 1.5])

    index = 0.25 * math.log(2) + 0.25 * math.log(3 / 2)
    noise = 1 / 3 + 1 / 3
    assert found.statistic == pytest.approx(index)
    assert found.p_value == pytest.approx(chi2.sf(index / noise, df=1))
    assert found.excess == 0


def test_the_rows_added_to_each_cell_can_be_chosen():
    """By hand: (1 + 1, 5 + 1) and (3 + 1, 3 + 1) of 8 are the shares of the test above."""
    found = stability_index([1, 5], [3, 3], pseudo_count=1)

    assert found.statistic == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(3 / 2))
    assert found.p_value == pytest.approx(chi2.sf(found.statistic * 3, df=1))  # over 1/6 + 1/6


def test_the_excess_is_the_index_without_its_noise():
    """Four cells, so three degrees of freedom: 3 (1/2000 + 1/500) are noise."""
    found = stability_index([800, 600, 400, 200], [100, 150, 100, 150])

    assert found.excess == pytest.approx(found.statistic - 3 * (1 / 2000 + 1 / 500))


def test_the_same_shift_is_stronger_evidence_in_more_rows():
    """The size of a change does not depend on the rows, its p-value does."""
    many = stability_index([5000, 3000, 2000], [4300, 3100, 2600])
    few = stability_index([50, 30, 20], [43, 31, 26])

    assert many.statistic == pytest.approx(few.statistic, rel=0.1)
    assert many.p_value < 1e-6 < 0.3 < few.p_value


def test_an_empty_cell_costs_a_finite_amount():
    """A value never seen before is drift, not infinity."""
    found = stability_index([100, 100, 0], [0, 100, 100])

    assert math.isfinite(found.statistic)
    assert found.p_value < 1e-6


def test_a_cell_without_any_row_changes_nothing():
    """No row missing then, none now: such a cell neither dilutes the p-value nor the excess."""
    found = stability_index([40, 0, 60, 0], [60, 0, 40, 0])

    assert found == stability_index([40, 60], [60, 40])


def test_a_constant_feature_does_not_drift():
    """One cell in use leaves no degree of freedom, and nothing to alarm about."""
    found = stability_index([100, 0], [30, 0])

    assert (found.statistic, found.p_value, found.excess) == (0, 1, 0)


@pytest.mark.parametrize(
    ("reference", "current", "message"),
    [
        ([1, 2], [1, 2, 3], r"equal length, at least 2, got shapes \(2,\) and \(3,\)"),
        ([5], [5], r"at least 2, got shapes \(1,\)"),
        ([[1, 2]], [[1, 2]], r"got shapes \(1, 2\)"),
        ([5, -1], [2, 2], "counts must be finite and not negative, got -1"),
        ([5, 1], [2, math.nan], "counts must be finite and not negative, got nan"),
        ([5, math.inf], [2, 2], "counts must be finite and not negative, got inf"),
        ([0, 0], [2, 2], "at least one row, got 0 and 4"),
        ([2, 2], [0, 0], "at least one row, got 4 and 0"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(reference, current, message):
    """Each malformed input is refused for its own reason."""
    with pytest.raises(ValueError, match=message):
        stability_index(reference, current)


@pytest.mark.parametrize("pseudo_count", [0, -1, math.nan, math.inf])
def test_smoothing_must_add_something(pseudo_count):
    """Without it an empty cell would cost an infinite amount."""
    with pytest.raises(ValueError, match="pseudo_count must be positive and finite, got"):
        stability_index([1, 2], [1, 2], pseudo_count=pseudo_count)


@pytest.mark.parametrize(("n", "m", "cells"), [(2000, 500, 4), (10_000, 200, 10), (500, 200, 10)])
def test_without_drift_the_alarm_rate_is_the_stated_level(n, m, cells):
    """Over 4000 drift-free pairs, p < 0.05 in 5 % of them, and never in more."""
    rng = np.random.default_rng(20240501)
    old, new = (rng.multinomial(size, [1 / cells] * cells, size=4000) for size in (n, m))

    alarms = sum(stability_index(*pair).p_value < 0.05 for pair in zip(old, new, strict=True))

    assert binomtest(alarms, 4000, 0.05, alternative="greater").pvalue > 0.001
    assert alarms > 0.04 * 4000


def test_without_drift_every_level_is_kept_in_cells_of_unlike_size():
    """The p-values of 2000 against 500 rows are even: alpha of them lie below each alpha."""
    rng = np.random.default_rng(20240505)
    old, new = (rng.multinomial(size, [0.4, 0.3, 0.2, 0.1], size=4000) for size in (2000, 500))

    p_values = [stability_index(*pair).p_value for pair in zip(old, new, strict=True)]

    for alpha in (0.01, 0.05, 0.2, 0.5):
        alarms = sum(p_value < alpha for p_value in p_values)
        assert binomtest(alarms, 4000, alpha).pvalue > 0.001, alpha


@pytest.mark.parametrize(
    ("n", "m", "noise"),
    [(10_000, 1000, 0.0099), (2000, 500, 0.0225)],  # 9 (1/10000 + 1/1000), 9 (1/2000 + 1/500)
)
def test_without_drift_the_noise_is_what_the_index_is_on_average(n, m, noise):
    """So what is subtracted is the bias, and what is left of the index is 0 on average."""
    rng = np.random.default_rng(20240502)
    old, new = (rng.multinomial(size, [0.1] * 10, size=4000) for size in (n, m))

    found = [stability_index(*pair).statistic for pair in zip(old, new, strict=True)]

    assert np.mean(found) - noise == pytest.approx(0, abs=0.05 * noise)


def test_without_drift_a_small_batch_rarely_passes_the_customary_limit():
    """Of 50 rows in 10 cells more than 20 % of the indices exceed 0.2, 2 % of the excesses."""
    rng = np.random.default_rng(20240503)
    batches = rng.multinomial(50, [0.1] * 10, size=4000)

    found = [stability_index([1000] * 10, batch) for batch in batches]

    assert np.mean([index.statistic > 0.2 for index in found]) > 0.2
    assert np.mean([index.excess > 0.2 for index in found]) < 0.03


def test_a_real_shift_is_not_subtracted_away():
    """Half a standard deviation, in deciles of 2000 rows: an index near 0.25, nearly all excess."""
    rng = np.random.default_rng(20240504)
    edges = np.quantile(rng.standard_normal(100_000), np.linspace(0, 1, 11)[1:-1])
    old, new = (
        np.bincount(np.digitize(rng.normal(mean, 1, 2000), edges), minlength=10)
        for mean in (0, 0.5)
    )

    found = stability_index(old, new)

    assert 0.2 < found.excess < 0.3


@properties
@given(counts)
def test_the_order_of_the_samples_does_not_matter(cells):
    """The index is symmetric, to the last bit."""
    before, now = zip(*cells, strict=True)

    assert stability_index(before, now) == stability_index(now, before)


@properties
@given(counts, st.randoms(use_true_random=False))
def test_the_order_of_the_cells_does_not_matter(cells, random):
    """Categories have no order, and bins only need the same one in both samples."""
    shuffled = random.sample(cells, len(cells))

    first = stability_index(*zip(*cells, strict=True))
    second = stability_index(*zip(*shuffled, strict=True))

    assert second.statistic == pytest.approx(first.statistic, abs=1e-12)
    assert second.excess == pytest.approx(first.excess, abs=1e-12)
    assert second.p_value == pytest.approx(first.p_value, abs=1e-9)


@properties
@given(counts, st.sampled_from([0.01, 0.5, 2]))
def test_the_index_is_that_of_a_plain_loop(cells, pseudo_count):
    """Cell by cell without numpy, and the p-value from scipy's chi-squared distribution."""
    used = [cell for cell in cells if any(cell)]
    n, m = map(sum, zip(*cells, strict=True))

    found = stability_index(*zip(*cells, strict=True), pseudo_count=pseudo_count)

    index = 0.0
    for before, now in used:
        p = (before + pseudo_count) / (n + pseudo_count * len(used))
        q = (now + pseudo_count) / (m + pseudo_count * len(used))
        index += (q - p) * math.log(q / p)
    freedom, noise = max(len(used) - 1, 1), 1 / n + 1 / m
    assert found.statistic == pytest.approx(index, abs=1e-12)
    assert found.p_value == pytest.approx(chi2.sf(index / noise, freedom), rel=1e-6, abs=1e-9)
    assert found.excess == pytest.approx(max(0, index - freedom * noise), abs=1e-12)


@properties
@given(counts)
def test_the_result_is_finite_and_within_its_range(cells):
    """With whatever cells are empty, and without a warning."""
    found = stability_index(*zip(*cells, strict=True))

    assert 0 <= found.excess <= found.statistic < math.inf
    assert 0 <= found.p_value <= 1
    assert {type(found.statistic), type(found.p_value), type(found.excess)} == {float}


@properties
@given(counts)
def test_equal_samples_do_not_differ(cells):
    """No distance, no surprise."""
    before, _ = zip(*cells, strict=True)

    found = stability_index(before, before)

    assert (found.statistic, found.p_value, found.excess) == (0, 1, 0)


def test_the_arguments_are_left_alone():
    """The profile of the reference is used again for the next batch."""
    before, now = np.array([5.0, 0.0, 3.0]), np.array([1.0, 0.0, 7.0])

    stability_index(before, now)

    assert before.tolist() == [5, 0, 3]
    assert now.tolist() == [1, 0, 7]
