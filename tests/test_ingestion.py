import csv
import os
import shutil
import time

import pandas as pd
import pytest
import sqlalchemy as sa

import ingestion
from risk import store
from risk.data import drops
from risk.errors import UnknownName
from risk.ledger import tables
from tests.factories import HEADER, counts


def final_rows(config):
    return read_csv(config.ingested_folder / config.compiled_data_filename)[1:]


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_shared_rows_are_kept_once(world, ledger):
    """dataset2 repeats 5 rows of dataset1: 36 rows come, 31 customers are there."""
    result = ingestion.run(world.config, ledger)

    rows = final_rows(world.config)
    assert str(result) == "2 drops ingested; rows: 36 read, 31 added, 5 duplicate, 0 quarantined"
    assert len(rows) == 31
    assert len({tuple(row) for row in rows}) == 31


def test_final_data_holds_what_a_person_would_merge_by_hand(world, ledger):
    """The oracle is pandas: concatenate, drop duplicates, nothing else."""
    ingestion.run(world.config, ledger)

    found = pd.read_csv(world.folder / "data/ingested/final_data.csv")
    names = ("dataset1.csv", "dataset2.csv")
    drops = [pd.read_csv(world.folder / "data/development" / name) for name in names]
    expected = pd.concat(drops).drop_duplicates(ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)


def test_a_second_pass_changes_nothing(world, ledger, tree):
    """Cron comes every 10 minutes; most of the time nothing is new."""
    ingestion.run(world.config, ledger)
    before = tree()

    result = ingestion.run(world.config, ledger)

    assert str(result) == "no new data"
    assert tree() == before


def test_a_new_file_is_found_wherever_it_is_in_the_listing(world, ledger):
    """The mirror's fourth mistake: one known file made it blind to a later new one."""
    ingestion.run(world.config, ledger)
    world.drop("aaa.csv", HEADER + "first,1,2,3,0\n")
    world.drop("zzz.csv", HEADER + "last,1,2,3,1\n")

    result = ingestion.run(world.config, ledger)

    assert [intake.rows_added for intake in result.intakes] == [1, 1]


def test_the_same_bytes_under_another_name_are_not_read_again(world, ledger):
    """A renamed or re-delivered file must not weigh its rows twice."""
    ingestion.run(world.config, ledger)
    folder = world.config.input_folder
    shutil.copy(folder / "dataset1.csv", folder / "again.csv")

    (intake,) = ingestion.run(world.config, ledger).intakes

    assert (intake.status, intake.duplicate_of, intake.rows_read) == ("duplicate", 1, 0)
    assert ingestion.run(world.config, ledger).intakes == ()


