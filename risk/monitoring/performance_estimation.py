"""Performance estimation: scores on rows whose labels are unknown.

Each row's probability to be positive is estimated from all its features, not the score alone. A
shift of the features, also of the share of a subgroup, then needs no importance weights. It is
assumed that P(y | x) is unchanged; concept drift cannot be detected without labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from risk.config import Columns
from risk.engine import LOCAL, Engine
from risk.lazily import pandas as pd
from risk.monitoring.boosters import with_values
from risk.numerals import places
from risk.stats.scores import Estimate, is_worse

Floats = NDArray[np.float64]
Levels = Mapping[str, tuple[str, ...]]
MIN_ROWS, MIN_OF_A_CLASS = 100, 10  # a guess from fewer would be taken for an estimate
ENOUGH_FOR_MORE = 500  # from here on isotonic and boosted; before, two parameters err less
# Ten replicates are ten degrees of freedom: Student's t is 2.23 instead of 1.96, for ten more fits.
# The trees, at a learning rate of .1, are bounded to keep all of these short.
REPLICATES, FOLDS, MAX_TREES = 10, 5, 150
STATISTICS = ("count", "gain", "depth", "bin_threshold")  # of the nodes of a tree
MAX_BINS = 127  # with two values each, nearly the 255 that a booster takes
LOG_ODDS = np.linspace(-12, 12, 481)  # in steps of .05, from a probability of 6e-6 to 1 - 6e-6
# Rows of a batch whose replicates are computed, evenly spread over the score; each stands for its
# neighbours. The best estimate is computed for all rows, so only the interval is approximate.
MAX_REPLICATED = 2000
ROWS_AT_ONCE = 50_000
HUGE = 1e30  # scikit-learn overflows where it adds numbers near the largest float


class Curve(NamedTuple):
    """The probability of the positive label by the score, linear between knots."""

    score: Floats
    chance: Floats

    def __call__(self, y_pred_proba: Floats) -> Floats:
        """Return the probabilities."""
        return np.interp(y_pred_proba, self.score, self.chance)


class Version(NamedTuple):
    """A curve, and the booster that corrects it by the features if that improves it."""

    curve: Curve
    booster: Any


@dataclass(frozen=True)
class Calibration:
    """The probability of each row to be positive; the first version is the best estimate.

    The others were fitted to the same rows with random weights; their spread is the uncertainty.
    """

    numeric: tuple[str, ...]
    levels: Levels
    versions: tuple[Version, ...]
    margin: float

    def expected(self, rows: pd.DataFrame, y_pred_proba: Floats) -> Floats:
        """Return the probability of the positive label for each row."""
        return self._chances(rows, y_pred_proba, self.versions[:1]).ravel()

    def replicates(self, rows: pd.DataFrame, y_pred_proba: Floats) -> Floats:
        """Return the probabilities of the other versions, as (n_replicates, n_rows)."""
        return self._chances(rows, y_pred_proba, self.versions[1:])

    def chances(self, rows: pd.DataFrame, y_pred_proba: Floats, expected: Floats) -> Floats:
        """Return the `expected` chances and replicates of them, as `expected_scores` takes them.

        Of very many rows, replicates miss the expected chance as those of rows with similar scores.
        """
        if len(rows) <= MAX_REPLICATED:
            return np.vstack([expected, self.replicates(rows, y_pred_proba)])
        stratum = np.empty(len(rows), dtype=np.int64)  # by the rank of the score
        order = np.argsort(y_pred_proba, kind="stable")
        stratum[order] = np.arange(len(rows)) * MAX_REPLICATED // len(rows)
        middles = (2 * np.arange(MAX_REPLICATED) + 1) * len(rows) // (2 * MAX_REPLICATED)
        chosen = order[middles]
        missed = self.replicates(rows.iloc[chosen], y_pred_proba[chosen]) - expected[chosen]
        chances = np.empty((1 + len(missed), len(rows)))
        chances[0] = expected
        for replicate, miss in zip(chances[1:], missed, strict=True):
            np.clip(expected + miss[stratum], self.margin, 1 - self.margin, out=replicate)
        return chances

    def _chances(
        self, rows: pd.DataFrame, y_pred_proba: Floats, versions: tuple[Version, ...]
    ) -> Floats:
        chances = np.stack([version.curve(y_pred_proba) for version in versions])
        for start in range(0, len(rows) if versions[0].booster is not None else 0, ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            features = _features(rows.iloc[some], y_pred_proba[some], self.numeric, self.levels)
            # on the scale of probabilities, not of log-odds: the booster was fitted to y - curve
            chances[:, some] += [version.booster.predict(features) for version in versions]
        # Curve and correction may leave [0, 1]; and m rows prove no chance below half a row of m.
        return np.clip(chances, self.margin, 1 - self.margin)


def fit(
    rows: pd.DataFrame,
    y_pred_proba: Floats,
    columns: Columns,
    *,
    random_seed: int,
    engine: Engine = LOCAL,
) -> Calibration | None:
    """Fit to labelled rows and their out-of-fold predictions; None if there are too few."""
    truth, m = rows[columns.target].to_numpy(np.float64), len(rows)
    if m < MIN_ROWS or min(truth.sum(), m - truth.sum()) < MIN_OF_A_CLASS:
        return None
    texts = {name: rows[name].astype("str").dropna() for name in columns.categorical}
    levels = {name: tuple(sorted(values.unique())) for name, values in texts.items()}
    features = _features(rows, y_pred_proba, columns.numeric, levels)
    rng = np.random.default_rng(random_seed)
    # Dealt out class by class, in random order, so that each fold has its share of rare positives.
    folds = np.empty(m, dtype=np.int64)
    folds[np.lexsort((rng.random(m), truth))] = np.arange(m) % FOLDS
    reference = _Reference(truth, y_pred_proba, features, folds, random_seed)
    trees = reference.trees(engine) if m >= ENOUGH_FOR_MORE else 0
    # Bayesian bootstrap: rows drawn again would be in several folds, and their residuals in sample;
    # weights keep each row in one, and lose no class.
    weights = rng.exponential(size=(REPLICATES, m))
    binned = replace(reference, features=_binned(features)) if trees else reference
    replicates = engine.map(partial(binned.version, trees), weights)
    versions = (*engine.map(partial(reference.version, trees), [np.ones(m)]), *replicates)
    return Calibration(columns.numeric, levels, versions, margin=1 / (2 * m))


def reliable(estimate: Estimate, realised: Estimate) -> bool:
    """Return whether realised and estimated scores differ by no more than chance allows."""
    return not any(is_worse(estimate, realised, bigger_is_better=way) for way in (True, False))


@dataclass(frozen=True)
class _Reference:
    """The labelled rows, divided into folds."""

    truth: Floats
    score: Floats
    features: Floats
    folds: NDArray[np.int64]
    random_seed: int

    def version(self, trees: int, weight: Floats) -> Version:
        """Fit curve and booster to the weighted rows."""
        curve = _curve(self.truth, self.score, weight)
        curve = curve._replace(chance=curve.chance.astype(np.float32))
        if not trees:
            return Version(curve, None)
        # equal weights are none: quantiles of weighted rows take longer than the trees
        weights = None if (weight == 1).all() else weight
        booster = self.booster(trees)
        booster.fit(with_values(self.features), self.residual(weight), weights)
        return Version(curve, _compact(booster))

    def trees(self, engine: Engine) -> int:
        """Return the largest number of trees that beats the curve by two standard errors.

        The loss is the Brier loss out of fold. The fewest trees that are best for a row would leave
        errors on a subgroup, which show when the subgroup grows. The error of more trees shows in
        the replicates.
        """
        residual = self.residual(np.ones_like(self.truth))
        # of each row, after each number of trees; float32, as it is 300 times the rows
        gain = np.empty((MAX_TREES, len(residual)), dtype=np.float32)
        gains = engine.map(partial(self.gain, residual), self.each_fold())
        for there, gained in zip(self.each_fold(), gains, strict=True):
            gain[:, there] = gained
        # of the mean of paired differences: what no tree can explain is in both losses and cancels
        error = gain.std(axis=1) / np.sqrt(len(residual))
        return int(np.flatnonzero(gain.mean(axis=1) > 2 * error).max(initial=-1)) + 1

    def gain(self, residual: Floats, there: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return how much smaller the loss of rows of one fold is after each number of trees."""
        booster = self.booster(MAX_TREES).fit(with_values(self.features[~there]), residual[~there])
        corrections = booster.staged_predict(self.features[there])
        gain = np.empty((MAX_TREES, int(there.sum())), dtype=np.float32)
        for stage, correction in enumerate(corrections):
            gain[stage] = residual[there] ** 2 - (residual[there] - correction) ** 2
        return gain

    def residual(self, weight: Floats) -> Floats:
        """Subtract from each label what a curve fitted to the other folds expects."""
        # In sample an isotonic curve follows the labels, and would leave the booster too little.
        residual = self.truth.copy()
        for there in self.each_fold():
            curve = _curve(self.truth[~there], self.score[~there], weight[~there])
            residual[there] -= curve(self.score[there])
        return residual

    def each_fold(self) -> list[NDArray[np.bool_]]:
        """Return a mask of the rows for each fold."""
        return [self.folds == fold for fold in range(FOLDS)]

    def booster(self, trees: int) -> Any:
        """Return a booster of few, strongly regularised trees, unfitted."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        # On y - curve with scikit-learn, not on the logit with LightGBM: no further dependency, and
        # errors at the noise floor (ADR 6). Residuals are mostly noise, hence the large leaves.
        return HistGradientBoostingRegressor(
            learning_rate=0.1,
            max_iter=trees,
            max_leaf_nodes=15,
            min_samples_leaf=40,
            l2_regularization=5,
            early_stopping=False,
            random_state=self.random_seed,
        )


def _compact(booster: Any) -> Any:
    """Leave out what no prediction reads, and what of a leaf is far below the error of its fit.

    Half precision moves a probability by some 1e-5, and its replicates differ by some .01.
    """
    for (tree,) in booster._predictors:
        for name in STATISTICS:
            tree.nodes[name] = 0
        tree.nodes["value"][tree.nodes["is_leaf"] == 0] = 0
        tree.nodes["value"] = tree.nodes["value"].astype(np.float16)
    # the nodes have their thresholds; these are those of all bins, and would be of categories
    mapper = booster._bin_mapper
    mapper.bin_thresholds_ = [np.empty(0)] * len(mapper.bin_thresholds_)
    return booster


def _curve(truth: Floats, score: Floats, weight: Floats) -> Curve:
    """Fit an isotonic regression or, for few rows, Platt's two parameters."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if len(truth) >= ENOUGH_FOR_MORE:
        # beyond its outermost knots np.interp goes on level
        isotonic = IsotonicRegression().fit(score, truth, weight)
        return Curve(isotonic.X_thresholds_, isotonic.y_thresholds_)
    grid = scipy.special.expit(LOG_ODDS)
    evidence = scipy.special.logit(np.clip(score, grid[0], grid[-1]))[:, None]
    # just enough regularisation that rows which the score separates have a finite slope
    platt = LogisticRegression(C=100).fit(evidence, truth, weight)
    return Curve(grid, platt.predict_proba(scipy.special.logit(grid)[:, None])[:, 1])


