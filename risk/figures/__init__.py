"""What is drawn: frames in, a figure out; nothing is saved here.

matplotlib is loaded by the first figure, so that whoever draws nothing does not wait for it.
"""

from risk.figures.canvas import (
    DARK,
    LIGHT,
    NARROW,
    PAGE,
    SVG,
    THEMES,
    WIDE,
    Theme,
    as_png,
    as_svg,
)
from risk.figures.curves import (
    calibration_curve,
    precision_recall_curve,
    roc_curve,
    threshold_costs,
)
from risk.figures.distributions import categorical_feature, numeric_feature, score_distribution
from risk.figures.intervals import paired_comparison, segments
from risk.figures.matrix import confusion_matrix
from risk.figures.rankings import data_quality, drift_ranking, stage_timings
from risk.figures.trend import score_trend
from risk.figures.waterfall import contributions, risk_attribution

__all__ = [
    "DARK",
    "LIGHT",
    "NARROW",
    "PAGE",
    "SVG",
    "THEMES",
    "WIDE",
    "Theme",
    "as_png",
    "as_svg",
    "calibration_curve",
    "categorical_feature",
    "confusion_matrix",
    "contributions",
    "data_quality",
    "drift_ranking",
    "numeric_feature",
    "paired_comparison",
    "precision_recall_curve",
    "risk_attribution",
    "roc_curve",
    "score_distribution",
    "score_trend",
    "segments",
    "stage_timings",
    "threshold_costs",
]
