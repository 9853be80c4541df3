from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, fisher_exact

from risk.ledger.ledger import Ledger
from risk.models.model import Manifest
from risk.report import context, segments
from risk.report.segments import COLUMNS, find_weak


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
    found = segments.find_weak(
        known.unlearnt.rows,
        known.unlearnt.y_pred_proba,
        known.monitored.manifest,
        confidence=0.95,
    )

    assert found.in_words(max_shown=5) in words(segments.section(known))


def test_without_labels_it_is_said_that_nothing_can_be_told(known, words):
    """Not an empty figure."""
    blind = replace(known, monitored=None)

    assert "no row has a label" in words(segments.section(blind))


MODEL = Manifest.model_construct(
    numeric=("age",), categorical=("plan",), target="left", threshold=0.5
)


def told(age, plan, y_true, wrong):
    """Give rows, and predictions of 0.2 and 0.8 that are wrong where it says so."""
    rows = pd.DataFrame({"age": age, "plan": pd.array(plan, dtype="str")})
    rows["left"] = pd.array(y_true, dtype="Int8")
    positive = rows["left"].fillna(0).to_numpy(dtype="bool") ^ np.asarray(wrong, dtype="bool")
    return rows, np.where(positive, 0.8, 0.2)


@pytest.fixture(scope="module")
def mistaken():
    """Give 400 rows of which a third of those with plan b is wrong, and few others."""
    rng = np.random.default_rng(0)
    plan = np.array(["a", "b", "c", None], dtype="object")[np.arange(400) % 4]
    plan[:8] = ["x", "y"] * 4
    wrong = rng.random(400) < np.where(plan == "b", 0.35, 0.05)
    age = np.where(np.arange(400) % 10 == 0, np.nan, rng.integers(20, 60, 400).astype("float64"))
    return told(age, plan, rng.integers(0, 2, 400), wrong)


def test_each_segment_is_what_a_filter_by_hand_gives(mistaken):
    """Share wrong with its interval, rows, mean predicted risk, share of positives."""
    rows, y_pred_proba = mistaken
    frame = rows.assign(risk=y_pred_proba, wrong=(y_pred_proba >= 0.5) != (rows["left"] == 1))

    table = find_weak(rows, y_pred_proba, MODEL, confidence=0.9).table.set_index("segment")

    q1, q2, q3 = np.sort(frame["age"].dropna())[[89, 179, 269]].astype("int64")
    filters = {
        "plan = b": frame["plan"] == "b",
        "plan is missing": frame["plan"].isna(),
        f"age up to {q1}": frame["age"] <= q1,
        f"age over {q2} to {q3}": (frame["age"] > q2) & (frame["age"] <= q3),
        f"age over {q3}": frame["age"] > q3,
        "age is missing": frame["age"].isna(),
    }
    assert set(filters) | {"plan = a", "plan = c", f"age over {q1} to {q2}"} == set(table.index)
    for segment, chosen in filters.items():
        part, found = frame[chosen.fillna(False)], table.loc[segment]
        tried = binomtest(int(part["wrong"].sum()), len(part))
        both = tried.proportion_ci(0.9, "wilson"), tried.proportion_ci(0.8, "exact")
        ends = [min(each.low for each in both), max(each.high for each in both)]
        assert found["n"] == len(part)
        assert found["value"] == pytest.approx(part["wrong"].mean())
        assert found[["lower", "upper"]].tolist() == pytest.approx(ends)
        assert found["predicted"] == pytest.approx(part["risk"].mean())
        assert found["observed"] == pytest.approx(part["left"].mean())


def test_the_weak_segment_comes_first_with_its_evidence(mistaken):
    """Fisher's p-value times the nine segments that are compared."""
    rows, y_pred_proba = mistaken
    wrong, is_b = (y_pred_proba >= 0.5) != (rows["left"] == 1), rows["plan"].eq("b")

    found = find_weak(rows, y_pred_proba, MODEL, confidence=0.95)

    counts = pd.crosstab(~is_b.fillna(False), ~wrong.to_numpy(dtype="bool"))
    p_value = fisher_exact(counts.to_numpy(), alternative="greater").pvalue
    assert found.weak["segment"].tolist() == ["plan = b"]
    assert found.table["segment"].iloc[0] == "plan = b"
    assert found.table["p_value"].iloc[0] == pytest.approx(9 * p_value)
    assert found.overall.value == pytest.approx(wrong.mean())
    assert found.in_words() == (
        "The model is significantly worse in 1 of 9 segments (share of wrong predictions): "
        f"plan = b ({wrong[is_b].mean():.0%} of {is_b.sum()}). "
        f"Overall it is wrong in {wrong.mean():.0%} of 400 rows."
    )


def test_rare_values_are_one_segment(mistaken):
    """A value of 29 rows is none of its own; enough such values are one together."""
    rng = np.random.default_rng(1)
    plan = ["a"] * 100 + ["b"] * 29 + ["c"] * 29
    rows, y_pred_proba = told(np.full(158, 3.0), plan, rng.integers(0, 2, 158), np.zeros(158))

    found = find_weak(rows, y_pred_proba, MODEL, confidence=0.95)

    assert found.table.set_index("segment")["n"].to_dict() == {
        "plan = a": 100,
        "plan is another value": 58,
    }
    assert found.in_words() == (
        "The model is significantly worse in none of 2 segments. "
        "Overall it is wrong in 0% of 158 rows."
    )


def test_unripe_rows_do_not_count(mistaken):
    """Whether their prediction is wrong nobody knows."""
    rows, y_pred_proba = mistaken
    more = pd.concat([rows, rows.assign(left=pd.array([None] * 400, dtype="Int8"))])

    found = find_weak(more, np.tile(y_pred_proba, 2), MODEL, confidence=0.95)

    pd.testing.assert_frame_equal(
        found.table, find_weak(rows, y_pred_proba, MODEL, confidence=0.95).table
    )


@pytest.mark.parametrize(("n", "labels"), [(59, 0), (5, 1), (0, 0), (40, None)])
def test_with_too_few_labels_it_says_so(n, labels):
    """And gives an empty table of the same columns."""
    rows, y_pred_proba = told(np.arange(n) * 1.0, ["a"] * n, [labels] * n, np.zeros(n))

    found = find_weak(rows, y_pred_proba, MODEL, confidence=0.95)

    ripe = 0 if labels is None else n
    assert f"Only {ripe} labelled rows: comparing segments requires at least 60." == str(found)
    assert found.table.columns.tolist() == COLUMNS
    assert found.table.empty and found.weak.empty
    assert found.overall.n == ripe


def test_features_that_divide_nothing_are_said_to():
    """One value everywhere, and none at all."""
    rows, y_pred_proba = told(np.full(80, np.nan), ["a"] * 80, [0, 1] * 40, np.zeros(80))

    found = find_weak(rows, y_pred_proba, MODEL, confidence=0.95)

    assert str(found) == ("No feature divides the 80 labelled rows into segments of at least 30.")
