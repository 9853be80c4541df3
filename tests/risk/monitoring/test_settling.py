from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from risk.config import Alarms, Columns, CostMatrix
from risk.explain import verdicts
from risk.models.dating import INGESTION, MOMENT
from risk.monitoring import detector
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import BY_SIMULATION, EXACT, INDEPENDENT_ROWS, Detector
from risk.monitoring.findings import of_evidence
from risk.monitoring.reference import LABELLED, PREDICTION, Reference
from risk.monitoring.settling import ARRIVAL, EVENT_TIME, QUIET_WEALTH, History, cut, settle
from risk.schema import ROW_HASH
from risk.stats.seasons import WEEKEND
from tests.torture import in_full

MONDAY = np.datetime64("2026-01-05", "s")
NOW, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
FEW = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x0", "x1"),
    categorical=("c",),
)
RULES = Rules(Alarms(), "accuracy", CostMatrix())


def rows(rng, n):
    """Make two normal columns, a category, and a model that knows its rows."""
    x = rng.normal(size=(n, 2))
    proba = 1 / (1 + np.exp(1 - x[:, 0] - x[:, 1]))
    levels = pd.array(rng.choice(list("abc"), n, p=[0.6, 0.3, 0.1]), dtype="str")
    labels = (rng.random(n) < proba).astype(float)
    hashes = rng.integers(2**62, size=n)
    return pd.DataFrame(x, columns=["x0", "x1"]).assign(
        c=levels, y=labels, **{PREDICTION: proba, ROW_HASH: hashes}
    )


