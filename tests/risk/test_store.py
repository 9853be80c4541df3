import csv
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from risk import store
from risk.errors import StorageError


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    """The text cannot be encoded half-way: the old one must survive."""
    path = tmp_path / "file.csv"
    store.write(path, "old")

    with pytest.raises(UnicodeEncodeError):
        store.write(path, "new \ud800")

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.csv"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    """While it is written, the old content stands under its name."""
    path = tmp_path / "file.csv"
    store.write(path, "old")

    with store.replacing(path) as file:
        file.write(b"half")
        file.flush()
        assert path.read_text() == "old"

    assert path.read_bytes() == b"half"


def test_what_is_written_is_flushed_to_the_disk_before_it_is_published(tmp_path):
    """A power cut after the rename must not show an empty file: fsync comes first."""
    script = (
        "import os, sys\n"
        "calls = []\n"
        "real_fsync, real_replace = os.fsync, os.replace\n"
        "sys.addaudithook(lambda event, arguments: calls.append(event) "
        "if event == 'os.rename' else None)\n"
        "os.fsync = lambda descriptor: (calls.append('fsync'), real_fsync(descriptor))[1]\n"
        "from pathlib import Path\n"
        "from risk import store\n"
        "store.write(Path(sys.argv[1]), 'text')\n"
        "print(calls[-3:])\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "file"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.strip() == "['fsync', 'os.rename', 'fsync']"


def test_an_append_drops_what_was_never_recorded(tmp_path):
    """A crash left half a line behind byte 4."""
    path = tmp_path / "file.csv"
    path.write_text("a,b\nhalf a li")

    size = store.append(path, "1,2\n", after=4)

    assert path.read_text() == "a,b\n1,2\n"
    assert size == 8


def test_a_storage_fault_names_the_file(tmp_path):
    """A file stands where a folder is needed."""
    (tmp_path / "folder").write_text("")

    with pytest.raises(StorageError, match="folder"):
        store.write(tmp_path / "folder" / "file", "text")


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path):
    """/dev/full answers every write with "no space left"."""
    with pytest.raises(StorageError, match="No space left"), store.storage_faults(tmp_path):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")


def test_a_part_gives_back_what_was_put_in(world):
    """Numbers exactly, text with any character, missing values as missing."""
    rows = pd.DataFrame(
        {
            "corporation": pd.array(["Müller, Söhne", "漢字\n", "NA"], dtype="str"),
            "lastmonth_activity": [0.1, np.nan, 1e300],
            "lastyear_activity": [1.0, 2.0, 3.0],
            "number_of_employees": [1.0, 2.0, 3.0],
            "exited": pd.array([1, None, 0], dtype="Int8"),
            "row_hash": np.array([1, -(2**63), 2**63 - 1]),
        }
    )
    path = store.part_path(world.config, 1)
    with store.writing_part(path, world.config.columns) as write:
        write(rows)

    pd.testing.assert_frame_equal(store.read_parts(world.config, [1]), rows)


def test_a_column_declared_later_is_missing_in_older_parts(world):
    """The settings may grow; what came before has no value for it."""
    rows = store.read_parts(world.config, [])
    with store.writing_part(store.part_path(world.config, 1), world.config.columns) as write:
        row = dict.fromkeys(rows.columns, [1]) | {"corporation": ["x"]}
        write(pd.DataFrame(row))
    config = world.set(columns__categorical=["colour"], columns__other=["note"])

    found = store.read_parts(config, [1])

    assert found["colour"].isna().all()
    assert found["note"].isna().all()
    assert found["lastmonth_activity"].tolist() == [1.0]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_line_of_csv_reads_back_equal(end):
    """Python's own reader finds one record, whatever ends of lines its cells hold."""
    cells = [f"one{end}two", end, 'a "quoted", one', ""]

    line = store.csv_line(cells)

    assert list(csv.reader(io.StringIO(line, newline=""))) == [cells]
    assert store.csv_line(["a", 1]) == "a,1\n"


def test_only_columns_of_repeated_values_have_a_dictionary(world):
    """One of values that are all different costs as much to make as the rest of the part."""
    rows = store.read_parts(world.config, []).reindex(range(100))
    rows = rows.assign(corporation=[f"c{i}" for i in range(100)], lastmonth_activity=1.0)
    path = store.part_path(world.config, 1)

    with store.writing_part(path, world.config.columns) as write:
        write(rows.assign(row_hash=range(100)))

    group = pq.ParquetFile(path).metadata.row_group(0)
    found = [group.column(i) for i in range(group.num_columns)]
    has_dictionary = {each.path_in_schema: each.has_dictionary_page for each in found}
    assert (has_dictionary["corporation"], has_dictionary["row_hash"]) == (False, False)
    assert has_dictionary["lastmonth_activity"]
