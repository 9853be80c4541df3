from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.monitoring.profile import (
    GROUPS,
    MAX_LEVELS,
    QUANTILES,
    Column,
    Profile,
    calendar_by,
    categorical_column,
    cells_moved,
    count,
    groups,
    joint_codes,
    numeric_column,
)
from risk.stats import seasons

properties = settings(max_examples=100, deadline=None, database=None, derandomize=True)
numbers = st.lists(st.none() | st.floats(-1e9, 1e9) | st.integers(-3, 3), min_size=1, max_size=60)
words = st.lists(st.none() | st.sampled_from("abcdefgh"), min_size=1, max_size=60)


def floats(values):
    return pd.Series(values, dtype="float64")


def texts(values):
    return pd.Series(pd.array(values, dtype="str"))


def counted(column, values):
    return count(column.codes(values), column.size)


@properties
@given(numbers, numbers)
def test_the_cells_of_a_number_are_those_of_a_loop_over_the_rows(reference, current):
    """Each row in the first cell whose upper edge it does not exceed, missing ones in the last."""
    column = numeric_column("x", floats(reference))

    found = counted(column, floats(current))

    expected = [0] * column.size
    for value in current:
        cell = -1 if value is None else sum(value > edge for edge in column.edges)
        expected[cell] += 1
    assert list(found) == expected
    assert column.size == len(column.edges) + 2 == len(column.labels())


@properties
@given(words, words)
def test_the_cells_of_a_category_are_those_of_a_tally(reference, current):
    """Known levels by name, then rare, unseen and missing ones."""
    column = categorical_column("c", texts(reference))

    found = counted(column, texts(current))

    tally = Counter("(missing)" if v is None else v for v in current)
    known = [tally.pop(level, 0) for level in column.levels]
    missing = tally.pop("(missing)", 0)
    assert list(found) == [*known, 0, sum(tally.values()), missing]


def test_the_cells_of_a_number_are_cut_at_its_quantiles():
    """A continuous column of 2000 rows: five per cent in each but the tails, none outside."""
    values = floats(np.random.default_rng(20260301).exponential(size=2000))

    column = numeric_column("x", values)

    found = counted(column, values)
    expected = np.diff([0, *QUANTILES, 1]) * 2000
    assert found[0] == found[-2] == found[-1] == 0
    assert found[1:-2] == pytest.approx(expected, abs=1)


def test_one_huge_value_does_not_move_the_other_cells():
    """Only where the last one ends."""
    values = np.random.default_rng(20260302).normal(size=2000)
    spoiled = values.copy()
    spoiled[values.argmax()] = 1e6

    plain, found = (numeric_column("x", floats(v)) for v in (values, spoiled))

    assert found.edges[:-1] == plain.edges[:-1]
    assert counted(found, floats(spoiled)) == counted(plain, floats(values))


def test_values_beyond_the_range_of_the_reference_have_cells_of_their_own():
    """The extremes themselves do not."""
    column = numeric_column("x", floats([1.0, 2.0, 3.0]))

    codes = column.codes(floats([0.999, 1.0, 3.0, 3.001, np.inf, -np.inf, None]))

    last = column.size - 2
    assert codes.tolist() == [0, 1, last - 1, last, last, 0, column.size - 1]


def test_a_column_without_any_value_has_cells_all_the_same():
    """They wait for its first value."""
    column = numeric_column("x", floats([None, None]))

    assert counted(column, floats([None, None])) == (0, 0, 0, 2)
    assert counted(column, floats([5.0, -5.0, None])) == (0, 2, 0, 1)
    assert numeric_column("x", floats([])) == column


def test_a_constant_column_has_cells_below_it_and_above():
    """And one for itself."""
    column = numeric_column("x", floats([7.0] * 9))

    assert counted(column, floats([6.9, 7.0, 7.0, 7.1, None])) == (1, 2, 1, 1)


@pytest.mark.parametrize("kind", ["float64", "Int64", "boolean", "int64"])
def test_a_flag_has_a_cell_for_each_of_its_values(kind):
    """However it is typed, and its edges read as numbers do."""
    flag = pd.Series([0, 1, 1, 0, 1, 1], dtype=kind)

    column = numeric_column("x", flag)

    assert counted(column, flag) == (0, 2, 4, 0, 0)
    assert column.labels() == ["below 0", "0 to 0", "0 to 1", "above 1", "(missing)"]


def test_ties_share_a_cell():
    """Nine of ten rows are zero: one cell for all of them."""
    values = floats([0.0] * 900 + list(np.linspace(1, 2, 100)))

    column = numeric_column("x", values)

    assert counted(column, values)[1] == 900
    assert len(set(column.edges)) == len(column.edges)


def test_the_commonest_levels_have_cells_whatever_the_order_of_the_rows():
    """Ties go by the alphabet; the others are rare."""
    values = texts([f"l{i:02}" for i in range(40) for _ in range(1 + (i == 35))])
    shuffled = values.sample(frac=1, random_state=1, ignore_index=True)

    column = categorical_column("c", values)

    assert categorical_column("c", shuffled) == column
    assert column.levels == ("l35", *(f"l{i:02}" for i in range(MAX_LEVELS - 1)))
    assert column.rare == tuple(f"l{i:02}" for i in range(MAX_LEVELS - 1, 40) if i != 35)


