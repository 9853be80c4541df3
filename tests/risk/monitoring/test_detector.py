import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from risk.config import Alarms, Columns, CostMatrix
from risk.monitoring import detector
from risk.monitoring.detector import Detector, Rules, State, Wealth
from risk.monitoring.profile import Profile
from risk.monitoring.reference import LABELLED, PREDICTION, Reference
from risk.monitoring.settling import History, settle
from risk.schema import ROW_HASH
from tests.torture import in_full

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NUMBERS = tuple(f"x{i}" for i in range(10))
COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=NUMBERS,
    categorical=("c",),
)
FEW = COLUMNS.model_copy(update={"numeric": ("x0", "x1")})
RULES = Rules(Alarms(), "f1", CostMatrix())


def rows(rng, n, *, shift=0.0, correlation=0.0, missing=0.0):
    """Make normal columns and a model that knows its rows; what moves is x3, or x3 with x4."""
    x = rng.normal(size=(n, len(NUMBERS)))
    proba = 1 / (1 + np.exp(1 - x[:, 0] - x[:, 1]))
    x[:, 4] = correlation * x[:, 3] + math.sqrt(1 - correlation**2) * x[:, 4]
    x[:, 3] += shift
    x[rng.random(n) < missing, 3] = np.nan
    labels = (rng.random(n) < proba).astype(float)
    levels = pd.array(rng.choice(list("abc"), n, p=[0.6, 0.3, 0.1]), dtype="str")
    frame = pd.DataFrame(x, columns=NUMBERS)
    return frame.assign(c=levels, y=labels, **{PREDICTION: proba})


def build(frame, columns=COLUMNS):
    return Reference.build(frame, columns, threshold=0.5, tolerance=0.05)


@pytest.fixture(scope="module")
def settled():
    """Give a reference of 100 batches of 200 rows that has learnt from them."""
    frame = rows(np.random.default_rng(20260501), 20_000)
    reference = build(frame)
    parts = [reference.count(frame[i : i + 200]) for i in range(0, len(frame), 200)]
    return settle(reference, History(parts), RULES)


@pytest.fixture(scope="module")
def small():
    """Give a reference of two numbers and a category, from 2000 rows at once."""
    return build(rows(np.random.default_rng(20260502), 2000), FEW)


def run(told, batches, *, step=DAY):
    """Return the state after some batches, and what was found in each."""
    state, found = detector.start(), []
    for i, batch in enumerate(batches):
        state, evidence = told.advance(state, batch, NOW + i * step)
        found.append(evidence)
    return state, found


def alarms(found):
    """Return batch, subject and direction of each alarm."""
    return [(i, e.subject, e.direction) for i, told in enumerate(found) for e in told if e.alarm]


@pytest.mark.parametrize("months", [1, in_full(3)])
def test_a_month_without_drift_is_a_month_without_alarm(settled, months):
    """Runs of 300 batches, ten a day: by the budget of 90 days one alarm at most."""
    rng, told = np.random.default_rng(20260503), Detector(settled, RULES)

    found = [
        alarms(run(told, [settled.count(rows(rng, 200)) for _ in range(300)], step=DAY / 10)[1])
        for _ in range(months)
    ]

    assert sum(map(len, found)) <= months // 3


def test_a_shift_of_a_quarter_of_a_standard_deviation_is_found_soon(settled):
    """In one of ten columns, 200 rows a batch: within eight of them, by name and direction."""
    rng, told = np.random.default_rng(20260504), Detector(settled, RULES)
    batches = [rows(rng, 200) for _ in range(20)] + [rows(rng, 200, shift=0.25) for _ in range(8)]

    _, found = run(told, [settled.count(b) for b in batches])

    first = alarms(found)[0]
    assert first[1:] == ("x3", "higher")
    assert 20 <= first[0] < 28


