"""Why the live model says of one customer what it says, and how unusual this customer is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from risk import store
from risk.cli import Result
from risk.config import Columns, Config
from risk.data import drops, part_files
from risk.errors import UnknownName
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import model, releases, small_tables
from risk.models.attribution import Contributions, attribute_row, means_with_one_value
from risk.models.model import Model
from risk.models.watched import require_model
from risk.monitoring import reference_file
from risk.monitoring.profile import Column
from risk.monitoring.reference import Reference
from risk.schema import shorten

EXACT = "Exact terms of the log-odds of a linear model, beside the mean of {n} reference rows."
SHAPLEY = "Shapley values of the predicted risk, beside {n} reference rows, ± a standard error."
MAX_NAMED, MIN_SHARE = 3, 0.005
LINEAR = "LogisticRegression"
LOG_ODDS, RISK = "log-odds", "predicted risk"
ROUNDING = 1e-9
MAX_SHARE = 0.99
Floats = NDArray[np.float64]
Predict = Callable[["pd.DataFrame"], Floats]


@dataclass(frozen=True)
class Memory:
    """A release and what it remembers of its reference: all rows in cells, some as they are."""

    model: Model
    reference: Reference
    sample: pd.DataFrame


@dataclass(frozen=True)
class Unusual:
    """How unusual a value is: the share of the reference that is at least as much so, in words."""

    share: float
    words: str


@dataclass(frozen=True)
class Explanation(Result):
    """The predicted risk of one customer, and how it comes about, the largest part first.

    On the `scale` that is named, `baseline` and the `contribution` of all `parts` add up to
    `total`; the probabilities that belong to these are `usual_risk` and `risk`. `parts` has
    `feature`, `value`, `contribution` with its `standard_error`, `as_unusual` (the share of the
    reference whose value is at least as unusual) and `beside_reference`, the same in words.
    """

    identifier: str
    dataset: str
    version: int | None
    threshold: float
    risk: float
    usual_risk: float
    scale: str
    method: str
    baseline: float
    total: float
    parts: pd.DataFrame

    def __str__(self) -> str:
        table = pd.DataFrame(
            {
                "feature": self.parts["feature"],
                "value": [_written(value) for value in self.parts["value"]],
                "effect": self.effects,
                "beside the reference": self.parts["beside_reference"],
            }
        )
        return f"{self.in_words()}\n\n{table.to_string(index=False)}\n\n{self.method}"

    @property
    def effects(self) -> list[str]:
        """What each feature does to the risk, as people say it."""
        errors, whole = self.parts["standard_error"], self.parts["contribution"].abs().sum()
        return [
            _effect(contribution, error, self.scale, whole)
            for contribution, error in zip(self.parts["contribution"], errors, strict=True)
        ]

    def in_words(self) -> str:
        """Say how high the risk is, beside what is usual, and what it is mostly due to."""
        side = "at or above" if self.risk >= self.threshold else "below"
        risk = f"{self.identifier}: predicted risk {self.risk:.1%}, {side} the threshold"
        risk += f" of {self.threshold:.1%}; the usual risk is {self.usual_risk:.1%}."
        due = [
            f"{verb} the risk most: {', '.join(names)}."
            for verb, names in (("Raises", self.raising), ("Lowers", self.lowering))
            if names
        ]
        return " ".join([risk, *due])

    @property
    def raising(self) -> list[str]:
        """The features that raise the risk most."""
        return [*self.parts["feature"][self.parts["contribution"] > 0].head(MAX_NAMED)]

    @property
    def lowering(self) -> list[str]:
        """The features that lower the risk most."""
        return [*self.parts["feature"][self.parts["contribution"] < 0].head(MAX_NAMED)]


def remember(config: Config, champion: Model) -> Memory:
    """Read what a release remembers of its reference."""
    folder = releases.release_path(config.deployment_folder, champion.manifest.version or 0)
    reference = reference_file.read(folder, champion.manifest)
    sample = small_tables.read(folder, model.SAMPLE, champion.manifest)
    return Memory(champion, reference, sample)


def explain(
    config: Config, ledger: Ledger, identifier: str, *, champion: Model | None = None
) -> Explanation:
    """Explain what the live model, or another `champion`, says of a customer's last row."""
    require_model(config, "a prediction cannot be explained")
    known = find_latest(config, ledger, identifier)
    memory = remember(config, champion or releases.load_champion(config))
    seed = config.random_seed
    return explain_row(memory, known.row, identifier, known.dataset, random_seed=seed)


