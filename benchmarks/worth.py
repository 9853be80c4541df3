"""Measure what the loop is worth: one stream of drops under four retraining policies.

    python benchmarks/worth.py [--data FOLDER] [--streams NAME ...] [--output docs/worth.md]

Every drop is predicted by the model that was live before it arrived; the F1 of these predictions
is what users of the model got. `never` keeps the first model; `every drop` retrains on all labelled
rows as soon as a drop brings labels; `psi` retrains when the population stability index of a
feature reaches 0.2; `this system` is full_process.py with its default settings. All four
train the same estimator and choose its threshold alike.

Reads   the streams of the generator; with --data also the data sets in FOLDER, each with
        config.json, development/, test/ and folders of drops
Writes  the tables, as Markdown, to --output
Exits   0 success
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import full_process  # noqa: E402
from demo import customers  # noqa: E402
from risk import store  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.decisions.codes import Action  # noqa: E402
from risk.errors import RiskError  # noqa: E402
from risk.ledger import lease  # noqa: E402
from risk.ledger.findings import WARNING  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402
from risk.models import fitting, model, pipelines, releases  # noqa: E402
from risk.monitoring.findings import METHOD, WARNED_SINCE  # noqa: E402

Labels = NDArray[np.int8]
Counts = NDArray[np.int64]  # true positives, false positives, false negatives of a drop
START = datetime(2026, 1, 1, tzinfo=UTC)
BINS, PSI_LIMIT, MIN_SHARE = 10, 0.2, 1e-4
RESAMPLES = 2000
POLICIES = ("never", "every drop", "psi", "this system")
PLAYS, SHARE_LEARNT = 3, 0.9  # of `every drop` against itself: three pairs


@dataclass(frozen=True)
class Stream:
    """Drops in order, the rows before them, and after how many drops their labels arrive."""

    name: str
    settings: dict[str, Any]
    development: list[pd.DataFrame]
    test: pd.DataFrame
    drops: list[pd.DataFrame]
    delay: int = 0
    broken: frozenset[int] = frozenset()  # the drops whose feed is broken

    def labelled_by(self, number: int) -> pd.DataFrame:
        """Return the rows of all drops whose labels have arrived with drop `number`."""
        return pd.concat([*self.development, *self.drops[: max(number + 1 - self.delay, 0)]])


@dataclass
class Result:
    """What one policy did on one stream."""

    counts: list[Counts] = field(default_factory=list)
    trainings: int = 0
    releases: int = 0
    questions: int = 0
    warnings: int = 0
    leads: list[float] = field(default_factory=list)  # drops from the warning to the incident


@dataclass(frozen=True)
class Gain:
    """How much higher F1 is than under another policy, and the same of resampled drops."""

    change: float
    drawn: NDArray[np.float64]

    @property
    def spread(self) -> float:
        """Return the standard error."""
        return float(self.drawn.std())

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of this stream alone."""
        low, high = np.quantile(self.drawn, [0.025, 0.975])
        return float(low), float(high)


def play(stream: Stream, policy: str, *, luck: int | None = None) -> Result:
    """Play a stream under a policy; one with a number has its own folds and leaves out a tenth."""
    with tempfile.TemporaryDirectory() as folder:
        config = _install(Path(folder), stream)
        if luck is not None:
            config = config.model_copy(update={"random_seed": luck})
        if policy == "this system":
            return _play_system(config, stream)
        return _play_rule(config, stream, policy, share=1.0 if luck is None else SHARE_LEARNT)


def _play_rule(config: Config, stream: Stream, policy: str, *, share: float) -> Result:
    result, before = Result(), stream.labelled_by(-1)
    fitted = _fit(config, before, share=share)
    for number, drop in enumerate(stream.drops):
        result.counts.append(_counts(config, drop, *fitted))
        labelled = stream.labelled_by(number)
        is_new = len(labelled) > len(stream.labelled_by(number - 1))
        moved = policy == "psi" and _psi(config, before, drop) >= PSI_LIMIT
        if moved or (policy == "every drop" and is_new):
            with suppress(RiskError):  # one class only, say
                fitted = _fit(config, labelled, share=share)
                before, result.trainings = drop if moved else before, result.trainings + 1
    result.releases = result.trainings
    return result


