"""Live through the demo's 60 days: each day's drop arrives, one run follows.

    python demo/replay.py [--days 60] [--seed 7] [--folder demo/world] [--database URL]
        [--without-reports]

Reads   nothing but its own settings
Writes  FOLDER from scratch: the drops of demo/customers.py, and all a real installation has;
        the ledger there as well, or in the empty database at URL;
        afterwards every stage can be asked about it, as in
        python deployment.py --config demo/world/config.json --list
Exits   0 done, 64 there is a ledger at URL already, otherwise as full_process.py
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
from risk.ledger import lease  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402

HERE = Path(__file__).parent
MORNING = time(6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Script:
    """How many days are lived through, drawn from which seed, recorded where, reported or not."""

    days: int = 60
    seed: int = 7
    database: str | None = None
    reports: bool = True


def build_world(folder: Path, script: Script) -> Config:
    """Invent the history, and give the first model its four quiet weeks."""
    shutil.rmtree(folder, ignore_errors=True)
    customers.write_history(folder / "invented", days=script.days, seed=script.seed)
    settings = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    settings["database_url"] = script.database or settings["database_url"]
    if not script.reports:
        settings["report_formats"] = []
    (folder / "inbox").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=4), encoding="utf-8")
    for path in sorted((folder / "invented" / "history").glob("*.csv")):
        shutil.copy(path, folder / "inbox")
    return Config.load(folder / "config.json")


def run_at(config: Config, moment: datetime) -> full_process.Outcome:
    """Do one run, the ledger's clock standing at `moment`."""
    with lease.only_writer(config, holder="demo", clock=lambda: moment) as ledger:
        return full_process.run(config, ledger)


def require_no_history(url: str) -> None:
    """Refuse a database whose ledger remembers something: it is no place for inventions."""
    config = Config.load(HERE / "config.json").model_copy(update={"database_url": url})
    try:
        with Ledger.open(config, upgrade=False) as ledger:
            if ledger.ingestions.last_id():
                raise UsageError("--database: there is a ledger already; name an empty database")
    except NoLedger:
        pass


def replay(folder: Path, script: Script) -> None:
    """Run once for the history and once a day, and say what each run did."""
    if script.database:
        require_no_history(script.database)
    config = build_world(folder, script)
    drops = sorted((folder / "invented" / "drops").glob("*.csv"))
    eve = date.fromisoformat(drops[0].stem) - timedelta(days=1)
    print(f"{eve}  {_last_line(run_at(config, datetime.combine(eve, MORNING)))}")
    for drop in tqdm(drops, unit="day", disable=None):
        shutil.copy(drop, config.input_folder)
        moment = datetime.combine(date.fromisoformat(drop.stem), MORNING)
        tqdm.write(f"{drop.stem}  {_last_line(run_at(config, moment))}", file=sys.stdout)
    print(f"\nlook around with: python diagnostics.py --config {folder / 'config.json'}")


def _last_line(outcome: full_process.Outcome) -> str:
    """Pick the line that tells the decision."""
    return outcome.decision or outcome.lines[-1]


def main() -> None:
    """Parse, replay, exit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=HERE / "world")
    parser.add_argument("--database", metavar="URL", help="default: SQLite, in the folder")
    parser.add_argument("--without-reports", action="store_true", help="be done much sooner")
    arguments = parser.parse_args()
    script = Script(
        arguments.days, arguments.seed, arguments.database, reports=not arguments.without_reports
    )
    logging.basicConfig(level=logging.ERROR)
    try:
        replay(arguments.folder, script)
    except RiskError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
