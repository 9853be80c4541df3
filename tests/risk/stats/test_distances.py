import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import (
    binomtest,
    chi2_contingency,
    ks_2samp,
    kstwobign,
    norm,
    wasserstein_distance,
)

from risk.stats.distances import (
    chi_squared,
    describe,
    hellinger,
    jensen_shannon,
    kolmogorov_smirnov,
    wasserstein,
)
from risk.stats.drift import stability_index
from tests.torture import in_full

counts = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=20
).filter(lambda cells: all(map(any, zip(*cells, strict=True))))
properties = settings(max_examples=100, deadline=None, database=None, derandomize=True)
METHODS = ["psi", "jensenshannon", "hellinger", "chisquare", "wasserstein", "ks"]


@properties
@given(counts)
def test_jensen_shannon_is_that_of_scipy(cells):
    """In base 2, and with whatever cells are empty."""
    before, now = zip(*cells, strict=True)

    found = jensen_shannon(before, now)

    # A root makes a rounding error of 1e-16 one of 1e-8; scipy's own is NaN if it is below 0.
    expected = np.nan_to_num(distance.jensenshannon(before, now, base=2))
    assert found == pytest.approx(expected, abs=1e-7)
    assert 0 <= found <= 1


@properties
@given(counts)
def test_hellinger_is_that_of_a_plain_loop(cells):
    """One minus the Bhattacharyya coefficient, cell by cell without numpy."""
    before, now = zip(*cells, strict=True)
    n, m = sum(before), sum(now)

    found = hellinger(before, now)

    affinity = sum(math.sqrt(b / n * c / m) for b, c in cells)
    assert found == pytest.approx(math.sqrt(max(0, 1 - affinity)), abs=1e-7)
    assert 0 <= found <= 1


@properties
@given(counts, st.data())
def test_wasserstein_is_that_of_scipy(cells, data):
    """Each row at the position of its cell."""
    before, now = zip(*cells, strict=True)
    steps = data.draw(st.lists(st.floats(0.01, 50), min_size=len(cells), max_size=len(cells)))
    positions = np.cumsum(steps) - 100

    found = wasserstein(before, now, positions)

    expected = wasserstein_distance(positions, positions, before, now)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kolmogorov_smirnov_is_that_of_scipy_where_no_two_rows_share_a_cell():
    """Then the cells are the ranks, and the p-value is exact, also where it is tiny."""
    rng = np.random.default_rng(20240601)

    for n, m, shift in [(6, 4, 0), (40, 25, 0.4), (300, 300, 0.1), (900, 70, 0.3), (150, 90, 2)]:
        before, now = rng.normal(0, 1, n), rng.normal(shift, 1, m)
        ranks = np.argsort(np.argsort(np.concatenate([before, now])))
        old, new = (np.bincount(part, minlength=n + m) for part in np.split(ranks, [n]))

        found = kolmogorov_smirnov(old, new)

        expected = ks_2samp(before, now, method="exact")
        assert found.value == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (7, 3), (1, 6), (2, 2)])
def test_the_exact_p_value_is_the_share_of_the_orders_that_go_as_far_apart(n, m):
    """All orders of n and m rows one by one, in whole numbers."""
    gaps = {
        order: max(
            abs(
                sum(place < end for place in order) * m
                - sum(p not in order for p in range(end)) * n
            )
            for end in range(n + m + 1)
        )
        for order in combinations(range(n + m), n)
    }

    for order, gap in gaps.items():
        old = [int(place in order) for place in range(n + m)]

        found = kolmogorov_smirnov(old, [1 - rows for rows in old])

        assert found.value == pytest.approx(gap / (n * m))
        share = sum(other >= gap for other in gaps.values()) / len(gaps)
        assert found.p_value == pytest.approx(share)


def test_with_many_rows_the_p_value_is_the_limit_of_kolmogorov():
    """More rows than an exact one is found for in time, and the two agree."""
    found = kolmogorov_smirnov([3000, 3000, 3000], [560, 500, 440])

    assert found.value == pytest.approx(560 / 1500 - 1 / 3)
    assert found.p_value == pytest.approx(
        kstwobign.sf(found.value * math.sqrt(9000 * 1500 / 10_500))
    )


