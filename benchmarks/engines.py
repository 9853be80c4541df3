"""Measure the same work on each engine, and check that its results are equal.

    python benchmarks/engines.py [--rows 200000] [--train 50000] [--workers 2] [--work NAME ...]

Starts a Dask scheduler and its workers on this machine.

Reads   nothing
Writes  a temporary folder; prints a table in Markdown
Exits   0 success, 1 if results differ
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from benchmarks import clusters  # noqa: E402
from benchmarks.costs import World  # noqa: E402
from risk import engine  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402
from risk.models import pipelines  # noqa: E402
from risk.models.fitting import fit  # noqa: E402
from risk.monitoring import drill, monitored_release  # noqa: E402
from risk.schema import ROW_HASH  # noqa: E402

Work = Callable[[World, Config], Any]


def look(world: World, config: Config) -> Any:
    """Predict and count new rows."""
    live = monitored_release.load(config)
    rows = new_rows(world)
    begin = time.perf_counter()
    predictions, profile = live.look(rows, engine.of(config))
    return time.perf_counter() - begin, (predictions.to_numpy().tobytes(), profile.to_json())


def new_rows(world: World) -> pd.DataFrame:
    """Draw unlabelled rows as they come from ingestion."""
    rows = world.customers(world.rows, seed=5)
    rows["left"], rows[ROW_HASH] = pd.NA, np.arange(len(rows))
    return rows.astype({"left": "Int8"})


def trees(world: World, config: Config) -> Any:
    """Cross-validate and fit a random forest."""
    changed = {"estimator": "RandomForestClassifier", "parameters": {"min_samples_leaf": 20}}
    training = config.training.model_copy(update=changed)
    chosen = config.model_copy(update={"training": training})
    return _fitted(world, chosen)


def boosted(world: World, config: Config) -> Any:
    """Cross-validate and fit boosted trees."""
    training = config.training.model_copy(update={"estimator": "HistGradientBoostingClassifier"})
    return _fitted(world, config.model_copy(update={"training": training}))


def _fitted(world: World, config: Config) -> Any:
    rows = world.customers(world.rows, seed=6).astype({"left": "Int8"})
    pipeline = pipelines.build(config.columns, config.training, random_seed=0)
    begin = time.perf_counter()
    found = fit(pipeline, rows, config)
    return time.perf_counter() - begin, found.out_of_fold.tobytes()


def drilled(_: World, config: Config) -> Any:
    """Drill the live release in full."""
    with Ledger.open(config, upgrade=False) as ledger:
        begin = time.perf_counter()
        found = drill.run(config, ledger)
        return time.perf_counter() - begin, repr(found)


WORK: dict[str, Work] = {"look": look, "forest": trees, "boosted trees": boosted, "drill": drilled}


def measure(world: World, configs: dict[str, Config], chosen: Sequence[str]) -> bool:
    """Do each work on each engine; print a line for each, return whether all results are equal."""
    print("| work | engine | wall s | of local | result |\n| --- | --- | ---: | ---: | --- |")
    equal = True
    for name in chosen:
        first: tuple[float, str] | None = None
        for kind, config in configs.items():
            (_, result), (wall, _) = (WORK[name](world, config) for _ in range(2))  # imports done
            digest = hashlib.sha256(pickle.dumps(result)).hexdigest()[:8]
            first = first or (wall, digest)
            equal &= digest == first[1]
            print(
                f"| {name} | {kind} | {wall:.1f} | {wall / first[0]:.2f} | {digest} |", flush=True
            )
    return equal


def main() -> None:
    """Parse the command line, build a world, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", nargs="*", choices=WORK, default=[*WORK])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "world", rows=arguments.train)
        world.build()
        world.rows, own = arguments.rows, world.config
        (Path(name) / "dask").mkdir()
        with clusters.running(Path(name) / "dask", workers=arguments.workers) as cluster:
            changes: dict[str, dict[str, Any]] = {
                "local": {},
                "processes": {"engine": "processes", "engine_workers": arguments.workers},
                "dask": {"engine": "dask", "engine_address": cluster.address},
            }
            configs = {kind: own.model_copy(update=change) for kind, change in changes.items()}
            equal = measure(world, configs, arguments.work)
    sys.exit(not equal)


if __name__ == "__main__":
    main()
