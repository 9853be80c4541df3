"""The pipeline of a model: the preparation of its features, and its estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from risk.config import Columns, Training
from risk.lazily import import_sparing
from risk.models import estimators

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Levels of a category that a model tells apart; the rarest of more are pooled (ADR 35). In a sparse
# matrix a row costs the same whatever the number of levels; not every estimator takes one.
NATIVE_CATEGORIES, MAX_CODES = ("HistGradientBoostingClassifier",), 255
MAX_DENSE, MAX_SPARSE = 31, 1000


def build(columns: Columns, training: Training, *, random_seed: int) -> Pipeline:
    """Return an unfitted pipeline of imputer, scaler, encoder of categories and estimator."""
    import_sparing("sklearn")
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from risk.models.preparation import Preparation

    defaults: dict[str, Any] = {}
    if _has_native_categories(training):
        places = range(len(columns.numeric), len(columns.features))
        defaults = {"categorical_features": list(places)}
    estimator = estimators.make(columns, training, random_seed=random_seed, defaults=defaults)
    # a feature without a value is kept, or those after it would take its place
    of_numbers = SimpleImputer(strategy="median", keep_empty_features=True)
    of_texts = SimpleImputer(
        strategy="constant",
        fill_value="(missing)",
        missing_values=None,
        keep_empty_features=True,
    )
    numeric = make_pipeline(of_numbers, StandardScaler())
    categorical = make_pipeline(of_texts, _encoder(training, estimator))
    preparation = Preparation(
        [
            ("numeric", numeric, list(columns.numeric)),
            ("categorical", categorical, list(columns.categorical)),
        ]
    )
    return make_pipeline(preparation, estimator)


def pooled_levels(pipeline: Any) -> dict[str, int]:
    """Return how many rare levels of each category the model does not tell apart."""
    from sklearn.pipeline import Pipeline

    pipeline = getattr(pipeline, "classifier", pipeline)  # of one that is calibrated
    if not isinstance(pipeline, Pipeline):  # a champion whose calibration or threshold was fitted
        return {}
    _, fitted, names = pipeline[0].transformers_[-1]
    rare = fitted[-1].infrequent_categories_ if names else []
    return {n: len(some) for n, some in zip(names, rare, strict=True) if some is not None}


def _has_native_categories(training: Training) -> bool:
    return estimators.short_name(training.estimator) in NATIVE_CATEGORIES


def _encoder(training: Training, estimator: Any) -> Any:
    """Return an encoder whose output the estimator can take, however many levels there are."""
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if _has_native_categories(training):
        most = min(MAX_CODES, training.parameters.get("max_bins", MAX_CODES))
        return OrdinalEncoder(
            max_categories=most, handle_unknown="use_encoded_value", unknown_value=np.nan
        )
    is_sparse = estimators.takes_sparse(estimator, training.estimator)
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_SPARSE if is_sparse else MAX_DENSE,
        sparse_output=is_sparse,
    )
