import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact, hypergeom

from risk.stats.segments import worse_than_elsewhere


def by_counting(n, n_wrong, size, wrong_inside):
    """Count the ways to choose the wrong rows, exactly."""
    ways = sum(
        math.comb(size, k) * math.comb(n - size, n_wrong - k)
        for k in range(wrong_inside, min(size, n_wrong) + 1)
    )
    return float(Fraction(ways, math.comb(n, n_wrong)))


def test_one_segment_has_the_exact_tail_of_its_errors():
    """Counted by hand, and as scipy's Fisher test has it."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        wrong, members = rng.random(25) < 0.3, rng.random(25) < 0.5
        table = [[np.sum(wrong & members), np.sum(~wrong & members)],
                 [np.sum(wrong & ~members), np.sum(~wrong & ~members)]]  # fmt: skip

        (p_value,) = worse_than_elsewhere(wrong, [members])

        expected = by_counting(25, wrong.sum(), members.sum(), table[0][0])
        assert p_value == pytest.approx(expected)
        assert p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue)


@pytest.mark.parametrize(("n", "wrong_share"), [(1, 1.0), (7, 0.5), (800, 0.01), (20_000, 0.2)])
def test_the_tail_is_that_of_scipy_for_few_and_many_rows(n, wrong_share):
    """From empty segments to those of all rows, with all they can have of the wrong."""
    rng = np.random.default_rng(n)
    wrong = rng.random(n) < wrong_share
    members = rng.random((60, n)) < np.linspace(0, 1, 60)[:, None]
    members[:20] &= wrong  # no segment is worse
    sizes, errors = members.sum(axis=1), members[:, wrong].sum(axis=1)

    alone = [float(worse_than_elsewhere(wrong, [row])[0]) for row in members]

    expected = hypergeom.sf(errors - 1, n, wrong.sum(), sizes)
    assert alone == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-300)


def test_several_segments_are_adjusted_as_holm_says():
    """By hand: of three p-values the smallest counts three times, the next twice; none falls."""
    wrong = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    members = np.array([[1] * 4 + [0] * 6, [1] * 3 + [0] * 7, [0] * 4 + [1] * 6])
    alone = [worse_than_elsewhere(wrong, [row])[0] for row in members]

    together = worse_than_elsewhere(wrong, members)

    first, second, third = 3 * alone[0], max(3 * alone[0], 2 * alone[1]), 1.0
    assert alone == pytest.approx([1 / 210, 1 / 30, 1.0])
    assert together == pytest.approx([first, second, third])


def test_where_nothing_or_everything_is_wrong_no_segment_stands_out():
    """There is no elsewhere to be better."""
    members = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]

    assert worse_than_elsewhere([0, 0, 0, 0], members).tolist() == [1, 1, 1, 1]
    assert worse_than_elsewhere([1, 1, 1, 1], members).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("wrong", "members"),
    [([0, 1], [0, 1]), ([[0, 1]], [[0, 1]]), ([0, 1], [[0, 1, 1]]), ([0, 2], [[0, 1]]),
     ([0, 1], [[0, 0.5]]), ([0, np.nan], [[0, 1]])],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong, members):
    """By name."""
    with pytest.raises(ValueError, match="wrong|members"):
        worse_than_elsewhere(wrong, members)


def test_no_more_false_verdicts_than_promised():
    """Where errors have nothing to do with segments, at most 1 in 20 tables names any."""
    rng = np.random.default_rng(11)
    tables, alpha, false_verdicts = 1500, 0.05, 0
    for _ in range(tables):
        quarters = rng.integers(0, 4, (5, 200))
        members = np.concatenate([quarters == q for q in range(4)])
        false_verdicts += worse_than_elsewhere(rng.random(200) < 0.25, members).min() <= alpha

    assert binomtest(false_verdicts, tables, alpha, alternative="greater").pvalue > 0.001
    assert false_verdicts > 0  # or it would be blind


def test_a_weak_segment_is_found_among_many():
    """Wrong in half of 100 rows instead of a tenth, one of 40 segments: nearly always seen."""
    rng = np.random.default_rng(5)
    members = rng.random((40, 2000)) < 0.05
    chance = np.where(members[7], 0.5, 0.1)

    found = [worse_than_elsewhere(rng.random(2000) < chance, members) for _ in range(50)]

    assert sum(p_values.argmin() == 7 and p_values[7] < 0.05 for p_values in found) >= 49
