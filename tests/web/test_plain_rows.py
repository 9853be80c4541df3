import numpy as np
import pytest
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from werkzeug.exceptions import HTTPException

from risk.config import Api, Columns
from web import plain_rows, request_rows
from web.request_rows import Chunk, Deadline

COLUMNS = Columns(
    identifier="id",
    target="left",
    positive_label=1,
    negative_label=0,
    numeric=("age", "size"),
    categorical=("plan", "town"),
    allowed_ranges={"age": (0, 150)},
    allowed_values={"plan": ("a", "b", "5")},
)
PLAIN = {"id": "x", "age": 30, "size": 0.1, "plan": "a", "town": "Ulm"}
ODD = [None, True, 0, 5, -1, 150, 151, 2**53, 10**400, -0.0, 0.1, 1e20, 1e300, float("inf")]
ODD += [
    "",
    " ",
    "5",
    "1.5",
    "NA",
    "a",
    " a",
    "Ulm\t",
    "a\x07",
    "\ud800",
    "\u00a0",
    "é",
    [],
    [[]],
    [5],
    {},
]
CELLS = st.sampled_from(ODD) | st.floats(allow_nan=False) | st.integers() | st.text(max_size=3)
RECORDS = st.fixed_dictionaries(
    {name: st.just(value) | CELLS for name, value in PLAIN.items() if name != "id"},
    optional={"id": st.just("x") | CELLS, "left": CELLS, "shoe": CELLS},
)


def by_the_rules(records, columns=COLUMNS):
    """Give the rows that the rules of a drop make of records, or None if they refuse any."""
    part = request_rows._part_of_records(records, 0, columns)
    with Flask("test").test_request_context():
        try:
            [chunk] = request_rows.checked([part], columns, Deadline(60))
        except HTTPException:
            return None
    return chunk.rows


@settings(deadline=None)
@example([PLAIN | {"age": -0.0}])
@example([PLAIN | {"age": -0.0}, PLAIN | {"age": 1}])
@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_what_is_typed_is_what_the_rules_make_of_it(records):
    """Whatever JSON holds: the same values of the same types, and nothing that they refuse."""
    rows = plain_rows.typed(records, COLUMNS)

    if rows is not None:
        expected, numeric = by_the_rules(records), [*COLUMNS.numeric]
        assert_frame_equal(rows, expected, check_exact=True, check_index_type=False)
        assert np.array_equal(np.signbit(rows[numeric]), np.signbit(expected[numeric]))  # of -0.0


@pytest.mark.parametrize(
    "changes", [{}, {"id": 7}, {"id": None}, {"age": None}, {"town": None}, {"plan": 5}]
)
def test_a_usual_row_is_typed(changes):
    """Nearly every request would otherwise take the long way."""
    records = [PLAIN, PLAIN | changes]

    rows = plain_rows.typed(records, COLUMNS)

    assert_frame_equal(rows, by_the_rules(records), check_index_type=False)


LINES = st.tuples(
    st.sampled_from(["x", "", " x", "7", "y" * 651]),
    st.sampled_from(["30", "-0", "151", "NA", "", "1e400", "9007199254740993", "x", " 5"]),
    st.sampled_from(["0.1", "-0", "5", "", "+1", "1e300", "NA"]),
    st.sampled_from(["a", "b", "5", "c", "", " a", "NA"]),
    st.sampled_from(["Ulm", "", " ", "Ulm ", "\u00e9", "\x07", "\x7f", "NA", "N/A"]),
    st.sampled_from(["0", "1", "", "2"]),
).map(",".join)


def of_csv(header, lines):
    """Give the rows and identifiers of a body, or the answer that refuses it."""
    body = "\n".join([header, *lines, ""]).encode()
    with Flask("test").test_request_context():
        try:
            parts = request_rows.from_csv(body, COLUMNS, Api())
            [chunk] = request_rows.checked(parts, COLUMNS, Deadline(60))
        except HTTPException as error:
            return None, error.get_response().get_data()
    return chunk.rows, chunk.identifiers


@settings(deadline=None)
@example(["x,30,0.1,a,Ulm,", "y,NA,,,,"], "shoe")
@example(["x,30,0.1,a,Ulm,", " x,30,0.1,a,Ulm,"], "shoe")
@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from(["left", "shoe"]))
def test_plain_lines_are_what_the_rules_make_of_them(lines, last):
    """Quotes leave all lines to the csv module, and their cells to the rules of a drop."""
    header = f"id,age,size,plan,town,{last}"

    rows, names = of_csv(header, lines)
    quoted = ['"' + line.replace(",", '",', 1) for line in lines]
    expected, expected_names = of_csv(header, quoted)

    assert names == expected_names
    if rows is not None:
        assert_frame_equal(rows, expected, check_exact=True, check_index_type=False)


@pytest.mark.parametrize("line", ["x,30,0.1,a,Ulm", "x,,,,"])
def test_a_usual_line_is_typed(line):
    """Nearly every request would otherwise take the long way."""
    body = f"id,age,size,plan,town\n{line}\n".encode()

    [chunk] = request_rows.from_csv(body, COLUMNS, Api())

    assert isinstance(chunk, Chunk)


def test_a_number_that_stands_for_a_missing_value_is_left_to_the_rules():
    """Exports write -999 where there is nothing."""
    columns = COLUMNS.model_copy(update={"missing_markers": ("-999",)})
    records = [PLAIN | {"size": -999}]

    assert plain_rows.typed(records, columns) is None
    assert by_the_rules(records, columns)["size"].isna().all()