def test_the_evidence_comes_with_its_size_and_its_rows(settled):
    """By hand for the last batch: its mean normal score is its shift, roughly."""
    rng, told = np.random.default_rng(20260505), Detector(settled, RULES)
    batch = rows(rng, 1000, shift=-1.0, missing=0.02)

    _, [found] = run(told, [settled.count(batch)])

    first = next(e for e in found if e.subject == "x3" and e.direction == "lower")
    assert first.effect == pytest.approx(1, abs=0.12)
    assert first.n == batch["x3"].notna().sum()
    assert first.family == "data" and first.tolerance == 0.05
    assert first.now - first.before == pytest.approx(1, abs=0.12)
    assert first.rows_needed > 200


def test_a_correlation_that_appears_is_found(settled):
    """Neither column on its own has moved."""
    rng, told = np.random.default_rng(20260506), Detector(settled, RULES)
    quiet = [settled.count(rows(rng, 200)) for _ in range(5)]
    moved = [settled.count(rows(rng, 200, correlation=0.5)) for _ in range(10)]

    _, found = run(told, quiet + moved)

    first = alarms(found)[0]
    assert first[1:] == ("x3 and x4", "rise together")
    assert first[0] >= 5


def test_ninety_per_cent_newly_missing_are_found_at_once(settled):
    """In the first batch, and nothing is said about the values that are left."""
    rng, told = np.random.default_rng(20260507), Detector(settled, RULES)

    _, found = run(told, [settled.count(rows(rng, 200, missing=0.9))])

    assert alarms(found)[0] == (0, "x3", "missing more often")


def test_worse_labels_are_a_matter_of_the_model(settled):
    """Labels drawn by lot leave every column as it was."""
    rng, told = np.random.default_rng(20260508), Detector(settled, RULES)
    batches = [rows(rng, 200) for _ in range(10)]
    for batch in batches:
        batch["y"] = rng.permutation(batch["y"])

    _, found = run(told, [settled.count(b) for b in batches])

    first = next(e for told in found for e in told if e.alarm)
    assert (first.family, first.subject) == ("model", LABELLED)


def test_an_alarm_starts_its_own_subject_again_and_no_other(small):
    """What was known about the others is kept."""
    rng, told = np.random.default_rng(20260509), Detector(small, RULES)
    quiet = small.count(rows(rng, 500))
    moved = replace(quiet, counts=dict(quiet.counts) | {"c": (0, 0, 500, 0, 0, 0)})

    before, _ = told.advance(detector.start(), quiet, NOW)
    after, found = told.advance(before, moved, NOW + DAY)

    assert [e.subject for e in found if e.alarm] == ["c"]
    assert after.wealth.keys() == before.wealth.keys() - {"c"}
    assert found[0].subject == "c" and found[0].e_value >= 1


def test_weak_evidence_of_many_subjects_is_an_alarm_of_all_together(small):
    """Each below 1, their sum above: the strongest is named, and its family starts again."""
    rng, told = np.random.default_rng(20260510), Detector(small, RULES)
    state, _ = told.advance(detector.start(), small.count(rows(rng, 50)), NOW)
    worth = {"x0": 0.6, "x1": 0.8, "c": 0.7}
    high = {s: np.full_like(state.wealth[s].logs, -50) for s in worth}
    for subject, wealth in high.items():
        wealth[0, 0] = math.log(worth[subject])
    middle = {s: tuple(np.eye(len(small.profile.counts[s]), dtype=int)[10]) for s in ("x0", "x1")}
    row = Profile(1, middle | {"c": (1, 0, 0, 0, 0, 0)})

    rich = {s: Wealth(state.wealth[s].names, logs) for s, logs in high.items()}
    after, found = told.advance(State(state.wealth | rich, state.fed_at), row, NOW + DAY)

    assert sum(e.e_value for e in found) >= 1 > max(e.e_value for e in found)
    assert [(e.subject, e.alarm) for e in found] == [("x1", True), ("c", False), ("x0", False)]
    assert after.wealth.keys() == {s for s, w in told.monitored.items() if w.family == "model"}


