import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from risk.monitoring.profile import count, numeric_column
from risk.stats import directions
from risk.stats.directions import Tolerance
from risk.stats.evidence import (
    FIRST_LADDER,
    LADDER,
    MAX_LOSS,
    MIN_BATCHES,
    STAKE_WEIGHTS,
    STAKES,
    UNKNOWN_CORRELATION,
    Directions,
    advance,
    as_lists,
    feed,
    from_lists,
    growth,
    intraclass_correlation,
    log_total,
    paired_evidence,
    place,
    rows_needed,
    spreads_of_null,
    start,
    wealth_over_time,
)
from tests.torture import in_full

properties = settings(max_examples=100, deadline=None, database=None, derandomize=True)
scores = st.lists(st.floats(-5, 5), min_size=2, max_size=6).filter(lambda s: max(s) - min(s) > 0.01)
DAYS = 90


def score(values, *, null_mean, spread):
    """Make a single direction of the scores of some cells."""
    mean = float(np.nanmean(values))
    return Directions(
        ("up",), np.array([values]), *(np.array([v]) for v in (mean, spread, null_mean, 1.0))
    )


def test_a_gain_is_the_logarithm_of_one_plus_the_stake_times_the_surprise():
    """By hand: the stake D / (s (1 + D^2)) of a rare event, its largest loss far away."""
    rare = score([0.0, 1.0], null_mean=0.02, spread=0.5)

    found = place(rare).gains[0]

    for k, bet in enumerate(LADDER.effects):
        stake = bet / (0.5 * (1 + bet**2))
        assert found[k] == pytest.approx([math.log(1 - stake * 0.02), math.log(1 + stake * 0.98)])


def test_no_row_can_take_more_than_the_largest_loss():
    """However small the spread promises the stake to be safe."""
    narrow = score([-4.0, 0.0, 2.0], null_mean=0.5, spread=1e-9)

    found = place(narrow, FIRST_LADDER).gains[0]

    assert found[:, 0] == pytest.approx(math.log(1 - MAX_LOSS))
    assert found[:, 2] == pytest.approx(math.log(1 + MAX_LOSS * 1.5 / 4.5))


def test_a_row_that_does_not_count_changes_nothing():
    """Missing values say nothing about the others."""
    found = place(score([-1.0, 1.0, np.nan], null_mean=0.1, spread=1.0))

    assert (found.gains[:, :, 2] == 0).all()
    assert (found.gains[:, :, :2] != 0).all()
    assert found.counted.tolist() == [[True, True, False]]


@properties
@given(scores, st.data())
def test_a_bet_expects_nothing_from_any_null_distribution(values, data):
    """All cells enumerated: E[exp(gain)] is at most 1 as long as the mean is at most the null's."""
    weights = data.draw(st.lists(st.floats(0, 1), min_size=len(values), max_size=len(values)))
    assume(sum(weights) > 0.01)
    chances = np.array(weights) / sum(weights)
    null_mean = max(float(chances @ values), min(values) + 1e-3) + data.draw(st.floats(0, 1))

    ladder = data.draw(st.sampled_from([LADDER, FIRST_LADDER]))
    made = score(values, null_mean=null_mean, spread=data.draw(st.floats(0, 3)))

    found = place(made, ladder).gains[0]

    for gained in found:
        assert math.fsum(chances * np.exp(gained)) <= 1 + 1e-9


@properties
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_advancing_is_the_recursion_of_its_definition(batches):
    """A plain loop over the wealth itself, not its logarithm: (M + mass) L^(1 / design)."""
    bets = place(score([-1.0, 0.5, np.nan], null_mean=0.1, spread=0.8))
    mass, alike = 0.01, 0.2
    wealth, expected = start(bets), np.zeros(len(LADDER.effects))

    for batch in batches:
        wealth = advance(wealth, bets, batch, log_mass=np.log(mass), correlation=np.array([alike]))
        design = 1 + max(batch[0] + batch[1] - 1, 0) * alike
        for k, weight in enumerate(LADDER.weights):
            told = sum(n * g for n, g in zip(batch, bets.gains[0, k], strict=True))
            expected[k] = (expected[k] + mass * weight) * math.exp(told / design)

    assert np.exp(wealth[0]) == pytest.approx(expected, rel=1e-9)
    assert log_total(wealth) == pytest.approx(math.log(expected.sum()), abs=1e-9)


