import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.stats import binomtest

import ingestion
import training
from risk.ledger.assessments import Case
from risk.models import model, releases, training_data
from risk.models.dating import INGESTION, Change
from risk.schema import ROW_HASH
from tests.factories import HEADER, first_release, once

TAKEN_FOR_GRANTED_AFTER = 3


def rows(name, n, *, label=None):
    """Make n customers, every second one leaving, or all with one label."""
    truth = [i % 2 if label is None else label for i in range(n)]
    return HEADER + "".join(
        f"{name}{i},{i},{7 * i % 13},{i % 5},{y}\n" for i, y in enumerate(truth)
    )


@pytest.fixture
def inbox(world, ledger):
    """Give a world that accepted one drop of 40 rows, and has no champion."""
    world.take_from_inbox()
    world.drop("1.csv", rows("a", 40))
    ingestion.run(world.config, ledger)
    return world


def deploy(world):
    world.take_from_inbox()
    world.drop("1.csv", rows("a", 40))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


@pytest.fixture
def deployed(world, shared):
    """Give a world whose champion learnt that drop."""
    return world.copy_of(once(shared, "learnt_40", deploy))


def bring(world, ledger, name, text):
    world.drop(name, text)
    (intake,) = ingestion.run(world.config, ledger).intakes
    return intake


def break_feed(ledger, *numbers, method="e_detector", detected=True):
    """Record that a feature was broken in these ingestions, each looked at in a run of its own."""
    for number in numbers:
        ledger.runs.start()
        finding = {"check_name": "data_quality", "method": method, "drift_detected": detected}
        finding["tier"] = "alarm" if detected else "none"
        more = {"feature": "lastmonth_activity", "n": 9, "detail": "missing more often"}
        case = Case(1, 9, "{}", "{}", None, [number], findings=[finding | more])
        ledger.assessments.record(case)


def names(frame):
    return frame["corporation"].tolist()


def arrival(name):
    return name[0], int(name[1:])


def test_accepted_rows_come_in_order_with_the_number_of_their_drop(inbox, ledger):
    """The newest are kept for the gate, so the order is that of arrival."""
    bring(inbox, ledger, "0.csv", rows("b", 2))

    found = training_data.accepted(inbox.config, ledger, [1, 2])

    assert names(found) == [*(f"a{i}" for i in range(40)), "b0", "b1"]
    assert found[INGESTION].tolist() == [1] * 40 + [2] * 2


def test_no_ingestion_has_no_rows_but_all_columns(inbox, ledger):
    """Whoever asks for nothing can still ask for its labels."""
    found = training_data.accepted(inbox.config, ledger, [])

    assert len(found) == 0
    assert {"exited", "corporation", INGESTION} <= set(found)


def test_a_label_that_came_later_is_put_into_its_row_alone(inbox, ledger):
    """What came with the row stays; what is still unknown stays unknown."""
    bring(inbox, ledger, "2.csv", HEADER + "x,1,2,3,\ny,1,2,3,\nz,1,2,3,0\n")
    bring(inbox, ledger, "3.csv", "corporation,exited\ny,1\n")

    found = training_data.accepted(inbox.config, ledger, [2])

    labels = [None if pd.isna(label) else label for label in found["exited"]]
    assert labels == [None, 1, 0]


def test_without_a_champion_every_ripe_row_is_learnt(inbox, ledger):
    """The first model has no rival to be compared with."""
    bring(inbox, ledger, "2.csv", HEADER + "x,1,2,3,\n")

    split = training_data.split(inbox.config, ledger)

    assert (len(split.rows), len(split.held_out), split.through) == (40, 0, 2)


def test_the_newest_fifth_of_what_the_champion_has_not_seen_is_kept(deployed, ledger):
    """Thirty rows came in two drops: the last six are kept, the others are recent."""
    bring(deployed, ledger, "2.csv", rows("b", 10))
    bring(deployed, ledger, "3.csv", rows("c", 20))

    split = training_data.split(deployed.config, ledger)

    assert names(split.held_out) == [f"c{i}" for i in range(14, 20)]
    assert names(split.recent) == [*(f"b{i}" for i in range(10)), *(f"c{i}" for i in range(14))]
    assert len(split.rows) == 40 + 24


def test_after_a_change_only_rows_since_then_are_kept(deployed, ledger):
    """Older ones would not tell which model fits the world as it is now."""
    bring(deployed, ledger, "2.csv", rows("b", 100))
    bring(deployed, ledger, "3.csv", rows("c", 10))

    split = training_data.split(deployed.config, ledger, since=Change(3))

    assert names(split.held_out) == ["c8", "c9"]
    assert len(split.rows) == 40 + 100 + 8


