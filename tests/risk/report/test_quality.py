from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from risk import store
from risk.ledger.ledger import Ledger
from risk.report import context, quality


@pytest.fixture(scope="module")
def read(story):
    """Give what gathers evidence while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield lambda run_id=None: context.gather(story.config, ledger, run_id=run_id)


def test_shares_are_those_of_the_rows(read, story):
    """Of the newest 300 rows, by pandas: 30 are missing, five are from the moon."""
    known = read()

    found = quality.measured(known.seen, known.seen.monitored).set_index("column")

    now, before = store.read_parts(story.config, [4]), store.read_parts(story.config, [1])
    for name in ("lastmonth_activity", "lastyear_activity", "number_of_employees"):
        outside = (now[name] < before[name].min()) | (now[name] > before[name].max())
        assert found.loc[name, "missing"] == pytest.approx(now[name].isna().mean())
        assert found.loc[name, "out_of_range"] == pytest.approx(outside.mean())
    assert found.loc["lastyear_activity", "missing"] == pytest.approx(0.1)
    assert found.loc["region", "unseen"] == pytest.approx(5 / 300)
    assert found["missing_before"].tolist() == [0, 0, 0, 0]
    assert pd.isna(found.loc["region", "out_of_range"])


def test_what_came_and_what_was_refused_is_counted(read, tables, words):
    """Two rows of negative activity, and one that has words for a number."""
    section = quality.section(read())
    files, refused = tables(section)[:2]

    assert "303 rows: 300 added, 0 duplicate, 3 quarantined" in words(section)
    assert [row[0] for row in files.rows] == ["data/development/day_3.csv"]
    assert refused.rows == (
        ("lastmonth_activity", "less than 0", 2),
        ("lastyear_activity", "not a number", 1),
    )


def test_the_statistics_are_those_of_the_newest_rows(read, tables, story):
    """By pandas."""
    table = tables(quality.section(read()))[-1]

    rows = store.read_parts(story.config, [4])
    told = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert told["lastyear_activity"]["mean"] == pytest.approx(rows["lastyear_activity"].mean())
    assert told["lastyear_activity"]["missing"] == 30
    assert told["region"]["values"] == 4
    assert told["region"]["most frequent"] == rows["region"].mode()[0]


def test_before_the_first_comparison_the_data_are_still_described(read, words):
    """What came and its statistics need no reference."""
    told = words(quality.section(read(1)))

    assert "1 file arrived so far with 600 rows" in told
    assert "Statistics of the newest data" in told
    assert "Missing, out of range, unseen" not in told


def test_an_alarm_is_told_until_its_incident_is_closed(read, words):
    """Also when the newest rows raise none; the page of answers still tells of it."""
    incident = {
        "kind": "data_quality",
        "subject": "region",
        "detail": "not looked at",
        "method": "constant",
        "direction": "constant",
        "n": 1200,
        "facts": {"value": "north"},
        "severity": "large",
        "opened_at": datetime(2026, 3, 4, tzinfo=UTC),
        "resolved_at": None,
    }
    quiet = read(run_id=2)

    told = words(quality.section(quiet))
    assert "Earlier data quality alarms" not in told

    snapshot = replace(quiet.snapshot, incidents=[incident])
    told = words(quality.section(replace(quiet, snapshot=snapshot)))
    assert "No data quality alarm in the newest data." in told
    assert "Earlier data quality alarms that are still open:" in told
    assert 'Since 4 March 2026: Column region is "north" in all 1,200 rows.' in told
