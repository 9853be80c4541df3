"""Measure what the work of a run costs, beside the least that any program would need for it.

    python benchmarks/costs.py [--rows 100000] [--repeat 3] [--against FOLDER] [--only NAME ...]

Each piece of work runs in a process of its own, on one thread, and is repeated in turn with the
others and, with --against, with the same work of another checkout. Peak memory is counted from
before the work began, when everything is imported and its input lies in memory. Another checkout
is left out of what it cannot do or would take hours for: an earlier one has other functions.

Reads   nothing
Writes  a temporary folder, benchmarks/results.md
Exits   0 success; prints a line per measurement, with --only also the page, which it does not write
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(os.environ.get("COSTS_ROOT", Path(__file__).parents[1]))
sys.path.insert(0, str(ROOT))  # in the process of a measurement, the checkout to measure

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

RESULTS = Path(__file__).with_name("results.md")
NUMERIC, CATEGORICAL, SENT = 12, 3, 90_000
LEVELS = 8  # of a category
REQUESTS, ROUNDS = 200, 20
FILES = 20
MAX_COLUMNS_OF_OTHER = 100
PARTS = {  # of ingestion, by the functions that do the work
    "SHA-256 of the drops": ["drops.sha256"],
    "split lines": ["records.take", "drops._texts"],
    "check and convert cells": ["schema.check"],
    "hash rows": ["schema.fingerprints_by_label"],
    "compare with known hashes": ["ingestions.known_hashes"],
    "write parts": ["store.write_rows"],
    "insert into the ledger": ["ingestions.record"],
    "write final_data.csv": ["derived.compile_files"],
}
PACKAGES = ("numpy", "pandas", "scikit-learn", "pyarrow", "sqlalchemy")


class Cost(NamedTuple):
    """The CPU seconds of a piece of work, the wall time, the peak memory in MB, and a size."""

    cpu: float = 0.0
    wall: float = 0.0
    peak: float = 0.0
    bare: float = 0.0
    kilobytes: float = 0.0


Costs = dict[tuple[str, str], list[Cost]]  # by piece of work and checkout


class World:
    """An installation with a live release, trained on customers of so many columns.

    The first category has so many `levels`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        columns: int = NUMERIC + CATEGORICAL,
        levels: int = LEVELS,
        rows: int,
    ) -> None:
        self.folder, self.rows, self.columns = folder, rows, columns
        self.levels = [levels, *[LEVELS] * (CATEGORICAL - 1)]

    def customers(self, n: int, *, seed: int) -> pd.DataFrame:
        """Draw customers; more than a linear model knows makes some of them leave."""
        rng = np.random.default_rng(seed)
        n_numeric = self.columns - CATEGORICAL
        x = rng.normal(size=(n, n_numeric)).round(4)
        level = rng.integers(0, self.levels, (n, CATEGORICAL))
        odds = x[:, 0] + x[:, 1] / 2 + 0.6 * x[:, 2] * x[:, 3] + 0.4 * (level % 2).sum(axis=1) - 0.6
        frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(n_numeric)])
        frame.insert(0, "customer", [f"c{seed}-{i}" for i in range(n)])
        names = pd.array([f"level {i}" for i in range(max(self.levels))], dtype="str")
        for j in range(CATEGORICAL):
            frame[f"k{j}"] = names.take(level[:, j])
        return frame.assign(left=(rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int))

    def build(self, *, first_run: bool = True) -> None:
        """Write the settings, the test data and a first drop, and train on it."""
        settings = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
        settings["input_folder_path"], settings["report_formats"] = "inbox", []
        settings["ingestion"]["settle_seconds"] = 0
        numeric = [f"x{j}" for j in range(self.columns - CATEGORICAL)]
        settings["columns"] = {
            "identifier": "customer",
            "target": "left",
            "positive_label": 1,
            "negative_label": 0,
            "numeric": numeric,
            "categorical": [f"k{j}" for j in range(CATEGORICAL)],
        }
        (self.folder / "data" / "test").mkdir(parents=True)
        (self.folder / "inbox").mkdir()
        (self.folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        test_data = self.customers(1000, seed=9)
        test_data.to_csv(self.folder / "data" / "test" / "test_data.csv", index=False)
        self.drop(self.rows, seed=1)
        if first_run:
            self.run("full_process.py")

    def drop(self, n: int, *, seed: int) -> None:
        """Put new customers into the inbox."""
        path = self.folder / "inbox" / f"{seed}.csv"
        self.customers(n, seed=seed).to_csv(path, index=False)

    def run(self, script: str, *arguments: str) -> None:
        """Run a stage as cron does."""
        command = [sys.executable, ROOT / script, "--config", self.folder / "config.json"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    @property
    def config(self) -> Any:
        """The settings."""
        from risk.config import Config

        return Config.load(self.folder / "config.json")


def seconds(work: Callable[[], object]) -> Cost:
    """Measure a function, with the processes it starts."""

    def used() -> float:
        own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in own)

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    cpu, wall, memory = used(), time.perf_counter(), peak()
    work()
    return Cost(used() - cpu, time.perf_counter() - wall, peak() - memory)


def look(world: World) -> Cost:
    """Assess as many new rows as the release was trained on: count, predict, detect, explain."""
    from risk.monitoring import assessment, detector, monitored_release
    from risk.monitoring.assessment import Batch
    from risk.schema import ROW_HASH

    config, live = world.config, monitored_release.load(world.config)
    rows = world.customers(world.rows, seed=5).astype({"left": "Int8"})
    rows["left"], rows[ROW_HASH] = pd.NA, np.arange(len(rows))
    rows = rows.astype({"left": "Int8"})
    names = [ROW_HASH, "y_true", "version", "y_pred_proba", "expected_proba"]
    none = pd.DataFrame({name: [] for name in names}, dtype="float64")
    batch = Batch(rows, rows.head(0), none, datetime.now(UTC), [])
    edges = {c: np.quantile(live.sample[c], np.arange(1, 22) / 22) for c in config.columns.numeric}

    def bare() -> None:
        for name, cuts in edges.items():
            np.bincount(np.searchsorted(cuts, rows[name].to_numpy()), minlength=24)
        for name in config.columns.categorical:
            np.unique(rows[name].to_numpy(), return_counts=True)

    start = seconds(bare)
    assessment.assess(live, detector.start(), batch, config)  # imports what it needs
    done = seconds(lambda: assessment.assess(live, detector.start(), batch, config))
    return done._replace(bare=start.cpu)


def first_run(world: World) -> Cost:
    """Ingest the first drop, train, deploy, score and check the API."""
    world.build(first_run=False)
    return seconds(lambda: world.run("full_process.py"))


def drop(world: World) -> Cost:
    """Run once with 100 new rows."""
    world.drop(100, seed=time.time_ns() % 10**9)
    done = seconds(lambda: world.run("full_process.py"))
    return done._replace(bare=_importing("pandas"))


def quiet(world: World) -> Cost:
    """Run once without new data."""
    done = seconds(lambda: world.run("full_process.py"))
    return done._replace(bare=_importing("pandas"))


def report(world: World, *, kept: bool) -> Cost:
    """Write the report of the first run as PDF, with or without the predictions kept by it."""
    if not kept:
        for path in world.folder.rglob("report_predictions.npz"):
            path.unlink()
    settings = ("--run", "1", "--set", 'report_formats=["pdf"]')
    return seconds(lambda: world.run("reporting.py", *settings))


def ingestion(world: World) -> Cost:
    """Ingest a drop: validate, hash, compare, store as Parquet and CSV, record."""
    import ingestion as stage
    from risk.ledger.ledger import Ledger

    number = time.time_ns() % 10**9
    world.drop(world.rows, seed=number)
    path = world.folder / "inbox" / f"{number}.csv"
    bare = seconds(lambda: pd.read_csv(path))
    with Ledger.open(world.config) as ledger:
        done = seconds(lambda: stage.run(world.config, ledger))
    return done._replace(bare=bare.cpu)


def ingestion_of_files(world: World, times: int) -> Cost:
    """Ingest 20 drops of, in all, so many `times` the rows trained on.

    Print the share of each part of the work, by a second, profiled pass. Each pass begins with the
    same ledger, that of a copy of the world.
    """
    import cProfile
    import pstats

    import ingestion as stage
    from risk.ledger.ledger import Ledger

    def ingest() -> Cost:
        with tempfile.TemporaryDirectory(dir=world.folder.parent) as folder:
            copy = World(Path(folder, "copy"), columns=world.columns, rows=world.rows)
            without = shutil.ignore_patterns("inbox")
            shutil.copytree(world.folder, copy.folder, symlinks=True, ignore=without)
            shutil.copytree(drops, copy.folder / "inbox")
            with Ledger.open(copy.config) as ledger:
                return seconds(lambda: stage.run(copy.config, ledger))

    def read() -> None:
        for path in drops.iterdir():
            pd.read_csv(path)

    drops = world.folder.parent / f"drops-{times}"
    if not drops.exists():
        drops.mkdir()
        for number in range(FILES):
            rows = world.customers(world.rows * times // FILES, seed=100 + number)
            rows.to_csv(drops / f"{number}.csv", index=False)
    bare, done = seconds(read), ingest()
    with cProfile.Profile() as profile:
        ingest()
    spent = {
        f"{Path(file).stem}.{name}": cumulative
        for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    }
    for part, functions in PARTS.items():
        share = sum(spent.get(name, 0) for name in functions) / spent["ingestion.run"]
        print(f"{part:<30}{share:6.1%}", file=sys.stderr)
    return done._replace(bare=bare.cpu)


def training(world: World) -> Cost:
    """Cross-validate and fit a logistic regression."""
    from risk.models import fitting, pipelines

    config, rows = world.config, world.customers(world.rows, seed=7)
    few = world.customers(3000, seed=8)

    def fit(chosen: pd.DataFrame) -> None:
        pipeline = pipelines.build(config.columns, config.training, random_seed=0)
        fitting.fit(pipeline, chosen, config)

    fit(few)  # imports what it needs
    return seconds(lambda: fit(rows))


def prediction(world: World) -> Cost:
    """Answer 200 requests to predict one row, beside Flask and the pipeline alone."""
    import flask

    from app import create_app
    from risk.models import model, releases

    champion = releases.load_champion(world.config)
    features = champion.manifest.features
    row = world.customers(1, seed=3)[features].astype("object").to_dict("records")
    simple = flask.Flask(__name__)

    @simple.post("/")
    def predict() -> Any:
        frame = pd.DataFrame(flask.request.get_json(), columns=features)
        frame = model.as_features(frame, champion.manifest.numeric, champion.manifest.categorical)
        return {"y_pred_proba": champion.pipeline.predict_proba(frame)[:, 1].tolist()}

    def ask(client: Any, path: str) -> None:
        for _ in range(REQUESTS // ROUNDS):
            assert client.post(path, json=row).json  # which is made while it is sent

    client, other = create_app(world.config).test_client(), simple.test_client()
    ask(client, "/prediction")
    ask(other, "/")
    done, bare = Cost(), 0.0
    for _ in range(ROUNDS):  # in turn, as a machine shared with others is now fast and now slow
        bare += seconds(lambda: ask(other, "/")).cpu
        some = seconds(lambda: ask(client, "/prediction"))
        done = Cost(done.cpu + some.cpu, done.wall + some.wall, max(done.peak, some.peak))
    return done._replace(bare=bare)


def many_rows(world: World, kind: str) -> Cost:
    """Answer a request to predict 90,000 rows, beside parsing and predicting them."""
    from app import create_app
    from risk.models import releases

    champion = releases.load_champion(world.config)
    rows = world.customers(SENT, seed=3)[champion.manifest.features]
    is_json = kind == "application/json"
    body = rows.to_json(orient="records") if is_json else rows.to_csv(index=False)

    def parse_and_predict() -> None:
        json.loads(body) if is_json else pd.read_csv(StringIO(body))
        champion.predict_proba(rows)

    def ask() -> None:
        headers = {"Accept": "application/json"}
        answer = client.post("/prediction", data=body, content_type=kind, headers=headers)
        assert answer.status_code == 200 and answer.data  # which is made while it is sent

    client = create_app(world.config).test_client()
    parse_and_predict()
    bare = seconds(parse_and_predict)
    return seconds(ask)._replace(bare=bare.cpu)


def release(world: World) -> Cost:
    """Add up the files of the live release."""
    files = (world.folder / "deployment" / "current").resolve().iterdir()
    return Cost(kilobytes=sum(path.stat().st_size for path in files) / 1000)


class Work(NamedTuple):
    """A piece of work, what it is compared with, the ratio asked for, and its world."""

    name: str
    what: str
    measure: Callable[[World], Cost]
    bare: str = ""
    asked: str = ""
    columns: int = NUMERIC + CATEGORICAL
    small: bool = False
    levels: int = LEVELS


WORKS = (
    Work("look", "look at new rows", look, "counting with numpy", "6 x, 400 MB"),
    Work("training", "fit with 561 levels", training, asked="700 B a row", levels=545),
    Work("first", "first run", first_run, asked="15 s"),
    Work(
        "levels",
        "first run, a category of 50,000 levels",
        first_run,
        asked="no crash",
        levels=50_000,
    ),
    Work("ingestion", "ingest new rows", ingestion, "`pandas.read_csv`", "8 x"),
    *(
        Work(
            name,
            f"ingest {FILES} drops, {times} x the rows in all",
            partial(ingestion_of_files, times=times),
            "`pandas.read_csv`",
            asked,
        )
        for name, times, asked in (("files", 10, "8 x"), ("small-files", 1, ""))
    ),
    Work("drop", "run with 100 new rows", drop, "`import pandas`", "1.6 s", small=True),
    Work("quiet", "run without new data", quiet, "`import pandas`", "+ 0.25 s", small=True),
    Work("report", "write a report", partial(report, kept=True), asked="2 s", small=True),
    Work(
        "new-report",
        "write a report on rows not yet predicted",
        partial(report, kept=False),
        asked="2 s",
        small=True,
    ),
    Work(
        "prediction", f"{REQUESTS} x `POST /prediction`", prediction, "Flask", "1.5 x", small=True
    ),
    *(
        Work(
            kind,
            f"`POST /prediction` of {SENT:,} rows, {kind.upper()}",
            partial(many_rows, kind=mimetype),
            "parse and predict",
            "2 x",
            small=True,
        )
        for kind, mimetype in (("json", "application/json"), ("csv", "text/csv"))
    ),
    Work("release", "state of a release", release, asked="100 kB", small=True),
    Work(
        "release-levels",
        "state of a release, a category of 1,000 levels",
        release,
        asked="300 kB",
        small=True,
        levels=1000,
    ),
    *(
        Work(
            f"drop-{n}",
            f"run with 100 new rows of {n} features",
            drop,
            "`import pandas`",
            "linear",
            n,
            small=True,
        )
        for n in (30, 100, 300, 1000)
    ),
    Work("release-300", "state of a release of 300 features", release, "", "2 MB", 300, True),
)


def measure(work: Work, checkout: Path, folder: Path, rows: int) -> Cost:
    """Do a piece of work of a checkout once, in a process of its own; the world is built once."""
    environment = os.environ | {"COSTS_ROOT": str(checkout), "OMP_NUM_THREADS": "1"}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is not kept is compiled by each run
    command = [sys.executable, __file__, "--rows", str(rows), "--folder", folder, "--do", work.name]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def attempt(work: Work, label: str, checkout: Path, folder: Path, rows: int) -> Cost | None:
    """Measure a piece of work; None where the other checkout cannot do it, or takes hours."""
    is_other = label == "other"
    if is_other and work.columns > MAX_COLUMNS_OF_OTHER:
        return None
    try:
        return measure(work, checkout, folder, rows)
    except subprocess.CalledProcessError:
        if is_other:
            return None
        raise


def do(work: Work, folder: Path, rows: int) -> Cost:
    """Do a piece of work in this process."""
    rows = min(rows, 5000) if work.small else rows
    is_first = work.measure is first_run
    own = f"{work.columns}-{work.levels}-{rows}"
    place = Path(tempfile.mkdtemp(dir=folder)) if is_first else folder / own
    world = World(place, columns=work.columns, levels=work.levels, rows=rows)
    if not is_first and not world.folder.exists():
        world.build()
    return work.measure(world)


def _importing(package: str) -> float:
    command = [sys.executable, "-c", f"import {package}"]
    return seconds(lambda: subprocess.run(command, check=True)).cpu


def ratio(costs: list[Cost], others: list[float], digits: int) -> str:
    """Return the median ratio of pairs measured in turn: a machine may be slow for minutes."""
    ratios = [cost.cpu / other for cost, other in zip(costs, others, strict=True)]
    return f"{statistics.median(ratios):.{digits}f}"


def table(costs: Costs, labels: list[str]) -> Iterator[str]:
    """Yield the lines of a table: each piece of work, of each checkout."""
    titles = (
        "work | checkout | CPU s, least | median | wall s, least | over | ratio | of the other "
        "| peak MB | asked"
    )
    yield f"| {titles} |"
    yield "|---|---|---:|---:|---:|---|---:|---:|---:|---|"
    for work in WORKS:
        for label in labels:
            found = costs.get((work.name, label))
            if not found:
                continue
            if found[0].kilobytes:
                size = f"{found[0].kilobytes:,.0f} kB"
                yield f"| {work.what} | {label} | {size} | | | | | | | {work.asked} |"
                continue
            bare = min(cost.bare for cost in found)
            others = costs.get((work.name, "other"), []) if label == "this" else []
            cells = [
                f"{min(cost.cpu for cost in found):.2f}",
                f"{statistics.median(cost.cpu for cost in found):.2f}",
                f"{min(cost.wall for cost in found):.2f}",
                f"{work.bare}, {bare:.2f} s" if bare else "",
                ratio(found, [cost.bare for cost in found], 1) if bare else "",
                ratio(found, [cost.cpu for cost in others], 2) if others else "",
                f"{max(cost.peak for cost in found):.0f}",
            ]
            yield f"| {work.what} | {label} | {' | '.join(cells)} | {work.asked} |"


def page(costs: Costs, checkouts: dict[str, Path], rows: int) -> str:
    """Return the content of results.md."""
    other = f" The other checkout is {checkouts['other'].name}." if "other" in checkouts else ""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    text = StringIO()
    lines = [
        "# What the work costs",
        "",
        f"Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d} with {rows:,} rows of "
        f"{NUMERIC} numbers and {CATEGORICAL} categories of 8 levels (runs of few rows and wide "
        "tables: trained on 5,000), on one thread each, repeated in turn; the ratio is the median "
        "of those of the repeats: "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{versions}.{other}",
        "",
        *table(costs, list(checkouts)),
    ]
    print(*lines, sep="\n", file=text)
    return text.getvalue()


def main() -> None:
    """Measure everything in turn, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--only", nargs="+", choices=[work.name for work in WORKS])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--do", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        (work,) = (work for work in WORKS if work.name == options.do)
        print(json.dumps(do(work, options.folder, options.rows)))
        return
    checkouts = {"this": ROOT} | ({"other": options.against} if options.against else {})
    works = [work for work in WORKS if not options.only or work.name in options.only]
    costs: Costs = {}
    with tempfile.TemporaryDirectory() as folder:
        for _, work, label in product(range(options.repeat), works, checkouts):
            own = Path(folder, label)
            own.mkdir(exist_ok=True)
            cost = attempt(work, label, checkouts[label].resolve(), own, options.rows)
            print(f"{work.name:<15}{label:<8}{cost or 'left out'}", flush=True)
            if cost:
                costs.setdefault((work.name, label), []).append(cost)
    # a ratio needs both checkouts at each repeat, and the other may fail at some
    complete = {key: found for key, found in costs.items() if len(found) == options.repeat}
    content = page(complete, checkouts, options.rows)
    if options.only:
        print(content)
    else:
        RESULTS.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
