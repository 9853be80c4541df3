import numpy as np
import pandas as pd
import pytest

from risk.figures import rankings
from tests.risk.figures.hard_names import ASIAN, LONG

ROWS = pd.DataFrame(
    {
        "feature": ["calm", "moved", "fell", "unknown"],
        "drift_score": [0.1, 0.8, -0.5, np.nan],
        "threshold": [0.2, 0.2, 0.1, 0.2],
        "drift_detected": [False, True, None, None],
    }
)
COUNTS = pd.DataFrame(
    {
        "column": ["age", "region", "whole"],
        "missing": [0.004, 0.3, 0],
        "out_of_range": [0.1, np.nan, 0],
        "unseen": [np.nan, 0.05, np.nan],
    }
)
TIMINGS = pd.DataFrame(
    {
        "stage": ["ingestion", "training"],
        "runs": [60, 1],
        "last": [0.1, 3.4],
        "median": [0.12, 3.2],
        "p95": [0.3, 5.0],
    }
)


def many(n=100):
    rows = pd.DataFrame({"feature": [f"{(LONG, ASIAN)[i % 2]}{i}" for i in range(n)]})
    score = np.arange(n, 0, -1) / 10
    return rows.assign(drift_score=score, threshold=1.0, drift_detected=score > 5)


def widths(axes):
    return [bar.get_width() for bar in axes.patches]


def row_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_features_are_ranked_by_how_much_more_than_tolerated_they_moved():
    """Up or down; scores of different units become comparable."""
    axes = rankings.drift_ranking(ROWS, n=143).axes[0]

    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in axes.patches}
    assert row_names(axes) == ["fell", "moved", "calm"]
    assert [bars[row].get_width() for row in range(3)] == pytest.approx([5, 4, 0.5])
    assert [bars[row].get_hatch() for row in range(3)] == ["////", None, "////"]
    assert axes.lines[0].get_xdata()[0] == 1
    assert axes.get_xlim()[0] == 0


def test_a_ranking_says_what_it_shows(texts):
    """The number beside each bar, and who has none."""
    told = texts(rankings.drift_ranking(ROWS, n=143))

    for words in ("5.0×", "4.0×", "0.5×", "n = 143", "Without a score: 1 feature.", "tolerance"):
        assert words in told
    assert "Not drawn" not in told


def test_the_limit_is_seen_though_nothing_moved():
    """A short bar must not fill the drawing."""
    axes = rankings.drift_ranking(ROWS.head(1), n=143).axes[0]

    assert axes.get_xlim()[1] > 1


def test_a_bar_that_would_dwarf_all_others_is_cut_and_marked(texts):
    """Its number is told."""
    figure = rankings.drift_ranking(ROWS.assign(drift_score=[0.1, 160, 0.1, 0.3]), n=143)
    axes = figure.axes[0]

    assert max(widths(axes)) == 10
    marks = axes.lines[1]
    assert (marks.get_marker(), marks.get_ydata().tolist()) == (">", [0])
    assert "800.0×" in texts(figure)


def test_of_100_features_the_rest_is_told(texts, is_readable):
    """12 are drawn; the 13th moved 8.8 times what is tolerated."""
    figure = rankings.drift_ranking(many(), n=14_300_000)

    assert len(widths(figure.axes[0])) == 12
    assert "Not drawn: 88 more features, at most 8.8× the tolerance." in texts(figure)
    assert is_readable(figure)
    assert figure.get_size_inches()[1] < 5


def test_a_panel_per_kind_of_fault_shows_its_shares(lines_of):
    """On one scale, the worst column first, those without fault in words."""
    figure = rankings.data_quality(COUNTS, n=543)

    assert [widths(axes) for axes in figure.axes] == [[0.3, 0.004], [0, 0.1], [0.05, 0]]
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 0.3)] * 3
    assert row_names(figure.axes[0]) == ["region", "age"]
    told = lines_of(figure)
    assert {"missing", "out of range", "unseen value", "30%", "0.4%", "10%", "5.0%"} < set(told)
    assert told.count("–") == 2
    assert "Shares of 543 rows. 1 column without faults." in told


def test_a_check_that_applies_to_no_column_has_no_panel():
    """A table without texts knows no unseen values."""
    figure = rankings.data_quality(COUNTS.assign(unseen=np.nan), n=543)

    assert len(figure.axes) == 2


def test_of_100_columns_the_rest_is_told(texts, is_readable):
    """12 are drawn; 22 of the others have faults, at most 79% each."""
    share = np.where(np.arange(100) < 34, np.arange(91, -9, -1) / 100, 0)
    counts = pd.DataFrame({"column": many()["feature"], "missing": share})
    figure = rankings.data_quality(counts.assign(out_of_range=0.0, unseen=np.nan), n=543)

    told = texts(figure)
    assert "Not drawn: 22 more columns, at most 79% each. 66 columns without faults." in told
    assert is_readable(figure)


def test_no_fault_is_good_news(texts):
    """And no reason for an empty drawing."""
    figure = rankings.data_quality(COUNTS.tail(1), n=543)

    assert "Nothing is missing, out of range or unseen, n = 543." in texts(figure)
    assert not figure.axes


def test_timings_show_the_usual_the_slow_and_the_last_run(lines_of):
    """In seconds from nothing up, the stages in the order of a run."""
    figure = rankings.stage_timings(TIMINGS)
    axes = figure.axes[0]

    assert row_names(axes) == ["ingestion", "training"]
    assert widths(axes) == [0.12, 3.2]
    assert axes.lines[0].get_xdata().tolist() == [0.1, 3.4]
    ends = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [[0.12, 0.3], [3.2, 5.0]]
    assert axes.get_xlim()[0] == 0
    assert {"0.12 s, 60 runs", "3.20 s, 1 run", "median", "last run"} < set(lines_of(figure))


@pytest.mark.parametrize("name", ["x", LONG, ASIAN, "$x_{$"])
def test_any_name_can_be_read(name, is_readable):
    """One row or several."""
    for rows in (ROWS, ROWS.head(1)):
        assert is_readable(rankings.drift_ranking(rows.assign(feature=name), n=143))
    for counts in (COUNTS, COUNTS.head(1), COUNTS.assign(unseen=1.0, out_of_range=1.0)):
        assert is_readable(rankings.data_quality(counts.assign(column=name), n=1))
    assert is_readable(rankings.stage_timings(TIMINGS.assign(stage=name)))


def test_too_little_data_is_said_and_not_drawn(texts):
    """No score, no tolerance to compare with, no rows, no runs."""
    empty = [
        rankings.drift_ranking(ROWS.tail(1), n=3),
        rankings.drift_ranking(ROWS.assign(threshold=0.0), n=3),
        rankings.drift_ranking(ROWS.assign(threshold=None), n=3),
        rankings.data_quality(COUNTS, n=0),
        rankings.data_quality(COUNTS.head(0), n=9),
        rankings.stage_timings(TIMINGS.head(0)),
    ]

    for figure in empty:
        assert "not enough data" in texts(figure)
        assert not figure.axes


def test_rows_may_have_any_index():
    """Tables put together from others repeat theirs."""
    again = [0] * len(COUNTS)
    figure = rankings.data_quality(COUNTS.set_axis(again), n=543)

    assert row_names(figure.axes[0]) == ["region", "age"]
    moved = rankings.drift_ranking(ROWS.set_axis([0] * len(ROWS)), n=143)
    assert row_names(moved.axes[0]) == ["fell", "moved", "calm"]
