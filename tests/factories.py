"""What tests are made of: a world, customers, ledgers, releases, and worlds with a past.

Everything is made by the functions a run calls; what takes long is made once and copied.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock

import deployment
import full_process
import ingestion
import training
from risk.config import Config
from risk.data.intake import Intake
from risk.ledger.assessments import Case
from risk.ledger.ledger import Ledger
from risk.monitoring import detector
from risk.monitoring.findings import METHOD, WARNED_SINCE, Finding
from risk.monitoring.profile import Profile
from tests import forks

ROOT = Path(__file__).parents[1]
FEATURES = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
UNLABELLED = f"corporation,{','.join(FEATURES)}\n"
HEADER = f"corporation,{','.join(FEATURES)},exited\n"


class World:
    """A folder with the settings and data of the repository, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((ROOT / "config.json").read_text())
        self.settings["ingestion"]["settle_seconds"] = 0
        self.settings["api"]["port"] = 8765
        self.settings["report_formats"] = []  # they take seconds; who tests them wants them back
        for name in ("development", "production", "test"):
            shutil.copytree(ROOT / "data" / name, folder / "data" / name)
        self.set()

    def set(self, **settings: Any) -> Config:
        """Change settings, `__` between the keys of a nested one, and read them back."""
        for name, value in settings.items():
            *sections, key = name.split("__")
            section = self.settings
            for step in sections:
                section = section[step]
            section[key] = value
        (self.folder / "config.json").write_text(json.dumps(self.settings))
        return self.config

    @property
    def config(self) -> Config:
        return Config.load(self.folder / "config.json")

    def drop(self, name: str, text: str) -> Path:
        """Put a file into the input folder."""
        path = self.config.input_folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def switch_to_production(self) -> Config:
        """Do what the README says."""
        return self.set(input_folder_path="data/production", output_model_path="models/production")

    def take_from_inbox(self) -> Config:
        """Let drops come into a folder in which nothing lies yet."""
        config = self.set(input_folder_path="inbox")
        config.input_folder.mkdir(exist_ok=True)
        return config

    @contextmanager
    def open_ledger(self, **options: Any) -> Iterator[Ledger]:
        """Open the ledger; if it is a new file, the tables are there already."""
        url = self.config.sqlalchemy_url
        if url.startswith("sqlite"):
            path = Path(url.removeprefix("sqlite:///"))
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(empty_ledger())
        with Ledger.open(self.config, **options) as ledger:
            yield ledger

    def run(self, **options: Any) -> full_process.Outcome:
        """Do in this process what cron does."""
        with self.open_ledger() as ledger:
            return full_process.run(self.config, ledger, **options)

    def command(self, script: str, *arguments: str, fresh: bool = False, **environment: str) -> Any:
        """Run a stage as its user would, from another folder.

        In a fork of a process that has imported everything, or in a `fresh` interpreter.
        """
        words = ["--config", str(self.folder / "config.json"), *arguments]
        around = {"PATH": os.environ["PATH"], **environment}
        if not fresh:
            return forks.FORKS.run(str(ROOT / script), words, forks.threads() | around)
        return subprocess.run(
            [sys.executable, ROOT / script, *words],
            cwd="/",
            env=around,
            capture_output=True,
            text=True,
            timeout=forks.SECONDS,
        )

    def copy_of(self, past: Path) -> World:
        """Become what another world is by now."""
        shutil.rmtree(self.folder / "data")
        shutil.copytree(past, self.folder, symlinks=True, dirs_exist_ok=True)
        self.settings = json.loads((self.folder / "config.json").read_text())
        return self


@cache
def empty_ledger() -> bytes:
    """Return the file of a ledger in which nothing happened yet, made as any other is."""
    with TemporaryDirectory() as folder:
        config = World(Path(folder)).config
        with Ledger.open(config):
            pass
        return Path(config.sqlalchemy_url.removeprefix("sqlite:///")).read_bytes()


def counts(intake: Intake) -> tuple[int, int, int, int]:
    """Return the rows of a drop: read, added, duplicate and quarantined."""
    return (intake.rows_read, intake.rows_added, intake.rows_duplicate, intake.rows_quarantined)


def customers(
    name: str, n: int, *, seed: int, grown: int = 0, labelled: bool = True, sign: int = 1
) -> str:
    """Write a drop of customers who leave the more likely, the less active they are.

    With `sign` -1 the more active ones leave; `grown` adds to the number of employees.
    """
    rng = np.random.default_rng(seed)
    activity, leaves = rng.integers(0, 100, n), rng.random(n)
    lines = [HEADER if labelled else UNLABELLED]
    for i, a in enumerate(activity):
        left = int(leaves[i] < 1 / (1 + np.exp(sign * (a - 50) / 8)))
        numbers = f"{a},{10 * a},{rng.integers(1, 99) + grown}"
        lines.append(f"{name}{i},{numbers}" + f",{left}" * labelled + "\n")
    return "".join(lines)


def first_release(config: Config, ledger: Ledger) -> None:
    """Take the drops, train on them and let the model go live, without the rest of a run."""
    ingestion.run(config, ledger)
    training.run(config, ledger)
    deployment.run(config, ledger)


def once(shared: Path, name: str, build: Callable[[World], object]) -> Path:
    """Give the folder of a world that one process builds for all; it is only read."""
    folder, unfinished = shared / name, shared / f"{name}.unfinished"
    with FileLock(shared / f"{name}.lock"):
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            build(World(unfinished))
            unfinished.rename(folder)
    return folder


def two_releases(world: World) -> None:
    """Give a world a past: a refused file, a refused cell, an incident that was answered.

    The second run was the switch to production, and release 2 is live.
    """
    world.drop("broken.csv", "corporation,lastmonth_activity\nx,1\n")
    world.drop("odd.csv", f"{HEADER}odd,=1+2,2,3,0\n")
    world.run()
    world.switch_to_production()
    world.run()


def warn(ledger: Ledger, feature: str, *, version: int = 1, at: datetime | None = None) -> None:
    """Record an assessment that warns early of a feature, as a run would."""
    at = at or ledger.now()
    warning = Finding(
        "data_drift",
        feature,
        METHOD,
        drift_detected=False,
        n=200,
        direction="higher",
        facts={WARNED_SINCE: at.isoformat()},
        drift_score=0.3,
        e_value=0.4,
        warned=True,
    )
    state = detector.State({}, {}, warned={feature: detector.Warned(at, 0.4)})
    profile = Profile(0, {}).to_json()
    case = Case(version, 0, profile, state.to_json(), None, [], findings=[warning.as_row()])
    ledger.assessments.record(case)