def explain_row(
    memory: Memory, row: pd.DataFrame, identifier: str, dataset: str, *, random_seed: int
) -> Explanation:
    """Explain what a release says of one row of a data set."""
    manifest = memory.model.manifest
    row, sample = (rows[manifest.features] for rows in (row, memory.sample))
    linear = manifest.estimator == LINEAR
    found = _terms(_log_odds(memory.model), row, sample) if linear else None
    scale, method = LOG_ODDS, EXACT
    if found is None:
        rng = np.random.default_rng(random_seed)
        found = attribute_row(memory.model.predict_proba, row, sample, rng=rng)
        scale, method = RISK, SHAPLEY
    usual_risk = scipy.special.expit(found.baseline) if scale == LOG_ODDS else found.baseline
    return Explanation(
        identifier=identifier,
        dataset=dataset,
        version=manifest.version,
        threshold=manifest.threshold,
        risk=float(memory.model.predict_proba(row)[0]),
        usual_risk=float(usual_risk),
        scale=scale,
        method=method.format(n=found.n),
        baseline=found.baseline,
        total=found.baseline + float(found.parts.sum()),
        parts=_table(row, found, memory),
    )


def how_unusual(
    value: Any, column: Column, counts: Sequence[int], sample: pd.Series[Any]
) -> Unusual:
    """Compare a value with the reference: with all of its rows in cells, and a sample of them."""
    shares = np.asarray(counts) / max(sum(counts), 1)
    if pd.isna(value):
        words = f"missing, as in {shares[-1]:.0%}" if counts[-1] else "missing, as in none"
        return Unusual(float(shares[-1]), f"{words} of the reference")
    if column.edges is not None:
        return _unusual_number(value, column.edges, sample.dropna().to_numpy(dtype="float64"))
    n_levels = len(column.levels)
    if value in column.levels:
        share = shares[column.levels.index(value)]
        as_rare = shares[:n_levels][shares[:n_levels] <= share].sum() + shares[n_levels]
        return Unusual(float(as_rare), f"as in {share:.0%} of the reference")
    if value in column.rare:
        together = f"{shares[n_levels]:.0%} of the reference together"
        return Unusual(float(shares[n_levels]), f"one of {len(column.rare)} values of {together}")
    return Unusual(0.0, "never seen in the reference")


def _unusual_number(value: float, edges: Sequence[float], known: Floats) -> Unusual:
    """Count who has less and who has more; the ends of all rows are those of the outer cells."""
    if not len(known):
        return Unusual(0.0, "the reference has no value")
    if value > edges[-1]:
        return Unusual(0.0, f"above all of the reference, which ends at {edges[-1]:g}")
    if value <= edges[0]:
        least = np.nextafter(edges[0], np.inf)
        return Unusual(0.0, f"below all of the reference, which begins at {least:g}")
    less, more = (known < value).mean(), (known > value).mean()
    share = min(1.0, 2 * min(1 - less, 1 - more))
    if less >= more:
        words = f"higher than {min(less, MAX_SHARE):.0%}"
    else:
        words = f"lower than {min(more, MAX_SHARE):.0%}"
    return Unusual(float(share), f"{words} of the reference")


def _terms(log_odds: Predict, row: pd.DataFrame, sample: pd.DataFrame) -> Contributions | None:
    """Switch one feature at a time: exact where the log-odds are a sum of a term of each."""
    with np.errstate(invalid="ignore"):  # a risk of exactly 1 has no finite log-odds
        baseline, total = log_odds(sample).mean(), log_odds(row)[0]
        parts = means_with_one_value(log_odds, row, sample) - baseline
        adds_up = abs(parts.sum() - (total - baseline)) <= ROUNDING * max(1, abs(parts).sum())
    if not adds_up:
        return None
    return Contributions(float(baseline), parts, np.zeros(len(parts)), len(sample))


