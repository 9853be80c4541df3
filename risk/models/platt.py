"""Platt's correction of probabilities: a straight line through their log-odds."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MIN_PROBABILITY = 1e-6  # 0 and 1 have infinite log-odds; these are 13.8
SMALLEST_STEP = 1e-9


def fit(y_true: Floats, y_pred_proba: Floats) -> tuple[float, float]:
    """Fit slope and intercept of a logistic curve on the log-odds by damped Newton steps."""
    x = np.column_stack([log_odds(y_pred_proba), np.ones(len(y_true))])  # (rows, 2)
    sign = 1 - 2 * y_true  # loss is log(1 + exp(-margin)), the margin being -sign * x @ beta

    def loss(beta: Floats) -> float:
        return float(np.logaddexp(0, sign * (x @ beta)).sum())

    # A whole step of Newton overshoots where p is near 0 or 1 and the curvature next to nothing, so
    # it is halved until the loss does not rise. The ridge keeps the Hessian invertible where all
    # predictions are equal. Rows that the score separates have no best slope: 50 steps end that.
    beta = np.zeros(2)
    for _ in range(50):
        p = scipy.special.expit(x @ beta)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (y_true - p))
        while np.abs(step).max() > SMALLEST_STEP and loss(beta + step) > loss(beta):
            step = step / 2
        beta = beta + step
        if np.abs(step).max() <= SMALLEST_STEP:
            break
    return float(beta[0]), float(beta[1])


def apply(y_pred_proba: Floats, slope: float, intercept: float) -> Floats:
    """Return the probabilities whose log-odds are on that line."""
    calibrated: Floats = scipy.special.expit(slope * log_odds(y_pred_proba) + intercept)
    return calibrated


def log_odds(y_pred_proba: Floats) -> Floats:
    """Return the log-odds of probabilities, finite also for 0 and 1."""
    odds: Floats = scipy.special.logit(np.clip(y_pred_proba, MIN_PROBABILITY, 1 - MIN_PROBABILITY))
    return odds
