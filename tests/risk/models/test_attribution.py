from itertools import combinations, permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns, Training
from risk.models import attribution, model, pipelines
from risk.models.attribution import (
    MAX_COMPARED,
    MAX_ROWS,
    Predicted,
    attribute,
    attribute_each,
    attribute_row,
    means_with_one_value,
)

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("a", "b"),
    categorical=("c",),
)


def normal(n, p, *, seed, shift=0.0):
    values = np.random.default_rng(seed).normal(shift, size=(n, p))
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(p)])


def attributed(function, before, after, *, seed=0):
    return attribute(function, before, after, list(before.columns), rng=np.random.default_rng(seed))


def of_tables(predict, before, after, *, seed=0, thorough=True):
    """Attribute several means at once."""
    tables = (Predicted(table, predict(table)) for table in (before, after))
    return attribute_each(predict, *tables, rng=np.random.default_rng(seed), thorough=thorough)


def curved(rows):
    """Give a risk with interactions of all columns."""
    x = rows.to_numpy()
    return 1 / (1 + np.exp(-x.sum(axis=1) - x[:, 0] * x[:, 1:].sum(axis=1)))


@pytest.mark.parametrize(("n_before", "n_after"), [(500, 500), (300, 17), (1, 9), (7, 1), (1, 1)])
def test_a_linear_function_owes_each_feature_its_coefficient_times_the_change(n_before, n_after):
    """Whatever is paired with what: both tables count whole, even if they differ in length."""
    coefficients = np.array([2.0, -1.0, 0.5, 0.0, 3.0, 0.1])
    before, after = normal(n_before, 6, seed=1), normal(n_after, 6, seed=2, shift=0.7)

    parts = attributed(lambda rows: rows.to_numpy() @ coefficients, before, after).parts

    expected = coefficients * (after.mean() - before.mean())
    assert parts == pytest.approx(expected.to_dict(), abs=1e-9)


def test_parts_are_shapley_values_by_brute_force():
    """All six orders of three features are walked by hand, pair by pair."""
    before, after = normal(40, 3, seed=1), normal(40, 3, seed=2, shift=0.5)

    parts = attributed(curved, before, after).parts

    start = before.iloc[np.argsort(curved(before))].to_numpy()
    end = after.iloc[np.argsort(curved(after))].to_numpy()
    by_hand = np.zeros(3)
    for order in permutations(range(3)):
        rows = start.copy()
        for j in order:
            risk = curved(pd.DataFrame(rows)).mean()
            rows[:, j] = end[:, j]
            by_hand[j] += (curved(pd.DataFrame(rows)).mean() - risk) / 6
    assert [parts[name] for name in before] == pytest.approx(by_hand, abs=1e-12)


def test_sampled_orders_come_close_to_all_of_them():
    """Six features have 720 orders; eight for each pair must do."""
    before, after = normal(200, 6, seed=1), normal(200, 6, seed=2, shift=0.5)

    parts = attributed(curved, before, after).parts

    start = before.iloc[np.argsort(curved(before))].to_numpy()
    end = after.iloc[np.argsort(curved(after))].to_numpy()
    switched = {
        mask: curved(pd.DataFrame(np.where([mask >> j & 1 for j in range(6)], end, start))).mean()
        for mask in range(64)
    }
    exact = np.zeros(6)
    for order in permutations(range(6)):
        mask = 0
        for j in order:
            exact[j] += (switched[mask | 1 << j] - switched[mask]) / 720
            mask |= 1 << j
    assert [parts[name] for name in before] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(("p", "tolerance"), [(2, 1e-12), (3, 1e-12), (4, 1e-12), (6, 0.1)])
def test_an_interaction_is_shared_equally(p, tolerance):
    """Only all switches together do anything; up to four features each is last equally often."""
    before, after = (pd.DataFrame(np.full((50, p), x)).add_prefix("x") for x in (0.0, 1.0))

    parts = attributed(lambda rows: rows.prod(axis=1).to_numpy(), before, after).parts

    assert list(parts.values()) == pytest.approx([1 / p] * p, abs=tolerance)


def test_the_same_rows_in_another_order_leave_nothing_to_explain():
    """The rank of the risk finds each row again."""
    before = normal(300, 4, seed=1)

    parts = attributed(curved, before, before.sample(frac=1, random_state=1)).parts

    assert list(parts.values()) == [0.0] * 4


