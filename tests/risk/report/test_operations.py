import sqlite3
from contextlib import closing

import numpy as np
import pytest

from risk.ledger.ledger import Ledger
from risk.models import dependencies
from risk.report import context, operations


@pytest.fixture(scope="module")
def known(story):
    """Give the evidence of the newest run while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield context.gather(story.config, ledger)


def test_timings_are_those_of_the_ledger(known, tables, story):
    """Median and 95th percentile by numpy."""
    table = tables(operations.section(known))[0]

    with closing(sqlite3.connect(story.world.folder / "db" / "monitoring.sqlite")) as database:
        query = "SELECT duration_seconds FROM stage_timings WHERE stage = 'ingestion' ORDER BY id"
        seconds = [row[0] for row in database.execute(query)]
    told = {row[0]: row[1:] for row in table.rows}
    expected = (4, seconds[-1], np.median(seconds), np.quantile(seconds, 0.95))
    assert told["ingestion"] == pytest.approx(expected)


def test_each_run_is_told_in_a_sentence(known, tables, words):
    """The newest first; what was decided, not what was printed."""
    section = operations.section(known)
    runs = tables(section)[1]

    assert [row[0] for row in runs.rows] == [4, 3, 2, 1]
    assert runs.rows[-1][4] == "On 2 March 2026 it made release 1 live."
    assert "All 4 runs succeeded." in words(section)


def test_every_package_is_listed(known, tables):
    """With what is installed."""
    table = tables(operations.section(known))[2]

    expected = dependencies.of_installation(known.config)["installed"].tolist()
    assert [row[2] for row in table.rows] == expected
    assert "unknown" not in {row[4] for row in table.rows}


def test_runs_that_went_wrong_are_counted():
    """Also those that were cut off."""
    runs = [{"status": status} for status in ("ok", "failed", "aborted", "running")]

    assert operations._in_short(runs, 4) == "2 of the newest 3 runs failed or were interrupted."
    assert operations._in_short(runs[1:2], 1) == "There was one run; it failed."
