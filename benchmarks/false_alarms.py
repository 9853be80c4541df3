"""Measure false alarms and detection delays by seeded simulation, compared with fixed rules.

    python benchmarks/false_alarms.py [--runs 100] [--tables TITLE ...] [--output docs/evidence.md]
        [--workers N, or --address of a Dask scheduler]

Reads   nothing
Writes  the tables, as Markdown, to --output
Exits   0 success
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import kolmogorov, ndtr
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import label_free, rivals  # noqa: E402
from risk import store  # noqa: E402
from risk.config import Alarms, Columns, CostMatrix, Metric  # noqa: E402
from risk.engine import LOCAL, Dask, Engine, Processes  # noqa: E402
from risk.monitoring import detector, loss_ratios
from risk.monitoring.alarm_budget import PROMINENT_SHARE, MonitoredSubject, Rules  # noqa: E402
from risk.monitoring.detector import Detector  # noqa: E402
from risk.monitoring.profile import (  # noqa: E402
    ALL,
    LABELLED_ONLY,
    Column,
    Profile,
    numeric_column,
)
from risk.monitoring.reference import LABELLED, PREDICTION, Reference  # noqa: E402
from risk.monitoring.settling import EVENT_TIME, History, settle  # noqa: E402
from risk.schema import ROW_HASH  # noqa: E402
from risk.stats import directions, evidence, seasons  # noqa: E402
from risk.stats.directions import Tolerance  # noqa: E402
from risk.stats.sequences import confidence_sequence  # noqa: E402

Floats = NDArray[np.float64]
Table = list[Floats]  # of each column the rows per batch and cell
SIZES = (50, 200, 1000, 10_000)
A_DAY = 144
A_MONTH = 30 * A_DAY
DAYS_PER_ALARM = 365
ALARMS = Alarms(false_alarm_budget="1 per 146 days", usual_minutes_between_drops=10)
RULES = Rules(ALARMS, "accuracy", CostMatrix())  # two fifths of the budget: one a year per family
OURS = "e-detector"


@dataclass(frozen=True)
class Bench:
    """Monitored columns, their cells, and the counts of the reference."""

    monitored: list[MonitoredSubject]
    columns: list[Column]
    reference: Table


def bench(frame: pd.DataFrame, *, batch: int, seed: int = 0, categorical: bool = False) -> Bench:
    """Build a reference as a release does, from a frame of equal batches."""
    rng, names = np.random.default_rng(seed), list(frame)
    kinds = {"categorical" if categorical else "numeric": tuple(names)}
    described = Columns(identifier="id", target="y", positive_label=1, negative_label=0, **kinds)
    chance = rng.beta(2, 6, len(frame))
    labels = (rng.random(len(frame)) < chance).astype(float)
    hashes = rng.integers(2**62, size=len(frame))
    frame = frame.assign(**{PREDICTION: chance, "y": labels, ROW_HASH: hashes})
    reference = Reference.build(frame, described, threshold=0.5, tolerance=ALARMS.tolerance)
    parts = [reference.count(frame[i : i + batch], own=True) for i in range(0, len(frame), batch)]
    settled = settle(reference, History(parts), RULES)
    detectors = Detector(settled, RULES)
    columns = [next(c for c in settled.columns if c.name == name) for name in names]
    counts = [np.array(settled.profile.counts[name], float) for name in names]
    return Bench([detectors.monitored[name] for name in names], columns, counts)


def first_alarm(
    monitored: Sequence[MonitoredSubject], table: Table, when: Floats | None = None
) -> int:
    """Return the number of the batch that raises the first alarm, 0 if none does.

    `when` is the mean of the calendar of each batch.
    """
    return first_alarms(monitored, [table], [when])[0]


def first_alarms(
    monitored: Sequence[MonitoredSubject], tables: Sequence[Table], whens: Sequence[Floats | None]
) -> list[int]:
    """Return the first alarm of each of several runs; faster than one after the other."""
    known = [each for each in whens if each is not None]
    when = np.concatenate(known) if known else None
    mass = np.log(10 / 1440 / DAYS_PER_ALARM)
    ends = np.cumsum([len(table[0]) for table in tables])[:-1]
    wealth = [
        [
            evidence.wealth_over_time(
                run, column.bets.log_weights, log_mass=float(mass + column.log_share)
            )
            for run in np.split(_growth(column, np.concatenate(counts), when), ends)
        ]
        for column, counts in zip(monitored, zip(*tables, strict=True), strict=True)
    ]
    totals = [np.logaddexp.reduce(run, axis=0) for run in zip(*wealth, strict=True)]
    return [int(np.argmax(total >= 0)) + 1 if (total >= 0).any() else 0 for total in totals]


def _growth(column: MonitoredSubject, counts: Floats, when: Floats | None) -> Floats:
    """Return what each batch adds to the logarithms of a column's wealth."""
    if when is None or column.season is None or not column.season.curve.terms:
        return evidence.growth(column.bets, counts, column.correlation)
    times, number = np.unique(when, axis=0, return_inverse=True)
    grown = np.empty((len(counts), *column.bets.log_weights.shape))
    for i, time in enumerate(times):  # those of a week come again in the next
        there = number == i
        grown[there] = evidence.growth(column.at(time).bets, counts[there], column.correlation)
    return grown


def delay(monitored: Sequence[MonitoredSubject], before: Table, after: Table) -> float:
    """Return the number of batches from the change to the alarm; infinity if there is none."""
    both = [np.concatenate(pair) for pair in zip(before, after, strict=True)]
    found = first_alarm(monitored, both) - len(before[0])
    return found if found > 0 else np.inf


def in_words(values: Sequence[float]) -> str:
    """Format the median number of batches."""
    median = float(np.median(values))
    return "never" if np.isinf(median) else f"{median:g}"


# Data drift: independent normal columns -------------------------------------------------------


def normal(
    made: Bench, rng: np.random.Generator, n: int, batches: int, *, shift: float = 0
) -> Table:
    """Draw batches of n rows of normal columns, the first of them shifted."""
    table = []
    for i, column in enumerate(made.columns):
        below = ndtr(np.array(column.edges) - (shift if i == 0 else 0.0))
        chances = np.clip(np.r_[below[0], np.diff(below), 1 - below[-1], 0.0], 0, 1)
        table.append(rng.multinomial(n, chances / chances.sum(), size=batches).astype(float))
    return table


