"""A new installation for a CSV file: its settings, its first rows, and rows kept for tests."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from risk import store
from risk.cli import Result
from risk.config import Config
from risk.data import dates
from risk.data.proposal import Named, Proposal, propose
from risk.data.target import NONE
from risk.errors import ConfigError, DataError, UsageError
from risk.lazily import pandas as pd
from risk.overrides import SECRETS, describe

CONFIG, NOTES = "config.json", "config-notes.md"
INBOX, TEST_DATA = "inbox", "test_data.csv"
TEST_SHARE = 5  # one row of so many is kept for tests
MIN_TEST_ROWS_PER_CLASS = 1


@dataclass(frozen=True)
class Installation(Result):
    """What was found in a file, and where the new installation is."""

    config_path: Path
    found: Proposal
    n_rows: int
    n_test: int

    def __str__(self) -> str:
        doubts = [f"  - {doubt}" for doubt in self.found.doubts]
        return "\n".join(
            [
                f"wrote {self.config_path}: {self._columns()}",
                f"{self.n_rows:,} rows are in {INBOX}/, {self._use()}; "
                f"what each column seems to be is in {NOTES}",
                *(["please check:", *doubts] if doubts else []),
                "next:",
                *(f"  {command}" for command in self.next_commands),
            ]
        )

    @property
    def next_commands(self) -> tuple[str, ...]:
        """What to run to get a first release, its report and its dashboard."""
        config = f'--config "{self.config_path}"'
        return (
            f"python full_process.py {config}   # writes models/report.pdf beside it",
            f"python app.py {config}   # then open http://localhost:8000",
            f'cp NEW.csv "{self.config_path.parent / INBOX}"   # then run full_process.py again',
        )

    def notes(self) -> str:
        """Return the content of the note beside the settings."""
        dialect = self.found.dialect
        lines = [
            "# What was found",
            "",
            f"- {dialect}",
            *(f"- {note}" for note in self.found.notes),
            "",
            "## To check",
            "",
            *([f"- {doubt}" for doubt in self.found.doubts] or ["Nothing: no guess was needed."]),
            "",
            "## Next",
            "",
            "```bash",
            *self.next_commands,
            "```",
            "",
        ]
        return "\n".join(lines)

    def _use(self) -> str:
        if self.found.model:
            return "which become the reference"
        newest = "the newest " if self.found.columns["event_time"] else ""
        return f"{newest}{self.n_test:,} are kept as test data"

    def _columns(self) -> str:
        columns = self.found.columns
        watched = f"predictions {columns['probability']}, " if self.found.model else ""
        later = "" if columns["target"] in self.found.rows else ", in later files"
        return (
            f"{watched}target {columns['target']} (positive: {columns['positive_label']}){later}, "
            f"identifier {columns['identifier']}, {_count(columns['numeric'], 'number')}, "
            f"{_count(columns['categorical'], 'category', 'categories')}, "
            f"{_count(columns['other'], 'column')} not used"
        )


def _count(names: Sequence[str], noun: str, plural: str = "") -> str:
    return f"{len(names)} {noun if len(names) == 1 else plural or f'{noun}s'}"


def add_options(parser: argparse.ArgumentParser, other: argparse._MutuallyExclusiveGroup) -> None:
    """Add the options of a new installation to a command; `other` are what excludes them."""
    other.add_argument(
        "--init",
        type=Path,
        metavar="CSV",
        help="look at a CSV file and write config.json, an inbox and test data into its folder",
    )
    new = parser.add_argument_group("a new installation for your own data, with --init")
    new.add_argument("--folder", type=Path, help="where to write (default: the folder of the CSV)")
    new.add_argument("--target", help="the column to predict (default: by its name and values)")
    new.add_argument("--identifier", help="the column that identifies a row (default: likewise)")
    new.add_argument(
        "--event-time",
        metavar="COLUMN",
        help=f"the column with the time of a row, or {NONE} (default: likewise)",
    )
    new.add_argument(
        "--predictions",
        metavar="COLUMN",
        help="watch a model elsewhere: the column with the probability it predicted (default: by "
        f"its name and values), or {NONE}",
    )
    new.add_argument(
        "--decision",
        metavar="COLUMN",
        help="with --predictions: the column with what it decided (default: by its values)",
    )
    new.add_argument("--force", action="store_true", help="replace an existing config.json")


def from_options(*, init: Path | None, **options: Any) -> Installation | None:
    """Describe the file of --init, which needs no settings; None without it."""
    names = {name: options[name] for name in Named._fields}
    own = names | {name: options[name] for name in ("folder", "force")}
    if names["decision"] and not names["predictions"]:
        raise UsageError("--decision requires --predictions")
    if init is not None:
        return initialise(init, **own)
    if given := [f"--{name.replace('_', '-')}" for name, value in own.items() if value]:
        raise UsageError(f"{', '.join(given)}: requires --init")
    return None


def initialise(
    path: Path,
    *,
    folder: Path | None = None,
    force: bool = False,
    **names: str | None,
) -> Installation:
    """Describe a CSV file in a new config.json, which is written last, in its folder.

    Rows go to the inbox, where the first run finds them; a fifth is kept as test data, unless
    predictions made elsewhere are only watched.
    """
    folder = (folder or path.parent).resolve()
    config_path = folder / CONFIG
    if config_path.exists() and not force:
        raise UsageError(f"{config_path} exists; --force replaces it, --folder names another place")
    found = propose(path, **names)
    settings = _settings(folder, found)
    _require_no_others(config_path, settings)
    is_test = _kept_for_tests(found)
    inbox, tests = folder / INBOX / f"{path.stem}.csv", folder / "data" / "test" / TEST_DATA
    if inbox.resolve() == path.resolve():
        raise UsageError(f"{path} is in the inbox already; name another --folder")
    for file, rows in ((inbox, found.rows[~is_test]), (tests, found.rows[is_test])):
        if rows.empty:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        written = rows.set_axis(found.dialect.header, axis=1)
        text = written.to_csv(index=False, sep=found.dialect.separator, lineterminator="\n")
        store.write(file, text.encode(found.dialect.guess.encoding))
    made = Installation(config_path, found, int((~is_test).sum()), int(is_test.sum()))
    store.write(folder / NOTES, made.notes())
    store.write(config_path, json.dumps(settings, indent=4) + "\n")
    return made


def _settings(folder: Path, found: Proposal) -> dict[str, Any]:
    """Return all settings, validated, with the defaults spelt out."""
    settings = {
        "root": folder,
        "input_folder_path": INBOX,
        "output_folder_path": "data/ingested",
        "test_data_path": "data/test",
        "test_data_filename": TEST_DATA,
        "output_model_path": "models",
        "prod_deployment_path": "deployment",
        "columns": found.columns,
        "model": found.model,
        "ingestion": found.ingestion,
    }
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:  # such as of a column named like one of the program
        raise ConfigError(describe(folder / CONFIG, error)) from None
    complete: dict[str, Any] = config.model_dump(mode="json", exclude={*SECRETS})
    return complete


def _require_no_others(config_path: Path, settings: dict[str, Any]) -> None:
    """Refuse other columns where rows and releases were made with those of before."""
    new = Config.model_validate(settings | {"root": config_path.parent})
    made = [new.ingested_folder, new.deployment_folder, new.root / "db"]
    if not any(path.exists() for path in made) or not config_path.exists():
        return
    try:
        before = Config.load(config_path)
        is_same = (before.columns, before.model) == (new.columns, new.model)
    except ConfigError:
        is_same = False
    if not is_same:
        names = " ".join(str(path.relative_to(new.root)) for path in made if path.exists())
        raise UsageError(
            f"{new.root} has rows and releases with other columns; name another --folder, or "
            f"remove them first: cd {new.root} && rm -r {names}"
        )


def _kept_for_tests(found: Proposal) -> pd.Series[bool]:
    """Choose labelled rows for tests: the newest fifth, or else a fifth by a hash.

    None if no model is trained.
    """
    columns, rows = found.columns, found.rows
    if found.model:
        return pd.Series(False, rows.index)
    labels = rows[columns["target"]]
    known = labels.isin([str(columns[name]) for name in ("positive_label", "negative_label")])
    if columns["event_time"]:
        cells, written = rows[columns["event_time"]], found.ingestion["dates"]
        cells = cells if written == dates.ISO else dates.as_iso(cells, written)
        at = pd.to_datetime(cells, format="ISO8601", utc=True)
        place = at[known].rank(method="first", ascending=False)
        chosen = place[place <= known.sum() // TEST_SHARE].index
        is_test = pd.Series(rows.index.isin(chosen), rows.index)
    else:
        key = columns["identifier"] if columns["identifier"] in rows else list(rows)
        hashes = pd.util.hash_pandas_object(rows[key], index=False)  # equal rows are in one part
        is_test = pd.Series(known.to_numpy() & (hashes.to_numpy() % TEST_SHARE == 0), rows.index)
    left = [
        labels[known & own].value_counts().reindex(labels[known].unique(), fill_value=0)
        for own in (is_test, ~is_test)
    ]
    if any(np.min(counts) < MIN_TEST_ROWS_PER_CLASS for counts in left):
        raise DataError(
            f"{int(known.sum())} labelled rows are too few to keep a fifth of them for tests with "
            "both labels in each part"
        )
    return is_test
