"""Compare scores estimated without labels with CBPE and with keeping the reference score.

    python benchmarks/label_free.py [--seed 0] [--chunks 16]

Mean absolute error x 100 against realised scores, on simulated rows that shift from chunk to
chunk. CBPE is the isotonic calibration of the score alone. "truth" knows P(y | x), so its error
is the sampling error of the labels, which no method can beat except by chance.

Reads   nothing
Writes  nothing
Exits   0 success; prints the table, and the share of realised scores in our 95 % interval
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from risk.config import Columns, Training
from risk.models import model, pipelines
from risk.monitoring import performance_estimation
from risk.stats.expected import expected_scores
from risk.stats.scores import Estimate, score_all

SCORES = ("accuracy", "f1", "roc_auc")
COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("age", "use", "warmth"),
    categorical=("group",),
)
TRAINED, REFERENCE, CHUNK = 10_000, 20_000, 5000


@dataclass(frozen=True)
class Case:
    """A simulated population, the estimator trained on it, and the size of each shift."""

    estimator: str
    interaction: float = 0.0
    covariates: float = 0.0
    season: float = 0.0
    subgroup: tuple[float, float] = (0.15, 0.15)

    def rows(self, n: int, shift: float, rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
        """Simulate rows and the probability of each to be positive; `shift` is from 0 to 1."""
        size = self.covariates * shift
        share = np.interp(shift, [0, 1], self.subgroup)
        rows = pd.DataFrame(
            {
                "age": rng.normal(size, 1 + 0.3 * size, n),
                "use": rng.normal(-size / 2, 1, n),
                "warmth": rng.normal(self.season * np.sin(2 * np.pi * shift), 0.5, n),
                "group": np.where(rng.random(n) < share, "b", "a"),
            }
        ).astype({"group": "str"})
        slope = 1.5 - self.interaction * (rows["group"] == "b")
        chance = expit(slope * rows["age"] - rows["use"] + 1.2 * rows["warmth"] - 0.5)
        return rows, chance.to_numpy()


CASES = {
    "well specified, covariate shift": Case("LogisticRegression", covariates=1.0),
    "seasonal base rate": Case("HistGradientBoostingClassifier", interaction=1.0, season=1.0),
    "weak model, subgroup 30 to 70 %": Case(
        "LogisticRegression", interaction=1.5, subgroup=(0.3, 0.7)
    ),
    "weak model, subgroup 15 to 75 %": Case(
        "LogisticRegression", interaction=2.5, subgroup=(0.15, 0.75)
    ),
}


@threadpool_limits.wrap(limits=1)  # on a busy machine threads block each other for minutes
def table(*, seed: int = 0, chunks: int = 16) -> pd.DataFrame:
    """Return mean absolute errors x 100, and our coverage, by case and method."""
    frames = [
        errors(case, chunks, np.random.default_rng([seed, number])).assign(case=name)
        for number, (name, case) in enumerate(CASES.items())
    ]
    return pd.concat(frames).set_index(["case", "method"])


def errors(case: Case, chunks: int, rng: np.random.Generator) -> pd.DataFrame:
    """Train, fit on reference rows, and estimate the score of each chunk."""
    train, chance = case.rows(TRAINED, 0, rng)
    features = model.as_features(train, COLUMNS.numeric, COLUMNS.categorical)
    pipeline = pipelines.build(COLUMNS, Training(estimator=case.estimator), random_seed=0)
    pipeline.fit(features, (rng.random(TRAINED) < chance).astype(int))

    def predicted(n: int, shift: float) -> tuple[pd.DataFrame, Any, Any, Any]:
        rows, chance = case.rows(n, shift, rng)
        proba = model.positive_probability(
            pipeline, model.as_features(rows, COLUMNS.numeric, COLUMNS.categorical)
        )
        return rows, chance, (rng.random(n) < chance).astype(int), proba

    rows, _, truth, proba = predicted(REFERENCE, 0)
    kept = score_all(truth, proba, proba >= 0.5)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(proba, truth)
    ours = performance_estimation.fit(rows.assign(y=truth), proba, COLUMNS, random_seed=0)
    assert ours
    found = []
    for shift in np.linspace(0, 1, chunks):
        rows, chance, truth, proba = predicted(CHUNK, float(shift))
        label = proba >= 0.5
        chances = ours.chances(rows, proba, ours.expected(rows, proba))
        estimates = {
            "reference value kept": kept,
            "CBPE": expected_scores(proba, label, isotonic.predict(proba)),
            "ours": expected_scores(proba, label, chances),
            "truth": expected_scores(proba, label, chance),
        }
        realised = score_all(truth, proba, label)
        found += [compared(method, estimates[method], realised) for method in estimates]
    return pd.DataFrame(found).groupby("method", sort=False).mean().reset_index()


def compared(
    method: str, estimated: dict[str, Estimate], realised: dict[str, Estimate]
) -> dict[str, Any]:
    """Return the absolute error of each score, and the share within the interval."""
    misses, covered = {}, []
    for name in SCORES:
        value, guess = realised[name].value, estimated[name]
        assert value is not None and guess.value is not None
        assert guess.lower is not None and guess.upper is not None
        misses[name] = 100 * abs(value - guess.value)
        covered.append(guess.lower <= value <= guess.upper)
    return {"method": method, **misses, "coverage": np.mean(covered)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--chunks", type=int, default=16, help="chunks per case (default: 16)")
    arguments = parser.parse_args()
    print(table(seed=arguments.seed, chunks=arguments.chunks).round(2).to_string())


if __name__ == "__main__":
    main()
