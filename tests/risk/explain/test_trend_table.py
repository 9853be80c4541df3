import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from risk.errors import UnknownName, UsageError
from risk.explain import trend_table
from risk.explain.trend_table import DrawnTrend, TrendAsCsv, moment, read_trend, sparkline
from risk.ledger.ingestions import Taken
from risk.ledger.ledger import Ledger
from risk.ledger.trends import MAX_POINTS

MONDAY = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
FINDING = {"check_name": "data_drift", "method": "e_detector", "threshold": 0.05, "p_value": None,
           "e_value": 2.0, "drift_detected": True, "n": 9, "rows_needed": None, "distances": None,
           "detail": ""}  # fmt: skip
SCORE = {"model_sha256": "m", "version": 1, "metric": "f1", "n": 50}
DROP = {"status": "taken", "rows_read": 9, "rows_duplicate": 0, "rows_quarantined": 0,
        "size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3, "inode": 4}  # fmt: skip


class Clock:
    """A clock that a test sets."""

    now = MONDAY

    def __call__(self):
        return self.now


def record(ledger, number):
    """Record of one run what every trend is made of."""
    with ledger.runs.stage("training" if number % 2 else "ingestion"):
        pass
    ledger.scores.record([
        SCORE | {"dataset": dataset, "value": value, "lower": 0.1, "upper": 0.9}
        for dataset, value in (("test", 0.5 + number / 20), ("new", 0.4 if number else None))
    ])  # fmt: skip
    ledger.column_statistics.record([
        {"column_name": name, "row_count": 10 + number, "missing_count": number,
         "missing_percent": 100 * number / (10 + number), "mean": mean}
        for name, mean in (("age", 30.0 + number), ("plan", None))
    ])  # fmt: skip
    ledger.findings.record([
        FINDING | {"feature": feature, "drift_score": number / 10} for feature in ("age", "plan")
    ])  # fmt: skip
    row = {"id": number + 1, "path": f"{number}.csv", "sha256": f"{number:064d}", **DROP}
    ledger.ingestions.record(row | {"rows_added": 3 + number}, taken=Taken())


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory):
    """Give a world of six runs, three on each of two days."""
    world, clock = new_world(tmp_path_factory.mktemp("trends")), Clock()
    with world.open_ledger(clock=clock) as ledger:
        for number in range(6):
            clock.now = MONDAY + timedelta(days=number // 3, hours=number % 3)
            ledger.runs.start()
            record(ledger, number)
            clock.now += timedelta(minutes=number + 1)
            ledger.runs.end("ok", "done")
    return world


@pytest.fixture
def ledger(world):
    """Give its ledger, two hours after the last run began."""
    clock = Clock()
    clock.now = MONDAY + timedelta(days=1, hours=4)
    with world.open_ledger(clock=clock, upgrade=False) as opened:
        yield opened


def by_hand(world, query):
    """Ask the database itself."""
    with closing(sqlite3.connect(world.folder / "db" / "monitoring.sqlite")) as connection:
        return [value for (value,) in connection.execute(query)]


@pytest.mark.parametrize(
    ("asked", "per", "query"),
    [
        ("f1:test", "run", "SELECT value FROM scores WHERE dataset = 'test' ORDER BY id"),
        ("f1:test", "day", "SELECT value FROM scores WHERE id IN (SELECT max(id) FROM scores "
                           "WHERE dataset = 'test' GROUP BY date(scored_at)) ORDER BY id"),
        ("f1", "run", "SELECT value FROM scores ORDER BY id"),
        ("mean:age", "run", "SELECT mean FROM column_statistics WHERE column_name = 'age' "
                            "ORDER BY id"),
        ("mean:age", "day", "SELECT sum(mean * (row_count - missing_count)) / "
                            "sum(row_count - missing_count) FROM column_statistics "
                            "WHERE column_name = 'age' GROUP BY date(computed_at)"),
        ("missing:plan", "run", "SELECT 100.0 * missing_count / row_count FROM column_statistics "
                                "WHERE column_name = 'plan' ORDER BY id"),
        ("missing:plan", "day", "SELECT 100.0 * sum(missing_count) / sum(row_count) "
                                "FROM column_statistics WHERE column_name = 'plan' "
                                "GROUP BY date(computed_at)"),
        ("drift_score:plan", "run", "SELECT drift_score FROM findings WHERE feature = 'plan' "
                                    "ORDER BY id"),
        ("drift_score:plan", "day", "SELECT avg(drift_score) FROM findings "
                                    "WHERE feature = 'plan' GROUP BY date(found_at)"),
        ("findings", "day", "SELECT sum(drift_detected) FROM findings GROUP BY date(found_at)"),
        ("latency", "run", "SELECT round((julianday(ended_at) - julianday(started_at)) * 86400) "
                           "FROM runs ORDER BY id"),
        ("latency", "day", "SELECT avg(round((julianday(ended_at) - julianday(started_at)) "
                           "* 86400)) FROM runs GROUP BY date(started_at)"),
        ("latency:training", "run", "SELECT duration_seconds FROM stage_timings "
                                    "WHERE stage = 'training' ORDER BY id"),
        ("volume", "run", "SELECT sum(rows_added) FROM ingestions GROUP BY run_id"),
        ("volume", "day", "SELECT sum(rows_added) FROM ingestions GROUP BY date(ingested_at)"),
    ],
)  # fmt: skip
def test_a_trend_is_what_sql_by_hand_gives(world, ledger, asked, per, query):
    """Per run and per day, oldest first."""
    expected = by_hand(world, query)

    values = read_trend(ledger, asked, per=per).points["value"]

    assert len(expected) >= 2
    assert values.astype("object").where(values.notna(), None).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("since", "n"),
    [(None, 6), ("30d", 6), ("3h", 2), ("2h", 1), ("1h", 0), ("2026-03-03", 3),
     ("2026-03-03T07:00:00Z", 2), ("2026-03-03T09:00:00+02:00", 2), ("1d", 3)],
)  # fmt: skip
def test_a_trend_begins_when_it_is_asked_to(ledger, since, n):
    """Hours and days back from now, or a moment; without a zone it is UTC."""
    assert len(read_trend(ledger, "volume", since=since).points) == n


