from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from risk.config import Columns
from risk.ledger.findings import BESIDE_A_FAULT
from risk.models.dating import INGESTION, LABELLED_BY
from risk.monitoring import broken_feed
from risk.monitoring.broken_feed import LABELS
from risk.monitoring.findings import METHOD, MISSING_MORE, Finding
from risk.monitoring.known_values import Known
from risk.monitoring.reference import PREDICTION, Reference

COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label="Yes",
    negative_label="No",
    numeric=("a", "b"),
    categorical=("c",),
)
CLASSES = ("No", "Yes")


def reference(n=1000, *, share=0.5, levels=("u", "v"), positive=0.5):
    rng = np.random.default_rng(0)
    first = np.where(np.arange(n) < share * n, *levels[:2])
    others = np.resize(levels, n)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "c": pd.array(first if len(levels) == 2 else others, dtype="str"),
            PREDICTION: rng.random(n),
            "y": pd.array((np.arange(n) < positive * n).astype(int), dtype="Int8"),
        }
    )
    return Reference.build(frame, COLUMNS, threshold=0.5, tolerance=0.05)


def new_rows(n, **constant):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    frame["c"] = pd.array(np.resize(["u", "v"], n), dtype="str")
    return frame.assign(**constant)


def constants(made, rows):
    return broken_feed.check_constants(made, rows, COLUMNS.features, 1e-3)


def test_a_column_that_lost_its_values_alarms_where_it_is_the_only_one():
    """Twenty rows with the very same number."""
    (finding,) = constants(reference(), new_rows(20, a=0.0))

    assert (finding.feature, finding.drift_detected) == ("a", True)
    assert (finding.direction, finding.facts, finding.n) == ("constant", {"value": 0.0}, 20)
    assert finding.is_broken_feed


def test_a_column_that_is_missing_altogether_is_called_missing():
    """So it arrives if a source dies."""
    (finding,) = constants(reference(), new_rows(20, a=np.nan))

    assert finding.facts == {"value": None}
    assert finding.drift_detected


def test_several_constants_at_once_are_how_the_rows_were_drawn():
    """One customer's rows, say: told, but no alarm."""
    found = constants(reference(), new_rows(20, a=0.0, b=0.0))

    assert [(f.feature, f.drift_detected) for f in found] == [("a", False), ("b", False)]


def test_a_surprising_constant_beside_an_ordinary_one_still_alarms():
    """Nearly all rows of the reference say "u"."""
    found = constants(reference(share=0.99), new_rows(20, a=0.0, c="u"))

    assert {f.feature: f.drift_detected for f in found} == {"a": True, "c": False}


@pytest.mark.parametrize(("n", "alarm"), [(2, False), (10, False), (11, True)])
def test_a_constant_is_a_surprise_after_enough_rows(n, alarm):
    """Half of the rows are alike: 2^-9 is more, 2^-10 less than the limit of 1 / 1000."""
    (finding,) = constants(reference(1000), new_rows(n, c="u"))

    assert finding.p_value == pytest.approx(0.5 ** (n - 1), rel=0.02)
    assert finding.drift_detected is alarm


@pytest.mark.parametrize(("n", "alarm"), [(20, False), (5000, True)])
def test_two_rows_of_an_unseen_value_surprise_a_large_reference_only(n, alarm):
    """A new level has a chance of about 1 / n."""
    (finding,) = constants(reference(n), new_rows(2, c="w"))

    assert finding.p_value == pytest.approx(1 / (n + 1))
    assert finding.drift_detected is alarm


def test_a_column_that_comes_in_blocks_surprises_nobody():
    """A price level, one for each month; another column that stands still beside it does."""
    made = replace(reference(), known={"a": Known(in_blocks=True)})

    found = constants(made, new_rows(20, a=0.0, b=0.0))

    assert {f.feature: f.drift_detected for f in found} == {"a": False, "b": True}


def test_a_column_that_comes_in_blocks_surprises_where_it_is_missing():
    """A source may die in any month."""
    made = replace(reference(), known={"a": Known(in_blocks=True)})

    (found,) = constants(made, new_rows(20, a=np.nan))

    assert found.drift_detected


@pytest.mark.parametrize("n", [0, 1])
def test_a_single_row_is_no_constant(n):
    """It has one value of each, of course."""
    assert constants(reference(100), new_rows(n, a=0.0, b=0.0, c="u")) == []


