import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns
from risk.profile import MOST_LEVELS, Profile, cells_moved, count, reference_profile

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x",),
    categorical=("c",),
)


def table(x, c):
    return pd.DataFrame({"x": np.array(x, dtype=float), "c": pd.array(c, dtype="str")})


def shuffled(rows):
    return rows.sample(frac=1, random_state=1, ignore_index=True)


@pytest.fixture
def rows():
    """Give 500 rows with gaps."""
    rng = np.random.default_rng(2)
    x = np.where(rng.random(500) < 0.04, np.nan, rng.exponential(size=500))
    return table(x, rng.choice(["a", "b", "c", None], 500, p=[0.5, 0.3, 0.15, 0.05]))


def test_every_row_is_in_one_cell(rows):
    """Missing values included."""
    profile = reference_profile(rows, COLUMNS)

    assert [sum(feature.counts) for feature in profile.features] == [500, 500]


def test_numeric_cells_hold_about_equally_many_rows(rows):
    """Cut at deciles: numpy's own histogram over the edges is the oracle."""
    numeric, _ = reference_profile(rows, COLUMNS).features

    known = rows["x"].dropna()
    edges = np.quantile(known, np.linspace(0, 1, 11)[1:-1], method="inverted_cdf")
    expected = [
        int(((known > a) & (known <= b)).sum())
        for a, b in zip([-np.inf, *edges], [*edges, np.inf], strict=True)
    ]
    assert list(numeric.counts[:-1]) == expected
    assert max(expected) - min(expected) <= 2
    assert numeric.counts[-1] == rows["x"].isna().sum()


def test_one_huge_value_does_not_move_the_cells(rows):
    """Quantiles do not care how far the farthest is."""
    with_outlier = rows.copy()
    with_outlier.loc[rows["x"].idxmax(), "x"] = 1e6

    numeric, _ = reference_profile(with_outlier, COLUMNS).features

    assert numeric.edges == reference_profile(rows, COLUMNS).features[0].edges


def test_categories_have_cells_for_rare_unseen_and_missing_ones():
    """The 30 commonest by name, the others together."""
    names = [f"level {i:02}" for i in range(MOST_LEVELS + 5)]
    reference = reference_profile(table(range(70), names * 2), COLUMNS)

    _, feature = count(
        table([1, 2, 3, 4], [names[0], names[-1], "never", None]), reference
    ).features

    assert feature.labels()[-3:] == ["(rare)", "(unseen)", "(missing)"]
    assert feature.counts[0] == 1
    assert feature.counts[-3:] == (1, 1, 1)


@pytest.mark.parametrize(
    "x", [[np.nan] * 20, [7.0] * 20, [0.0] * 19 + [1.0]], ids=["all missing", "constant", "nearly"]
)
def test_degenerate_columns_are_profiled(x):
    """A finding for others, never a crash."""
    profile = reference_profile(table(x, ["a"] * 20), COLUMNS)

    assert sum(profile.features[0].counts) == 20


def test_the_order_of_rows_is_irrelevant(rows):
    """Ties between levels are broken by name."""
    assert reference_profile(rows, COLUMNS) == reference_profile(shuffled(rows), COLUMNS)


@given(st.integers(0, 500))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_parts_merge_into_the_whole(cut):
    """However the rows are split, over files or machines."""
    rng = np.random.default_rng(3)
    rows = table(rng.normal(size=500), rng.choice(["a", "b"], 500))
    reference = reference_profile(rows, COLUMNS)

    merged = count(rows[:cut], reference).plus(count(rows[cut:], reference))

    assert merged == count(rows, reference)


def test_json_gives_back_the_same_profile(rows):
    """It is part of a release."""
    profile = reference_profile(rows, COLUMNS)

    assert Profile.from_json(profile.to_json()) == profile


def test_the_cells_that_moved_are_named_largest_first():
    """What a person wants to read."""
    reference = reference_profile(table(range(100), ["a"] * 50 + ["b"] * 50), COLUMNS)
    current = count(table(range(100), ["a"] * 10 + ["b"] * 90), reference)

    words = cells_moved(reference.features[1], current.features[1])

    assert words == "a: 50% -> 10%, b: 50% -> 90%"
