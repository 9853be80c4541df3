"""Simulate the 60 days of the demo: each day a drop arrives and one run follows.

    python demo/replay.py [--days 60] [--end DATE] [--seed 7] [--folder demo/world]
        [--database URL] [--without-reports]

The last day is today unless --end names another. Who left is known a week later: the labels
arrive in files of their own.

Reads   nothing except its own settings
Writes  FOLDER, replaced if it exists: the drops of demo/customers.py, and all files of an
        installation, including the ledger unless --database is given.
        Afterwards run any stage on it, for example
        python app.py --config demo/world/config.json, which serves its dashboard
Exits   0 success, 64 there is already a ledger at URL, otherwise as full_process.py
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

import full_process  # noqa: E402
from demo import customers  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.errors import NoLedger, RiskError, UsageError  # noqa: E402
from risk.explain.run_line import Outcome  # noqa: E402
from risk.ledger import lease  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402

HERE = Path(__file__).parent
MIDNIGHT = time(0, 0, tzinfo=UTC)  # never later than now, also on the day that is today
LABEL_DAYS = 7


@dataclass(frozen=True)
class Script:
    """Options of a simulation: story, database, and whether to write reports."""

    story: customers.Story
    database: str | None = None
    reports: bool = True


def build_world(folder: Path, script: Script) -> Config:
    """Create the installation, with the history for the first model in its inbox."""
    shutil.rmtree(folder, ignore_errors=True)
    customers.write_history(folder / "simulated", script.story)
    settings = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    settings["database_url"] = script.database or settings["database_url"]
    if not script.reports:
        settings["report_formats"] = []
    (folder / "inbox").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=4), encoding="utf-8")
    for path in sorted((folder / "simulated" / "history").glob("*.csv")):
        shutil.copy(path, folder / "inbox")
    return Config.load(folder / "config.json")


def run_at(config: Config, moment: datetime) -> Outcome:
    """Do one run with the clock of the ledger set to `moment`."""
    with lease.only_writer(config, holder="demo", clock=lambda: moment) as ledger:
        return full_process.run(config, ledger)


def require_no_history(url: str) -> None:
    """Refuse a database whose ledger is not empty, to keep simulated data out of real data."""
    config = Config.load(HERE / "config.json").model_copy(update={"database_url": url})
    try:
        with Ledger.open(config, upgrade=False) as ledger:
            if ledger.ingestions.last_id():
                raise UsageError("--database already contains a ledger; use an empty database")
    except NoLedger:
        pass


def replay(folder: Path, script: Script) -> None:
    """Run once for the history and once per day, and print what each run did."""
    if script.database:
        require_no_history(script.database)
    config = build_world(folder, script)
    first = script.story.first
    eve = first - timedelta(days=1)
    print(f"{eve}  {run_at(config, datetime.combine(eve, MIDNIGHT))}")
    for number in tqdm(range(script.story.days), unit="day", disable=None):
        today = first + timedelta(days=number)
        for path in (folder / "simulated").glob(f"*/{today}.csv"):
            shutil.copy(path, config.input_folder / f"{path.parent.name}_{path.name}")
        moment = datetime.combine(today, MIDNIGHT)
        tqdm.write(f"{today}  {run_at(config, moment)}", file=sys.stdout)
    print(f"\nTo open its dashboard run: python app.py --config {folder / 'config.json'}")


def main() -> None:
    """Parse the command line, run the simulation, exit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60, help="number of days (default: 60)")
    parser.add_argument(
        "--end",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        metavar="DATE",
        help="last day (default: today)",
    )
    parser.add_argument("--seed", type=int, default=7, help="random seed (default: 7)")
    parser.add_argument("--folder", type=Path, default=HERE / "world", help="default: demo/world")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="empty database for the ledger (default: SQLite in FOLDER)",
    )
    parser.add_argument("--without-reports", action="store_true", help="skip reports; much faster")
    arguments = parser.parse_args()
    try:
        story = customers.Story(
            seed=arguments.seed,
            days=arguments.days,
            first=arguments.end - timedelta(days=arguments.days - 1),
            label_days=LABEL_DAYS,
        )
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    script = Script(story, arguments.database, reports=not arguments.without_reports)
    logging.basicConfig(level=logging.ERROR)
    try:
        replay(arguments.folder, script)
    except RiskError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
