from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from risk.ledger.ingestions import Taken
from risk.monitoring import data_quality
from risk.monitoring.data_quality import History
from risk.schema import Problem

START = datetime(2026, 1, 1, tzinfo=UTC)


class Feed:
    """Made-up drops in a real ledger, at the hours of a made-up clock."""

    def __init__(self, ledger, config, clock):
        self.ledger, self.config, self.clock = ledger, config, clock

    def bring(self, *, read=100, after=24.0, problems=(), more=(), **changes):
        """Bring one drop, some hours after the last one, with `more` ingestions of so many rows."""
        self.clock[0] += timedelta(hours=after)
        number = self.ledger.ingestions.last_id() + 1
        row = {"id": number, "sha256": f"{number:064}", "path": f"drop{number}.csv"}
        row |= {"status": "taken", "kind": "rows", "rows_read": read, "rows_added": read}
        row |= {"rows_duplicate": 0, "rows_quarantined": 0, "size_bytes": 1}
        row |= {"mtime_ns": number, "ctime_ns": number, "inode": number}
        following = [
            (row | {"id": i, "rows_read": n, "rows_added": n, "continues": number}, Taken())
            for i, n in enumerate(more, number + 1)
        ]
        taken = Taken(problems=problems)
        self.ledger.ingestions.record(row | changes, taken=taken, following=following)

    def found(self, **changes):
        """Bring one more drop and return what is found about it."""
        before = self.ledger.ingestions.last_id()
        self.bring(**changes)
        new = self.ledger.ingestions.after(before)
        return data_quality.check_drops(self.config, self.ledger, new)

    def late(self, hours):
        """Wait, and return what is found about that."""
        self.clock[0] += timedelta(hours=hours)
        return data_quality.check_arrival(self.config, self.ledger)


@pytest.fixture
def feed(world):
    """Give a feed that brought nothing yet."""
    clock = [START]
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        yield Feed(ledger, world.config, clock)


@pytest.fixture
def settled(feed):
    """Give a feed that brought 100 rows a day for twenty days, a tenth more or less."""
    for read in np.resize([90, 100, 110], 20).tolist():
        feed.bring(read=read)
    return feed


def by_feature(found):
    return {finding.feature: finding for finding in found}


@pytest.mark.parametrize(
    ("read", "alarm"), [(100, False), (70, False), (150, False), (20, True), (0, True), (600, True)]
)
def test_a_drop_of_an_unusual_size_alarms(settled, read, alarm):
    """A truncated file, or one sent six times; a spread of a quarter is granted."""
    finding = by_feature(settled.found(read=read))["(rows per drop)"]

    assert finding.drift_detected is alarm
    assert finding.direction == ("more" if read > 100 else "fewer")
    assert (finding.value_before, finding.value_after) == (pytest.approx(100), read)
    assert finding.facts == {"path": "drop21.csv"}
    assert finding.drift_score == pytest.approx(read / 100)


@pytest.mark.parametrize(("more", "alarm"), [([20, 40], False), ([200, 340], True)])
def test_a_drop_of_several_ingestions_is_judged_once_by_all_its_rows(settled, more, alarm):
    (finding,) = settled.found(read=40, more=more)

    assert (finding.feature, finding.drift_detected) == ("(rows per drop)", alarm)
    assert finding.value_after == 40 + sum(more)


def test_drops_of_several_ingestions_are_the_measure_of_later_ones(feed):
    for read in np.resize([30, 40, 50], 20).tolist():
        feed.bring(read=read, more=[20, 40])

    assert not by_feature(feed.found(read=100))["(rows per drop)"].drift_detected
    finding = by_feature(feed.found(read=20))["(rows per drop)"]
    assert (finding.drift_detected, finding.n) == (True, 21)
    assert finding.value_before == pytest.approx(100)


