import pytest

from risk.ledger.ledger import Ledger
from risk.report import context, segments
from risk.report import weak_segments as weak


@pytest.fixture(scope="module")
def known(story):
    """Give the evidence of the newest run while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield context.gather(story.config, ledger)


def test_each_segment_is_told_with_its_rows_and_errors(known, tables):
    """Counted again by pandas."""
    table = tables(segments.section(known))[0]
    rows, newest = known.unlearnt.rows, known.unlearnt

    told = {row[0]: row for row in table.rows}

    own = (rows["region"] == "north").to_numpy()
    wrong = (newest.y_pred != newest.y_true)[own]
    assert told["region = north"][1:3] == (own.sum(), pytest.approx(wrong.mean()))
    assert told["region = north"][6] == pytest.approx(newest.y_true[own].mean())


def test_the_sentence_is_that_of_the_segments(known, words):
    """With as many as fit."""
    found = weak.find_weak(
        known.unlearnt.rows,
        known.unlearnt.y_pred_proba,
        known.watch.champion.manifest,
        confidence=0.95,
    )

    assert found.in_words(most=5) in words(segments.section(known))


def test_without_labels_it_is_said_that_nothing_can_be_told(known, words):
    """Not an empty figure."""
    blind = context.Evidence(
        known.config, known.ledger, known.run, known.since, known.situation, None
    )

    assert "no row with a label" in words(segments.section(blind))
