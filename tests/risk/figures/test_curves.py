import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from risk.figures import curves

Y_TRUE = np.array([0, 0, 1, 1, 0, 1, 0, 1])
RISK = np.array([0.1, 0.2, 0.35, 0.4, 0.45, 0.6, 0.7, 0.9])
BINS = pd.DataFrame(
    {
        "predicted": [0.7, 0.1, 0.3],
        "observed": [0.6, 0.2, 0.25],
        "lower": [0.4, 0.05, np.nan],
        "upper": [0.8, 0.3, np.nan],
        "n": [100, 120, 110],
    }
)
COSTS = pd.DataFrame({"threshold": [0.9, 0.1, 0.5], "cost": [2.0, 1.5, 0.5]})


def roc(**others):
    fpr, tpr, _ = metrics.roc_curve(Y_TRUE, RISK)
    told = {"chosen": (0.25, 0.5), "area": metrics.roc_auc_score(Y_TRUE, RISK), "n": 8}
    return curves.roc_curve(pd.DataFrame({"fpr": fpr, "tpr": tpr}), **told | others)


def precision_recall(**others):
    precision, recall, _ = metrics.precision_recall_curve(Y_TRUE, RISK)
    told = {"chosen": (0.75, 0.6), "base_rate": 0.5, "area": 0.71, "n": 8}
    points = pd.DataFrame({"recall": recall, "precision": precision})
    return curves.precision_recall_curve(points, **told | others)


def costs(points=COSTS, *, chosen=0.5, cheapest=0.42):
    return curves.threshold_costs(points, chosen=chosen, cheapest=cheapest, n=600)


def drawn(axes, which=0):
    return np.column_stack(axes.lines[which].get_data())


def test_the_roc_curve_is_that_of_scikit_learn():
    """The area below what is drawn is the area that is told: 11 of 16 pairs in order."""
    figure = roc()
    fpr, tpr = drawn(figure.axes[0]).T

    assert np.trapezoid(tpr, fpr) == pytest.approx(11 / 16)
    assert drawn(figure.axes[0], 2).tolist() == [[0.25, 0.5]]


def test_the_roc_curve_tells_what_the_threshold_does(texts):
    """In sentences, for who has never seen one."""
    told = texts(roc())

    for words in ("area 0.69", "n = 8 labelled rows", "50% of those at risk", "the others", "0.50"):
        assert words in told


def test_precision_is_drawn_over_recall():
    """Steps, never straight lines: between two thresholds there is nothing."""
    axes = precision_recall().axes[0]
    line, base_rate, chosen = axes.lines

    recall, precision = line.get_data()
    area = np.sum(np.diff(recall) * precision[1:])
    assert area == pytest.approx(metrics.average_precision_score(Y_TRUE, RISK))
    assert line.get_drawstyle() == "steps-pre"
    assert list(base_rate.get_ydata()) == [0.5, 0.5]
    assert np.column_stack(chosen.get_data()).tolist() == [[0.75, 0.6]]


@pytest.mark.parametrize("draw", [roc, precision_recall])
def test_the_threshold_and_the_area_may_be_unknown(draw):
    """Then they are not told."""
    figure = draw(chosen=None, area=None)

    assert len(figure.axes[0].lines) == 2


def test_calibration_is_drawn_by_predicted_risk():
    """Points in order, with their intervals, if they have one."""
    axes = curves.calibration_curve(BINS).axes[0]
    container = axes.containers[0]

    assert np.column_stack(container.lines[0].get_data()) == pytest.approx(
        np.array([[0.1, 0.2], [0.3, 0.25], [0.7, 0.6]])
    )
    ends = [path.vertices[:, 1].tolist() for path in container.lines[2][0].get_paths()]
    assert ends[0] == pytest.approx([0.05, 0.3]) and ends[-1] == pytest.approx([0.4, 0.8])
    assert np.isnan(ends[1:-1]).all()  # one has none


@pytest.mark.parametrize(("scale", "end"), [(1, 0.8), (0.1, 0.1), (1.25, 1.0)])
def test_both_axes_of_a_calibration_have_one_scale(scale, end):
    """The diagonal is where predictions are right; rare events use what room there is."""
    numbers = ["predicted", "observed", "lower", "upper"]
    axes = curves.calibration_curve(BINS.assign(**scale * BINS[numbers])).axes[0]

    assert axes.get_xlim() == (0, pytest.approx(end))
    assert axes.get_ylim() == (0, pytest.approx(1.02 * end))


def test_costs_are_drawn_from_nothing_up():
    """By threshold, whatever the order of the rows."""
    axes = costs().axes[0]

    assert drawn(axes).tolist() == [[0.1, 1.5], [0.5, 0.5], [0.9, 2.0]]
    assert axes.get_ylim()[0] == 0
    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [0.42, 0.5]


def test_what_right_calls_bring_in_is_drawn_below_nothing():
    """A cost matrix may have gains."""
    axes = curves.threshold_costs(
        pd.DataFrame({"threshold": [0.1, 0.5], "cost": [-5.5, -1.0]}), chosen=0.5, cheapest=0.1, n=9
    ).axes[0]

    assert axes.get_ylim()[0] < -5.5 and axes.get_ylim()[1] >= 0


def test_thresholds_have_names(texts):
    """And one that is both in force and the cheapest is named once."""
    assert "cheapest threshold: 0.42" in texts(costs())
    assert "current threshold: 0.42, the cheapest" in texts(costs(chosen=0.42))
    assert "cheapest" not in texts(costs(cheapest=None))


@pytest.mark.parametrize(("chosen", "cheapest"), [(0.01, 0.0173), (0.99, 1.0), (0.5, 0.50001)])
def test_thresholds_beside_each_other_can_be_read(chosen, cheapest, is_readable):
    """At the ends of the axis, too."""
    assert is_readable(costs(chosen=chosen, cheapest=cheapest))


@pytest.mark.parametrize("figure", [roc(n=123_456_789), precision_recall(base_rate=0.0001)])
def test_nothing_that_is_written_is_cut_off_or_covered(figure, is_readable):
    """Beside the square there is little room."""
    assert is_readable(figure)
    assert is_readable(curves.calibration_curve(BINS.assign(n=12_345_678)))


def test_too_little_data_is_said_and_not_drawn(texts):
    """No labels yet, labels of one class, nothing that can be counted."""
    nothing = pd.DataFrame({"fpr": [0.0, 1.0], "tpr": [np.nan, np.nan]})
    empty = [
        curves.roc_curve(nothing, chosen=None, area=None, n=3),
        precision_recall(base_rate=0),
        curves.calibration_curve(BINS.head(0)),
        costs(COSTS.assign(cost=np.inf)),
    ]

    for figure in empty:
        assert "not enough data" in texts(figure)
        assert not figure.axes
