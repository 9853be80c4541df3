import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from risk.config import Columns
from risk.models.dating import MOMENT
from risk.monitoring.known_values import Known
from risk.monitoring.profile import Profile
from risk.monitoring.reference import (
    EXPECTED_LOSS,
    LABELLED,
    MAX_PAIRED_COLUMNS,
    PREDICTION,
    RECONSTRUCTION,
    Reference,
)
from risk.schema import ROW_HASH

NUMBERS = tuple(f"x{i:02}" for i in range(14))
COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=NUMBERS,
    categorical=("c",),
)
FEW = COLUMNS.model_copy(update={"numeric": ("x00", "x01")})


def table(n, seed=1, labelled=0.9):
    """Make rows with gaps, whose predictions depend most on the first columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(NUMBERS)))
    proba = 1 / (1 + np.exp(1 - x @ np.linspace(1.4, 0, len(NUMBERS))))
    y = pd.array((rng.random(n) < proba).astype(int), dtype="Int64")
    y[rng.random(n) >= labelled] = pd.NA
    x[rng.random(x.shape) < 0.02] = np.nan
    levels = pd.array(rng.choice(["a", "b", None], n, p=[0.7, 0.2, 0.1]), dtype="str")
    return pd.DataFrame(x, columns=NUMBERS).assign(c=levels, y=y, **{PREDICTION: proba})


def build(frame, columns=COLUMNS, threshold=0.5):
    return Reference.build(frame, columns, threshold=threshold, tolerance=0.05)


def test_every_subject_counts_every_row_of_its():
    """All rows for the features, the ripe ones for the labels."""
    frame = table(2000)

    found = build(frame)

    ripe = int(frame["y"].notna().sum())
    totals = {subject: sum(counts) for subject, counts in found.profile.counts.items()}
    assert found.profile.n == 2000
    assert totals == {s: ripe if s in ("y", LABELLED) else 2000 for s in found.subjects}


def test_its_own_rows_are_counted_as_they_were_when_it_was_built():
    """And in parts they add up to the same."""
    frame = table(1500)
    found = build(frame)

    parts = [found.count(frame[i : i + 400]) for i in range(0, 1500, 400)]

    merged = Profile(0, {})
    for part in parts:
        merged = merged.plus(part)
    assert found.count(frame) == found.profile == merged


def test_counts_are_those_of_pandas():
    """A category by its tally, a number by its missing values."""
    frame = table(500)

    found = build(frame).profile.counts

    tally = frame["c"].value_counts()
    assert found["c"] == (tally["a"], tally["b"], 0, 0, frame["c"].isna().sum())
    assert found["x03"][-1] == frame["x03"].isna().sum()
    assert found["y"] == tuple((frame["y"] == label).sum() for label in (0, 1))


def test_what_is_derived_is_watched_if_it_is_there():
    """Expected losses and reconstruction errors have cells like any number."""
    frame = table(300).assign(**{EXPECTED_LOSS: 0.2, RECONSTRUCTION: np.arange(300.0)})

    found = build(frame)

    assert {EXPECTED_LOSS, RECONSTRUCTION} <= found.subjects.keys()
    assert not {EXPECTED_LOSS, RECONSTRUCTION} & build(table(300)).subjects.keys()


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("ties", [0, 3, 10, 333])
def test_labelled_cells_reproduce_the_confusion_matrix(threshold, ties):
    """Exactly, also with predictions that are the threshold itself: those are positive."""
    frame = table(1000)
    frame.loc[: ties - 1, PREDICTION] = threshold

    found = build(frame, FEW, threshold)

    ripe = frame[frame["y"].notna()]
    cells = np.reshape(found.profile.counts[LABELLED], (-1, 2))[:-1]
    positive = np.array(found.means[PREDICTION]) >= threshold
    expected = confusion_matrix(ripe["y"].astype(int), ripe[PREDICTION] >= threshold)
    assert cells[~positive].sum(axis=0).tolist() == expected[:, 0].tolist()
    assert cells[positive].sum(axis=0).tolist() == expected[:, 1].tolist()


@pytest.mark.parametrize("threshold", [0.001, 0.999])
def test_a_threshold_beyond_every_prediction_still_parts_them(threshold):
    """Later rows may be on its other side."""
    frame = table(200)
    frame[PREDICTION] = frame[PREDICTION].clip(0.01, 0.99)
    reference = build(frame, FEW, threshold)

    later = pd.Series([0.0005, threshold, 0.9999])
    found = reference.count_outcomes(later, pd.Series([1, 1, 1])).counts[LABELLED]

    positive = np.array(reference.means[PREDICTION]) >= threshold
    cells = np.reshape(found, (-1, 2))[:-1, 1]
    assert cells[positive].sum() == (later >= threshold).sum() == 3 - cells[~positive].sum()


def test_the_ten_most_telling_columns_are_paired():
    """Those the predictions depend on most, each with each, in the order of the table."""
    found = build(table(5000))

    telling = NUMBERS[:MAX_PAIRED_COLUMNS]
    assert len(found.pairs) == 45
    assert found.pairs == tuple((a, b) for i, a in enumerate(telling) for b in telling[i + 1 :])


def test_a_pair_counts_its_rows_jointly():
    """A row is in the last cell if either value is missing; the others lie about evenly."""
    frame = table(3000)

    found = build(frame, FEW).profile.counts["x00 and x01"]

    either = frame[["x00", "x01"]].isna().any(axis=1).sum()
    assert found[-1] == either
    assert max(found[:-1]) < 3 * np.mean(found[:-1])


def test_rows_whose_label_is_not_ripe_are_no_labels():
    """Neither a negative one nor a wrong prediction."""
    reference = build(table(300), FEW)
    proba, labels = pd.Series([0.2, 0.9, 0.9]), pd.Series([1, None, 0], dtype="Int64")

    found = reference.count_outcomes(proba, labels)

    assert found.n == 2
    assert found.counts["y"] == (1, 1)
    assert sum(found.counts[LABELLED]) == 2


def test_rows_without_any_label_are_counted_all_the_same():
    """All labels come later."""
    found = build(table(300), FEW).count(table(50, labelled=0))

    assert sum(found.counts["x00"]) == 50
    assert sum(found.counts["y"]) == sum(found.counts[LABELLED]) == 0


def test_the_mean_of_a_cell_is_that_of_its_rows():
    """By hand for a column of three values, and its edges where there is none."""
    frame = table(300).assign(x00=np.repeat([1.0, 2.0, 4.0], 100))

    found = build(frame, FEW).means["x00"]

    assert found[1:-1] == (1, 2, 4)
    assert found[0] == pytest.approx(1) and found[-1] == pytest.approx(4)
    assert list(found) == sorted(found)


def test_levels_seen_once_and_twice_are_counted():
    """They tell how many are still to be seen."""
    frame = table(300)
    frame["c"] = pd.array(["a"] * 290 + ["b", "b", "c", "c", *"defg"] + [None] * 2, dtype="str")

    found = build(frame, FEW)

    assert found.seen_once_twice == {"c": (4, 2)}


def test_predictions_are_granted_twice_the_tolerance():
    """They are of models like the one that goes live, not of that one."""
    assert build(table(300), FEW).tolerances == {PREDICTION: 0.1}


@pytest.mark.parametrize("spoiled", [np.nan, 0.0])
def test_columns_that_are_always_missing_or_constant_are_counted(spoiled):
    """With finite means for each cell, and in pairs."""
    frame = table(300).assign(x00=spoiled)

    found = build(frame, FEW)

    assert np.isfinite(found.means["x00"]).all()
    assert sum(found.profile.counts["x00 and x01"]) == 300


def test_a_reference_survives_being_stored():
    """To the last bit, with everything that was learnt later."""
    frame = table(400).assign(x01=np.nan)
    reference = replace(
        build(frame),
        correlations={"x00": {"higher": 0.1, "lower": 1 / 3}},
        tolerances={"x00": 0.15},
        known={"x00": Known.of(frame["x00"], build(frame).columns[0], np.arange(400) // 40)},
    )

    found = Reference.from_json(reference.to_json().encode())

    assert found == reference
    assert found.count(frame) == reference.count(frame)
    assert json.loads(reference.to_json())["target"] == "y"


def many_levels(n, levels, *, seed=1):
    """Make rows of a category with about equally common levels."""
    rng = np.random.default_rng(seed)
    names = pd.array(rng.integers(levels, size=n).astype("str"), dtype="str")
    return table(n, seed).assign(c=names, **{ROW_HASH: rng.integers(2**62, size=n)})


def test_of_many_levels_one_half_of_the_rows_chooses_and_the_other_is_counted():
    """The thirty commonest of the even hashes; the odd ones tell how common these are."""
    frame = many_levels(2000, 100)

    found = build(frame)

    even = frame[ROW_HASH] % 2 == 0
    column, counts = found.subjects["c"], found.profile.counts["c"]
    tally = frame["c"][~even].value_counts()
    chosen = frame["c"][even].value_counts()
    assert len(column.levels) == 30
    assert min(chosen[[*column.levels]]) >= max(chosen[[*column.rare]])
    assert counts == (*tally[[*column.levels]], tally[[*column.rare]].sum(), 0, 0)
    assert {*column.levels, *column.rare} == {*frame["c"]}
    assert sum(found.profile.counts["x00"]) == 2000


def test_the_choice_does_not_depend_on_the_order_of_the_rows():
    """A hash is a property of a row, its place is not."""
    frame = many_levels(2000, 100)
    shuffled = frame.sample(frac=1, random_state=1)

    assert build(shuffled).columns == build(frame).columns
    assert build(shuffled).profile == build(frame).profile


def test_its_own_rows_are_counted_without_those_that_chose_if_so_asked():
    """Parts of them add up to what was counted when it was built; rows of others count whole."""
    frame = many_levels(2000, 100)
    found = build(frame)

    parts = [found.count(frame[i : i + 500], own=True).counts["c"] for i in range(0, 2000, 500)]

    assert tuple(np.sum(parts, axis=0)) == found.profile.counts["c"]
    assert sum(found.count(frame).counts["c"]) == 2000


def test_batches_are_counted_as_one_after_the_other():
    """All at once is only faster; also what chose its own cells, labels, gaps and times."""
    frame = table(900).assign(c=[f"v{i % 61}" for i in range(900)])
    frame[ROW_HASH] = np.arange(900)
    frame[MOMENT] = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(900), unit="h")
    found, batch = build(frame, FEW), np.arange(900) // 300

    counted = found.count_batches(frame, batch, 3, own=True)

    assert counted == [found.count(frame[batch == i], own=True) for i in range(3)]
    assert counted[1].calendar["rows"][0] == 300
    assert counted[1].calendar["labelled rows"][0] == frame["y"][batch == 1].notna().sum()
