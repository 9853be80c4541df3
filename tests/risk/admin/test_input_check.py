"""Everything that will go wrong is said before anything is written, one line per kind."""

import pytest

import ingestion
from risk.admin import input_check
from tests.factories import HEADER, customers


@pytest.fixture
def inbox(world):
    """Give a world with an empty inbox, in which no run has taken place."""
    world.take_from_inbox()
    return world


def lines(found):
    return str(found).splitlines()


def test_a_sound_input_is_read_and_nothing_is_written(world, tree):
    """Neither a ledger nor a key is created; the first model is fitted and thrown away."""
    before = tree()

    found = input_check.check(world.config)

    assert found.exit_code == 0
    assert lines(found) == [
        "checked the settings, the test data, 2 new files; nothing was written",
        "no problem was found",
        "the first model would be trained on 31 labelled rows",
    ]
    assert tree() == before


def test_problems_of_one_kind_are_one_line(inbox):
    """28 files without a column and 40 broken cells are two lines, each with files and example."""
    for n in range(28):
        inbox.drop(f"old{n:02}.csv", "corporation,exited,lastmonth_activity\nx,1,2\n")
    rows = "".join(f"c{n},many,2,3,0\n" for n in range(20))
    inbox.drop("a.csv", HEADER + rows)
    inbox.drop("b.csv", HEADER + rows + "ok,1,2,3,1\n")

    found = input_check.check(inbox.config)

    missing, broken, first = found.faults
    assert (len(missing.files), missing.cells) == (28, 0)
    assert str(missing).endswith(
        "28 files (inbox/old00.csv, inbox/old01.csv, inbox/old02.csv and 25 more)"
    )
    assert str(broken) == (
        "lastmonth_activity: not a number, such as 'many' in line 2: 40 cells in 2 files "
        "(inbox/a.csv, inbox/b.csv)"
    )
    assert str(first).startswith("no first model can be trained: 1 labelled rows are too few")
    assert found.exit_code == 65


def test_what_is_wrong_with_whole_rows_is_counted_in_rows(inbox):
    """Two files put together, and a line of three cells."""
    inbox.drop("a.csv", f"{HEADER}a,1,2,3,0\n{HEADER}b,1,2\nc,1,2,3,1\n")

    told = str(input_check.check(inbox.config))

    header = "the header again, no row, such as 'corporation' in line 3: 1 row in 1 file"
    assert header in told
    assert "3 fields, the header has 5, such as 'b' in line 4: 1 row in 1 file" in told


def test_the_test_data_are_checked(inbox):
    """A wrong label in them stops every run."""
    inbox.config.test_data.write_text(HEADER + "a,1,2,3,maybe\n")
    wrong = input_check.check(inbox.config)
    inbox.config.test_data.unlink()
    missing = input_check.check(inbox.config)

    assert [str(fault) for fault in wrong.faults] == [
        "exited: label other than 0 or 1, such as 'maybe' in line 2: 1 cell in 1 file "
        "(data/test/test_data.csv)"
    ]
    assert "there is no such file; it is the test data" in str(missing)
    assert missing.exit_code == 65


def test_settings_that_the_classifier_rejects_are_found(inbox):
    """scikit-learn sees them only while it fits; exit 78 as in a run."""
    inbox.drop("a.csv", customers("a", 200, seed=1))
    inbox.set(training__parameters={"C": "much"})

    found = input_check.check(inbox.config)

    assert found.exit_code == 78
    assert "no first model can be trained: training.parameters" in str(found)


def test_a_classifier_that_is_not_installed_is_found(world):
    """Before a run ingests anything."""
    own = {"estimator": "absent.Model", "estimator_packages": ["absent"]}
    found = input_check.check(world.set(training=own))

    assert found.exit_code == 78
    assert [str(fault) for fault in found.faults] == [
        "training.estimator: absent cannot be imported: No module named 'absent'"
    ]


def test_files_that_are_no_drops_are_named_and_make_nothing_fail(world):
    """A run skips them, too."""
    world.drop("list.xlsx", "PK")

    found = input_check.check(world.config)

    assert "a spreadsheet; export it as .csv: 1 file (data/development/list.xlsx)" in str(found)
    assert found.exit_code == 0


def test_a_file_name_may_hold_what_separates_it_from_a_reason(world):
    """The name is a field of its own and is not cut out of a message."""
    world.drop("a: b.txt", "x")

    (fault,) = input_check.check(world.config).faults

    assert fault.files == ["data/development/a: b.txt"]


def test_refused_drops_are_checked_again_until_they_are_accepted(inbox, ledger, tree):
    """After a correction it says what is still wrong with what earlier runs refused."""
    inbox.drop("a.csv", customers("a", 60, seed=1) + "x,-1,2,3,0\ny,many,2,3,0\n")
    ingestion.run(inbox.config, ledger)
    mended, before = inbox.set(columns__allowed_ranges={}), tree()

    found = input_check.check(mended)

    assert lines(found)[0].endswith(
        "0 new files and the refused rows of 1 earlier file; nothing was written"
    )
    assert [fault.text for fault in found.faults[:1]] == ["lastmonth_activity: not a number"]
    assert tree() == before


def test_the_command_checks_and_does_nothing_else(inbox):
    """Its exit code is that of the worst problem; two commands at once are wrong usage."""
    inbox.drop("a.csv", HEADER + "x,many,2,3,0\n")

    checked = inbox.command("ingestion.py", "--check")
    both = inbox.command("ingestion.py", "--check", "--init", "a.csv")

    assert checked.returncode == 65
    assert "not a number, such as 'many'" in checked.stdout
    assert not (inbox.folder / "db").exists()
    assert both.returncode == 64


def test_it_says_that_other_places_were_not_read(inbox):
    found = input_check.check(inbox.set(object_store="s3://acme/customers"))

    assert "only files were read" in str(found)