def test_what_is_learnt_and_what_is_kept_never_overlap(deployed, ledger):
    """Together they are every ripe row, once."""
    bring(deployed, ledger, "2.csv", rows("b", 33))

    split = training_data.split(deployed.config, ledger)

    assert not set(names(split.rows)) & set(names(split.held_out))
    assert len(split.rows) + len(split.held_out) == 73


def test_a_sample_is_uniform_and_seeded_and_grows_with_the_rows(inbox, ledger):
    """One part at a time is read; of a later sample nearly all rows are in an earlier one."""
    bring(inbox, ledger, "2.csv", rows("b", 3000))
    bring(inbox, ledger, "3.csv", rows("c", 3000))
    config = inbox.set(training__max_rows=1000)

    before = training_data.split(config, ledger)
    again = training_data.split(config, ledger)
    other = training_data.split(inbox.set(random_seed=7), ledger)
    bring(inbox, ledger, "4.csv", rows("d", 500))
    after = training_data.split(config, ledger)

    from_second = sum(name.startswith("b") for name in names(before.rows))
    assert (len(before.rows), before.drawn_from) == (1000, 6040)
    assert binomtest(from_second, 1000, 3000 / 6040).pvalue > 0.001
    assert names(again.rows) == names(before.rows) == sorted(names(before.rows), key=arrival)
    assert len({*names(other.rows)} & {*names(before.rows)}) < 300
    assert {name for name in names(after.rows) if name[0] != "d"} < {*names(before.rows)}


def test_a_sample_does_not_depend_on_how_many_rows_are_read_at_once(inbox, ledger, monkeypatch):
    """While it is drawn part after part, no row of the whole's sample is thrown away."""
    for number in range(2, 10):
        bring(inbox, ledger, f"{number}.csv", rows(f"r{number}-", 400))
    config = inbox.set(training__max_rows=1000)
    at_once = training_data.split(config, ledger)

    monkeypatch.setattr(training_data, "MAX_ROWS", 100)
    in_turn = training_data.split(config, ledger)

    assert (len(in_turn.rows), in_turn.drawn_from) == (1000, 3240)
    assert_frame_equal(in_turn.rows, at_once.rows)
    numbers = [*config.columns.numeric]
    assert_frame_equal(
        *(seen[numbers].agg(["min", "max"]) for seen in (in_turn.seen(), at_once.seen()))
    )


def test_the_outermost_values_are_known_of_all_rows(deployed, ledger):
    """No feed is suspected of a value that came in sound rows once, drawn or not."""
    bring(deployed, ledger, "2.csv", rows("b", 3000).replace("b7,7,", "b7,9999,"))

    split = training_data.split(deployed.set(training__max_rows=1000), ledger)

    activity = "lastmonth_activity"
    seen = split.seen()[activity]
    assert (seen.min(), seen.max()) == (0, 9999)
    assert split.rows[activity].max() < 9999  # by chance: one row of three is drawn
    assert len(split.rows) == 1000
    assert 1600 < len(split.seen()) <= 1600 + 2 * 3  # with those held out
    assert not split.seen()[ROW_HASH].duplicated().any()


