from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from risk.config import Columns
from risk.monitoring import seasonality
from risk.monitoring.reference import PREDICTION, Reference
from risk.stats.seasons import DAY, WEEKEND, Curve

COLUMNS = Columns(
    identifier="id", target="y", positive_label=1, negative_label=0, numeric=("a", "b")
)


def curve(terms, **slopes):
    """Make a curve of some directions that is known without doubt."""
    p = len(next(iter(slopes.values())))
    return Curve(terms, (0.0,) * 16, ((0.0,) * p,) * p, slopes, {}, 100)


@pytest.fixture(scope="module")
def reference():
    """Give a reference in which a pair and two columns follow the calendar."""
    rng = np.random.default_rng(20261213)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    frame = frame.assign(y=rng.integers(0, 2, 200) * 1.0, **{PREDICTION: rng.random(200)})
    day = (0.0, 0.0, 0.0, -0.3, 0.0, 0.0)
    curves = {
        "a and b": curve((WEEKEND,), **{"rise together": (2.0,)}),
        "a": curve((WEEKEND,), higher=(-0.7,), lower=(0.7,), **{"more spread": (0.1,)}),
        "b": curve((DAY,), higher=day, lower=(0.0, 0.0, 0.0, 0.3, 0.0, 0.0)),
        "y": curve((), **{"positive more often": ()}),
    }
    made = Reference.build(frame, COLUMNS, threshold=0.5, tolerance=0.05)
    return replace(made, curves=curves, calendar="event time", days=28.0)


def test_the_largest_curve_of_each_subject_comes_first_and_pairs_last(reference):
    """By hand: a weekend 0.7 lower than the week is 0.5 below its mean, the week 0.2 above."""
    weekend, day, pair = seasonality.curves(reference)

    assert (weekend.subject, weekend.direction) == ("a", "higher")
    assert weekend.week == (0.2,) * 5 + (-0.5,) * 2
    assert (day.subject, day.day[0], day.day[12], day.week) == ("b", -0.3, 0.3, (0.0,) * 7)
    assert pair.subject == "a and b"


def test_the_facts_have_the_three_largest(reference):
    """As JSON types, with the days they rest on."""
    more = {name: reference.curves["b"] for name in ("b", "(predicted risk)")}

    found = seasonality.in_short(replace(reference, curves={**reference.curves, **more}))

    assert [each["subject"] for each in found["curves"]] == ["a", "b", "(predicted risk)"]
    assert (found["others"], found["calendar"], found["days"]) == (1, "event time", 28.0)
