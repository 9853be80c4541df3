"""Compare the speed of storing a million accepted rows in SQL with each server's bulk loader.

    python benchmarks/sql.py [--rows 1000000] [--database URL ...]

Both fill the same table with the same rows: we from Parquet files, as ingestion does with
store_dataset_in_sql, the loader from a file written before its time is measured. They alternate
after each part, so that other load on the machine affects both.

Reads   nothing
Writes  a database `risk_benchmark` on each server, dropped at the end
Exits   0 success, 1 on some server we are slower than half the speed of the loader;
        prints the speeds
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from risk import store  # noqa: E402
from risk.config import Columns  # noqa: E402
from risk.ledger import dataset_rows as in_sql  # noqa: E402
from risk.ledger import migrate  # noqa: E402
from risk.ledger.engines import address_of, make_engine  # noqa: E402
from risk.ledger.tables import dataset_rows, ingestions  # noqa: E402
from risk.schema import ROW_HASH, fingerprints  # noqa: E402

DATABASE = "risk_benchmark"
SERVERS = ("postgresql://postgres@127.0.0.1:5432", "mariadb://root@127.0.0.1:3306", "sqlite://")
ROWS_PER_PART = 100_000
MIN_RATIO = 0.5
COLUMNS = Columns(
    identifier="corporation",
    target="exited",
    positive_label=1,
    negative_label=0,
    numeric=("lastmonth_activity", "lastyear_activity", "number_of_employees"),
)
NAMES = ", ".join(f'"{name}"' for name in in_sql.NAMES)


@dataclass(frozen=True)
class Speed:
    """Rows per second."""

    server: str
    loader: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """Our speed relative to the loader."""
        return self.ours / self.theirs

    def __str__(self) -> str:
        by = f"{self.loader} {self.theirs:,.0f}"
        return f"{self.server}: ours {self.ours:,.0f} rows/s, {by} rows/s, ratio {self.ratio:.2f}"


def make_part(folder: Path, number: int, n_rows: int) -> tuple[Path, Path]:
    """Write rows as a part of an ingestion, and as a file for the loader."""
    rng = np.random.default_rng(number)
    rows = pd.DataFrame(
        {
            "corporation": pd.array([f"firm {number}-{i}" for i in range(n_rows)], dtype="str"),
            "lastmonth_activity": rng.integers(0, 5000, n_rows).astype(float),
            "lastyear_activity": rng.gamma(2, 1000, n_rows),
            "number_of_employees": rng.integers(1, 500, n_rows).astype(float),
            "exited": pd.array(rng.integers(0, 2, n_rows), dtype="Int8"),
        }
    )
    rows[ROW_HASH] = fingerprints(rows)
    part, file = folder / f"{number}.parquet", folder / f"{number}.csv"
    with store.writing_part(part, COLUMNS) as write:
        write(rows)
    with open(file, "w", newline="", encoding="utf-8") as csv_file:
        stored = in_sql.stored_form([rows], COLUMNS)
        csv.writer(csv_file, lineterminator="\n").writerows((*row, number) for row in stored)
    return part, file


def ours(connection: sa.Connection, number: int, part: Path) -> None:
    """Store a part as ingestion does."""
    rows = in_sql.stored_form(store.read_part(part, COLUMNS), COLUMNS)
    in_sql.store_rows(connection, number, rows)


def copy_from(connection: sa.Connection, file: Path) -> None:
    """Load with COPY of PostgreSQL."""
    raw: Any = connection.connection.driver_connection
    statement = f"COPY dataset_rows ({NAMES}) FROM STDIN (FORMAT csv)"
    with raw.cursor() as cursor, cursor.copy(statement) as copy, open(file, "rb") as source:
        while block := source.read(1 << 20):
            copy.write(block)


def load_data(connection: sa.Connection, file: Path) -> None:
    """Load with LOAD DATA of MariaDB; an empty field is NULL."""
    names = "row_hash, identifier, @event_time, @y_true, `row`, ingestion_id"
    connection.exec_driver_sql(
        f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE dataset_rows CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' "
        f"({names}) SET event_time = NULLIF(@event_time, ''), y_true = NULLIF(@y_true, '')"
    )


def insert_all(connection: sa.Connection, file: Path) -> None:
    """Load into SQLite as in the documentation of Python: executemany over a CSV reader."""
    raw: Any = connection.connection.driver_connection
    with open(file, newline="", encoding="utf-8") as source:
        rows = ((a, b, c or None, d or None, e, f) for a, b, c, d, e, f in csv.reader(source))
        raw.executemany(f"INSERT INTO dataset_rows ({NAMES}) VALUES (?, ?, ?, ?, ?, ?)", rows)


LOADERS: dict[str, tuple[str, Callable[[sa.Connection, Path], None]]] = {
    "postgresql": ("COPY", copy_from),
    "mariadb": ("LOAD DATA", load_data),
    "mysql": ("LOAD DATA", load_data),
    "sqlite": ("executemany", insert_all),
}


def measure(url: str, folder: Path, n_rows: int) -> Speed:
    """Store parts in one table, alternating between both, one transaction per part."""
    seconds = {"ours": 0.0, "theirs": 0.0}
    n_parts = max(n_rows // ROWS_PER_PART, 1)
    n_each = n_rows // n_parts
    with ledger_at(url, folder) as engine:
        loader, load = LOADERS[engine.dialect.name]
        ways = {"ours": ours, "theirs": lambda connection, _, file: load(connection, file)}
        numbers = range(1, 2 * n_parts + 1)
        introduce(engine, numbers)
        for number, who in zip(tqdm(numbers, engine.dialect.name), order(n_parts), strict=True):
            files = make_part(folder, number, n_each)
            begin = time.perf_counter()
            with engine.begin() as connection:
                ways[who](connection, number, files[who != "ours"])
            seconds[who] += time.perf_counter() - begin
            for file in files:
                file.unlink()
        require_all(engine, 2 * n_parts * n_each)
    rates = {who: n_parts * n_each / spent for who, spent in seconds.items()}
    return Speed(engine.dialect.name, loader, rates["ours"], rates["theirs"])


def order(n_pairs: int) -> list[str]:
    """Return the order, so that neither always goes first, into the smaller table."""
    return [who for i in range(n_pairs) for who in (("ours", "theirs")[:: 1 if i % 2 else -1])]


def introduce(engine: sa.Engine, numbers: Sequence[int]) -> None:
    """Create the ingestions to which the rows refer."""
    counts = dict.fromkeys(("rows_read", "rows_added", "rows_duplicate", "rows_quarantined"), 0)
    signature = dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 0)
    row = {"path": "part", "sha256": "0", "status": "taken", **counts, **signature}
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with engine.begin() as connection:
        rows = [{"id": number, "ingested_at": moment, **row} for number in numbers]
        connection.execute(ingestions.insert(), rows)


def require_all(engine: sa.Engine, n_rows: int) -> None:
    """Check that no row or label was lost."""
    different = sa.func.count(), sa.func.count(dataset_rows.c.y_true)
    with engine.connect() as connection:
        found = connection.execute(sa.select(*different)).one()
    if tuple(found) != (n_rows, n_rows):
        raise SystemExit(f"{engine.dialect.name} has {tuple(found)} rows and labels of {n_rows}")


@contextmanager
def ledger_at(url: str, folder: Path) -> Iterator[sa.Engine]:
    """Yield an empty ledger in a new database."""
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        engine = make_engine(address.set(database=str(folder / "ledger.sqlite")))
        yield migrated(engine)
        engine.dispose()
        return
    is_mariadb = address.get_backend_name() != "postgresql"
    own = make_engine(address.set(database="mysql" if is_mariadb else "postgres"))
    engine = make_engine(
        address.set(database=DATABASE, query={"local_infile": "1"} if is_mariadb else {})
    )
    with own.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
        try:
            yield migrated(engine)
        finally:
            engine.dispose()
            connection.exec_driver_sql(f"DROP DATABASE {DATABASE}")
    own.dispose()


def migrated(engine: sa.Engine) -> sa.Engine:
    """Create the tables."""
    migrate.migrate(engine)
    return engine


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each server, print one line per server, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: 1000000")
    parser.add_argument(
        "--database", nargs="+", default=SERVERS, metavar="URL", help="servers to measure"
    )
    options = parser.parse_args(arguments)
    slow = False
    for url in options.database:
        with tempfile.TemporaryDirectory() as folder:
            speed = measure(url, Path(folder), options.rows)
        print(speed, flush=True)
        slow |= speed.ratio < MIN_RATIO
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
