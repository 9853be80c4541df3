"""Whether the probabilities of a model need a correction, by rows it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.models import platt

Floats = NDArray[np.float64]
Z_95 = 1.645


@dataclass(frozen=True)
class Correction:
    """A line through the log-odds, and the out-of-fold probabilities corrected by such lines.

    Each of the latter is by the line of the other folds, so that no row has chosen its correction.
    `as_deployed` are all by the line of the deployed model: new rows are compared with these, as
    the few probabilities of a tree would be others with each line.
    """

    slope: float
    intercept: float
    out_of_fold: Floats
    as_deployed: Floats

    def of(self, classifier: Any) -> Any:
        """Return a fitted classifier with its probabilities corrected."""
        from risk.models.calibrated import Calibrated

        return Calibrated(classifier, self.slope, self.intercept)


def needed(
    y_true: NDArray[Any], out_of_fold: Floats, folds: Sequence[NDArray[Any]]
) -> Correction | None:
    """Return the correction of probabilities that are wrong beyond chance, or None.

    They are if correcting them makes the squared error of the rows of each fold smaller, by more
    than 1.645 standard errors. The order of the rows by risk stays as it is.
    """
    y = np.asarray(y_true, dtype="float64")
    corrected = np.empty(len(y))
    for left in folds:
        others = np.setdiff1d(np.arange(len(y)), left)
        corrected[left] = platt.apply(out_of_fold[left], *platt.fit(y[others], out_of_fold[others]))
    saved = (out_of_fold - y) ** 2 - (corrected - y) ** 2
    slope, intercept = platt.fit(y, out_of_fold)
    is_proven = saved.mean() > Z_95 * saved.std(ddof=1) / np.sqrt(len(saved))
    if not is_proven or slope <= 0:
        return None
    as_deployed = platt.apply(out_of_fold, slope, intercept)
    return Correction(slope, intercept, corrected, as_deployed)
