"""Live through the demo's 60 days: each day's drop arrives, one run follows.

    python demo/replay.py [--days 60] [--seed 7] [--folder demo/world]

Reads   nothing but its own settings
Writes  FOLDER from scratch: the drops of demo/customers.py, and all a real installation has;
        afterwards every stage can be asked about it, as in
        python deployment.py --config demo/world/config.json --list
Exits   0 done, otherwise as full_process.py
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

import full_process  # noqa: E402
from demo import customers  # noqa: E402
from risk import store  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.errors import RiskError  # noqa: E402
from risk.ledger import Ledger  # noqa: E402

HERE = Path(__file__).parent
MORNING = time(6, 0, tzinfo=UTC)


def build_world(folder: Path, *, days: int, seed: int) -> Config:
    """Invent the history, and give the first model its four quiet weeks."""
    shutil.rmtree(folder, ignore_errors=True)
    customers.write_history(folder / "invented", days=days, seed=seed)
    settings = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    (folder / "inbox").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=4), encoding="utf-8")
    for path in sorted((folder / "invented" / "history").glob("*.csv")):
        shutil.copy(path, folder / "inbox")
    return Config.load(folder / "config.json")


def run_at(config: Config, moment: datetime) -> full_process.Outcome:
    """Do one run, the ledger's clock standing at `moment`."""
    with (
        store.lock(config, holder="demo"),
        Ledger.open(config, clock=lambda: moment) as ledger,
    ):
        return full_process.run(config, ledger)


def replay(folder: Path, *, days: int, seed: int) -> None:
    """Run once for the history and once a day, and say what each run did."""
    config = build_world(folder, days=days, seed=seed)
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
    decisions = [
        line
        for line in outcome.lines
        if line.startswith(("release", "back to", "the champion", "a person"))
    ]
    return (decisions or list(outcome.lines))[-1]


def main() -> None:
    """Parse, replay, exit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=HERE / "world")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    try:
        replay(arguments.folder, days=arguments.days, seed=arguments.seed)
    except RiskError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
