"""A corrected setting brings in what it had refused, once and without a command."""

import pytest

import ingestion
from risk.data import requeueing
from tests.factories import HEADER


@pytest.fixture
def refused(world, ledger):
    """Give a world in which three drops have a row that a range refuses, and one a broken row."""
    world.take_from_inbox()
    for name in "abc":
        world.drop(f"{name}.csv", HEADER + f"{name},1,2,3,0\n{name}{name},-1,2,3,1\n")
    world.drop("d.csv", HEADER + "d,many,2,3,0\n")
    ingestion.run(world.config, ledger)
    return world


def accepted(result):
    return [(intake.requeued, intake.rows_added) for intake in result.intakes]


def test_corrected_settings_requeue_what_they_refused(refused, ledger):
    """Only the drops of which a row is accepted now are read; the broken one stays."""
    mended = refused.set(columns__allowed_ranges={})

    result = ingestion.run(mended, ledger)

    assert accepted(result) == [(True, 1)] * 3
    assert "requeued: 3 of the drops, 3 of the rows added" in str(result)
    assert ledger.ingestions.with_quarantine() == [4]
    assert ingestion.run(mended, ledger).intakes == ()


def test_refused_rows_come_with_one_advice(refused, ledger, caplog):
    """However many drops they are of; a run that refuses nothing gives none."""
    refused.drop("e.csv", HEADER + "e,many,2,3,0\n")
    refused.drop("f.csv", HEADER + "f,many,2,3,0\n")
    ingestion.run(refused.config, ledger)
    refused.drop("g.csv", HEADER + "g,1,2,3,0\n")
    ingestion.run(refused.config, ledger)

    assert caplog.text.count("the next run reads them again") == 1


def test_other_settings_requeue_nothing(refused, ledger):
    """A change of the model, or none at all, is no reason to read refused rows."""
    config = refused.set(training__estimator="GaussianNB")

    assert requeueing.due(config, ledger) == []
    assert ingestion.run(config, ledger).intakes == ()


def test_a_change_that_helps_nothing_is_tried_once(refused, ledger):
    """What is refused still is refused, and no drop is recorded twice."""
    other = refused.set(columns__missing_markers=["NA", "-"])

    assert requeueing.due(other, ledger) == [1, 2, 3, 4]
    assert ingestion.run(other, ledger).intakes == ()
    assert requeueing.due(other, ledger) == []
    assert ledger.ingestions.last_id() == 4


def test_a_run_requeues_only_so_many(refused, ledger, monkeypatch):
    """The rest is left for the next runs, in order."""
    monkeypatch.setattr(requeueing, "MAX_PER_RUN", 2)
    mended = refused.set(columns__allowed_ranges={})

    runs = [accepted(ingestion.run(mended, ledger)) for _ in range(4)]

    assert runs == [[(True, 1)] * 2, [(True, 1)], [], []]
    assert requeueing.due(mended, ledger) == []


def test_a_rehearsal_says_what_would_be_requeued(refused, ledger, tree):
    """And leaves it to the run."""
    mended, before = refused.set(columns__allowed_ranges={}), tree()

    result, rows = ingestion.rehearse(mended, ledger)

    assert len(rows) == 3
    assert [intake.rows_added for intake in result.intakes] == [1, 1, 1]
    assert tree() == before


def test_all_that_is_accepted_now_can_be_requeued_by_hand(refused, ledger):
    """For changes that are not of the settings, such as a label's row that has come since."""
    refused.set(columns__allowed_ranges={})

    results = [ingestion.run(refused.config, ledger, requeue="all") for _ in range(2)]

    assert [accepted(result) for result in results] == [[(True, 1)] * 3, []]


def test_an_unknown_state_requeues_nothing(refused, ledger):
    """As after an upgrade: which settings refused the drops is not known."""
    (refused.config.quarantine_folder / requeueing.RULES).write_text("not JSON")
    mended = refused.set(columns__allowed_ranges={})

    assert ingestion.run(mended, ledger).intakes == ()
    assert requeueing.due(mended, ledger) == []