def ks_rule(made: Bench, table: Table) -> NDArray[np.bool_]:
    """K-S p < .05."""
    alarms = np.zeros(len(table[0]), dtype=bool)
    for reference, counts in zip(made.reference, table, strict=True):
        m, n = reference.sum(), counts[0].sum()
        gap = np.abs(np.cumsum(counts, axis=1) / n - np.cumsum(reference) / m).max(axis=1)
        alarms |= kolmogorov(gap * np.sqrt(n * m / (n + m))) < 0.05
    return alarms


def psi_rule(made: Bench, table: Table) -> NDArray[np.bool_]:
    """PSI >= .2 over ten cells."""
    alarms = np.zeros(len(table[0]), dtype=bool)
    for reference, counts in zip(made.reference, table, strict=True):
        middle = (np.cumsum(reference) - reference / 2) / reference.sum()
        tenths = np.eye(10)[np.minimum((10 * middle).astype(int), 9)]
        p, q = reference @ tenths + 0.5, counts @ tenths + 0.5
        p, q = p / p.sum(), q / q.sum(axis=1, keepdims=True)
        alarms |= ((q - p) * np.log(q / p)).sum(axis=1) >= 0.2
    return alarms


def three_sigma_rule(made: Bench, table: Table) -> NDArray[np.bool_]:
    """The mean of a batch is off by three standard errors."""
    alarms = np.zeros(len(table[0]), dtype=bool)
    for column, counts in zip(made.monitored, table, strict=True):
        score = np.nan_to_num(column.directions.values[0])
        means = counts @ score / counts.sum(axis=1)
        limit = 3 * column.directions.spreads[0] / np.sqrt(counts[0].sum())
        alarms |= np.abs(means - column.directions.means[0]) > limit
    return alarms


def running_mean_rule(made: Bench, table: Table) -> NDArray[np.bool_]:
    """A confidence sequence of the mean since the start leaves the tolerance."""
    alarms = np.zeros(len(table[0]), dtype=bool)
    confidence = 1 - 30 / DAYS_PER_ALARM / len(table)
    for column, counts in zip(made.monitored, table, strict=True):
        score = np.nan_to_num(column.directions.values[0])
        sums, squares, n = counts @ score, counts @ score**2, counts.sum(axis=1)
        within = (float(score.min()), float(score.max()))
        bounds = confidence_sequence(sums, n, squares, within=within, confidence=confidence)
        mean, slack = column.directions.means[0], 0.05 * column.directions.spreads[0]
        alarms |= (bounds[:, 0] > mean + slack) | (bounds[:, 1] < mean - slack)
    return alarms


FIXED_RULES: dict[str, Callable[[Bench, Table], NDArray[np.bool_]]] = {
    "K-S p < .05, any column": ks_rule,
    "PSI >= .2, any column": psi_rule,
    "mean +- 3 sd, any column": three_sigma_rule,
    "running-mean confidence sequence": running_mean_rule,
}


