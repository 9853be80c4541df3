import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns
from risk.data.footers import count_footers
from risk.errors import DataError
from risk.numerals import Marks, with_points
from risk.schema import (
    NO_TIME,
    Problem,
    check,
    check_header,
    fingerprints,
    fingerprints_by_label,
)

OTHER_MARK = "not a number with a decimal point; see ingestion.decimal and ingestion.thousands"
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
        (
            {"x": "1,5"},
            Problem(7, "x", OTHER_MARK, "1,5"),
        ),
        ({"x": "0x10"}, Problem(7, "x", "not a number", "0x10")),
        ({"x": "-1"}, Problem(7, "x", "less than 0", "-1")),
        ({"x": "101"}, Problem(7, "x", "more than 100", "101")),
        ({"id": " "}, Problem(7, "id", "empty", "")),
        ({"id": "a\x00b"}, Problem(7, "id", "control character", "a\x00b")),
        ({"c": "z"}, Problem(7, "c", "value not allowed", "z")),
        ({"day": "soon"}, Problem(7, "day", NO_TIME, "soon")),
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


def test_a_blank_category_is_missing():
    """Also where only some values are allowed."""
    row = check_one(c=" ").rows.iloc[0]

    assert pd.isna(row["c"])


@pytest.mark.parametrize("cell", ["5", "+5", "5.0", "5.", "5e0", "50E-1", " 5 ", "005"])
def test_a_number_may_be_spelt_in_many_ways(cell):
    """All of them are what Python's own float reads."""
    (number,) = check_one(x=cell).rows["x"]

    assert number == float(cell) == 5


@pytest.mark.parametrize(
    "cell", ["1_0", "\u0661", "\uff11", "True", "1 0", "0b1", "1L", "NAN", "None"]
)
def test_what_only_a_programming_language_takes_for_a_number_is_none(cell):
    """Which of them Python or pandas accept changes with their version."""
    assert check_one(x=cell).problems == [Problem(7, "x", "not a number", cell)]


def test_a_company_called_na_is_a_company():
    """Plain pandas makes it a missing value."""
    columns = COLUMNS.model_copy(update={"allowed_values": {}})

    row = check_one(columns, id="NA", c="NA").rows.iloc[0]

    assert (row["id"], row["c"]) == ("NA", "NA")


CELLS = st.one_of(
    st.floats(0, 1e300).map(repr),
    st.integers(0, 2**70).map(str),
    st.sampled_from(["", "NA", "many", "True", "1e309", "-1"]),
)


def is_fit(cell):
    if cell in ("", "NA"):
        return True
    if cell in ("many", "True", "-1") or float(cell) > 1e20:
        return False
    return not cell.isdecimal() or int(cell) in (int(float(cell)), int(Decimal(repr(float(cell)))))


@given(st.lists(CELLS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_number_does_not_depend_on_its_neighbours(cells):
    """Python's float is the oracle; plain pandas rounds a column of large integers together."""
    columns = COLUMNS.model_copy(update={"allowed_ranges": {"x": (0, None)}})
    records = pd.DataFrame([GOOD | {"x": cell} for cell in cells], dtype="str")

    found = check(records, range(len(cells)), columns).rows["x"]

    fit = {i: cell for i, cell in enumerate(cells) if is_fit(cell)}
    assert found.index.tolist() == list(fit)
    expected = [float(cell) if cell not in ("", "NA") else np.nan for cell in fit.values()]
    np.testing.assert_array_equal(found, expected)


def test_problems_come_in_the_order_of_lines_and_fit_rows_keep_their_place():
    """Both are found again in the file."""
    records = pd.DataFrame([GOOD | {"x": x} for x in ("-1", "5", "many", "6")], dtype="str")

    checked = check(records, [2, 3, 5, 9], COLUMNS)

    assert [(problem.line, problem.value) for problem in checked.problems] == [
        (2, "-1"),
        (5, "many"),
    ]
    assert checked.rows["x"].to_dict() == {1: 5.0, 3: 6.0}


def test_a_long_value_is_cut_in_the_message():
    """A megabyte in a cell must not flood the ledger."""
    (problem,) = check_one(x="z" * 10_000).problems

    assert len(problem.value) == 40
    assert problem.value.endswith("…")


@pytest.mark.parametrize(
    ("labels", "cell", "expected"),
    [
        ((1, 0), "1", 1),
        ((1, 0), "1.0", 1),
        ((1, 0), "01", 1),
        ((1, 0), "0", 0),
        ((1, 0), "-0", 0),
        ((0, 1), "0", 1),
        ((0.5, 2), "5e-1", 1),
        (("Yes", "No"), "Yes", 1),
        (("Yes", "No"), " No ", 0),
        (("1", "0"), "1", 1),
    ],
)
def test_labels_may_be_numbers_or_words(labels, cell, expected):
    """1 and 1.0 are the same label; words are compared as they are."""
    update = {"positive_label": labels[0], "negative_label": labels[1]}

    assert check_one(COLUMNS.model_copy(update=update), y=cell).rows["y"].item() == expected


@pytest.mark.parametrize(
    ("labels", "cell"), [(("Yes", "No"), "yes"), (("1", "0"), "1.0"), ((1, 0), "True")]
)
def test_another_spelling_of_a_label_is_refused(labels, cell):
    """Guessing what was meant would make wrong labels."""
    update = {"positive_label": labels[0], "negative_label": labels[1]}

    (problem,) = check_one(COLUMNS.model_copy(update=update), y=cell).problems

    assert problem == Problem(7, "y", f"label other than {labels[1]} or {labels[0]}", cell)


def test_a_table_without_labels_is_unripe():
    """They may come later."""
    records = pd.DataFrame([GOOD], dtype="str").drop(columns="y")

    assert check(records, [2], COLUMNS).rows["y"].isna().all()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["id", "day", "x", "x", "c"], r"more than once: \['x'\]"),
        (["id", "day", "c"], r"missing: \['x'\]"),
        (["id;day;x;c;y"], "semicolons; if so, set ingestion.separator"),
        (["id\tday\tx\tc\ty"], "tabs; if so, set ingestion.separator"),
    ],
)
def test_a_header_that_cannot_be_used_says_why(header, message):
    """With a hint where the reason is plain."""
    with pytest.raises(DataError, match=message):
        check_header(header, COLUMNS)