def test_the_order_of_the_rows_of_a_batch_is_irrelevant():
    """And so is which of two partial counts comes first."""
    rng = np.random.default_rng(20260101)
    values = rng.integers(0, 2, 60)
    bets = place(score([0.0, 1.0], null_mean=0.5, spread=0.5))
    shuffled = rng.permutation(values)
    halves = np.bincount(shuffled[30:], minlength=2) + np.bincount(shuffled[:30], minlength=2)

    found = [
        advance(start(bets), bets, n, log_mass=0.0, correlation=np.zeros(1))
        for n in (count(values, 2), halves)
    ]

    assert (found[0] == found[1]).all()


@pytest.mark.parametrize(("n", "runs"), [(5, 150), (50, 150)])
def test_false_alarms_in_a_month_keep_to_the_budget_at_the_boundary_of_the_null(n, runs):
    """An event exactly as frequent as is tolerated: 30 days of hourly batches, one per 90 days."""
    rng = np.random.default_rng(20260102)
    values = np.full((runs, 2 * runs), np.nan)  # each run is a direction with two cells of its own
    values[np.arange(runs), 2 * np.arange(runs)] = 0
    values[np.arange(runs), 2 * np.arange(runs) + 1] = 1
    each = [np.full(runs, v) for v in (0.2, 0.4, 0.2, 1.0)]
    monitored = Directions(tuple(map(str, range(runs))), values, *each)
    bets, alarmed = place(monitored), np.zeros(runs, dtype=bool)
    wealth = start(bets)

    for _ in range(30 * 24):
        events = rng.binomial(n, 0.2, runs)
        wealth = advance(
            wealth,
            bets,
            np.column_stack([n - events, events]).ravel(),
            log_mass=math.log(1 / 24 / DAYS),
            correlation=np.zeros(runs),
        )
        alarmed |= np.logaddexp.reduce(wealth, axis=1) >= 0

    assert 0 < alarmed.mean() <= 30 / DAYS


def test_the_wealth_over_time_is_that_of_advancing_batch_by_batch():
    """The replay is only a faster way to do the same."""
    rng = np.random.default_rng(20260103)
    monitored = directions.numeric(np.array([0, 20.0, 60, 20, 0, 5]), Tolerance(0.05, 1e-3))
    batches = rng.multinomial(40, [0.01, 0.15, 0.5, 0.25, 0.04, 0.05], size=50)
    alike, log_mass = np.linspace(0, 0.2, len(monitored.names)), math.log(0.001)
    bets = place(monitored)

    found = wealth_over_time(growth(bets, batches, alike), bets.log_weights, log_mass=log_mass)

    wealth, totals = start(bets), []
    for batch in batches:
        wealth = advance(wealth, bets, batch, log_mass=log_mass, correlation=alike)
        totals.append(log_total(wealth))
    assert found == pytest.approx(totals, abs=1e-9)


def test_nothing_adds_up_to_nothing():
    """Minus infinity without a warning."""
    assert log_total(np.full((3, 4), -np.inf)) == -np.inf


def test_the_correlation_of_many_batches_is_that_of_a_random_effects_model():
    """Batch means scatter by a tenth of the variance; the bound is above it, but not by far."""
    rng = np.random.default_rng(20260104)
    cells = np.linspace(-4, 4, 81)
    effects = rng.normal(0, math.sqrt(0.1), (400, 1))
    values = effects + rng.normal(0, math.sqrt(0.9), (400, 50))
    batches = [np.bincount(np.abs(v[:, None] - cells).argmin(axis=1), minlength=81) for v in values]

    found = intraclass_correlation(batches, cells[None])[0]

    assert 0.1 <= found <= 0.13


def test_the_upper_bound_holds_in_nine_of_ten_references():
    """A promise at 90 %: of 300 references of 20 normal batches each."""
    rng = np.random.default_rng(20260105)
    cells, rho = np.linspace(-4, 4, 81), 0.05

    bounded = 0
    for _ in range(300):
        effects = rng.normal(0, math.sqrt(rho), (20, 1))
        places = np.round((effects + rng.normal(0, math.sqrt(1 - rho), (20, 60)) + 4) * 10)
        codes = np.clip(places, 0, 80).astype(int)
        batches = [np.bincount(c, minlength=81) for c in codes]
        bounded += intraclass_correlation(batches, cells[None])[0] >= rho

    assert 0.86 <= bounded / 300 <= 0.95


