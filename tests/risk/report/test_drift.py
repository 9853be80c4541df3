import json
import sqlite3
from dataclasses import replace

import pytest

from risk.ledger.ledger import Ledger
from risk.report import context, drift


@pytest.fixture(scope="module")
def read(story):
    """Give what gathers evidence while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield lambda run_id=None: context.gather(story.config, ledger, run_id=run_id)


@pytest.fixture
def sql(story):
    """Ask the ledger by hand."""
    database = sqlite3.connect(story.world.folder / "db" / "monitoring.sqlite")
    yield lambda query: database.execute(query).fetchall()
    database.close()


def test_what_moved_is_what_the_ledger_has(read, tables, words, sql):
    """Alarms first, then by size; the sentence names the features that alarm."""
    section = drift.section(read(3))
    table = tables(section)[0]

    found = sql(
        "SELECT feature, abs(drift_score), drift_detected FROM findings WHERE run_id = 3 AND "
        "method = 'e_detector' AND feature IN ('lastmonth_activity', 'lastyear_activity', "
        "'number_of_employees', 'region') ORDER BY drift_detected DESC, abs(drift_score) DESC"
    )
    assert [(row[0], row[2], row[5]) for row in table.rows] == [
        (feature, pytest.approx(size), bool(alarm)) for feature, size, alarm in found
    ]
    alarms = [feature for feature, _, alarm in found if alarm]
    assert alarms == ["lastmonth_activity"]
    assert "Drift in 1 of 4 features (400 new rows): lastmonth_activity." in words(section)


def test_how_to_get_a_seasonal_baseline_is_said(read, words):
    """All drops of the first release arrived at once."""
    assert "A release has one if columns.event_time is set" in words(drift.section(read(3)))


def test_what_did_not_change_is_not_said_to_have(read):
    """A column of one value comes neither more often nor less."""
    same = (
        read(3)
        .seen.findings.iloc[:1]
        .assign(
            method=drift.METHOD,
            feature="const",
            drift_score=0.0,
            detail="const same less often (100.0% -> 100.0% of 400 rows)",
        )
    )

    (row,) = drift.table(drift.ranked(same, {}), "").rows

    assert row[:2] == ("const", "unchanged")


def test_a_feature_that_alarms_is_drawn_and_the_values_that_moved_are_named(read, words):
    """The quarters of the rows learnt from, then and now."""
    told = words(drift.section(read(3)))

    assert "Largest changes: above " in told
    assert "lastmonth_activity: shares of 600 reference rows and of 400 new rows" in told


def test_the_parts_of_the_change_add_up_to_it(read, tables, sql):
    """As the assessment of that run attributed it."""
    ((attribution,),) = sql("SELECT attribution FROM assessments WHERE run_id = 3")
    told = json.loads(attribution)

    table = next(t for t in tables(drift.section(read(3))) if t.columns[1] == "contribution")

    *parts, (name, whole) = table.rows
    assert (name, whole) == ("total", pytest.approx(told["after"] - told["before"]))
    assert sum(part for _, part in parts) == pytest.approx(whole)
    assert f"standard error of at most {max(told['errors'].values()):.3f}." in table.caption


def test_a_quiet_day_is_told_as_one(read, words):
    """Nothing is drawn where nothing moved."""
    told = words(drift.section(read(2)))

    assert (
        "No drift: all 4 features are within tolerance of the training data (300 new rows)." in told
    )
    assert "Distributions of drifted features" not in told


def test_an_alarm_counts_until_its_incident_is_closed(read, words, tables):
    """Later rows may be too few to raise it again; the page of answers still tells of it."""
    known = read(3)
    quiet = known.seen.findings.assign(drift_detected=False)
    known.__dict__["seen"] = replace(known.seen, findings=quiet)

    section = drift.section(known)

    told = words(section)
    assert (
        "No drift: all 4 features are within tolerance of the training data (400 new rows)." in told
    )
    assert "An earlier alarm is still open: lastmonth_activity since 4 March 2026." in told
    assert "Distributions of drifted features\nlastmonth_activity" in told
    assert [row[0] for row in tables(section)[0].rows if row[5]] == ["lastmonth_activity"]


def test_before_the_first_rows_there_is_nothing_to_compare(read, words):
    """A sentence instead of empty axes."""
    assert words(drift.section(read(1))) == drift.NOTHING_YET


def test_a_release_that_is_gone_is_told_and_the_ranking_stays(read, words):
    """Its reference went with it."""
    known = read()
    seen = known.seen
    known.__dict__["seen"] = context.Seen(
        seen.assessment, seen.findings, seen.recent, None, seen.known_rows, "there is no release 1"
    )

    told = words(drift.section(known))

    assert "Their values cannot be drawn: there is no release 1." in told
    assert "lastmonth_activity" in told
