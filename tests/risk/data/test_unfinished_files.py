import io
import os
import threading
import time

import pytest

import ingestion
from risk import store
from risk.admin import check
from risk.data import drops
from risk.data import inbox as finding
from tests.factories import HEADER, UNLABELLED, counts
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn


def take(world, ledger, name, text):
    world.drop(name, text)
    (intake,) = ingestion.run(world.config, ledger).intakes
    return intake


def employees(world, ledger):
    rows = store.read_parts(world.config, ledger.parts.ids())
    return list(zip(rows["corporation"], rows["number_of_employees"].astype(int), strict=True))


CUT = "exited,corporation,lastmonth_activity,lastyear_activity,number_of_employees\n"


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("text", "is_unfinished"), [("a\n", False), ("a\r", False), ("a", True)])
def test_a_line_end_is_known_in_each_encoding(codec, text, is_unfinished):
    """An empty file has no line to be finished."""
    assert drops.is_unfinished(io.BytesIO(text.encode(codec))) is is_unfinished
    assert not drops.is_unfinished(io.BytesIO())


@pytest.mark.parametrize("name", ["a.csv", "b.csv"])
def test_a_row_that_was_cut_off_is_superseded_by_the_whole_one(inbox, ledger, name):
    """109 was read as 10 while the file was written; by its end, under any name, it is known."""
    cut = f"{CUT}0,k,1,2,3\n1,l,1,2,10"
    first = take(inbox, ledger, "a.csv", cut)

    second = take(inbox, ledger, name, f"{cut}9\n0,m,1,2,4\n")

    assert (counts(first), counts(second)) == ((2, 2, 0, 0), (3, 2, 1, 0))
    assert employees(inbox, ledger) == [("k", 3), ("l", 109), ("m", 4)]
    assert second.note.startswith("completes the cut-off last line of ingestion 1")
    lines = (inbox.config.ingested_folder / "final_data.csv").read_text().splitlines()[1:]
    assert lines == ["k,1,2,3,0", "l,1,2,109,1", "m,1,2,4,0"]
    assert ingestion.run(inbox.config, ledger).intakes == ()
    assert check.check(inbox.config).exit_code == 0


@pytest.mark.parametrize("rest", ["\n", "\r\n0,m,1,2,4\n", "\n1,l,1,2,10\n"])
def test_a_row_that_was_whole_stays(inbox, ledger, rest):
    """Many programs write no line end at the end of a file."""
    text = f"{CUT}0,k,1,2,3\n1,l,1,2,10"
    take(inbox, ledger, "a.csv", text)

    second = take(inbox, ledger, "b.csv", text + rest)

    assert (second.note, ledger.parts.superseded()) == (None, {})
    assert ("l", 10) in employees(inbox, ledger)


def test_a_file_that_begins_otherwise_supersedes_nothing(inbox, ledger):
    """The same row in another order, or one byte earlier that differs."""
    take(inbox, ledger, "a.csv", f"{CUT}0,k,1,2,3\n1,l,1,2,10")

    second = take(inbox, ledger, "b.csv", f"{CUT}0,K,1,2,3\n1,l,1,2,109\n")

    assert counts(second) == (2, 2, 0, 0)
    assert ("l", 10) in employees(inbox, ledger)


def test_a_file_that_grows_in_many_steps_ends_as_if_taken_once(inbox, ledger):
    """Cut anywhere: within a number, a name, before a label or a line end."""
    text = f"{HEADER}kk,1,2,10,0\nll,11,22,33,1\nmm,1,2,109,1\n"
    for size in range(len(HEADER) + 1, len(text) + 1, 3):
        take(inbox, ledger, "a.csv", text[:size])
    if (len(text) - len(HEADER) - 1) % 3:
        take(inbox, ledger, "a.csv", text)

    assert employees(inbox, ledger) == [("kk", 10), ("ll", 33), ("mm", 109)]


def test_a_row_cut_off_before_its_label_is_ripened(inbox, ledger):
    """It is no other row, and loses no evidence."""
    take(inbox, ledger, "a.csv", f"{HEADER}k,1,2,3,")

    second = take(inbox, ledger, "a.csv", f"{HEADER}k,1,2,3,1\n")

    assert (second.kind, counts(second)) == ("labels", (1, 1, 0, 0))
    assert employees(inbox, ledger) == [("k", 3)]


