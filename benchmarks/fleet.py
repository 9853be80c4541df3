"""Measure a run of a fleet: many models past their first run, a small drop for each.

    python benchmarks/fleet.py [--models 200] [--planted 10] [--rows 35] [--drops 1]
        [--set KEY=VALUE ...]

Of the `planted` models one feature shifts by one standard deviation. Settings of the fleet are
those of `full_process.py`, such as `--set engine=processes`.

Reads   config.json of the repository
Writes  a temporary folder; prints seconds, memory, and what was found
Exits   0 success
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "full_process.py"
FIRST_ROWS, TEST_ROWS = 1000, 300


def customers(rng: np.random.Generator, n: int, shift: float = 0.0) -> pd.DataFrame:
    """Draw customers who leave the more likely, the less active they are."""
    activity = rng.normal(50, 15, n) + 15 * shift
    return pd.DataFrame(
        {
            "corporation": [f"c{number:012d}" for number in rng.integers(10**12, size=n)],
            "lastmonth_activity": activity.round(),
            "lastyear_activity": (12 * activity + rng.normal(0, 60, n)).round(),
            "number_of_employees": rng.integers(1, 100, n),
            "exited": (rng.random(n) < 1 / (1 + np.exp((activity - 40) / 8))).astype(int),
        }
    )


def build(folder: Path, models: int) -> None:
    """Make the first release of one model, and copies of it."""
    settings: dict[str, Any] = json.loads((ROOT / "config.json").read_text())
    settings |= {"input_folder_path": "inbox", "report_formats": []}
    settings["ingestion"]["settle_seconds"] = 0
    settings["columns"]["allowed_ranges"] = {}
    first, rng = folder / "m000", np.random.default_rng(20261130)
    for name in ("inbox", "data/test"):
        (first / name).mkdir(parents=True)
    (first / "config.json").write_text(json.dumps(settings))
    test = first / settings["test_data_path"] / settings["test_data_filename"]
    customers(rng, TEST_ROWS).to_csv(test, index=False)
    customers(rng, FIRST_ROWS).to_csv(first / "inbox" / "first.csv", index=False)
    command = [sys.executable, SCRIPT, "--config", first / "config.json"]
    subprocess.run(command, check=True, capture_output=True)
    for number in range(1, models):
        shutil.copytree(first, folder / f"m{number:03d}", symlinks=True)


def drop(folder: Path, number: int, rows: int, planted: int) -> None:
    """Put the next drop into the inbox of each model."""
    for place, model in enumerate(sorted(folder.glob("m*"))):
        rng = np.random.default_rng([number, place])
        drawn = customers(rng, rows, shift=1.0 if place < planted else 0.0)
        drawn.to_csv(model / "inbox" / f"drop{number}.csv", index=False)


def run(folder: Path, settings: Sequence[str]) -> tuple[float, float, str]:
    """Run the fleet; return wall and CPU seconds, and its output."""
    options = [word for setting in settings for word in ("--set", setting)]
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, SCRIPT, "--config", ROOT / "config.json", "--fleet", folder]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, cpu, done.stdout + done.stderr


def main() -> None:
    """Parse the command line, build the fleet, run it after each drop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--planted", type=int, default=10)
    parser.add_argument("--rows", type=int, default=35)
    parser.add_argument("--drops", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, arguments.models)
        for number in range(arguments.drops):
            drop(folder, number, arguments.rows, arguments.planted)
            wall, cpu, text = run(folder, arguments.settings)
            load = os.getloadavg()[0]
            print(f"drop {number + 1}: {wall:.0f} s, {cpu:.0f} s CPU, load {load:.1f}", flush=True)
            quiet = [line for line in text.splitlines() if "No incident" in line]
            print("\n".join(line for line in text.splitlines() if line not in quiet))
            print(f"{len(quiet)} models without an incident", flush=True)


if __name__ == "__main__":
    main()
