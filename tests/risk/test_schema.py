import numpy as np
import pandas as pd
import pytest

from risk.config import Columns
from risk.errors import DataError
from risk.schema import Problem, check, check_header, fingerprints

GOLDEN = [-5646784049751411697, 1358996108496023736]  # of pandas 3.1.1
COLUMNS = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x",),
    categorical=("c",),
    event_time="day",
    allowed_ranges={"x": (0, 100)},
    allowed_values={"c": ("a", "b")},
)
GOOD = {"id": "k", "day": "2026-01-01", "x": "5", "c": "a", "y": "1"}


def check_one(columns=COLUMNS, **cells):
    records = pd.DataFrame([GOOD | cells], dtype="str")
    return check(records, [7], columns)


def test_a_fit_row_is_typed():
    """Text in, numbers and labels out."""
    row = check_one().rows.iloc[0]

    assert row.to_dict() == {"id": "k", "day": "2026-01-01", "x": 5.0, "c": "a", "y": 1}


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"x": "many"}, Problem(7, "x", "not a number", "many")),
        ({"x": "1,5"}, Problem(7, "x", "not a number", "1,5")),
        ({"x": "0x10"}, Problem(7, "x", "not a number", "0x10")),
        ({"x": "-1"}, Problem(7, "x", "less than 0", "-1")),
        ({"x": "101"}, Problem(7, "x", "more than 100", "101")),
        ({"id": " "}, Problem(7, "id", "empty", "")),
        ({"id": "a\x00b"}, Problem(7, "id", "control character", "a\x00b")),
        ({"c": "z"}, Problem(7, "c", "value not allowed", "z")),
        ({"day": "soon"}, Problem(7, "day", "not an ISO 8601 time", "soon")),
        ({"y": "maybe"}, Problem(7, "y", "label other than 0 or 1", "maybe")),
        ({"y": "2"}, Problem(7, "y", "label other than 0 or 1", "2")),
    ],
)
def test_a_cell_that_breaks_a_rule_is_named(cells, problem):
    """Line, column, rule, value; and the row is not among the fit ones."""
    checked = check_one(**cells)

    assert checked.problems == [problem]
    assert checked.rows.empty


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e309"])
def test_a_number_beyond_all_numbers_is_not_finite(cell):
    """1e309 overflows silently in plain pandas."""
    rules = {problem.rule for problem in check_one(x=cell).problems}

    assert "not finite" in rules


def test_all_problems_of_a_row_are_collected():
    """Three cells, three entries."""
    problems = check_one(x="many", c="z", y="maybe").problems

    assert [problem.column for problem in problems] == ["x", "c", "y"]


@pytest.mark.parametrize("cell", ["", "  ", "NA", "null", "NaN"])
def test_a_missing_number_or_label_is_allowed(cell):
    """The model imputes the one, the other is unripe."""
    row = check_one(x=cell, y=cell).rows.iloc[0]

    assert np.isnan(row["x"])
    assert row["y"] is pd.NA


def test_a_company_called_na_is_a_company():
    """Plain pandas makes it a missing value."""
    columns = COLUMNS.model_copy(update={"allowed_values": {}})

    row = check_one(columns, id="NA", c="NA").rows.iloc[0]

    assert (row["id"], row["c"]) == ("NA", "NA")


def test_a_long_value_is_cut_in_the_message():
    """A megabyte in a cell must not flood the ledger."""
    (problem,) = check_one(x="z" * 10_000).problems

    assert len(problem.value) == 40
    assert problem.value.endswith("…")


@pytest.mark.parametrize(
    ("labels", "cell", "expected"),
    [((1, 0), "1.0", 1), ((1, 0), "0", 0), (("Yes", "No"), "Yes", 1), (("Yes", "No"), "No", 0)],
)
def test_labels_may_be_numbers_or_words(labels, cell, expected):
    """1 and 1.0 are the same label; words are compared as they are."""
    update = {"positive_label": labels[0], "negative_label": labels[1]}

    assert check_one(COLUMNS.model_copy(update=update), y=cell).rows["y"].item() == expected


def test_a_table_without_labels_is_unripe():
    """They may come later."""
    records = pd.DataFrame([GOOD], dtype="str").drop(columns="y")

    assert check(records, [2], COLUMNS).rows["y"].isna().all()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["id", "day", "x", "x", "c"], r"more than once: \['x'\]"),
        (["id", "day", "c"], r"missing: \['x'\]"),
        (["id;day;x;c;y"], "semicolons, commas are needed"),
        (["id\tday\tx\tc\ty"], "tabs, commas are needed"),
    ],
)
def test_a_header_that_cannot_be_used_says_why(header, message):
    """With a hint where the reason is plain."""
    with pytest.raises(DataError, match=message):
        check_header(header, COLUMNS)


def test_order_of_columns_and_extra_ones_do_not_matter():
    """Others may know more than we asked for."""
    check_header(["y", "c", "extra", "x", "day", "id"], COLUMNS)


def rows_of(*rows):
    frame = pd.DataFrame(rows, columns=["id", "x", "c", "y"])
    return frame.astype({"id": "str", "x": "float64", "c": "str", "y": "Int8"})


def test_equal_rows_have_equal_fingerprints_and_different_ones_do_not():
    """Each single change of a cell changes the hash; -0.0 is 0.0."""
    rows = rows_of(
        ("k", 0.0, "a", 1), ("k", -0.0, "a", 1), ("l", 0.0, "a", 1), ("k", 1.0, "a", 1),
        ("k", 0.0, "b", 1), ("k", 0.0, "a", 0), ("k", 0.0, "a", None), ("k", None, "a", 1),
        ("k", 0.0, None, 1), ("a", 0.0, "k", 1),
    )  # fmt: skip

    hashes = fingerprints(rows)

    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 9


def test_fingerprints_do_not_change_over_time():
    """They are stored for years; an upgrade of pandas that changes them must not go unnoticed."""
    rows = rows_of(("k", 0.5, "a", 1), ("Müller", None, None, None))

    assert fingerprints(rows).tolist() == GOLDEN


def test_a_million_random_rows_have_a_million_fingerprints():
    """A collision would lose a customer."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.random(1_000_000), "n": rng.integers(0, 9, 1_000_000)})

    assert len(set(fingerprints(rows).tolist())) == 1_000_000