def test_the_same_name_with_other_bytes_is_a_new_drop(world, ledger):
    """Even with its size and time forged: identity is the content."""
    path = world.drop("daily.csv", HEADER + "one,1,2,3,0\n")
    ingestion.run(world.config, ledger)
    times = path.stat()
    world.drop("daily.csv", HEADER + "two,1,2,3,0\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    (intake,) = ingestion.run(world.config, ledger).intakes

    assert (intake.status, intake.rows_added) == ("taken", 1)


def test_a_touched_file_is_not_taken_again(world, ledger, tree):
    """Its time changed, its content did not."""
    ingestion.run(world.config, ledger)
    before = tree()
    os.utime(world.config.input_folder / "dataset1.csv")

    assert ingestion.run(world.config, ledger).intakes == ()
    assert tree() == before


def test_rows_read_are_added_duplicate_or_quarantined(world, ledger):
    """Nothing is lost: each of the six rows is accounted for."""
    rows = "a,1,2,3,0\na,1,2,3,0\nb,many,2,3,0\nc,1,2\nd,-1,2,3,1\ne,1,2,3,\n"
    world.take_from_inbox()
    world.drop("mixed.csv", HEADER + rows)

    (intake,) = ingestion.run(world.config, ledger).intakes

    counts = (intake.rows_added, intake.rows_duplicate, intake.rows_quarantined)
    assert intake.rows_read == 6
    assert counts == (2, 1, 3)


def test_quarantined_rows_say_where_and_why(world, ledger):
    """A person must find the cell without searching."""
    world.take_from_inbox()
    world.drop("mixed.csv", HEADER + "a,1,2,3,0\nb,many,2,3,0\nc,1,2\n")

    ingestion.run(world.config, ledger)

    folder = world.config.quarantine_folder / "00000001"
    reasons = read_csv(folder / "reasons.csv")
    assert (folder / "rows.csv").read_text() == HEADER + "b,many,2,3,0\nc,1,2\n"
    assert reasons[1] == ["inbox/mixed.csv", "3", "lastmonth_activity", "not a number", "many"]
    assert reasons[2] == ["inbox/mixed.csv", "4", "", "3 fields, the header has 5", "c"]


def test_a_file_that_cannot_be_read_is_set_aside_whole(world, ledger):
    """One bad drop never blocks the next."""
    world.drop("binary.csv", "PK\x03\x04\x00\x00 this is no table")
    world.drop("good.csv", HEADER + "good,1,2,3,1\n")

    result = ingestion.run(world.config, ledger)

    statuses = {intake.path.split("/")[-1]: intake.status for intake in result.intakes}
    copy = world.config.quarantine_folder / "00000001" / "rows.csv"
    assert statuses["binary.csv"] == "refused"
    assert statuses["good.csv"] == "taken"
    assert copy.read_bytes() == (world.config.input_folder / "binary.csv").read_bytes()


MANY_COLUMNS = [f"column {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (";".join(MANY_COLUMNS) + "\n", "refused", "separated by semicolons"),
        (f"{'x' * 300},{'x' * 300}\n", "refused", "x" * 90 + "…"),
        (HEADER + "y" * 300 + ",1,2\n", "taken", None),
    ],
    ids=["semicolons", "column named twice", "ragged row"],
)
def test_a_reason_of_any_length_stops_no_other_drop(world, ledger, text, status, told):
    """In the record of the drop it is whole, in that of the cell it is cut to what fits."""
    world.take_from_inbox()
    world.drop("bad.csv", text)
    world.drop("good.csv", HEADER + "good,1,2,3,1\n")

    result = ingestion.run(world.config, ledger)

    bad, good = result.intakes
    assert (bad.status, good.status, good.rows_added, result.exit_code) == (status, "taken", 1, 0)
    (record, _) = ledger.ingestions.after(0)
    assert (told or "") in (record.reason or "")
    assert record.reason == bad.reason
    assert ingestion.run(world.config, ledger).intakes == ()


def test_files_whose_names_are_too_long_are_taken_like_others(world, ledger):
    """200 unprintable signs are shown by four each; two such names are still told apart."""
    world.take_from_inbox()
    names = ["\x01" * 200 + last for last in ("a.csv", "b.csv")]
    for name in names:
        world.drop(name, HEADER + f"{name[-5]},1,2,3,1\n")
    world.drop("good.csv", HEADER + "good,1,2,3,1\n")

    result = ingestion.run(world.config, ledger)

    first, second, good = (intake.path for intake in result.intakes)
    assert (good, result.exit_code) == ("inbox/good.csv", 0)
    assert first != second
    assert {len(first), len(second)} == {650}
    assert [row[0] for row in final_rows(world.config)] == ["a", "b", "good"]
    assert ingestion.run(world.config, ledger).intakes == ()


def test_a_refused_file_is_not_tried_again(world, ledger):
    """It would fail every 10 minutes for ever."""
    world.drop("binary.csv", "no table at all")
    ingestion.run(world.config, ledger)

    assert ingestion.run(world.config, ledger).intakes == ()


def test_what_was_quarantined_can_be_requeued_once_the_rule_is_mended(world, ledger):
    """The rows enter once; a second requeue finds nothing waiting."""
    world.take_from_inbox()
    world.drop("mixed.csv", HEADER + "a,1,2,3,0\nb,-1,2,3,0\n")
    ingestion.run(world.config, ledger)
    mended = world.set(columns__allowed_ranges={})

    (intake,) = ingestion.run(mended, ledger, requeue=1).intakes

    assert (intake.rows_read, intake.rows_added) == (1, 1)
    assert [row[0] for row in final_rows(mended)] == ["a", "b"]
    with pytest.raises(UnknownName, match="ingestion 1 has nothing in quarantine"):
        ingestion.run(mended, ledger, requeue=1)


