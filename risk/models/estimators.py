"""The estimators to choose from, and the preparation of their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Columns, Training
from risk.errors import ConfigError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Levels of a category that a model tells apart; the rarest of more are pooled (ADR 35). The others
# take a sparse matrix, in which a row costs the same whatever the number of levels.
NATIVE_CATEGORIES, MAX_CODES = ("HistGradientBoostingClassifier",), 255
DENSE, MAX_DENSE, MAX_SPARSE = ("GaussianNB",), 31, 1000


def build(columns: Columns, training: Training, *, random_seed: int) -> Pipeline:
    """Return an unfitted pipeline of imputer, scaler, encoder of categories and estimator."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numeric = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categorical = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None),
        _encoder(training),
    )
    preparation = ColumnTransformer(
        [
            ("numeric", numeric, list(columns.numeric)),
            ("categorical", categorical, list(columns.categorical)),
        ]
    )
    return make_pipeline(preparation, _estimator(columns, training, random_seed))


def pooled_levels(pipeline: Any) -> dict[str, int]:
    """Return how many rare levels of each category the model does not tell apart."""
    from sklearn.pipeline import Pipeline

    if not isinstance(pipeline, Pipeline):  # a champion whose calibration or threshold was fitted
        return {}
    _, fitted, names = pipeline[0].transformers_[-1]
    rare = fitted[-1].infrequent_categories_ if names else []
    return {n: len(some) for n, some in zip(names, rare, strict=True) if some is not None}


def _encoder(training: Training) -> Any:
    """Return an encoder whose output the estimator can take, however many levels there are."""
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if training.estimator in NATIVE_CATEGORIES:
        most = min(MAX_CODES, training.parameters.get("max_bins", MAX_CODES))
        return OrdinalEncoder(
            max_categories=most, handle_unknown="use_encoded_value", unknown_value=np.nan
        )
    is_dense = training.estimator in DENSE
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_DENSE if is_dense else MAX_SPARSE,
        sparse_output=not is_dense,
    )


def _estimator(columns: Columns, training: Training, random_seed: int) -> Any:
    from sklearn import ensemble, linear_model, naive_bayes, tree

    modules = (linear_model, tree, ensemble, naive_bayes)
    chosen = next(getattr(m, training.estimator) for m in modules if hasattr(m, training.estimator))
    defaults: dict[str, Any] = {}
    if training.estimator == "LogisticRegression":
        defaults = {"max_iter": 1000}
    elif training.estimator in NATIVE_CATEGORIES:
        places = range(len(columns.numeric), len(columns.features))
        defaults = {"categorical_features": list(places)}
    estimator = chosen(**defaults)
    accepted = estimator.get_params()
    if unknown := sorted(set(training.parameters) - set(accepted)):
        raise ConfigError(
            f"training.parameters: {training.estimator} has no {unknown}; "
            f"it accepts {sorted(accepted)}"
        )
    seed = {"random_state": random_seed} if "random_state" in accepted else {}
    parameters = {**seed, **training.parameters}
    if isinstance(weights := parameters.get("class_weight"), dict):
        parameters["class_weight"] = _by_class(weights, columns)
    return estimator.set_params(**parameters)


def _by_class(weights: Mapping[str, Any], columns: Columns) -> dict[int, Any]:
    """Return weights by label under the classes the estimator knows: 1 is positive, 0 negative."""
    known = {str(columns.negative_label): 0, str(columns.positive_label): 1}
    if not known.keys() & weights.keys():
        known = {"0": 0, "1": 1}
    if unknown := sorted(weights.keys() - known.keys()):
        labels = f"{str(columns.negative_label)!r} and {str(columns.positive_label)!r}"
        raise ConfigError(f"training.parameters: class_weight names {unknown}; labels are {labels}")
    return {known[label]: weight for label, weight in weights.items()}
