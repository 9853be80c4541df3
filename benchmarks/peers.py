"""Measure what peers need to look at the same new rows, and to answer the same requests.

    python benchmarks/peers.py [--rows 100000] [--repeat 3] [--environments .peers]

A peer is never a dependency: each runs with the Python of an environment of its own, such as
.peers/evidently, and is skipped by name if there is none. This system runs with the Python that
runs the script. All do the same in turn, each in a new process, on one thread.

Reads   the environments
Writes  a temporary folder, benchmarks/peers.md
Exits   0 success; prints a line per measurement
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import costs  # noqa: E402

RESULTS = Path(__file__).with_name("peers.md")
PACKAGES = {  # not all work with what is new
    "evidently": "evidently 'pandas<3'",
    "nannyml": "nannyml statsmodels 'pandas<3'",
    "whylogs": "whylogs 'numpy<2' 'pandas<3'",
    "mlflow": "mlflow httpx scikit-learn",
}
BEGIN = """
import json, resource, sys
import pandas as pd
reference, current = (pd.read_csv(path) for path in sys.argv[1:3])
version = ""

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""
END = """
memory, cpu = peak(), used()
work()
print(json.dumps([used() - cpu, peak() - memory, version]))
"""
LOOKS = {
    "evidently": """
import evidently
from evidently import Report
from evidently.presets import DataDriftPreset
version = evidently.__version__

def work():
    Report([DataDriftPreset()]).run(current, reference).dict()
""",
    "nannyml": """
import nannyml
version = nannyml.__version__
names = [*reference.columns]
texts = [*reference.select_dtypes(exclude="number").columns]
calculator = nannyml.UnivariateDriftCalculator(
    column_names=names, treat_as_categorical=texts, chunk_number=1
).fit(reference)

def work():
    calculator.calculate(current).to_df()
""",
    "whylogs": """
import whylogs
from importlib.metadata import version as version_of
version = version_of("whylogs")

def work():
    whylogs.log(current).view().to_pandas()
""",
}
WHAT = {
    "evidently": "`DataDriftPreset`: one test a column",
    "nannyml": "`UnivariateDriftCalculator`, fitted before: one distance a column",
    "whylogs": "a profile of the new rows; nothing is compared",
    "this system": "count, predict, test every column, pair and score within one budget, attribute",
}
SERVER = """
import mlflow, sys, tempfile
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.compose import make_column_transformer
version = mlflow.__version__
texts = [*reference.select_dtypes(exclude="number").columns]
rows = reference.head(5000)
target = rows.iloc[:, 0] + rows.iloc[:, 1] / 2 > 0
model = make_pipeline(
    make_column_transformer((OneHotEncoder(), texts), remainder="passthrough"),
    LogisticRegression(max_iter=1000),
).fit(rows, target)
folder = tempfile.mkdtemp() + "/model"
mlflow.sklearn.save_model(model, folder, serialization_format="cloudpickle")
client = TestClient(scoring_server.init(mlflow.pyfunc.load_model(folder)))
body = {"dataframe_records": current.head(1).to_dict("records")}

def work():
    for _ in range(REQUESTS):
        assert client.post("/invocations", json=body).json()["predictions"]

work()
"""


class Spent(NamedTuple):
    """CPU seconds and megabytes beyond those of the input, and the version that was measured."""

    cpu: float
    peak: float
    version: str


def python_of(environments: Path, peer: str) -> Path | None:
    """Return the Python of a peer's environment; say how to make one that is missing or broken."""
    python = environments / peer / "bin" / "python"
    tried = [python, "-W", "ignore", "-c", f"import {peer}, pandas"]
    if python.exists() and not subprocess.run(tried, stderr=subprocess.DEVNULL).returncode:
        return python
    made = f"python -m venv {environments / peer}"
    print(f"skipped: {peer} ({made} && {python} -m pip install {PACKAGES[peer]})")
    return None


def ask(python: Path, code: str, files: list[Path]) -> Spent:
    """Let a peer do its work once, in a new process."""
    alone = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DO_NOT_TRACK")}
    command = [python, "-W", "ignore", "-c", BEGIN + code + END, *files]
    done = subprocess.run(
        command, env=os.environ | alone, check=True, stdout=subprocess.PIPE, text=True
    )
    return Spent(*json.loads(done.stdout.splitlines()[-1]))


def ours(work: str, folder: Path, rows: int) -> Spent:
    """Do the same with this system."""
    (named,) = (each for each in costs.WORKS if each.name == work)
    cost = costs.measure(named, costs.ROOT, folder, rows)
    return Spent(cost.cpu, cost.peak, "")


def page(spent: dict[tuple[str, str], list[Spent]], rows: int) -> str:
    """Return the content of peers.md."""
    lines = [
        "# Beside peers",
        "",
        f"Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {rows:,} new rows of "
        f"{costs.NUMERIC} numbers and {costs.CATEGORICAL} categories against as many of reference, "
        f"and {costs.REQUESTS} requests for the prediction of one row; one thread, repeated in "
        f"turn: {platform.machine()}, {os.cpu_count()} cores. Memory is what was needed beyond "
        "the imports and the rows. What they do is not the same, so the column in the middle says "
        "what one gets for it.",
        "",
        "| work | by | what is done | CPU s, least | median | peak MB |",
        "|---|---|---|---:|---:|---:|",
    ]
    for (work, name), found in spent.items():
        cpu = [each.cpu for each in found]
        what = WHAT[name] if work == "look" else "HTTP, JSON, one row"
        lines.append(
            f"| {work} | {f'{name} {found[0].version}'.strip()} | {what} | {min(cpu):.2f} | "
            f"{statistics.median(cpu):.2f} | {max(each.peak for each in found):.0f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure all that are there in turn, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=costs.ROOT / ".peers")
    options = parser.parse_args()
    places = {peer: python_of(options.environments, peer) for peer in PACKAGES}
    spent: dict[tuple[str, str], list[Spent]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / "reference.csv", folder / "current.csv"]
        for seed, path in enumerate(files):
            drawn = costs.World(folder, rows=0).customers(options.rows, seed=seed)
            drawn.drop(columns=["customer", "left"]).to_csv(path, index=False)
        for _ in range(options.repeat):
            found = {("look", "this system"): ours("look", folder, options.rows)}
            found |= {
                ("look", peer): ask(python, LOOKS[peer], files)
                for peer, python in places.items()
                if python and peer in LOOKS
            }
            found["requests", "this system"] = ours("prediction", folder, options.rows)
            if python := places["mlflow"]:
                code = SERVER.replace("REQUESTS", str(costs.REQUESTS))
                found["requests", "mlflow"] = ask(python, code, files)
            for key, each in found.items():
                spent.setdefault(key, []).append(each)
                print(*key, each, flush=True)
    RESULTS.write_text(page(spent, options.rows), encoding="utf-8")


if __name__ == "__main__":
    main()