def test_the_correlation_is_that_of_a_textbook_analysis_of_variance():
    """Written out row by row for ten unequal batches; one cell does not count."""
    rng = np.random.default_rng(20260106)
    tables = rng.integers(1, 30, (10, 4)) * np.array([1, 2, 1, 1])
    rows = [np.repeat([0.0, 1.0, 3.0], table[:3]) for table in tables]

    found = intraclass_correlation(tables, np.array([[0.0, 1.0, 3.0, np.nan]]))[0]

    grand = np.concatenate(rows).mean()
    sizes = np.array([len(r) for r in rows])
    between = sum(len(r) * (r.mean() - grand) ** 2 for r in rows) / chi2.ppf(0.1, 9)
    within = sum(((r - r.mean()) ** 2).sum() for r in rows) / (sizes.sum() - 10)
    excess = between / within - 1
    effective = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / 9
    assert found == pytest.approx(excess / (excess + effective), rel=1e-9)


@pytest.mark.parametrize("batches", [[], [[9, 1]], [[50, 50]] * (MIN_BATCHES - 1)])
def test_a_few_batches_that_look_alike_do_not_prove_it(batches):
    """So a batch never counts for more than 500 rows."""
    found = intraclass_correlation(np.reshape(batches, (-1, 2)), np.array([[0.0, 1.0]]))

    assert found.tolist() == [UNKNOWN_CORRELATION] == [1 / 500]


def test_of_a_few_batches_that_differ_it_is_the_plain_estimate():
    """Two batches of 10 with 8 and 2 events: mean squares 1.8 and 3.2 / 18 by hand."""
    found = intraclass_correlation([[2, 8], [8, 2]], np.array([[0.0, 1.0]]))[0]

    excess = 1.8 / (3.2 / 18) - 1
    assert found == pytest.approx(excess / (excess + 10))


def test_independent_rows_are_hardly_found_alike():
    """200 batches of 200 rows: the bound is a fraction of a per cent, in each of 50 columns."""
    rng = np.random.default_rng(20260107)

    found = [
        intraclass_correlation(rng.multinomial(200, [0.7, 0.3], 200), np.array([[0.0, 1.0]]))[0]
        for _ in range(50)
    ]

    assert 0 <= min(found) <= max(found) < 0.003


def test_batches_that_are_each_constant_are_wholly_alike():
    """No row adds to the first of its batch."""
    found = intraclass_correlation([[10, 0], [0, 10]] * 5, np.array([[0.0, 1.0]]))

    assert found.tolist() == [1.0]


@pytest.mark.parametrize("effect", [0.1, 0.2, 0.4])
def test_the_rows_needed_are_about_the_rows_it_takes(effect):
    """The median of 60 simulated normal columns, all bets together, within a factor of 1.5."""
    rng = np.random.default_rng(20260108)
    sample = rng.normal(size=50_000)
    column, log_mass = numeric_column("x", pd.Series(sample)), -14.0
    monitored = directions.numeric(
        np.array(count(column.codes(pd.Series(sample)), column.size), float), Tolerance(0.05, 1e-4)
    ).only("higher")
    bets, taken = place(monitored), []

    for _ in range(60):
        rows = column.codes(pd.Series(rng.normal(effect, 1, 25_000)))
        paths = log_mass + bets.log_weights.T + np.cumsum(bets.gains[0][:, rows], axis=1)
        taken.append(int(np.argmax(np.logaddexp.reduce(paths, axis=0) >= 0)) + 1)

    needed = rows_needed(effect, tolerated=0.05, log_mass=log_mass)
    assert needed / 1.5 <= np.median(taken) <= needed * 1.5


def test_the_rows_needed_are_those_of_the_formula():
    """2 ln(1 / mass) / (d - t)^2, the mass being that of the nearest bet: here of .2, of .1."""
    budget = math.exp(-16.0)

    for effect, weight in [(0.25, 0.3), (0.15, 0.25)]:
        found = rows_needed(effect, tolerated=0.05, log_mass=-16.0)
        assert found == math.ceil(2 * math.log(1 / (budget * weight)) / (effect - 0.05) ** 2)