def test_the_first_batch_and_those_of_a_backlog_count_the_usual_time(small):
    """The clock says nothing about when their rows came: as if they were a day apart."""
    rng, told = np.random.default_rng(20260511), Detector(small, RULES)
    batches = [small.count(rows(rng, 100)) for _ in range(3)]

    daily, _ = run(told, batches, step=DAY)
    at_once, _ = run(told, batches, step=timedelta(seconds=1))
    backwards, _ = run(told, batches, step=-DAY)
    hourly, _ = run(told, batches, step=DAY / 24)

    for subject, wealth in daily.wealth.items():
        assert (at_once.wealth[subject].logs == wealth.logs).all()
        assert (backwards.wealth[subject].logs == wealth.logs).all()
        assert (hourly.wealth[subject].logs < wealth.logs).all()


def test_twice_the_budget_is_a_head_start_of_log_two(small):
    """Everywhere, and nothing else changes."""
    rng = np.random.default_rng(20260512)
    batches = [small.count(rows(rng, 100)) for _ in range(3)]

    one, two = (
        run(Detector(small, replace(RULES, alarms=Alarms(false_alarm_budget=words))), batches)[0]
        for words in ("1 per year", "2 per year")
    )

    for subject, wealth in one.wealth.items():
        assert two.wealth[subject].logs - wealth.logs == pytest.approx(math.log(2), abs=1e-9)


def test_the_families_and_subjects_never_spend_more_than_the_budget(settled):
    """Shares of a family add up to at most 1, those of the families to 1."""
    told = Detector(settled, RULES)

    spent = {}
    for monitored in told.monitored.values():
        assert monitored.directions.weights.sum() == pytest.approx(1)
        share = math.exp(monitored.log_share)
        spent[monitored.family] = spent.get(monitored.family, 0) + share
    assert spent == pytest.approx({"data": 1, "model": 1})
    assert sum(90 / RULES.days_per_alarm(f) for f in detector.FAMILY_SHARES) == pytest.approx(1)


def test_a_domain_classifier_takes_its_share_from_the_data_alone(small):
    """And only where there is one: the other families keep theirs, the sum of each is 1."""
    told = Detector(small, RULES)
    before = {s: m.log_share for s, m in told.monitored.items()}

    told.monitor_domain([0, *[50] * 20, 0, 0])

    shares = {s: math.exp(m.log_share) for s, m in told.monitored.items()}
    data = [s for s, m in told.monitored.items() if m.family == "data"]
    assert shares[LABELLED] == math.exp(before[LABELLED]) == 1
    assert shares["x0"] == pytest.approx(0.9 * math.exp(before["x0"]))
    assert sum(shares[s] for s in data) == pytest.approx(1)


def test_a_state_survives_being_stored(small):
    """Bit by bit, so that a restart changes no decision."""
    rng, told = np.random.default_rng(20260513), Detector(small, RULES)
    state, _ = run(told, [small.count(rows(rng, 100)) for _ in range(3)])

    found = State.from_json(state.to_json())

    assert found.fed_at == state.fed_at
    assert found.wealth.keys() == state.wealth.keys()
    for subject, wealth in state.wealth.items():
        assert found.wealth[subject].names == wealth.names
        assert found.wealth[subject].logs.tobytes() == wealth.logs.tobytes()


def test_forgotten_subjects_are_no_longer_in_the_state(small):
    """The others are as they were."""
    rng, told = np.random.default_rng(20260514), Detector(small, RULES)
    state, _ = run(told, [small.count(rows(rng, 100))])

    found = state.without(["x0", "unheard of"])

    assert found.wealth.keys() == state.wealth.keys() - {"x0"}
    assert found.fed_at == state.fed_at


def test_ten_million_rows_of_a_shift_too_small_to_matter_raise_no_alarm(small):
    """A tenth of the tolerance, for which every test of significance would cry out."""
    rng, told = np.random.default_rng(20260518), Detector(small, RULES)
    column = small.subjects["x0"]
    sample = pd.Series(rng.normal(0.005, 1, 10_000_000))
    counts = np.bincount(column.codes(sample), minlength=column.size)

    _, [found] = run(told, [Profile(10_000_000, {"x0": tuple(counts.tolist())})])

    assert not found[0].alarm
    assert found[0].e_value < 1e-4  # less than it was fed with