def test_a_drop_of_which_every_row_was_refused_can_be_requeued(world, ledger):
    """Its quarantine has the very bytes of the drop, which were taken once already."""
    world.take_from_inbox()
    world.drop("all.csv", HEADER + "a,-1,2,3,0\nb,-1,2,3,0\n")
    ingestion.run(world.config, ledger)
    mended = world.set(columns__allowed_ranges={})

    (intake,) = ingestion.run(mended, ledger, requeue=1).intakes

    assert (intake.rows_read, intake.rows_added) == (2, 2)


def test_a_drop_without_rows_is_named(world, ledger):
    """Only its header came: the export failed, or there was nothing."""
    world.take_from_inbox()
    world.drop("empty.csv", HEADER)

    result = ingestion.run(world.config, ledger)

    assert "inbox/empty.csv: no rows below the header" in str(result)
    assert result.exit_code == 0


def test_quarantined_rows_are_requeued_as_they_were_written(world, ledger):
    """Semicolons and decimal commas in, and out, and in again."""
    world.take_from_inbox()
    world.set(ingestion__separator=";", ingestion__decimal=",")
    world.drop("a.csv", HEADER.replace(",", ";") + 'a;1,5;2;3;0\n"b;b";-1,5;2;3;1\n')
    ingestion.run(world.config, ledger)
    world.set(columns__allowed_ranges={})

    (intake,) = ingestion.run(world.config, ledger, requeue=1).intakes

    assert (intake.rows_read, intake.rows_added) == (1, 1)
    assert [row[:2] for row in final_rows(world.config)] == [["a", "1.5"], ["b;b", "-1.5"]]


def test_utf_8_is_refused_where_another_encoding_would_misread_it(world, ledger):
    """Müller would be MÃ¼ller, another customer; both things that are advised help."""
    config = world.take_from_inbox()
    world.set(ingestion__encoding="cp1252")
    text = HEADER + "Müller,1,2,3,0\n"
    (config.input_folder / "a.csv").write_bytes(text.encode("cp1252"))
    world.drop("b.csv", text.replace("Müller", "Jürgen"))

    taken, refused = ingestion.run(world.config, ledger).intakes
    world.drop("b.csv", "\ufeff" + text.replace("Müller", "Zoë"))
    (marked,) = ingestion.run(world.config, ledger).intakes
    world.set(ingestion__encoding="utf-8")
    (requeued,) = ingestion.run(world.config, ledger).intakes

    assert (taken.status, refused.status) == ("taken", "refused")
    assert refused.reason.startswith("this is UTF-8 text, which ingestion.encoding = cp1252 would")
    assert (marked.rows_added, requeued.rows_added) == (1, 1)
    assert [row[0] for row in final_rows(world.config)] == ["Müller", "Zoë", "Jürgen"]


def test_the_header_again_within_a_drop_is_one_refused_row(world, ledger):
    """Two exports put together; the counts add up, and one reason says it."""
    world.take_from_inbox()
    world.drop("a.csv", f"{HEADER}a,1,2,3,0\n{HEADER}b,1,2,3,1\n")

    (intake,) = ingestion.run(world.config, ledger).intakes

    assert counts(intake) == (3, 2, 0, 1)
    folder = store.quarantine_path(world.config, 1)
    assert [row[2:4] for row in read_csv(folder / store.REASONS)[1:]] == [["", drops.HEADER]]


def test_one_bad_file_does_not_keep_a_good_one_out(world, ledger):
    """400,000 columns are read in a moment, and refused or taken like any other file."""
    world.take_from_inbox()
    names = ",".join(f"n{i}" for i in range(120_000))
    world.drop("a.csv", f"{names}\n")
    cells = "," * 119_999
    world.drop("b.csv", f"{HEADER.strip()},{names}\nb,1,2,3,0,{cells}\n")
    world.drop("c.csv", HEADER + "c,1,2,3,0\n")

    start = time.perf_counter()
    intakes = ingestion.run(world.config, ledger).intakes

    assert time.perf_counter() - start < 20
    assert [intake.status for intake in intakes] == ["refused", "taken", "taken"]
    assert [row[0] for row in final_rows(world.config)] == ["b", "c"]