@pytest.mark.parametrize("name", ["Y", "label_y ", "yy"])
def test_only_a_name_much_like_the_target_is_taken_for_a_misspelt_one(name):
    """A single letter is like nothing but itself."""
    header = ["id", "day", "x", "c", name]
    if name == "Y":
        with pytest.raises(DataError, match="no column 'y', but 'Y'"):
            check_header(header, COLUMNS)
    else:
        check_header(header, COLUMNS)


@pytest.mark.parametrize("name", ["exitd", "Exited", "exited?", "exitted"])
def test_a_misspelt_target_does_not_make_a_drop_one_without_labels(name):
    """Its labels would be thrown away, and its rows would wait for ever."""
    columns = COLUMNS.model_copy(update={"target": "exited"})

    for header in (["id", "day", "x", "c", name], ["id", name]):
        with pytest.raises(DataError, match="if it has the labels, correct its name"):
            check_header(header, columns)
    check_header(["id", "day", "x", "c", name, "exited"], columns)


def test_a_header_of_very_many_names_is_checked_in_linear_time():
    """It was 10 seconds for 32,000; twelve times as many names take a moment."""
    names = [f"n{i}" for i in range(400_000)]

    start = time.perf_counter()
    check_header(["id", "day", "x", "c", *names], COLUMNS)

    assert time.perf_counter() - start < 5


def test_columns_without_a_name_may_repeat():
    """A spreadsheet leaves them at the right; nobody declared them."""
    check_header(["id", "day", "x", "c", "y", "", "", "note", "note"], COLUMNS)


WIDE = COLUMNS.model_copy(update={"allowed_ranges": {}})


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992",
        "-9007199254740994",
        "1e19",
        "1.2345678901234567e+19",
        "1e20",
        "0.1",
        "NA",
    ],
)
def test_a_number_a_program_wrote_is_kept(text):
    """Exact, or the shortest text of a float."""
    assert not check_one(WIDE, x=text).problems


@pytest.mark.parametrize("text", ["1e308", "-1e200", "123456789012345678901", "1.1e20"])
def test_a_number_no_model_can_take_is_refused(text):
    """Its square would be infinite, and so would the mean of a column be."""
    assert check_one(WIDE, x=text).problems == [Problem(7, "x", "beyond 1e+20", text)]


@pytest.mark.parametrize("text", ["9007199254740993", "-9007199254740993", "12345678901234567891"])
def test_whole_numbers_that_would_be_merged_are_refused(text):
    """Two accounts with neighbouring numbers are not one customer."""
    (problem,) = check_one(WIDE, x=text).problems

    assert problem.rule == "more digits than can be kept"


FOOTED = COLUMNS.model_copy(update={"numeric": ("x", "z", "w"), "event_time": None})


def typed(*rows):
    frame = pd.DataFrame(rows, columns=["id", "x", "z", "w", "c", "y"])
    return frame.astype({"x": "float64", "z": "float64", "w": "float64", "y": "Int8"})


FULL, EMPTY = ("k", 1, 2, 3, "a", 1), (None, None, None, None, None)