def test_volume_is_judged_by_students_prediction_interval(feed):
    """Scipy's t distribution on the logarithms gives the same p-value."""
    sizes = np.random.default_rng(1).lognormal(6, 0.8, 12).round()
    for read in sizes:
        feed.bring(read=int(read))

    finding = by_feature(feed.found(read=90))["(rows per drop)"]

    logs = np.log(sizes + 1)
    t = (np.log(91) - logs.mean()) / (logs.std(ddof=1) * np.sqrt(1 + 1 / 12))
    assert finding.p_value == pytest.approx(2 * stats.t(11).sf(abs(t)))
    assert finding.n == 12


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.5])
def test_volume_keeps_its_limit_on_false_alarms(sigma):
    """2000 histories of 8 to 60 lognormal sizes and one more drop each; binomial doubt only."""
    rng, limit = np.random.default_rng(2), 0.01
    alarms = 0
    for _ in range(2000):
        sizes = rng.lognormal(7, sigma, rng.integers(9, 62)).round()
        history = History(pd.DataFrame({"rows_read": sizes[:-1]}), limit)
        drop = pd.Series({"path": "p", "rows_read": int(sizes[-1])})
        alarms += data_quality._volume(drop, history)[0].drift_detected

    assert stats.binomtest(alarms, 2000, limit, alternative="greater").pvalue > 0.01


def test_the_limit_is_the_intakes_share_of_the_budget(settled):
    """By hand: a tenth of 1 alarm in 90 days, a day per drop, shared by six checks."""
    history = History.before(settled.config, settled.ledger, 21)

    assert history.limit == pytest.approx(1 / 90 * 0.1 / 6)


def test_the_limit_is_a_hundredth_at_most(feed):
    """However seldom drops come."""
    for _ in range(9):
        feed.bring(after=24 * 365)

    assert History.before(feed.config, feed.ledger, 10).limit == 0.01


def test_before_two_drops_came_the_settings_say_how_long_is_usual(feed):
    """They say a day."""
    feed.bring()

    history = History.before(feed.config, feed.ledger, 2)

    assert history.limit == pytest.approx(1 / 90 * 0.1 / 6)


def test_a_backlog_taken_in_one_run_does_not_shorten_what_is_usual(feed):
    """Its files are milliseconds apart, which says nothing about the feed."""
    for _ in range(30):
        feed.bring(after=1e-6)
    for _ in range(3):
        feed.bring(after=24)

    limit = History.before(feed.config, feed.ledger, 34).limit

    assert limit == pytest.approx(1 / 90 * 0.1 / 6)
    assert feed.late(10) == []


def test_fewer_than_eight_drops_say_nothing_about_volume(feed):
    """A spread has to be known."""
    for _ in range(7):
        feed.bring()

    assert feed.found(read=100_000, rows_duplicate=99_000) == []


@pytest.mark.parametrize("kind", ["duplicate", "quarantined"])
def test_an_unusual_share_of_rows_of_a_kind_alarms(settled, kind):
    """Forty rows of a hundred, where there were none."""
    found = settled.found(**{f"rows_{kind}": 40, "rows_added": 60})

    finding = by_feature(found)[f"({kind} rows)"]
    assert finding.drift_detected
    assert (finding.facts["path"], finding.facts["rows"], finding.n) == ("drop21.csv", 40, 100)
    assert (finding.value_before, finding.value_after) == (pytest.approx(0, abs=1e-9), 0.4)
    assert finding.drift_score == pytest.approx(0.4)


@pytest.mark.parametrize("read", [97, 381, 532, 999])
def test_a_usual_share_of_none_is_not_below_it(settled, read):
    """Not even by rounding: -0.0% are usual of nothing."""
    finding = by_feature(settled.found(read=read, rows_quarantined=12))["(quarantined rows)"]

    assert finding.value_before >= 0


@pytest.mark.parametrize("kind", ["duplicate", "quarantined"])
def test_a_share_that_is_usual_does_not_alarm(feed, kind):
    """A feed that always sends some rows again is no news; one row is none either."""
    for share in (38, 41, 44, 36, 40, 39, 42, 43, 40):
        feed.bring(**{f"rows_{kind}": share})

    usual = by_feature(feed.found(**{f"rows_{kind}": 45}))[f"({kind} rows)"]
    all_of_them = by_feature(feed.found(read=400, **{f"rows_{kind}": 4}))[f"({kind} rows)"]

    assert not usual.drift_detected
    assert usual.value_before == pytest.approx(0.4)
    assert not all_of_them.drift_detected


def test_one_odd_row_in_a_clean_feed_is_no_alarm(settled):
    """Somebody mistypes once."""
    found = settled.found(rows_quarantined=1, rows_added=99)

    assert not by_feature(found)["(quarantined rows)"].drift_detected


def test_a_share_of_none_is_not_told(settled):
    """It would fill the ledger."""
    assert set(by_feature(settled.found())) == {"(rows per drop)"}


