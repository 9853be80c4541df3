import numpy as np
import pytest

from benchmarks.planted_shifts import CASES, Sample, split
from risk.stats.score_changes import (
    BASE_RATE,
    CHANCE,
    COVARIATES,
    PARTS,
    RELATION,
    ReferenceCells,
    ScoredRows,
    split_change,
)
from risk.stats.scores import BIGGER_IS_BETTER
from risk.stats.weighted_scores import Scoring
from tests.torture import in_full, thinned

# what no data can tell apart: odds that moved by themselves, or a prior hidden by covariates
IDENTIFIED = [name for name in CASES if name != "prior against covariates"]


def coverage(planted, metric, seeds):
    """Return how often each part's interval holds the true one."""
    true = planted.parts(metric)
    found = [split(Sample.draw(planted, seed), metric, seed).parts for seed in seeds]
    return {
        part: np.mean(
            [each[part].lower - 1e-3 <= true[part] <= each[part].upper + 1e-3 for each in found]
        )
        for part in PARTS
    }


@pytest.mark.parametrize(
    ("name", "metric", "n_seeds"),
    [
        ("prior", "f1", 12),
        ("covariates", "f1", 12),
        ("all three", "f1", 12),
        *(in_full(name, "f1", 100) for name in thinned(IDENTIFIED)),
        *(in_full("all three", name, 60) for name in thinned(BIGGER_IS_BETTER) if name != "f1"),
    ],
)
def test_planted_shifts_are_within_their_intervals(name, metric, n_seeds):
    """Nine of ten, with what chance does to so many trials: two standard errors."""
    found = coverage(CASES[name], metric, range(n_seeds))

    least = 0.9 - 2 * np.sqrt(0.9 * 0.1 / n_seeds)
    assert min(found.values()) >= least, found


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("prior", BASE_RATE),
        ("odds of all rows", BASE_RATE),
        ("covariates", COVARIATES),
        ("relation", RELATION),
    ],
)
def test_a_single_shift_is_all_of_the_change(name, part):
    """Features that follow the prior, and a base rate that follows them, count once."""
    found = split(Sample.draw(CASES[name], 1, n_rows=3000), "f1", 1)

    assert found.is_beyond_chance
    assert found.parts[part].value == pytest.approx(found.after - found.before, abs=0.02)
    assert all(found.parts[other].value == 0 for other in PARTS if other != part)


def test_parts_add_up_and_lie_in_their_intervals():
    """For every metric and mixture, whatever is given to chance."""
    for seed, (metric, planted) in enumerate(
        (m, p) for m in BIGGER_IS_BETTER for p in (CASES["nothing"], CASES["all three"])
    ):
        found = split(Sample.draw(planted, seed, n_rows=300), metric, seed)

        assert sum(part.value for part in found.parts.values()) == pytest.approx(
            found.after - found.before
        )
        assert all(part.lower <= part.value <= part.upper for part in found.parts.values())


def test_without_a_shift_all_is_chance():
    """In nearly all samples nothing is named."""
    found = [split(Sample.draw(CASES["nothing"], seed), "f1", seed) for seed in range(12)]

    named = sum(any(change.parts[part].value for part in PARTS) for change in found)
    assert named <= 3
    assert all(change.parts[CHANCE].value for change in found if change.parts)


def test_one_class_is_not_split():
    rows = ScoredRows.sorted([1, 1], [0.5, 0.6], [0.5, 0.6])
    reference = ReferenceCells(0.7, np.array([5.0]), np.array([5.0]), np.array([0.5]))

    assert split_change(reference, rows, Scoring("f1", 0.5)) is None


def test_nonsense_is_refused():
    reference = ReferenceCells(0.7, np.array([5.0]), np.array([5.0]), np.array([0.5]))

    with pytest.raises(ValueError, match="no row"):
        split_change(reference, ScoredRows.sorted([], [], []), Scoring("f1", 0.5))
    with pytest.raises(ValueError, match="confidence"):
        split_change(
            reference,
            ScoredRows.sorted([1, 0], [0.5, 0.6], [0.5, 0.6]),
            Scoring("f1", 0.5),
            confidence=1,
        )