@pytest.mark.parametrize("words", ["soon", "", "0d", "-3d", "5w", "2026-13-01", "30D", "1e3d"])
def test_what_is_no_moment_is_wrong_usage(words):
    """It says which words are."""
    with pytest.raises(UsageError, match="--since takes 30d, 12h or a date such as 2026-10-01"):
        moment(words, now=MONDAY)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("f2", "no trend is called 'f2'; known: f1, .*missing, latency, volume"),
        ("", "no trend is called ''"),
        ("mean:shoe", "mean is not recorded of 'shoe'; known: age$"),
        ("missing:shoe", "missing is not recorded of 'shoe'; known: age; plan$"),
        ("f1:shoe", "f1 is not recorded of 'shoe'; known: new; test$"),
        ("latency:cooking", "latency is not recorded of 'cooking'; known: ingestion; training$"),
        ("volume:shoe.csv", "volume is not recorded of 'shoe.csv'$"),
    ],
)
def test_a_name_that_nobody_knows_is_answered_with_those_there_are(ledger, asked, told):
    """Of trends, and of what each is recorded of."""
    with pytest.raises(UnknownName, match=told):
        read_trend(ledger, asked)


def test_a_trend_is_a_table_of_what_it_has(ledger):
    """No column of nothing; moments to the minute, or the day and no run."""
    by_run = str(read_trend(ledger, "mean:age", since="3h")).splitlines()
    by_day = str(read_trend(ledger, "f1:test", per="day")).splitlines()

    assert [line.split() for line in by_run] == [
        ["at", "run", "feature", "value", "n"],
        ["2026-03-03", "07:00", "5", "age", "34", "10"],
        ["2026-03-03", "08:00", "6", "age", "35", "10"],
    ]
    assert [line.split() for line in by_day] == [
        ["at", "dataset", "version", "value", "lower", "upper", "n"],
        ["2026-03-02", "test", "1", "0.6", "0.1", "0.9", "50"],
        ["2026-03-03", "test", "1", "0.75", "0.1", "0.9", "50"],
    ]


def test_a_trend_without_points_says_so(ledger):
    """In every form that people read; CSV has its header."""
    empty = read_trend(ledger, "cost")

    assert str(empty) == "nothing is recorded of cost"
    assert str(DrawnTrend(empty.name, "run", empty.points)) == "nothing is recorded of cost"
    assert str(TrendAsCsv(empty.name, "run", empty.points)).startswith("at,run_id,feature,")


def test_a_trend_that_is_cut_says_so_in_every_form(new_world, tmp_path, caplog):
    """Nobody may take the newest points for all there are; the earlier run is left out whole."""
    with Ledger.open(new_world(tmp_path).config) as ledger:
        for count in (10, MAX_POINTS - 5):
            ledger.runs.start()
            ledger.scores.record([SCORE | {"dataset": str(i), "value": 0.5} for i in range(count)])

        trend = read_trend(ledger, "f1")

    assert len(trend.points) == MAX_POINTS - 5
    assert "only the newest 995 points are shown" in caplog.text


def test_a_line_of_blocks_goes_from_the_lowest_to_the_highest():
    """The newest sixty; a gap where nothing is known; a level line is low."""
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([-1.0, float("nan"), 1.0]) == "▁ █"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([float("nan")]) == " "
    assert len(sparkline(range(100))) == 60


def test_only_a_terminal_gets_blocks(ledger, monkeypatch):
    """One line for each data set, then the same table."""
    asked = {"trend": "f1", "since": None, "per": "run"}
    piped = trend_table.from_options(ledger, csv=False, **asked)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    drawn = str(trend_table.from_options(ledger, csv=False, **asked))
    as_csv = trend_table.from_options(ledger, csv=True, **asked)

    assert drawn.splitlines()[:2] == [" ▁▁▁▁▁  new: 0.4", "▁▂▄▅▇█  test: 0.75"]
    assert drawn.endswith(str(piped))
    assert not set(str(piped) + str(as_csv)) & set("▁▂▃▄▅▆▇█")


def test_trends_are_asked_of_the_command_line(world):
    """As CSV and as JSON; the lock is not taken."""
    asked = ("reporting.py", "--trend", "mean:age", "--per", "day")
    as_csv = world.command(*asked, "--csv")
    as_json = world.command(*asked, "--json")

    assert as_csv.returncode == 0, as_csv.stderr
    lines = as_csv.stdout.splitlines()
    assert lines[0] == "at,run_id,feature,dataset,version,value,lower,upper,n"
    assert lines[1].startswith("2026-03-02T00:00:00Z,3,age,,,31.0,,,30")
    points = json.loads(as_json.stdout)["points"]
    assert [point["value"] for point in points] == pytest.approx([31, 34])
    assert not (world.folder / "db" / "run.lock").exists()