def _binned(features: Floats) -> Floats:
    """Move each value to the nearer end of its bin, of at most 127 of a column.

    A booster then has at most 254 values to choose from, and no quantiles to compute: those of
    weighted rows take far longer than its trees. The trees hold for the values as they were, as
    each stays on its side of every middle between two values.
    """
    binned = features.copy()
    for column in binned.T:
        known = ~np.isnan(column)
        numbers = column[known]
        if len(np.unique(numbers)) <= 2 * MAX_BINS:
            continue
        cuts = np.quantile(numbers, np.arange(1, MAX_BINS) / MAX_BINS)
        bins = pd.Series(numbers).groupby(np.searchsorted(np.unique(cuts), numbers, side="right"))
        low, high = bins.transform("min").to_numpy(), bins.transform("max").to_numpy()
        column[known] = np.where(numbers <= low + (high - low) / 2, low, high)
    return binned


def _features(
    rows: pd.DataFrame, y_pred_proba: Floats, numeric: tuple[str, ...], levels: Levels
) -> Floats:
    """Return numbers, codes of categories and the score; NaN where missing or unseen."""
    numbers = [rows[name].to_numpy(np.float64, na_value=np.nan) for name in numeric]
    codes = [places(rows[name].astype("str"), known) for name, known in levels.items()]
    return np.column_stack(
        [
            *(np.clip(values, -HUGE, HUGE) for values in numbers),
            *(np.where(code < 0, np.nan, code) for code in codes),
            y_pred_proba,
        ]
    )
