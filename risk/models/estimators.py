"""Classifiers by name: those of scikit-learn, and those of allowed packages by dotted name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from typing import Any

from risk.config import ESTIMATORS, Columns, Training
from risk.errors import ConfigError

WITHOUT_OUTPUT = {"lightgbm": {"verbose": -1}, "xgboost": {"verbosity": 0}}
ALSO_ACCEPTED = {  # parameters that LightGBM takes without listing them
    "lightgbm": frozenset(
        "cat_l2 cat_smooth deterministic device_type drop_rate extra_trees feature_fraction_bynode "
        "interaction_constraints is_unbalance linear_tree max_bin max_delta_step "
        "monotone_constraints path_smooth scale_pos_weight".split()
    )
}
EXTRAS = ("lightgbm", "xgboost")  # optional dependencies in pyproject.toml
ASKED = ("", "sklearn", "lightgbm", "xgboost")  # packages whose classifiers have tags
NEEDED = ("fit", "predict_proba", "get_params", "set_params")


def make(
    columns: Columns, training: Training, *, random_seed: int, defaults: Mapping[str, Any]
) -> Any:
    """Return the unfitted classifier of the settings, which may replace the `defaults`."""
    name = training.estimator
    try:
        estimator = _class_of(name)(**_defaults(name), **defaults)
    except TypeError as error:
        raise ConfigError(f"training.estimator: {name} needs arguments: {error}") from None
    accepted = {*estimator.get_params()} | ALSO_ACCEPTED.get(_package(name), set())
    if unknown := sorted(set(training.parameters) - set(accepted)):
        raise ConfigError(
            f"training.parameters: {name} has no {unknown}; it accepts {sorted(accepted)}"
        )
    seed = {"random_state": random_seed} if "random_state" in accepted else {}
    parameters = {**seed, **training.parameters}
    if isinstance(weights := parameters.get("class_weight"), dict):
        parameters["class_weight"] = _by_class(weights, columns)
    return estimator.set_params(**parameters)


def short_name(name: str) -> str:
    """Return the name in the list of the settings of a classifier given by its dotted name."""
    last = name.rpartition(".")[2]
    return last if _package(name) == "sklearn" and last in ESTIMATORS else name


def takes_sparse(estimator: Any, name: str) -> bool:
    """Say whether a classifier takes a sparse matrix; a user's own is always given a dense one."""
    from sklearn.utils import get_tags

    if _package(name) not in ASKED:
        return False
    try:
        return bool(get_tags(estimator).input_tags.sparse)
    except AttributeError:  # it has no tags
        return True


def errors_of_fitting(name: str) -> tuple[type[Exception], ...]:
    """Return the errors a classifier raises while fitting that are not those of Python."""
    if _package(name) != "lightgbm":
        return ()
    error: type[Exception] = sys.modules["lightgbm.basic"].LightGBMError
    return (error,)


def distribution(name: str) -> str | None:
    """Return the installed distribution a classifier is from, None if it is the user's own."""
    package = _package(name)
    found = packages_distributions().get(package, []) if package else []
    return found[0] if found else None


def _class_of(name: str) -> Any:
    """Return the class of a name; only the settings say from which packages one is imported."""
    module, _, class_name = name.rpartition(".")
    if not module:
        from sklearn import ensemble, linear_model, naive_bayes, tree

        modules = (linear_model, tree, ensemble, naive_bayes)
        return next(getattr(module, name) for module in modules if hasattr(module, name))
    try:
        found = getattr(import_module(module), class_name, None)
    except (ImportError, OSError) as error:  # OSError: a library of the system is missing
        hint = f"; run: pip install {package}" if _is_absent(package := _package(name)) else ""
        raise ConfigError(
            f"training.estimator: {module} cannot be imported: {error}{hint}"
        ) from None
    if missing := [method for method in NEEDED if not hasattr(found, method)]:
        lacks = f"has no {', '.join(missing)}" if found else "does not exist"
        raise ConfigError(f"training.estimator: {name} is not a classifier: it {lacks}")
    return found


def _defaults(name: str) -> dict[str, Any]:
    return (
        {"max_iter": 1000}
        if name == "LogisticRegression"
        else WITHOUT_OUTPUT.get(_package(name), {})
    )


def _package(name: str) -> str:
    """Return the package of a dotted name, empty for a classifier of scikit-learn."""
    return name.partition(".")[0] if "." in name else ""


def _is_absent(package: str) -> bool:
    """Say whether a package is not installed that its own name installs."""
    return package in EXTRAS and find_spec(package) is None


def _by_class(weights: Mapping[str, Any], columns: Columns) -> dict[int, Any]:
    """Return weights by label under the classes the estimator knows: 1 is positive, 0 negative."""
    known = {str(columns.negative_label): 0, str(columns.positive_label): 1}
    if not known.keys() & weights.keys():
        known = {"0": 0, "1": 1}
    if unknown := sorted(weights.keys() - known.keys()):
        labels = f"{str(columns.negative_label)!r} and {str(columns.positive_label)!r}"
        raise ConfigError(f"training.parameters: class_weight names {unknown}; labels are {labels}")
    return {known[label]: weight for label, weight in weights.items()}
