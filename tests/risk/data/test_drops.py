import csv
import io
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns, Ingestion
from risk.data import drops, inbox
from risk.errors import DataError

HEADER = "id,x,y\n"
COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",))


def read(content, limit=10_000):
    content = content.encode() if isinstance(content, str) else content
    file = io.BufferedReader(io.BytesIO(content))
    return list(drops.read(file, COLUMNS, Ingestion(max_line_characters=limit), name="d.csv"))


EUROPEAN = Ingestion(separator=";", decimal=",")


def read_as(content, settings):
    file = io.BufferedReader(io.BytesIO(content.encode()))
    (piece,) = drops.read(file, COLUMNS, settings, name="d.csv")
    return piece


def test_semicolons_and_decimal_commas_are_read_if_set():
    """Half of Europe exports so; a point that may mean thousands or decimals is refused."""
    piece = read_as("id;x;y\na;1,5;0\nb;-2,25e1;1,0\nc;3;1\nd;1.234;0\ne;1.234,5;0\n", EUROPEAN)

    assert piece.rows[["id", "x", "y"]].values.tolist() == [
        ["a", 1.5, 0], ["b", -22.5, 1], ["c", 3.0, 1], ["e", 1234.5, 0],
    ]  # fmt: skip
    assert [(problem.line, problem.value) for problem in piece.problems] == [(5, "1.234")]


TEXT = "id,x,y\na,1,0\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\x00", "a packed file or a spreadsheet"),
        (b"\x1f\x8b\x08\x00", "a packed file"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (TEXT.encode("utf-16-le"), "UTF-16 text without a byte-order mark"),
        (TEXT.encode("utf-16-be"), "UTF-16 text without a byte-order mark"),
        (TEXT.encode("utf-32"), "UTF-32 text"),
        (b"\0" * 4096, "no text: it has NUL bytes"),
    ],
)
def test_what_is_no_csv_is_said_to_be_what_it_is(content, said):
    """Another encoding in the settings would not help."""
    with pytest.raises(DataError) as caught:
        read(content)

    assert str(caught.value) == f"this is {said}; save it as a CSV file in UTF-8"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_read_if_set(separator):
    """A comma is a letter like others then."""
    text = 'id,x,y\n"a;b",1,0\n'.replace(",", separator)

    assert read_as(text, Ingestion(separator=separator)).rows["x"].tolist() == [1]


@pytest.mark.parametrize(("wrong", "named"), [(",", "commas"), ("\t", "tabs")])
def test_a_separator_that_was_not_set_is_named(wrong, named):
    """With the setting that helps."""
    with pytest.raises(DataError, match=f"separated by {named}; if so, set ingestion.separator"):
        read_as(f"id{wrong}x{wrong}y\n", EUROPEAN)


