"""Measure whether the time of a run with a new 100-row drop depends on the length of history.

    python benchmarks/history.py [--rows 10000 2000000] [--drops 1000] [--repeat 5]

The drops of 100 rows come after a second release, which is compared with the first one on them.

Reads   nothing
Writes  a temporary folder
Exits   0 success; prints seconds per run for each length of history, and their ratio
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]


def customers(rows: int, *, first: int, rng: np.random.Generator) -> pd.DataFrame:
    """Generate new customers, numbered from `first`."""
    activity = rng.poisson(40, rows)
    return pd.DataFrame(
        {
            "corporation": [f"c{number}" for number in range(first, first + rows)],
            "lastmonth_activity": activity,
            "lastyear_activity": rng.poisson(500, rows),
            "number_of_employees": rng.poisson(60, rows),
            "exited": (rng.random(rows) < 1 / (1 + np.exp((activity - 36) / 4))).astype(int),
        }
    )


def build(folder: Path, rows: int, drops: int) -> None:
    """Create an installation with a first drop of `rows` rows, and `drops` since its release 2."""
    settings = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    settings["input_folder_path"], settings["report_formats"] = "inbox", []
    settings["policy"]["refresh_growth"] = 1000  # no third release
    settings["ingestion"]["settle_seconds"] = 0
    (folder / "inbox").mkdir(parents=True)
    (folder / "data" / "test").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    rng = np.random.default_rng(rows)
    test_data = customers(1000, first=10**9, rng=rng)
    test_data.to_csv(folder / "data" / "test" / "test_data.csv", index=False)
    customers(rows, first=0, rng=rng).to_csv(folder / "inbox" / "history.csv", index=False)
    run(folder)
    if drops:
        run(folder, "training.py")
        run(folder, "deployment.py", "--force")
        for number in range(drops):
            drop = customers(100, first=10**7 + 100 * number, rng=rng)
            drop.to_csv(folder / "inbox" / f"drop{number}.csv", index=False)
        run(folder)


def run(folder: Path, script: str = "full_process.py", *options: str) -> float:
    """Time one stage or the full process."""
    begin = time.perf_counter()
    command = [sys.executable, ROOT / script, "--config", folder / "config.json", *options]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure the lengths in turn, so that load on the machine affects all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[10_000, 2_000_000],
        help="lengths of history to compare (default: 10000 2000000)",
    )
    parser.add_argument(
        "--drops", type=int, nargs="+", default=[], help="numbers of drops since, after 10000 rows"
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs per length (default: 5)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as temporary:
        histories = [(rows, 0) for rows in arguments.rows]
        histories += [(10_000, drops) for drops in arguments.drops if drops]
        folders = {history: Path(temporary, "{}-{}".format(*history)) for history in histories}
        for history, folder in folders.items():
            build(folder, *history)
        seconds: dict[tuple[int, int], list[float]] = {history: [] for history in folders}
        for turn in range(arguments.repeat):
            drop = customers(100, first=2 * 10**9 + 1000 * turn, rng=rng)
            for history, folder in folders.items():
                drop.to_csv(folder / "inbox" / f"new{turn}.csv", index=False)
                seconds[history].append(run(folder))
    medians = {history: statistics.median(times) for history, times in seconds.items()}
    for (rows, drops), median in medians.items():
        print(f"{rows:>12,} rows of history and {drops:>6,} drops since: {median:.2f} s per run")
    print(
        f"ratio of the longest to the shortest: {max(medians.values()) / min(medians.values()):.2f}"
    )


if __name__ == "__main__":
    main()