def data_drift(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm; median batches to detect +.25 sd in one column.

    The change occurs on day 1 / on day 20. Fixed rules: a tenth of the runs, change on day 2.
    The design effect is estimated from 250 reference batches of 200 rows, so a batch of 1000
    independent rows counts as 500 to 1000 rows, depending on the drawn reference.
    """
    rows: dict[str, dict[str, str]] = {name: {} for name in (*FIXED_RULES, OURS)}
    few = max(runs // 10, 2)
    for n in SIZES:
        rng = np.random.default_rng(n)
        sample = pd.DataFrame(rng.normal(size=(50_000, 10)), columns=[f"x{i}" for i in range(10)])
        made = bench(sample, batch=200)
        alarmed, early, late = 0, [], []
        for _ in tqdm(range(runs), desc=f"data drift, n = {n}", disable=None):
            alarmed += first_alarm(made.monitored, normal(made, rng, n, A_MONTH)) > 0
            after = normal(made, rng, n, 100, shift=0.25)
            early.append(delay(made.monitored, normal(made, rng, n, 1), after))
            late.append(delay(made.monitored, normal(made, rng, n, 19 * A_DAY), after))
        rows[OURS][f"n = {n}"] = f"{alarmed} of {runs}; {in_words(early)} / {in_words(late)}"
        for name, rule in FIXED_RULES.items():
            quiet = [bool(rule(made, normal(made, rng, n, A_MONTH)).any()) for _ in range(few)]
            found = []
            for _ in range(few):
                parts = [normal(made, rng, n, A_DAY), normal(made, rng, n, 2000, shift=0.25)]
                both = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
                later = np.flatnonzero(rule(made, both)[A_DAY:])
                found.append(float(later[0] + 1) if len(later) else np.inf)
            rows[name][f"n = {n}"] = f"{sum(quiet)} of {few}; {in_words(found)}"
    return pd.DataFrame(rows).T


# Data drift: harder columns ----------------------------------------------------------


def odd_columns(runs: int) -> pd.DataFrame:
    """Runs of 5 days with a false alarm, 200 rows every ten minutes."""
    zipf = 1 / np.arange(1, 3001) ** 1.2

    def levels(rng: np.random.Generator, n: int) -> Any:
        return rng.choice(3000, size=(n, 3), p=zipf / zipf.sum()).astype(str)

    kinds: dict[str, Callable[[np.random.Generator, int], Any]] = {
        "50 normal columns": lambda rng, n: rng.normal(size=(n, 50)),
        "heavy tails (Student, 2 df)": lambda rng, n: rng.standard_t(2, size=(n, 10)),
        "counts (Poisson, mean 0.7)": lambda rng, n: rng.poisson(0.7, size=(n, 10)).astype(float),
        "correlated .8": lambda rng, n: (
            0.894 * rng.normal(size=(n, 1)) + 0.447 * rng.normal(size=(n, 10))
        ),
        "rare events (0.3 %)": lambda rng, n: (rng.random((n, 10)) < 0.003).astype(float),
        "3000 categories, many unseen": levels,
    }
    found = {}
    tries = max(runs // 10, 2)
    for kind, draw in kinds.items():
        rng, alarmed = np.random.default_rng(len(kind)), 0
        for _ in tqdm(range(tries), desc=kind, disable=None):
            made = bench(_frame(draw(rng, 20_000)), batch=200, categorical=draw is levels)
            stream = _frame(draw(rng, 200 * 5 * A_DAY))
            table = [_batches(column, stream[column.name], 200) for column in made.columns]
            alarmed += first_alarm(made.monitored, table) > 0
        found[kind] = {"runs with a false alarm": f"{alarmed} of {tries}"}
    return pd.DataFrame(found).T


def _frame(values: Any) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])


def _batches(column: Column, values: pd.Series[Any], n: int) -> Floats:
    """Count consecutive batches of n rows in the cells of a column."""
    codes = column.codes(values).reshape(-1, n)
    numbered = codes + column.size * np.arange(len(codes))[:, None]
    counts = np.bincount(numbered.ravel(), minlength=column.size * len(codes))
    return counts.reshape(len(codes), column.size).astype(float)


NEVER_SEEN = {"missing": -1, "unseen level": -2}  # the cells of a category, from the end


def never_seen(runs: int) -> pd.DataFrame:
    """Median drops of 300 rows to find what no reference row was, by its share.

    A category of five levels. The least share is that from which a bet on a tenth of a standard
    deviation grows: the null's, and a twentieth of a standard deviation.
    """
    rows: dict[str, dict[str, str]] = {}
    tries = max(runs // 10, 3)
    for size in (200, 1000, 1500, 3000, 10_000):
        rng = np.random.default_rng(size)
        made = bench(
            _frame(rng.integers(5, size=(size, 1)).astype(str)), batch=size, categorical=True
        )
        chosen = made.monitored[0].directions
        null = float(chosen.null_means[chosen.names.index("missing more often")])
        least = null + 0.05 * np.sqrt(null * (1 - null))
        row = {"least share": f"{100 * least:.2g} %"}
        for share in (0.2, 3 * least):
            for kind, cell in NEVER_SEEN.items():
                chances = made.reference[0] / size * (1 - share)
                chances[cell] += share
                found = [
                    first_alarm(made.monitored, [rng.multinomial(300, chances, 50).astype(float)])
                    or np.inf
                    for _ in range(tries)
                ]
                of = "20 %" if share == 0.2 else "3 x least"
                row[f"{of} {kind}"] = in_words(found)
        rows[f"{size:,} reference rows"] = row
    return pd.DataFrame(rows).T


def many_levels(runs: int) -> pd.DataFrame:
    """Installations with a false alarm in 90 daily drops of 500 rows; about equally common levels.

    The budget is one false alarm a year for the family; the bound for 90 days is 25 %.
    """
    rows: dict[str, dict[str, str]] = {}
    tries = max(runs // 2, 2)
    for levels in (50, 100, 500, 5000):
        row = {}
        for size in (500, 2000, 10_000, 50_000):
            rng, alarmed = np.random.default_rng(levels + size), 0
            for _ in tqdm(range(tries), desc=f"{levels} levels, {size} rows", disable=None):
                drawn = _frame(rng.integers(levels, size=(size, 1)).astype(str))
                made = bench(drawn, batch=500, seed=int(rng.integers(2**31)), categorical=True)
                daily = [replace(m, log_share=m.log_share + np.log(A_DAY)) for m in made.monitored]
                later = pd.Series(rng.integers(levels, size=90 * 500).astype(str))
                alarmed += first_alarm(daily, [_batches(made.columns[0], later, 500)]) > 0
            row[f"{size:,} reference rows"] = f"{alarmed} of {tries}"
        rows[f"{levels:,} levels"] = row
    return pd.DataFrame(rows).T


LITTLE_WORSE: dict[str, tuple[Metric, Floats, Floats]] = {
    # chances of (predicted 0, y 0), (0, 1), (1, 0), (1, 1); before and after
    "error .20 -> .22": (
        "accuracy",
        np.array([0.4, 0.1, 0.1, 0.4]),
        np.array([0.39, 0.11, 0.11, 0.39]),
    ),
    "error .20 -> .28": (
        "accuracy",
        np.array([0.4, 0.1, 0.1, 0.4]),
        np.array([0.36, 0.14, 0.14, 0.36]),
    ),
    "F1 .370 -> .323, a fifth positive": (
        "f1",
        np.array([0.7533, 0.144, 0.0467, 0.056]),
        np.array([0.7533, 0.1525, 0.0467, 0.0475]),
    ),
}


def small_shifts(runs: int) -> pd.DataFrame:
    """Median batches to detect small, lasting shifts; after the slash the bound.

    The bound is 2 ln(1 / mass) / (d - t)^2 rows. Two weeks of reference, a batch every ten minutes.
    """
    rows: dict[str, dict[str, str]] = {}
    tries, weeks = max(runs // 10, 3), 14 * A_DAY
    for n in SIZES[:3]:
        rng = np.random.default_rng(n)
        names = [f"x{i}" for i in range(10)]
        made = bench(pd.DataFrame(rng.normal(size=(weeks * n // 10, 10)), columns=names), batch=n)
        for shift in (0.1, 0.25):
            after = [normal(made, rng, n, 60_000 // n, shift=shift) for _ in range(tries)]
            found = [first_alarm(made.monitored, table) or np.inf for table in after]
            bound = _bound(made.monitored[0], shift) / n
            case = rows.setdefault(f"+{shift} sd in one of ten columns, a tenth of the weeks", {})
            case[f"n = {n}"] = f"{in_words(found)} / {bound:.1f}"
        for name, (metric, before, after_it) in LITTLE_WORSE.items():
            found, bound = [], 0.0
            for _ in range(tries):
                past = rng.multinomial(n, before, size=weeks).astype(float)
                plain = monitored_model(metric, past.sum(axis=0))
                alike = evidence.intraclass_correlation(past, plain.directions.values)
                model = replace(plain, correlation=alike)
                later = rng.multinomial(n, after_it, size=300_000 // n).astype(float)
                found.append(first_alarm([model], [later]) or np.inf)
                moved = plain.directions.values[0] @ after_it - plain.directions.means[0]
                bound = _bound(model, float(moved / plain.bets.spreads[0])) / n
            rows.setdefault(name, {})[f"n = {n}"] = f"{in_words(found)} / {bound:.1f}"
    return pd.DataFrame(rows).T


def label_drift(runs: int) -> pd.DataFrame:
    """Daily drops of 75 labelled rows to detect more positives than the 14.7 % of 1,615 rows.

    As in a small installation with the default budget; the bound is that of small shifts. In the
    data set `mlc_churn`, variant `prod_prior`, 21.7 % of the last 750 rows are positive where 24 %
    were meant: the drift is not found within its ten drops, nor could it be expected to.
    """
    rows: dict[str, dict[str, str]] = {}
    rng, n, most = np.random.default_rng(75), 75, 10
    size, share = 1615, 0.147
    counts = size * np.array([1 - share, share])
    chosen = directions.share(counts, "positive", Tolerance.shared(ALARMS.tolerance, 2))
    # fed once a day, where `first_alarm` feeds what is due in ten minutes
    daily = PROMINENT_SHARE / DEFAULTS.days_per_alarm("data")
    log_share = float(np.log(daily * A_DAY * DAYS_PER_ALARM))
    alike = np.zeros(len(chosen.names))
    label = MonitoredSubject("data", chosen, evidence.place(chosen), alike, 0.0, log_share)
    for rate in (0.217, 0.24, 0.3):
        found = []
        for _ in range(4 * runs):
            positive = rng.binomial(n, rate, size=200)
            table = np.column_stack([n - positive, positive]).astype(float)
            found.append(first_alarm([label], [table]) or np.inf)
        rows[f"{rate:.1%} positive"] = {
            "median drops": in_words(found),
            "bound": f"{_bound(label, (rate - share) / float(label.bets.spreads[0])) / n:.1f}",
            f"found within {most} drops": f"{np.mean(np.array(found) <= most):.0%}",
        }
    return pd.DataFrame(rows).T


def _bound(monitored: MonitoredSubject, effect: float) -> int:
    chosen, spread = monitored.directions, monitored.bets.spreads[0]
    mass = np.log(10 / 1440 / DAYS_PER_ALARM) + monitored.log_share + np.log(chosen.weights[0])
    tolerated = float((chosen.null_means[0] - chosen.means[0]) / spread)
    return evidence.rows_needed(effect, tolerated=tolerated, log_mass=float(mass))


def joint_drift(runs: int) -> pd.DataFrame:
    """Median batches to detect a correlation of .4 between two columns with unchanged values."""
    rng, found = np.random.default_rng(4), {}
    described = Columns(
        identifier="id", target="y", positive_label=1, negative_label=0, numeric=tuple("abcdefghij")
    )

    def draw(n: int, correlation: float) -> pd.DataFrame:
        values = rng.normal(size=(n, 10))
        values[:, 1] = correlation * values[:, 0] + np.sqrt(1 - correlation**2) * values[:, 1]
        frame = pd.DataFrame(values, columns=list("abcdefghij"))
        chance = 1 / (1 + np.exp(1 - values[:, 2]))
        return frame.assign(**{PREDICTION: chance, "y": (rng.random(n) < chance).astype(float)})

    sample = draw(50_000, 0.0)
    reference = Reference.build(sample, described, threshold=0.5, tolerance=ALARMS.tolerance)
    parts = [reference.count(sample[i : i + 200]) for i in range(0, len(sample), 200)]
    detectors = Detector(settle(reference, History(parts), RULES), RULES)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for n in SIZES[:3]:
        delays = []
        for _ in tqdm(range(max(runs // 7, 3)), desc=f"correlation, n = {n}", disable=None):
            state, found_at = detector.start(), 0
            for batch in range(1, 101):
                drawn = draw(n, 0.4 if batch > 20 else 0.0)
                moment = now + batch * timedelta(minutes=10)
                state, seen = detectors.advance(state, reference.count(drawn), moment)
                if batch > 20 and any(e.alarm for e in seen):
                    found_at = batch
                    break
            delays.append(found_at - 20 if found_at else np.inf)
        found[f"n = {n}"] = in_words(delays)
    return pd.DataFrame({OURS: found}).T


# Model drift ----------------------------------------------------------------------------------

CASES: dict[str, tuple[Metric, Floats, Floats]] = {
    # chances of (predicted 0, y 0), (0, 1), (1, 0), (1, 1); before and after
    "accuracy .80 -> .72": (
        "accuracy",
        np.array([0.4, 0.1, 0.1, 0.4]),
        np.array([0.36, 0.14, 0.14, 0.36]),
    ),
    "F1 .60 -> .47": (
        "f1",
        np.array([0.58, 0.12, 0.12, 0.18]),
        np.array([0.541, 0.159, 0.159, 0.141]),
    ),
}


def monitored_model(
    metric: Metric, counts: Floats, correlation: Floats | None = None
) -> MonitoredSubject:
    """Monitor labelled rows: cells by predicted class and label, all four channels."""
    proba = counts[[1, 3]] / (counts[[0, 2]] + counts[[1, 3]])
    labelled = loss_ratios.Labelled(counts, proba, threshold=0.5)
    made = loss_ratios.watched_scores(labelled, metric=metric, cost=RULES.cost)
    alike = np.zeros(len(made.names)) if correlation is None else correlation
    return MonitoredSubject("model", made, evidence.place(made), alike, 0.0, 0.0)


def model_drift(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm; median labelled batches to detect it, day 1 / 20."""
    rows: dict[str, dict[str, str]] = {}
    for case, (metric, before, after) in CASES.items():
        for n in SIZES:
            rng, alarmed, early, late = np.random.default_rng(n), 0, [], []
            for _ in tqdm(range(4 * runs), desc=f"{case}, n = {n}", disable=None):
                monitored = [monitored_model(metric, rng.multinomial(10_000, before).astype(float))]

                def drawn(batches: int, chances: Floats) -> Table:
                    return [rng.multinomial(n, chances, size=batches).astype(float)]  # noqa: B023

                alarmed += first_alarm(monitored, drawn(A_MONTH, before)) > 0
                changed = drawn(200, after)
                early.append(delay(monitored, drawn(1, before), changed))
                late.append(delay(monitored, drawn(19 * A_DAY, before), changed))
            cell = f"{alarmed} of {4 * runs}; {in_words(early)} / {in_words(late)}"
            rows.setdefault(case, {})[f"n = {n}"] = cell
    return pd.DataFrame(rows).T


def batch_effects(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm where the error rate varies between batches.

    The error rate of a batch is .20 + N(0, tau); without / with the design effect, estimated
    from 100 reference batches; then the median batches to detect .28 with it.
    """
    rows: dict[str, dict[str, str]] = {}
    for tau in (0.0, 0.02, 0.04):
        for n in SIZES:
            rng, naive, kept, delays = np.random.default_rng(n), 0, 0, []

            def drawn(batches: int, error: float) -> Floats:
                wrong = np.clip(error + rng.normal(0, tau, batches), 0.01, 0.9)[:, None] / 2  # noqa: B023
                chances = np.hstack([0.5 - wrong, wrong, wrong, 0.5 - wrong])
                return rng.multinomial(n, chances).astype(float)  # noqa: B023

            for _ in tqdm(range(runs // 2 or 1), desc=f"tau = {tau}, n = {n}", disable=None):
                past = drawn(100, 0.20)
                plain = monitored_model("accuracy", past.sum(axis=0))
                alike = evidence.intraclass_correlation(past, plain.directions.values)
                settled = replace(plain, correlation=alike)
                quiet = [drawn(A_MONTH, 0.20)]
                naive += first_alarm([plain], quiet) > 0
                kept += first_alarm([settled], quiet) > 0
                delays.append(delay([settled], [quiet[0][:A_DAY]], [drawn(300, 0.28)]))
            cell = f"{naive} / {kept} of {runs // 2 or 1}; {in_words(delays)}"
            rows.setdefault(f"tau = {tau}", {})[f"n = {n}"] = cell
    return pd.DataFrame(rows).T


# Seasons and memory ---------------------------------------------------------------------------

MONDAY = np.datetime64("2026-01-05", "m")
WEEKS = 2


@dataclass(frozen=True)
class Noise:
    """What the mean of all columns, or the error, does over time, in its own unit."""

    season: Callable[[Floats], Floats]
    memory: float = 0.0
    wander: float = 0.0

    def draw(self, rng: np.random.Generator, when: Floats) -> Floats:
        """Draw the deviation of each batch, from the calendar of the batches."""
        innovations = rng.normal(size=len(when) + 500) * np.sqrt(1 - self.memory**2)
        wandering = lfilter([1.0], [1.0, -self.memory], innovations)[500:]
        deviations: Floats = self.season(when) + self.wander * wandering
        return deviations


def _none(when: Floats) -> Floats:
    return np.zeros(len(when))


def _daily(size: float) -> Noise:
    return Noise(lambda when: size * when[:, 1])


def _weekly(size: float) -> Noise:
    return Noise(lambda when: size * when[:, 7])


def _weekend(size: float) -> Noise:
    return Noise(lambda when: size * when[:, 9])


IN_COLUMNS = {
    "none": Noise(_none),
    "daily cycle of .15 sd in all ten": _daily(0.15),
    "daily cycle of .3 sd in all ten": _daily(0.3),
    "weekly sine of .15 sd": _weekly(0.15),
    "weekends .5 sd higher": _weekend(0.5),
    "weekends 1 sd higher": _weekend(1.0),
    "AR(1) .5 of .1 sd": Noise(_none, 0.5, 0.1),
    "AR(1) .95 of .05 sd": Noise(_none, 0.95, 0.05),
}
IN_ERROR = {
    "none": Noise(_none),
    "daily cycle of .03": _daily(0.03),
    "weekly sine of .02": _weekly(0.02),
    "weekly sine of .03": _weekly(0.03),
    "weekends .05 higher": _weekend(0.05),
    "AR(1) .5 of .02": Noise(_none, 0.5, 0.02),
    "AR(1) .95 of .01": Noise(_none, 0.95, 0.01),
}


def moments(batches: int, *, after: int = 0) -> Floats:
    """Return the calendar of batches every ten minutes, some after the first Monday."""
    minutes = 10 * np.arange(after, after + batches)
    return seasons.calendar(MONDAY + minutes.astype("timedelta64[m]"))


def installation(
    sample: pd.DataFrame,
    described: Columns,
    past: dict[str, Floats],
    when: Floats,
    *,
    a_day: int = A_DAY,
) -> dict[str, MonitoredSubject]:
    """Build a reference from batches of counts, its cells being those of a sample of rows."""
    hashes = np.arange(len(sample))
    frame = sample.assign(**{ROW_HASH: hashes})
    reference = Reference.build(frame, described, threshold=0.5, tolerance=ALARMS.tolerance)
    counts = dict(reference.profile.counts)
    counts |= {name: tuple(table.sum(axis=0).astype(int).tolist()) for name, table in past.items()}
    reference = replace(reference, profile=Profile(int(sum(counts[next(iter(past))])), counts))
    batches = []
    for i, time in enumerate(when):
        own = {name: tuple(table[i].astype(int).tolist()) for name, table in past.items()}
        n = sum(next(iter(own.values())))
        sums = tuple((n * time).tolist())
        batches.append(Profile(n, own, {ALL: sums, LABELLED_ONLY: sums}))
    history = History(batches, len(when) / a_day, EVENT_TIME)
    return Detector(settle(reference, history, RULES), RULES).monitored


Runs = tuple[list[bool], list[float]]
Drawn = Callable[[Floats, Floats], Table]  # the calendar of the batches, and by how much one moves


def seasonal_columns(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm; median batches to detect +.25 sd in one of ten columns.

    Two weeks of reference, a new one for each ten runs; the change occurs on day 2. With 50 and
    1000 rows a fifth of the runs. Aims: at most 13 of 100 quiet months; delays within twice that
    without a season, or a batch more, and within 2.5 times or 12 batches for a weekly sine.
    """
    return _over_seasons(IN_COLUMNS, runs_of_columns, runs)


def runs_of_columns(noise: Noise, n: int, rng: np.random.Generator) -> Runs:
    """Simulate ten runs of ten columns against one reference."""
    return _ten_runs(*_columns(noise, n, rng), 0.25)


def _columns(
    noise: Noise, n: int, rng: np.random.Generator
) -> tuple[list[MonitoredSubject], Drawn]:
    """Monitor ten columns against two weeks of reference, of which the first may move later."""
    names = [f"x{i}" for i in range(10)]
    described = Columns(
        identifier="id", target="y", positive_label=1, negative_label=0, numeric=tuple(names)
    )
    past_when, size = moments(WEEKS * 7 * A_DAY), 20_000
    spread = rng.choice(noise.draw(rng, past_when), size)[:, None]
    sample = _frame(spread + rng.normal(size=(size, 10)))
    chance = rng.beta(2, 6, size)
    sample = sample.assign(**{PREDICTION: chance, "y": (rng.random(size) < chance) * 1.0})
    edges = [np.array(numeric_column(name, sample[name]).edges) for name in names]

    def drawn(when: Floats, shift: Floats) -> Table:
        shifts = [shift] + [np.zeros(1)] * 9
        return [
            _normal(rng, n, edge, noise.draw(rng, when) + each)
            for edge, each in zip(edges, shifts, strict=True)
        ]

    past = dict(zip(names, drawn(past_when, np.zeros(1)), strict=True))
    monitored = installation(sample, described, past, past_when)
    return [monitored[name] for name in names], drawn


def _normal(rng: np.random.Generator, n: int, edges: Floats, means: Floats) -> Floats:
    """Draw batches of n rows of a normal column, each with its mean."""
    below = ndtr(edges - means[:, None])
    inner = np.diff(below, axis=1)
    chances = np.column_stack([below[:, 0], inner, 1 - below[:, -1], np.zeros(len(means))])
    return rng.multinomial(n, np.clip(chances, 0, 1)).astype(float)


def seasonal_error(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm; median labelled batches to detect error .20 -> .28.

    Two weeks of reference, a new one for each ten runs; the change occurs on day 2. With 50 and
    1000 rows a fifth of the runs. The aims are those of columns.
    """
    return _over_seasons(IN_ERROR, runs_of_errors, runs)


def runs_of_errors(noise: Noise, n: int, rng: np.random.Generator) -> Runs:
    """Simulate ten runs of labelled rows against one reference."""
    sample, described, placed = labelled_rows(rng)

    def drawn(when: Floats, shift: Floats) -> Table:
        error = np.clip(0.2 + noise.draw(rng, when) + shift, 0.01, 0.9)[:, None] / 2
        return [placed(rng.multinomial(n, np.hstack([0.5 - error, error, error, 0.5 - error])))]

    past_when = moments(WEEKS * 7 * A_DAY)
    past = {LABELLED: drawn(past_when, np.zeros(1))[0]}
    return _ten_runs([installation(sample, described, past, past_when)[LABELLED]], drawn, 0.08)


def labelled_rows(
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, Columns, Callable[[NDArray[np.int64]], Floats]]:
    """Return rows with a risk of .2 or .8, their columns, and what puts counts into their cells.

    Counts are of predicted 0 and label 0, (0, 1), (1, 0) and (1, 1) in each batch.
    """
    described = Columns(
        identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",)
    )
    size = 2000
    chance = rng.choice([0.2, 0.8], size)
    sample = pd.DataFrame({"x": rng.normal(size=size), PREDICTION: chance})
    sample["y"] = (rng.random(size) < chance) * 1.0
    cells = numeric_column(PREDICTION, sample[PREDICTION])
    edges = tuple(sorted({*(cells.edges or ()), float(np.nextafter(0.5, 0))}))
    low, high = (2 * Column(PREDICTION, edges).codes(pd.Series([0.2, 0.8]))).tolist()

    def placed(counts: NDArray[np.int64]) -> Floats:
        table = np.zeros((len(counts), 2 * (len(edges) + 2)))
        table[:, [low, low + 1, high, high + 1]] = counts
        return table

    return sample, described, placed


def _ten_runs(
    monitored: Sequence[MonitoredSubject], drawn: Callable[[Floats, Floats], Table], shift: float
) -> Runs:
    """Return which of ten quiet months raise an alarm, and ten delays of a change on day 2."""
    starts = [(WEEKS * 7 + day) * A_DAY for day in range(10)]
    whens = [moments(A_MONTH, after=start) for start in starts]
    quiet = first_alarms(monitored, [drawn(when, np.zeros(1)) for when in whens], whens)
    whens = [moments(5 * A_DAY, after=start) for start in starts]
    step = shift * (np.arange(5 * A_DAY) >= A_DAY)
    moved = first_alarms(monitored, [drawn(when, step) for when in whens], whens)
    return [found > 0 for found in quiet], [found - A_DAY if found else np.inf for found in moved]


def _over_seasons(
    noises: dict[str, Noise],
    tried: Callable[[Noise, int, np.random.Generator], Runs],
    runs: int,
) -> pd.DataFrame:
    rows: dict[str, dict[str, str]] = {}
    for kind, noise in noises.items():
        for n in SIZES[:3]:
            rng, alarmed, delays = np.random.default_rng(n), [], []
            tries = max(runs // (10 if n == SIZES[1] else 50), 1)
            for _ in tqdm(range(tries), desc=f"{kind}, n = {n}", disable=None):
                quiet, found = tried(noise, n, rng)
                alarmed, delays = alarmed + quiet, delays + found
            cell = f"{sum(alarmed)} of {len(alarmed)}; {in_words(delays)}"
            rows.setdefault(kind, {})[f"n = {n}"] = cell
    return pd.DataFrame(rows).T


# Rivals ---------------------------------------------------------------------------------------

TERMS = rivals.Terms(batch=200, a_day=4, days=DAYS_PER_ALARM, tolerance=0.01)
REFERENCES = {"300 rows": 300, "two weeks, 11,200 rows": 11_200}
QUIET_DAYS = 10  # before a change
CHANGES: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
    # days of it, and the rise of the error by the days since its beginning
    "sudden": (30, lambda days: np.full(len(days), 0.08)),
    "gradual": (84, lambda days: 0.01 * days / 7),
}
IN_RIVALS = {
    "independent rows": Noise(_none),
    "daily cycle of .03": _daily(0.03),
    "AR(1) .5 of .02": Noise(_none, 0.5, 0.02),
}


def rival_detectors(runs: int) -> pd.DataFrame:
    """Runs of 30 days with a false alarm; median batches to detect +8 points / +1 point a week.

    The error is .20, 200 rows come every six hours, 28 batches a week; each run has a new
    reference. Changes begin on day 11 and last 30 / 84 days; runs with an earlier alarm do not
    count for delays, and where these are more than half there is a dash. Each detector has a budget
    of one false alarm a year, as the package takes it, and a tolerance of .01 if it has any.
    driftfdr: a chance per window; a step is a batch and a window a day, of 300 rows a step is a row
    and a window 100. validanytime-detectors: an average run length; a step is a batch. Its CUSUM
    has no budget, and the limit it comes with; it learns from the reference, but at least from 30
    batches, which are the first of the stream where the reference has 300 rows.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    tries = max(runs // 5, 2)
    for reference, size in REFERENCES.items():
        for kind, noise in IN_RIVALS.items():
            rng = np.random.default_rng(size)
            found: dict[str, list[tuple[int, int, int]]] = {}
            for _ in tqdm(range(tries), desc=f"rivals, {reference}, {kind}", disable=None):
                for name, alarms in _of_one_reference(noise, size, rng).items():
                    found.setdefault(name, []).append(alarms)
            for name, alarms in found.items():
                rows.setdefault((reference, name), {})[kind] = _cell(alarms)
        for name, (package, _) in rivals.RIVALS.items():
            if not rivals.is_installed(package):
                absent = f"{name}: not installed"
                rows[reference, absent] = dict.fromkeys(IN_RIVALS, "")
    return pd.DataFrame(rows).T


def _of_one_reference(
    noise: Noise, size: int, rng: np.random.Generator
) -> dict[str, tuple[int, int, int]]:
    """Return each detector's first alarm in a quiet month, and in each of two changes."""
    before = -(-size // TERMS.batch)
    past = _drawn_errors(noise, rng, 0, np.zeros(before))[:size]
    streams = [_drawn_errors(noise, rng, before, np.zeros(30 * TERMS.a_day))]
    for days, rise in CHANGES.values():
        since = np.arange(-QUIET_DAYS * TERMS.a_day, days * TERMS.a_day) / TERMS.a_day
        streams.append(_drawn_errors(noise, rng, before, np.where(since >= 0, rise(since), 0.0)))
    watches = {OURS: _our_watch(past, before, rng)} | {
        name: prepare(past, TERMS)
        for name, (package, prepare) in rivals.RIVALS.items()
        if rivals.is_installed(package)
    }
    found = {name: [watch(stream) for stream in streams] for name, watch in watches.items()}
    return {name: (quiet, sudden, gradual) for name, (quiet, sudden, gradual) in found.items()}


def _every_six_hours(batches: int, after: int) -> Floats:
    return seasons.calendar(MONDAY + 360 * np.arange(after, after + batches).astype("m8[m]"))


def _drawn_errors(
    noise: Noise, rng: np.random.Generator, after: int, shift: Floats
) -> rivals.Errors:
    """Draw which rows are wrong, in batches that follow some others."""
    when = _every_six_hours(len(shift), after)
    error = np.clip(0.2 + noise.draw(rng, when) + shift, 0.01, 0.9)
    return (rng.random((len(shift), TERMS.batch)) < error[:, None]).ravel().astype(float)


def _our_watch(past: rivals.Errors, before: int, rng: np.random.Generator) -> rivals.Watch:
    """Monitor the errors as a release does; a short reference is one of two batches."""
    sample, described, placed = labelled_rows(rng)

    def table(rows: rivals.Errors, batches: int) -> Floats:
        wrong = rows.reshape(batches, -1).sum(axis=1).astype(int)
        right = len(rows) // batches - wrong
        false_negative, true_negative = rng.binomial(wrong, 0.5), rng.binomial(right, 0.5)
        cells = [true_negative, false_negative, wrong - false_negative, right - true_negative]
        return placed(np.column_stack(cells))

    own = {LABELLED: table(past, before)}
    when = _every_six_hours(before, 0)
    monitored = installation(sample, described, own, when, a_day=TERMS.a_day)[LABELLED]
    # `first_alarm` feeds what is due in ten minutes
    fed = replace(monitored, log_share=monitored.log_share + np.log(A_DAY / TERMS.a_day))

    def watch(rows: rivals.Errors) -> int:
        batches = len(rows) // TERMS.batch
        return first_alarm([fed], [table(rows, batches)], _every_six_hours(batches, before))

    return watch


def _cell(alarms: Sequence[tuple[int, int, int]]) -> str:
    """Count false alarms, and give the median delays of both changes."""
    change = QUIET_DAYS * TERMS.a_day
    delays = []
    for found in list(zip(*alarms, strict=True))[1:]:
        later = [each for each in found if each == 0 or each > change]
        counted = [each - change if each else np.inf for each in later]
        delays.append(in_words(counted) if 2 * len(counted) >= len(found) else "-")
    false = sum(quiet > 0 for quiet, *_ in alarms)
    return f"{false} of {len(alarms)}; {' / '.join(delays)}"


# Early warnings -------------------------------------------------------------------------------

WARNING_ROWS = 200
SHIFTS = (0.1, 0.25, 0.5)
DEFAULTS = replace(RULES, alarms=Alarms())  # with their budgets


def early_warnings(runs: int) -> pd.DataFrame:
    """Warnings about nothing in quiet months, and how much earlier than alarms they come.

    Default budgets: a warning in 30 days and an alarm in 90. In quiet months: the warnings about
    ten columns, and those that their share of the budget allows; two standard deviations of a
    Poisson count more are the aim. For each shift of one column the median batches to the warning,
    to the alarm, and between them. Two weeks of reference, a new one for each ten runs.
    """
    rows: dict[str, dict[str, str]] = {}
    total, allowed = 0, 0.0
    for kind, noise in IN_COLUMNS.items():
        rng, quiet, found = np.random.default_rng(14), [], {shift: [] for shift in SHIFTS}
        for _ in tqdm(range(max(runs // 10, 1)), desc=f"warnings, {kind}", disable=None):
            monitored, drawn = _columns(noise, WARNING_ROWS, rng)
            budget = (
                sum(np.exp(each.log_share) for each in monitored)
                * 30
                / DEFAULTS.days_per_warning("data")
            )
            quiet += _in_quiet_months(monitored, drawn)
            for shift in SHIFTS:
                found[shift] += _leads(monitored, drawn, shift)
        total, allowed = total + sum(quiet), allowed + budget * len(quiet)
        row = {"quiet months": f"{sum(quiet)} in {len(quiet)}; {budget * len(quiet):.1f} allowed"}
        for shift, pairs in found.items():
            to_warning, to_alarm = np.transpose(pairs)
            between = in_words([b - a for a, b in pairs if np.isfinite(b)])
            row[f"+{shift} sd"] = f"{in_words(to_warning)} / {in_words(to_alarm)}; {between}"
        rows[kind] = row
    rows["all"] = {"quiet months": f"{total}; {allowed:.1f} allowed"}
    return pd.DataFrame(rows).T.fillna("")


def reached(
    monitored: Sequence[MonitoredSubject], growths: Sequence[Floats], days: float
) -> list[int]:
    """Return the number of the batch of each warning; who reaches 1 begins again thereafter.

    `days` is that between two of them, by the budget.
    """
    mass, n = np.log(10 / 1440 / days), len(growths[0])
    wealth, begun, found = np.full((len(monitored), n), -np.inf), [0] * len(monitored), []
    again = list(range(len(monitored)))
    while True:
        for i in again:
            wealth[i, begun[i] :] = evidence.wealth_over_time(
                growths[i][begun[i] :],
                monitored[i].bets.log_weights,
                log_mass=float(mass + monitored[i].log_share),
            )
        over = np.flatnonzero(np.logaddexp.reduce(wealth, axis=0) >= 0)
        over = over[over >= (found[-1] if found else 0)]
        if not len(over) or over[0] + 1 >= n:
            return [*found, *(over[:1] + 1)]
        at = int(over[0])
        alone = [i for i in range(len(monitored)) if wealth[i, at] >= 0]
        found += [at + 1] * max(len(alone), 1)
        again = alone or list(range(len(monitored)))
        for i in again:
            begun[i], wealth[i] = at + 1, -np.inf


def _grown(monitored: Sequence[MonitoredSubject], table: Table, when: Floats) -> list[Floats]:
    return [_growth(column, rows, when) for column, rows in zip(monitored, table, strict=True)]


def _in_quiet_months(monitored: Sequence[MonitoredSubject], drawn: Drawn) -> list[int]:
    """Return the number of warnings in each of ten quiet months."""
    numbers = []
    for day in range(10):
        when = moments(A_MONTH, after=(WEEKS * 7 + day) * A_DAY)
        growths = _grown(monitored, drawn(when, np.zeros(1)), when)
        numbers.append(len(reached(monitored, growths, DEFAULTS.days_per_warning("data"))))
    return numbers


def _leads(
    monitored: Sequence[MonitoredSubject], drawn: Drawn, shift: float
) -> list[tuple[float, float]]:
    """Return the batches from a change on day 2 to the warning, and to the alarm, in ten runs."""
    pairs = []
    for day in range(10):
        when = moments(5 * A_DAY, after=(WEEKS * 7 + day) * A_DAY)
        step = shift * (np.arange(5 * A_DAY) >= A_DAY)
        growths = _grown(monitored, drawn(when, step), when)
        both = DEFAULTS.days_per_alarm("data"), DEFAULTS.days_per_warning("data")
        alarm, warning = (
            next((n - A_DAY for n in reached(monitored, growths, days) if n > A_DAY), np.inf)
            for days in both
        )
        pairs.append((float(min(warning, alarm)), float(alarm)))
    return pairs


# The gate -------------------------------------------------------------------------------------

TRUTHS = {
    "worse by 4 points": (0.055, 0.095),
    "equal": (0.075, 0.075),
    "better by 4": (0.095, 0.055),
}


def gate(runs: int) -> pd.DataFrame:
    """The share of challengers deployed by the gate; the models disagree on 15 % of the rows."""
    rows: dict[str, dict[str, str]] = {}
    looks = np.arange(10, 5001, 10)
    for truth, (win, lose) in TRUTHS.items():
        rng, row = np.random.default_rng(8), {}
        for n in (5, 20, 200, 1000):
            tried = rng.multinomial(n, [win, 1 - win - lose, lose], size=20 * runs)
            row[f"one look at {n}"] = f"{np.mean([_deploys(table) for table in tried]):.3f}"
        found = []
        for _ in tqdm(range(4 * runs), desc=f"gate, {truth}", disable=None):
            steps = rng.multinomial(10, [win, 1 - win - lose, lose], size=len(looks))
            tables = np.cumsum(steps, axis=0)
            hit = next(
                (int(n) for n, table in zip(looks, tables, strict=True) if _deploys(table)), 0
            )
            found.append(hit or np.inf)
        row["every 10 labels up to 5000"] = f"{np.isfinite(found).mean():.3f}"
        row["median rows"] = in_words(found)
        rows[truth] = row
    return pd.DataFrame(rows).T


def _deploys(table: NDArray[np.int64]) -> bool:
    wins, ties, defeats = table.tolist()
    return evidence.paired_evidence([1, 0, -1], [wins, ties, defeats]) >= 20 and wins >= defeats


# The report -----------------------------------------------------------------------------------

TABLES: dict[str, tuple[str, Callable[[int], pd.DataFrame]]] = {
    "Data drift": ("10 normal columns, a batch every ten minutes.", data_drift),
    "Harder columns": ("", odd_columns),
    "The never-seen": ("", never_seen),
    "Many levels": ("", many_levels),
    "Small shifts": ("", small_shifts),
    "Label drift in small drops": ("", label_drift),
    "New correlation": ("", joint_drift),
    "Model drift": ("10,000 labelled reference rows.", model_drift),
    "Batch effects": ("", batch_effects),
    "Seasons of columns": ("10 normal columns, a batch every ten minutes.", seasonal_columns),
    "Seasons of the error": ("", seasonal_error),
    "Rival detectors": ("", rival_detectors),
    "Early warnings": ("200 rows every ten minutes.", early_warnings),
    "Gate": ("", gate),
    "Without labels": (
        "Mean absolute error x 100 against realised scores, chunks of 5000 rows.",
        lambda runs: label_free.table(chunks=max(runs // 6, 2)).round(2),
    ),
}
PREFACE = """# Measured false alarms and detection delays

Generated by `make evidence`. The budget is one false alarm per year for each family of checks,
drops arrive every ten minutes, the tolerance is 0.05 standard deviations. "a of b" counts runs with
at least one false alarm; the bound for 30 days is 8.2 %, plus 1 % for the error of the reference.
Zero of b runs means a rate of at most 3 / b with 95 % confidence. Numbers after it are median
batches to the alarm. Each table says with which `--runs` it was made: of 20, some cells are of two
runs. All seeds are fixed.
"""


def report(runs: int, tables: Sequence[str] = tuple(TABLES), over: Engine = LOCAL) -> str:
    """Run simulations and return the page."""
    return "\n".join([PREFACE, *over.map(partial(chapter, runs), tables)])


def chapter(runs: int, title: str) -> str:
    """Run one simulation and return its part of the page."""
    note, simulate = TABLES[title]
    description = f"{note} {' '.join((simulate.__doc__ or '').split())}".strip()
    return f"## {title}\n\n{description} `--runs {runs}`.\n\n{_markdown(simulate(runs))}\n"


def _markdown(table: pd.DataFrame) -> str:
    flat = table.reset_index()
    names = ["" if str(name).startswith(("index", "level")) else str(name) for name in flat]
    lines = [names, ["---"] * len(names), *flat.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Parse the command line, simulate, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=100, help="simulated runs per cell (default: 100)"
    )
    parser.add_argument(
        "--tables", nargs="*", choices=TABLES, default=[*TABLES], help="(default: all)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("docs/evidence.md"), help="default: docs/evidence.md"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--address", help="a Dask scheduler whose workers simulate")
    arguments = parser.parse_args()
    over = Processes(arguments.workers) if arguments.workers > 1 else LOCAL
    over = Dask(arguments.address) if arguments.address else over
    text = report(arguments.runs, arguments.tables, over)
    store.write(arguments.output, text)
    print(text)


if __name__ == "__main__":
    from benchmarks import false_alarms

    false_alarms.main()  # by the name under which workers import it, too