@pytest.mark.parametrize(
    ("last", "n"),
    [
        ([("Total", 50, None, None, None, None)], 1),
        ([("Grand total:", 50, None, None, None, None)], 1),
        ([("Summe", 9, None, None, None, None), ("Ø", *EMPTY)], 2),
        ([("exported by Max", *EMPTY)], 1),
        ([("Total", 50, 1, 2, "a", None)], 1),
        ([("Total", 50, None, None, None, 1)], 0),
        ([("k2", 50, None, None, None, None), ("Total:", 51, 2, 3, "b", None)], 1),
        ([("Total rows: 50", *EMPTY)], 1),
        ([("Totally Ltd", 50, None, None, None, None)], 0),
        ([("k2", 50, None, None, None, None)], 0),
        ([("Anzahl", 2, None, None, None, None)], 1),
        ([("Total général", 50, 1, 2, None, None)], 1),
        ([("合計", 50, None, None, None, None)], 1),
        ([("l", 4, 5, 6, "a", 0), ("TOTAL", 5, 7, 9, None, 1)], 1),
        ([("l", 4, 5, 6, "a", 0), ("TOTAL", 5, 7, 8, None, 1)], 0),
        ([("l", 4, 5, 6, "a", 0), ("m", 5, 7, 9, None, 1)], 0),
        ([("TOTAL", 1, 2, 3, None, 1)], 0),
        ([("a", *EMPTY)] * 4, 0),
    ],
)
def test_totals_below_the_rows_are_footers(last, n):
    """A customer called Total who has a label is a customer, unless they are the sum of all."""
    assert count_footers(typed(FULL, *last), FOOTED) == n


@pytest.mark.parametrize(("last", "n"), [((5, 7, 9, "a"), 0), ((3, 5, 7, None), 1)])
def test_among_rows_without_labels_a_total_is_the_sum(last, n):
    """One called so who has features of its own may be a customer."""
    above = [("k", 1, 2, 3, "a", None), ("l", 2, 3, 4, "a", None)]

    assert count_footers(typed(*above, ("Total", *last, None)), FOOTED) == n


def test_where_nothing_stands_above_it_a_row_is_no_footer():
    """So that it can be requeued if it is a row after all."""
    assert count_footers(typed(("Total", *EMPTY)), FOOTED) == 0


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


KINDS = st.tuples(
    st.sampled_from(["k", "l", "nan", "None"]),
    st.sampled_from([0.0, 1.0, 0.5, None, 2.0**63]),
    st.sampled_from(["a", "b", "nan", "None", None]),
    st.sampled_from([0, 1, None]),
)


@given(st.lists(KINDS, min_size=1, max_size=12))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_fingerprint_depends_on_its_own_row_and_on_nothing_else(kinds):
    """Neither on neighbours nor on their order: a row comes again in another drop."""
    together = fingerprints(rows_of(*kinds)).tolist()

    alone = [fingerprints(rows_of(kind)).item() for kind in kinds]

    assert together == alone
    assert len(set(together)) == len(set(kinds))


@given(st.lists(KINDS, min_size=1, max_size=12))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_fingerprints_are_the_hashes_of_pandas(kinds):
    """Those in the ledgers of installations are, and so are those of a row with another label."""
    rows = rows_of(*kinds)

    by_label = fingerprints_by_label(rows)

    for label, found in by_label.items():
        labels = pd.array([label] * len(rows), dtype="Int8")
        expected = pd.util.hash_pandas_object(rows.assign(y=labels), index=False)
        assert found.tolist() == expected.to_numpy().view("int64").tolist()
    expected = pd.util.hash_pandas_object(rows, index=False)
    assert fingerprints(rows).tolist() == expected.to_numpy().view("int64").tolist()


def test_values_that_change_columns_change_the_fingerprint():
    """All 27,000 triples of 30 numbers: a sum over the columns would give 88 hashes."""
    grid = np.stack(np.meshgrid(*[np.arange(30.0)] * 3), axis=-1).reshape(-1, 3)

    hashes = fingerprints(pd.DataFrame(grid))

    assert len(set(hashes.tolist())) == 27_000


def test_fingerprints_leave_the_rows_as_they_are():
    """-0.0 is only read as 0.0, not rewritten."""
    rows = rows_of(("k", -0.0, "a", 1))

    fingerprints(rows)

    assert np.signbit(rows["x"].item())


def test_fingerprints_do_not_change_over_time():
    """They are stored for years; an upgrade of pandas that changes them must not go unnoticed."""
    rows = rows_of(("k", 0.5, "a", 1), ("Müller", None, None, None))

    assert fingerprints(rows).tolist() == GOLDEN


def test_a_million_random_rows_have_a_million_fingerprints():
    """A collision would lose a customer."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.random(1_000_000), "n": rng.integers(0, 9, 1_000_000)})

    assert len(set(fingerprints(rows).tolist())) == 1_000_000


@pytest.mark.parametrize(
    ("decimal", "read_as_numbers"),
    [
        (".", {"1,512.07": 1512.07, "-1,234,567": -1234567, "1.512": 1.512}),
        (",", {"1.512,07": 1512.07, "-1.234.567": -1234567, "1,512": 1.512}),
    ],
)
def test_marks_between_thousands_are_read_where_they_are_nothing_else(decimal, read_as_numbers):
    """Written the other way round, the same number is refused."""
    other = {".": ",", ",": "."}[decimal]
    cells = [*read_as_numbers, f"1{other}512", f"12{other}34{decimal}5", f"1{other}2345{decimal}0"]

    found = pd.to_numeric(with_points(pd.Series(cells), Marks(decimal)), errors="coerce")

    assert found[:3].tolist() == list(read_as_numbers.values())
    assert found[3:].isna().all()