def test_a_blank_label_is_unripe_and_not_a_negative(world, ledger):
    """It is kept, and it is nobody's zero."""
    world.take_from_inbox()
    world.drop("unripe.csv", HEADER + "a,1,2,3,\nb,1,2,3,0\n")

    ingestion.run(world.config, ledger)

    rows = store.read_parts(world.config, ledger.parts.ids())
    assert rows["exited"].isna().tolist() == [True, False]


@pytest.mark.parametrize("name", ["final_data.csv", "ingested_files.csv"])
@pytest.mark.parametrize("damage", ["delete", "cut", "append", "other header"])
def test_a_damaged_derived_file_is_rebuilt(world, ledger, tree, name, damage):
    """It may be deleted at any time; the parts and the ledger are the truth."""
    ingestion.run(world.config, ledger)
    before = tree()
    path = world.config.ingested_folder / name
    match damage:
        case "delete":
            path.unlink()
        case "cut":
            os.truncate(path, 70)
        case "append":
            path.write_bytes(path.read_bytes() + b"half a li")
        case "other header":
            path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))

    ingestion.run(world.config, ledger)

    assert tree() == before


def test_a_part_without_a_ledger_row_is_swept(world, ledger):
    """The commit in the ledger is what makes rows accepted."""
    ingestion.run(world.config, ledger)
    orphan = store.part_path(world.config, 3)
    shutil.copy(store.part_path(world.config, 1), orphan)
    half = orphan.with_name(".00000003.parquet.tmp")
    half.write_bytes(b"PAR1")

    ingestion.run(world.config, ledger)

    assert not orphan.exists()
    assert not half.exists()
    assert store.part_path(world.config, 1).exists()


def test_the_ledger_and_the_record_tell_the_same(world, ledger):
    """ingested_files.csv is the ledger's table for people."""
    world.drop("bad.csv", HEADER + "b,many,2,3,0\n")
    ingestion.run(world.config, ledger)

    with ledger.engine.connect() as connection:
        query = sa.select(tables.ingestions.c.path, tables.ingestions.c.rows_quarantined)
        rows = [tuple(row) for row in connection.execute(query)]
    record = pd.read_csv(world.config.ingested_folder / "ingested_files.csv")
    assert list(zip(record["path"], record["rows_quarantined"], strict=True)) == rows


def test_everything_refused_is_not_a_success(world, ledger):
    """Exit 65 tells cron's mail that nothing usable came."""
    world.take_from_inbox()
    world.drop("bad.csv", HEADER + "b,many,2,3,0\n")

    result = ingestion.run(world.config, ledger)

    assert result.exit_code == 65


def test_a_rehearsal_tells_the_same_and_writes_nothing(world, ledger, tree):
    """`--dry-run` must not surprise anybody."""
    before = tree()

    would, rows = ingestion.rehearse(world.config, ledger)

    assert tree() == before
    assert len(rows) == 31
    assert str(would) == str(ingestion.run(world.config, ledger))


def test_a_drop_that_changes_while_it_is_read_leaves_nothing_behind(world, ledger, monkeypatch):
    """Its half-made part and quarantine must not be taken for those of the next drop."""
    world.take_from_inbox()
    changing = world.drop("a.csv", HEADER + "a,1,2,3,0\nb,many,2,3,0\n")
    world.drop("b.csv", HEADER + "c,1,2,3,0\n")
    read = drops.read

    def read_and_touch(file, *arguments, **options):
        yield from read(file, *arguments, **options)
        os.utime(changing)

    monkeypatch.setattr(drops, "read", read_and_touch)
    result = ingestion.run(world.config, ledger)

    assert [intake.path for intake in result.intakes] == ["inbox/b.csv"]
    assert "a.csv: changed while it was read" in result.left_alone[0]
    assert not (world.config.quarantine_folder / "00000001").exists()
    assert [row[0] for row in final_rows(world.config)] == ["c"]
