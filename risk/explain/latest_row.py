"""One customer, or whatever a row stands for: what is known of it last."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from risk import store
from risk.config import Columns, Config
from risk.data import drops
from risk.errors import UnknownName
from risk.ledger.ledger import Ledger
from risk.schema import shorten


@dataclass(frozen=True)
class Known:
    """The last row of a customer, as a table of one row, and the data set it is from."""

    row: pd.DataFrame
    dataset: str


def find_latest(config: Config, ledger: Ledger, identifier: str) -> Known:
    """Find the last accepted row of a customer, or else the last one in the test data.

    Last is what has the latest event time, where there is such a column, or else what came last.
    """
    # blanks are cut off as in drops; what a terminal sends may be no text
    identifier = identifier.strip().encode(errors="replace").decode()
    compiled = config.name_of(config.ingested_folder / config.compiled_data_filename)
    rows = _accepted(config, ledger, identifier)
    if len(rows):
        return Known(_last(rows, config.columns), compiled)
    tested = config.name_of(config.test_data)
    if config.test_data.exists():
        rows = drops.read_whole(config, config.test_data)
        rows = rows[rows[config.columns.identifier] == identifier]
        if len(rows):
            return Known(_last(rows, config.columns), tested)
    raise UnknownName(
        f"no {config.columns.identifier} is called {shorten(identifier)!r}, neither in {compiled} "
        f"nor in {tested}"
    )


def _accepted(config: Config, ledger: Ledger, identifier: str) -> pd.DataFrame:
    """Read the rows of one customer, but only the last ones where arrival says which these are."""
    found = []
    for number in reversed(ledger.parts()):
        rows = store.read_rows_of(config, number, identifier)
        if len(rows):
            found.append(rows)
            if not config.columns.event_time:
                break
    return pd.concat(found[::-1], ignore_index=True) if found else pd.DataFrame()


def _last(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    if columns.event_time:
        at = pd.to_datetime(rows[columns.event_time], format="ISO8601", utc=True)
        rows = rows.iloc[at.argsort(kind="stable")]
    return rows.tail(1).reset_index(drop=True)