def _play_system(config: Config, stream: Stream) -> Result:
    result = Result()
    _run(config, -1)
    for number, drop in enumerate(stream.drops):
        champion = releases.load_champion(config)
        threshold = champion.manifest.threshold
        result.counts.append(_counts(config, drop, champion.pipeline, threshold))
        arriving = drop.drop(columns=config.columns.target) if stream.delay else drop
        _write(arriving, config.input_folder / f"{number:04d}.csv")
        if stream.delay and number >= stream.delay:
            late = stream.drops[number - stream.delay]
            names = [config.columns.identifier, config.columns.event_time, config.columns.target]
            labels = late[[name for name in names if name in late]]
            _write(labels, config.input_folder / f"{number:04d}_labels.csv")
        _run(config, number)
    with Ledger.open(config, upgrade=False) as ledger:
        stages = ledger.runs.timings()
        result.trainings = int((stages["stage"] == "training").sum()) - 1
        result.releases = len(releases.versions(config.deployment_folder)) - 1
        result.questions = ledger.decisions.page(action=Action.ASK).total
        result.warnings = ledger.findings.page(tier=WARNING).total
        incidents = ledger.incidents.history()
        result.leads = [
            _lead(json.loads(facts), opened_at)
            for facts, opened_at, method in zip(
                incidents["facts"], incidents["opened_at"], incidents["method"], strict=True
            )
            if method == METHOD
        ]
    return result


def _lead(facts: dict[str, Any], opened_at: datetime) -> float:
    """Return how many days, which are drops, before an incident it was warned of."""
    since = facts.get(WARNED_SINCE)
    return (opened_at - datetime.fromisoformat(since)).days if since else 0.0


def _run(config: Config, number: int) -> None:
    moment = START + timedelta(days=number)
    with lease.only_writer(config, holder="worth", clock=lambda: moment) as ledger:
        full_process.run(config, ledger)


def _install(folder: Path, stream: Stream) -> Config:
    settings = json.loads((ROOT / "config.json").read_text(encoding="utf-8")) | stream.settings
    settings |= {
        "input_folder_path": "inbox",
        "test_data_path": "test",
        "test_data_filename": "test_data.csv",
        "ingestion": {"settle_seconds": 0},
        "report_formats": [],
    }
    for name, rows in zip("abc", stream.development, strict=False):
        _write(rows, folder / "inbox" / f"development_{name}.csv")
    _write(stream.test, folder / "test" / "test_data.csv")
    store.write(folder / "config.json", json.dumps(settings))
    return Config.load(folder / "config.json")


def _fit(config: Config, rows: pd.DataFrame, *, share: float = 1.0) -> tuple[Any, float]:
    columns = config.columns
    labelled = _typed(config, rows).dropna(subset=[columns.target])
    learnt = labelled.sample(frac=share, random_state=config.random_seed) if share < 1 else labelled
    unfitted = pipelines.build(columns, config.training, random_seed=config.random_seed)
    fitted = fitting.fit(unfitted, learnt, config)
    return fitted.pipeline, fitted.threshold.value


def _counts(config: Config, drop: pd.DataFrame, pipeline: Any, threshold: float) -> Counts:
    """Return the true positives, false positives and false negatives of a drop."""
    columns, rows = config.columns, _typed(config, drop)
    if rows.empty:
        return np.zeros(3, np.int64)
    features = model.as_features(rows, columns.numeric, columns.categorical)
    is_positive = model.positive_probability(pipeline, features) >= threshold
    leaves = rows[columns.target].to_numpy(dtype="float64") == 1
    return np.array(
        [(is_positive & leaves).sum(), (is_positive & ~leaves).sum(), (~is_positive & leaves).sum()]
    )


