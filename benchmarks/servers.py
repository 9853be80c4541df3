"""Compare the results of the demo on all databases: views and trends, value by value.

    python benchmarks/servers.py [--days 60] [--servers URL ...]

Reads   nothing
Writes  a temporary folder, and a temporary database on each server
Exits   0 all results are equal, 1 results differ, 69 a server is unavailable; prints the number
        of rows of each view and trend, and the first difference of each
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from risk.config import Config  # noqa: E402
from risk.errors import RiskError  # noqa: E402
from risk.ledger import views  # noqa: E402
from risk.ledger.database import database_faults  # noqa: E402
from risk.ledger.engines import make_engine  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402
from risk.ledger.trends import MEASURES  # noqa: E402

SERVERS = [
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "mariadb://root@127.0.0.1:3306/mysql",
]
END = ("--end", "2026-03-01")  # the same days on all of them
OF_THE_CLOCK = {"duration_seconds"}
Tables = dict[str, pd.DataFrame]


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Create a database on the server of a URL, and drop it at the end."""
    name, engine = f"demo_{os.getpid()}", make_engine(server)

    def execute(statement: str) -> None:
        with database_faults(), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(statement)

    execute(f"CREATE DATABASE {name}")
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        execute(f"DROP DATABASE {name}")
        engine.dispose()


def run_demo(folder: Path, url: str | None, days: int) -> None:
    """Run the demo in a folder, with the ledger in the database at `url` if given."""
    command = [sys.executable, ROOT / "demo" / "replay.py", "--without-reports", *END]
    where = ["--folder", folder, *(["--database", url] if url else [])]
    done = subprocess.run([*command, "--days", str(days), *where], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def read_results(folder: Path) -> Tables:
    """Read every view and every trend of an installation, in order."""
    config = Config.load(folder / "config.json")
    with Ledger.open(config, upgrade=False) as ledger, ledger.engine.connect() as connection:
        found = {
            view.name: pd.DataFrame(
                connection.execute(sa.select(view).order_by(next(iter(view.c)))).mappings()
            )
            for view in views.metadata.sorted_tables
        }
        trends = {
            f"trend {name}": ledger.trends.of(name) for name in MEASURES.keys() - OF_THE_CLOCK
        }
    return {**found, **dict(sorted(trends.items()))}


def difference(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Describe the first difference of two tables; empty if they are exactly equal."""
    if len(one) != len(other) or list(one) != list(other):
        return f"{len(one)} rows of {list(one)}, {len(other)} of {list(other)}"
    for name in one:
        same = (one[name] == other[name]) | (one[name].isna() & other[name].isna())
        if not same.all():
            row = int((~same).to_numpy().argmax())
            values = one[name].tolist()[row], other[name].tolist()[row]
            return f"row {row}, {name}: {values[0]!r} is not {values[1]!r}"
    return ""


def compare(results: dict[str, Tables]) -> int:
    """Print row counts and differences from the first database; return their number."""
    (name, expected), *others = results.items()
    found = 0
    for table, rows in expected.items():
        found_on = {other: difference(rows, tables[table]) for other, tables in others}
        differing = [f"differs on {other}: {text}" for other, text in found_on.items() if text]
        found += len(differing)
        print(f"{len(rows):>7} rows  {table:<28} {'; '.join(differing) or 'equal'}")
    print(f"{found} differences between {', '.join(results)}; baseline: {name}")
    return found


def main() -> None:
    """Run the demo on all databases, two at a time, and compare the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=60, help="number of days (default: 60)")
    parser.add_argument(
        "--servers", metavar="URL", nargs="+", default=SERVERS, help="database servers to compare"
    )
    arguments = parser.parse_args()
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=2) as pool:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls: dict[str, str | None] = {"sqlite": None}
        try:
            for server in arguments.servers:
                kind = sa.make_url(server).get_backend_name()
                urls[kind] = stack.enter_context(new_database(server))
        except RiskError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        replays = [
            pool.submit(run_demo, folder / kind, url, arguments.days) for kind, url in urls.items()
        ]
        for replay in replays:
            replay.result()
        results = {kind: read_results(folder / kind) for kind in urls}
    sys.exit(1 if compare(results) else 0)


if __name__ == "__main__":
    main()