@pytest.mark.parametrize("spoiled", [np.nan, 0.0])
def test_columns_that_are_always_missing_or_constant_are_no_trouble(spoiled):
    """Quiet as long as they stay so, and found when they do not."""
    rng = np.random.default_rng(20260519)
    frame = rows(rng, 2000).assign(x1=spoiled)
    reference = build(frame, FEW)
    parts = [reference.count(frame[i : i + 200]) for i in range(0, 2000, 200)]
    told = Detector(settle(reference, History(parts), RULES), RULES)

    _, quiet = run(told, [reference.count(rows(rng, 200).assign(x1=spoiled)) for _ in range(20)])
    _, found = run(told, [reference.count(rows(rng, 200)) for _ in range(3)])

    assert not alarms(quiet)
    assert "x1" in {subject for _, subject, _ in alarms(found)}


def test_subjects_without_rows_say_nothing(small):
    """Labels that have not come yet, and an empty batch."""
    rng, told = np.random.default_rng(20260520), Detector(small, RULES)
    unlabelled = small.count(rows(rng, 50).assign(y=np.nan))

    state, found = told.advance(detector.start(), unlabelled, NOW)
    after, none = told.advance(state, Profile(0, {"x0": (0,) * 24, "unheard of": (3,)}), NOW + DAY)

    assert {e.subject for e in found} == {"x0", "x1", "c", PREDICTION, "x0 and x1"}
    assert state.fed_at == {"data": NOW}
    assert none == [] and after.fed_at == state.fed_at


def test_evidence_is_kept_by_direction_and_forgotten_where_the_settings_changed_it():
    """Another metric or tolerance has other directions: they start again, nothing crashes."""
    sample = rows(np.random.default_rng(2), 400)
    reference = build(sample)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    state, _ = Detector(reference, RULES).advance(detector.start(), reference.count(sample), now)
    stricter = replace(RULES, metric="brier", alarms=Alarms(tolerance=0.4))

    after, _ = Detector(reference, stricter).advance(state, reference.count(sample), now)

    assert after.wealth[LABELLED].names != state.wealth[LABELLED].names
    assert set(after.wealth) == set(state.wealth)


NEVER_SEEN = {
    "missing number": ("x1", "missing more often"),
    "missing category": ("c", "missing more often"),
    "unseen level": ("c", "unseen levels"),
    "beyond the range": ("x1", "above every reference value"),
}


def with_the_never_seen(rng, n, kind, share):
    """Make rows of which a share is, in one column, what no earlier row was."""
    frame, hit = rows(rng, n), rng.random(n) < share
    column, _ = NEVER_SEEN[kind]
    value = {"unseen level": "new", "beyond the range": 99.0}.get(kind)
    return frame.assign(**{column: frame[column].mask(hit, value)})


def first_alarm(reference, batches):
    """Return the number of the batch, the subject and the direction of the first alarm."""
    _, found = run(Detector(reference, RULES), [reference.count(batch) for batch in batches])
    return next(iter(alarms(found)), None)


@pytest.mark.parametrize("kind", NEVER_SEEN)
def test_a_fifth_of_what_the_reference_never_contained_is_found_in_the_first_drop(kind):
    """Drops of 300 rows, a reference of 1,500; one missing cell in it made all the difference."""
    rng = np.random.default_rng(20260521)

    for _ in range(5):
        reference = build(rows(rng, 1500), FEW)
        found = first_alarm(reference, [with_the_never_seen(rng, 300, kind, 0.2)])

        assert found == (0, *NEVER_SEEN[kind])