def test_a_superseded_row_waits_for_no_label_and_leaves_the_table_of_rows(inbox, ledger):
    """Whoever asks the database sees the corrected data set."""
    inbox.set(store_dataset_in_sql=True)
    take(inbox, ledger, "a.csv", f"{UNLABELLED}k,1,2,3\nl,1,2,10")
    take(inbox, ledger, "a.csv", f"{UNLABELLED}k,1,2,3\nl,1,2,109\n")

    take(inbox, ledger, "truth.csv", "corporation,exited\nl,1\n")

    found = ledger.database.frame(ledger_rows())
    assert found["row"].str.contains('"number_of_employees":109').sum() == 1
    assert sorted(found["identifier"]) == ["k", "l"]
    assert found.set_index("identifier")["y_true"]["l"] == 1


def ledger_rows():
    import sqlalchemy as sa

    from risk.ledger.tables import dataset_rows

    return sa.select(dataset_rows)


def test_after_a_crash_the_correction_is_completed(inbox, ledger, monkeypatch):
    """It was committed, and the part had not been rewritten yet."""
    take(inbox, ledger, "a.csv", f"{CUT}1,l,1,2,10")
    inbox.drop("a.csv", f"{CUT}1,l,1,2,109\n")

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("risk.store.remove_rows", crash)
        ingestion.run(inbox.config, ledger)
    ingestion.run(inbox.config, ledger)

    assert employees(inbox, ledger) == [("l", 109)]


def test_a_file_without_a_last_line_end_rests_for_longer(inbox):
    """Its writer paused for longer than files need to settle."""
    path = inbox.drop("a.csv", f"{HEADER}k,1,2,3,0")
    (found,), _ = finding.find(inbox.config)
    timer = threading.Timer(0.15, path.write_text, [f"{HEADER}k,1,2,3,0\n"])
    timer.start()

    ready, waiting = finding.settled([found], 0.05)
    timer.join()

    assert ready == []
    assert list(map(str, waiting)) == ["inbox/a.csv: still being written, left for a later run"]


def test_a_run_does_not_wait_for_minutes(inbox, monkeypatch):
    """The file is left to a later run, and named."""
    inbox.drop("a.csv", f"{HEADER}k,1,2,3,0")
    (found,), _ = finding.find(inbox.config)
    started = time.monotonic()
    os.utime(found.path)

    monkeypatch.setattr(finding, "MAX_WAIT", 0.5)
    ready, waiting = finding.settled(finding.find(inbox.config)[0], 0.06)

    assert time.monotonic() - started < 0.5
    assert ready == []
    (reason,) = map(str, waiting)
    assert "its last line has no line end; left until the file has rested 0.6 seconds" in reason


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_label_that_may_be_cut_off_is_given_to_nobody(inbox, ledger, end):
    """`1,ab` of `1,abc` would be the label of somebody else; once the line is whole it is taken."""
    rows = f"{UNLABELLED}ab,1,2,3\nabc,1,2,3\nx,1,2,3\n"
    inbox.drop("0.csv", rows)
    ingestion.run(inbox.config, ledger)
    cut = take(inbox, ledger, "labels.csv", f"exited,corporation\n0,x\n1,ab{end}")

    assert counts(cut) == ((2, 1, 0, 1) if not end else (2, 2, 0, 0))
    if not end:
        assert ledger.quarantine.page().items[0]["rule"].startswith("perhaps cut off")
        whole = take(inbox, ledger, "labels.csv", "exited,corporation\n0,x\n1,abc\n")
        assert counts(whole) == (2, 1, 1, 0)
        waiting = ingestion.run(inbox.config, ledger, requeue=cut_id(ledger)).intakes
        assert counts(waiting[0]) == (1, 1, 0, 0)  # on demand it is the label of `ab` after all


def cut_id(ledger):
    return ledger.quarantine.page().items[0]["ingestion_id"]


def test_a_label_at_the_end_of_its_line_needs_no_line_end(inbox, ledger):
    """A beginning of 0 or 1 is no other label."""
    inbox.drop("0.csv", f"{UNLABELLED}ab,1,2,3\n")
    ingestion.run(inbox.config, ledger)

    assert counts(take(inbox, ledger, "labels.csv", "corporation,exited\nab,1")) == (1, 1, 0, 0)
