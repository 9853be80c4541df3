import pytest
import sqlalchemy as sa

import ingestion
from risk.admin import check
from risk.config import Columns
from risk.data import drops, portions, staging
from risk.data.portions import Unripe
from risk.ledger import tables
from risk.schema import UnripeRow
from tests.factories import HEADER, World, counts

ROWS = HEADER + (
    "a,1,2,3,0\nb,1,2,3,\nc,1,2,3,1\nd,x,2,3,1\n"
    "e,1,2,3,0\na,1,2,3,0\nf,1,2,3,\ng,1,2,3,1\n"
    "h,1,2,3,0\nb,1,2,3,1\ni,1,2,3,\nj,1,2,3,1\n"
)


@pytest.fixture
def inbox(world, monkeypatch):
    """Give a world in which three rows are very many."""
    world.take_from_inbox()
    monkeypatch.setattr(drops, "ROWS_PER_PIECE", 2)
    monkeypatch.setattr(portions, "MAX_ROWS", 3)
    return world


def ingest(world, ledger, text, name="big.csv"):
    world.drop(name, text)
    (intake,) = ingestion.run(world.config, ledger).intakes
    return intake


def what_is_known(world, ledger):
    """Return the files and the rows of the ledger a drop leaves, but for the numbers of parts."""
    found = {"final": (world.config.ingested_folder / "final_data.csv").read_bytes()}
    for folder in world.config.quarantine_folder.glob("0*"):
        found |= {path.name: path.read_bytes() for path in folder.iterdir()}
    for table, names in (
        (tables.row_hashes, ["row_hash"]),
        (tables.unripe_rows, ["row_hash", "key_hash"]),
        (tables.later_labels, ["row_hash", "key_hash", "y_true"]),
        (tables.quarantined_rows, ["line", "column_name", "rule", "value"]),
    ):
        query = sa.select(*(table.c[name] for name in names))
        found[table.name] = sorted(tuple(row) for row in ledger.database.rows(query))
    return found


def test_a_drop_in_portions_is_what_it_is_as_a_whole(inbox, ledger, tmp_path, monkeypatch):
    """Rows, late labels, duplicates and quarantine are the same; each part has three rows or so."""
    in_portions = ingest(inbox, ledger, ROWS)
    whole_world = World(tmp_path / "whole")
    whole_world.take_from_inbox()
    with whole_world.open_ledger() as other:
        monkeypatch.setattr(portions, "MAX_ROWS", 400_000)
        whole = ingest(whole_world, other, ROWS)

        assert what_is_known(inbox, ledger) == what_is_known(whole_world, other)

    assert in_portions == whole
    assert counts(whole) == (12, 9, 2, 1)
    recorded = ledger.ingestions.after(0)
    assert [row.rows_added for row in recorded] == [3, 3, 3]
    assert [row.continues for row in recorded] == [None, 1, 1]
    assert [row.rows_read for row in recorded] == [6, 3, 3]
    assert ledger.parts.ids() == [1, 2, 3]
    assert check.check(inbox.config).exit_code == 0
    assert ingestion.run(inbox.config, ledger).intakes == ()


def test_the_label_of_a_row_of_an_earlier_portion_is_that_of_its_part(inbox, ledger):
    ingest(inbox, ledger, ROWS)

    ((_, y_true, part),) = ledger.labels.of_ingestions([3])[
        ["row_hash", "y_true", "row_ingestion_id"]
    ].to_numpy()

    assert (y_true, part) == (1, 1)
    assert ledger.labels.count_after(0) == {1: 3, 2: 2, 3: 2}


