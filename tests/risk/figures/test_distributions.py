import numpy as np
import pandas as pd
import pytest

from risk.figures import distributions
from tests.risk.figures.hard_names import ASIAN, LONG

N = {"n_reference": 600, "n_current": 143}
BINS = pd.DataFrame(
    {
        "left": [-np.inf, 0, 5, 25000, np.nan],
        "right": [0, 5, 25000, np.inf, np.nan],
        "reference": [0, 0.5, 0.47, 0, 0.03],
        "current": [0.01, 0.2, 0.3, 0.4, 0.09],
    }
)
SHARES = pd.DataFrame(
    {
        "value": ["North", "South", "East", None],
        "reference": [0.5, 0.3, 0.2, np.nan],
        "current": [0.2, 0.31, 0.39, 0.1],
    }
)


def numeric(bins=BINS, feature="age"):
    return distributions.numeric_feature(bins, feature=feature, **N)


def categorical(shares=SHARES, feature="region"):
    return distributions.categorical_feature(shares, feature=feature, **N)


def evenly(n):
    edges = np.linspace(0, 1, n + 1)
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], "reference": 1 / n, "current": 0})


def ticks(axes):
    return dict(zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True))


def test_both_distributions_are_drawn_as_they_are():
    """Bars behind, a line before them; missing values stand apart."""
    axes = numeric().axes[0]

    bars = [(bar.get_x(), bar.get_height()) for bar in axes.patches if hasattr(bar, "get_height")]
    lines = [patch.get_data() for patch in axes.patches if hasattr(patch, "get_data")]
    assert bars == [(0, 0), (1, 0.5), (2, 0.47), (3, 0), (4.6, 0.03)]
    assert [line.values.tolist() for line in lines] == [[0.01, 0.2, 0.3, 0.4], [0.09]]
    assert [line.edges.tolist() for line in lines] == [[0, 1, 2, 3, 4], [4.6, 5.6]]
    assert axes.get_ylim()[0] == 0


def test_the_bounds_of_bins_are_written_below_them():
    """Open ends in words."""
    marks = ticks(numeric().axes[0])

    assert marks == {"lower": 0, "0": 1, "5": 2, "25,000": 3, "higher": 4, "missing": 5.1}


def test_a_bound_is_written_once():
    """The smallest value is often 0, and then a bin of its own from 0 to 0."""
    axes = numeric(BINS.assign(left=[-np.inf, 0, 0, 5, np.nan], right=[0, 0, 5, np.inf, np.nan]))

    written = [label.get_text() for label in axes.axes[0].get_xticklabels()]
    assert written[:5] == ["lower", "", "0", "5", "higher"]


def test_of_many_bounds_every_nth_is_written(is_readable):
    """So that a reader can count on."""
    few = numeric(evenly(20))
    wide = evenly(60)
    wide[["left", "right"]] = 1e6 * wide[["left", "right"]] - 123456

    assert ticks(few.axes[0]).keys() == {"0", *(f"{n / 10:g}" for n in range(1, 10)), "1"}
    assert is_readable(numeric(wide))


@pytest.mark.parametrize("rows", [[0], [4], [1, 4], [0, 1, 2, 3]])
def test_any_bins_can_be_drawn(rows, is_readable):
    """One bin; only missing values; none missing."""
    assert is_readable(numeric(BINS.iloc[rows], feature=LONG))


def test_the_threshold_stands_where_it_lies_between_bounds():
    """Bins are drawn equally wide, also where they are not."""
    uneven = pd.DataFrame(
        {"left": [0, 0.1, 0.5], "right": [0.1, 0.5, 1], "reference": 0.3, "current": 0.3}
    )

    axes = distributions.score_distribution(uneven, threshold=0.2, **N).axes[0]

    assert axes.lines[0].get_xdata()[0] == pytest.approx(1.25)


def test_predicted_risks_are_written_in_percent():
    """Bounds that training data gave have many digits, which nobody reads."""
    edges = np.array([0, 0.00452, 0.0866, 0.3332106763697806, 1])
    bins = pd.DataFrame(
        {"left": edges[:-1], "right": edges[1:], "reference": 0.25, "current": 0.25}
    )

    axes = distributions.score_distribution(bins, threshold=0.2, **N).axes[0]

    assert ticks(axes) == {"0%": 0, "0.5%": 1, "8.7%": 2, "33%": 3, "100%": 4}


def test_a_score_distribution_says_what_is_what(lines_of):
    """The reference first, as it was first."""
    told = lines_of(distributions.score_distribution(evenly(20), threshold=0.42, **N))

    key = [words for words in told if "n = " in words or "flagged" in words]
    assert key == [
        "reference rows, n = 600",
        "newest rows, n = 143",
        "flagged as at risk from 42%",
    ]
    assert {"predicted risk", "share of the rows"} < set(told)


def test_values_are_ordered_by_how_much_they_changed(lines_of):
    """Points on one line per value; a value that is only in one table has no share in the other."""
    figure = categorical()
    before, now = figure.axes[0].lines

    assert before.get_xdata().tolist() == [0.5, 0.2, 0, 0.3]
    assert now.get_xdata().tolist() == [0.2, 0.39, 0.1, 0.31]
    told = lines_of(figure)
    assert [w for w in told if w in ("North", "East", "(missing)", "South")] == [
        "North",
        "East",
        "(missing)",
        "South",
    ]
    assert {"50% → 20%", "20% → 39%", "0% → 10%", "30% → 31%"} < set(told)


def test_of_500_values_the_rest_is_told(lines_of, is_readable):
    """15 are drawn; the 485 others had 70% and have 20%."""
    many = pd.DataFrame(
        {
            "value": [f"{LONG if i % 2 else ASIAN}{i}" for i in range(500)],
            "reference": [0.02] * 15 + [0.7 / 485] * 485,
            "current": [0.8 / 15] * 15 + [0.2 / 485] * 485,
        }
    )

    figure = categorical(many.sample(frac=1, random_state=0), feature=ASIAN)

    assert len(figure.axes[0].lines[0].get_xdata()) == 15
    told = "Not drawn: 485 more values that changed less, together 70% → 20%."
    assert told in lines_of(figure)
    assert is_readable(figure)
    assert figure.get_size_inches()[1] < 8


@pytest.mark.parametrize("feature", ["x", LONG, ASIAN, "$x_{$"])
def test_any_name_can_be_read(feature, is_readable):
    """Names come from other people's tables."""
    assert is_readable(numeric(feature=feature))
    assert is_readable(categorical(feature=feature))
    assert is_readable(categorical(SHARES.head(1), feature=feature))


def test_no_rows_are_said_and_not_drawn(texts, is_readable):
    """The first run has no batch yet."""
    none = {"n_reference": 600, "n_current": 0}
    empty = [
        distributions.score_distribution(evenly(5), threshold=0.5, **none),
        distributions.numeric_feature(BINS, feature=LONG, **none),
        distributions.categorical_feature(SHARES, feature=ASIAN, **none),
        numeric(BINS.head(0)),
        categorical(SHARES.head(0)),
    ]

    for figure in empty:
        assert "not enough data" in texts(figure) and is_readable(figure)
        assert not figure.axes