@pytest.mark.parametrize(
    ("size", "least"), [(200, 0.058), (1000, 0.014), in_full(3000, 0.006)], ids=str
)
@pytest.mark.parametrize("kind", NEVER_SEEN)
def test_three_times_the_least_share_is_found_within_3000_rows(kind, size, least):
    """The median of nine streams in drops of 300, the least share being that of the null."""
    rng, found = np.random.default_rng(20260522), []

    for _ in range(9):
        reference = build(rows(rng, size), FEW)
        drops = [with_the_never_seen(rng, 300, kind, 3 * least) for _ in range(10)]
        found.append(first_alarm(reference, drops))

    in_time = [f[1:] == NEVER_SEEN[kind] for f in found if f]
    assert sum(in_time) >= 5
    assert all(in_time)


@pytest.mark.parametrize("seed", [20260523, *map(in_full, range(9))])
def test_what_is_rarer_than_the_reference_can_know_is_no_alarm(seed):
    """One row in 3,000, of which a reference of 1,000 may have none: ninety drops of 300."""
    rng = np.random.default_rng(seed)
    kind = list(NEVER_SEEN)[seed % 4]
    reference = build(with_the_never_seen(rng, 1000, kind, 1 / 3000), FEW)

    found = first_alarm(
        reference, (with_the_never_seen(rng, 300, kind, 1 / 3000) for _ in range(90))
    )

    assert found is None


def of_many_levels(rng, n, levels):
    """Make rows of a category whose levels are about equally common, and say nothing."""
    names = pd.array(rng.integers(levels, size=n).astype("str"), dtype="str")
    proba = rng.beta(2, 4, n)
    labels = (rng.random(n) < proba).astype(float)
    derived = {PREDICTION: proba, ROW_HASH: rng.integers(2**62, size=n)}
    return pd.DataFrame({"c": names, "y": labels}).assign(**derived)


ONE = COLUMNS.model_copy(update={"numeric": ()})
BY_SIZE = [in_full(levels, m) for levels in (50, 500, 5000) for m in (500, 10_000, 50_000)]


@pytest.mark.parametrize(("levels", "size"), [(100, 2000), *BY_SIZE])
def test_the_commonest_of_many_levels_raise_no_alarm_about_their_own_choice(levels, size):
    """Ten installations, 60 daily drops of 500; chosen and counted at once, nearly all alarmed."""
    rng, alarmed = np.random.default_rng(20260524), 0

    for _ in range(10):
        frame = of_many_levels(rng, size, levels)
        reference = build(frame, ONE)
        parts = [reference.count(frame[i : i + 500], own=True) for i in range(0, size, 500)]
        told = settle(reference, History(parts), RULES)
        drops = (of_many_levels(rng, 500, levels) for _ in range(60))
        alarmed += first_alarm(told, drops) is not None

    assert alarmed <= 1  # by the budget .4 x 60 / 90 of an alarm in each; the bound is not tight


def warnings_of(found):
    """Return batch, subject and since when it is warned of, of each warning."""
    return [
        (i, e.subject, e.warned_since) for i, told in enumerate(found) for e in told if e.warning
    ]


GENEROUS = replace(
    RULES, alarms=Alarms(false_alarm_budget="1 per year", warning_budget="1 per week")
)


def test_a_warning_comes_before_the_alarm_which_says_since_when(settled):
    """The alarm needs ln(365 / 7) = 4 nats more, and comes when it came without warnings."""
    rng, told = np.random.default_rng(20260601), Detector(settled, GENEROUS)
    batches = [settled.count(rows(rng, 200, shift=0.15 * (i >= 5))) for i in range(40)]

    _, found = run(told, batches)

    warned, alarmed = warnings_of(found)[0], alarms(found)[0]
    of_alarm = next(e for e in found[alarmed[0]] if e.alarm)
    assert warned[1] == alarmed[1] == "x3"
    assert 5 <= warned[0] < alarmed[0]
    assert of_alarm.warned_since == warned[2] == NOW + warned[0] * DAY
    equal = Alarms(false_alarm_budget="1 per year", warning_budget="1 per year")
    _, without = run(Detector(settled, replace(RULES, alarms=equal)), batches)
    assert (alarms(without)[0], warnings_of(without)) == (alarmed, [])


