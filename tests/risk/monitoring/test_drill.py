"""The drill against the truth: the same changes made to rows."""

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import diagnostics
from demo import customers, replay
from demo.customers import Story
from risk.config import Config, MustFind
from risk.ledger.assessments import Case
from risk.ledger.ledger import Ledger
from risk.ledger.tables import drills
from risk.models import releases
from risk.monitoring import detector, drill, monitored_release, planted
from risk.monitoring.alarm_budget import Rules
from risk.monitoring.detector import Detector
from risk.monitoring.drill import Drill, Result
from risk.monitoring.reference import LABELLED, PREDICTION
from risk.schema import ROW_HASH

DAY = timedelta(days=1)
EVE = datetime.combine(date(2025, 12, 31), replay.MIDNIGHT)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Give an installation with its first release, trained on four quiet weeks."""
    script = replay.Script(Story(days=1), reports=False)
    config = replay.build_world(tmp_path_factory.mktemp("drill") / "world", script)
    replay.run_at(config, EVE)
    return config


@pytest.fixture(scope="module")
def release(config):
    return monitored_release.load(config)


@pytest.fixture(scope="module")
def changes(release):
    return planted.changes(release)


@pytest.fixture(scope="module")
def asked(config):
    """Ask for a drill that must find 5 % missing within a minute, which no daily drop allows."""
    must_find = MustFind(days=0.001, missing=0.05)
    alarms = config.alarms.model_copy(update={"must_find": must_find})
    strict = config.model_copy(update={"alarms": alarms})
    options = dict.fromkeys(("budget", "tolerance", "acknowledge", "resolve", "explain"))
    with Ledger.open(config, upgrade=False) as ledger:
        return diagnostics.from_options(
            strict, ledger, latest=False, replay=False, drill=True, fail_on="blind", **options
        )


@pytest.fixture(scope="module")
def drilled(asked):
    return asked.drill


@pytest.fixture(scope="module")
def patient(config):
    """Drill for twice as long, until each start has found what half of them find in sixty days."""
    with pytest.MonkeyPatch.context() as patch, Ledger.open(config, upgrade=False) as ledger:
        patch.setattr(drill, "MAX_DAYS", 120.0)
        return drill.run(config, ledger)


def load_copy(config, folder):
    """Copy an installation, for a test that changes it."""
    shutil.copytree(config.root, folder / "copy", symlinks=True)
    return Config.load(folder / "copy" / config.file_name)


def quiet_rows(size, *, seed=1):
    rng = np.random.default_rng(seed)
    x = customers.customers(size, campaign=False, rng=rng)
    exited = rng.random(size) < customers.exit_probability(x, price_rise=False)
    unknown = rng.random(size) < customers.MISSING_TICKETS
    x["support_tickets"] = x["support_tickets"].astype("Int64").mask(unknown)
    hashes = rng.integers(2**62, size=size)
    features = {
        name: x[name].astype("float64" if name in customers.NUMERIC else "str") for name in x
    }
    return pd.DataFrame(features).assign(exited=exited.astype(float), **{ROW_HASH: hashes})


def counted(release, rows):
    return release.reference.count(release.frame(rows, release.predictions(rows)))


def result_of(drilled, subject, kind, size):
    (found,) = (
        each
        for each in drilled.results
        if (each.subject, each.kind) == (subject, kind) and each.size == pytest.approx(size)
    )
    return found


def really_changed(release, rows, subject, kind, size):
    """Change rows as a feed would."""
    values, rng = rows[subject], np.random.default_rng(5)
    chosen = rng.random(len(rows)) < size
    changed = {
        "shift": lambda: np.floor(values + size * values.std() + rng.random(len(rows))),
        "spread": lambda: np.floor(
            values.mean() + size * (values - values.mean()) + rng.random(len(rows))
        ),
        "scale": lambda: values * size,
        "missing": lambda: values.mask(chosen),
        "unseen": lambda: values.mask(chosen, "elsewhere"),
    }[kind]()
    return rows.assign(**{subject: changed})


def really_erring(release, rows, subject, kind, size):
    """Turn labels that the model got right, as many of either prediction."""
    positive = release.champion.predict_proba(rows) >= release.reference.threshold
    right = positive == rows.exited.to_numpy(bool)
    wanted, among_positive = round(size * len(rows)), np.flatnonzero(right & positive)
    some = among_positive[: wanted // 2]
    turned = [*some, *np.flatnonzero(right & ~positive)[: wanted - len(some)]]
    exited = rows.exited.to_numpy(copy=True)
    exited[turned] = 1 - exited[turned]
    return rows.assign(exited=exited)


@pytest.mark.parametrize(
    ("subject", "kind", "size"),
    [
        ("lastmonth_activity", "shift", 0.5),
        ("tenure_months", "spread", 1.5),
        ("number_of_employees", "scale", 100.0),
        ("support_tickets", "missing", 0.2),
        ("region", "unseen", 0.2),
        ("plan", "missing", 1.0),
    ],
)
def test_planted_counts_are_those_of_rows_really_changed(release, changes, subject, kind, size):
    """Of the column, of the predictions and of each pair: shares differ by no more than noise."""
    rows = quiet_rows(20_000)
    (change,) = (
        each for each in changes if (each.subject, each.kind, each.size) == (subject, kind, size)
    )

    made = change.apply(counted(release, rows)).counts
    truth = counted(release, really_changed(release, rows, subject, kind, size)).counts

    assert {subject, PREDICTION} <= set(made)
    for name, counts in made.items():
        assert sum(counts) == pytest.approx(sum(truth[name]))
        apart = np.abs(np.array(counts) - truth[name]).sum() / 2 / sum(counts)
        assert apart < 0.06, name


@pytest.mark.parametrize("more", planted.ERRORS)
def test_turned_labels_add_the_errors_asked_for_and_keep_the_base_rate(release, changes, more):
    """Half of them among the rows predicted positive."""
    batch = counted(release, quiet_rows(5000))
    (change,) = (e for e in changes if (e.kind, e.size) == ("errors", more))

    before, after = (
        np.array(profile.counts[LABELLED]).reshape(-1, 2)
        for profile in (batch, change.apply(batch))
    )

    prediction = next(c for c in release.reference.columns if c.name == PREDICTION)
    first = int(prediction.codes(pd.Series([release.reference.threshold]))[0])
    errors = [(t[first:, 0].sum() + t[:first, 1].sum()) / t.sum() for t in (before, after)]
    assert errors[1] - errors[0] == pytest.approx(more)
    assert after[:, 1].sum() == pytest.approx(before[:, 1].sum())


def test_what_is_large_is_found_at_once_and_named(drilled):
    """20 % newly missing, half a standard deviation, a level never seen."""
    assert drilled.is_optimistic  # there are no batches yet
    for subject, kind, size in (
        ("support_tickets", "missing", 0.2),
        ("tenure_months", "shift", 0.5),
        ("region", "unseen", 0.2),
    ):
        found = result_of(drilled, subject, kind, size)
        assert found.drops <= 2
        assert found.named == 1.0


def test_a_change_within_the_tolerance_is_not_found_and_it_says_why(drilled):
    """Two points of error are hardly more than what is tolerated and doubted."""
    small = result_of(drilled, LABELLED, "errors", 0.02)

    assert small.drops is None
    assert small.obstacle in ("tolerance", "reference", "volume")


@pytest.mark.parametrize("more", planted.ERRORS)
def test_with_labels_thirty_days_late_errors_are_found_thirty_days_later(drilled, patient, more):
    """Thirty daily drops, if that is within sixty days."""
    at_once, late = (result_of(drilled, LABELLED, kind, more) for kind in ("errors", "late_errors"))

    if late.drops is None:
        assert at_once.drops is None or at_once.drops > 20
    else:
        assert abs(late.drops - 30 - at_once.drops) <= max(0.3 * at_once.drops, 1.0)
        assert result_of(patient, LABELLED, "late_errors", more).named == 1.0


def test_of_drops_every_ten_minutes_the_wait_for_labels_is_not_played(release, config):
    """4,320 drops before the labels come; then at once, for all labels are wrong."""
    monitor = Detector(release.reference, Rules.of(config))
    right = counted(release, quiet_rows(2000))
    turned = counted(release, quiet_rows(2000).assign(exited=lambda rows: 1 - rows.exited))
    wrong = planted.Planted(LABELLED, "late_errors", 1.0, lambda _: turned, planted.LABELS_LATE)
    minutes, extent = timedelta(minutes=10), drill.Extent(starts=2, drops=5)

    soon = drill.drilled(wrong, monitor, [right], minutes, extent)
    never = drill.drilled(wrong, monitor, [right], timedelta(days=90), extent)

    assert (soon.drops, soon.days, soon.named) == (4321.0, pytest.approx(4321 / 144), 1.0)
    assert never.drops is None


def result(kind, size, days):
    return Result("x", kind, size, days, days, 1.0)


def test_what_must_be_found_is_missed_if_it_is_late():
    """Smaller changes and other kinds need not be found."""
    must = MustFind(missing=0.2, shift=0.5, errors=0.08, days=7)
    results = (
        result("missing", 0.05, None),
        result("missing", 0.2, 7.0),
        result("missing", 1.0, 8.0),
        result("shift", 0.5, None),
        result("scale", 100.0, None),
    )

    late = drill.missed(Drill(results, 1, 10, 100, 1.0, is_optimistic=False), must)

    assert [(each.kind, each.size) for each in late] == [("missing", 1.0), ("shift", 0.5)]


def test_the_command_fails_if_it_is_to_and_something_is_found_too_late(asked):
    """The last sentence says what."""
    assert asked.exit_code == 3
    assert str(asked).startswith("Fire drill of release 1: drops until a change is found")
    last = str(asked).split("\n\n")[-1]
    assert last.startswith("Not found in time, although the setting alarms.must_find names them: ")
    assert "lastmonth_activity 5% missing" in last


def recorded(config):
    with Ledger.open(config, upgrade=False) as ledger:
        return ledger.drills.page().items


def test_a_run_that_makes_a_release_ends_with_a_drill_of_it(config):
    """Of its training data at first, which is optimistic; a second run has nothing to add."""
    (found,) = recorded(config)
    assert (found["version"], found["n_batches"], found["run_id"]) == (1, 0, 1)
    assert found["drill"]["is_optimistic"]

    with Ledger.open(config) as ledger:
        drill.keep_current(config, ledger)
        told = drill.newest(ledger, 1)

    assert len(recorded(config)) == 1
    assert result_of(told, "support_tickets", "missing", 0.2).drops == 1.0


def test_a_release_is_drilled_again_when_its_quiet_batches_have_doubled(config, release, tmp_path):
    """From ten on; a batch with an alarm is not quiet."""
    copy = load_copy(config, tmp_path)
    profile = counted(release, quiet_rows(300)).to_json()
    quiet = Case(1, 300, profile, detector.start().to_json(), None, [])
    alarm = {"check_name": "x", "method": "y", "drift_detected": True, "n": 1, "detail": "x moved"}
    with Ledger.open(copy) as ledger:
        for number in range(1, 26):
            ledger.runs.start()
            ledger.assessments.record(replace(quiet, findings=[alarm] if number == 3 else []))
            drill.keep_current(copy, ledger)
        done = ledger.drills.page().items

    assert [(each["run_id"], each["n_batches"]) for each in done] == [(22, 20), (12, 10), (1, 0)]
    assert not done[0]["drill"]["is_optimistic"]


def test_where_there_is_too_much_to_drill_what_must_be_found_is_planted(config):
    """The others are counted, and keep their order."""
    with Ledger.open(config, upgrade=False) as ledger:
        whole = drill.run(config, ledger, drill.BRIEF)
        must_find = {(r.subject, r.kind, r.size) for r in drill.missed(whole, MustFind(days=1e-9))}
        some = drill.run(config, ledger, replace(drill.BRIEF, changes=len(must_find)))

    assert {(r.subject, r.kind, r.size) for r in some.results} == must_find
    assert some.n_left_out == len(whole.results) - len(must_find)
    order = [r.subject for r in whole.results]
    assert [*map(order.index, (r.subject for r in some.results))] == sorted(
        map(order.index, (r.subject for r in some.results))
    )


def test_a_drill_that_cannot_be_done_keeps_no_run_from_its_end(config, tmp_path, caplog):
    """It says why, and the next run tries again."""
    copy = load_copy(config, tmp_path)
    with Ledger.open(copy) as ledger:
        with ledger.database.begin() as connection:
            connection.execute(drills.delete())
        (releases.live_folder(copy.deployment_folder) / "trained_model.pkl").write_bytes(b"x")
        drill.keep_current(copy, ledger)

        assert ledger.drills.page().items == []
    assert "no drill of release 1: " in caplog.text


@pytest.mark.torture
@pytest.mark.parametrize(
    ("subject", "kind", "size"),
    [
        ("number_of_employees", "shift", 0.25),
        ("tenure_months", "shift", 0.25),
        ("support_tickets", "missing", 0.05),
        (LABELLED, "late_errors", 0.08),
    ],
)
def test_the_drilled_delay_is_the_true_one(config, release, drilled, subject, kind, size):
    """Within 30 % or one drop of the median over changes really made to new rows."""
    monitor, delays = Detector(release.reference, Rules.of(config)), []
    change = really_erring if kind == "late_errors" else really_changed
    wait = planted.LABELS_LATE.days if kind == "late_errors" else 0

    def rows_of(seed):
        return quiet_rows(drilled.rows_per_drop, seed=seed)

    waiting = [counted(release, rows_of(10**6 + seed)) for seed in range(10 * wait)]
    for start in range(200):
        state = detector.start()
        for number in range(1, 61):
            if number <= wait:
                batch = waiting[start % 10 * wait + number - 1]
            else:
                rows = rows_of(1000 * start + number)
                batch = counted(release, change(release, rows, subject, kind, size))
            state, found = monitor.advance(state, batch, EVE + number * DAY)
            if any(e.alarm for e in found):
                break
        delays.append(number)

    true, told = np.median(delays), result_of(drilled, subject, kind, size).drops
    assert abs(told - true) <= max(0.3 * true, 1.0)