def test_rare_unseen_and_missing_levels_are_told_apart():
    """Each has a cell, in this order after the common ones."""
    column = Column("c", levels=("a", "b"), rare=("c", "d"))

    found = counted(column, texts(["b", "d", "c", "e", "f", "g", None, "a"]))

    assert dict(zip(column.labels(), found, strict=True)) == {
        "a": 1,
        "b": 1,
        "(rare)": 2,
        "(unseen)": 3,
        "(missing)": 1,
    }


def test_a_category_without_any_value_has_no_levels():
    """All that comes later is unseen."""
    column = categorical_column("c", texts([None, None]))

    assert counted(column, texts(["a", None])) == (0, 1, 1)


@properties
@given(numbers, st.integers(0, 60))
def test_merged_parts_are_the_whole(values, cut):
    """In either order, and with columns that only one part has."""
    rows, column = floats(values), numeric_column("x", floats(values))
    parts = [rows[:cut], rows[cut:]]
    one, other = (Profile(len(p), {"x": counted(column, p)}) for p in parts)
    extra = Profile(3, {"y": (1, 2)})

    assert one.plus(other) == other.plus(one) == Profile(len(rows), {"x": counted(column, rows)})
    assert one.plus(extra).counts == {"x": one.counts["x"], "y": (1, 2)}
    assert one.plus(extra).n == one.n + 3


def test_profiles_over_other_cells_cannot_be_merged():
    """Rather than be cut short."""
    with pytest.raises(ValueError, match="argument 2 is longer"):
        Profile(1, {"x": (1, 0)}).plus(Profile(1, {"x": (1, 0, 0)}))


def test_a_profile_survives_being_stored():
    """Through JSON as text or bytes, tuples again."""
    profile = Profile(7, {"x": (1, 2, 4), "ä and ö": (10**15, 0)})

    assert Profile.from_json(profile.to_json()) == profile
    assert Profile.from_json(profile.to_json().encode()) == profile


def test_the_groups_of_a_column_are_about_equally_large():
    """In the order of its cells, missing values after all."""
    column = Column("x", edges=tuple(range(25)))
    reference = [0, *[50] * 24, 0, 100]

    found = groups(reference)

    sizes = np.bincount(found, weights=reference)
    assert (np.diff(found) >= 0).all()
    assert len(found) == column.size
    assert sizes == pytest.approx([24 * 50 / GROUPS] * GROUPS + [100])


def test_a_constant_column_is_in_the_middle_group():
    """What is below it or above is not."""
    found = groups((0, 10, 0, 0))

    assert found.tolist() == [0, GROUPS // 2, GROUPS - 1, GROUPS]


def test_a_column_without_rows_still_has_groups():
    """And no warning about its missing rows."""
    assert groups((0, 0, 0, 9)).tolist()[-1] == GROUPS


def test_joint_cells_number_the_pairs_of_groups():
    """A missing value on either side sends the row to the last."""
    every = np.arange(GROUPS + 1)
    first, second = (part.ravel() for part in np.meshgrid(every, every, indexing="ij"))

    found = joint_codes(first, second)

    for a, b, cell in zip(first, second, found, strict=True):
        assert cell == (GROUPS**2 if GROUPS in (a, b) else a * GROUPS + b)


def test_the_cells_that_moved_most_are_named():
    """Shares, the largest change first, no more than asked for."""
    column = Column("c", levels=("a", "b"))

    found = cells_moved(column, (50, 40, 0, 0, 10), (8, 7, 0, 4, 1))
    one = cells_moved(column, (50, 40, 0, 0, 10), (0, 0, 0, 0, 0), most=1)

    assert found == [("(unseen)", 0.0, 0.2), ("a", 0.5, 0.4)]
    assert one == [("a", 0.5, 0.0)]


def test_of_numbers_the_quarters_that_moved_are_named():
    """By hand: 1 to 8 once each; the new rows are all 7."""
    values = floats(range(1, 9))
    column = numeric_column("x", values)
    before = count(column.codes(values), column.size)
    now = count(column.codes(floats([7] * 4)), column.size)

    found = cells_moved(column, before, now, most=1)

    assert found == [("above 6", 0.25, 1.0)]


def test_the_calendar_of_a_batch_is_the_sum_over_its_rows():
    """To the minute; rows without a time are in none."""
    rng = np.random.default_rng(20261211)
    minutes = rng.integers(0, 40_000, 500).astype("m8[m]")
    moments = (np.datetime64("1969-12-20", "m") + minutes).astype("M8[s]")
    batch = rng.integers(0, 3, 500)
    unknown = np.append(moments, np.datetime64("NaT", "s"))

    found = calendar_by(np.append(batch, 1), 3, unknown)

    wanted = [seasons.calendar(moments[batch == i]).sum(axis=0) for i in range(3)]
    assert found == pytest.approx(np.array(wanted), abs=1e-5)


def test_profiles_know_the_mean_time_of_their_rows():
    """Merged as counts are; those stored before there was a calendar have none."""
    one, three = (Profile(n, {}, {"rows": (float(n), 3.0)}) for n in (1, 3))

    assert one.plus(three).when("rows").tolist() == [1, 1.5]
    assert one.plus(three).when("labelled rows") is None
    assert Profile.from_json(one.to_json()) == one
    assert Profile.from_json('{"n": 1, "counts": {}}').when("rows") is None
