import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import numerals
from risk.config import Columns
from risk.numerals import POINT, Marks
from risk.schema import check

CELLS = st.sampled_from(
    [
        "1",
        "2.5",
        "-0",
        "-0.0",
        "0",
        "",
        "NA",
        "-1",
        "1e3",
        "1e20",
        "1e21",
        "9007199254740993",
        "inf",
    ]
    + ["nan", "x", "1,5", "1.234,5", "+7", " 8 ", "1\x00", "1\x07", "0x10", "1_000", "٣", "1e-320"]
    + ["+9e91", "9e91", "0.30000000000000004", ".5", "5.", "007", "12 €", "1.234,56", "1 234"]
)


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from(".,"),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_numbers_converted_many_at_once_are_those_of_the_rules_one_by_one(
    cells, is_narrow, decimal
):
    """To the last bit, and with the same problems, whatever stands in the neighbouring columns."""
    columns = Columns(
        identifier="id",
        target="y",
        positive_label=1,
        negative_label=0,
        numeric=("a", "b", "c"),
        allowed_ranges={"a": (0, None), "b": (None, 100)} if is_narrow else {},
        missing_markers=("NA", "-1"),
    )
    records = pd.DataFrame(cells, columns=["a", "b", "c"], dtype="str").assign(id="k", y="0")
    lines = list(range(len(records)))

    found = check(records, lines, columns, Marks(decimal))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerals, "plain", lambda *_: {})
        expected = check(records, lines, columns, Marks(decimal))
    assert found.problems == expected.problems
    pd.testing.assert_frame_equal(found.rows, expected.rows, check_exact=True)
    signs = [np.signbit(checked.rows[["a", "b", "c"]].to_numpy()) for checked in (found, expected)]
    known = found.rows[["a", "b", "c"]].notna().to_numpy()
    assert np.array_equal(signs[0][known], signs[1][known])


@given(
    st.lists(
        st.floats(allow_nan=False).map(repr)
        | st.from_regex(r"\A[+-]?[0-9]{0,20}\.?[0-9]{0,25}([eE][+-]?[0-9]{1,3})?\Z")
        | st.text(alphabet="0123456789.eE+-_ ,x", max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, 1, 2.5]),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_texts_are_the_numbers_pandas_says_they_are(cells, label):
    """To the last bit: they are hashed, and the hashes are kept for years."""
    columns = Columns(
        identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",)
    )
    texts = pd.Series(cells, dtype="str")

    plain = numerals.plain(texts.to_frame("x"), columns, POINT)
    equal = numerals.equal(texts, label, POINT)

    known = texts.mask(texts.isin(["", *columns.missing_markers]))
    expected = pd.to_numeric(known, errors="coerce").astype("float64")
    for found in plain.values():
        assert found.to_numpy().tobytes() == expected.to_numpy().tobytes()
    written = numerals.with_points(texts, POINT)
    assert equal.tolist() == (pd.to_numeric(written, errors="coerce") == label).tolist()


@pytest.mark.parametrize(
    ("written", "decimal", "numbers"),
    [
        (["1.234,56 €", "12 €", "-3,5 €"], ",", [1234.56, 12, -3.5]),
        (["$1,234.56", "$ 7"], ".", [1234.56, 7]),
        (["1\u00a0234,5", "1 234 567", "12\u202f345"], ",", [1234.5, 1234567, 12345]),
        (["1'234.50", "7"], ".", [1234.5, 7]),
        (["12 %", "5,5%", ""], ",", [12, 5.5, None]),
        (["12 €", "13 €", "14 $"], ",", [12, 13, None]),
        (["12", "13", "14 %"], ".", [12, 13, None]),
        (
            ["(1,234.50)", "12-", "7", "\u2212 5", "1,234,567.8-"],
            ".",
            [-1234.5, -12, 7, -5, -1234567.8],
        ),
        (
            ["(1.234,50 €)", "€ (3)", "5,5 €-", "6-€", "-€7", "8 €"],
            ",",
            [-1234.5, -3, -5.5, -6, -7, 8],
        ),
        (["1-2", "(1-2)", "-(3)", "()", "5--", "-", "(1"], ".", [None] * 7),
        (["12 34", "1234 567", "12 March"], ".", [None, None, None]),
    ],
)
def test_units_and_spaces_between_thousands_are_left_out(written, decimal, numbers):
    """But not the unit of a few cells, nor a space elsewhere; ledgers have other minus signs."""
    found, _ = numerals.parse(pd.Series(written), ["NA"], Marks(decimal))

    assert [None if np.isnan(number) else number for number in found] == numbers


@pytest.mark.parametrize("decimal", [".", ","])
def test_with_the_setting_every_other_mark_is_between_thousands(decimal):
    """Or else 1.528 beside a decimal comma could be either, and is refused."""
    other = {".": ",", ",": "."}[decimal]
    written = pd.Series(
        [f"1{other}528", f"-12{other}345{decimal}5", "7", f"1{other}5", f"1{other}5280"]
    )

    strict, _ = numerals.parse(written, [], Marks(decimal))
    told, _ = numerals.parse(written, [], Marks(decimal, has_thousands=True))

    assert strict.fillna(0).tolist() == [0, -12345.5, 7, 0, 0]
    assert told.fillna(0).tolist() == [1528, -12345.5, 7, 0, 0]


def test_a_column_with_an_accent_is_read_like_one_without():
    """Arrow matches the patterns of one, Python those of the other: both mean the same."""
    written = ["(12)", "12-", "- 12", "-12", "(1,234.50)", "1,234", "1,234.5", "7", "", "x", "$(3)"]
    written += ["1.234", "1\n", "-\n1", "12 %", "1 234", "(", "5--", "1e-5", "+7"]

    alone = numerals.with_points(pd.Series(written, dtype="str"), POINT)
    beside = numerals.with_points(pd.Series([*written, "é"], dtype="str"), POINT)

    assert alone.tolist() == beside.tolist()[:-1]
    assert alone.tolist()[:6] == ["-12", "-12", "-12", "-12", "-1234.50", "?"]


@given(
    st.lists(st.sampled_from(["a", "b", "ä", "", "nan", None]), max_size=9),
    st.lists(st.sampled_from(["a", "b", "ä", "", "nan"]), unique=True),
    st.sampled_from(["str", "object"]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_places_are_those_of_an_index(cells, known, kind):
    """That of pandas, which has no missing cell here."""
    column = pd.Series(cells, dtype=kind)

    found = numerals.places(column, known)

    assert found.tolist() == pd.Index(known, dtype="str").get_indexer(pd.Index(column)).tolist()
