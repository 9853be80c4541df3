"""What boosters of scikit-learn need of the features they are fitted to."""

from __future__ import annotations

import numpy as np

from risk.numerals import Floats


def with_values(features: Floats) -> Floats:
    """Fill columns that are missing throughout, which scikit-learn cannot bin.

    No tree splits a column that is always the same, so later values of it do not matter.
    """
    is_empty = np.isnan(features).all(axis=0)
    return np.where(is_empty, 0.0, features) if is_empty.any() else features
