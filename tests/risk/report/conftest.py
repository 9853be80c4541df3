"""A small world that reports can be written about, and ways to read what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import full_process
from risk.config import Config
from risk.ledger.ledger import Ledger
from risk.report.document import Bullets, Paragraph, Picture, Section, Table
from tests.factories import World, once

MONDAY = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
NUMERIC = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
REGIONS = ["north", "south", "east"]


def customers(n: int, *, seed: int, active: float = 50.0) -> pd.DataFrame:
    """Invent customers; the less active they were last month, the sooner they leave."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(active, 15, n).clip(0)
    leaves = rng.random(n) < 1 / (1 + np.exp((activity - 40) / 8))
    return pd.DataFrame(
        {
            "corporation": [f"c{seed}_{number}" for number in range(n)],
            "lastmonth_activity": activity.round(1),
            "lastyear_activity": rng.normal(500, 100, n).clip(0).round(),
            "number_of_employees": rng.integers(5, 500, n),
            "region": rng.choice(REGIONS, n),
            "exited": leaves.astype(int),
        }
    )


class Story:
    """A world, and how it came to be: a quiet day, a day of change, a broken row."""

    def __init__(self, world: World, day: int = 0) -> None:
        self.world, self.day = world, day

    def begin(self) -> None:
        """Let the first drop come, and the first run."""
        world = self.world
        columns = world.settings["columns"] | {"categorical": ["region"]}
        world.set(columns=columns, checks__metric="f1", gate__when_unsure="keep")
        for path in world.config.input_folder.glob("*.csv"):
            path.unlink()
        world.config.test_data.write_text(customers(300, seed=1).to_csv(index=False))
        self.arrives(customers(600, seed=2))

    @property
    def config(self) -> Config:
        return self.world.config

    def arrives(self, rows: pd.DataFrame | None = None, text: str = "") -> None:
        """Let a drop come and a run follow, at six in the morning of the next day."""
        if rows is not None or text:
            content = text if rows is None else rows.to_csv(index=False)
            self.world.drop(f"day_{self.day}.csv", content)
        moment = MONDAY + timedelta(days=self.day)
        with self.world.open_ledger(clock=lambda: moment) as ledger:
            full_process.run(self.config, ledger)
        self.day += 1


def live_through(world: World) -> None:
    """Do four runs: the first, a quiet one, a change, refused and missing values."""
    told = Story(world)
    told.begin()
    told.arrives(customers(300, seed=3))
    told.arrives(customers(400, seed=4, active=75.0))
    broken = customers(300, seed=5, active=75.0)
    broken.loc[:29, "lastyear_activity"] = np.nan
    broken.loc[:4, "region"] = "moon"
    lines = broken.to_csv(index=False).splitlines()
    refused = ["x1,-5,1,1,north,0", "x2,-6,1,1,north,0", "x3,7,many,1,north,0"]
    told.arrives(text="\n".join([*lines, *refused]) + "\n")


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Story:
    """Give a world of four runs: the first, a quiet one, a change, refused and missing values."""
    world = World(tmp_path_factory.mktemp("story"))
    return Story(world.copy_of(once(shared, "story", live_through)), day=4)


@pytest.fixture
def first_day(tmp_path: Path, shared: Path) -> Story:
    """Give a world of its first run, that goes on as a test likes."""
    world = World(tmp_path)
    begun = once(shared, "first_day", lambda world: Story(world).begin())
    return Story(world.copy_of(begun), day=1)


@pytest.fixture
def ledger_of() -> Callable[[Story], Any]:
    """Give what opens the ledger of a story only to read it."""
    return lambda told: Ledger.open(told.config, upgrade=False)


def blocks(section: Section) -> Iterator[Any]:
    """Yield all blocks of a section, those of sections in it too."""
    for block in section.blocks:
        if isinstance(block, Section):
            yield block
            yield from blocks(block)
        else:
            yield block


@pytest.fixture(scope="session")
def tables() -> Callable[[Section], list[Table]]:
    """Give what finds the tables of a section."""
    return lambda section: [block for block in blocks(section) if isinstance(block, Table)]


@pytest.fixture(scope="session")
def words() -> Callable[[Section], str]:
    """Give what writes down everything a section says but its tables."""

    def told(block: Any) -> str:
        match block:
            case Section(title=title):
                return title
            case Paragraph(text=text):
                return text
            case Bullets(items=items):
                return "\n".join(items)
            case Picture(caption=caption, alternative=alternative):
                return f"{caption}\n{alternative}"
            case Table(caption=caption, omitted=omitted):
                return f"{caption}\n{omitted}"
        raise AssertionError(block)

    return lambda section: "\n".join(told(block) for block in blocks(section))
