"""A classifier whose probabilities are corrected; it imports scikit-learn, so import it late."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from risk.lazily import pandas as pd
from risk.models import platt

Array = NDArray[Any]


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier, and the line through its log-odds that corrects its probabilities."""

    def __init__(self, classifier: Any, slope: float, intercept: float) -> None:
        self.classifier, self.slope, self.intercept = classifier, slope, intercept

    def fit(self, features: pd.DataFrame, y_true: Array) -> Self:
        """Fit nothing: both the classifier and its correction have been fitted."""
        return self

    @property
    def classes_(self) -> Array:
        """The classes, the positive one last."""
        return np.asarray(self.classifier.classes_)

    def decision_function(self, features: pd.DataFrame) -> Array:
        """Return the log-odds of the last class; those of a linear model are exact."""
        decide = getattr(self.classifier, "decision_function", None)
        if decide is None:
            log_odds = platt.log_odds(self.classifier.predict_proba(features)[:, 1])
        else:
            log_odds = np.asarray(decide(features), dtype="float64")
        return self.slope * log_odds + self.intercept

    def predict_proba(self, features: pd.DataFrame) -> Array:
        """Return the corrected probability of each class, (n_rows, 2)."""
        raw = np.asarray(self.classifier.predict_proba(features)[:, 1], dtype="float64")
        positive = platt.apply(raw, self.slope, self.intercept)
        return np.column_stack([1 - positive, positive])

    def predict(self, features: pd.DataFrame) -> Array:
        """Return the more probable class."""
        is_positive = self.predict_proba(features)[:, 1] >= 0.5
        return np.take(self.classes_, is_positive.astype(int))
