from contextlib import ExitStack
from datetime import timedelta

import numpy as np
import pytest

from risk import store
from risk.errors import DataError, UnknownName
from risk.ledger.assessments import Case
from risk.models import model, releases, signing, training_data
from risk.monitoring import detector
from risk.monitoring.profile import Profile
from risk.report import context, performance
from risk.report.compose import CHAPTERS, compose
from risk.schema import ROW_HASH
from tests.risk.report.conftest import customers


@pytest.fixture
def gather(story, ledger_of):
    """Give what gathers the evidence of a run of the story, from ledgers open until the end."""
    with ExitStack() as opened:

        def read(run_id=None, **options):
            ledger = opened.enter_context(ledger_of(story))
            known = context.gather(story.config, ledger, run_id=run_id, **options)
            assert known.seen is None or known.seen.assessment
            return known

        yield read


def test_unless_told_otherwise_the_newest_run_is_reported_on(gather):
    """As of its end; the report before was that of the run before."""
    known = gather()

    assert (known.run["id"], known.looks_back) == (4, False)
    assert known.reported_at == known.run["ended_at"]
    assert known.since == known.reported_at - timedelta(days=1)
    assert gather(4).snapshot.now == known.snapshot.now


def test_an_earlier_run_is_reported_on_as_things_stood(gather):
    """Nothing that came later is known."""
    known = gather(2)

    assert known.looks_back
    assert [run["id"] for run in known.snapshot.runs] == [2, 1]
    assert len(known.snapshot.open_incidents) == 0
    assert {drop["path"][-9:] for drop in known.new_drops} == {"day_1.csv"}


def test_the_first_report_has_none_before_it(gather):
    """Everything is new."""
    known = gather(1)

    assert (known.since, known.seen) == (None, None)


def test_the_reader_says_when_he_was_last_told(gather):
    """Then all drops after that are new."""
    known = gather(since=gather(1).reported_at)

    assert len(known.new_drops) == 3


def test_a_run_that_never_was_is_named(gather):
    """A wrong number is the user's fault."""
    with pytest.raises(UnknownName, match="no run 99"):
        gather(99)


def test_the_newest_rows_are_those_the_live_model_has_not_learnt(story, ledger_of):
    """All labelled rows but those of the first drop, which made the model."""
    with ledger_of(story) as ledger:
        newest = context.gather(story.config, ledger).unlearnt

    unlearnt = store.read_parts(story.config, [2, 3, 4])
    assert set(newest.rows[ROW_HASH]) == set(unlearnt[ROW_HASH])
    assert len(newest) == 1000


def test_the_newest_drop_is_read_however_large_and_then_no_other(gather, monkeypatch):
    """A limit must not leave a report without rows."""
    monkeypatch.setattr(context, "MAX_ROWS", 299)

    assert len(gather().unlearnt) == 300


def test_rows_of_a_broken_feed_count_as_well(first_day, ledger_of):
    """No model learns from them, but what the live one says of them is used."""
    told = first_day
    broken = customers(300, seed=3)
    told.arrives(broken.assign(lastyear_activity=broken["lastyear_activity"] * 1000))

    with ledger_of(told) as ledger:
        assert training_data.sound_parts(told.config, ledger) == [1]
        assert len(context.gather(told.config, ledger).unlearnt) == 300


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_rows_that_cannot_be_read_are_said_to_be_so(first_day, ledger_of, words, how):
    """A report is wanted most when something is wrong; the test data are still there."""
    told = first_day
    told.arrives(customers(300, seed=3))
    (part,) = told.config.ingested_folder.rglob("00000002.parquet")
    part.unlink() if how == "gone" else part.write_bytes(b"PAR1 but not the rest")

    with ledger_of(told) as ledger:
        known = context.gather(told.config, ledger)
        said = words(performance.section(known))
        assert len(compose(known).details) == len(CHAPTERS)

        assert known.judged_on is known.test
        assert "The rows not used for training cannot be used: " in said
        assert "00000002.parquet" in said


def test_new_rows_tell_more_than_test_data_where_there_are_enough(gather):
    """Before any came, the test data are all there is."""
    with_new_rows, without = gather(), gather(1)

    assert with_new_rows.judged_on is with_new_rows.unlearnt
    assert without.judged_on is without.test
    assert len(without.test) == 300


def test_test_data_that_cannot_be_used_are_no_crash(gather, story):
    """The reason is kept to be told."""
    path = story.config.test_data
    content = path.read_bytes()
    try:
        path.unlink()
        known = gather()
        assert isinstance(known.test, DataError)
        assert "no such file" in str(known.test)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"packages": {"scikit-learn": "1.0"}}, "was made with scikit-learn 1.0"),
        ({"numeric": ("age",)}, "was trained on"),
        ({"version": 7}, "contains the files of release 7"),
    ],
)
def test_a_release_that_cannot_predict_is_not_trusted(deployed, ledger, change, why):
    """Although a report may know its predictions and does not load it."""
    config = deployed.config
    folder = releases.live_folder(config.deployment_folder)
    manifest = releases.load_champion(config).manifest.model_copy(update=change)
    (folder / model.MANIFEST).write_text(model.sign(manifest, signing.key(config)))

    known = context.gather(config, ledger)

    assert known.monitored is None
    assert why in known.snapshot.fault


def test_predictions_are_cut_at_the_threshold(gather):
    """What is called is what the release would call."""
    known = gather()
    threshold = known.monitored.manifest.threshold

    assert np.array_equal(known.unlearnt.y_pred, known.unlearnt.y_pred_proba >= threshold)


def test_labels_that_come_alone_are_no_rows_to_compare_and_not_known_before(first_day, ledger_of):
    """What is compared are the rows before them; at that time nobody knew what became of these."""
    told = first_day
    moved = customers(300, seed=3, active=75.0)
    told.arrives(moved.assign(exited=""))
    told.arrives(moved[["corporation", "exited"]])

    with ledger_of(told) as ledger:
        known = context.gather(told.config, ledger)
        assert len(compose(known).details) == len(CHAPTERS)
        before = context.gather(told.config, ledger, run_id=2)

        assert known.seen.recent.n == 300
        assert len(known.unlearnt) == 300
        assert before.unlearnt is None


def test_a_release_that_only_saw_labels_has_no_rows_to_compare(first_day, ledger_of):
    """A paragraph says so."""
    told = first_day
    of_labels = Profile(0, {"exited": (3, 2)}).to_json()
    with told.world.open_ledger() as ledger:
        ledger.assessments.record(Case(1, 0, of_labels, detector.start().to_json(), None, []))

    with ledger_of(told) as ledger:
        known = context.gather(told.config, ledger)
        assert len(compose(known).details) == len(CHAPTERS)

        assert known.seen.fault == "only labels have arrived since release 1 went live"
