import numpy as np
import pytest
from sklearn import metrics

from risk.report import context, performance
from risk.report.document import Picture
from risk.stats.threshold import lowest_cost


@pytest.fixture(scope="module")
def read(story):
    """Give what gathers evidence while the ledger is open."""
    from risk.ledger.ledger import Ledger

    with Ledger.open(story.config, upgrade=False) as ledger:
        yield lambda run_id=None: context.gather(story.config, ledger, run_id=run_id)


def test_the_scores_are_those_of_scikit_learn(read, tables):
    """On the newest rows first, then on the test data."""
    known = read()

    found = tables(performance.section(known))
    newest, tested = [table for table in found if table.rows[0][0] == "F1"]

    for table, found in ((newest, known.unlearnt), (tested, known.test)):
        value = {row[0]: row[2] for row in table.rows}
        assert value["F1"] == pytest.approx(metrics.f1_score(found.y_true, found.y_pred))
        area = metrics.roc_auc_score(found.y_true, found.y_pred_proba)
        assert value["ROC AUC"] == pytest.approx(area)
        assert f"{len(found):,} rows" in table.caption


def test_right_and_wrong_calls_add_up(read, tables, words):
    """The same in the sentence as in the table."""
    known = read()
    section = performance.section(known)
    table = next(t for t in tables(section) if t.columns[0] == "actual")

    (right_no, false_alarms), (missed, caught) = metrics.confusion_matrix(
        known.unlearnt.y_true, known.unlearnt.y_pred
    ).tolist()
    assert table.rows[0][1:] == (right_no, false_alarms, right_no + false_alarms)
    assert table.rows[1][1:] == (missed, caught, missed + caught)
    assert (
        f"{caught:,} ({caught / (missed + caught):.0%}) were correctly flagged as at risk"
        in words(section)
    )


def test_every_figure_has_a_caption_and_words_for_who_cannot_see_it(read):
    """A figure nobody can read is none."""
    section = performance.section(read())
    pictures = [
        block
        for inner in (section, *(b for b in section.blocks if hasattr(b, "blocks")))
        for block in inner.blocks
        if isinstance(block, Picture)
    ]

    pictures.append(performance.over_time(read()))
    assert len(pictures) == 7
    assert all(picture.caption and picture.alternative for picture in pictures)


def test_costs_are_told_for_the_threshold_in_force_and_the_cheapest(read, tables):
    """The cheapest is that of the training stage's own rule, the cost that of counting."""
    known = read()
    found, cost = known.unlearnt, known.config.training.cost.as_tuple()
    table = next(t for t in tables(performance.section(known)) if t.columns[0] == "threshold")

    told = {row[1]: row for row in table.rows}

    wrong = found.y_pred != found.y_true
    spent = (wrong & (found.y_true == 0)).sum() + 5 * (wrong & (found.y_true == 1)).sum()
    assert told["current"][0] == known.monitored.manifest.threshold
    assert told["current"][-1] == pytest.approx(spent / len(found))
    expected = lowest_cost(found.y_true, found.y_pred_proba, cost=cost)
    assert told["lowest cost on these rows"][0] == expected


def test_before_new_rows_come_the_test_data_are_drawn_and_it_is_said(read, words):
    """And what cannot be told is told to be so."""
    told = words(performance.section(read(1)))

    assert "based on the test data (300 rows); there are no newer labelled rows" in told
    assert "Not available: no rows have arrived since the first release." in told
    assert "No F1 of a run is known yet." in told


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_no_crash(read, words, label):
    """Curves need both kinds; counts do not."""
    known = read(1)
    test = known.test
    own = test.y_true == label
    one_class = context.Labelled(
        "the test data", test.rows[own], test.y_true[own], test.y_pred_proba[own], test.y_pred[own]
    )
    known.__dict__["test"] = one_class

    told = words(performance.section(known))

    assert f"are {'at risk' if label else 'not at risk'}; curves require both classes" in told
    assert "Cost of errors" not in told
    known.__dict__.pop("test")


def test_a_part_is_never_called_all(read, words):
    """One that was not called is one to whom nobody talks."""
    known = read(1)
    own = np.flatnonzero(known.test.y_true == 0).repeat(9)
    rows, y_pred = known.test.rows.iloc[own], (np.arange(len(own)) > 0).astype("int8")
    shown = context.Labelled("x", rows, np.zeros_like(y_pred), known.test.y_pred_proba[own], y_pred)
    known.__dict__["test"] = shown

    told = words(performance.section(known))

    assert f"{len(own) - 1:,} (>99%) were flagged by mistake" in told


def test_few_rows_are_called_few(read, words):
    """Five rows prove nothing."""
    known = read(1)
    test = known.test
    known.__dict__["test"] = context.Labelled(
        "the test data", test.rows[:5], test.y_true[:5], test.y_pred_proba[:5], test.y_pred[:5]
    )

    assert "5 rows only" in words(performance.section(known))


def test_the_rates_are_said_for_who_knows_no_statistics(read):
    """Recall and precision of scikit-learn, as so many of 100 rows."""
    known = read()
    found = known.judged_on

    caught = metrics.recall_score(found.y_true, found.y_pred)
    right = metrics.precision_score(found.y_true, found.y_pred)
    score = known.snapshot.newest_scores["promised"]
    assert performance.in_plain_words(known)[0] == (
        f"On {found.name}: of 100 rows with exited = 1 it flags {100 * caught:.0f}; of 100 rows "
        f"that it flags, {100 * right:.0f} have exited = 1."
    )
    assert performance.in_plain_words(known)[-1] == (
        f"Before it went live, F1 was between {score['lower']:.2f} and {score['upper']:.2f} on "
        f"{score['n']:,} rows of test data."
    )


@pytest.mark.parametrize(("flag", "each"), [(0, "none"), (1, "every one")])
def test_a_model_that_tells_no_row_from_another_is_said_to(read, flag, each):
    """Its F1 alone does not show that, however few the rows."""
    known = read()
    test = known.test
    parts = test.rows[:50], test.y_true[:50], test.y_pred_proba[:50], np.full(50, flag)
    known.__dict__["judged_on"] = context.Labelled("the test data", *parts)

    said = performance.in_plain_words(known)[0]

    assert said == f"On the test data, it flags {each} of 50 rows."
