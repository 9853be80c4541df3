"""Dependency check: installed packages against requirements.txt and the newest versions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from risk import store
from risk.config import Config
from risk.lazily import pandas as pd
from risk.progress import track

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
LATEST_VERSIONS = "latest_versions.json"
SECONDS_PER_LOOK_UP = 20
UNKNOWN = "unknown"


def check(requirements: str, latest: Mapping[str, str]) -> pd.DataFrame:
    """Return, for each line of requirements.txt, the installed and newest version and a verdict."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    return pd.DataFrame(
        [_check_dependency(line, latest) for line in lines if line and not line.startswith("-")]
    )


def look_up_latest(requirements: str) -> dict[str, str]:
    """Return the newest version of each package in the package index; empty if offline."""
    latest = {}
    names = check(requirements, {})["package"].tolist()
    for name in track(names, "package index", unit="package"):
        command = [sys.executable, "-m", "pip", "index", "versions", "--retries", "1", "--", name]
        try:
            output = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS_PER_LOOK_UP, check=True
            )
        except (subprocess.SubprocessError, OSError):
            continue
        latest[name] = output.stdout.partition("(")[2].partition(")")[0]
    return latest


def of_installation(config: Config) -> pd.DataFrame:
    """Check the dependencies against the newest versions found by the last --latest."""
    return check(store.read(REQUIREMENTS).decode(), _latest(config.model_folder / LATEST_VERSIONS))


def _latest(cache: Path) -> dict[str, str]:
    """Return the newest versions found; none from a file that is missing, or was altered."""
    try:
        found = json.loads(cache.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: newest for name, newest in items if isinstance(newest, str)}


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
