import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2

from risk.stats.evidence import Directions
from risk.stats.seasons import (
    BOUND,
    DAY,
    WEEK,
    WEEKDAY,
    WEEKEND,
    Batches,
    Curve,
    calendar,
    choose,
    fit,
    long_run_variance,
)

TEN_MINUTES = np.arange("2026-03-02", "2026-03-16", 10, dtype="M8[m]")  # two weeks from a Monday
FOUR_WEEKS = np.arange("2026-03-02", "2026-03-30", dtype="M8[D]")


def batches(means, moments=TEN_MINUTES, *, rows=200, days=14.0):
    """Take means for those of batches of equal size."""
    column = np.asarray(means, float).reshape(len(moments), -1)
    return Batches(column, np.full(len(moments), float(rows)), calendar(moments), days)


def noise(rng, n, *, rows=200):
    """Draw the means of independent rows with a variance of 1."""
    return rng.normal(0, rows**-0.5, n)


def wandering(rng, n, memory):
    """Draw an AR(1) process with a variance of 1, after it has forgotten where it began."""
    steps = rng.normal(0, np.sqrt(1 - memory**2), n + 500)
    return lfilter([1.0], [1.0, -memory], steps)[500:]


def test_the_calendar_is_that_of_pandas():
    """Weekdays and hours of moments over a leap day, by another library."""
    moments = pd.date_range("2028-02-20 03:17", periods=200, freq="173min")

    found = calendar(moments.to_numpy("M8[s]"))

    hours = moments.hour + moments.minute / 60
    assert found[:, 2] == pytest.approx(np.sin(2 * np.pi * 2 * hours / 24), abs=1e-9)
    assert found[:, 6] == pytest.approx(np.cos(2 * np.pi * 3 * hours / 24), abs=1e-9)
    since_monday = (moments.day_of_week + hours / 24) / 7
    assert found[:, 7] == pytest.approx(np.sin(2 * np.pi * since_monday), abs=1e-9)
    assert (found[:, 9] == (moments.day_of_week >= 5)).all()
    assert (found[:, 10:] == (moments.day_of_week.to_numpy()[:, None] == np.arange(6))).all()


def test_a_fit_is_weighted_least_squares():
    """Against `numpy.linalg.lstsq` on rows that are repeated as often as they count."""
    rng, sizes = np.random.default_rng(20261101), np.arange(len(TEN_MINUTES)) % 3 + 1
    made = batches(rng.normal(size=(len(TEN_MINUTES), 2)))
    made = Batches(made.means, 1e6 * sizes, made.when, made.days)

    found = fit(made, (DAY, WEEKEND))

    columns = np.repeat(made.when[:, [0, *range(1, 7), 9]], sizes, axis=0)
    wanted, *_ = np.linalg.lstsq(columns, np.repeat(made.means, sizes, axis=0))
    assert found.slopes == pytest.approx(wanted[1:].T, abs=1e-6)
    assert found.levels == pytest.approx(np.average(made.means, axis=0, weights=sizes))
    variance = np.linalg.inv(columns.T @ columns)[1:, 1:] / 1e6
    assert found.covariance == pytest.approx(variance, rel=1e-4)


def test_what_was_never_seen_has_no_slope_and_all_the_doubt():
    """No row of a weekend: a standard deviation of standard error, whatever the other rows say."""
    week = FOUR_WEEKS[calendar(FOUR_WEEKS)[:, 9] == 0]
    made = batches(noise(np.random.default_rng(20261102), len(week)), week)

    found = fit(made, (WEEKEND,))

    assert found.slopes.item() == 0
    assert found.covariance.item() == 1


def test_without_a_memory_the_long_run_is_the_bound_of_single_batches():
    """By hand: the sum of squares over the lower decile of chi-squared."""
    means = noise(np.random.default_rng(20261103), len(TEN_MINUTES))
    made = batches(means)

    found = long_run_variance(fit(made), made.rows)

    squares = 200 * ((means - means.mean()) ** 2).sum()
    assert found.variance == pytest.approx(squares / chi2.ppf(1 - BOUND, len(means) - 1))
    assert found.memory == 1


