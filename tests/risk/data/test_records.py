import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns, Ingestion
from risk.data import drops, encodings, records
from risk.errors import DataError

COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",))


def read(content, settings=None):
    settings = settings or Ingestion()
    text = records.decoded(io.BytesIO(content), settings)
    header, below = records.of(text, COLUMNS, settings)
    some = below.take(99)
    return header, list(zip(some.lines, some.records, strict=True))


@pytest.mark.parametrize("above", [b"", b"sep=,\n", b"Report\n", b",X1,Y\n", b"a,b,c\n" * 10])
def test_the_header_is_the_first_record_with_the_names_of_the_columns(above):
    """Lines keep their numbers."""
    header, rest = read(above + b"id,x,y\n\na,1,0\n")

    assert header == ["id", "x", "y"]
    assert rest == [(above.count(b"\n") + 3, ["a", "1", "0"])]


def test_without_such_a_record_the_header_is_the_first():
    """So that it is said what it lacks."""
    assert read(b"key,y\na,1\n") == (["key", "y"], [(2, ["a", "1"])])
    assert read(b"") == ([], [])


def test_the_encoding_is_that_of_the_settings():
    """Of another one it is said which to try."""
    content = "id,x,y\nMüller,1,0\n".encode("cp1252")

    assert read(content, Ingestion(encoding="cp1252"))[1] == [(2, ["Müller", "1", "0"])]
    with pytest.raises(UnicodeDecodeError) as caught:
        read(content)
    assert records.not_text(caught.value, Ingestion()) == (
        "not UTF-8 text: byte 0xfc cannot be decoded; set ingestion.encoding to its own "
        "(cp1252, cp1250, cp1251, cp1253, cp1254, cp1257, cp932, cp949, cp950, gb18030)"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_more_than_the_settings(encoding):
    """Excel writes one in both encodings."""
    content = "id,x,y\nMüller,1,0\n".encode(encoding)

    assert read(content, Ingestion(encoding="cp1252"))[1] == [(2, ["Müller", "1", "0"])]


def test_text_cut_off_within_a_character_is_no_text():
    """Its mark says what it was to be."""
    with pytest.raises(UnicodeDecodeError) as caught:
        read("id,x,y\nMüller,1,0\n".encode("utf-16")[:-1])
    assert "not UTF-16 text" in records.not_text(caught.value, Ingestion())


CELLS = st.sampled_from(
    "a,b,,0,1,1,2.5,-0,-0.0,+1,+9e91,1e5,1E5,1e-7,0x1,1_000,nan,NA,inf,007,0.30000000000000004,.5,"
    "5.,9007199254740993,18446744073709551616,1e400,٣,½,1;5,1.234;5,1 234,12 €,$3, 8 ,"
    "\ufeff7,\u2028,\x85,\x07,\x7f,\x1c,\t1,2026-03-01,Müller,level 1".split(",")
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n"])
WIDE = Columns(
    identifier="id",
    target="y",
    positive_label=1,
    negative_label=0,
    numeric=("x", "z"),
    categorical=("c",),
    allowed_values={"c": ["a", "b", "level 1"]},
)


def outcome(text, settings, columns=WIDE, encoding="utf-8"):
    """Return all that is read of a text, the refused records and the reasons, or the refusal."""
    try:
        file = io.BytesIO(text.encode(encoding))
        pieces = list(drops.read(file, columns, settings, name="d.csv"))
    except DataError as error:
        return str(error)
    rows = [
        (*row[:1], *(float(x).hex() for x in row[1:3]), *map(str, row[3:]))
        for piece in pieces
        for row in piece.rows[columns.all].itertuples(index=False)
    ]
    problems = [problem for piece in pieces for problem in piece.problems]
    refused = [record for piece in pieces for record in piece.refused]
    valid = [record for piece in pieces for record in piece.records]
    lines = [line for piece in pieces for line in piece.lines]
    return rows, problems, refused, valid, lines, sum(piece.n_read for piece in pieces)


@given(
    st.lists(st.tuples(st.lists(CELLS, min_size=5, max_size=5), ENDS), min_size=1, max_size=12),
    st.lists(CELLS, max_size=6),
    st.sampled_from([Ingestion(), Ingestion(separator="|", decimal=",")]),
    st.sampled_from([1, 6, 100]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_lines_split_at_once_are_those_the_csv_module_splits(rows, ragged, settings, size):
    """The same records with every cell in quotes are left to it: same rows, reasons and lines."""
    sep = settings.separator
    records = [(cells, end) for cells, end in rows]
    records += [(ragged, "\n")] if ragged else []
    plain, quoted = (
        sep.join(["id", "x", "z", "c", "y"])
        + "\n"
        + "".join(sep.join(f"{q}{cell}{q}" for cell in cells) + end for cells, end in records)
        for q in ("", '"')
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drops, "ROWS_PER_PIECE", size)
        found, expected = outcome(plain, settings), outcome(quoted, settings)

    assert found == expected


@given(st.lists(CELLS, min_size=1, max_size=30), st.sampled_from([b"\xff", b"", b'"', b"\x00"]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_the_csv_module_splits_is_the_oracle_of_the_records(cells, odd):
    """Whatever is odd in a file, its records are those of Python's own reader, or none are read."""
    content = b"id,x,y\n" + "".join(f"{cell},{cell},0\n" for cell in cells).encode() + odd

    try:
        _, found = read(content)
        texts = [record for _, record in found]
    except (UnicodeDecodeError, csv.Error) as error:
        texts = type(error)

    try:
        lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        expected = list(csv.reader(lines, strict=True))[1:]
    except (UnicodeDecodeError, csv.Error) as error:
        expected = type(error)
    if isinstance(expected, list):
        expected = [record for record in expected if record]
    assert texts == expected


def test_only_lines_without_doubt_are_split_at_once():
    """Else the comparison above would compare nothing; a piece with a quote is not."""
    content = b"id,x,y\n" + b"a,1,0\n" * 3 + b'"a",1,0\n' + b"a,1,0\r\n" * 2
    _, below = records.of(records.decoded(io.BytesIO(content), Ingestion()), COLUMNS, Ingestion())

    taken = [below.take(2) for _ in range(3)]

    assert [some.cells is not None for some in taken] == [True, False, True]
    assert [list(some.lines) for some in taken] == [[2, 3], [4, 5], [6, 7]]
    assert taken[0].cells["x"].to_pylist() == [1.0, 1.0]


def test_an_undeclared_column_is_not_taken_for_one_named_like_its_place():
    """The fourth, counted from 0, is not the column 3."""
    columns = COLUMNS.model_copy(update={"numeric": ("x", "3")})
    content = io.BytesIO(b"id,x,z,w,3,y\na,1,2,9,5,0\n")

    (piece,) = drops.read(content, columns, Ingestion())

    assert piece.rows["3"].tolist() == [5.0]


USUAL = st.sampled_from(["1", "2.5", "-3", "0", "12.75", "100000"])
RARE = st.sampled_from(
    [
        "",
        "NA",
        "-99",
        " -99",
        "-99.0",
        " 8",
        "8\t",
        " ",
        "-0",
        "-0.0",
        "1e5",
        "9007199254740992",
        "x",
    ]
)


@given(
    st.lists(st.lists(USUAL, min_size=2, max_size=2), min_size=4, max_size=9),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), RARE), max_size=2),
    st.sampled_from([Ingestion(), Ingestion(separator=";", decimal=",")]),
    st.sampled_from([2, 5, 100]),
)
@settings(max_examples=75, deadline=None, derandomize=True)
def test_numbers_converted_while_lines_are_split_are_those_of_the_rules(rows, odd, settings, size):
    """The same cells in quotes are left to the csv module and to the rules, cell by cell."""
    columns = WIDE.model_copy(
        update={"missing_markers": ("NA", "-99"), "allowed_ranges": {"x": (-5, None)}}
    )
    for row, column, cell in odd:
        rows[row][column] = cell
    cells = [
        ["k", *(cell.replace(".", settings.decimal) for cell in numbers), "a", "0"]
        for numbers in rows
    ]
    header, sep = ["id", "x", "z", "c", "y"], settings.separator
    plain, quoted = (
        "".join(sep.join(f"{q}{cell}{q}" for cell in line) + "\n" for line in [header, *cells])
        for q in ("", '"')
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drops, "ROWS_PER_PIECE", size)
        patch.setattr(records, "BYTES_AT_ONCE", 7)
        found, expected = outcome(plain, settings, columns), outcome(quoted, settings, columns)

    assert found == expected


@given(
    st.lists(
        st.sampled_from(
            ["a", "ü", "€", "", '"q"', '"a\nb"', " ", "表ソ", "ｿ", "서울", "臺功", "㐂"]
        ),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", *encodings.CODECS]),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_file_has_the_same_records_in_each_encoding(cells, end, is_finished, encoding):
    """UTF-16 is always read as text; of the others, bytes are read where that is possible."""
    lines = ["title", "id,x,z,c,y", *(f"{cell},1,2,{cell},0" if cell else "" for cell in cells)]
    text = end.join(lines) + end * is_finished

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drops, "ROWS_PER_PIECE", 2)
        patch.setattr(records, "BYTES_AT_ONCE", 7)
        text = text.encode(encoding, "ignore").decode(encoding)  # what it can write
        written = Ingestion(encoding=encoding.removesuffix("-sig"))
        found = outcome(text, written, encoding=encoding)
        expected = outcome(text, Ingestion(), encoding="utf-16")

    assert found == expected