def test_a_total_below_the_rows_is_refused_with_its_line():
    """It is no customer; in a file of two pieces, too."""
    (piece,) = read(f"{HEADER}a,1,0\nTotal,,\n")

    assert piece.rows["id"].tolist() == ["a"]
    assert [(problem.line, problem.rule) for problem in piece.problems] == [(3, drops.FOOTER)]
    assert piece.refused == [["Total", "", ""]]


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
        "id,x,y,,\na,1,0,,\nb,2,1,,\n",
        "id,x,y,,,\na,1,0,,,\nb,2,1\n",
        "id,x,y\na,1,0,,\nb,2,1,,,\n",
        "id,,x,,y\na,,1,,0\nb,,2,,1\n",
        "id,note,x,note,y\na,1,1,2,0\nb,,2,,1\n",
    ],
)
def test_the_usual_spellings_of_csv_are_read(content):
    """Line ends, byte order mark, order of columns, blank cells, lines and columns."""
    assert ids(content) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        ("id,x,y\na,1,0\n".encode("utf-16")[:-1], "not UTF-16 text"),
        ("id,x,y\nMüller,1,0\n".encode("latin-1"), "not UTF-8 text: byte 0xfc"),
        (b'id,x,y\n"a,1,0\nb,2,1\n', "not CSV"),
        (b"<html><body>502 Bad Gateway</body></html>", "columns missing"),
        (b"id;x;y\na;1;0\n", "semicolons"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\r\n\n", "the file is empty"),
        (b"id,x,y\n\xed\xa0\x80,1,0\n", "not UTF-8 text: byte 0xed"),
        (b'id,x,y\n"a"b,1,0\n', "not CSV"),
        (b"id,x,x,y\na,1,1,0\n", r"more than once: \['x'\]"),
        (b"id,X,y\na,1,0\n", r"columns missing: \['x'\]; found: \['id', 'X', 'y'\]"),
        (b"a,1,0\nb,2,1\n", r"columns missing: \['id', 'x'\]"),
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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_and_refused_ones_count_as_lines(end):
    """The line of an editor is what a person looks for, whatever ends it."""
    lines = ["id,x,y", "", "a,1,0", "b", "", '"c', 'd",many,0', "e,2,maybe"]

    (piece,) = read(end.join(lines))

    assert [problem.line for problem in piece.problems] == [4, 6, 8]
    assert piece.refused == [["b"], [f"c{end}d", "many", "0"], ["e", "2", "maybe"]]


def test_line_numbers_go_on_from_piece_to_piece(monkeypatch):
    """They are those of the file."""
    monkeypatch.setattr(drops, "ROWS_PER_PIECE", 2)

    pieces = read(HEADER + "a,many,0\n\nb,1,0\nc,1,0\nd,many,0\n")

    assert [[problem.line for problem in piece.problems] for piece in pieces] == [[2], [6]]


@pytest.mark.parametrize("row", ["a\0,1,0", "a,1\0,0", "a,1,0\0"])
def test_a_nul_costs_its_row_and_no_other(row):
    """Disks that were full leave them; some databases cannot store one."""
    (piece,) = read(HEADER + row + "\nb,2,1\n")

    assert piece.rows["id"].tolist() == ["b"]
    assert {problem.line for problem in piece.problems} == {2}


def test_a_line_may_be_as_long_as_the_limit_and_no_longer():
    """The line end counts."""
    (piece,) = read(HEADER + "a" * 15 + ",1,0\n", limit=20)

    assert piece.rows["id"].tolist() == ["a" * 15]
    with pytest.raises(DataError, match="longer than max_line_characters = 20"):
        read(HEADER + "a" * 16 + ",1,0\n", limit=20)


def test_a_cell_over_endless_lines_is_refused():
    """A quote that is closed far below must not fill the memory."""
    with pytest.raises(DataError, match="field larger than field limit"):
        read(HEADER + '"' + "a\n" * 100_000 + '",1,0\n')


@pytest.mark.parametrize("header", [HEADER, 'id ,"x", y\n'])
def test_a_header_in_the_middle_is_refused_as_such(header):
    """Two exports were glued together; its line counts, and has one reason, not one a cell."""
    (piece,) = read(HEADER + "a,1,0\n" + header + "b,two,1\nc,3,1\n")

    assert piece.rows["id"].tolist() == ["a", "c"]
    assert piece.lines == [2, 5]
    assert [problem[:3] for problem in piece.problems] == [
        (3, "", drops.HEADER),
        (4, "x", "not a number"),
    ]
    assert [[cell.strip() for cell in record] for record in piece.refused] == [
        ["id", "x", "y"],
        ["b", "two", "1"],
    ]
    assert piece.n_read == 4


def test_a_header_in_the_middle_is_no_row_of_categories_either():
    """Each of its cells could be one, and the label may come later."""
    columns = replace_numbers(categorical=("plan", "city"))
    content = b"id,plan,city\na,id,city\nid,plan,city\nb,plan,Bonn\n"

    (piece,) = drops.read(io.BufferedReader(io.BytesIO(content)), columns, Ingestion())

    assert piece.rows["id"].tolist() == ["a", "b"]
    assert [problem.rule for problem in piece.problems] == [drops.HEADER]


def replace_numbers(**features):
    return COLUMNS.model_copy(update={"numeric": (), **features})


def test_a_drop_without_labels_is_read():
    """They come with a later drop."""
    (piece,) = read("x,id\n1,a\n")

    assert piece.problems == []
    assert piece.rows["y"].isna().all()


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

    fit = [(name.strip(), x, y) for name, x, y in rows if name.strip()]
    found = [tuple(row) for piece in pieces for row in piece.rows.itertuples(index=False)]
    refused = [record for piece in pieces for record in piece.refused]
    assert sum(piece.n_read for piece in pieces) == len(rows)
    assert found == fit
    assert refused == [list(map(str, row)) for row in rows if not row[0].strip()]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_flipped_bytes_are_read_or_refused(flips):
    """Of a file with everything in it: quotes, line breaks, umlauts, a byte order mark."""
    content = bytearray(('\ufeffid,x,y\r\n"Mü\n""l""",1.5e3,0\r\nb,,\r\n€,NA,1\r\n' * 2).encode())
    for position, byte in flips:
        content[position % len(content)] = byte

    try:
        pieces = read(bytes(content))
    except DataError as refusal:
        pieces = []
        assert str(refusal)

    assert all(piece.n_read == len(piece.rows) + len(piece.refused) for piece in pieces)


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

    found, skipped = inbox.find(world.config)

    assert [drop.path.name for drop in found] == ["dataset1.csv", "dataset2.csv"]
    assert [entry.name.split("/")[-1] for entry in skipped] == [
        "folder.csv", "link.csv", "notes.txt", "pipe.csv",
    ]  # fmt: skip


def test_a_file_beyond_the_limit_is_left_alone(world):
    """And why is said each time."""
    config = world.set(ingestion__max_file_bytes=420)

    found, skipped = inbox.find(config)

    assert [drop.path.name for drop in found] == ["dataset1.csv"]
    assert "more than max_file_bytes = 420" in str(skipped[0])


def test_a_link_put_in_place_of_a_file_is_not_followed(world):
    """Between listing and opening everything can happen."""
    (drop, *_), _ = inbox.find(world.config)
    drop.path.unlink()
    drop.path.symlink_to("/etc/passwd")

    with pytest.raises(drops.Changed, match="cannot be opened"), drops.opened(drop):
        pass


def test_a_pipe_put_in_place_of_a_file_is_not_waited_for(world):
    """Opening one waits for its writer, for ever if there is none."""
    (drop, *_), _ = inbox.find(world.config)
    drop.path.unlink()
    os.mkfifo(drop.path)

    with pytest.raises(drops.Changed, match="changed"), drops.opened(drop):
        pass


def test_another_file_of_the_same_size_and_time_is_noticed(world):
    """Its times can be set by anyone, its change time and inode cannot."""
    (drop, *_), _ = inbox.find(world.config)
    content, status = drop.path.read_bytes(), drop.path.stat()
    drop.path.with_suffix(".tmp").write_bytes(content[::-1])
    os.utime(drop.path.with_suffix(".tmp"), ns=(status.st_atime_ns, status.st_mtime_ns))
    drop.path.with_suffix(".tmp").replace(drop.path)

    with pytest.raises(drops.Changed, match="changed"), drops.opened(drop):
        pass


def test_a_file_that_vanished_is_said_so(world):
    """The run goes on with the others."""
    (drop, *_), _ = inbox.find(world.config)
    drop.path.unlink()

    with pytest.raises(drops.Changed, match="vanished"), drops.opened(drop):
        pass


def test_a_file_that_changes_while_it_is_read_is_left_for_later(world):
    """What was read might be half old and half new."""
    (drop, *_), _ = inbox.find(world.config)

    with (
        pytest.raises(drops.Changed, match="changed while it was read"),
        drops.opened(drop) as file,
    ):
        file.read(10)
        with drop.path.open("a") as writer:
            writer.write("more,1,2,3,0\n")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("drop.csv.gz", "packed; unpack it to a file named .csv"),
        ("drop.tsv", "rename it, and set ingestion.separator to a tab"),
        ("drop.xlsx", "a spreadsheet; export it as .csv"),
        ("drop", "only .csv files are read"),
    ],
)
def test_what_is_not_read_is_named(world, name, told):
    """Nobody waits for data that lies there unseen."""
    world.take_from_inbox()
    world.drop(name, "x")
    (world.config.input_folder / "more").mkdir()

    found, skipped = inbox.find(world.config)

    assert found == []
    assert str(skipped[0]).startswith(f"inbox/{name}: skipped, ")
    assert told in str(skipped[0])
    assert (
        str(skipped[1]) == "inbox/more: skipped, a folder; drops must be in the input folder itself"
    )


