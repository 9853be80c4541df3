import csv
import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import drops
from risk.config import Columns
from risk.errors import DataError

HEADER = "id,x,y\n"
COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",))


def read(content, limit=10_000):
    content = content.encode() if isinstance(content, str) else content
    file = io.BufferedReader(io.BytesIO(content))
    return list(drops.read(file, COLUMNS, limit))


def ids(content):
    return [name for piece in read(content) for name in piece.rows["id"]]


@pytest.mark.parametrize(
    "content",
    [
        "id,x,y\na,1,0\nb,2,1\n",
        "id,x,y\na,1,0\nb,2,1",
        "id,x,y\r\na,1,0\r\nb,2,1\r\n",
        "id,x,y\ra,1,0\rb,2,1\r",
        "\ufeffid,x,y\na,1,0\nb,2,1\n",
        "y,extra,id,x\n0,?,a,1\n1,?,b,2\n",
        ' id , x,y\n a ,"1",0\n\nb,2,1\n',
    ],
)
def test_the_usual_spellings_of_csv_are_read(content):
    """Line ends, byte order mark, order of columns, blanks around cells, blank lines."""
    assert ids(content) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        ("id,x,y\na,1,0\n".encode("utf-16"), "not UTF-8 text: byte 0xff"),
        ("id,x,y\nMüller,1,0\n".encode("latin-1"), "not UTF-8 text: byte 0xfc"),
        (b'id,x,y\n"a,1,0\nb,2,1\n', "not CSV"),
        (b"<html><body>502 Bad Gateway</body></html>", "columns missing"),
        (b"id;x;y\na;1;0\n", "semicolons"),
        (b"id,x,y\n" + b"a" * 20_000, "longer than max_line_characters"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content, message):
    """As a whole: it goes into quarantine with this reason."""
    with pytest.raises(DataError, match=message):
        read(content)


def test_only_a_header_is_no_rows():
    """Nothing came, and nothing is wrong."""
    assert read(HEADER) == []


def test_rows_of_another_length_are_refused_alone():
    """Plain pandas shifts the columns, or throws away the file."""
    (piece,) = read(HEADER + "a,1,0\nb,2\nc,3,1,9\nd,4,1\n")

    assert piece.rows["id"].tolist() == ["a", "d"]
    assert piece.refused == [["b", "2"], ["c", "3", "1", "9"]]
    assert [problem.line for problem in piece.problems] == [3, 4]


def test_all_rows_one_field_too_long_are_all_refused():
    """Plain pandas takes the first column for an index, without a word."""
    (piece,) = read(HEADER + "a,1,0,9\nb,2,1,9\n")

    assert piece.rows.empty
    assert len(piece.refused) == 2


def test_line_numbers_count_lines_and_not_records():
    """A quoted line break makes the difference."""
    (piece,) = read(HEADER + '"a\nb",1,0\nc,many,0\n')

    assert [problem.line for problem in piece.problems] == [4]
    assert piece.rows["id"].tolist() == ["a\nb"]


def test_a_large_drop_comes_in_pieces(monkeypatch):
    """Memory is bounded by the piece, not by the file."""
    monkeypatch.setattr(drops, "ROWS_PER_PIECE", 10)
    text = HEADER + "".join(f"c{i},{i},0\n" for i in range(25))

    assert [piece.n_read for piece in read(text)] == [10, 10, 5]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
ROWS = st.lists(st.tuples(TEXT, st.integers(-9, 9), st.integers(0, 1)), max_size=20)


@given(ROWS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_the_csv_module_writes_is_read_back(rows):
    """Its own count and values are the oracle; only a blank identifier is refused."""
    text = io.StringIO()
    csv.writer(text).writerows([["id", "x", "y"], *rows])

    pieces = read(text.getvalue())

    fit = [row for row in rows if row[0].strip()]
    found = [tuple(row) for piece in pieces for row in piece.rows.itertuples(index=False)]
    assert sum(piece.n_read for piece in pieces) == len(rows)
    assert len(found) == len(fit)
    assert [row[1:] for row in found] == [row[1:] for row in fit]


@given(st.binary(max_size=40), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_bytes_whatever_do_more_than_be_refused(noise, start, length):
    """Any mutation is read or refused with a reason; the rows of what is read add up."""
    content = (HEADER + "a,1,0\nb,2,1\nc,3,1\n").encode()
    mutated = content[:start] + noise + content[start + length :]
    try:
        pieces = read(mutated)
    except DataError as refusal:
        assert str(refusal)
        return

    assert all(piece.n_read == len(piece.rows) + len(piece.refused) for piece in pieces)


def test_only_regular_files_are_ever_opened(world):
    """Links, pipes, folders and hidden files lie there and are told, or not even that."""
    folder = world.config.input_folder
    (folder / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / ".hidden.csv").write_text("x")
    (folder / "notes.txt").write_text("x")

    found, skipped = drops.find(world.config)

    assert [drop.path.name for drop in found] == ["dataset1.csv", "dataset2.csv"]
    assert [line.split(":")[0].split("/")[-1] for line in skipped] == [
        "folder.csv", "link.csv", "pipe.csv",
    ]  # fmt: skip


def test_a_file_beyond_the_limit_is_left_alone(world):
    """And why is said each time."""
    config = world.set(ingestion__max_file_bytes=420)

    found, skipped = drops.find(config)

    assert [drop.path.name for drop in found] == ["dataset1.csv"]
    assert "more than max_file_bytes = 420" in skipped[0]


def test_a_link_put_in_place_of_a_file_is_not_followed(world):
    """Between listing and opening everything can happen."""
    (drop, *_), _ = drops.find(world.config)
    drop.path.unlink()
    drop.path.symlink_to("/etc/passwd")

    with pytest.raises(drops.Changed, match="cannot be opened"), drops.opened(drop):
        pass


def test_a_file_that_vanished_is_said_so(world):
    """The run goes on with the others."""
    (drop, *_), _ = drops.find(world.config)
    drop.path.unlink()

    with pytest.raises(drops.Changed, match="vanished"), drops.opened(drop):
        pass


def test_a_file_that_changes_while_it_is_read_is_left_for_later(world):
    """What was read might be half old and half new."""
    (drop, *_), _ = drops.find(world.config)

    with (
        pytest.raises(drops.Changed, match="changed while it was read"),
        drops.opened(drop) as file,
    ):
        file.read(10)
        with drop.path.open("a") as writer:
            writer.write("more,1,2,3,0\n")


def test_a_file_that_grows_is_not_ready(world):
    """Somebody is still writing."""
    import threading

    (growing, still), _ = drops.find(world.config)
    timer = threading.Timer(0.1, lambda: growing.path.open("a").close() or os.utime(growing.path))
    timer.start()

    ready, waiting = drops.settled([growing, still], 0.5)
    timer.join()

    assert ready == [still]
    assert waiting == [f"{growing.name}: still being written, left for a later run"]


def test_names_that_cannot_be_shown_are_spelt_out(world):
    """Bad UTF-8 and a line break in a name must not break a record."""
    folder = os.fsencode(world.config.input_folder)
    for name in (b"a\nb.csv", b"\xff.csv"):
        with open(folder + b"/" + name, "w") as file:
            file.write(HEADER)

    found, _ = drops.find(world.config)

    names = {drop.name.split("/")[-1] for drop in found}
    assert {"a\\nb.csv", "\\xff.csv"} <= names