def test_with_tied_rows_the_p_value_is_too_large_rather_than_too_small():
    """Of 1000 drift-free pairs in 10 cells at most 5 % are below 0.05."""
    rng = np.random.default_rng(20240602)
    pairs = zip(*(rng.multinomial(size, [0.1] * 10, size=1000) for size in (100, 60)), strict=True)

    alarms = sum(kolmogorov_smirnov(*pair).p_value < 0.05 for pair in pairs)

    assert 0 < alarms <= 0.05 * 1000


@properties
@given(st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500)), min_size=2, max_size=9))
def test_chi_squared_is_that_of_scipy_where_no_cell_is_thin(cells):
    """Pearson's statistic without correction, and Cramer's V of a table of two rows."""
    before, now = zip(*cells, strict=True)
    table = np.array([before, now])
    expected = chi2_contingency(table, correction=False)
    assume(expected.expected_freq.min() >= 5)

    found = chi_squared(before, now)

    assert found.value == pytest.approx(math.sqrt(expected.statistic / table.sum()))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


def test_thin_cells_are_pooled_smallest_first():
    """A pool needs 10 rows of 60 and 60: 2, 3 and 6 make one, 9 waits for 40, 60 stands alone."""
    found = chi_squared([20, 2, 4, 30, 1, 3], [20, 0, 5, 30, 2, 3])

    pooled = np.array([[2 + 1 + 3, 4 + 20, 30], [0 + 2 + 3, 5 + 20, 30]])
    expected = chi2_contingency(pooled, correction=False)
    assert found.value == pytest.approx(math.sqrt(expected.statistic / 120))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_thin_cells_that_are_left_over_join_the_last_pool():
    """A pool needs 20 rows of 48 and 16: 11 and 12 make one, 13 and 14 another, which gets 14."""
    found = chi_squared([6, 11, 11, 10, 10], [5, 1, 2, 4, 4])

    pooled = np.array([[6 + 11, 11 + 10 + 10], [5 + 1, 2 + 4 + 4]])
    expected = chi2_contingency(pooled, correction=False)
    assert found.value == pytest.approx(math.sqrt(expected.statistic / 64))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_too_few_rows_for_two_cells_tell_nothing():
    """Not even that no row is where the others are."""
    found = chi_squared([9, 0, 0], [0, 1, 1])

    assert (found.value, found.p_value) == (0, 1)


def test_the_chi_squared_test_alarms_as_often_as_it_says():
    """Over 2000 drift-free pairs with thin cells, which are pooled by their own counts."""
    rng = np.random.default_rng(20240603)
    shares = np.array([40, 25, 15, 10, 4, 2, 2, 1, 0.5, 0.5]) / 100
    pairs = zip(*(rng.multinomial(size, shares, size=2000) for size in (2000, 200)), strict=True)

    alarms = sum(chi_squared(*pair).p_value < 0.05 for pair in pairs)

    assert binomtest(alarms, 2000, 0.05).pvalue > 0.001


def test_a_description_holds_each_distance_under_its_name():
    """The values and p-values are those of the functions themselves."""
    before, now, positions = [1000, 600, 400], [215, 155, 130], [0, 10, 50]

    found = describe(before, now, positions=positions)

    index = stability_index(before, now)
    table, curves = chi_squared(before, now), kolmogorov_smirnov(before, now)
    assert {name: (each.value, each.p_value) for name, each in found.items()} == {
        "psi": (index.excess, index.p_value),
        "jensenshannon": (jensen_shannon(before, now), None),
        "hellinger": (hellinger(before, now), None),
        "chisquare": (table.value, table.p_value),
        "wasserstein": (wasserstein(before, now, positions), None),
        "ks": (curves.value, curves.p_value),
    }


def test_cells_without_positions_have_no_order():
    """So what needs one is left out, and the rest is the same."""
    ordered = describe([100, 60, 40], [21, 15, 13], positions=[1, 2, 3])
    found = describe([100, 60, 40], [21, 15, 13])

    assert list(found) == METHODS[:4]
    assert found == {name: ordered[name] for name in found}