@pytest.mark.parametrize("tolerated", [0.1, 0.2, math.inf])
def test_no_number_of_rows_shows_what_is_tolerated(tolerated):
    """A shift within the tolerance, or within what the reference does not know of itself."""
    assert rows_needed(0.1, tolerated=tolerated, log_mass=-16.0) == -1


@pytest.mark.parametrize("effect", [0, -0.1, math.nan])
def test_a_question_without_an_answer_is_refused(effect):
    """No shift."""
    with pytest.raises(ValueError, match="need a positive effect"):
        rows_needed(effect, tolerated=0.05, log_mass=-16.0)


@properties
@given(st.integers(0, 50), st.integers(1, 1000), st.floats(0.001, 0.5))
def test_the_null_gives_an_event_the_spread_of_its_tolerated_share(happened, others, slack):
    """The variance m (1 - m) of a coin, both for what may come more and what less often."""
    share = happened / (happened + others)
    more, less = min(share + slack, 1.0), max(share - slack, 0.0)
    both = Directions(
        ("more", "less"),
        np.array([[0.0, 1], [0, -1]]),
        np.array([share, -share]),
        np.zeros(2),
        np.array([more, -less]),
        np.full(2, 0.5),
    )
    seen = np.sqrt(share * (1 - share))
    known = Directions(
        both.names, both.values, both.means, np.full(2, seen), both.null_means, both.weights
    )

    found = spreads_of_null(known)

    assert found == pytest.approx(
        [max(seen, math.sqrt(m * (1 - m))) for m in (more, less)], abs=1e-6
    )


def test_rows_that_score_nothing_are_part_of_their_batch():
    """True negatives of F1: batches wander together, and the design effect is of all their rows.

    Sixty quiet runs of 100 batches. Counting only the rows that gain or lose, most raise an alarm.
    """
    rng, alarmed = np.random.default_rng(20260110), 0
    chances = np.array([0.78, 0.06, 0.06, 0.1])  # true negatives, and what F1 counts
    gained, possible = np.array([[0.0, 0, 0, 2]]), np.array([[0.0, 1, 1, 2]])

    def drawn(batches):
        wrong = np.clip(rng.normal(0.12, 0.03, batches), 0, 0.3)[:, None]
        rest = 1 - wrong
        right = chances[[0, 3]] / chances[[0, 3]].sum()
        cells = np.hstack([rest * right[0], wrong / 2, wrong / 2, rest * right[1]])
        return rng.multinomial(1000, cells)

    for _ in range(60):
        past = drawn(100)
        made = directions.fall(
            past.sum(axis=0).astype(float), gained, possible, ("f1",), np.array([0.02])
        )
        bets, alike = place(made), intraclass_correlation(past, made.values)
        grown, fed = growth(bets, drawn(100), alike), math.log(1 / 900)
        alarmed += wealth_over_time(grown, bets.log_weights, log_mass=fed).max() >= 0

    assert alarmed <= 0.11 * 60 + 2  # 100 of 900 days, one per cent for the reference


@properties
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 20)), min_size=1, max_size=6),
    st.floats(0, 0.25),
)
def test_paired_evidence_is_a_mean_of_products(kinds, margin):
    """Row by row: the product of 1 + stake (D + margin), weighed over the stakes."""
    differences, counts = zip(*kinds, strict=True)

    found = paired_evidence(differences, counts, margin=margin)

    stakes = [min(stake, MAX_LOSS / (1 - margin)) for stake in STAKES]
    products = [math.prod((1 + s * (d + margin)) ** n for d, n in kinds) for s in stakes]
    assert found == pytest.approx(float(STAKE_WEIGHTS @ products), rel=1e-9)
    assert STAKE_WEIGHTS.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("wins", "defeats", "margin"),
    [(0.07, 0.09, 0.02), in_full(0.075, 0.075, 0.0), in_full(0.45, 0.45, 0.0)],
)
def test_a_challenger_no_better_is_rarely_ever_believed_however_often_one_looks(
    wins, defeats, margin
):
    """Looked at every 10 labels up to 1000: at most 5 % of 200 runs ever reach 20."""
    rng = np.random.default_rng(20260109)
    steps = rng.multinomial(10, [wins, 1 - wins - defeats, defeats], size=(200, 100))

    ever = sum(
        any(paired_evidence([1, 0, -1], n, margin=margin) >= 20 for n in np.cumsum(run, axis=0))
        for run in steps
    )

    assert ever / 200 <= 0.05