@pytest.mark.parametrize(("memory", "sd"), [(0.5, 0.1), (0.9, 0.1), (0.95, 0.05)])
def test_a_memory_is_seen_in_the_long_run(memory, sd):
    """Of an AR(1) process: sd^2 (1 + memory) / (1 - memory) for each batch, and the rows' own 1."""
    rng, n = np.random.default_rng(20261104), len(TEN_MINUTES)
    means = np.column_stack([noise(rng, n) + sd * wandering(rng, n, memory) for _ in range(40)])
    made = batches(means)

    found = long_run_variance(fit(made), made.rows)

    true = 1 + 200 * sd**2 * (1 + memory) / (1 - memory)
    assert 0.9 * true < np.median(found.variance) < 1.6 * true
    assert (found.variance < 0.6 * true).mean() <= 0.1
    assert 0.8 < np.median(found.memory) / (true / (1 + 200 * sd**2)) < 1.6


@pytest.mark.parametrize(
    ("season", "terms"),
    [
        (lambda when: 0 * when[:, 0], ()),
        (lambda when: 0.15 * when[:, 1], (DAY,)),
        (lambda when: 0.15 * when[:, 7], (WEEK,)),
        (lambda when: 0.5 * when[:, 9], (WEEKEND,)),
        (lambda when: when[:, 10:] @ [0.0, 0.3, 0.0, 0.0, 0.3, 0.0], (WEEKDAY,)),
        (lambda when: 0.15 * when[:, 2] + 0.5 * when[:, 9], (DAY, WEEKEND)),
    ],
)
def test_the_terms_that_a_reference_shows_are_chosen_and_no_others(season, terms):
    """Two weeks of a batch of 200 rows every ten minutes."""
    made = batches(noise(np.random.default_rng(20261105), len(TEN_MINUTES)))
    made.means[:, 0] += season(made.when)

    assert choose(made) == terms


def test_a_week_seen_once_is_no_season():
    """A column that differs between the halves of one week may do so for good."""
    one = TEN_MINUTES[: len(TEN_MINUTES) // 2]
    made = batches(noise(np.random.default_rng(20261106), len(one)), one, days=7.0)
    made.means[:, 0] += 0.5 * made.when[:, 9]

    assert choose(made) == ()


def test_a_slow_wandering_is_hardly_ever_taken_for_a_season():
    """Thirty subjects with a memory of five hours."""
    rng = np.random.default_rng(20261107)
    drawn = [noise(rng, len(TEN_MINUTES)) for _ in range(30)]

    chosen = [choose(batches(each + 0.05 * wandering(rng, len(each), 0.97))) for each in drawn]

    assert sum(map(bool, chosen)) <= 6


def test_the_null_follows_the_season_and_is_doubted_where_little_was_seen():
    """By hand: half a standard deviation at weekends, of which the reference had a quarter."""
    up = Directions(("up",), np.array([[-2.0, 2.0]]), *(np.array([v]) for v in (0, 2, 0.1, 1)))
    centre = np.zeros(16)
    centre[9] = 0.25
    curve = Curve((WEEKEND,), tuple(centre), ((0.01,),), {"up": (0.5,)}, {"up": 4.0}, 100)
    weekend = np.ones(16)

    larger, both = (curve.follow(up, weekend, z=2.0, summed=summed) for summed in (False, True))

    doubt = 2 * 2 * np.sqrt(4 * (1 / 100 + 0.75**2 * 0.01))
    assert larger.means.item() == both.means.item() == pytest.approx(2 * 0.5 * 0.75)
    assert larger.null_means - larger.means == pytest.approx(doubt)
    assert both.null_means - both.means == pytest.approx(0.1 + doubt - 2 * 2 / 10)


def test_a_direction_without_a_curve_stays_where_the_reference_is():
    """The settings changed what is monitored after the release was made."""
    up = Directions(("up",), np.array([[-2.0, 2.0]]), *(np.array([v]) for v in (0, 2, 1.1, 1)))
    curve = Curve((WEEKEND,), (0.0,) * 16, ((0.0,),), {"down": (0.5,)}, {"down": 9.0}, 100)

    found = curve.follow(up, np.ones(16), z=2.0, summed=False)

    assert (found.means, found.null_means) == (0, 1.1)


def test_a_share_is_never_expected_to_be_below_zero():
    """A curve that overshoots would let every row prove the event."""
    more = Directions(
        ("up",), np.array([[0.0, 1.0]]), *(np.array([v]) for v in (0.01, 0.1, 0.02, 1))
    )
    curve = Curve((WEEKEND,), (0.0,) * 16, ((0.0,),), {"up": (-0.5,)}, {"up": 1.0}, 1000)

    found = curve.follow(more, np.ones(16), z=2.0, summed=False)

    assert found.means == 0
    assert found.null_means == pytest.approx(0.01)