def test_the_unit_of_the_positions_is_that_of_the_distance():
    """Years instead of months: a twelfth, the interval as well."""
    months = describe([100, 60, 40], [10, 20, 30], positions=[0, 12, 60])["wasserstein"]
    years = describe([100, 60, 40], [10, 20, 30], positions=[7, 8, 12])["wasserstein"]

    assert (years.value, years.lower, years.upper) == pytest.approx(
        (months.value / 12, months.lower / 12, months.upper / 12)
    )


@pytest.mark.parametrize(("n", "m"), [(4000, 4000), (20_000, 2000)])
def test_the_interval_of_a_clear_difference_is_that_of_its_normal_approximation(n, m):
    """By hand for two cells, where it is that of a difference of two shares."""
    before, now = np.array([0.5, 0.5]) * n, np.array([0.3, 0.7]) * m

    found = [describe(before, now, positions=[0, 1], seed=seed) for seed in range(10)]

    half = 1.96 * math.sqrt(0.5 * 0.5 / n + 0.3 * 0.7 / m)
    for name in ("ks", "wasserstein"):
        assert found[0][name].value == pytest.approx(0.2)
        lower, upper = (
            np.mean([getattr(each[name], end) for each in found]) for end in ("lower", "upper")
        )
        assert lower == pytest.approx(0.2 - half, abs=0.1 * half)
        assert upper == pytest.approx(0.2 + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_intervals():
    """And another one nearly the same."""
    cells = ([1000, 600, 400], [86, 62, 52])

    first, again, other = (describe(*cells, seed=seed)["hellinger"] for seed in (1, 1, 2))

    assert first == again
    assert first.upper != other.upper
    assert other.upper == pytest.approx(first.upper, rel=0.05)


def test_more_confidence_needs_a_wider_interval():
    """Nested, for each distance."""
    cells = ([1000, 600, 400], [186, 262, 252])
    narrow = describe(*cells, positions=[0, 1, 2], confidence=0.8)
    wide = describe(*cells, positions=[0, 1, 2], confidence=0.99)

    for name in METHODS:
        assert wide[name].lower < narrow[name].lower < narrow[name].upper < wide[name].upper


@pytest.mark.parametrize(
    ("shift", "m", "least"),
    [(0, 200, 0.95), (0.5, 500, 0.88), in_full(0.3, 500, 0.88), in_full(1, 500, 0.88)],
)
def test_the_intervals_cover_the_distance_of_the_distributions(shift, m, least):
    """About 95 % of 200 pairs of 2000 rows and m, in deciles, shifted in standard deviations."""
    rng = np.random.default_rng(20240604)
    edges = norm.ppf(np.linspace(0, 1, 11))
    p, q, positions = np.full(10, 0.1), np.diff(norm.cdf(edges - shift)), np.arange(10)
    mixed = (2000 * p + m * q) / (2000 + m)
    truth = {
        "psi": np.sum((q - p) * np.log(q / p)),
        "jensenshannon": distance.jensenshannon(p, q, base=2),
        "hellinger": math.sqrt(abs(1 - np.sum(np.sqrt(p * q)))),
        "chisquare": math.sqrt(2000 * m / (2000 + m) ** 2 * np.sum((p - q) ** 2 / mixed)),
        "wasserstein": wasserstein_distance(positions, positions, p, q),
        "ks": np.max(np.abs(np.cumsum(p - q))),
    }

    covered = dict.fromkeys(truth, 0)
    for old, new in zip(rng.multinomial(2000, p, 200), rng.multinomial(m, q, 200), strict=True):
        for name, found in describe(old, new, positions=positions).items():
            covered[name] += found.lower - 1e-7 <= truth[name] <= found.upper + 1e-7

    assert min(covered.values()) >= least * 200, covered


def test_a_difference_that_is_only_noise_is_told_as_such():
    """Of 100 drift-free batches of 200 rows hardly one has a lower bound above 0."""
    rng = np.random.default_rng(20240605)

    found = [describe([200] * 10, batch) for batch in rng.multinomial(200, [0.1] * 10, size=100)]

    for name in METHODS[:4]:
        assert sum(each[name].lower > 0 for each in found) <= 2, name
    assert min(each["jensenshannon"].value for each in found) > 0


@properties
@given(counts)
def test_each_distance_is_in_its_interval_and_its_range(cells):
    """With whatever cells are empty, and without a warning."""
    before, now = zip(*cells, strict=True)
    positions = np.linspace(-3, 5, len(cells))

    found = describe(before, now, positions=positions)

    most = {"psi": math.inf, "wasserstein": 8 + 1e-9}
    for name, each in found.items():
        assert 0 <= each.lower <= each.value <= each.upper <= most.get(name, 1)
        assert each.p_value is None or 0 <= each.p_value <= 1
        assert {type(each.lower), type(each.value), type(each.upper)} == {float}


def test_a_constant_feature_is_at_no_distance():
    """One cell in use, so that nothing could differ."""
    found = describe([100, 0], [30, 0], positions=[1, 2])

    for each in found.values():
        assert (each.value, each.lower, each.upper) == (0, 0, 0)
        assert each.p_value in (1, None)


def test_samples_without_a_cell_in_common_are_as_far_apart_as_can_be():
    """All rows of the one in the first cell, of the other in the last."""
    found = describe([400, 0, 0], [0, 0, 100], positions=[0, 5, 20])

    for name in ("jensenshannon", "hellinger", "chisquare", "ks"):
        assert found[name].value == pytest.approx(1)
    assert found["wasserstein"].value == pytest.approx(20)


FUNCTIONS = [
    jensen_shannon,
    hellinger,
    lambda before, now: wasserstein(before, now, [1, 2]),
    kolmogorov_smirnov,
    chi_squared,
    describe,
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("reference", "current", "message"),
    [
        ([1, 2], [1, 2, 3], r"equal length, at least 2, got shapes \(2,\) and \(3,\)"),
        ([5], [5], r"at least 2, got shapes \(1,\)"),
        ([[1, 2]], [[1, 2]], r"got shapes \(1, 2\)"),
        ([5, -1], [2, 2], "counts must be whole, finite and not negative, got -1"),
        ([5, 1], [2, 0.5], "counts must be whole, finite and not negative, got 0.5"),
        ([5, 1], [2, math.nan], "counts must be whole, finite and not negative, got nan"),
        ([5, math.inf], [2, 2], "counts must be whole, finite and not negative, got inf"),
        ([0, 0], [2, 2], "at least one row, got 0 and 4"),
        ([2, 2], [0, 0], "at least one row, got 4 and 0"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(function, reference, current, message):
    """Each malformed input is refused for its own reason, by every function."""
    with pytest.raises(ValueError, match=message):
        function(reference, current)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([1, 2, 3], r"need 2 positions, got shape \(3,\)"),
        ([2, 1], r"must be finite and increase, got \[2.0, 1.0\]"),
        ([1, 1], "must be finite and increase"),
        ([1, math.nan], "must be finite and increase"),
        ([1, math.inf], "must be finite and increase"),
    ],
)
def test_positions_that_are_no_order_are_refused(positions, message):
    """By the distance itself and by the description."""
    with pytest.raises(ValueError, match=message):
        wasserstein([1, 2], [2, 1], positions)
    with pytest.raises(ValueError, match=message):
        describe([1, 2], [2, 1], positions=positions)


@pytest.mark.parametrize("confidence", [0, 1, -0.5, math.nan])
def test_the_confidence_must_be_a_chance(confidence):
    """Neither none nor all of it."""
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got"):
        describe([1, 2], [2, 1], confidence=confidence)


def test_the_arguments_are_left_alone():
    """The profile of the reference is used again for the next batch."""
    before, now = np.array([5.0, 0.0, 3.0]), np.array([1.0, 0.0, 7.0])

    describe(before, now, positions=[1, 2, 3])

    assert before.tolist() == [5, 0, 3]
    assert now.tolist() == [1, 0, 7]