def _typed(config: Config, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows as a lenient reader takes them: what is not a number is missing."""
    columns = config.columns
    typed = rows.reindex(columns=[*columns.numeric, *columns.categorical, columns.target])
    numbers = [*columns.numeric, columns.target]
    typed[numbers] = typed[numbers].apply(pd.to_numeric, errors="coerce").astype("float64")
    typed[list(columns.categorical)] = typed[list(columns.categorical)].replace("", np.nan)
    return typed


def _psi(config: Config, before: pd.DataFrame, now: pd.DataFrame) -> float:
    """Return the largest population stability index of a feature, over ten quantile bins."""
    old, new = _typed(config, before), _typed(config, now)
    found = []
    for name in [*config.columns.numeric, *config.columns.categorical]:
        before_now = [rows[name].dropna() for rows in (old, new)]
        if name in config.columns.numeric:
            edges = np.unique(before_now[0].quantile(np.linspace(0, 1, BINS + 1)[1:-1]))
            before_now = [pd.Series(np.digitize(values, edges)) for values in before_now]
        levels = before_now[0].unique()
        rows_each = [values.value_counts().reindex(levels, fill_value=0) for values in before_now]
        p, q = (np.maximum(n.to_numpy(float) / max(n.sum(), 1), MIN_SHARE) for n in rows_each)
        found.append(float(np.sum((q - p) * np.log(q / p))))
    return max(found)


def _write(rows: pd.DataFrame, path: Path) -> None:
    store.write(path, rows.to_csv(index=False))


def columns_of(folder: Path) -> dict[str, Any]:
    """Return the columns of a data set as the settings name them."""
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {
        "identifier": described["id_column"],
        "target": described["target"],
        "positive_label": described["positive_label"],
        "negative_label": 0,
        "numeric": described["numeric_features"],
        "categorical": described["categorical_features"],
        "other": described["other_columns"],
    }


def of_data_set(folder: Path, kind: str, *, delay: int = 0) -> Stream:
    """Read a stream of one of the data sets."""
    paths = sorted((folder / kind).glob("*.csv"))
    return Stream(
        name=f"{folder.name}, {kind.removeprefix('prod_')}"
        + (f", labels {delay} drops late" if delay else ""),
        settings={"columns": columns_of(folder)},
        development=[_read(path) for path in sorted((folder / "development").glob("*.csv"))],
        test=_read(folder / "test" / "test_data.csv"),
        drops=[_read(path) for path in paths],
        delay=delay,
        broken=_broken(folder, paths),
    )


def _broken(folder: Path, paths: Sequence[Path]) -> frozenset[int]:
    """Return the places of the drops whose feed was broken, as the data set's manifest says."""
    known = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    done = {entry["file"]: entry.get("injected", "clean") for entry in known}
    names = [path.relative_to(folder).as_posix() for path in paths]
    return frozenset(n for n, name in enumerate(names) if done[name].startswith("quality"))


def of_generator(*, days: int = 60, delay: int = 0, rows: int = 400, seed: int = 7) -> Stream:
    """Return the simulated customers of the demo: shift, price rise, broken feed, recovery."""
    story = customers.Story(seed=seed, days=days, rows=rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        customers.write_history(folder, story)
        drops = [_read(path) for path in sorted((folder / "drops").glob("*.csv"))]
        history = [_read(path) for path in sorted((folder / "history").glob("*.csv"))]
        test = _read(folder / "test" / "test_data.csv")
    settings = json.loads((ROOT / "demo" / "config.json").read_text(encoding="utf-8"))
    broken = [regime.first_day - 1 for regime in customers.REGIMES if regime.kind == "data quality"]
    return Stream(
        name="generator" + (f", labels {delay} days late" if delay else ""),
        settings={"columns": settings["columns"]},
        development=[pd.concat(history[:2]), *history[2:]],
        test=test,
        drops=drops,
        delay=delay,
        broken=frozenset(broken),
    )


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype="str", keep_default_na=False)


def streams(data: Path | None) -> Iterator[Stream]:
    """Yield all streams."""
    yield of_generator()
    yield of_generator(delay=7)
    yield of_generator(delay=30)
    if data is None:
        return
    for name in ("telco", "mlc_churn", "online_retail", "bank_marketing"):
        for kind in ("production", "prod_covariate", "prod_prior", "prod_concept", "prod_quality"):
            if (data / name / kind).exists():
                delay = 8 if (name, kind) == ("online_retail", "production") else 0
                yield of_data_set(data / name, kind, delay=delay)


def f1(counts: Sequence[Counts]) -> float:
    """Return F1 over several drops."""
    true_positive, false_positive, false_negative = np.sum(counts, axis=0)
    wrong = false_positive + false_negative
    return float(2 * true_positive / max(2 * true_positive + wrong, 1))


def gained(ours: Sequence[Counts], others: Sequence[Counts]) -> Gain:
    """Return the difference in F1, and what it is when drops are resampled in pairs."""
    one, other = np.asarray(ours), np.asarray(others)
    chosen = np.random.default_rng(0).integers(len(one), size=(RESAMPLES, len(one)))
    drawn = [
        2 * total[:, 0] / np.maximum(2 * total[:, 0] + total[:, 1] + total[:, 2], 1)
        for total in (one[chosen].sum(axis=1), other[chosen].sum(axis=1))
    ]
    change, n = f1(ours) - f1(others), len(one)
    # resamples of few drops vary less than drops do: expanded as Hesterberg (2015) proposes
    expanded = stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975) * np.sqrt(n / (n - 1))
    return Gain(change, change + expanded * (drawn[0] - drawn[1] - change))


