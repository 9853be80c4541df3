import pandas as pd
import pytest

from risk.ledger.trends import POINT, merged, typed


def points(*rows):
    """Give points at the hours of one day and the next, each with a run, a feature and a value."""
    return typed(pd.DataFrame(rows, columns=["at", "run_id", "feature", "value"]))


def at(hour):
    return pd.Timestamp("2026-03-02", tz="UTC") + pd.Timedelta(hours=hour)


def test_points_have_every_column_even_if_there_is_none():
    """Whole numbers stay whole where some are missing."""
    empty, one = typed(pd.DataFrame()), points((at(1), None, "age", 2))

    assert list(empty) == list(one) == POINT
    assert empty["run_id"].dtype == one["run_id"].dtype == "Int64"
    assert empty["at"].dt.tz is not None


@pytest.mark.parametrize(
    ("merge", "values"), [("sum", [3, 4]), ("mean", [1.5, 4]), ("last", [2, 4])]
)
def test_a_day_ends_at_midnight_utc(merge, values):
    """Wherever the machine stands."""
    found = points((at(0), 1, "age", 1), (at(23.99), 2, "age", 2), (at(24), 3, "age", 4))

    days = merged(found, per="day", merge=merge)

    assert days["value"].tolist() == values
    assert days["at"].tolist() == [at(0), at(24)]


def test_pooled_means_are_those_of_all_rows():
    """Of 1, 1, 1 and 5 the mean is 2, not that of 1 and 5; other features have their own."""
    found = points((at(0), 1, "age", 1), (at(1), 2, "age", 5), (at(1), 2, "plan", 7))
    found["n"] = pd.array([3, 1, 2], dtype="Int64")

    day = merged(found, per="day", merge="pooled")

    assert day[["feature", "value", "n"]].to_numpy().tolist() == [["age", 2, 4], ["plan", 7, 2]]


def test_features_are_never_merged():
    """Nor is one of no name with others."""
    found = points((at(0), 1, "age", 1), (at(0), 1, None, 2), (at(0), 1, "plan", 3))

    assert merged(found, per="run", merge="sum")["value"].tolist() == [1, 2, 3]


def test_an_undefined_last_value_is_the_last_value():
    """The one before it is out of date."""
    found = points((at(0), 1, "age", 1), (at(1), 1, "age", None))

    assert merged(found, per="run", merge="last")["value"].isna().tolist() == [True]


def test_a_period_that_was_cut_is_left_out():
    """Half a sum would be a wrong number."""
    found = points((at(0), 1, "age", 1), (at(0), 1, "age", 1), (at(1), 2, "age", 5))

    assert merged(found, per="run", merge="sum", cut=True)["value"].tolist() == [5]


def test_seconds_are_counted_until_the_end():
    """Of a run that lasted an hour."""
    run = pd.DataFrame({"at": [at(1)], "ended_at": [at(2)], "run_id": [7]})

    assert typed(run)["value"].tolist() == [3600]
