"""Planted mixtures of shifts, whose true parts are sums over a grid of the features."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

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
from tests.torture import in_full

THRESHOLD, N_REFERENCE, N_ROWS = 0.45, 2000, 800
STEPS = np.linspace(-4, 4, 161)
GRID = np.array(np.meshgrid(STEPS, STEPS)).reshape(2, -1).T
NORMAL = np.exp(-(GRID**2).sum(axis=1) / 2)
INTERCEPT, SLOPES = -0.3, np.array([1.2, 0.8])
COST = (0.0, 1.0, 5.0, 0.0)


def chance(x, shift=0.0, slopes=SLOPES):
    return expit(INTERCEPT + shift + x @ slopes)


def model(x):
    """Predict like a model that uses too little of the second feature."""
    return expit(-0.2 + x @ [0.9, 0.3])


@dataclass(frozen=True)
class Planted:
    """First the prior moves, then the features are tilted, then the relation has other slopes.

    `odds` multiplies the odds of all rows and leaves their features.
    """

    prior: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    slopes: tuple[float, float] | None = None
    odds: float = 0.0

    def stages(self):
        """Return weight and chance of each point of the grid, before, and after each shift."""
        before = NORMAL, chance(GRID)
        moved = chance(GRID, self.prior + self.odds)
        weight = NORMAL * (np.exp(self.prior) * chance(GRID) + 1 - chance(GRID))
        tilted = weight * np.exp(GRID @ self.tilt)
        last = moved if self.slopes is None else self._other_relation(tilted, moved)
        return before, (weight, moved), (tilted, moved), (tilted, last)

    def _other_relation(self, weight, moved):
        """Return the chances by other slopes at the same base rate."""
        low, high = -6.0, 6.0
        for _ in range(60):
            shift = (low + high) / 2
            new = chance(GRID, shift, np.array(self.slopes))
            low, high = (shift, high) if weight @ new < weight @ moved else (low, shift)
        return new

    def parts(self, metric):
        """Return the true parts."""
        order = np.argsort(model(GRID), kind="stable")
        scores = [
            float(
                Scoring(metric, THRESHOLD, COST)(
                    (w * c)[order], (w * (1 - c))[order], model(GRID)[order]
                )
            )
            for w, c in self.stages()
        ]
        return dict(zip((BASE_RATE, COVARIATES, RELATION), np.diff(scores), strict=True))

    def rows(self, rng, n, stage=-1):
        """Draw rows and their labels."""
        weight, moved = self.stages()[stage]
        drawn = rng.choice(len(GRID), n, p=weight / weight.sum())
        return GRID[drawn], (rng.random(n) < moved[drawn]).astype(float)


CASES = {
    "nothing": Planted(),
    "prior": Planted(prior=-0.8),
    "odds of all rows": Planted(odds=-0.7),
    "covariates": Planted(tilt=(-0.6, 0.0)),
    "relation": Planted(slopes=(0.3, -0.5)),
    "prior and covariates": Planted(prior=-0.6, tilt=(-0.5, 0.0)),
    "prior and relation": Planted(prior=-0.6, slopes=(0.3, -0.2)),
    "covariates and relation": Planted(tilt=(-0.5, 0.4), slopes=(0.3, -0.2)),
    "all three": Planted(prior=-0.6, tilt=(-0.4, 0.0), slopes=(0.4, 0.1)),
}


def split(planted, metric, seed, n_rows=N_ROWS):
    """Make a promise on drawn rows, calibrate on them, and split the change of new ones."""
    rng, scoring = np.random.default_rng(seed), Scoring(metric, THRESHOLD, COST)
    x, y = Planted().rows(rng, N_REFERENCE)
    order = np.argsort(model(x), kind="stable")
    promise = float(scoring(y[order], 1 - y[order], model(x)[order]))
    edges = np.sort([*np.quantile(model(x), np.arange(1, 20) / 20), np.nextafter(THRESHOLD, 0)])
    cell = np.searchsorted(edges, model(x))
    counts = [np.bincount(cell, weights, 21) for weights in (y, 1 - y, model(x))]
    means = counts[2] / np.maximum(counts[0] + counts[1], 1)
    seen = counts[0] + counts[1] > 0
    reference = ReferenceCells(promise, counts[0][seen], counts[1][seen], means[seen])
    new, labels = planted.rows(rng, n_rows)
    fits = [
        LogisticRegression(C=1e6).fit(x, y, weights).predict_proba(new)[:, 1]
        for weights in (np.ones(len(y)), *rng.exponential(size=(5, len(y))))
    ]
    rows = ScoredRows.sorted(labels, model(new), fits[0], fits[1:])
    return split_change(reference, rows, scoring, random_seed=seed)


def coverage(planted, metric, seeds):
    """Return how often each part's interval holds the true one."""
    true = planted.parts(metric)
    found = [split(planted, metric, seed).parts for seed in seeds]
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
        *(in_full(name, "f1", 200) for name in CASES),
        *(
            in_full(name, metric, 60)
            for name in CASES
            for metric in BIGGER_IS_BETTER
            if metric != "f1"
        ),
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
    found = split(CASES[name], "f1", 1, n_rows=3000)

    assert found.is_beyond_chance
    assert found.parts[part].value == pytest.approx(found.after - found.before, abs=0.02)
    assert all(found.parts[other].value == 0 for other in PARTS if other != part)


def test_parts_add_up_and_lie_in_their_intervals():
    """For every metric and mixture, whatever is given to chance."""
    for seed, (metric, planted) in enumerate(
        (m, p) for m in BIGGER_IS_BETTER for p in (CASES["nothing"], CASES["all three"])
    ):
        found = split(planted, metric, seed, n_rows=300)

        assert sum(part.value for part in found.parts.values()) == pytest.approx(
            found.after - found.before
        )
        assert all(part.lower <= part.value <= part.upper for part in found.parts.values())


def test_without_a_shift_all_is_chance():
    """In nearly all samples nothing is named."""
    found = [split(CASES["nothing"], "f1", seed) for seed in range(12)]

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