def alarm(feature, *, effect=9.0, direction="higher", check="data_drift", **changes):
    known = {"check_name": check, "feature": feature, "method": METHOD, "drift_detected": True}
    known |= {"n": 50, "direction": direction, "drift_score": effect}
    return Finding(**known | changes)


def suspected(found, rows, made=None):
    return broken_feed.suspected(found, rows, made or reference(), COLUMNS.features)


def checks(found):
    return {finding.feature: finding.check_name for finding in found}


@pytest.mark.parametrize(
    ("levels", "now", "spellings"),
    [
        (("Card", "Mail"), ["CARD", "MAIL"], {"CARD": "Card", "MAIL": "Mail"}),
        (("Card", "Mail"), ["card"], {"card": "Card"}),
        (("Two year", "One year"), ["Two  year"], {"Two  year": "Two year"}),
        (("Two year", "One year"), ["TWO\u00a0YEAR"], {"TWO\u00a0YEAR": "Two year"}),
        (("0", "1"), ["0.0", "1.0"], {"0.0": "0", "1.0": "1"}),
        (("0.0", "1.0"), ["0", "1"], {"0": "0.0", "1": "1.0"}),
        (("01", "02"), ["1", "2"], {"1": "01", "2": "02"}),
        (("Straße", "Weg"), ["STRASSE"], {"STRASSE": "Straße"}),
    ],
)
def test_known_levels_in_another_spelling_are_a_broken_feed(levels, now, spellings):
    """Capitals, blanks, or numbers that a spreadsheet rewrote; the way back is told."""
    rows = new_rows(50, c=pd.array(np.resize(now, 50), dtype="str"))

    (found,) = suspected(
        [alarm("c", direction=f"{levels[0]} less often")], rows, reference(levels=levels)
    )

    assert found.is_broken_feed
    assert found.facts == {"spellings": spellings}
    assert (found.direction, found.value_before, found.value_after) == ("unseen levels", 0.0, 1.0)


def test_a_spelling_that_two_levels_share_is_no_evident_one():
    """Nobody can say which of the two it was."""
    made = reference(levels=("a", "A", "b"))
    column = next(column for column in made.columns if column.name == "c")

    assert broken_feed.known_spellings(column, pd.Series(["a ", "B"])) == {"B": "b"}


def test_a_few_rows_in_another_spelling_are_told_as_such():
    """One of several branches changed its export."""
    rows = new_rows(50, c=pd.array(np.resize(["u", "v", "v", "u", "V"], 50), dtype="str"))

    (found,) = suspected([alarm("c", effect=0.2)], rows)

    assert (found.check_name, found.facts) == ("data_quality", {"spellings": {"V": "v"}})
    assert found.value_after == pytest.approx(0.2)


@pytest.mark.parametrize(("share", "check"), [(0.2, "data_drift"), (0.6, "data_quality")])
def test_levels_nobody_knew_are_a_fault_where_most_rows_have_them(share, check):
    """A new tariff is drift; a column of other values altogether is another column."""
    values = np.where(np.arange(50) < 50 * share, "something else", "u")

    (found,) = suspected([alarm("c")], new_rows(50, c=pd.array(values, dtype="str")))

    assert found.check_name == check
    assert not found.facts


@pytest.mark.parametrize(
    ("values", "n", "check"),
    [
        (np.full(50, 99.0), 1000, "data_quality"),
        (np.full(50, -99.0), 1000, "data_quality"),
        (np.resize([99.0, 0.0, 0.1], 50), 1000, "data_drift"),
        (np.full(50, 99.0), 199, "data_drift"),
    ],
    ids=["above", "below", "a third", "small reference"],
)
def test_most_rows_beyond_a_reference_large_enough_are_a_fault(values, n, check):
    """A unit was mixed up; the largest of a few rows is no bound for the next ones."""
    (found,) = suspected([alarm("a")], new_rows(50, a=values), reference(n))

    assert found.check_name == check


@pytest.mark.parametrize(
    ("known", "check"),
    [
        (Known(low=-9.0, high=99.0), "data_drift"),
        (Known(low=-9.0, high=98.0), "data_quality"),
        (Known(low=-9.0, high=98.0, roams=True), "data_drift"),
    ],
    ids=["seen before", "never seen", "an index that rises"],
)
def test_numbers_the_model_has_seen_or_that_rise_by_nature_are_no_fault(known, check):
    """The reference is of the rows since a change, and the model of those before too."""
    made = replace(reference(), known={"a": known})

    (found,) = suspected([alarm("a")], new_rows(50, a=99.0), made)

    assert found.check_name == check


