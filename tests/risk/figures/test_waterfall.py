import numpy as np
import pandas as pd
import pytest

from risk.figures import canvas, waterfall
from tests.risk.figures.hard_names import ASIAN, LONG

PARTS = pd.DataFrame({"feature": ["small", "large", "down"], "contribution": [0.01, 0.08, -0.03]})
ENDS = {"before": 0.24, "after": 0.30, "n_reference": 600, "n_current": 143}
CUSTOMER = pd.DataFrame(
    {
        "feature": ["age", "region", "visits"],
        "value": [12345.678, "North", None],
        "contribution": [0.9, -0.4, 0.2],
    }
)


def attribution(parts=PARTS, **others):
    return waterfall.risk_attribution(parts, **ENDS | others)


def row_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def bars(axes):
    """Give begin and end of each bar, from the top."""
    rows = sorted(axes.patches, key=lambda bar: bar.get_y())
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in rows]


def test_parts_lead_from_the_first_value_to_the_last():
    """The largest first; each begins where the one before it ended."""
    axes = attribution().axes[0]

    assert row_names(axes) == [
        "reference rows, n = 600",
        "large",
        "down",
        "small",
        "newest rows, n = 143",
    ]
    assert np.array(bars(axes)) == pytest.approx(
        np.array([[0.24, 0.32], [0.32, 0.29], [0.29, 0.30]])
    )
    assert axes.lines[0].get_xdata().tolist() == [0.24, 0.30]


def test_rows_may_have_any_index():
    """Tables put together from others repeat theirs."""
    assert len(bars(attribution(PARTS.set_axis([0, 0, 0])).axes[0])) == 3


def test_the_numbers_beside_the_bars_add_up(lines_of):
    """A reader may check it."""
    told = [words for words in lines_of(attribution()) if words[-4:-3] == "."]

    assert told == ["0.240", "+0.080", "-0.030", "+0.010", "0.300"]


def test_up_and_down_differ_without_colour(lines_of):
    """Full bars raise it, hatched ones lower it; only what is there is explained."""
    figure = attribution()
    hatches = [bar.get_hatch() for bar in sorted(figure.axes[0].patches, key=lambda b: b.get_y())]

    assert hatches == [None, "////", None]
    assert {"raises it", "lowers it"} < set(lines_of(figure))
    assert "lowers it" not in lines_of(attribution(PARTS.head(2), after=0.33))


def test_of_100_features_the_small_ones_are_added_up(is_readable):
    """10 are drawn, 90 of 0.001 each are one more."""
    many = pd.DataFrame(
        {
            "feature": [f"{(LONG, ASIAN)[i % 2]}{i}" for i in range(100)],
            "contribution": [0.01] * 10 + [0.001] * 90,
        }
    )
    figure = attribution(many, after=0.24 + 0.1 + 0.09)
    axes = figure.axes[0]

    assert row_names(axes)[-2] == "the other 90 features"
    assert bars(axes)[-1] == pytest.approx((0.34, 0.43))
    assert len(bars(axes)) == 11
    assert is_readable(figure)


def test_one_small_feature_is_not_called_others():
    """It takes the same room under its own name."""
    parts = pd.DataFrame({"feature": [f"f{i}" for i in range(11)], "contribution": 0.01})

    assert "f10" in row_names(attribution(parts, after=0.35).axes[0])


def test_what_the_parts_do_not_explain_is_said():
    """A sum that does not add up must not look as if it did."""
    axes = attribution(after=0.35).axes[0]

    assert row_names(axes)[-2] == "not explained"
    assert bars(axes)[-1] == pytest.approx((0.30, 0.35))


def test_a_change_of_nothing_looks_like_nothing():
    """The axis does not zoom in on rounding errors."""
    axes = attribution(PARTS.assign(contribution=[1e-9, 0, -1e-9]), after=0.24).axes[0]

    low, high = axes.get_xlim()
    assert high - low > 0.02
    assert len(row_names(axes)) == 5


def test_the_values_of_one_row_lead_to_its_risk(lines_of):
    """Each with its contribution, on the scale that is named."""
    figure = waterfall.contributions(CUSTOMER, baseline=-1.2, risk=-0.5, scale="log-odds")
    axes = figure.axes[0]

    assert row_names(axes)[1:-1] == ["age = 12,346", "region = North", "visits = (missing)"]
    assert np.array(bars(axes)) == pytest.approx(
        np.array([[-1.2, -0.3], [-0.3, -0.7], [-0.7, -0.5]])
    )
    assert {"log-odds", "-1.200", "+0.900", "-0.400", "+0.200", "-0.500"} < set(lines_of(figure))


def test_a_dark_page_gets_light_letters():
    """On the dashboard."""
    figure = waterfall.contributions(CUSTOMER, baseline=0, risk=0.7, theme=canvas.DARK)

    svg = canvas.as_svg(figure).decode()
    assert canvas.DARK.ink in svg
    assert canvas.LIGHT.ink not in svg and "#000000" not in svg


@pytest.mark.parametrize("name", ["x", LONG, ASIAN, "$x_{$"])
def test_any_name_can_be_read(name, is_readable):
    """One part or several, and values as long as names."""
    for rows in (CUSTOMER, CUSTOMER.head(1)):
        told = rows.assign(feature=name, value=name)
        assert is_readable(waterfall.contributions(told, baseline=0.1, risk=0.8))
    assert is_readable(attribution(PARTS.assign(feature=name)))


def test_too_little_data_is_said_and_not_drawn(texts):
    """Nothing was attributed."""
    unknown = CUSTOMER.assign(contribution=np.nan)
    empty = [
        attribution(PARTS.head(0)),
        attribution(n_current=0),
        waterfall.contributions(unknown, baseline=0.1, risk=0.8),
    ]

    for figure in empty:
        assert "not enough data" in texts(figure)
        assert not figure.axes
