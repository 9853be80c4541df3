"""Stage 4 of 6: what the live model says, how the data look, how long things take.

Reads   the champion, the test data, the accepted rows, the ledger, requirements.txt
Writes  nothing; with --latest, the newest versions of the packages to latest_versions.json
Exits   0 done, 65 unusable test data, 69 no database, 76 no model to trust,
        78 wrong configuration
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from packaging.requirements import InvalidRequirement, Requirement
from tqdm import tqdm

from risk import cli, drops, releases, store
from risk.config import Columns, Config
from risk.ledger import Ledger
from risk.model import Model

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
LATEST_VERSIONS = "latest_versions.json"
SECONDS_PER_LOOK_UP = 20
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Diagnosis:
    """What this stage tells, as tables."""

    predictions: pd.DataFrame
    statistics: pd.DataFrame
    timings: pd.DataFrame
    dependencies: pd.DataFrame

    def __str__(self) -> str:
        titles = {
            "predictions": "Predictions of the live model on the test data",
            "statistics": "Accepted rows, column by column",
            "timings": "Seconds per stage, of real runs",
            "dependencies": "Dependencies",
        }
        return "\n\n".join(
            f"{title}\n{getattr(self, name).to_string(index=False, na_rep='')}"
            for name, title in titles.items()
        )


def predict(champion: Model, rows: pd.DataFrame, identifier: str) -> pd.DataFrame:
    """Return identifier, y_pred_proba and y_pred of each row."""
    y_pred_proba = champion.predict_proba(rows)
    return pd.DataFrame(
        {
            identifier: rows[identifier],
            "y_pred_proba": y_pred_proba,
            "y_pred": champion.predict(y_pred_proba),
        }
    )


def summarise(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Describe each feature and the target; what a column's kind does not have stays missing."""
    numeric = [_describe_numbers(rows[name]) for name in (*columns.numeric, columns.target)]
    categorical = [_describe_texts(rows[name]) for name in columns.categorical]
    return pd.DataFrame([*numeric[:-1], *categorical, numeric[-1]])


def as_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None for whatever is missing."""
    plain = table.astype("object").where(table.notna(), None)
    names = [str(name) for name in table]
    return [dict(zip(names, row, strict=True)) for row in plain.itertuples(index=False)]


def summarise_timings(timings: pd.DataFrame) -> pd.DataFrame:
    """Return last, median and 95th percentile of each stage's seconds."""
    seconds = timings.groupby("stage", sort=False)["duration_seconds"]
    table = seconds.agg(
        runs="size", last="last", median="median", p95=lambda durations: durations.quantile(0.95)
    )
    return table.reset_index()


def check_dependencies(requirements: str, latest: Mapping[str, str]) -> pd.DataFrame:
    """Compare each line of requirements.txt with what is installed and with the newest version."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    return pd.DataFrame(
        [_check_dependency(line, latest) for line in lines if line and not line.startswith("-")]
    )


def look_up_latest(requirements: str) -> dict[str, str]:
    """Ask the package index for the newest version of each package; offline, of none."""
    latest = {}
    names = check_dependencies(requirements, {})["package"].tolist()
    for name in tqdm(names, desc="package index", unit="package", disable=None):
        command = [sys.executable, "-m", "pip", "index", "versions", "--retries", "1", "--", name]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS_PER_LOOK_UP, check=True
            )
        except (subprocess.SubprocessError, OSError):
            continue
        latest[name] = answer.stdout.partition("(")[2].partition(")")[0]
    return latest


def dependencies(config: Config) -> pd.DataFrame:
    """Check the dependencies with the newest versions known since the last --latest."""
    cache = config.model_folder / LATEST_VERSIONS
    latest = json.loads(store.read(cache)) if cache.exists() else {}
    return check_dependencies(store.read(REQUIREMENTS).decode(), latest)


def run(config: Config, ledger: Ledger, *, latest: bool = False) -> Diagnosis:
    """Answer everything this stage can answer."""
    if latest:
        versions = look_up_latest(store.read(REQUIREMENTS).decode())
        store.write(config.model_folder / LATEST_VERSIONS, json.dumps(versions, indent=2))
    champion = releases.load_champion(config)
    test_data = drops.read_whole(config, config.test_data)
    return Diagnosis(
        predictions=predict(champion, test_data, config.columns.identifier),
        statistics=summarise(store.read_parts(config, ledger.parts()), config.columns),
        timings=summarise_timings(ledger.timings()),
        dependencies=dependencies(config),
    )


def _describe_numbers(values: pd.Series[Any]) -> dict[str, Any]:
    numbers = values.astype("float64")
    return _describe(values) | {
        "mean": numbers.mean(),
        "median": numbers.median(),
        "standard_deviation": numbers.std(),
    }


def _describe_texts(values: pd.Series[Any]) -> dict[str, Any]:
    tally = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    top = {"top_value": tally.index[0], "top_count": int(tally.iloc[0])} if len(tally) else {}
    return _describe(values) | {"distinct_count": len(tally)} | top


def _describe(values: pd.Series[Any]) -> dict[str, Any]:
    missing = int(values.isna().sum())
    return {
        "column_name": values.name,
        "row_count": len(values),
        "missing_count": missing,
        "missing_percent": 100 * missing / len(values) if len(values) else None,
    }


def _check_dependency(line: str, latest: Mapping[str, str]) -> dict[str, str]:
    try:
        requirement = Requirement(line)
        installed = version(requirement.name)
    except InvalidRequirement:
        return dict(
            package=line,
            required="cannot be read",
            installed=UNKNOWN,
            latest=UNKNOWN,
            state=UNKNOWN,
        )
    except PackageNotFoundError:
        installed, fits = "missing", False
    else:
        fits = requirement.specifier.contains(installed, prereleases=True)
    return {
        "package": requirement.name,
        "required": str(requirement.specifier) or "any",
        "installed": installed,
        "latest": latest.get(requirement.name) or UNKNOWN,
        "state": "ok" if fits else "does not fit",
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--latest", action="store_true", help="look up the newest versions of the packages first"
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access="read")