def test_a_file_that_grows_is_not_ready(world):
    """Somebody is still writing."""
    import threading

    (growing, still), _ = inbox.find(world.config)
    timer = threading.Timer(0.1, lambda: growing.path.open("a").close() or os.utime(growing.path))
    timer.start()

    ready, waiting = inbox.settled([growing, still], 0.5)
    timer.join()

    assert ready == [still]
    assert [str(each) for each in waiting] == [
        f"{growing.name}: still being written, left for a later run"
    ]


def test_files_that_are_old_enough_are_not_waited_for(world):
    """An hour of settling costs nothing where nobody wrote for longer."""
    found, _ = inbox.find(world.config)
    old = [replace(drop, signature=replace(drop.signature, ctime_ns=0)) for drop in found]

    assert inbox.settled(old, 3600) == (old, [])


def test_a_drop_that_vanishes_while_it_settles_is_left_out(world):
    """Its writer moved it away again."""
    (gone, still), _ = inbox.find(world.config)
    gone.path.unlink()

    ready, waiting = inbox.settled([gone, still], 0.5)

    assert gone not in ready
    assert still in ready


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("", "the file is empty"),
        ("corporation", "columns missing"),
        ("{header}\n", "no rows"),
        ("{header}\nk,1,2,many,0\n", "line 2, column number_of_employees: not a number"),
        ("{header}\nk,1\n", "line 2: 2 fields, the header has 5, got 'k'"),
    ],
)
def test_a_data_set_is_used_whole_or_not_at_all(world, content, message):
    """A score on the fit half of the test data would be another score."""
    header = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"
    path = world.config.test_data
    path.unlink()
    if content is not None:
        path.write_text(content.replace("{header}", header))

    with pytest.raises(DataError, match=f"data/test/test_data.csv: {message}"):
        drops.read_whole(world.config, path)


def test_names_that_cannot_be_shown_are_spelt_out(world):
    """Bad UTF-8 and a line break in a name must not break a record."""
    folder = os.fsencode(world.config.input_folder)
    for name in (b"a\nb.csv", b"\xff.csv"):
        with open(folder + b"/" + name, "w") as file:
            file.write(HEADER)

    found, _ = inbox.find(world.config)

    names = {drop.name.split("/")[-1] for drop in found}
    assert {"a\\nb.csv", "\\xff.csv"} <= names
