import pickle
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from risk.config import Columns
from risk.monitoring import compressed_pickle, packed_trees, performance_estimation
from risk.monitoring.packed_trees import Packed

COLUMNS = Columns(
    identifier="id",
    target="left",
    positive_label=1,
    negative_label=0,
    numeric=("age", "spent"),
    categorical=("town",),
)


def customers(n):
    """Give labelled customers, some without an age, and what a model of the age predicts."""
    rng = np.random.default_rng(n)
    age, spent = rng.normal(size=n), rng.exponential(size=n).round(2)
    town = rng.choice(["Ulm", "Hof", "Bonn"], n)
    chance = 1 / (1 + np.exp(-age - 2 * (spent > 1) * (town == "Ulm")))
    left = pd.array((rng.random(n) < chance).astype(int), dtype="Int8")
    rows = pd.DataFrame({"age": age, "spent": spent, "town": town, "left": left})
    rows.loc[rng.random(n) < 0.1, "age"] = np.nan
    return rows, 1 / (1 + np.exp(-age))


def fit(n):
    return performance_estimation.fit(*customers(n), COLUMNS, random_seed=0)


@pytest.fixture(scope="module")
def calibration():
    return fit(4000)


def nodes(calibration):
    """Give the bytes of all trees of each version."""
    boosters = [version.booster for version in calibration.versions]
    return [[tree.nodes.tobytes() for (tree,) in booster._predictors] for booster in boosters]


def test_a_calibration_is_unpacked_to_the_last_bit(calibration):
    """The trees, and so each estimate; the calibration that was packed keeps its own."""
    rows, y_pred_proba = customers(700)
    before = nodes(calibration)

    content = pickle.dumps(packed_trees.packed(calibration))
    found = pickle.loads(content).unpacked()

    assert nodes(found) == nodes(calibration) == before
    for estimate in ("expected", "replicates"):
        expected = getattr(calibration, estimate)(rows, y_pred_proba)
        assert np.array_equal(getattr(found, estimate)(rows, y_pred_proba), expected)
    assert found.levels == calibration.levels and found.margin == calibration.margin


def test_a_release_that_kept_leaves_in_single_precision_is_unpacked(calibration):
    """As those made before there were leaves in half precision."""
    found = packed_trees.packed(calibration)
    single = found.nodes.values.T.copy().view("float16").astype("float32")
    planes = single.view("uint8").reshape(-1, 4).T.copy()
    earlier = replace(found, nodes=replace(found.nodes, values=planes))

    assert nodes(earlier.unpacked()) == nodes(calibration)


def test_it_is_a_quarter_smaller(calibration):
    """Compressed as in a release."""
    size = len(compressed_pickle.dumps(calibration))

    assert len(compressed_pickle.dumps(packed_trees.packed(calibration))) < 0.75 * size


def test_there_may_be_no_trees():
    """Of few rows only the score is corrected, and of fewer nothing."""
    few = fit(300)

    assert packed_trees.packed(few) is few
    assert packed_trees.packed(None) is None


@pytest.mark.parametrize(
    ("name", "value"), [("value", 0.1), ("count", 7), ("is_categorical", 1), ("num_threshold", 1.0)]
)
def test_trees_that_have_more_are_kept_as_they_are(calibration, name, value):
    """Another version of scikit-learn may need it."""
    other = deepcopy(calibration)
    (tree,) = other.versions[3].booster._predictors[-1]
    tree.nodes[name] = value

    assert not isinstance(packed_trees.packed(other), Packed)
    assert isinstance(packed_trees.packed(calibration), Packed)


def test_boosters_without_such_trees_are_kept_as_they_are(calibration):
    other = deepcopy(calibration)
    del other.versions[0].booster._predictors

    assert packed_trees.packed(other) is other