def test_a_drop_in_portions_is_listed_once_with_all_its_rows(inbox, ledger):
    ingest(inbox, ledger, ROWS)
    ingest(inbox, ledger, HEADER + "z,1,2,3,1\n", name="small.csv")

    small, big = ledger.ingestions.page().items

    assert (big["id"], big["path"]) == (1, "inbox/big.csv")
    assert [big[f"rows_{name}"] for name in ("read", "added", "duplicate")] == [12, 9, 2]
    assert small["rows_added"] == 1
    assert ledger.ingestions.history(newest=9)["rows_added"].tolist() == [9, 1]
    assert [drop.rows_read for drop in ledger.ingestions.latest(9)] == [12, 1]
    assert [drop.rows_read for drop in ledger.ingestions.whole([1, 2, 3, 4])] == [12, 1]
    assert [drop.rows_read for drop in ledger.ingestions.whole([2, 3])] == []


def test_the_cut_off_last_row_of_the_last_portion_is_superseded(inbox, ledger):
    header = "exited,corporation,lastmonth_activity,lastyear_activity,number_of_employees\n"
    cut = header + "".join(f"0,{name},1,2,3\n" for name in "abcdef") + "0,g,1,2,10"
    ingest(inbox, ledger, cut)

    second = ingest(inbox, ledger, f"{cut}9\n", name="whole.csv")

    assert second.note == "completes the cut-off last line of ingestion 3, whose row is superseded"
    lines = (inbox.config.ingested_folder / "final_data.csv").read_text().splitlines()
    assert lines[-1] == "g,1,2,109,0"
    assert len(lines) == 8


def test_the_rows_of_each_portion_are_stored_in_sql(inbox, ledger):
    inbox.set(store_dataset_in_sql=True)

    ingest(inbox, ledger, ROWS)

    query = sa.select(tables.dataset_rows.c.ingestion_id, sa.func.count())
    counted = query.group_by(tables.dataset_rows.c.ingestion_id)
    assert sorted(tuple(row) for row in ledger.database.rows(counted)) == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("n_published", [0, 2])
def test_after_a_crash_before_the_commit_all_portions_are_taken(
    inbox, ledger, monkeypatch, n_published
):
    """Some of their files have their final names by then; none counts."""
    calls, publish = [], staging.publish

    def crash(config, numbers):
        publish(config, numbers[:n_published])
        calls.append(numbers)
        raise KeyboardInterrupt

    inbox.drop("big.csv", ROWS)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(staging, "publish", crash)
        ingestion.run(inbox.config, ledger)
    assert (calls, ledger.ingestions.after(0)) == ([[1, 2, 3]], [])

    (intake,) = ingestion.run(inbox.config, ledger).intakes

    assert counts(intake) == (12, 9, 2, 1)
    assert check.check(inbox.config).exit_code == 0


def test_of_a_drop_that_cannot_be_read_to_its_end_no_portion_stays(inbox, ledger):
    """Else the drop after it, which has the same numbers, would be given its rows."""
    with pytest.raises(RuntimeError), staging.writing_parts(inbox.config) as write:
        rows = drops.read_whole(inbox.config, inbox.config.test_data).assign(row_hash=1)
        for number in (1, 2, 3):
            write(number, rows)
        raise RuntimeError

    assert [*staging.part(inbox.config, 1).parent.iterdir()] == []


@pytest.mark.parametrize(("n_columns", "n_rows"), [(3, 400_000), (20, 400_000), (1000, 8000)])
def test_a_portion_has_fewer_rows_the_more_columns_there_are(n_columns, n_rows):
    numeric = tuple(f"x{i}" for i in range(n_columns - 2))
    columns = Columns(
        identifier="id", target="y", positive_label=1, negative_label=0, numeric=numeric
    )

    assert portions.max_rows(columns) == n_rows


def test_rows_that_wait_for_a_label_are_kept_as_they_were():
    rows = [UnripeRow(-(2**63), 2**63 - 1), UnripeRow(5, -7, 0), UnripeRow(6, 9, -1)]
    unripe = Unripe()
    unripe.add(rows[:1])
    unripe.add([])
    unripe.add(rows[1:])

    assert [*unripe] == rows
    assert [*unripe.named({-7, 9, 11})] == rows[1:]