def test_the_commonest_reason_of_refusal_is_told(settled):
    """It is where to begin mending."""
    problems = [Problem(n, "b", "is no number", "x") for n in range(3)]
    problems += [Problem(9, "a", "is below 0", "-1")]

    found = settled.found(rows_quarantined=40, problems=problems)

    assert by_feature(found)["(quarantined rows)"].facts["problem"] == "b is no number"


def test_a_refused_drop_is_a_fact(feed):
    """No chance is involved, so it alarms from the first day on."""
    reason = "column b is missing"

    (finding,) = feed.found(status="refused", reason=reason, read=0)

    assert (finding.check_name, finding.feature) == ("data_quality", "(columns of drops)")
    assert finding.drift_detected
    assert finding.direction == "refused"
    assert finding.facts == {"path": "drop1.csv", "reason": reason}
    assert not finding.is_broken_feed


@pytest.mark.parametrize("changes", [{"status": "duplicate"}, {"kind": "labels"}])
def test_what_brings_no_rows_is_not_judged_by_them(settled, changes):
    """A drop of labels is as long as there are labels."""
    assert settled.found(read=5000, **changes) == []
    assert by_feature(settled.found())["(rows per drop)"].n == 20


def test_undeclared_columns_alarm_once(settled):
    """Somebody added a column; after that it is usual."""
    with_z = {"reason": "undeclared columns: z", "undeclared": '["z"]'}

    first = by_feature(settled.found(**with_z))["(columns of drops)"]
    second = settled.found(**with_z)
    another = by_feature(settled.found(reason="z and y", undeclared='["z", "y"]'))

    assert first.drift_detected
    assert first.direction == "undeclared"
    assert first.facts == {"path": "drop21.csv", "columns": ["z"]}
    assert "(columns of drops)" not in by_feature(second)
    assert another["(columns of drops)"].drift_detected


def test_undeclared_columns_of_drops_before_the_list_was_kept_are_no_news(settled):
    """Drops of an earlier version have the columns in a text, which nothing takes apart."""
    settled.bring(reason="undeclared columns: z")

    found = by_feature(settled.found(reason="undeclared columns: z", undeclared='["z"]'))

    assert "(columns of drops)" not in found


def test_columns_nobody_declared_in_the_very_first_drop_are_told_only(feed):
    """Nothing was usual before."""
    (finding,) = feed.found(reason="undeclared columns: z", undeclared='["z"]')

    assert not finding.drift_detected


def test_without_new_drops_there_is_nothing_to_look_at(feed):
    """Also in an empty ledger."""
    assert data_quality.check_drops(feed.config, feed.ledger, []) == []


def test_an_empty_ledger_waits_for_nothing(feed):
    """A model may be live although the ledger was lost."""
    assert data_quality.check_arrival(feed.config, feed.ledger) == []


def test_drops_that_stay_away_alarm(feed):
    """An hourly feed, a few minutes early or late, and then nothing for a day."""
    for minutes in np.random.default_rng(3).normal(60, 5, 30):
        feed.bring(after=minutes / 60)

    (finding,) = feed.late(26)

    assert finding.drift_detected
    assert finding.direction == "late"
    assert finding.value_before == pytest.approx(1, abs=0.05)
    assert finding.value_after == pytest.approx(26, abs=0.05)
    assert finding.drift_score == pytest.approx(26, rel=0.05)


@pytest.mark.parametrize("hours", [0.1, 1.0, 1.6])
def test_drops_that_are_a_little_late_do_not_alarm(feed, hours):
    """A cron job was slow."""
    for minutes in np.random.default_rng(3).normal(60, 5, 30):
        feed.bring(after=minutes / 60)

    (finding,) = feed.late(hours)

    assert not finding.drift_detected


def test_no_wait_that_happened_before_alarms(feed):
    """Each weekend has no drops."""
    for day in range(30):
        feed.bring(after=62 if day % 5 == 0 else 1)

    (finding,) = feed.late(62)

    assert not finding.drift_detected


def test_few_drops_say_nothing_about_the_next(feed):
    """Eight waits, that is nine drops, are needed; several drops of one run came together."""
    for n in range(8):
        feed.bring(after=24)
        feed.bring(after=0)
        assert data_quality.check_arrival(feed.config, feed.ledger) == [], n

    feed.bring(after=24)

    assert len(feed.late(24)) == 1