def days(rng, n_days, *, start=0, size=300, weekend=0.0, shift=0.0, files=1):
    """Make some days of rows; on Saturdays and Sundays x1 is higher."""
    frame = rows(rng, n_days * size)
    day = np.repeat(np.arange(start, start + n_days), size)
    frame["x1"] += weekend * (day % 7 >= 5) + shift
    seconds = 86_400 * day + rng.integers(0, 86_400, len(day))
    moments = MONDAY + seconds.astype("m8[s]")
    return frame.assign(**{MOMENT: moments, INGESTION: 1 + np.arange(len(day)) * files // len(day)})


def build(frame):
    return Reference.build(frame, FEW, threshold=0.5, tolerance=0.05)


def settled(frame, *, before=None):
    """Return the reference of a release that was trained on dated rows."""
    reference = build(frame)
    own = cut(reference, frame, RULES, dated=True, own=True)
    earlier = History() if before is None else cut(reference, before, RULES, dated=True, own=False)
    return settle(reference, own, RULES, before=earlier)


def watch(reference, batches):
    """Return day, subject and direction of each alarm, and the largest wealth of all together."""
    monitors, state, alarms, highest = Detector(reference, RULES), detector.start(), [], 0.0
    for i, batch in enumerate(batches):
        state, found = monitors.advance(state, batch, NOW + i * DAY)
        alarms += [(i, e.subject, e.direction) for e in found if e.alarm]
        highest = max(highest, sum(e.e_value for e in found if e.family == "data"))
    return alarms, highest


def daily(reference, frame):
    """Count each day of rows."""
    day = (frame[MOMENT].to_numpy("M8[D]") - MONDAY.astype("M8[D]")).astype("int64")
    return reference.count_batches(frame, day - day.min(), int(np.ptp(day)) + 1)


def test_a_naturally_unstable_column_is_granted_more_and_no_other():
    """Its mean wanders for weeks at a time; the others keep the tolerance of the settings."""
    rng = np.random.default_rng(20260515)
    frame = rows(rng, 100 * 200)
    frame["x1"] += np.repeat(np.sin(np.arange(100) / 8) / 2, 200)
    reference = build(frame)
    parts = [reference.count(frame[i : i + 200]) for i in range(0, len(frame), 200)]

    found = settle(reference, History(parts), RULES)

    assert found.tolerances.keys() == {PREDICTION, "x1"}
    assert found.tolerances["x1"] > 0.05
    assert not watch(found, parts)[0]
    assert found.correlations["x1"]["higher"] > 0.05 > found.correlations["x0"]["higher"]


def test_a_few_batches_teach_how_alike_rows_are_but_no_tolerance():
    """Seven of them are no past to be replayed, one is none at all."""
    rng = np.random.default_rng(20260516)
    frame = rows(rng, 7 * 100)
    frame["x1"] += np.repeat(np.arange(7), 100)
    reference = build(frame)
    parts = [reference.count(frame[i : i + 100]) for i in range(0, 700, 100)]

    few, one = (
        settle(reference, History(parts), RULES),
        settle(reference, History(parts[:1]), RULES),
    )

    assert few.tolerances == reference.tolerances
    assert few.correlations["x1"]["higher"] > 0.5
    assert one == reference


def test_batches_before_a_change_tell_how_alike_rows_are():
    """Of the new world there are too few."""
    rng = np.random.default_rng(20260517)
    frame = rows(rng, 22 * 100)
    frame["x1"] += np.repeat(rng.normal(0, 0.5, 22), 100)
    reference = build(frame[2000:])
    parts = [reference.count(frame[i : i + 100]) for i in range(0, 2200, 100)]

    found = settle(reference, History(parts[20:]), RULES, before=History(parts[:20]))

    by_themselves = settle(reference, History(parts[:20]), RULES).correlations
    assert (
        found.correlations
        == by_themselves
        != settle(reference, History(parts[20:]), RULES).correlations
    )
    assert 0.05 < found.correlations["x1"]["higher"] < 0.6
    assert found.tolerances == reference.tolerances


def test_columns_that_wander_together_are_settled_together():
    """Both would have stayed quiet alone; their sum is what raises an alarm."""
    rng = np.random.default_rng(20261201)
    frame = rows(rng, 60 * 200)
    for name in ("x0", "x1"):
        frame[name] += np.repeat(np.sin(np.arange(60) / 8) / 3, 200)
    reference = build(frame)
    parts = [reference.count(frame[i : i + 200]) for i in range(0, len(frame), 200)]

    found = settle(reference, History(parts), RULES)

    alarms, highest = watch(found, parts)
    assert not alarms
    assert 0 < highest <= max(QUIET_WEALTH, 60 / 90 * 0.4)


def test_a_file_is_no_batch_where_rows_have_a_time():
    """Four weeks in three files are 28 batches of a day."""
    frame = days(np.random.default_rng(20261202), 28, size=20, files=3)

    found = cut(build(frame), frame, RULES, dated=True, own=True)

    assert (found.calendar, found.days) == (EVENT_TIME, 28)
    assert [batch.n for batch in found.batches] == [20] * 28
    weekends = [batch.when("rows")[9] for batch in found.batches]
    assert weekends == [0, 0, 0, 0, 0, 1, 1] * 4


def test_days_of_few_rows_are_taken_together():
    """Three rows a day say little about how alike those of a day are; four days of them do."""
    frame = days(np.random.default_rng(20261216), 32, size=3)

    found = cut(build(frame), frame, RULES, dated=True, own=True)

    assert sum(batch.n for batch in found.batches) == 32 * 3
    assert {batch.n for batch in found.batches[1:-1]} == {12}
    assert cut(build(frame), frame[:30], RULES, dated=True, own=True).calendar == ""


@pytest.mark.parametrize(("apart", "calendar"), [(86_400, ARRIVAL), (5, "")])
def test_without_event_times_arrivals_date_the_rows_unless_all_came_at_once(apart, calendar):
    """Ten drops, a day or five seconds apart: a backlog says nothing about when rows were made."""
    frame = days(np.random.default_rng(20261203), 10, size=20, files=10)
    frame[MOMENT] = MONDAY + apart * frame[INGESTION].to_numpy().astype("m8[s]")

    found = cut(build(frame), frame, RULES, dated=False, own=True)

    assert found.calendar == calendar
    assert len(found.batches) == 10


def test_too_few_times_fall_back_on_drops():
    """Seven days have no curve, and the finding says on what its budget rests."""
    frame = days(np.random.default_rng(20261204), 7, size=100, files=3)

    found = settled(frame)

    assert (found.calendar, found.curves) == ("", {})
    assert found.correlations["x0"]["higher"] > 0
    _, seen = Detector(found, RULES).advance(detector.start(), found.count(frame), NOW)
    assert {e.guarantee for e in seen} == {INDEPENDENT_ROWS}


@pytest.mark.parametrize(("step", "weeks"), [(0.5, 13), in_full(1.0, 26), in_full(0.5, 26)])
def test_weekends_raise_no_alarm_and_hide_no_shift(step, weeks):
    """Four weeks in three files, then daily drops; a quarter of a standard deviation is found."""
    rng = np.random.default_rng(20261205)
    found = settled(days(rng, 28, weekend=step, files=3))

    quiet = days(rng, 7 * weeks, start=28, weekend=step)
    moved = days(rng, 14, start=28, weekend=step, shift=0.25)

    assert watch(found, daily(found, quiet))[0] == []
    (when, *what), *_ = watch(found, daily(found, moved))[0]
    assert (when < 5, what) == (True, ["x1", "higher"])
    assert found.curves["x1"].terms == (WEEKEND,)
    assert found.curves["x0"].terms == ()
    assert found.tolerances.get("x1", 0.05) == 0.05


def test_the_slope_of_a_weekend_is_its_height():
    """In standard deviations of the normal scores of the reference, which the weekends widen."""
    rng = np.random.default_rng(20261206)
    frame = days(rng, 28, weekend=0.5, size=1000)

    found = settled(frame)

    weekend = frame[MOMENT].dt.day_of_week >= 5
    height = frame["x1"][weekend].mean() - frame["x1"][~weekend].mean()
    assert found.curves["x1"].slopes["higher"] == pytest.approx(
        [height / frame["x1"].std()], abs=0.05
    )
    assert found.curves["x1"].slopes["lower"][0] == -found.curves["x1"].slopes["higher"][0]


def test_a_season_outlasts_a_change_of_another_column():
    """The days after it are too few to know weekends, those before it had four."""
    rng = np.random.default_rng(20261207)

    def drawn(n_days, start, shift):
        frame = days(rng, n_days, start=start, weekend=0.5)
        return frame.assign(x0=frame["x0"] + shift)

    found = settled(drawn(3, 28, 1.0), before=drawn(28, 0, 0.0))

    assert (found.calendar, found.curves["x1"].terms) == (EVENT_TIME, (WEEKEND,))
    assert found.curves["x0"].terms == ()
    assert watch(found, daily(found, drawn(28, 31, 1.0)))[0] == []


@pytest.mark.parametrize(("n_days", "terms"), [(3, ()), (21, (WEEKEND,))])
def test_what_changed_itself_has_the_season_of_the_days_after(n_days, terms):
    """Its scores are ranks of its new values; the old season is another curve in them."""
    rng = np.random.default_rng(20261212)
    before = days(rng, 28, weekend=0.5)
    after = days(rng, n_days, start=28, weekend=0.5, shift=1.0)

    found = settled(after, before=before)

    assert found.curves["x1"].terms == terms
    assert found.curves["x1"].rows == len(after)


def test_the_guarantee_says_what_is_an_estimate():
    """A curve is one, and so is how alike rows are; only rows like any others need none."""
    rng = np.random.default_rng(20261208)
    found = settled(days(rng, 28, weekend=0.5))

    _, seen = Detector(found, RULES).advance(detector.start(), daily(found, days(rng, 1))[0], NOW)

    rests_on = {e.subject: e.guarantee for e in seen}
    assert rests_on["x1"] == BY_SIMULATION
    assert set(rests_on.values()) <= {BY_SIMULATION, EXACT}


@pytest.mark.parametrize("memory", [0.0, 0.95])
def test_a_finding_says_whether_batches_depend_strongly_on_each_other(memory):
    """Of an AR(1) process the reference knows few swings, which no formula makes more."""
    rng, n_batches, n = np.random.default_rng(20261202), 14 * 24, 60
    wander = lfilter([1.0], [1.0, -memory], rng.normal(size=n_batches + 200))[200:]
    frame = rows(rng, n_batches * n)
    frame["x1"] += np.repeat(0.3 * np.sqrt(1 - memory**2) * wander * (memory > 0), n)
    seconds = np.repeat(3600 * np.arange(n_batches), n)
    hourly = Rules(Alarms(usual_minutes_between_drops=60), "accuracy", CostMatrix())
    frame = frame.assign(**{MOMENT: MONDAY + seconds.astype("m8[s]"), INGESTION: 1})
    reference = build(frame)
    reference = settle(reference, cut(reference, frame, hourly, dated=True, own=True), hourly)
    latest = reference.count(frame.iloc[-n:])
    seen = Detector(reference, hourly).advance(detector.start(), latest, NOW)[1]

    told = {e.subject: of_evidence(e, reference, latest).as_row() for e in seen}

    said = {name: " ".join(verdicts.assumptions(told[name])) for name in ("x0", "x1")}
    assert "consecutive batches" not in said["x0"]
    assert ("the 14 days of the reference show" in said["x1"]) == (memory > 0)


def test_a_reference_with_curves_survives_being_stored():
    """Bit by bit, so that the live release judges as the one that was trained."""
    found = settled(days(np.random.default_rng(20261209), 28, weekend=0.5))

    assert Reference.from_json(found.to_json()) == found


def test_labels_follow_the_calendar_too():
    """Fewer rows are positive at weekends, and the model does not know it."""
    rng = np.random.default_rng(20261210)

    def drawn(n_days, start):
        frame = days(rng, n_days, start=start)
        spoiled = (frame[MOMENT].dt.day_of_week >= 5) & (rng.random(len(frame)) < 0.2)
        return frame.assign(y=frame["y"].where(~spoiled, 1 - frame["y"]))

    found = settled(drawn(28, 0))

    assert found.curves[LABELLED].terms == (WEEKEND,)
    alarms, _ = watch(found, daily(found, drawn(7 * 13, 28)))
    assert [alarm for alarm in alarms if alarm[1] == LABELLED] == []
