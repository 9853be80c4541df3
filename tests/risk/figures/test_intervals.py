import numpy as np
import pandas as pd
import pytest

from risk.figures import intervals
from tests.risk.figures.hard_names import ASIAN, LONG

ROWS = pd.DataFrame(
    {
        "name": ["live model", "new model", "difference"],
        "value": [0.71, 0.78, 0.07],
        "lower": [0.63, 0.71, -0.01],
        "upper": [0.78, 0.84, 0.15],
    }
)
SEGMENTS = pd.DataFrame(
    {
        "segment": ["region = North", "age up to 20"],
        "value": [0.4, 0.1],
        "lower": [0.25, 0.05],
        "upper": [0.57, 0.2],
        "n": [40, 1200],
    }
)


def values(axes):
    return axes.containers[0].lines[0].get_xdata().tolist()


def ends(axes):
    return [path.vertices[:, 0].tolist() for path in axes.containers[0].lines[2][0].get_paths()]


def test_scores_and_their_difference_have_an_axis_each(lines_of):
    """All a score can be above; below, both directions have the same room."""
    figure = intervals.paired_comparison(ROWS, metric="F1", n=600)
    scores, difference = figure.axes

    assert values(scores) == [0.71, 0.78] and values(difference) == [0.07]
    assert ends(scores) == [pytest.approx([0.63, 0.78]), pytest.approx([0.71, 0.84])]
    assert ends(difference) == [pytest.approx([-0.01, 0.15])]
    assert scores.get_xlim() == (0, 1)
    assert difference.get_xlim() == pytest.approx((-0.165, 0.165))
    assert difference.lines[-1].get_xdata()[0] == 0
    told = set(lines_of(figure))
    assert {"0.710 [0.630, 0.780]", "+0.070 [-0.010, +0.150]", "difference in F1 (0: none)"} < told
    assert "F1, n = 600 rows, the same for all" in told


def test_intervals_and_the_difference_may_be_missing(lines_of):
    """Some scores have none."""
    figure = intervals.paired_comparison(
        ROWS.head(2).assign(lower=None, upper=None), metric="F1", n=600
    )

    assert len(figure.axes) == 1
    assert {"0.710", "0.780"} < set(lines_of(figure))


def test_a_cost_is_drawn_from_nothing_up(lines_of, is_readable):
    """Beyond 1 there is no end all scores have; thousands need no decimals."""
    dear = ROWS.assign(value=[12345.6, 23456.7, 11111.1], lower=[1, 2, -500], upper=[3e4, 4e4, 3e4])

    figure = intervals.paired_comparison(dear, metric="cost", n=600)

    assert figure.axes[0].get_xlim() == (0, 42000)
    assert "12,346 [1, 30,000]" in lines_of(figure)
    assert is_readable(figure)


def test_no_difference_at_all_can_be_drawn(is_readable):
    """The challenger may be the same model."""
    same = ROWS.assign(value=[0.7, 0.7, 0], lower=[0.7, 0.7, 0], upper=[0.7, 0.7, 0])

    assert is_readable(intervals.paired_comparison(same, metric="F1", n=1))


def test_segments_are_drawn_in_the_order_given(lines_of):
    """With the share of all rows as a line."""
    figure = intervals.segments(SEGMENTS, overall=0.22, metric="share of wrong predictions")
    axes = figure.axes[0]

    assert values(axes) == [0.4, 0.1]
    assert ends(axes) == [pytest.approx([0.25, 0.57]), pytest.approx([0.05, 0.2])]
    assert axes.lines[-1].get_xdata()[0] == 0.22
    assert axes.get_xlim() == (0, 1)
    told = set(lines_of(figure))
    assert {"region = North", "40%, n = 40", "10%, n = 1,200", "all rows: 22%"} < told


def test_of_many_segments_the_rest_is_told(texts, is_readable):
    """25 are drawn."""
    many = pd.concat([SEGMENTS.assign(segment=f"{LONG} = {ASIAN}")] * 20)

    figure = intervals.segments(many, overall=0.02, metric=LONG)

    assert len(values(figure.axes[0])) == 25
    assert "Not drawn: 15 more segments." in texts(figure)
    assert is_readable(figure)


@pytest.mark.parametrize("name", ["x", LONG, ASIAN, "$x_{$"])
def test_any_name_can_be_read(name, is_readable):
    """One row or several."""
    both = [*[name] * 2, "difference"]
    assert is_readable(
        intervals.paired_comparison(ROWS.assign(name=both), metric=name, n=9_876_543)
    )
    assert is_readable(intervals.paired_comparison(ROWS.head(1), metric=name, n=1))
    assert is_readable(intervals.segments(SEGMENTS.assign(segment=name), overall=1, metric=name))
    assert is_readable(intervals.segments(SEGMENTS.head(1), overall=0, metric=name))


def test_too_little_data_is_said_and_not_drawn(texts):
    """No comparison yet, no segment of enough rows."""
    empty = [
        intervals.paired_comparison(ROWS.assign(value=np.nan), metric="F1", n=0),
        intervals.paired_comparison(ROWS.tail(1), metric="F1", n=9),
        intervals.segments(SEGMENTS.head(0), overall=0.2, metric="share"),
    ]

    for figure in empty:
        assert "not enough data" in texts(figure)
        assert not figure.axes
