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
    ("x", "counts"),
    [
        ([np.nan] * 20, (0, 20)),
        ([7.0] * 20, (20, 0, 0)),
        ([0.0] * 19 + [1.0], (19, 1, 0)),
        ([7.0], (1, 0, 0)),
        ([], (0, 0)),
    ],
    ids=["all missing", "constant", "nearly", "one row", "no row"],
)
def test_degenerate_columns_are_profiled(x, counts):
    """A finding for others, never a crash."""
    profile = reference_profile(table(x, ["a"] * len(x)), COLUMNS)

    assert profile.features[0].counts == counts


def test_a_category_missing_from_every_row_has_cells():
    """What comes later is unseen, not an error."""
    reference = reference_profile(table([1, 2], [None, None]), COLUMNS)

    _, feature = count(table([1, 2, 3], ["a", "a", None]), reference).features

    assert dict(zip(feature.labels(), feature.counts, strict=True)) == {
        "(rare)": 0,
        "(unseen)": 2,
        "(missing)": 1,
    }


def test_values_beyond_the_reference_are_in_the_outer_cells():
    """Nothing falls out of the table, however far away it is."""
    reference = reference_profile(table(range(100), ["a"] * 100), COLUMNS)

    numeric, _ = count(table([-1e300, 1e300, 1e300], ["a"] * 3), reference).features

    assert (numeric.counts[0], numeric.counts[-2], sum(numeric.counts)) == (1, 2, 3)


@pytest.mark.parametrize(("n", "cells"), [(2, 2), (16, 2), (24, 3), (79, 9), (80, 10), (5000, 10)])
def test_few_rows_make_few_cells(n, cells):
    """Eight rows in each at least, ten cells at most: emptier ones would be noise."""
    reference = reference_profile(table(range(n), ["a"] * n), COLUMNS)

    assert len(reference.features[0].counts) == cells + 1


def test_levels_of_equal_frequency_are_taken_by_name():
    """Which ones are rare must not depend on who came first."""
    names = [f"{i:02}" for i in range(MOST_LEVELS + 2)]

    _, feature = reference_profile(table(range(32), names[::-1]), COLUMNS).features

    assert feature.levels == tuple(names[:MOST_LEVELS])
    assert feature.rare == tuple(names[MOST_LEVELS:])


def test_counting_leaves_the_rows_and_the_reference_alone(rows):
    """Both are used again."""
    before, reference = rows.copy(), reference_profile(rows, COLUMNS)
    text = reference.to_json()

    count(rows[:10], reference)

    pd.testing.assert_frame_equal(rows, before)
    assert reference.to_json() == text


def test_the_order_of_rows_is_irrelevant(rows):
    """Ties between levels are broken by name."""
    assert reference_profile(rows, COLUMNS) == reference_profile(shuffled(rows), COLUMNS)


NUMBERS = st.one_of(st.none(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False))
LEVELS = st.sampled_from(["a", "b", "é", "nan", "(missing)", None])
TABLES = st.lists(st.tuples(NUMBERS, LEVELS), max_size=40).map(
    lambda rows: table([x for x, _ in rows], [c for _, c in rows])
)


@given(TABLES, TABLES, TABLES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_parts_merge_into_the_whole(chosen, first, second):
    """However the rows are split, over files or machines, and whatever the cells came from."""
    reference = reference_profile(chosen, COLUMNS)
    whole = pd.concat([first, second], ignore_index=True)

    one, other = count(first, reference), count(second, reference)

    assert one.plus(other) == other.plus(one) == count(whole, reference)


@given(TABLES, TABLES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_counts_are_those_of_a_loop_over_the_rows(chosen, rows):
    """Each value is put into its cell by hand: a cell ends at its edge, and holds it."""
    numeric, categorical = count(rows, reference_profile(chosen, COLUMNS)).features

    by_hand = [0] * len(numeric.counts)
    for x in rows["x"]:
        by_hand[-1 if np.isnan(x) else sum(edge < x for edge in numeric.edges)] += 1
    names = {name: i for i, name in enumerate(categorical.levels)}
    of_levels = [0] * len(categorical.counts)
    for c in rows["c"]:
        of_levels[-1 if pd.isna(c) else names.get(c, -2)] += 1
    assert list(numeric.counts) == by_hand
    assert list(categorical.counts) == of_levels


@given(TABLES)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_any_profile_survives_json(rows):
    """To the last bit of an edge, and with levels of any name."""
    profile = reference_profile(rows, COLUMNS)

    assert Profile.from_json(profile.to_json().encode()) == profile


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