def simultaneous(gains: Sequence[Gain]) -> list[tuple[float, float]]:
    """Return intervals that hold all at once in 95 %, by the largest studentised deviation.

    Streams have no drop in common, so each is resampled on its own (Romano and Wolf, 2005).
    """
    known = [gain for gain in gains if gain.spread > 0]
    deviations = [np.abs(gain.drawn - gain.change) / gain.spread for gain in known]
    reach = float(np.quantile(np.max(deviations, axis=0), 0.95)) if known else 0.0
    return [(g.change - reach * g.spread, g.change + reach * g.spread) for g in gains]


def luck_of(plays: Sequence[Sequence[Counts]]) -> float:
    """Return the root mean square of the differences in F1 between plays of one policy."""
    pairs = [f1(one) - f1(other) for one, other in combinations(plays, 2)]
    return float(np.sqrt(np.mean(np.square(pairs))))


@dataclass(frozen=True)
class Compared:
    """The line of a stream, and what the intervals of all streams are made of."""

    line: dict[str, Any]
    gains: dict[str, Gain]
    luck: float


def compare(stream: Stream) -> Compared:
    """Play a stream under all policies, and `every drop` against itself."""
    results = {policy: play(stream, policy) for policy in POLICIES}
    again = [play(stream, "every drop", luck=number).counts for number in range(1, PLAYS + 1)]
    whole = [n for n in range(len(stream.drops)) if n not in stream.broken]
    kept = {name: [found.counts[n] for n in whole] for name, found in results.items()}
    luck = luck_of([[counts[n] for n in whole] for counts in again])
    gains = {name: gained(kept["this system"], kept[name]) for name in ("never", "every drop")}
    line: dict[str, Any] = {"stream": stream.name, "drops": len(whole)}
    line |= {name: f"{f1(counts):.3f}" for name, counts in kept.items()}
    for name, gain in gains.items():
        line[f"against {name}"] = f"{gain.change:+.3f} {_between(gain.interval())}"
    return Compared(line | _of_the_loop(results), gains, luck)


def _of_the_loop(results: dict[str, Result]) -> dict[str, Any]:
    ours = results["this system"]
    earlier = [lead for lead in ours.leads if lead > 0]
    median = f", {np.median(earlier):g} drops" if earlier else ""
    released = [results[name].releases for name in ("every drop", "psi", "this system")]
    return {
        "releases: every drop, psi, this system": ", ".join(map(str, released)),
        "trainings": ours.trainings,
        "questions": ours.questions,
        "warnings; incidents warned of before": (
            f"{ours.warnings}; {len(earlier)} of {len(ours.leads)}{median}"
        ),
    }


def _between(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"


PREFACE = """# What the loop is worth

Generated by `make worth`: streams of drops under four policies. Each drop is predicted by the model
that was live before the drop arrived. `never` keeps the first model, `every drop` retrains on all
labelled rows with each drop that brings labels, `psi` does so when the population stability index
of a feature reaches 0.2, and `this system` is `full_process.py` with default settings. The columns
with these names hold F1 over all drops whose feed is not broken; differences have paired 95 %
intervals, by resampling drops, wider where these are few. Releases, trainings and questions to a
person do not count the first model. The last column counts early warnings, and the incidents of
detectors that were warned of at least a drop before they opened, with the median number of drops.
"""

NOISE = """## What is chance

Of {n} intervals of 95 %, one in twenty excludes 0 although nothing differs. Those below hold for
all streams at once, with 95 %, in each column. Like those above they come from resampling drops,
which leaves out the luck of each training. So `every drop` was played {plays} more times on each
stream, each time with other folds and another nine tenths of the rows: `luck` is the root mean
square of the differences in F1 between these plays, by which such a policy differs from itself.
"""


def page(found: Sequence[Compared]) -> str:
    """Return the page."""
    for_all = {name: simultaneous([each.gains[name] for each in found]) for name in found[0].gains}
    noise = [
        {"stream": each.line["stream"], "luck": f"{each.luck:.3f}"}
        | {f"against {name}": _between(ends[place]) for name, ends in for_all.items()}
        for place, each in enumerate(found)
    ]
    said = NOISE.format(n=len(found), plays=PLAYS)
    lines = [each.line for each in found]
    return "\n".join([PREFACE, _table(lines), said, _table(noise)])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Parse the command line, play the streams, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="data sets (default: none)")
    parser.add_argument("--streams", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--output", type=Path, default=Path("docs/worth.md"))
    arguments = parser.parse_args()
    chosen = [s for s in streams(arguments.data) if s.name in (arguments.streams or [s.name])]
    with ProcessPoolExecutor() as pool:
        found = list(tqdm(pool.map(compare, chosen), total=len(chosen), unit="stream"))
    store.write(arguments.output, page(found))
    print(page(found))


if __name__ == "__main__":
    main()
