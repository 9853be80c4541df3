"""Planted mixtures of shifts, whose true parts are sums over a grid of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from risk.stats.score_changes import (
    BASE_RATE,
    COVARIATES,
    RELATION,
    ReferenceCells,
    ScoreChange,
    ScoredRows,
    split_change,
)
from risk.stats.weighted_scores import Scoring

Floats = NDArray[np.float64]
THRESHOLD, N_REFERENCE, N_ROWS = 0.45, 2000, 800
STEPS = np.linspace(-4, 4, 161)
GRID = np.array(np.meshgrid(STEPS, STEPS)).reshape(2, -1).T
NORMAL = np.exp(-(GRID**2).sum(axis=1) / 2)
INTERCEPT, SLOPES = -0.3, np.array([1.2, 0.8])
COST = (0.0, 1.0, 5.0, 0.0)


def chance(x: Floats, shift: float = 0.0, slopes: Any = SLOPES) -> Floats:
    """Return the probability of each row to be positive."""
    return expit(INTERCEPT + shift + x @ slopes)


def model(x: Floats) -> Floats:
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

    def stages(self) -> tuple[tuple[Floats, Floats], ...]:
        """Return weight and chance of each point of the grid, before, and after each shift."""
        before = NORMAL, chance(GRID)
        moved = chance(GRID, self.prior + self.odds)
        weight = NORMAL * (np.exp(self.prior) * chance(GRID) + 1 - chance(GRID))
        tilted = weight * np.exp(GRID @ self.tilt)
        last = moved if self.slopes is None else self._other_relation(tilted, moved)
        return before, (weight, moved), (tilted, moved), (tilted, last)

    def _other_relation(self, weight: Floats, moved: Floats) -> Floats:
        """Return the chances by other slopes at the same base rate."""
        low, high = -6.0, 6.0
        for _ in range(60):
            shift = (low + high) / 2
            new = chance(GRID, shift, np.array(self.slopes))
            low, high = (shift, high) if weight @ new < weight @ moved else (low, shift)
        return new

    def parts(self, metric: str) -> dict[str, float]:
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
        return dict(zip((BASE_RATE, COVARIATES, RELATION), np.diff(scores).tolist(), strict=True))

    def rows(self, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Draw rows and their labels."""
        weight, moved = self.stages()[-1]
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
    "prior against covariates": Planted(prior=-0.6, tilt=(0.5, 0.0)),
}


@dataclass(frozen=True)
class Sample:
    """Drawn rows of the reference and new ones: features and labels."""

    x: Floats
    y_true: Floats
    new_x: Floats
    new_y_true: Floats

    @classmethod
    def draw(cls, planted: Planted, seed: int, n_rows: int = N_ROWS) -> Sample:
        """Draw the rows of a trial."""
        rng = np.random.default_rng(seed)
        return cls(*Planted().rows(rng, N_REFERENCE), *planted.rows(rng, n_rows))


def split(sample: Sample, metric: str, seed: int) -> ScoreChange:
    """Make a promise on the reference, calibrate on it, and split the change of the new rows."""
    rng, scoring = np.random.default_rng(seed), Scoring(metric, THRESHOLD, COST)
    x, y = sample.x, sample.y_true
    order = np.argsort(model(x), kind="stable")
    promise = float(scoring(y[order], 1 - y[order], model(x)[order]))
    edges = np.sort([*np.quantile(model(x), np.arange(1, 20) / 20), np.nextafter(THRESHOLD, 0)])
    cell = np.searchsorted(edges, model(x))
    positives, negatives, sums = (np.bincount(cell, of, 21) for of in (y, 1 - y, model(x)))
    n = positives + negatives
    seen = n > 0
    reference = ReferenceCells(promise, positives[seen], negatives[seen], sums[seen] / n[seen])
    fits = [
        LogisticRegression(C=1e6).fit(x, y, weights).predict_proba(sample.new_x)[:, 1]
        for weights in (np.ones(len(y)), *rng.exponential(size=(5, len(y))))
    ]
    rows = ScoredRows.sorted(sample.new_y_true, model(sample.new_x), fits[0], fits[1:])
    found = split_change(reference, rows, scoring, random_seed=seed)
    assert found
    return found