def _log_odds(champion: Model) -> Predict:
    """Take the log-odds before they are rounded to a probability, where the model shows them."""
    manifest, decide = champion.manifest, getattr(champion.pipeline, "decision_function", None)
    if decide is None:
        return lambda rows: scipy.special.logit(champion.predict_proba(rows))

    def log_odds(rows: pd.DataFrame) -> Floats:
        features = model.as_features(rows, manifest.numeric, manifest.categorical)
        with model.PREDICTING:
            return np.asarray(decide(features), dtype="float64")

    return log_odds


def _table(row: pd.DataFrame, found: Contributions, memory: Memory) -> pd.DataFrame:
    """Put beside each other what each feature contributes and how unusual its value is."""
    columns = {column.name: column for column in memory.reference.columns}
    counts = memory.reference.profile.counts
    values = [None if pd.isna(value) else value for value in row.iloc[0].tolist()]
    unusual = [
        how_unusual(value, columns[name], counts[name], memory.sample[name])
        for name, value in zip(map(str, row), values, strict=True)
    ]
    table = pd.DataFrame(
        {
            "feature": list(row),
            "value": pd.Series(values, dtype="object"),
            "contribution": found.parts,
            "standard_error": found.standard_errors,
            "as_unusual": [compared.share for compared in unusual],
            "beside_reference": [compared.words for compared in unusual],
        }
    )
    return table.sort_values("contribution", key=lambda parts: -parts.abs(), ignore_index=True)


def _effect(contribution: float, error: float, scale: str, whole: float) -> str:
    """Say what a feature does: in points of risk, or else as its share of all effects."""
    if scale == RISK:
        return f"{100 * contribution:+z.1f} ± {100 * error:.1f} points"
    share = abs(contribution) / whole if whole > 0 else 0.0
    if share < MIN_SHARE:
        return "none"
    return f"{'raises' if contribution > 0 else 'lowers'} it ({share:.0%} of all effects)"


def _written(value: Any) -> str:
    if value is None:
        return "(missing)"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class LatestRow:
    """The last row of a customer, as a table of one row, and the data set it is from."""

    row: pd.DataFrame
    dataset: str


def find_latest(config: Config, ledger: Ledger, identifier: str) -> LatestRow:
    """Find the last accepted row of a customer, or else the last one in the test data.

    Last is what has the latest event time, where there is such a column, or else what came last.
    """
    # blanks are cut off as in drops; what a terminal sends may be no text
    identifier = identifier.strip().encode(errors="replace").decode()
    compiled = config.name_of(config.ingested_folder / config.compiled_data_filename)
    rows = _accepted(config, ledger, identifier)
    if len(rows):
        return LatestRow(_last(rows, config.columns), compiled)
    tested = config.name_of(config.test_data)
    if config.test_data.exists():
        rows = drops.read_whole(config, config.test_data)
        rows = rows[rows[config.columns.identifier] == identifier]
        if len(rows):
            return LatestRow(_last(rows, config.columns), tested)
    raise UnknownName(
        f"unknown {config.columns.identifier} {shorten(identifier)!r}: it is neither in {compiled} "
        f"nor in {tested}"
    )


def _accepted(config: Config, ledger: Ledger, identifier: str) -> pd.DataFrame:
    """Read the rows of one customer, but only the last ones where arrival says which these are."""
    found = []
    for number in reversed(ledger.parts.ids()):
        part_files.require(config, ledger, [number])
        rows = store.read_rows_of(config, number, identifier)
        if len(rows):
            found.append(rows)
            if not config.columns.event_time:
                break
    return pd.concat(found[::-1], ignore_index=True) if found else pd.DataFrame()


def _last(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    if columns.event_time:
        at = pd.to_datetime(rows[columns.event_time], format="ISO8601", utc=True)
        rows = rows.iloc[at.argsort(kind="stable")]
    return rows.tail(1).reset_index(drop=True)