@pytest.mark.parametrize(
    ("known", "check"),
    [
        (Known(levels=("july",)), "data_drift"),
        (Known(levels=("may",)), "data_quality"),
        (Known(levels=("may",), roams=True), "data_drift"),
    ],
    ids=["seen before", "never seen", "the month"],
)
def test_levels_the_model_has_seen_or_that_are_new_by_nature_are_no_fault(known, check):
    made = replace(reference(), known={"c": known})

    (found,) = suspected([alarm("c")], new_rows(50, c=pd.array(["july"] * 50, dtype="str")), made)

    assert found.check_name == check


def test_a_spelling_is_told_also_of_a_column_with_new_levels_by_nature():
    made = replace(reference(levels=("May", "June")), known={"c": Known(roams=True)})

    (found,) = suspected([alarm("c")], new_rows(50, c=pd.array(["MAY"] * 50, dtype="str")), made)

    assert (found.check_name, found.facts) == ("data_quality", {"spellings": {"MAY": "May"}})


def test_one_broken_drop_among_several_is_seen():
    """A run may take a week of drops of which one came in cents."""
    rows = new_rows(120).assign(**{INGESTION: np.repeat([1, 2, 3, 4], 30)})
    rows.loc[rows[INGESTION] == 3, "a"] = 99.0

    (found,) = suspected([alarm("a")], rows)

    assert found.check_name == "data_quality"


def test_every_fault_of_a_broken_feed_is_named():
    """The first column is missing, and the second ten standard deviations off."""
    missing = alarm("a", direction=MISSING_MORE, check="data_quality")

    found = suspected([missing, alarm("b", effect=10.0)], new_rows(50, a=np.nan, b=10.0))

    assert checks(found) == {"a": "data_quality", "b": "data_quality"}


def test_what_moved_far_beside_a_fault_is_suspected_with_it_and_says_so():
    """Its values are known ones: alone it would be drift."""
    missing = alarm("a", direction=MISSING_MORE, check="data_quality")

    found = suspected([missing, alarm("b", effect=10.0)], new_rows(50, a=np.nan))

    assert checks(found) == {"a": "data_quality", "b": "data_quality"}
    assert [each.facts.get(BESIDE_A_FAULT, False) for each in found] == [False, True]


def test_what_moved_little_in_broken_rows_stays_drift():
    """As does what is no column of the feed."""
    missing = alarm("a", direction=MISSING_MORE, check="data_quality")
    little = alarm("c", effect=0.2, direction="u more often")
    risk = alarm(PREDICTION, check="prediction_drift")

    found = suspected([missing, little, risk], new_rows(50, a=np.nan))

    assert checks(found) == {"a": "data_quality", "c": "data_drift", PREDICTION: "prediction_drift"}


@pytest.mark.parametrize(
    "found",
    [[], [alarm("a")], [alarm("a", drift_detected=False)], [alarm(PREDICTION)]],
    ids=["nothing", "within its range", "no alarm", "no feature"],
)
def test_otherwise_nothing_is_renamed(found):
    """The world moves many columns a little."""
    assert suspected(found, new_rows(50)) == found


def labels(*drops):
    parts = [pd.DataFrame({"y_true": y, LABELLED_BY: i}) for i, y in enumerate(drops)]
    return pd.concat(parts, ignore_index=True)


def label_alarms(*drops, made=None):
    known = labels(*drops)
    return broken_feed.check_labels(made or reference(), known, CLASSES, 1e-3)


@pytest.mark.parametrize(("label", "name"), [(0, "No"), (1, "Yes")])
def test_labels_all_of_one_class_are_a_broken_feed(label, name):
    """They were not known yet when they were written."""
    (found,) = label_alarms([label] * 20)

    assert found.is_broken_feed
    assert (found.feature, found.facts, found.n) == (LABELS, {"value": name}, 20)


def test_one_drop_of_such_labels_among_others_is_enough():
    """A run takes many drops, and the others are sound."""
    (found,) = label_alarms([0, 1] * 20, [0] * 30)

    assert found.n == 30


@pytest.mark.parametrize(
    ("drops", "positive"),
    [
        ([[0, 1] * 20], 0.5),
        ([[0] * 5], 0.5),
        ([[0] * 100], 0.02),
        ([[0] * 1000], 0.0),
        ([[]], 0.5),
    ],
    ids=["both", "by chance", "rare", "never both", "none"],
)
def test_labels_of_one_class_may_be_no_surprise(drops, positive):
    """Where positives are rare a hundred rows without one are usual."""
    assert label_alarms(*drops, made=reference(positive=positive)) == []