@pytest.mark.parametrize(("n_since", "n_drawn"), [(400, 320), (2000, 500), (9000, 7200 / 10_240)])
def test_a_sample_has_enough_rows_since_a_change_to_answer_it(deployed, ledger, n_since, n_drawn):
    """All of few; half the sample of more; their share of all where that is even larger."""
    bring(deployed, ledger, "2.csv", rows("b", 3000))
    bring(deployed, ledger, "3.csv", rows("c", n_since))
    config = deployed.set(training__max_rows=1000)

    split = training_data.split(config, ledger, since=Change(3))

    since, before = split.changed, split.rows[~split.is_changed]
    assert (len(split.rows), len(split.held_out)) == (1000, n_since // 5)
    assert split.drawn_from == 3040 + n_since
    if n_since < 9000:
        assert len(since) == n_drawn
    else:
        assert binomtest(len(since), 1000, n_drawn).pvalue > 0.001
    assert {*since[INGESTION]} == {3}
    assert {*before[INGESTION]} == {1, 2}
    assert names(split.held_out) == [f"c{i}" for i in range(n_since - n_since // 5, n_since)]
    assert names(split.rows) == sorted(names(split.rows), key=arrival)
    early = sum(name.startswith("b") and int(name[1:]) < 1500 for name in names(before))
    assert binomtest(early, len(before), 1500 / 3040).pvalue > 0.001


def test_more_rows_since_a_change_are_no_reason_to_hold_out_fewer(deployed, ledger):
    """The gate's evidence is drawn from all rows, not from those of a small sample."""
    bring(deployed, ledger, "2.csv", rows("b", 3000))

    split = training_data.split(deployed.set(training__max_rows=1000), ledger)

    assert names(split.held_out) == [f"b{i}" for i in range(2400, 3000)]
    assert not {*names(split.held_out)} & {*names(split.rows)}
    assert len(split.rows) == 1000


def test_a_sample_larger_than_the_rows_is_all_of_them(deployed, ledger):
    """Nothing is different from a training without a limit."""
    bring(deployed, ledger, "2.csv", rows("b", 30))
    without = training_data.split(deployed.config, ledger)

    split = training_data.split(deployed.set(training__max_rows=1000), ledger)

    assert_frame_equal(split.rows, without.rows)
    assert_frame_equal(split.held_out, without.held_out)
    assert_frame_equal(split.seen(), without.seen())
    assert split.drawn_from is None


def test_parts_are_read_until_there_are_enough_rows():
    """The one that completes them included; all, if there are too few."""
    sizes = {1: 40, 2: 10, 3: 20}
    found = [training_data.enough([1, 2, 3], sizes, n) for n in (1, 40, 41, 70, 71)]

    assert found == [[1], [1], [1, 2], [1, 2, 3], [1, 2, 3]]
    assert training_data.enough([3, 2, 1], sizes, 30) == [3, 2]
    assert training_data.enough([], sizes, 30) == []


def test_parts_with_labels_are_known_with_the_number_of_these(deployed, ledger):
    """That came since a drop: with the rows, or later; of rows from before, only the later ones."""
    config = deployed.config
    bring(deployed, ledger, "2.csv", rows("b", 5))
    bring(deployed, ledger, "3.csv", rows("c", 10))
    unlabelled = rows("d", 4).replace(",0\n", ",\n").replace(",1\n", ",\n")
    bring(deployed, ledger, "4.csv", unlabelled)
    since_1 = training_data.labelled_parts(config, ledger, after=1)
    bring(deployed, ledger, "5.csv", "corporation,exited\nd0,1\nd3,0\n")

    assert since_1 == ([2, 3], {2: 5, 3: 10})
    assert training_data.labelled_parts(config, ledger, after=1) == ([2, 3, 4], {2: 5, 3: 10, 4: 2})
    assert training_data.labelled_parts(config, ledger, after=4) == ([4], {4: 2})
    assert training_data.parts_labelled_after(config, ledger, 1) == [2, 3, 4]
    assert len(training_data.sound_rows(config, ledger, [2, 3, 4], labelled_after=1)) == 17


def test_not_more_is_kept_than_the_gate_needs(deployed, ledger, monkeypatch):
    """Of a million rows a fifth would be wasted on it."""
    monkeypatch.setattr(training_data, "MAX_KEPT", 4)
    bring(deployed, ledger, "2.csv", rows("b", 50))

    assert len(training_data.split(deployed.config, ledger).held_out) == 4


def test_rows_of_the_test_data_are_neither_learnt_nor_kept(deployed, ledger):
    """Nor given to the gate a second time as new rows."""
    bring(deployed, ledger, "2.csv", deployed.config.test_data.read_text())

    split = training_data.split(deployed.config, ledger)
    champion = releases.load_champion(deployed.config).manifest

    assert split.rows_left_out == 5
    assert (len(split.rows), len(split.held_out)) == (40, 0)
    assert training_data.unlearnt(deployed.config, ledger, champion, b"").empty


def test_doubtful_drops_are_neither_learnt_nor_kept_nor_judged_by(deployed, ledger):
    """A feature was broken in the second drop; what it says of the world is not believed."""
    bring(deployed, ledger, "2.csv", rows("b", 10))
    bring(deployed, ledger, "3.csv", rows("c", 10))
    break_feed(ledger, 2)

    split = training_data.split(deployed.config, ledger)
    champion = releases.load_champion(deployed.config).manifest
    judged = training_data.unlearnt(deployed.config, ledger, champion, b"")

    assert len(split.rows) == 40 + 8
    assert names(split.held_out) == ["c8", "c9"]
    assert names(judged) == [f"c{i}" for i in range(10)]


@pytest.mark.parametrize(
    ("method", "detected", "expected"),
    [
        ("e_detector", True, {2}),
        ("constant", True, {2}),
        ("e_detector", False, set()),
        ("refused rows", True, set()),
    ],
)
def test_a_drop_is_doubtful_if_one_of_its_features_was_broken(
    deployed, ledger, method, detected, expected
):
    """Rows that were refused are not among the accepted ones, which are sound."""
    bring(deployed, ledger, "2.csv", rows("b", 3))

    break_feed(ledger, 2, method=method, detected=detected)

    assert ledger.parts.doubtful(TAKEN_FOR_GRANTED_AFTER) == expected


def open_incident(ledger, times_seen, *, first=2, last=5, feature="lastmonth_activity"):
    span = {"since_ingestion_id": first, "last_ingestion_id": last, "times_seen": times_seen}
    told = {"kind": "data_quality", "subject": feature, "severity": "large", "detail": "d"}
    ledger.incidents.open({"version": 1, **told, **span})


@pytest.fixture
def broken(deployed, ledger):
    """Give a world in which one feature was broken in drops 2 to 6."""
    for number in range(2, 7):
        bring(deployed, ledger, f"{number}.csv", rows(f"n{number}", 3))
    break_feed(ledger, *range(2, 7))
    return deployed


@pytest.mark.parametrize(("times_seen", "expected"), [(3, {2, 3, 4, 5, 6}), (4, {6})])
def test_what_was_broken_so_often_is_the_new_normal(broken, ledger, times_seen, expected):
    """A person who was asked three times would have mended it; so the rows count after all."""
    open_incident(ledger, times_seen)

    assert ledger.parts.doubtful(TAKEN_FOR_GRANTED_AFTER) == expected


def test_one_feature_that_became_normal_does_not_excuse_another(broken, ledger):
    """Each has to last by itself."""
    open_incident(ledger, 4, feature="number_of_employees")

    assert ledger.parts.doubtful(TAKEN_FOR_GRANTED_AFTER) == {2, 3, 4, 5, 6}


def test_what_became_normal_twice_is_normal_both_times(broken, ledger):
    """The second incident of a feature does not bring back the doubt about the first."""
    open_incident(ledger, 4, first=2, last=3)
    open_incident(ledger, 4, first=5, last=6)

    assert ledger.parts.doubtful(TAKEN_FOR_GRANTED_AFTER) == {4}


def test_an_incident_without_rows_excuses_none(broken, ledger):
    """Even where nobody is ever asked, drops that stayed away name no ingestion."""
    open_incident(ledger, 1, first=None, last=None)

    assert ledger.parts.doubtful(0) == {2, 3, 4, 5, 6}


def test_unlearnt_are_the_kept_rows_and_all_that_came_since(deployed, ledger):
    """Neither the champion nor the challenger has seen them."""
    bring(deployed, ledger, "2.csv", rows("b", 20))
    manifest = training.run(deployed.config, ledger).manifest
    bring(deployed, ledger, "3.csv", rows("c", 3))
    kept = (deployed.config.model_folder / model.HELD_OUT).read_bytes()

    found = training_data.unlearnt(deployed.config, ledger, manifest, kept)

    assert names(found) == ["b16", "b17", "b18", "b19", "c0", "c1", "c2"]


def test_a_row_whose_label_came_after_the_training_is_unlearnt(deployed, ledger):
    """However old its drop is: without a label no model could learn it."""
    bring(deployed, ledger, "2.csv", rows("b", 20) + "late,1,2,3,\n")
    manifest = training.run(deployed.config, ledger).manifest
    bring(deployed, ledger, "3.csv", "corporation,exited\nlate,1\n")

    judged = training_data.unlearnt(deployed.config, ledger, manifest, b"")
    split = training_data.split(deployed.config, ledger)

    assert names(judged) == ["late"]
    assert "late" in [*names(split.rows), *names(split.held_out)]


def test_hashes_are_listed_one_to_a_line_and_found_again(deployed, ledger):
    """The list travels with the challenger; it names rows without showing them."""
    bring(deployed, ledger, "2.csv", rows("b", 10))
    split = training_data.split(deployed.config, ledger)

    text = training_data.to_list(split.held_out)

    hashes = np.array(text.split(), dtype="int64")
    assert text.endswith("\n")
    assert hashes.tolist() == split.held_out["row_hash"].tolist()
