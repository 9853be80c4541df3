import io

import pytest

from risk.config import Columns, Ingestion
from risk.data import records

COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",))


def read(content, settings=None):
    settings = settings or Ingestion()
    text = records.decoded(io.BytesIO(content), settings)
    header, rest = records.of(text, COLUMNS, settings)
    return header, list(rest)


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
        "not UTF-8 text: byte 0xfc cannot be decoded; if it is cp1252, set ingestion.encoding"
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