@pytest.mark.parametrize("n", [400, 20_000])
def test_features_that_did_not_change_get_about_nothing(n):
    """One feature moved in fresh rows; the noise of the others is that of a sample."""
    before, after = normal(n, 4, seed=1), normal(n, 4, seed=2)
    after["x2"] += 2

    def risk(rows):
        return 1 / (1 + np.exp(1 - rows.to_numpy() @ [0.5, -0.5, 1.0, 0.0]))

    result = attributed(risk, before, after)

    (cause, part), *others = result.parts.items()
    change = result.after - result.before
    assert (cause, part) == ("x2", pytest.approx(change, abs=0.03))
    assert max(abs(part) for _, part in others) < 0.03 < change / 8


SIZES = st.sampled_from([1, 2, 3, 10, MAX_ROWS, MAX_ROWS + 1, 1234])


@given(SIZES, SIZES, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_parts_add_up_to_the_change_between_the_whole_tables(n_before, n_after, p, seed):
    """Also when rows were sampled, and however heavy the tail of the function."""
    before, after = normal(n_before, p, seed=seed), normal(n_after, p, seed=seed + 1, shift=0.4)

    def loss(rows):
        return np.exp(2 * rows.to_numpy()).mean(axis=1)

    result = attributed(loss, before, after, seed=seed)

    assert result.before == pytest.approx(loss(before).mean())
    assert result.after == pytest.approx(loss(after).mean())
    tolerance = 1e-12 * max(1, result.before, result.after)
    assert sum(result.parts.values()) == pytest.approx(result.after - result.before, abs=tolerance)
    sizes = np.abs(list(result.parts.values()))
    assert (np.diff(sizes) <= 0).all()


def test_a_sample_of_a_large_table_has_its_mean():
    """Rows evenly spread over the risk: little is left to share out, and the walk stays short."""
    before = normal(50_000, 1, seed=1).assign(x1=0.0)
    after = normal(400, 1, seed=2, shift=1.0).assign(x1=0.0)
    seen = []

    def risk(rows):
        seen.append(len(rows))
        return 1 / (1 + np.exp(-rows["x0"].to_numpy()))

    parts = attributed(risk, before, after).parts

    assert abs(parts["x1"]) < 1e-4
    assert seen == [50_000, 400, 4 * (MAX_ROWS + 400 - 100)]


def test_equal_seeds_give_equal_parts_and_the_rows_are_left_alone():
    """Another seed walks other orders."""
    before, after = normal(60, 6, seed=1), normal(30, 6, seed=2, shift=0.5)
    copies = before.copy(), after.copy()

    first, again, other = (attributed(curved, before, after, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.parts != other.parts
    pd.testing.assert_frame_equal(before, copies[0])
    pd.testing.assert_frame_equal(after, copies[1])


def test_two_means_in_one_pass_are_attributed_as_each_alone():
    """The second has the pairs of the first; here both rank the rows alike."""
    before, after = normal(60, 5, seed=1), normal(45, 5, seed=2, shift=0.5)

    together = of_tables(
        lambda rows: np.column_stack([curved(rows), curved(rows) ** 2]), before, after
    )

    alone = [attributed(f, before, after) for f in (curved, lambda rows: curved(rows) ** 2)]
    assert together == alone


@pytest.mark.parametrize("p", [3, 8])
def test_a_quick_attribution_predicts_little_and_says_how_far_off_it_may_be(p):
    """Up to three features it is the thorough one; of more it has fewer rows and orders."""
    predicted, off = [0, 0], []
    for seed in range(20):
        before, after = normal(2000, p, seed=seed), normal(1500, p, seed=100 + seed, shift=0.3)
        found = []
        for i, thorough in enumerate((True, False)):

            def risk(rows, i=i):
                predicted[i] += len(rows)
                return curved(rows)[:, None]

            found += of_tables(risk, before, after, seed=seed, thorough=thorough)
        full, quick = found
        assert sum(quick.parts.values()) == pytest.approx(sum(full.parts.values()))
        off += [(full.parts[x] - quick.parts[x]) / quick.errors[x] for x in before]

    if p == 3:
        assert off == [0.0] * 60
    else:
        assert predicted[1] - 20 * 3500 < (predicted[0] - 20 * 3500) / 9
        assert np.abs(off).max() < 4
        assert 0.7 < np.std(off) < 1.4


def test_the_errors_tell_how_far_the_parts_of_all_rows_are():
    """Of a linear function these are known: coefficients times the change of the means."""
    coefficients, off = np.array([2.0, -1.0, 0.5, 0.0]), []
    for seed in range(20):
        before, after = normal(4000, 4, seed=seed), normal(3000, 4, seed=99 + seed, shift=0.5)
        (found,) = of_tables(
            lambda rows: rows.to_numpy() @ coefficients[:, None], before, after, thorough=False
        )
        exact = coefficients * (after.mean() - before.mean())
        off += [(found.parts[x] - exact[x]) / found.errors[x] for x in ("x0", "x1", "x2")]

    assert 0.7 < np.std(off) < 1.3


def test_one_row_has_no_error_to_tell():
    """There is nothing it could scatter around."""
    assert attributed(curved, normal(9, 2, seed=1), normal(1, 2, seed=2)).errors == {
        "x0": None,
        "x1": None,
    }


def test_very_many_features_are_attributed_with_fewer_rows(monkeypatch):
    """Else the predictions would grow as the square of the features."""
    p, cells = 60, []
    monkeypatch.setattr(attribution, "MAX_CELLS", 2_000_000)
    before, after = (normal(400, p, seed=seed, shift=seed) for seed in (0, 1))

    def risk(rows):
        cells.append(rows.size)
        return rows["x0"].to_numpy()

    found = attributed(risk, before, after)

    assert sum(cells[2:]) < 2_000_000
    assert next(iter(found.parts)) == "x0"
    assert found.parts["x0"] == pytest.approx(found.after - found.before, abs=0.1)


@pytest.fixture
def risk():
    """Give the risk of a model that knows two numbers and the categories u and v."""
    rng = np.random.default_rng(0)
    rows = mixed(rng.normal(size=400), rng.normal(size=400), rng.choice(["u", "v", None], 400))
    y = (rows["a"] + (rows["c"] == "u") + rng.normal(size=400) > 0.5) * 1
    features = model.as_features(rows, COLUMNS.numeric, COLUMNS.categorical)
    pipeline = pipelines.build(COLUMNS, Training(), random_seed=0).fit(features, y)
    return lambda rows: model.positive_probability(
        pipeline, model.as_features(rows, COLUMNS.numeric, COLUMNS.categorical)
    )


def mixed(a, b, c):
    return pd.DataFrame({"a": a, "b": b, "c": pd.array(c, dtype="str")})


def test_text_gaps_and_unseen_categories_are_values_like_others(risk):
    """Beside columns that are no features; the index of the rows means nothing."""
    before = mixed([0.0, 1.0, np.nan, 0.5], [1.0, 2.0, 3.0, np.nan], ["u", "v", None, "u"])
    after = mixed([0.0, 1.0, np.nan], [1.0, np.nan, 2.0], ["new", None, "new"])

    result = attribute(
        risk,
        before.assign(id="k").set_index(pd.Index([5, 5, 5, 5])),
        after.assign(other=3),
        COLUMNS.features,
        rng=np.random.default_rng(0),
    )

    assert set(result.parts) == {"a", "b", "c"}
    assert next(iter(result.parts)) == "c"
    assert sum(result.parts.values()) == pytest.approx(
        risk(after).mean() - risk(before).mean(), abs=1e-12
    )


def test_a_column_that_went_missing_is_the_cause(risk):
    """The commonest accident of all, of one row as of many."""
    before = mixed([3.0], [0.0], ["v"])

    result = attributed(risk, before, before.assign(a=np.nan))

    assert result.parts["a"] == pytest.approx(result.after - result.before)
    assert (result.parts["b"], result.parts["c"]) == (0.0, 0.0)


def of_row(function, row, reference, *, seed=0):
    return attribute_row(function, row, reference, rng=np.random.default_rng(seed))


def shapley(function, row, reference):
    """Weigh every set of features as in Shapley's definition, over every reference row."""
    p = row.shape[1]

    def value(chosen):
        mixed = reference.to_numpy().copy()
        mixed[:, list(chosen)] = row.to_numpy()[0, list(chosen)]
        return function(pd.DataFrame(mixed, columns=row.columns)).mean()

    parts = np.zeros(p)
    for j in range(p):
        others = [i for i in range(p) if i != j]
        for size in range(p):
            weight = factorial(size) * factorial(p - size - 1) / factorial(p)
            for chosen in combinations(others, size):
                parts[j] += weight * (value((*chosen, j)) - value(chosen))
    return parts


def test_the_parts_of_a_row_are_its_interventional_shapley_values():
    """By the definition, all sets of three features over all reference rows."""
    row, reference = normal(1, 3, seed=4, shift=1.0), normal(60, 3, seed=1)

    found = of_row(curved, row, reference)

    assert found.parts == pytest.approx(shapley(curved, row, reference), abs=1e-12)
    assert found.baseline == pytest.approx(curved(reference).mean())
    assert found.n == 60


def test_sampled_orders_of_a_row_are_as_near_as_their_errors_say():
    """Of 5 features by definition; at most 1 in 20 is farther away than two errors."""
    reference, far = normal(150, 5, seed=1), 0
    for seed in range(20):
        row = normal(1, 5, seed=100 + seed, shift=0.5)
        found = of_row(curved, row, reference, seed=seed)
        distance = np.abs(found.parts - shapley(curved, row, reference))
        far += int((distance > 2 * found.standard_errors).sum())

    assert far <= 5


def test_the_errors_of_a_row_cover_another_reference():
    """Of samples from one population, the parts scatter as the standard errors tell, or less."""
    row = normal(1, 3, seed=4, shift=1.0)

    found = [of_row(curved, row, normal(100, 3, seed=seed)) for seed in range(200)]

    scatter = np.std([each.parts for each in found], axis=0)
    told = np.mean([each.standard_errors for each in found], axis=0)
    assert (scatter < 1.2 * told).all()
    assert (scatter > 0.5 * told).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(2, 300), st.integers(0, 9))
def test_the_parts_of_a_row_add_up(p, n, seed):
    """To its prediction less the baseline, of however many rows and features."""
    row, reference = normal(1, p, seed=seed, shift=2.0), normal(n, p, seed=seed + 1)

    found = of_row(curved, row, reference, seed=seed)

    assert found.baseline + found.parts.sum() == pytest.approx(curved(row)[0], abs=1e-9)
    assert found.n == min(n, MAX_COMPARED)
    assert found.baseline == pytest.approx(curved(reference).mean(), abs=0.02)


def test_a_row_keeps_its_categories():
    """A value the reference never had, and a missing one, are switched like others."""
    reference = pd.DataFrame({"a": [1.0, 2.0], "c": pd.array(["x", "y"], dtype="str")})
    row = pd.DataFrame({"c": pd.array([None], dtype="str"), "a": [np.nan]})

    def risk(rows):
        assert rows["c"].dropna().isin(["x", "y"]).all()
        return rows["c"].isna().to_numpy() * 0.5 + rows["a"].isna().to_numpy() * 0.25

    assert of_row(risk, row, reference).parts.tolist() == [0.25, 0.5]


@pytest.mark.parametrize("cells", [1, 700, 1_000_000])
def test_each_value_of_a_row_alone_is_put_into_all_reference_rows(monkeypatch, cells):
    """As with one frame for each feature, but in few calls; text keeps its type."""
    monkeypatch.setattr(attribution, "CELLS_AT_ONCE", cells)
    reference = normal(30, 3, seed=1).assign(c=pd.array(["u", "v", "w"] * 10, dtype="str"))
    row = normal(1, 3, seed=2).assign(c=pd.array(["v"], dtype="str"))
    calls = []

    def predict(rows):
        calls.append(len(rows))
        return (rows["x0"] * rows["x1"] - rows["x2"] + rows["c"].eq("v")).to_numpy()

    found = means_with_one_value(predict, row, reference)

    n_calls = len(calls)
    alone = [predict(reference.assign(**{name: row[name].iloc[0]})).mean() for name in reference]
    np.testing.assert_allclose(found, alone)
    assert n_calls == {1: 4, 700: 1, 1_000_000: 1}[cells]
