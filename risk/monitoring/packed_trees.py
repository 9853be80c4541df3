"""The trees of a calibration, with each property of their nodes in one array: a third as large."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.monitoring.performance_estimation import Calibration, Version

Array = NDArray[Any]
CHILDREN = ("left", "right")
OF_SPLITS = ("feature_idx", "num_threshold", "missing_go_to_left", *CHILDREN)


@dataclass(frozen=True)
class Nodes:
    """What predictions read of the nodes of all trees, one tree after the other.

    A leaf has a value, kept as the two bytes of half precision; other nodes have a split. A
    child is named by how far behind its parent it is. Thresholds are in the order of the features:
    those of one are alike.
    """

    sizes: Array
    is_leaf: Array
    values: Array
    splits: dict[str, Array]

    @classmethod
    def of(cls, trees: list[Array]) -> Nodes:
        """Take apart the nodes of trees."""
        nodes, sizes = np.concatenate(trees), np.array([len(tree) for tree in trees])
        is_leaf = nodes["is_leaf"] == 1
        values = nodes["value"][is_leaf].astype("float16")
        splits = {name: nodes[name][~is_leaf] for name in OF_SPLITS}
        for child in CHILDREN:
            splits[child] = splits[child] - _places(sizes)[~is_leaf]
        splits["num_threshold"] = splits["num_threshold"][_by_feature(splits)]
        whole = splits.keys() - {"num_threshold"}
        splits |= {name: splits[name].astype(_smallest(splits[name])) for name in whole}
        planes = values.view("uint8").reshape(-1, 2).T.copy()
        return cls(sizes, np.packbits(is_leaf), planes, splits)

    def trees(self, dtype: np.dtype[Any]) -> list[Array]:
        """Return the nodes of each tree, as they were before `of`."""
        n_nodes = self.sizes.sum()
        nodes = np.zeros(n_nodes, dtype=dtype)
        is_leaf = np.unpackbits(self.is_leaf, count=n_nodes).astype(bool)
        nodes["is_leaf"] = is_leaf
        nodes["value"][is_leaf] = self.values.T.copy().view(f"float{8 * len(self.values)}").ravel()
        thresholds = np.empty_like(self.splits["num_threshold"])
        thresholds[_by_feature(self.splits)] = self.splits["num_threshold"]
        for name, column in (self.splits | {"num_threshold": thresholds}).items():
            nodes[name][~is_leaf] = column
        for child in CHILDREN:
            nodes[child][~is_leaf] += _places(self.sizes)[~is_leaf]
        return np.split(nodes, np.cumsum(self.sizes)[:-1])


@dataclass(frozen=True)
class Packed:
    """A calibration whose boosters have no trees; how many each had, and their nodes."""

    calibration: Calibration
    n_trees: tuple[int, ...]
    nodes: Nodes

    def unpacked(self) -> Calibration:
        """Give the boosters their trees."""
        from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
        from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

        none = np.empty((0, 8), dtype="uint32")  # sets of categories
        nodes = iter(self.nodes.trees(PREDICTOR_RECORD_DTYPE))
        for version, n in zip(self.calibration.versions, self.n_trees, strict=True):
            trees = [TreePredictor(own, none, none) for own in islice(nodes, n)]
            version.booster._predictors = [[tree] for tree in trees]
        return self.calibration


def packed(calibration: Calibration | None) -> Packed | Calibration | None:
    """Return a calibration packed, or as it is if it has no trees or more than is packed."""
    if calibration is None or calibration.versions[0].booster is None:
        return calibration
    boosters = [version.booster for version in calibration.versions]
    try:
        trees = [tree.nodes for booster in boosters for (tree,) in booster._predictors]
        nodes = Nodes.of(trees)
        again = nodes.trees(trees[0].dtype)
    except (AttributeError, ValueError):  # another scikit-learn has trees of another kind
        return calibration
    if any(one.tobytes() != other.tobytes() for one, other in zip(trees, again, strict=True)):
        return calibration
    bare = tuple(Version(curve, _without_trees(own)) for curve, own in calibration.versions)
    n_trees = tuple(len(booster._predictors) for booster in boosters)
    return Packed(replace(calibration, versions=bare), n_trees, nodes)


def _without_trees(booster: Any) -> Any:
    bare = copy(booster)
    bare._predictors = []
    return bare


def _places(sizes: Array) -> Array:
    """Return the place of each node within its tree."""
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    places: Array = (np.arange(len(starts)) - starts).astype("uint32")
    return places


def _by_feature(splits: dict[str, Array]) -> Array:
    return np.argsort(splits["feature_idx"], kind="stable")


def _smallest(numbers: Array) -> np.dtype[Any]:
    """Return the smallest type that holds these whole numbers."""
    smallest: np.dtype[Any] = np.min_scalar_type(int(numbers.max(initial=0)))
    return smallest
