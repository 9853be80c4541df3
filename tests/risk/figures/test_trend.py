import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED
from risk.figures import canvas, trend
from tests.risk.figures.hard_names import LONG

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
POINT = ["at", "kind", "value", "lower", "upper", "n"]
CHANGES = pd.DataFrame({"at": [FIRST, FIRST + timedelta(days=6)], "label": ["one", "two"]})
NO_CHANGES = CHANGES.iloc[:0]


def at(day):
    return FIRST + timedelta(days=day)


def points(days=10, kinds=(MEASURED, ESTIMATED), **others):
    rows = [
        {"at": at(day), "kind": kind, "value": 0.6, "lower": 0.5, "upper": 0.7, "n": 100 + day}
        for day in range(days)
        for kind in kinds
    ]
    return pd.DataFrame(rows, columns=POINT).assign(**others)


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def test_a_trend_says_what_is_what_beside_the_lines(texts):
    """The newest values, what they rest on, the rows, and which release when."""
    promised = points(1, kinds=[PROMISED])
    both = pd.concat([points(), promised])

    told = texts(trend.score_trend(both, CHANGES, metric="F1"))

    for words in ("0.60 measured", "on labelled rows", "0.60 estimated", "without labels"):
        assert words in told
    for words in (
        "before it went live",
        "one",
        "two",
        "F1",
        "labelled 100 to 109",
        "the likely range",
    ):
        assert words in told


def test_the_alarm_line_is_drawn_where_it_is_known(texts):
    """Of each release its own, and the note says what it means."""
    known = points(kinds=[MEASURED]).assign(version=[1] * 5 + [2] * 5, alarm_line=0.55)

    drawn, plain = (trend.score_trend(each, NO_CHANGES, metric="F1") for each in (known, points()))

    lines = [line for line in drawn.axes[0].lines if set(line.get_ydata()) == {0.55}]
    assert [len(line.get_xdata()) for line in lines] == [5, 5]
    assert "Dotted: an alarm needs a score beyond it." in texts(drawn)
    assert "Dotted" not in texts(plain)


def test_a_cost_below_nothing_is_seen():
    """Where right calls bring something in."""
    figure = trend.score_trend(
        points(value=-2.0, lower=-3.0, upper=-1.0), NO_CHANGES, metric="cost"
    )
    low, high = figure.axes[0].get_ylim()

    assert low < -3 and high == 0


@pytest.mark.parametrize("metric", ["F1", "cost"])
def test_the_axis_is_honest(metric):
    """From 0 to 1, or from 0 up: a small change must not look large."""
    shown = points() if metric == "F1" else points(value=3.0, upper=4.0)

    axes = trend.score_trend(shown, NO_CHANGES, metric=metric).axes[0]

    assert axes.get_ylim() == ((0, 1) if metric == "F1" else (0, pytest.approx(4.2)))


@pytest.mark.parametrize(
    "few",
    [points(0), points(1), points(9, kinds=[PROMISED]), points(9, value=float("nan"))],
    ids=["nothing", "one run", "test data only", "undefined"],
)
def test_too_little_data_is_said_and_not_drawn(few, texts):
    """An empty axis looks like a broken page."""
    figure = trend.score_trend(few, CHANGES, metric="F1")

    assert "not enough data" in texts(figure)
    assert not figure.axes


@pytest.mark.parametrize("width", [canvas.WIDE, canvas.PAGE, canvas.NARROW])
def test_nothing_that_is_written_covers_anything_else(width, is_readable, lines_of):
    """Releases of one hour, lines that end at one height, on a phone too."""
    hours = [at(0), *(at(5) + timedelta(hours=h) for h in range(4))]
    close = pd.DataFrame({"at": hours, "label": [f"release {n}" for n in range(5)]})

    figure = trend.score_trend(points(), close, metric=LONG, width=width)

    assert is_readable(figure)
    assert {"release 4", "release 0"} < set(lines_of(figure))


def test_the_lines_are_the_scores_and_the_bands_their_intervals():
    """Measured first drawn last, so that it lies on top."""
    moving = points(value=range(20)).assign(value=lambda p: p["value"] / 20)

    axes = trend.score_trend(moving, CHANGES, metric="F1").axes[0]

    estimated, measured = axes.lines[:2]
    assert measured.get_ydata().tolist() == [n / 20 for n in range(0, 20, 2)]
    assert estimated.get_ydata().tolist() == [n / 20 for n in range(1, 20, 2)]
    for band in axes.collections[:2]:
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == (0.5, 0.7)