def test_five_wins_never_suffice_and_eight_do():
    """The smallest of test sets cannot deploy anything, with no margin and no ties."""
    assert paired_evidence([1, 0, -1], [5, 0, 0]) < 20
    assert paired_evidence([1, 0, -1], [8, 0, 0]) >= 20


def test_an_equal_challenger_that_often_disagrees_is_proven_not_worse_in_time():
    """Three tenths of the rows in dispute, margin .01: in median within 60,000 rows."""
    rng = np.random.default_rng(20260111)
    tables = rng.multinomial(60_000, [0.15, 0.7, 0.15], 50)

    proven = [paired_evidence([1, 0, -1], table, margin=0.01) >= 20 for table in tables]

    assert np.mean(proven) >= 0.5


def test_overwhelming_evidence_is_finite():
    """A million wins in a row."""
    assert math.isfinite(paired_evidence([1], [1_000_000]))
    assert paired_evidence([-1], [1_000_000]) == 0


@pytest.mark.parametrize(
    ("differences", "counts", "margin", "message"),
    [
        ([1, 0], [1], 0.0, r"shapes \(2,\) and \(1,\)"),
        ([[1]], [[1]], 0.0, r"shapes \(1, 1\)"),
        ([1.1], [1], 0.0, "differences lie in"),
        ([math.nan], [1], 0.0, "differences lie in"),
        ([1], [-1], 0.0, "counts are not negative"),
        ([1], [1], -0.1, "margin in"),
        ([1], [1], 0.3, "margin in"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(differences, counts, margin, message):
    """Each for its own reason."""
    with pytest.raises(ValueError, match=message):
        paired_evidence(differences, counts, margin=margin)


@properties
@given(
    st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
    )
)
def test_wealth_survives_being_stored_bit_by_bit(rows):
    """Through JSON and back, with and without nothing."""
    wealth = np.array([*rows, [-np.inf, -2.5]])

    found = from_lists(json.loads(json.dumps(as_lists(wealth), allow_nan=False)))

    assert found.tobytes() == wealth.tobytes()


def test_an_empty_batch_only_feeds():
    """Time passes without rows."""
    bets = place(score([0.0, 1.0], null_mean=0.5, spread=0.5))

    found = advance(start(bets), bets, [0] * 2, log_mass=math.log(0.25), correlation=np.ones(1))

    assert log_total(found) == pytest.approx(math.log(0.25))


def times_reached(level, *, mass, take, runs=100, batches=1000, rows=20):
    """Count, in runs of a fifth of events, how often the wealth gets to a level from below."""
    fifth = Directions(
        ("more often",),
        np.array([[0.0, 1.0]]),
        np.array([0.2]),
        np.array([0.4]),
        np.array([0.2]),
        np.ones(1),
    )
    bets, rng = place(fifth), np.random.default_rng(20260607)
    wealth = np.full((runs, *bets.log_weights.shape), -np.inf)
    numbers, above = np.zeros(runs), np.zeros(runs, bool)
    for _ in range(batches):
        events = rng.binomial(rows, 0.2, runs)
        grown = growth(bets, np.stack([rows - events, events], axis=1), np.zeros(1))
        wealth = feed(wealth, bets, grown, log_mass=np.log(mass))
        reached = np.exp(np.logaddexp.reduce(wealth, axis=(1, 2))) >= level
        numbers += reached & ~above
        above = reached & (not take)
        wealth[reached & take] = -np.inf
    return numbers


def test_wealth_that_is_taken_away_bounds_how_often_it_is_reached():
    """At the very bound of the null, a budget of 20 in 1000 batches of 20 rows.

    It is used: two thirds of it come. A third as a threshold on a third of the wealth, which is
    left there, is reached half as often again as it may be.
    """
    taken = times_reached(1.0, mass=0.02, take=True)
    left = times_reached(1 / 3, mass=0.02 / 3, take=False)

    error = 3 / np.sqrt(len(taken))
    assert 10 < taken.mean() <= 20
    assert taken.std() <= np.sqrt(20)
    assert left.mean() - error * left.std() > 20