def test_a_warning_takes_its_wealth_and_an_alarm_does_too(settled):
    """By hand: after a warning its subject has none, while that of the alarm goes on."""
    rng, told = np.random.default_rng(20260602), Detector(settled, GENEROUS)
    state, seen = detector.start(), {"warning": 0, "alarm": 0}
    for i in range(40):
        before, batch = state, settled.count(rows(rng, 200, shift=0.15))
        state, found = told.advance(state, batch, NOW + i * DAY)
        for e in found:
            seen["warning"] += e.warning
            seen["alarm"] += e.alarm
            assert (e.subject in state.warning_wealth) is not (e.warning or e.alarm)
            assert (e.subject in state.wealth) is not e.alarm
            assert not (e.warning and e.alarm)
            assert (e.subject in state.warned) is (e.warned_since is not None and not e.alarm)
        assert before.fed_at.keys() <= state.fed_at.keys()

    assert min(seen.values()) > 0


def test_a_warning_ends_when_the_evidence_is_gone(settled):
    """A passing shift: it is warned of, and no more when the rows are as before."""
    rng, told = np.random.default_rng(20260603), Detector(settled, GENEROUS)
    state, until = detector.start(), 0
    while not state.warned:
        state, found = told.advance(
            state, settled.count(rows(rng, 200, shift=0.15)), NOW + until * DAY
        )
        until += 1
    stands = []
    for i in range(until, until + 30):
        state, found = told.advance(state, settled.count(rows(rng, 200)), NOW + i * DAY)
        stands.append(any(e.warned_since for e in found))

    assert not any(e.alarm for e in found)
    assert stands[0] and not stands[-1] and not state.warned
    assert sorted(stands, reverse=True) == stands


def test_the_state_of_before_there_were_warnings_goes_on(settled):
    """It has no second wealth: that one starts at nothing, the alarms keep their evidence."""
    rng, told = np.random.default_rng(20260604), Detector(settled, GENEROUS)
    state, _ = run(told, [settled.count(rows(rng, 200)) for _ in range(3)])
    old = json.loads(state.to_json())
    del old["warning_wealth"], old["warned"]
    batch = settled.count(rows(rng, 200))

    after, found = told.advance(State.from_json(json.dumps(old)), batch, NOW + 3 * DAY)
    new, same = told.advance(state, batch, NOW + 3 * DAY)

    assert [(e.subject, e.e_value) for e in found] == [(e.subject, e.e_value) for e in same]
    assert after.warning_wealth.keys() == new.warning_wealth.keys()
    assert all(
        (after.warning_wealth[s].logs <= new.warning_wealth[s].logs).all()
        for s in after.warning_wealth
    )


def test_a_state_with_warnings_survives_as_json(settled):
    """To the bit, also what stands."""
    rng, told = np.random.default_rng(20260605), Detector(settled, GENEROUS)
    state = detector.start()
    for i in range(40):
        state, _ = told.advance(state, settled.count(rows(rng, 200, shift=0.15)), NOW + i * DAY)
        if state.warned:
            break

    again = State.from_json(state.to_json())

    assert state.warned and again.warned == state.warned
    assert all(
        np.array_equal(again.warning_wealth[s].logs, own.logs)
        for s, own in state.warning_wealth.items()
    )
    assert not again.without(["x3"]).warned
    assert "x3" not in again.without(["x3"]).warning_wealth


@pytest.mark.parametrize("months", [4, in_full(200)])
def test_the_number_of_warnings_in_quiet_months_keeps_to_the_budget(settled, months):
    """One a month is the default; at most that and two standard deviations of a Poisson count."""
    rng, told = np.random.default_rng(20260606), Detector(settled, RULES)
    numbers = []
    for _ in range(months):
        quiet = [settled.count(rows(rng, 200)) for _ in range(30)]
        numbers.append(len(warnings_of(run(told, quiet)[1])))

    assert sum(numbers) <= months + 2 * math.sqrt(months)