def test_a_line_stands_where_a_release_went_live():
    """In days since 1970, as dates are drawn."""
    axes = trend.score_trend(points(), CHANGES, metric="F1").axes[0]

    marks = [line.get_xdata()[0] for line in axes.lines[2:]]
    days = [(moment - datetime(1970, 1, 1, tzinfo=UTC)).days for moment in CHANGES["at"]]
    assert sorted(marks) == days


@pytest.mark.parametrize("kind", [MEASURED, ESTIMATED])
def test_one_kind_of_score_is_enough(kind, texts):
    """Labels that never come, or always."""
    told = texts(trend.score_trend(points(kinds=[kind]), CHANGES, metric="F1"))

    assert f"0.60 {kind}" in told and told.count("0.60") == 1


def test_intervals_may_be_missing(texts):
    """Some scores have none."""
    bare = points(lower=None, upper=None)
    tested = pd.concat([bare, bare.head(1).assign(kind=PROMISED)])

    assert "0.60 measured" in texts(trend.score_trend(tested, NO_CHANGES, metric="F1"))


@pytest.mark.parametrize(("theme", "paper"), [("light", "#ffffff"), ("dark", "#161f29")])
def test_every_colour_can_be_read(theme, paper):
    """4.5 to 1 for what is written; measured and estimated also differ by their dashes."""
    chosen = canvas.THEMES[theme]
    for colour in (chosen.ink, chosen.faint, chosen.measured, chosen.estimated):
        assert contrast(colour, paper) >= 4.5

    lines = trend.score_trend(points(), NO_CHANGES, metric="F1", theme=chosen).axes[0].lines

    assert {line.get_linestyle() for line in lines[:2]} == {"-", "--"}


def test_an_svg_holds_no_inline_style_and_no_script():
    """A strict content security policy would refuse it; hostile names stay text."""
    evil = pd.DataFrame({"at": [at(1)], "label": ["<script>alert(1)</script>"]})

    svg = canvas.as_svg(trend.score_trend(points(), evil, metric='"><b>'))

    root = ElementTree.fromstring(svg)
    assert not [n.tag for n in root.iter() if "style" in n.attrib or n.tag.endswith("style")]
    assert b"<script" not in svg and b"<b>" not in svg


def test_drawing_leaves_no_window_state():
    """No pyplot: a server draws in many threads and must not keep every figure."""
    check = (
        "import sys\n"
        "from tests.risk.figures.test_trend import *\n"
        "canvas.as_svg(trend.score_trend(points(), CHANGES, metric='F1'))\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    root = Path(__file__).parents[3]

    done = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True)

    assert done.stdout == "False\n", done.stderr


def lines(figure, colour=canvas.LIGHT.measured):
    drawn = [line for line in figure.axes[0].lines if line.get_color() == colour]
    return [len(line.get_xdata()) for line in drawn]


@pytest.mark.parametrize(
    ("days", "pieces"),
    [
        ([0, 1, 2, 3, 4], [5]),
        ([0, 1, 2, 12, 13, 14], [3, 3]),
        ([0, 1, 2, 3, 4, 7, 8, 9], [8]),
        ([0, 1, 2, 30], [3, 1]),
    ],
    ids=["daily", "ten days without", "weekend", "one after a month"],
)
def test_no_line_is_drawn_over_a_time_without_scores(days, pieces):
    """What was not measured is a gap."""
    shown = points(max(days) + 1, kinds=[MEASURED]).iloc[days]

    assert lines(trend.score_trend(shown, NO_CHANGES, metric="F1")) == pieces


def test_scores_of_two_releases_are_two_lines():
    """Late labels score the release before while the next is live."""
    both = points(8, kinds=[MEASURED]).assign(version=[1, 1, 1, 2, 1, 2, 2, 2])

    assert lines(trend.score_trend(both, NO_CHANGES, metric="F1")) == [4, 4]


def test_a_release_that_comes_back_begins_another_line():
    """What was not measured while another release was live is a gap."""
    both = points(12, kinds=[MEASURED]).assign(version=[1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1])

    assert sorted(lines(trend.score_trend(both, NO_CHANGES, metric="F1"))) == [2, 2, 8]
